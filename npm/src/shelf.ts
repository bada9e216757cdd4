// The cache of files in parts where there are no synchronous handles. Loaded only there.
export { diskOf, load, save } from "./lazy/database.js";
