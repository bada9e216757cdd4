// Digests of what came.
import { NearshoreError, shown } from "../errors.js";

/** Compares what came, of which `digest` tells, with what the caller says it is. */
export async function demand(integrity: string, digest: () => Promise<Uint8Array>, Failure: typeof NearshoreError): Promise<void> {
  const wanted = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(integrity)?.[1];
  if (!wanted) throw new Failure("invalid-argument", `integrity is ${shown(integrity)}, expected "sha256-" and 44 characters of base64`);
  if (!globalThis.crypto?.subtle) throw new Failure("unsupported", "integrity needs a secure context (https, or localhost)");
  const found = btoa(String.fromCharCode(...(await digest())));
  if (found !== wanted) throw new Failure("corrupt", `the file's digest is sha256-${found}, expected ${integrity}`);
}

export async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!globalThis.crypto?.subtle) throw new NearshoreError("unsupported", "a file in parts needs a secure context (https, or localhost)");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
