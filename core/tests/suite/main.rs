//! The crate from outside: builds, searches and live indexes against brute force, files against a reader that shares no code. One
//! program, as each would compile the generic half of the crate anew.

mod filtered;
mod filtered_clusters;
mod independent_reader;
mod live;
mod live_files;
mod live_readers;
mod second_opinion;
mod tiles;
mod waiting;
mod waiting_records;
