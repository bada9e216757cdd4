//! `cargo xtask codegen`: looks at the machine code of the distance kernels.
//!
//! Equal bits do not mean equal speed: a closure that the compiler outlines loses its target features, and an accumulator of
//! another shape is compiled to half registers. Both keep every test green. So the assembly of `nearshore-core` is read for
//! each target, and each entry of each backend's table must have an innermost loop
//! - that holds the instructions which do its work (`vpmaddwd`, `f32x4.mul`, ...), often enough for the rows it sums at once,
//! - on full-width registers only,
//! - without a call, and in WebAssembly without storing a vector.
//!
//! And no kernel may hold a fused multiply-add anywhere: it would round once where the others round twice.
//! AVX-512 is looked at whether or not this machine could run it. A target that rustup lacks is named and passed over.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::wasm;

/// A target and what its backend must show.
struct Backend {
    name: &'static str,
    triple: &'static str,
    flags: &'static [&'static str],
    /// What every working instruction must mention: the full-width register, or the vector type.
    width: &'static str,
    /// Per entry: the instructions that its hot loop must hold, and how many of each.
    entries: &'static [(&'static str, &'static [(&'static str, usize)])],
}

const BACKENDS: &[Backend] = &[
    Backend {
        name: "avx2",
        triple: "x86_64-unknown-linux-gnu",
        flags: &[],
        width: "%ymm",
        entries: &[
            ("dot_f32", &[("vmulps", 4), ("vaddps", 4)]),
            ("l2_f32", &[("vsubps", 4), ("vmulps", 4), ("vaddps", 4)]),
            ("dot_i8", &[("vpmaddwd", 4), ("vpaddd", 4)]),
            ("l2_i8", &[("vpmaddwd", 4), ("vpsubw", 4)]),
            ("dot_u8", &[("vpmaddwd", 4), ("vpaddd", 4)]),
            ("l2_u8", &[("vpmaddwd", 4), ("vpsubw", 4)]),
            ("hamming", &[("vpshufb", 4), ("vpsadbw", 1)]),
            ("dot_i16_i8", &[("vpmovsxbw", 2), ("vpmaddwd", 2)]),
            ("dot_i16_u8", &[("vpmovzxbw", 2), ("vpmaddwd", 2)]),
            ("dots_i16_i8", &[("vpmovsxbw", 8), ("vpmaddwd", 8)]),
            ("dots_i16_u8", &[("vpmovzxbw", 8), ("vpmaddwd", 8)]),
            ("rows_i16_i8", &[("vpmovsxbw", 8), ("vpmaddwd", 8)]),
            ("rows_i16_u8", &[("vpmovzxbw", 8), ("vpmaddwd", 8)]),
            ("dots_i16_u4", &[("vpmovzxbw", 4), ("vpmaddwd", 8)]),
            ("dots_u4_u1", &[("vpshufb", 16), ("vpsadbw", 1)]),
            ("dots_i16_u2", &[("vpmaddwd", 8)]),
            ("l2_columns_f32", &[("vsubps", 4), ("vmulps", 4), ("vaddps", 4)]),
            ("dot_columns_f32", &[("vmulps", 4), ("vaddps", 4)]),
            ("widen_f16", &[("vcvtph2ps", 1)]),
            ("estimate_neighbors", &[("vpshufb", 4)]),
            ("rotate", &[("vaddps", 4), ("vsubps", 4)]),
        ],
    },
    Backend {
        name: "avx512",
        triple: "x86_64-unknown-linux-gnu",
        flags: &[],
        width: "%zmm",
        entries: &[
            ("dot_f32", &[("vmulps", 2), ("vaddps", 2)]),
            ("l2_f32", &[("vsubps", 2), ("vmulps", 2), ("vaddps", 2)]),
            ("dot_i8", &[("vpdpbusd", 2)]),
            ("l2_i8", &[("vpdpwssd", 2), ("vpsubw", 2)]),
            ("dot_u8", &[("vpdpbusd", 1), ("vpsadbw", 1)]),
            ("l2_u8", &[("vpdpwssd", 2), ("vpsubw", 2)]),
            ("hamming", &[("vpopcntq", 1)]),
            ("dot_i16_i8", &[("vpmovsxbw", 1), ("vpdpwssd", 1)]),
            ("dot_i16_u8", &[("vpmovzxbw", 1), ("vpdpwssd", 1)]),
            ("dots_i16_i8", &[("vpmovsxbw", 4), ("vpdpwssd", 4)]),
            ("dots_i16_u8", &[("vpmovzxbw", 4), ("vpdpwssd", 4)]),
            ("rows_i16_i8", &[("vpmovsxbw", 4), ("vpdpwssd", 4)]),
            ("rows_i16_u8", &[("vpmovzxbw", 4), ("vpdpwssd", 4)]),
            ("dots_i16_u4", &[("vpmovzxbw", 4), ("vpdpwssd", 4)]),
            ("dots_u4_u1", &[("vpopcntq", 4)]),
            ("dots_i16_u2", &[("vpdpwssd", 4)]),
            ("estimate_neighbors", &[("vpshufb", 2)]),
            ("rotate", &[("vaddps", 2), ("vsubps", 2)]),
        ],
    },
    Backend {
        name: "neon",
        triple: "aarch64-unknown-linux-gnu",
        flags: &[],
        width: "v",
        entries: &[
            ("dot_f32", &[("fmul", 8), ("fadd", 8)]),
            ("l2_f32", &[("fsub", 8), ("fmul", 8), ("fadd", 8)]),
            ("dot_i8", &[("smull", 4), ("sadalp", 8)]),
            ("l2_i8", &[("sabd", 4), ("uadalp", 8)]),
            ("dot_u8", &[("umull", 4), ("uadalp", 8)]),
            ("l2_u8", &[("uabd", 4), ("uadalp", 8)]),
            ("hamming", &[("cnt", 4), ("uadalp", 1)]),
            ("dot_i16_i8", &[("smlal", 4), ("smlal2", 4)]),
            ("dot_i16_u8", &[("smlal", 4), ("smlal2", 4)]),
            ("dots_i16_i8", &[("smlal", 16), ("smlal2", 16)]),
            ("dots_i16_u8", &[("smlal", 16), ("smlal2", 16)]),
            ("rows_i16_i8", &[("smlal", 16), ("smlal2", 16)]),
            ("rows_i16_u8", &[("smlal", 16), ("smlal2", 16)]),
            ("dots_i16_u4", &[("smlal", 16), ("smlal2", 16)]),
            ("dots_u4_u1", &[("cnt", 16), ("uadalp", 4)]),
            ("dots_i16_u2", &[("smlal", 16), ("smlal2", 16)]),
            ("l2_columns_f32", &[("fsub", 2), ("fmul", 2), ("fadd", 2)]),
            ("dot_columns_f32", &[("fmul", 2), ("fadd", 2)]),
            ("estimate_neighbors", &[("tbl", 8), ("uaddw", 8), ("uaddw2", 8)]),
            ("rotate", &[("fadd", 8), ("fsub", 8)]),
        ],
    },
    Backend {
        name: "wasm128",
        triple: "wasm32-unknown-unknown",
        // As the download is compiled: what its size asked for once left the sums of the batches in memory.
        flags: &["-Ctarget-feature=+simd128", "-Copt-level=2", wasm::CODE],
        width: "x", // the lanes in f32x4, i16x8: every vector instruction names them
        // The kernels on pairs of byte rows are brief loops there (core/src/distance/brief.rs).
        entries: &[
            ("dot_f32", &[("f32x4.mul", 8), ("f32x4.add", 8)]),
            ("l2_f32", &[("f32x4.sub", 8), ("f32x4.mul", 8), ("f32x4.add", 8)]),
            ("rows_i16_i8", &[("i16x8.extend_low_i8x16_s", 4), ("i16x8.extend_high_i8x16_s", 4), ("i32x4.dot_i16x8_s", 8)]),
            ("rows_i16_u8", &[("i16x8.extend_low_i8x16_u", 4), ("i16x8.extend_high_i8x16_u", 4), ("i32x4.dot_i16x8_s", 8)]),
            ("dots_i16_u4", &[("i16x8.extend_low_i8x16_u", 2), ("i16x8.extend_high_i8x16_u", 2), ("i32x4.dot_i16x8_s", 4)]),
            ("estimate_neighbors", &[("i8x16.swizzle", 2), ("i16x8.add", 4)]),
        ],
    },
];

