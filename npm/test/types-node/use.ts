// Compiled, never run: a project of Node alone, which checks what it imports as well.
import { open as openFile } from "node:fs/promises";
import { open, type OpenOptions } from "nearshore";

const options: OpenOptions = { fetch, headers: new Headers({ "x-key": "1" }), signal: AbortSignal.timeout(1000) };
options.fetch = (address, init) => fetch(address, { ...init, redirect: "error" });

export const both = async (): Promise<string[]> => {
  const [one, two] = [await open(await openFile("x.shore")), await open(new URL("https://files.example/x.shore"), options)];
  return [await one.search([1, 2]), await two.search([1, 2])].map((hits) => hits[0]?.text() ?? "");
};
