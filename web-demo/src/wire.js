// The page's own `fetch`: what `open` of the package is given, so that every request can be watched, slowed down and cut.

/**
 * A wire. `tell(request)` is called when a request is sent and again when it has ended; a request is `{ file, offset, bytes, state,
 * received, sent, took }`: the part that was asked for, `state` one of "waiting", "arrived" and "failed", times in milliseconds.
 */
export function createWire(tell) {
  const wire = { latency: 0, cut: false, fetch: send };
  return wire;

  async function send(url, init = {}) {
    const request = { ...partOf(url, init), state: "waiting", received: 0, sent: performance.now(), took: 0 };
    const end = (state) => {
      request.state = state;
      request.took = performance.now() - request.sent;
      tell(request);
    };
    if (wire.cut) throw new TypeError("the offline switch is on");
    tell(request);
    try {
      if (wire.latency > 0) await pause(wire.latency, init.signal);
      const response = await fetch(url, init);
      // Parts are small, and taken whole here, so that the picture shows them once they are there. Anything else goes by as it is.
      if (response.status !== 206) {
        request.received = Number(response.headers.get("content-length"));
        end(response.ok ? "arrived" : "failed");
        return response;
      }
      const body = await response.arrayBuffer();
      request.received = body.byteLength;
      request.body = body;
      end("arrived");
      delete request.body;
      return new Response(body, { status: 206, headers: response.headers });
    } catch (error) {
      end("failed");
      throw error;
    }
  }
}

/** Which bytes of which file are asked for. */
function partOf(url, { headers }) {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(headers).get("range")) ?? [];
  const file = new URL(url, location.href).pathname.split("/").pop();
  return first === undefined ? { file, offset: 0, bytes: Infinity } : { file, offset: Number(first), bytes: Number(last) - Number(first) + 1 };
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}
