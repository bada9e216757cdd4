// esbuild leaves `new URL("./file", import.meta.url)` as it is, so what it points to is copied next to the bundle.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = import.meta.dirname;
mkdirSync(`${here}/dist`, { recursive: true });
await build({ entryPoints: [`${here}/main.js`], outfile: `${here}/dist/main.js`, bundle: true, format: "esm", target: "es2022", logLevel: "warning" });
const engines = ["nearshore-reader", "nearshore-lazy", "nearshore-filter", "nearshore-columns", "nearshore"].flatMap((name) => [name, `${name}-simd`]);
for (const file of ["engine.js", "lazy.js", "kept.js", ...engines.map((name) => `${name}.wasm`)]) {
  copyFileSync(`${here}/node_modules/nearshore/dist/${file}`, `${here}/dist/${file}`);
}
writeFileSync(`${here}/dist/index.html`, '<!doctype html><meta charset="utf-8"><title>nearshore with esbuild</title><script type="module" src="./main.js"></script>\n');
