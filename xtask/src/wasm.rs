//! `cargo xtask wasm`: the engines as WebAssembly, in `npm/wasm/`.
//!
//! One crate, built once for each engine that JavaScript can choose ([`VARIANTS`]); wasm-bindgen (its CLI support linked as a library, so
//! the versions cannot part) writes the glue, binaryen's wasm-opt shrinks the code. The glue of an engine of columns serves the full ones and the
//! readers as well, which is checked; engines that fetch have one of their own; either serves those that filter. Each is wrapped into a function:
//! every index has an instance of its own.
//!
//! ```text
//! npm/wasm/nearshore.wasm               builds, changes, opens; no SIMD
//! npm/wasm/nearshore-simd.wasm          the same with simd128
//! npm/wasm/nearshore-columns.wasm       builds, changes, opens, with columns, and filters by them; no SIMD
//! npm/wasm/nearshore-columns-simd.wasm  the same with simd128
//! npm/wasm/nearshore-reader.wasm        only opens and searches; no SIMD
//! npm/wasm/nearshore-reader-simd.wasm   the same with simd128
//! npm/wasm/nearshore-lazy.wasm          only searches files whose blocks are fetched; no SIMD
//! npm/wasm/nearshore-lazy-simd.wasm     the same with simd128
//! npm/wasm/nearshore-filter.wasm        searches either among the rows that meet a condition; no SIMD
//! npm/wasm/nearshore-filter-simd.wasm   the same with simd128
//! npm/wasm/glue.js, glue.d.ts           make(host) -> { Engine, initSync }
//! npm/wasm/glue-lazy.js, glue-lazy.d.ts the same for the lazy ones
//! ```
//! A variant whose compiled bytes did not change is left as it is.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::args::Arguments;
use crate::process::{cargo, program};
use crate::{setup, workspace};

/// One engine to be built.
struct Variant {
    /// File name without `.wasm`.
    stem: &'static str,
    /// The features that it is compiled with.
    features: &'static str,
    /// With simd128.
    simd: bool,
}

impl Variant {
    /// File name without `.js` of the glue that it needs.
    fn glue(&self) -> &'static str {
        if self.features == "tiles" { "glue-lazy" } else { "glue" }
    }

    /// Whether its glue serves all that need one of that name.
    fn writes_glue(&self) -> bool {
        matches!(self.features, "columns" | "tiles")
    }
}

/// The same five without and with SIMD, which are made at the same time: most of making one runs on one core.
const VARIANTS: [&[Variant]; 2] = [
    &[
        Variant { stem: "nearshore", features: "full", simd: false },
        Variant { stem: "nearshore-columns", features: "columns", simd: false },
        Variant { stem: "nearshore-reader", features: "whole", simd: false },
        Variant { stem: "nearshore-lazy", features: "tiles", simd: false },
        Variant { stem: "nearshore-filter", features: "filter,tiles", simd: false },
    ],
    &[
        Variant { stem: "nearshore-simd", features: "full", simd: true },
        Variant { stem: "nearshore-columns-simd", features: "columns", simd: true },
        Variant { stem: "nearshore-reader-simd", features: "whole", simd: true },
        Variant { stem: "nearshore-lazy-simd", features: "tiles", simd: true },
        Variant { stem: "nearshore-filter-simd", features: "filter,tiles", simd: true },
    ],
];

/// Code generation that a download wants: inlining where it shortens the code or where the source asks for it, no loop written twice for
/// vectors or unrolled. The hot loops are kernels that need neither (docs/research/download-size.md).
pub(crate) const CODE: &str = "-Cno-vectorize-loops -Cllvm-args=-inline-threshold=3 \
    -Cllvm-args=-unroll-runtime=false -Cllvm-args=-unroll-allow-partial=false";

/// wasm-opt's passes. It inlines very little on top, and puts functions of like names side by side, where gzip finds more in common.
const PASSES: &[&str] = &[
    "-O3",
    "--low-memory-unused",
    "--zero-filled-memory",
    "-Os",
    "--one-caller-inline-max-function-size=8",
    "--flexible-inline-max-function-size=8",
    "--always-inline-max-function-size=2",
    "--reorder-functions-by-name",
    "--mvp-features",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
];

/// What rustc enables for the target by itself, and so what every variant may use.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
];