/// Fused multiply-adds of all these machines.
const FUSED: &[&str] = &["vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "fmla", "fmls", "fmadd", "fmsub", "fnmadd", "relaxed_madd"];

/// Looks at every backend; the error lists what was found wrong.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some(unknown) = args.first() {
        return Err(format!("codegen takes no arguments, found {unknown}"));
    }
    let (mut looked, mut wrong) = (0, Vec::new());
    let mut triples: Vec<&str> = BACKENDS.iter().map(|backend| backend.triple).collect();
    triples.dedup();
    let mut there = Vec::new();
    for triple in triples {
        if installed(triple)? {
            there.push(triple);
        } else {
            println!("NOT LOOKED AT: {triple} (rustup target add {triple})");
        }
    }
    if there.is_empty() {
        return Err("codegen: no target of any backend is installed".into());
    }
    let assemblies = emit(&there)?;
    for backend in BACKENDS {
        let Some((_, assembly)) = assemblies.iter().find(|(triple, _)| triple == backend.triple) else { continue };
        for (entry, needs) in backend.entries {
            looked += 1;
            match function(assembly, backend.name, entry) {
                Some(body) => wrong.extend(faults(backend, entry, needs, &body)),
                None => wrong.push(format!("{} {entry}: not found in the assembly", backend.name)),
            }
        }
    }
    if wrong.is_empty() {
        println!("codegen: {looked} kernels use full-width registers, no calls in loops, no fused multiply-add");
        return Ok(());
    }
    Err(format!("codegen: {} faults in {looked} kernels\n  {}", wrong.len(), wrong.join("\n  ")))
}

