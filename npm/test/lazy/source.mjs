// Parts of the package that are not public, compiled for a test.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

/** All that `src/lazy/` exports, as one module. */
export const lazySources = () => sources("lazy", ["ranges", "wait", "http", "reader", "store", "blocks", "loop", "header", "disk", "file"]);

/** All that these files of a folder of `src/` export, as one module. */
export async function sources(of, names) {
  const folder = mkdtempSync(join(tmpdir(), "nearshore-src-"));
  try {
    const outfile = join(folder, "sources.mjs");
    await build({
      stdin: { contents: names.map((name) => `export * from "./src/${of}/${name}.ts";`).join("\n"), resolveDir: join(import.meta.dirname, "../.."), loader: "ts" },
      bundle: true, format: "esm", target: "es2022", outfile, logLevel: "warning",
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