/// Changes when the steps below change, so that what they left earlier is made again.
const STEPS: &str = "9";

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    arguments.end()?;
    build()
}

/// Everything that the engines are made of.
const SOURCES: [&str; 8] = [
    "core/src",
    "core/Cargo.toml",
    "wasm/src",
    "wasm/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
    "xtask/src/wasm.rs",
    "npm/package-lock.json",
];

/// Whether every engine was made after the last change of its sources: cargo links each of them anew to find out, as they share a name.
fn is_newer_than_sources(out: &Path) -> bool {
    let changed = SOURCES.map(|source| latest(&workspace::root().join(source)));
    let made = VARIANTS.into_iter().flatten().map(|variant| {
        let there = |end| fs::metadata(out.join(format!("{}.{end}", variant.stem))).and_then(|data| data.modified());
        there("wasm").and_then(|_| there("stamp")).ok()
    });
    changed.iter().flatten().max().is_some_and(|changed| made.min().flatten().is_some_and(|made| made > *changed))
}

/// When the file changed last, or the one in this folder that did so last.
fn latest(path: &Path) -> Option<std::time::SystemTime> {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).and_then(|data| data.modified()).ok() };
    entries.flatten().filter_map(|entry| latest(&entry.path())).max()
}

/// Builds what is not up to date.
///
/// # Errors
/// When a tool fails, or a reader wants more than the glue has.
pub(crate) fn build() -> Result<()> {
    setup::targets()?;
    setup::node()?;
    setup::npm_packages("npm")?;
    let out = workspace::root().join("npm/wasm");
    fs::create_dir_all(&out)?;
    if is_newer_than_sources(&out) {
        return Ok(());
    }
    let made = std::thread::scope(|scope| {
        let threads = VARIANTS.map(|variants| scope.spawn(|| variants.iter().map(|variant| make(variant, &out)).collect()));
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread ended early"))?)
            .collect::<Result<Vec<Vec<_>>>>()
    })?;
    let made: Vec<Made> = made.into_iter().flatten().flatten().collect();
    for Made { variant, glue, .. } in &made {
        if variant.writes_glue() {
            write_glue(&out, variant.glue(), glue)?;
        }
    }
    for Made { variant, glue, stamp } in &made {
        let stem = variant.stem;
        let written = fs::read_to_string(out.join(format!("{}.js", variant.glue())))?;
        if let Some(missing) = imports(&glue.0).find(|import| !written.contains(*import)) {
            bail!("{stem} imports what the glue does not have: {missing}");
        }
        fs::write(out.join(format!("{stem}.stamp")), stamp)?;
    }
    // Those that did not change are up to date from now on.
    for Variant { stem, .. } in VARIANTS.into_iter().flatten() {
        let stamp = out.join(format!("{stem}.stamp"));
        fs::write(&stamp, fs::read(&stamp)?)?;
    }
    Ok(())
}

/// An engine that was made anew, its script and types, and the stamp that it gets when all is well.
struct Made {
    variant: &'static Variant,
    glue: (String, String),
    stamp: String,
}

