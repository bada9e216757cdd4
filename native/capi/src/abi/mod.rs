//! The functions and structures of `nearshore.h`, which documents them, and the only place of this crate with `unsafe`.
//!
//! What all functions ask of a caller, and what every `SAFETY` below relies on, is what the header says: a pointer is null or
//! points to as many values as are said there, valid for the whole call; memory that a call writes is touched by nothing
//! else meanwhile; an index came from [`nearshore_open`] and was not closed.

mod modes;
mod pointers;

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nearshore::Driver;
use nearshore::dataset::Vectors as Rows;
use nearshore::format::Element;

use crate::build;
use crate::failure::{Failure, Status};
use crate::search::{self, Answer, Index, Numbers, Queries};

/// `nearshore_error`.
#[derive(Debug)]
#[repr(C)]
pub struct Error {
    message: [u8; 512],
}

/// `nearshore_vectors`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Vectors {
    data: *const c_void,
    rows: usize,
    dimensions: usize,
    element: i32,
}

/// `nearshore_build_options`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the header documents them")]
pub struct BuildOptions {
    pub metric: i32,
    pub m: u32,
    pub ef_construction: u32,
    pub threads: u32,
    pub replace: u32,
    pub codes: i32,
    pub layout: i32,
    pub reserved: [u32; 1],
}

/// `nearshore_search_options`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the header documents them")]
pub struct SearchOptions {
    pub ef: u32,
    pub recall: f32,
    pub threads: u32,
    pub layout: i32,
    pub reserved: [u32; 4],
}

/// `nearshore_counters`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the header documents them")]
pub struct Counters {
    pub distances: u64,
    pub hops: u64,
}

/// `nearshore_description`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header documents them")]
pub struct Description {
    pub rows: u64,
    pub dimensions: usize,
    pub metric: i32,
    pub element: i32,
}

/// The version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn nearshore_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Builds an index of vectors in memory and writes it to a file.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nearshore_build(
    path: *const c_char,
    vectors: *const Vectors,
    ids: *const u64,
    options: *const BuildOptions,
    error: *mut Error,
) -> i32 {
    call(error, || {
        // SAFETY: the pointers are what the header says, for the whole call.
        unsafe {
            let path = pointers::path(path)?;
            let vectors = pointers::value("vectors", vectors)?;
            let ids = if ids.is_null() { None } else { Some(pointers::slice("ids", ids, vectors.rows)?) };
            let options = if options.is_null() { &BuildOptions::default() } else { pointers::value("options", options)? };
            build::to_file(&path, rows("vectors", vectors)?, ids, options)
        }
    })
}

/// Opens a file.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nearshore_open(path: *const c_char, driver: i32, index: *mut *mut Index, error: *mut Error) -> i32 {
    call(error, || {
        // SAFETY: the pointers are what the header says, for the whole call.
        unsafe {
            pointers::put("index", index, std::ptr::null_mut())?;
            let path = pointers::path(path)?;
            let driver = match driver {
                0 => Driver::Auto,
                1 => Driver::Slice,
                2 => Driver::Mmap,
                other => return Err(Failure::argument(format!("{other} is no driver"))),
            };
            pointers::put("index", index, Box::into_raw(Box::new(Index::open(&path, driver)?)))
        }
    })
}

/// Finds the nearest rows of each query.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nearshore_search(
    index: *const Index,
    queries: *const Vectors,
    k: usize,
    options: *const SearchOptions,
    ids: *mut u64,
    distances: *mut f32,
    counts: *mut usize,
    counters: *mut Counters,
    error: *mut Error,
) -> i32 {
    // SAFETY: the pointers are what the header says, and null stands for no filter.
    unsafe { nearshore_search_where(index, queries, k, std::ptr::null(), options, ids, distances, counts, counters, error) }
}

/// Finds the nearest rows of each query among those that a filter selects.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nearshore_search_where(
    index: *const Index,
    queries: *const Vectors,
    k: usize,
    filter: *const c_char,
    options: *const SearchOptions,
    ids: *mut u64,
    distances: *mut f32,
    counts: *mut usize,
    counters: *mut Counters,
    error: *mut Error,
) -> i32 {
    call(error, || {
        // SAFETY: the pointers are what the header says, for the whole call.
        unsafe {
            let index = pointers::value("index", index)?;
            let queries = pointers::value("queries", queries)?;
            let options = if options.is_null() { &SearchOptions::default() } else { pointers::value("options", options)? };
            let params = search::params(options, k)?;
            let threads = crate::threads(options.threads)?;
            let only = if filter.is_null() { None } else { Some(index.select(pointers::text("filter", filter)?)?) };
            let places = queries.rows.checked_mul(k).ok_or_else(|| Failure::argument("k times queries is too large".to_owned()))?;
            let numbers = numbers("queries", queries)?;
            let ids = pointers::room("ids", ids, places, u64::MAX)?;
            let distances = pointers::room("distances", distances, places, f32::INFINITY)?;
            let mut answers = Answer::places(ids, distances, k);
            index.search(Queries { dimensions: queries.dimensions, numbers }, &params, only.as_deref(), threads, &mut answers)?;
            if !counts.is_null() {
                let counts = pointers::room("counts", counts, queries.rows, 0)?;
                counts.iter_mut().zip(&answers).for_each(|(count, answer)| *count = answer.count);
            }
            if !counters.is_null() {
                let counters = pointers::room("counters", counters, queries.rows, Counters::default())?;
                counters.iter_mut().zip(&answers).for_each(|(counters, answer)| *counters = answer.cost);
            }
            Ok(())
        }
    })
}

