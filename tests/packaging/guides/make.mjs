// Makes articles.web.shore, the file that the guides' examples search: node tests/packaging/guides/make.mjs target/debug/nearshore
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Index } from "../../../npm/dist/index.js";
import "./prelude.js";

const [command] = process.argv.slice(2);
const subjects = ["bread", "bicycles", "tides", "the sea", "gardens", "lighthouses", "old maps", "birds", "rivers", "knives", "rain", "snow", "stone walls", "trains", "wool"];
const views = ["in winter", "for beginners", "at night", "without tools", "in the city", "on an island", "and their names", "in a hundred pictures", "long ago", "by hand", "for children", "from above", "in songs", "after the storm", "day by day", "from memory"];
const titles = subjects.flatMap((subject) => views.map((view) => `${subject} ${view}`));
const built = await Index.build(null, titles.map(embed), { dimensions: 384, metric: "cosine", originals: "drop", payloads: titles });
const here = (name) => join(import.meta.dirname, name);
writeFileSync(here("built.shore"), await built.save());
try {
  execFileSync(command, ["export", here("built.shore"), "-o", here("articles.web.shore"), "--for", "web", "--tile-rows", "16", "--force", "--quiet"], { stdio: "inherit" });
} finally {
  rmSync(here("built.shore"));
}
