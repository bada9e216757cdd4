//! What users meet, from outside: the real binary and the real server. One program, as each would link the whole library anew.

#[cfg(target_os = "linux")]
mod billion;
#[cfg(feature = "server")]
mod columns;
mod commands;
mod concurrent;
#[cfg(feature = "server")]
mod connections;
mod export;
mod failures;
mod filters;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(unix)]
mod partitioned;
mod segments;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod serving_doc;
#[cfg(feature = "server")]
mod static_files;
mod support;
#[cfg(target_os = "linux")]
mod terminal;
mod tier;
mod tune;
