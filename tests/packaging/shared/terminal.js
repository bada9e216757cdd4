// The script of a run-time without pages: prints the report.
import { check } from "./check.js";

export const main = async (nearshore) => console.log(JSON.stringify(await check(nearshore, globalThis.process.argv[2])));
