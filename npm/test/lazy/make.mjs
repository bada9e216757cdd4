// Makes tiles.shore, the file in tiles of these tests: node npm/test/lazy/make.mjs target/debug/nearshore
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Index } from "nearshore";
import { rows } from "../rows.mjs";

const [command] = process.argv.slice(2);
const ids = Array.from({ length: 2000 }, (_, row) => row * 3 + 1);
const payloads = ids.map((id) => (id % 2 === 0 ? null : { id, text: "x".repeat(id % 50) }));
const built = await Index.build(ids, rows(2000, 24, 9), { dimensions: 24, metric: "cosine", payloads });
const here = (name) => join(import.meta.dirname, name);
writeFileSync(here("built.shore"), await built.save());
try {
  execFileSync(command, ["export", here("built.shore"), "-o", here("tiles.shore"), "--for", "web", "--tile-rows", "24", "--force", "--quiet"], { stdio: "inherit" });
} finally {
  rmSync(here("built.shore"));
}
