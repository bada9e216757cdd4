import { writeFileSync } from "node:fs";
import webpack from "webpack";

const folder = `${import.meta.dirname}/dist`;
await new Promise((resolve, reject) => {
  webpack({
    mode: "production",
    context: import.meta.dirname,
    entry: "./main.js",
    output: { path: folder, filename: "main.js", publicPath: "auto" },
    performance: { maxAssetSize: 400 * 1024 }, // it warns of engines that no page may ever load
  }, (error, stats) => {
    if (error || stats.hasErrors() || stats.hasWarnings()) reject(error ?? new Error(stats.toString({ all: false, errors: true, warnings: true })));
    else resolve();
  });
});
writeFileSync(`${folder}/index.html`, '<!doctype html><meta charset="utf-8"><title>nearshore with webpack</title><script src="./main.js" defer></script>\n');
