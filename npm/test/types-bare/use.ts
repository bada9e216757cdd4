// Compiled, never run: a project whose settings know of no platform, neither a browser nor Node, and which checks what it imports as well.
import { Index, NearshoreError, open, type Fetch, type Source } from "nearshore";

const source: Source = { read: async (_, length) => new Uint8Array(length), size: async () => 0 };
const send: Fetch = async (address, init) => {
  if (init?.cache !== "no-store") throw new Error(String(address));
  return {};
};

export async function finds(): Promise<(number | bigint)[]> {
  const index = await open(source, { mode: "lazy", fetch: send, headers: { "x-key": "1" } });
  const live = await Index.create({ base: index });
  await live.add(1, [1, 2]).catch((thrown: unknown) => thrown instanceof NearshoreError && thrown.code);
  return (await live.search([1, 2], { k: 3 })).map(({ id }) => id);
}
