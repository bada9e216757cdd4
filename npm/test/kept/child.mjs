// Changes a kept index until it is killed, and says what was acknowledged: "+id" or "-id", one a line.
import { Index } from "nearshore";
import { rows, vector } from "../rows.mjs";

const [folder, from] = [process.argv[2], Number(process.argv[3])];
const DIMENSIONS = 8;
const vectors = rows(4000, DIMENSIONS);
const live = await Index.create({ dimensions: DIMENSIONS, persist: folder, columns: { n: "i64", tag: "string" } });
for (let id = from; ; id++) {
  await live.add(id, vector(vectors, DIMENSIONS, id % 4000), { payload: `row ${id}`, columns: { n: id, tag: id % 2 ? `t${id % 3}` : null } });
  process.stdout.write(`+${id}\n`);
  if (id % 3 === 0) {
    await live.delete(id - 1);
    process.stdout.write(`-${id - 1}\n`);
  }
  if (id % 50 === 0) await live.compact();
}