/// Describes an index.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nearshore_info(index: *const Index, description: *mut Description, error: *mut Error) -> i32 {
    call(error, || {
        // SAFETY: the pointers are what the header says, for the whole call.
        unsafe { pointers::put("description", description, pointers::value("index", index)?.describe()) }
    })
}

/// Closes an index.
///
/// # Safety
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nearshore_close(index: *mut Index) {
    if !index.is_null() {
        // Closing has no way to fail, and a caller nothing to do about it.
        let _ = call(std::ptr::null_mut(), || {
            // SAFETY: it came from `Box::into_raw` in `nearshore_open`, and nobody uses it any more.
            drop(unsafe { Box::from_raw(index) });
            Ok(())
        });
    }
}

/// What every call is wrapped in: the default floating-point modes, a net for panics, words for the caller.
fn call(error: *mut Error, work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    let callers = modes::Callers::set_aside();
    // What a panic leaves behind is dropped, or is behind a lock that is taken with whatever it holds.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::panic(&*panic)));
    let (status, text) = result.as_ref().map_or_else(|failure| (failure.status, failure.message.as_str()), |()| (Status::Ok, ""));
    if !error.is_null() {
        let mut message = [0; 512];
        let end = text.floor_char_boundary(message.len() - 1);
        message[..end].copy_from_slice(&text.as_bytes()[..end]);
        // SAFETY: not null, and bytes need no alignment; valid for writes as the header says.
        unsafe { error.write(Error { message }) };
    }
    drop(callers);
    status as i32
}

/// Elements in all of the rows, and their type.
fn shape(name: &str, vectors: &Vectors) -> Result<(Element, usize), Failure> {
    let element = u8::try_from(vectors.element).ok().and_then(|number| Element::try_from(number).ok());
    let element = element.filter(|element| *element != Element::F16);
    let element = element.ok_or_else(|| Failure::argument(format!("{name}: {} is no type of elements", vectors.element)))?;
    let length = vectors.rows.checked_mul(vectors.dimensions);
    Ok((element, length.ok_or_else(|| Failure::argument(format!("{name}: rows times dimensions is too large")))?))
}

/// The numbers of a matrix.
///
/// # Safety
/// As the header says about `nearshore_vectors`, for as long as `'a`.
unsafe fn numbers<'a>(name: &str, vectors: &Vectors) -> Result<Numbers<'a>, Failure> {
    let (element, length) = shape(name, vectors)?;
    let name = format!("{name}: data");
    // SAFETY: `data` points to `length` elements of this type, as the header says.
    unsafe {
        Ok(match element {
            Element::U8 => Numbers::U8(pointers::slice(&name, vectors.data.cast(), length)?),
            Element::I8 => Numbers::I8(pointers::slice(&name, vectors.data.cast(), length)?),
            Element::F32 | Element::F16 => Numbers::F32(pointers::slice(&name, vectors.data.cast(), length)?),
        })
    }
}

/// The rows of a matrix, in bytes.
///
/// # Safety
/// As the header says about `nearshore_vectors`, for as long as `'a`.
unsafe fn rows<'a>(name: &str, vectors: &Vectors) -> Result<Rows<'a>, Failure> {
    let (element, length) = shape(name, vectors)?;
    let bytes = length.checked_mul(element.bytes()).ok_or_else(|| Failure::argument(format!("{name}: too large")))?;
    // SAFETY: `data` points to `length` elements of this type, as the header says, so to as many bytes.
    let data = unsafe { pointers::slice(&format!("{name}: data"), vectors.data.cast(), bytes)? };
    let stride = vectors.dimensions * element.bytes();
    let rows = Rows::new(element, vectors.dimensions, vectors.rows, stride, data);
    rows.ok_or_else(|| Failure::argument(format!("{name}: rows that do not lie in their data")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: &Error) -> &str {
        let end = error.message.iter().position(|&byte| byte == 0).expect("an end");
        str::from_utf8(&error.message[..end]).expect("UTF-8")
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let mut error = Error { message: [1; 512] };
        let row = 7;
        assert_eq!(call(&raw mut error, || panic!("row {row}")), Status::Internal as i32);
        assert_eq!(text(&error), "internal error: row 7");
        assert_eq!(call(std::ptr::null_mut(), || panic!("unheard")), Status::Internal as i32);
        assert_eq!(call(&raw mut error, || Ok(())), Status::Ok as i32);
        assert_eq!(text(&error), "");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut error = Error { message: [1; 512] };
        call(&raw mut error, || Err(Failure::argument("\u{20ac}".repeat(200))));
        assert_eq!(text(&error), "\u{20ac}".repeat(170));
    }
}
