// The published types, as a user's compiler sees them.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("what must type-check does, what must not does not", () => {
  const root = join(import.meta.dirname, "..");
  try {
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", join(root, "test/types")], { stdio: "pipe", encoding: "utf8" });
  } catch (error) {
    throw new Error(error.stdout);
  }
});
