// An index over a base: what was added, changed or deleted lies here, the rest stays where it is. Loaded only by pages that make one.
//
// It is a link like that to an engine, so the index that users hold knows nothing of it: each call goes to the base, to the local index, or
// to both, and what both found is merged. The base is never changed.
import { decodeHits } from "./hits.js";
import type { NearshoreError } from "./errors.js";
import type { CallOptions, Link } from "./link.js";
import type { CallName, CreateCall, Described, Form, Given, Returned, SearchCall } from "./protocol.js";
import { encodeAnswers, merged, type Answer } from "./overlay/merge.js";
import { schemaOf } from "./schema.js";
import type { IndexInfo } from "./types.js";

/** The base, as far as it is needed. */
export interface Base {
  readonly info: IndexInfo;
  call<K extends CallName>(name: K, given: Given<K>, options?: CallOptions): Promise<Returned<K>>;
}

/** Plans that the local index does not have, and options that it is not asked: as it says itself. */
const ABSENT = 255;
const PLAN_TILES = 2;
/** Hits wanted beyond `k` at first, at least, where any may be hidden. */
const MARGIN = 4;

type Handlers = { [K in CallName]?: (given: Given<K>, options?: CallOptions) => Promise<Returned<K>> };

/** Makes an error of the class that the page knows. */
type Fail = (message: string) => NearshoreError;

/** What goes over a base must be like it. */
export function demandLike(call: CreateCall, base: Base, invalid: Fail): void {
  const info = base.info;
  for (const name of ["dimensions", "metric"] as const) if (call[name] !== info[name]) throw invalid(`${name} is ${JSON.stringify(call[name])}, and ${JSON.stringify(info[name])} in the base`);
  // The columns of a base may not be known.
  for (const [name, type] of schemaOf((info.columns && call.columns) ?? "")) {
    const there = Object.hasOwn(info.columns!, name) ? info.columns![name] : "not there";
    if (type !== there) throw invalid(`column ${name} is ${type}, and ${there} in the base`);
  }
}

/** Puts `local` over `base`. */
export async function over(base: Base, local: Link, unsupported: Fail): Promise<{ link: Link; described: Described }> {
  const lazy = base.info.mode === "lazy";
  /** Which of these the base has. One that is read in parts cannot tell. */
  const inBase = async (ids: BigUint64Array): Promise<BigUint64Array> => {
    const has = await Promise.all(Array.from(ids, (id) => base.call("has", id)));
    return ids.filter((_, at) => has[at]);
  };
  if (!lazy) await local.call("cover", await inBase(await local.call("hidden", null)));

  let described: Described;
  const describe = async (): Promise<Described> => {
    const { rows, payload, kept, over, columns } = await local.call("describe", null);
    const { worker: _, meta, columns: __, ...info } = base.info;
    return (described = { ...info, columns, rows: info.rows - over!.covered + rows, payload: info.payload || payload, kept, over: over!, meta: JSON.stringify(meta) });
  };
  // Changes look into the base first; what is asked after them waits for that.
  let changes: Promise<unknown> = Promise.resolve();
  const after = <T>(work: () => Promise<T>): Promise<T> => {
    const done = changes.then(work);
    changes = done.catch(() => {});
    return done;
  };
  /** Asks the local index, and the base where nothing here hides its row. */
  const either = async <T>(id: bigint, here: Promise<T>, there: () => Promise<T>, none: T): Promise<T> => {
    const [found, hides] = await Promise.all([here, local.call("hides", BigUint64Array.of(id))]);
    return found || hides[0] === 1 ? found || none : there();
  };

  const handlers: Handlers = {
    describe: () => after(describe),
    add: (call) => after(async () => local.call("add", { ...call, taken: lazy ? (call.replace ? call.ids : NO_IDS) : await inBase(call.ids) })),
    delete: (id) => after(async () => local.call("mask", { id, inBase: lazy || (await base.call("has", id)) })),
    clear: () => after(() => local.call("clear", null)),
    compact: () => after(() => local.call("compact", null)),
    has: (id) => changes.then(() => either(id, local.call("has", id), () => base.call("has", id), false)),
    get: (id) => changes.then(() => either(id, local.call("get", id), () => base.call("get", id), null)),
    search: (call, options) => changes.then(() => search(base, local, described.over!.hidden, call, options)),
    verify: () => base.call("verify", null),
    prefetch: () => base.call("prefetch", null),
    kept: (what) => base.call("kept", what),
    async memory() {
      const [here, there] = await Promise.all([local.call("memory", null), base.call("memory", null)]);
      return { ...there, memoryBytes: here.memoryBytes + there.memoryBytes };
    },
    async save() {
      throw unsupported("an index over a base is no single file: the base is one, and what is over it is kept with `persist`");
    },
  };
  const link: Link = {
    worker: local.worker,
    call: (name, given, options) => (handlers[name] ? handlers[name]!(given as never, options) as never : local.call(name, given, options)),
    end: (reason) => local.end(reason),
  };
  return { link, described: await describe() };
}

