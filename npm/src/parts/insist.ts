// Asks for a whole file again, where the first request failed.
import { exchange, patiently, type HttpOptions } from "../lazy/http.js";
import type { Fetch } from "../types.js";
import { known, type Failure } from "./open.js";

/**
 * An answer that is none of a busy host, of which `first` is the first attempt. The body is still to come, unless it is that of a first answer, which nobody wants.
 *
 * @throws `network` once every attempt has failed
 */
export function insist(first: Promise<Response> | undefined, url: URL, options: HttpOptions & { signal?: AbortSignal | undefined }, Failure: Failure): Promise<Response> {
  const { fetch: send = fetch, headers, signal } = options;
  first?.then(({ body }) => body?.cancel()).catch(() => {});
  const next: Fetch = (...asked) => {
    const was = first;
    first = undefined;
    return was ?? send(...asked);
  };
  const once = (): Promise<Response> => exchange(`GET ${url.href}`, url, headers && { headers }, { ...options, fetch: next }, signal, async (response) => response, true);
  return patiently(once, options, signal).catch((thrown: unknown) => known(thrown, Failure));
}