/// Whether the standard library for `triple` is there.
fn installed(triple: &str) -> Result<bool, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", triple])
        .output()
        .map_err(|error| format!("rustc cannot be run: {error}"))?;
    Ok(output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
}

/// The assembly of `nearshore-core` for each of `triples`, as the release profile compiles it: one cargo for all, which keeps every
/// core of the machine busy.
fn emit(triples: &[&str]) -> Result<Vec<(String, String)>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in the workspace")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("codegen");
    let target = std::path::absolute(target).map_err(|error| error.to_string())?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--quiet", "--package", "nearshore-core", "--lib", "--release", "--target-dir"]).arg(&target);
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    for triple in triples {
        // What earlier runs left has other names when anything changed, and would be found as well.
        let _ = std::fs::remove_dir_all(target.join(triple));
        let flags: Vec<_> = BACKENDS.iter().filter(|backend| backend.triple == *triple).flat_map(|backend| backend.flags).collect();
        let flags = flags.iter().fold("--emit=asm -Ccodegen-units=1".to_owned(), |all, flag| format!("{all} {flag}"));
        let name = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_"));
        cargo.args(["--target", triple]).env(name, flags);
    }
    let status = cargo.status().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build for {} failed", triples.join(", ")));
    }
    triples.iter().map(|&triple| Ok((triple.to_owned(), assembly(&target.join(triple).join("release/deps"))?))).collect()
}

/// The one assembly of the core in a folder of cargo's.
fn assembly(folder: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("nearshore_core-") && name.ends_with(".s") {
            return std::fs::read_to_string(&path).map_err(wrong);
        }
    }
    Err(format!("{}: no assembly of nearshore-core", folder.display()))
}

/// The instructions and labels of one table entry.
fn function<'a>(assembly: &'a str, backend: &str, entry: &str) -> Option<Vec<&'a str>> {
    let path = format!("8distance5table{}{backend}{}{entry}", backend.len(), entry.len());
    let starts = |line: &str| {
        let Some((_, rest)) = line.split_once(path.as_str()) else { return false };
        // Legacy mangling goes on with a hash, v0 with nothing.
        line.starts_with('_') && line.ends_with(':') && (rest == ":" || rest.starts_with("17h"))
    };
    let body = assembly.lines().skip_while(|line| !starts(line)).skip(1);
    let body: Vec<_> = body
        .map(|line| line.split(['#', ';']).next().unwrap_or_default().trim())
        .take_while(|line| !line.starts_with(".Lfunc_end") && !line.starts_with("end_function"))
        .filter(|line| !line.is_empty() && (!line.starts_with('.') || line.ends_with(':')))
        .collect();
    (!body.is_empty()).then_some(body)
}

/// The innermost loops of a function.
fn loops<'a>(body: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut ranges = Vec::new();
    let mut open = Vec::new();
    for (at, line) in body.iter().enumerate() {
        match mnemonic(line) {
            "loop" => open.push(at), // WebAssembly's loops are written out
            "end_loop" => ranges.extend(open.pop().map(|start| (start, at))),
            name if name.starts_with('j') || name.starts_with('b') || name.starts_with("cb") || name.starts_with("tb") => {
                // Elsewhere a loop is a jump back to a label.
                let label = line.rsplit([' ', '\t', ',']).next().unwrap_or_default();
                let start = body[..at].iter().position(|line| line.strip_suffix(':') == Some(label));
                ranges.extend(start.map(|start| (start, at)));
            }
            _ => {}
        }
    }
    let holds = |outer: &(usize, usize), inner: &(usize, usize)| outer != inner && outer.0 <= inner.0 && inner.1 <= outer.1;
    let innermost = ranges.iter().filter(|outer| !ranges.iter().any(|inner| holds(outer, inner)));
    innermost.map(|&(start, end)| body[start..=end].to_vec()).collect()
}

