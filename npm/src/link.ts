// The link between an index and its engine: direct, or through a worker. Both make the same calls and fail with the same errors.
import { NearshoreError, aborted, sentence, throwIfAborted, type ErrorCode } from "./errors.js";
import type { Engine as Instance } from "./instance.js";
import { engineModule } from "./module.js";
import { inPage } from "./platform.js";
import { WORKER_NAME, type CallName, type Given, type Kind, type Reply, type Report, type Request, type Returned } from "./protocol.js";
import { loaded } from "./scripts.js";

/** What can be said along with a call. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  report?: Report | undefined;
  transfer?: ArrayBuffer[];
}

/** One engine, wherever it runs. */
export interface Link {
  readonly worker: boolean;
  call<K extends CallName>(name: K, given: Given<K>, options?: CallOptions): Promise<Returned<K>>;
  /** Ends the engine; calls under way fail with `reason`. */
  end(reason: NearshoreError): void;
}

/** Makes an engine: in a worker if wanted and possible, else here. */
export async function connect(kind: Kind, worker: boolean | undefined): Promise<Link> {
  const module = engineModule(kind);
  if (worker ?? inPage()) {
    const remote = await connectWorker(module, kind);
    if (remote) return remote;
  }
  return connectInline(await module, kind);
}

async function connectInline(module: WebAssembly.Module, kind: Kind): Promise<Link> {
  const { Engine } = await loaded<{ Engine: new (module: WebAssembly.Module) => Instance }>(kind === "lazy" ? import("./lazy.js") : kind.startsWith("kept") ? import("./kept.js") : import("./engine.js"));
  let engine: Instance | undefined;
  try {
    engine = new Engine(module);
  } catch (thrown) {
    throw new NearshoreError("quota", `no engine can be made here (${sentence(thrown)})`, { cause: thrown });
  }
  let ended: NearshoreError | undefined;
  return {
    worker: false,
    async call(name, given, { signal, report } = {}) {
      throwIfAborted(signal);
      if (!engine) throw ended;
      let stopped: NearshoreError | undefined;
      try {
        return await engine.call(name, given, report && ((...at) => !(stopped ??= told(report, at)) && !signal?.aborted), signal);
      } catch (thrown) {
        throw ended ?? ours(thrown);
      } finally {
        if (stopped) throw stopped;
      }
    },
    end(reason) {
      ended = reason;
      engine?.close();
      engine = undefined;
    },
  };
}

/** Tells of progress; what ends the call for it. */
function told(report: Report, at: Parameters<Report>): NearshoreError | undefined {
  try {
    return report(...at) ? undefined : new NearshoreError("aborted", "onProgress returned false");
  } catch (cause) {
    return new NearshoreError("aborted", `onProgress threw: ${sentence(cause)}`, { cause });
  }
}

/** The engine's script has a class of errors of its own; users test for the one that they can import. */
function ours(thrown: unknown): unknown {
  const { name, code, message, cause } = thrown as NearshoreError;
  return name === "NearshoreError" ? new NearshoreError(code, message, cause === undefined ? {} : { cause }) : thrown;
}

/** A request on its way to the worker, and what moves there with it. */
interface Outgoing {
  request: Request;
  transfer: Transferable[];
}

/** A call that waits for its reply. */
interface Waiting {
  resolve(value: unknown): void;
  reject(error: NearshoreError): void;
  report: Report | undefined;
}

/** Undefined where no worker can be had: none in this platform, a policy forbids it, its script was not found. */
async function connectWorker(module: Promise<WebAssembly.Module>, kind: Kind): Promise<Link | undefined> {
  let worker: Worker;
  try {
    // Written out, so that bundlers find all scripts.
    if (kind === "lazy") worker = new Worker(new URL("./lazy.js", import.meta.url), { type: "module", name: WORKER_NAME });
    else if (kind.startsWith("kept")) worker = new Worker(new URL("./kept.js", import.meta.url), { type: "module", name: WORKER_NAME });
    else worker = new Worker(new URL("./engine.js", import.meta.url), { type: "module", name: WORKER_NAME });
  } catch {
    return undefined;
  }
  const waiting = new Map<number, Waiting>();
  let numbers = 0;
  let ended: NearshoreError | undefined;
  const queue: Outgoing[] = [];

  const end = (reason: NearshoreError): void => {
    ended ??= reason;
    worker.terminate();
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  const stopped = (what: string): void => end(new NearshoreError("trapped", `the worker of this index stopped (${what}); open the index again`));
  worker.onmessage = ({ data }: MessageEvent<Reply[]>) => {
    for (const [number, kind, value] of data) {
      const call = waiting.get(number);
      if (kind === "report") {
        const stopped = call?.report && told(call.report, value);
        if (stopped) call.reject(stopped); // who asked for reports then ends the engine
      } else {
        waiting.delete(number);
        if (kind === "done") call?.resolve(value);
        else call?.reject(new NearshoreError(value.code as ErrorCode, value.message));
      }
    }
  };
  worker.onmessageerror = () => stopped("a message could not be read");

  // The first reply says that the worker's script was found and the engine runs in it.
  const ready = new Promise<boolean>((resolve, reject) => {
    waiting.set(0, { resolve: () => resolve(true), reject, report: undefined });
    worker.onerror = (event) => {
      event.preventDefault();
      resolve(false);
    };
  });
  try {
    const compiled = await module;
    try {
      worker.postMessage(compiled);
    } catch {
      worker.terminate();
      return undefined; // this platform's workers take no compiled module
    }
    if (!(await ready)) {
      worker.terminate();
      return undefined;
    }
  } catch (thrown) {
    worker.terminate();
    throw thrown;
  }
  worker.onerror = (event) => stopped(event.message || "no reason given");

  // Calls made in one turn travel in one message; one that cannot be sent fails alone.
  const post = (batch: readonly Outgoing[]): void => {
    if (ended) return;
    try {
      worker.postMessage(batch.map(({ request }) => request), batch.flatMap(({ transfer }) => transfer));
    } catch (thrown) {
      if (batch.length > 1) return batch.forEach((one) => post([one]));
      const [number, name] = batch[0]!.request;
      const call = waiting.get(number);
      waiting.delete(number);
      const why = sentence(thrown);
      call?.reject(new NearshoreError(/memory/.test(why) ? "quota" : "invalid-argument", `what \`${name}\` was given cannot be sent to the worker (${why})`));
    }
  };
  const flush = (): void => {
    post(queue.splice(0));
  };
  const send = (request: Request, transfer: Transferable[] = []): void => {
    if (queue.push({ request, transfer }) === 1) queueMicrotask(flush);
  };
  return {
    worker: true,
    call<K extends CallName>(name: K, given: Given<K>, { signal, report, transfer }: CallOptions = {}) {
      const number = ++numbers;
      let stop: (() => void) | undefined;
      return new Promise<Returned<K>>((resolve, reject) => {
        throwIfAborted(signal);
        if (ended) return reject(ended);
        stop = (): void => {
          waiting.delete(number);
          reject(aborted(signal));
          send([number, "stop", null, false]);
        };
        signal?.addEventListener("abort", stop);
        waiting.set(number, { resolve: resolve as (value: unknown) => void, reject, report });
        send([number, name, given, report !== undefined], transfer);
      }).finally(() => stop && signal?.removeEventListener("abort", stop));
    },
    end,
  };
}
