//! Pointers of a C caller as references of Rust: what can be checked about them is, and the rest is the caller's word.

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Whether `pointer` can be one to `length` values; null can where there are none.
fn check<T>(name: &str, pointer: *const T, length: usize) -> Result<(), Failure> {
    let wrong = if length.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        "is longer than memory can be"
    } else if length > 0 && pointer.is_null() {
        "is null"
    } else if !pointer.is_aligned() {
        "is not aligned as its type must be"
    } else {
        return Ok(());
    };
    Err(Failure::argument(format!("{name} {wrong}")))
}

/// The value at `pointer`.
///
/// # Safety
/// Null, misaligned, or valid for a read of a `T` for as long as `'a`.
pub(super) unsafe fn value<'a, T>(name: &str, pointer: *const T) -> Result<&'a T, Failure> {
    check(name, pointer, 1)?;
    // SAFETY: neither null nor misaligned, as was just checked; valid by the caller's word.
    Ok(unsafe { &*pointer })
}

/// The `length` values at `pointer`.
///
/// # Safety
/// Null, misaligned, or valid for reads of `length` values that nothing writes for as long as `'a`.
pub(super) unsafe fn slice<'a, T>(name: &str, pointer: *const T, length: usize) -> Result<&'a [T], Failure> {
    check(name, pointer, length)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, aligned and not longer than memory, as was just checked; valid by the caller's word.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Room for `length` values at `pointer`, each set to `filler` first: C gives memory that nothing was written to.
///
/// # Safety
/// Null, misaligned, or valid for reads and writes of `length` values that nothing else touches for as long as `'a`.
pub(super) unsafe fn room<'a, T: Copy>(name: &str, pointer: *mut T, length: usize, filler: T) -> Result<&'a mut [T], Failure> {
    check(name, pointer, length)?;
    if length == 0 {
        return Ok(&mut []);
    }
    for place in 0..length {
        // SAFETY: `place` is below `length`, and so far the pointer is valid by the caller's word.
        unsafe { pointer.add(place).write(filler) };
    }
    // SAFETY: not null, aligned and not longer than memory, as was checked; every value was just written; nothing else
    // touches them by the caller's word.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

/// Writes a value.
///
/// # Safety
/// Null, misaligned, or valid for a write of a `T`.
pub(super) unsafe fn put<T>(name: &str, pointer: *mut T, value: T) -> Result<(), Failure> {
    check(name, pointer, 1)?;
    // SAFETY: neither null nor misaligned, as was just checked; valid by the caller's word.
    unsafe { pointer.write(value) };
    Ok(())
}

/// The path that the text at `pointer` names.
///
/// # Safety
/// Null, or a text that ends with a zero.
pub(super) unsafe fn path(pointer: *const c_char) -> Result<PathBuf, Failure> {
    check("path", pointer, 1)?;
    // SAFETY: not null, as was just checked; ended by a zero by the caller's word.
    let text = unsafe { CStr::from_ptr(pointer) };
    native_path(text).map(Path::to_owned)
}

/// The text at `pointer`.
///
/// # Safety
/// Null, or a text that ends with a zero and that nothing writes for as long as `'a`.
pub(super) unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str, Failure> {
    check(name, pointer, 1)?;
    // SAFETY: not null, as was just checked; ended by a zero by the caller's word.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|error| Failure::argument(format!("{name}: byte {} is not UTF-8", error.valid_up_to())))
}

#[cfg(unix)]
fn native_path(text: &CStr) -> Result<&Path, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(Path::new(std::ffi::OsStr::from_bytes(text.to_bytes())))
}

#[cfg(not(unix))]
fn native_path(text: &CStr) -> Result<&Path, Failure> {
    text.to_str().map(Path::new).map_err(|_| Failure::argument("path is not UTF-8".to_owned()))
}