fn mnemonic(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// What is wrong with one entry.
fn faults(backend: &Backend, entry: &str, needs: &[(&str, usize)], body: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut say = |what: String| faults.push(format!("{} {entry}: {what}", backend.name));
    for line in body.iter().filter(|line| FUSED.iter().any(|fused| mnemonic(line).contains(fused))) {
        say(format!("fused multiply-add: {line}"));
    }
    let count = |lines: &[&str], name: &str| lines.iter().filter(|line| mnemonic(line) == name && line.contains(backend.width)).count();
    let loops = loops(body);
    // The loops that do the work, at any width; each must do it at full width. (Loops over what is left do less of it.)
    let any = |lines: &[&str], name: &str| lines.iter().filter(|line| mnemonic(line) == name).count();
    let works = |lines: &&Vec<&str>| needs.iter().all(|&(name, times)| any(lines, name) >= times);
    let hot: Vec<_> = loops.iter().filter(works).collect();
    if !hot.iter().any(|lines| needs.iter().all(|&(name, times)| count(lines, name) >= times)) {
        let wanted: Vec<_> = needs.iter().map(|(name, times)| format!("{times} {name}")).collect();
        say(format!("no loop with {} on {} registers, in {} loops", wanted.join(", "), backend.width, loops.len()));
    }
    for lines in hot {
        for line in lines {
            let narrow = needs.iter().any(|(name, _)| mnemonic(line) == *name) && !line.contains(backend.width);
            let call = matches!(mnemonic(line), "call" | "callq" | "bl" | "blr" | "call_indirect");
            // A sum that goes to memory and back with each step.
            let stored = mnemonic(line) == "v128.store";
            if narrow || call || stored {
                say(format!("in its loop: {line}"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{BACKENDS, faults, function, loops};

    const GOOD: &str = "_ZN14nearshore_core8distance5table4avx29widen_f1617habcE:
\t.cfi_startproc
\ttestq %rsi, %rsi
.LBB0_1:
\tvcvtph2ps (%rdi), %ymm0
\tvmovups %ymm0, (%rdx)
\tjne .LBB0_1
\tretq
.Lfunc_end0:
\tcall elsewhere
";

    fn judge(assembly: &str) -> Vec<String> {
        let body = function(assembly, "avx2", "widen_f16").expect("the function is there");
        faults(&BACKENDS[0], "widen_f16", &[("vcvtph2ps", 1)], &body)
    }

    #[test]
    fn a_full_width_loop_passes_and_ends_with_its_function() {
        assert_eq!(judge(GOOD), Vec::<String>::new());
        assert!(function(GOOD, "avx2", "dot_f32").is_none());
    }

    #[test]
    fn half_registers_and_calls_in_the_loop_are_faults() {
        assert_eq!(judge(&GOOD.replace("%ymm0", "%xmm0")).len(), 2);
        assert_eq!(judge(&GOOD.replace("vmovups", "call f #")).len(), 1);
        assert_eq!(judge(&GOOD.replace("jne", "ret")).len(), 1, "no loop at all");
    }

    #[test]
    fn a_fused_multiply_add_is_a_fault_anywhere_in_an_f32_kernel() {
        let assembly = GOOD.replace("9widen_f16", "7dot_f32").replace("testq %rsi, %rsi", "vfmadd231ps %ymm0, %ymm1, %ymm2");
        let body = function(&assembly, "avx2", "dot_f32").expect("the function is there");
        assert_eq!(faults(&BACKENDS[0], "dot_f32", &[("vcvtph2ps", 1)], &body).len(), 1);
    }

    #[test]
    fn sums_that_live_in_memory_are_a_fault() {
        let body = |extra: &'static str| ["loop", "i32x4.dot_i16x8_s", extra, "end_loop"];
        let judge = |body: &[&str]| faults(&BACKENDS[3], "rows_i16_i8", &[("i32x4.dot_i16x8_s", 1)], body);
        assert_eq!(judge(&body("i32x4.add")), Vec::<String>::new());
        assert_eq!(judge(&body("v128.store 16")).len(), 1);
    }

    #[test]
    fn only_innermost_loops_count() {
        let nested = ["loop", "loop", "f32x4.mul", "end_loop", "call f", "end_loop"];
        assert_eq!(loops(&nested), [vec!["loop", "f32x4.mul", "end_loop"]]);
    }
}