const NO_IDS = new BigUint64Array(0);

/**
 * Searches both. The base is asked for more hits than are wanted, as some of them are hidden; again for twice as many, where too many were.
 * What is hidden is asked together with the local search, so that both are of one moment.
 */
async function search(base: Base, local: Link, hidden: number, call: SearchCall, options?: CallOptions): Promise<ArrayBuffer> {
  const start = performance.now();
  const { k, count, budget } = call;
  const each = call.data.length / count;
  const here = { ...call, plan: call.plan === PLAN_TILES ? ABSENT : call.plan, refine: ABSENT, rerank: 0, budget: undefined };
  const answers: (Answer | undefined)[] = Array.from({ length: count });
  let open = Array.from({ length: count }, (_, query) => query);
  const rows = Math.max(base.info.rows, 1);
  let want = Math.min(k + Math.min(hidden, MARGIN + Math.ceil((2 * k * hidden) / rows)), Math.max(rows, k));
  while (open.length > 0) {
    const data = open.length === count ? call.data : gather(call.data, open, each);
    const left = budget && open.reduce((left, query) => lessened(left, answers[query]), { ...budget, ...(budget.ms !== undefined && { ms: Math.max(budget.ms - (performance.now() - start), 0) }) });
    const there = decodeHits(await base.call("search", { ...call, data, count: open.length, k: want, budget: left }, options).catch(inTheBase), open.length, 0);
    const ids = BigUint64Array.from(there.flatMap((hits) => hits.map(({ id }) => BigInt(id))));
    const [found, hides] = await Promise.all([local.call("search", { ...here, data, count: open.length }, options), local.call("hides", ids)]);
    const near = decodeHits(found, open.length, 0);
    let at = 0;
    open = open.filter((query, i) => {
      const all = there[i]!;
      const visible = all.filter(() => hides[at++] === 0);
      const before = answers[query];
      const answer = merged(k, visible, near[i]!, all.stats, before);
      // A search that a budget cut knows less than the one before it.
      answers[query] = before && !all.stats.complete ? { ...before, stats: { ...answer.stats, complete: false } } : answer;
      const last = all.at(-1)?.distance ?? Infinity;
      const full = visible.length >= k || (answer.hits.length >= k && answer.hits[k - 1]!.distance < last);
      return !full && all.length >= want && want < rows && all.stats.complete;
    });
    want = Math.min(want * 2, rows);
  }
  return encodeAnswers(answers as Answer[]);
}

/** Throws the same error, which says whose it is. */
function inTheBase(thrown: NearshoreError): never {
  const { name, code, message, cause } = thrown;
  if (name !== "NearshoreError" || code === "aborted") throw thrown;
  throw new (thrown.constructor as typeof NearshoreError)(code, `in the base: ${message}`, { cause });
}

/** What is left of a budget behind what a query has taken. */
function lessened<T extends NonNullable<SearchCall["budget"]>>(budget: T, taken: Answer | undefined): T {
  const left = { ...budget };
  if (taken && left.bytes !== undefined) left.bytes = Math.max(left.bytes - taken.stats.bytes, 0);
  if (taken && left.rounds !== undefined) left.rounds = Math.max(left.rounds - taken.stats.rounds, 0);
  return left;
}

/** The vectors of these queries. */
function gather(data: Form, queries: readonly number[], each: number): Form {
  const some = new (data.constructor as Float32ArrayConstructor)(queries.length * each);
  queries.forEach((query, i) => some.set(data.subarray(query * each, (query + 1) * each), i * each));
  return some;
}
