//! The parts of a file that walks read in memory, the rest mapped around them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// A file whose first bytes were read into memory of its own, in one slice with the rest, which is
/// mapped. A walk touches rows all over its part, so that lies on huge pages where the system has
/// them: fewer misses of the address cache.
///
/// What [`MappedFile`](super::MappedFile) says about files that are shortened holds for the mapped
/// part.
#[derive(Debug)]
pub struct LoadedFile {
    /// `None` for an empty file.
    memory: Option<Mmap>,
}

impl LoadedFile {
    /// Reads the first `resident` bytes of the file at `path`, rounded up to a page, and maps the others.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::UnexpectedEof`] when the file shrinks meanwhile.
    pub fn open(path: &Path, resident: u64) -> io::Result<Self> {
        Self::read(&File::open(path)?, std::slice::from_ref(&(0..resident)))
    }

    /// Reads these parts of an open file, widened to pages, and maps the rest.
    ///
    /// # Errors
    /// As [`LoadedFile::open`].
    pub fn read(file: &File, parts: &[Range<u64>]) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "larger than the address space"))?;
        if length == 0 {
            return Ok(Self { memory: None });
        }
        let memory = mapping::of(file, length, parts)?;
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
    use memmap2::MmapOptions;
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

    /// Maps the whole file, then puts memory of its own in the place of the parts: the system is asked for those alone, which counts where it
    /// promises no more than it has.
    pub(super) fn of(file: &File, length: usize, parts: &[Range<u64>]) -> io::Result<Mmap> {
        // SAFETY: the map is read-only and goes to a `LoadedFile` alone. That another process may change those bytes is stated at
        // `MappedFile`: no code here relies on them staying equal.
        let mut map = unsafe { MmapOptions::new().len(length).map(file)? };
        let page = rustix::param::page_size();
        for part in parts {
            let [start, end] = [part.start, part.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX).min(length));
            let (start, end) = (start / page * page, end.checked_next_multiple_of(page).unwrap_or(length).min(length));
            if start < end {
                replace(&mut map, start..end, file)?;
            }
        }
        Ok(map)
    }

    /// Puts memory with the same bytes in the place of a part of `map`, which begins at a page and ends at one or with the file.
    fn replace(map: &mut Mmap, part: Range<usize>, file: &File) -> io::Result<()> {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        #[cfg(target_os = "linux")]
        let flags = flags | MapFlags::NORESERVE;
        let place = map[part.clone()].as_ptr().cast_mut();
        // SAFETY: the pages replaced lie inside a mapping that this function borrows alone, so nothing else refers to them; its owner unmaps
        // the whole range, whatever lies in it.
        let fresh = unsafe { mmap_anonymous(place.cast(), part.len(), ProtFlags::READ | ProtFlags::WRITE, flags)? };
        #[cfg(target_os = "linux")]
        let _ = map.advise_range(memmap2::Advice::HugePage, part.start, part.len());
        // SAFETY: these are the pages that were just made, zeroed, readable and writable, and nobody else refers to them while `map` is
        // borrowed here. Afterwards they are read through `map` alone, which hands out no way to write.
        let memory = unsafe { std::slice::from_raw_parts_mut(fresh.cast::<u8>(), part.len()) };
        std::os::unix::fs::FileExt::read_exact_at(file, memory, part.start as u64)
    }
}

#[cfg(not(unix))]
mod mapping {
    use super::*;
    use std::io::{Read, Seek};

    /// Reads all of it.
    pub(super) fn of(mut file: &File, length: usize, _: &[Range<u64>]) -> io::Result<Mmap> {
        let mut memory = memmap2::MmapOptions::new().len(length).map_anon()?;
        file.rewind()?;
        file.read_exact(&mut memory)?;
        memory.make_read_only()
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

    #[test]
    fn parts_stay_when_the_file_changes() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        std::io::Write::write_all(&mut file, &content).unwrap();
        let loaded = LoadedFile::read(&file, &[0..5000, 50_000..50_001, 99_999..100_000, 7..7]).unwrap();
        assert_eq!(loaded.as_ref(), content);
        // A part that was read needs the file no more.
        file.set_len(0).unwrap();
        let kept = [0..8192, 49_152..53_248, 98_304..100_000];
        for part in kept.into_iter().filter(|_| cfg!(target_os = "linux") && rustix::param::page_size() == 4096) {
            assert_eq!(loaded.as_ref()[part.clone()], content[part]);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_is_asked_for_no_more_than_is_read() {
        const CHILD: &str = "NEARSHORE_TEST_CHILD";
        if std::env::var_os(CHILD).is_none() {
            let name = "io::loaded::tests::the_system_is_asked_for_no_more_than_is_read";
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let child = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
            let text = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&child.stderr));
            return;
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 << 30).unwrap();
        // Of writable memory, as a system that promises no more than it has counts it.
        let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
        // SAFETY: the call reads the limit given.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) }, 0);
        assert_eq!(LoadedFile::read(&file, std::slice::from_ref(&(0..1 << 20))).unwrap().as_ref().len(), 4 << 30);
        if memmap2::MmapOptions::new().len(2 << 30).map_anon().is_ok() {
            eprintln!("skipped: this system does not count the memory that a process may write to");
        }
    }
}
