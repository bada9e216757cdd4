/**
 * Nearshore: a vector index in one file. Importing this module does nothing; the first index loads the engine.
 *
 * @packageDocumentation
 */
export { Index, LiveIndex, open } from "./shore.js";
export { NearshoreError, type ErrorCode } from "./errors.js";
export { init, type InitOptions, type Wasm } from "./module.js";
export type { OpenSource } from "./sources.js";
export type {
  AddManyOptions, AddOptions, BuildOptions, BuildProgress, ColumnType, ColumnTypes, ColumnValue, ColumnValues, Condition, CreateOptions, Element, Fetch, FileHandleLike, HeadersLike, Hit, Hits, Id, Ids, IndexCache, IndexInfo, IndexStats,
  ManyColumnValues, Metric, OpenOptions, OverOptions, Payload, Persisted, QualityRow, Row, SearchOptions, SearchStats, Source, Vector, Vectors,
} from "./types.js";
