// The published types, as a user's compiler sees them.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

function compile(project) {
  const root = join(import.meta.dirname, "..");
  try {
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", join(root, "test", project)], { stdio: "pipe", encoding: "utf8" });
  } catch (error) {
    throw new Error(error.stdout);
  }
}

test("what must type-check does, what must not does not", () => compile("types"));

test("a project of usual settings compiles, the package's own types included", () => compile("types-usual"));

test("so do projects without a browser's names: with Node's, and with none", () => ["types-node", "types-bare"].forEach(compile));
