// Makes dist/: the scripts (the page's side, and what of it few pages need; the engine's side of whole files, of files that are read in parts, and
// of indexes that are kept; conditions as objects; columns; what is read by calls: sources, files, lists of parts), the types, and the compiled engines beside them.
// The scripts are bundled and minified each for itself; `cargo xtask wasm` must have run.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

process.chdir(import.meta.dirname);
const engines = ["nearshore-reader", "nearshore-lazy", "nearshore-filter", "nearshore-columns", "nearshore"].flatMap((name) => [`${name}.wasm`, `${name}-simd.wasm`]);
for (const file of [...engines, "glue.js", "glue-lazy.js"]) {
  if (!existsSync(`wasm/${file}`)) throw new Error(`wasm/${file} is missing: run \`cargo xtask wasm\` first`);
}
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
await build({
  entryPoints: ["src/index.ts", "src/engine.ts", "src/lazy.ts", "src/kept.ts", "src/overlay.ts", "src/shelf.ts", "src/cache.ts", "src/filter.ts", "src/columns.ts", "src/parts.ts", "src/folder.ts"],
  absWorkingDir: import.meta.dirname,
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  // Loaded when needed, as a module or as a worker, so each stays a file of its own.
  external: ["./engine.js", "./lazy.js", "./kept.js", "./overlay.js", "./shelf.js", "./cache.js", "./filter.js", "./columns.js", "./parts.js"],
  logLevel: "warning",
});
// All of them as one script: for service workers, which may import nothing at run time; for workerd, which has no workers, and where engines are
// modules that are imported.
const single = { absWorkingDir: import.meta.dirname, outdir: "dist", bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "warning" };
await build({ ...single, entryPoints: { "service-worker": "src/index.ts" } });
await build({
  ...single,
  entryPoints: { workerd: "src/index.ts" },
  external: ["*.wasm"],
  plugins: [{
    name: "engines",
    setup: ({ onResolve }) => onResolve({ filter: /^\.\/engines\.js$/ }, ({ resolveDir }) => ({ path: join(resolveDir, "engines.workerd.js") })),
  }],
});
// What is imported by an address that is only known then is nothing for other bundlers to look into; comments that say so do not outlive this one.
for (const name of ["index", "lazy", "kept", "service-worker", "workerd"]) {
  const text = readFileSync(`dist/${name}.js`, "utf8");
  const marked = text.replaceAll(/\bimport\((?=`|new URL)/g, "import(/*webpackIgnore:true*/");
  if (marked === text) throw new Error(`dist/${name}.js has no such import`);
  writeFileSync(`dist/${name}.js`, marked);
}
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "--project", "."], { stdio: "inherit" });
for (const file of engines) copyFileSync(`wasm/${file}`, `dist/${file}`);
for (const file of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(`../${file}`, file);
