// The worker's side of the link: takes batches of requests, answers in batches.
import type { Engine } from "./instance.js";
import { NearshoreError, sentence } from "./errors.js";
import { WORKER_NAME, type Reply, type Report, type Request } from "./protocol.js";

/** A batch of replies is sent when the work is done, or after this long. */
const FLUSH_MS = 4;
/** Reports of a build are sent at most this often. */
const REPORT_MS = 50;

/** Serves, if this is a worker of ours. */
export function serveHere(make: (module: WebAssembly.Module) => Engine): void {
  const scope = globalThis as { name?: unknown; document?: unknown; postMessage?: unknown };
  if (scope.name === WORKER_NAME && scope.document === undefined && typeof scope.postMessage === "function") serve(make);
}

/** Serves messages until the worker is ended. The first message is the compiled module. */
function serve(make: (module: WebAssembly.Module) => Engine): void {
  const scope = globalThis as unknown as { onmessage: ((event: MessageEvent) => void) | null; onmessageerror: (() => void) | null; postMessage(message: unknown, transfer?: Transferable[]): void };
  let engine: Engine | undefined;
  /** Calls under way that can be stopped. */
  const stops = new Map<number, AbortController>();
  let replies: Reply[] = [];

  /** Sends replies; one that cannot be sent is a failure of its call alone. */
  const post = (batch: Reply[]): void => {
    try {
      scope.postMessage(batch, batch.flatMap(([, kind, value]) => (kind === "done" && value instanceof Uint8Array ? [value.buffer] : [])));
    } catch (thrown) {
      if (batch.length > 1) return batch.forEach((one) => post([one]));
      // Answers are plain data: what keeps one from being sent is its size.
      scope.postMessage([failure(batch[0]![0], new NearshoreError("quota", sentence(thrown)))]);
    }
  };
  const flush = (): void => {
    if (replies.length > 0) post(replies);
    replies = [];
  };
  const done = (number: number, value: unknown): void => void replies.push([number, "done", value]);
  const failed = (number: number, thrown: unknown): void => void replies.push(failure(number, thrown));

  const reporter = (number: number): Report => {
    let last = 0;
    return (stage, done, total) => {
      const now = performance.now();
      if (now - last > REPORT_MS || done === total) {
        last = now;
        scope.postMessage([[number, "report", [stage, done, total]]] satisfies Reply[]);
      }
      return true;
    };
  };

  // Nobody could be told which call it was: the page learns of it as of anything else that ends a worker.
  scope.onmessageerror = () => {
    throw new Error("a message could not be read");
  };
  scope.onmessage = ({ data }: MessageEvent<WebAssembly.Module | Request[]>) => {
    if (!Array.isArray(data)) {
      try {
        engine = make(data);
        done(0, null);
      } catch (thrown) {
        failed(0, thrown);
      }
      return flush();
    }
    let since = performance.now();
    for (const [number, name, given, reports] of data) {
      try {
        if (name === "stop") {
          stops.get(number)?.abort();
          continue;
        }
        const control = new AbortController();
        const value = engine!.call(name, given as never, reports ? reporter(number) : undefined, control.signal) as unknown;
        if (value instanceof Promise) {
          stops.set(number, control);
          value.then((value) => done(number, value), (thrown) => failed(number, thrown)).then(() => {
            stops.delete(number);
            flush();
          });
        } else done(number, value);
      } catch (thrown) {
        failed(number, thrown);
      }
      if (data.length > 1 && performance.now() - since > FLUSH_MS) {
        flush();
        since = performance.now();
      }
    }
    flush();
  };
}

const failure = (number: number, thrown: unknown): Reply => [number, "failed", { code: thrown instanceof NearshoreError ? thrown.code : "trapped", message: sentence(thrown) }];
