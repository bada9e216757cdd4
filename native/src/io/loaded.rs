//! The part of a file that walks read in memory, the rest mapped behind it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use memmap2::{MmapMut, MmapOptions};

/// A file whose first bytes were read into memory of its own, in one slice with the rest, which is
/// mapped. A walk touches rows all over its part, so that lies on huge pages where the system has
/// them: fewer misses of the address cache.
///
/// What [`MappedFile`](super::MappedFile) says about files that are shortened holds for the mapped
/// part.
#[derive(Debug)]
pub struct LoadedFile {
    /// `None` for an empty file.
    memory: Option<MmapMut>,
}

impl LoadedFile {
    /// Reads the first `resident` bytes of the file at `path`, rounded up to a page, and maps the others.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::UnexpectedEof`] when the file shrinks meanwhile.
    pub fn open(path: &Path, resident: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "larger than the address space"))?;
        if length == 0 {
            return Ok(Self { memory: None });
        }
        let resident = usize::try_from(resident).unwrap_or(usize::MAX).min(length);
        let resident = if mapping::POSSIBLE { resident.next_multiple_of(mapping::page_size()).min(length) } else { length };
        let mut memory = MmapOptions::new().len(length).no_reserve_swap().map_anon()?;
        #[cfg(target_os = "linux")]
        let _ = memory.advise_range(memmap2::Advice::HugePage, 0, resident);
        file.read_exact(&mut memory[..resident])?;
        if resident < length {
            mapping::replace_tail(&mut memory, resident, &file)?;
        }
        Ok(Self { memory: Some(memory) })
    }
}

impl AsRef<[u8]> for LoadedFile {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

#[cfg(unix)]
mod mapping {
    use super::*;
    use rustix::mm::{MapFlags, ProtFlags, mmap};

    /// Whether a part of a mapping can be replaced.
    pub(super) const POSSIBLE: bool = true;

    pub(super) fn page_size() -> usize {
        rustix::param::page_size()
    }

    /// Maps the bytes of `file` from `at`, a multiple of the page size, over those of `memory`.
    pub(super) fn replace_tail(memory: &mut MmapMut, at: usize, file: &File) -> io::Result<()> {
        let tail = &mut memory[at..];
        let (place, length) = (tail.as_mut_ptr().cast(), tail.len());
        // SAFETY: the pages replaced are the last ones of a mapping that this function borrows alone, so nothing else
        // refers to them; they stay inside it, and its owner unmaps the whole range, whatever lies in it. They become
        // read-only: `LoadedFile` hands out no way to write.
        unsafe { mmap(place, length, ProtFlags::READ, MapFlags::SHARED | MapFlags::FIXED, file, at as u64)? };
        Ok(())
    }
}

#[cfg(not(unix))]
mod mapping {
    use super::*;

    pub(super) const POSSIBLE: bool = false;

    pub(super) fn page_size() -> usize {
        1
    }

    pub(super) fn replace_tail(_: &mut MmapMut, _: usize, _: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_file_holds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let long: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        for content in [&b""[..], b"near", &[7; 5000], &long] {
            std::fs::write(&path, content).unwrap();
            for resident in [0, 1, 4096, 5000, 70_000, u64::MAX] {
                assert_eq!(LoadedFile::open(&path, resident).unwrap().as_ref(), content, "{resident} resident");
            }
        }
        assert!(LoadedFile::open(&folder.path().join("absent"), 0).is_err());
    }
}
