//! A file as a slice.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A read-only map of a whole file. Costs address space, not memory: pages come when they are touched and go when
/// the system needs the room.
///
/// The file must not be shortened while it is mapped: touching a page that no longer exists ends the process
/// (`SIGBUS`), and this crate does not catch that. Changed *content* is safe but not noticed everywhere: inputs are
/// only ever read as numbers, and a block of an index is checked when it is first touched, not again later. An index
/// that is replaced under its name by another file (as every command here does) is not touched.
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// Whatever the system says about opening or mapping it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::map(&File::open(path)?)
    }

    /// Maps an open file, from its first byte to its present end.
    ///
    /// # Errors
    /// Whatever the system says; also when the file does not fit the address space.
    pub fn map(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        if usize::try_from(length).is_err() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than the address space"));
        }
        if length == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is read-only and private to this value, and callers only read plain bytes through it. That
        // another process may change those bytes meanwhile is stated above: no code here relies on them staying equal.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self { map: Some(map) })
    }

    /// Says that the file will be read from front to back: the kernel reads ahead.
    pub fn expect_forward(&self) {
        self.advise(Advice::Sequential);
    }

    /// Says that the file will be read here and there: the kernel reads nothing ahead.
    pub fn expect_random(&self) {
        self.advise(Advice::Random);
    }

    /// Asks for the whole file to be brought into memory in the background.
    pub fn want_all(&self) {
        self.advise(Advice::WillNeed);
    }

    /// Advice may be refused (an old kernel, an odd file system); it is advice.
    fn advise(&self, advice: Advice) {
        if let Some(map) = &self.map {
            let _ = map.advise(advice);
        }
    }
}

/// Asks for memory of a map that is about to be read from its first byte to its last, in one request of the disk instead of one for each page.
pub(crate) fn want(memory: &[u8]) {
    let page = rustix::param::page_size();
    let before = memory.as_ptr().addr() % page;
    let start = memory.as_ptr().wrapping_sub(before).cast_mut();
    // SAFETY: the pages that `memory` lies in, of which this advice changes nothing: they may be read from their file ahead of being touched.
    let _ = unsafe { rustix::mm::madvise(start.cast(), before + memory.len(), rustix::mm::Advice::WillNeed) };
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        let file = tempfile::tempfile().unwrap();
        assert!(MappedFile::map(&file).unwrap().as_ref().is_empty());
    }

    #[test]
    fn a_map_holds_what_was_written() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"near").unwrap();
        let map = MappedFile::map(&file).unwrap();
        map.expect_forward();
        map.want_all();
        assert_eq!(map.as_ref(), b"near");
    }
}
