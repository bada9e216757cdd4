//! The C interface of nearshore, as `native/include/nearshore.h` describes it for those who call it.
//!
//! A call passes three rooms: [`abi`] turns pointers into slices, sets the floating-point modes and catches panics;
//! `build` and `search` do what was asked with the `nearshore` crate, in safe code; `failure` says what went wrong, in a
//! number and a sentence. Errors go to memory of the caller: state of a thread would be lost on whoever changes threads
//! between two calls, as many languages' run-times do.

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "pointers of a C caller")]
pub mod abi;
mod build;
mod failure;
mod search;

pub use search::Index;

use std::num::NonZero;
use std::sync::OnceLock;

use failure::Failure;
use nearshore::search::Layout;

/// The most threads of a call.
const THREADS_MAX: u32 = 1024;

/// Asked once: the system reads files of its own for an answer.
static CORES: OnceLock<usize> = OnceLock::new();

/// A number of threads as options give it: 0 is one for each core that this process may use.
fn threads(asked: u32) -> Result<usize, Failure> {
    match asked {
        0 => Ok(*CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))),
        1..=THREADS_MAX => Ok(asked as usize),
        _ => Err(Failure::argument(format!("options: {asked} threads; at most {THREADS_MAX} would be right"))),
    }
}

/// A layout by its number in the header.
fn layout(number: i32) -> Result<Layout, Failure> {
    match number {
        0 => Ok(Layout::Lean),
        1 => Ok(Layout::Fast),
        _ => Err(Failure::argument(format!("options: {number} is no layout"))),
    }
}

/// Fields for what later versions add: a caller who sets one expects what this version does not do.
fn reserved(fields: &[u32]) -> Result<(), Failure> {
    if fields.iter().all(|&field| field == 0) {
        return Ok(());
    }
    Err(Failure::argument("options: a reserved field is not 0; start from all zero".to_owned()))
}
