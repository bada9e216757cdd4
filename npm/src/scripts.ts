// The package's other scripts, imported when they are first needed.
import { NearshoreError, sentence } from "./errors.js";

let failed = 0;

/** What an import gives; its failure as an error of ours. The next call tries again. */
export async function loaded<T>(imported: Promise<T>): Promise<T> {
  try {
    return await imported;
  } catch (thrown) {
    const why = sentence(thrown);
    try {
      // Browsers remember by its address that an import failed, and say which: it may be had by another. Only what lies beside this script is ours.
      const where = /http\S+\.js$/.exec(why)![0];
      if (where.startsWith(new URL(".", import.meta.url).href)) return (await import(`${where}?${failed}`)) as T;
      throw thrown;
    } catch {
      failed++;
      throw new NearshoreError("network", `a script of the package cannot be imported (${why}): they lie beside each other; service workers have "nearshore/service-worker"`, { cause: thrown });
    }
  }
}
