// Compiled, never run: a project whose settings ask for nothing beyond its target, and which checks what it imports as well.
import { Index } from "nearshore";
import { open } from "nearshore/service-worker";

type Doc = { title: string };

export async function keeps(doc: Doc): Promise<string | undefined> {
  const index = await Index.create({ dimensions: 2, metric: "cosine" });
  await index.add(1, [1, 0], { payload: doc });
  const [hit] = await index.search([1, 0], { k: 1 });
  return hit?.text();
}

export const near = async (address: string): Promise<number> => (await (await open(address, { mode: "lazy" })).search([1, 0])).length;

/** As browsers have it. */
export const mine = (address: string): ReturnType<typeof open> =>
  open(address, { fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, { ...init, credentials: "include" }), headers: new Headers() });
export const plain = (address: string): ReturnType<typeof open> => open(address, { fetch, headers: [["x-key", "1"]], cache: "memory" });
