// What deployment tools for workerd do: one script, and the engines that it imports beside it, compiled when it is deployed.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = import.meta.dirname;
mkdirSync(`${here}/dist`, { recursive: true });
await build({
  entryPoints: [`${here}/main.js`], outfile: `${here}/dist/main.js`,
  bundle: true, format: "esm", target: "es2022", conditions: ["workerd", "worker", "browser"], external: ["*.wasm"], logLevel: "warning",
});
const engines = ["nearshore-simd.wasm", "nearshore-lazy-simd.wasm", "nearshore-filter-simd.wasm", "nearshore-columns-simd.wasm"];
for (const file of engines) copyFileSync(`${here}/node_modules/nearshore/dist/${file}`, `${here}/dist/${file}`);
writeFileSync(`${here}/dist/config.capnp`, `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [
        (name = "main.js", esModule = embed "main.js"),
${engines.map((file) => `        (name = "${file}", wasm = embed "${file}"),`).join("\n")}
      ],
      compatibilityDate = "2024-11-11",
    )),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`);