/// Makes one variant; `None` when it is up to date.
fn make(variant: &'static Variant, out: &Path) -> Result<Option<Made>> {
    let stem = variant.stem;
    let compiled = compile(variant)?;
    let bytes = fs::read(&compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let stamp = format!("{STEPS} {} {:016x}", env!("CARGO_PKG_VERSION"), digest(&bytes));
    let kept = out.join(format!("{}.js", variant.glue())).exists() && out.join(format!("{stem}.wasm")).exists();
    if kept && fs::read_to_string(out.join(format!("{stem}.stamp"))).is_ok_and(|text| text == stamp) {
        return Ok(None);
    }
    let glue = bind(&compiled, &out.join(format!("{stem}.bound.wasm")))?;
    optimise(out, variant)?;
    Ok(Some(Made { variant, glue, stamp }))
}

/// The functions that an instance imports, as a glue names them.
fn imports(glue: &str) -> impl Iterator<Item = &str> {
    glue.lines().map(str::trim).filter(|line| line.starts_with("__wb") && line.contains(": function("))
}

/// Compiles one variant, in a folder that it shares with those that are made after it: what runs at compile time is the same for them.
fn compile(variant: &Variant) -> Result<std::path::PathBuf> {
    let folder = workspace::target().join("wasm").join(if variant.simd { "simd128" } else { "plain" });
    let simd = if variant.simd { "-Ctarget-feature=+simd128" } else { "" };
    cargo(&["build", "--package", "nearshore-wasm", "--profile", "wasm", "--target", setup::WASM])
        .args(["--no-default-features", "--features", variant.features, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", [simd, CODE, &remap()].join(" "))
        .run()?;
    Ok(folder.join(setup::WASM).join("wasm/nearshore_wasm.wasm"))
}

/// Panics name source files: by short names, the same on every machine.
fn remap() -> String {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo"))).unwrap_or_default();
    let mut flags = format!("--remap-path-prefix={}=", workspace::root().display());
    if let Ok(sources) = fs::read_dir(Path::new(&home).join("registry/src")) {
        for source in sources.flatten() {
            flags.push_str(&format!(" --remap-path-prefix={}=", source.path().display()));
        }
    }
    flags
}

/// Runs wasm-bindgen over one variant; returns its JavaScript and types.
fn bind(compiled: &Path, out: &Path) -> Result<(String, String)> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(compiled).no_modules(true)?.typescript(true).remove_producers_section(true);
    let mut output = bindgen.generate_output()?;
    let types = output.ts().context("wasm-bindgen wrote no types")?.to_owned();
    let script = output.js().to_owned();
    fs::write(out, output.wasm_mut().emit_wasm())?;
    Ok((script, types))
}

/// Shrinks one variant with wasm-opt.
fn optimise(out: &Path, Variant { stem, simd, .. }: &Variant) -> Result<()> {
    let bound = out.join(format!("{stem}.bound.wasm"));
    program("node")
        .arg("npm/node_modules/binaryen/bin/wasm-opt")
        .arg(&bound)
        .args(PASSES)
        .args(FEATURES)
        .args(simd.then_some("--enable-simd"))
        .arg("-o")
        .arg(out.join(format!("{stem}.wasm")))
        .run()?;
    Ok(fs::remove_file(bound)?)
}

/// The end of the script that wasm-bindgen writes, and what it becomes.
const GLUE_END: (&str, &str) = ("return Object.assign(__wbg_init, { initSync }, exports);", "return { initSync, ...exports };");

/// What the script has for finding, fetching and compiling, which the package does for itself, and for freeing an engine, which goes with
/// its instance: from here to there. The bundler keeps functions inside functions, used or not.
const GLUE_CUTS: &[(&str, &str)] = &[
    ("let script_src;", "class Engine {"),
    ("async function __wbg_load(", "function initSync("),
    ("let __wbg_init_promise;", GLUE_END.1),
    ("if (module !== undefined) {", "const imports = "),
    ("if (!(module instanceof WebAssembly.Module)) {", "const instance = "),
    ("__destroy_into_raw() {", "/**"),
    ("EngineFinalization.register(", "return this;"),
    ("if (Symbol.dispose)", "exports.Engine"),
    ("const EngineFinalization", "function getStringFromWasm0"),
];

/// The types of the function that the script becomes.
const GLUE_TYPES: &str = "
/** What the engine tells. */
export interface Host {
  progress(stage: number, done: number, total: number): boolean;
  panicked(file: string, line: number, what: string): void;
}
/** One instance's glue. */
export declare const make: (host: Host) => Pick<typeof wasm_bindgen, 'Engine' | 'initSync'>;
";

/// wasm-bindgen writes a script for one instance a page; as the body of a function it serves any number.
fn write_glue(out: &Path, name: &str, (script, types): &(String, String)) -> Result<()> {
    if script.matches(GLUE_END.0).count() != 1 {
        bail!("wasm-bindgen's script ends in a new way: look at it and mend GLUE_END in {}", file!());
    }
    let mut script = script.replace(GLUE_END.0, GLUE_END.1);
    for (from, to) in GLUE_CUTS {
        let range = script.find(from).and_then(|start| Some(start..start + script[start..].find(to)?));
        script.replace_range(range.with_context(|| format!("wasm-bindgen's script has no `{from}`: mend GLUE_CUTS in {}", file!()))?, "");
    }
    fs::write(out.join(format!("{name}.js")), format!("export const make = (host) => {{\n{script}\nreturn wasm_bindgen;\n}};\n"))?;
    fs::write(out.join(format!("{name}.d.ts")), format!("{types}{GLUE_TYPES}"))?;
    Ok(())
}

/// FNV-1a, to notice a change.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
