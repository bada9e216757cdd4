// The link between page and worker: what cannot be sent fails alone, in either direction, and nobody waits for ever.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { sources } from "./lazy/source.mjs";
import { failure } from "./rows.mjs";

const { connect, init, serveHere } = await sources(".", ["link", "module", "serve"]);

/** A worker in this thread: its scope is `globalThis` while it begins to serve. It answers a call with what it was given. */
class Worker {
  static current;
  posted = 0;
  #serve;
  constructor() {
    Worker.current = this;
    const scope = { name: "nearshore-engine", postMessage: (message, transfer) => {
      const data = structuredClone(message, { transfer });
      queueMicrotask(() => this.onmessage({ data }));
    } };
    Object.assign(globalThis, scope);
    serveHere(() => ({ call: (name, given) => (name === "get" ? () => {} : name === "save" ? Promise.resolve(given ? { f() {} } : new Uint8Array(9)) : given) }));
    this.#serve = globalThis.onmessage;
    this.onbroken = globalThis.onmessageerror;
    for (const name of [...Object.keys(scope), "onmessage", "onmessageerror"]) delete globalThis[name];
    // The scope's own functions stay the worker's.
    this.scope = scope;
  }
  postMessage(message, transfer = []) {
    this.posted++;
    const data = structuredClone(message, { transfer });
    queueMicrotask(() => {
      globalThis.postMessage = this.scope.postMessage;
      this.#serve({ data });
    });
  }
  terminate() {}
}
globalThis.Worker = Worker;
after(() => {
  delete globalThis.Worker;
  delete globalThis.postMessage;
});
await init({ wasm: new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)) });

test("a call that cannot be sent fails alone; those of its turn are answered", async () => {
  const link = await connect("reader", true);
  assert.equal(link.worker, true);
  const before = Worker.current.posted;
  const calls = [link.call("has", 1), link.call("has", () => {}), link.call("has", { f() {} }), link.call("has", 4)];
  assert.deepEqual(await Promise.allSettled(calls).then((all) => all.map(({ value, reason }) => value ?? reason.code)), [1, "invalid-argument", "invalid-argument", 4]);
  await assert.rejects(calls[1], failure("invalid-argument", "what `has` was given", "cannot be sent"));
  assert.equal(Worker.current.posted - before, 5, "together, then each");
});

test("a signal that is none is refused, over the link too", async () => {
  const link = await connect("reader", true);
  await assert.rejects(link.call("has", 1, { signal: {} }), failure("invalid-argument", "signal is of type Object"));
  assert.equal(await link.call("has", 3), 3);
});

test("memory that is another's by now, and too much of it", async () => {
  const link = await connect("reader", true);
  const chunk = new Uint8Array(8);
  const twice = () => link.call("write", chunk, { transfer: [chunk.buffer] });
  const [one, two] = [twice(), twice()];
  await assert.rejects(two, failure("invalid-argument", "`write`"));
  assert.equal((await one).length, 8);
  await assert.rejects(twice(), failure("invalid-argument", "`write`"));
  const { postMessage } = Worker.current;
  Worker.current.postMessage = () => { throw new DOMException("Data cannot be cloned, out of memory.", "DataCloneError"); };
  await assert.rejects(link.call("add", 1), failure("quota", "`add`", "memory"));
  Worker.current.postMessage = postMessage;
  assert.equal(await link.call("has", 3), 3);
});

test("an answer that cannot be sent fails its call alone, whether it came at once or later", async () => {
  const link = await connect("reader", true);
  const calls = [link.call("has", 1), link.call("get", 1), link.call("save", true), link.call("save", false)];
  await assert.rejects(calls[1], failure("quota", "could not be cloned"));
  await assert.rejects(calls[2], failure("quota", "could not be cloned"));
  assert.deepEqual([await calls[0], (await calls[3]).length], [1, 9]);
});

test("a message that the worker cannot read ends it, and with it all that wait", async () => {
  const link = await connect("reader", true);
  const waits = link.call("has", 1);
  assert.throws(Worker.current.onbroken, /could not be read/);
  Worker.current.onerror({ message: "a message could not be read" });
  await assert.rejects(waits, failure("trapped", "could not be read"));
  await assert.rejects(link.call("has", 1), failure("trapped"));
});
