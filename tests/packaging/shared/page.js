// The script of a page: leaves the report, or what went wrong, where the runner looks for it.
import { check } from "./check.js";

export function report(nearshore) {
  globalThis.report = check(nearshore, new URLSearchParams(location.search).get("tiles")).catch((error) => ({ failed: `${error.name}: ${error.message}` }));
}
