//! A whole file in memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;

/// A file read once, into memory of its own. A walk touches rows all over it, so it lies on huge pages where the
/// system has them (fewer misses of the address cache) and starts on a page, so that rows keep their alignment.
#[derive(Debug)]
pub struct LoadedFile {
    /// `None` for an empty file.
    memory: Option<MmapMut>,
}

impl LoadedFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::UnexpectedEof`] when the file shrinks meanwhile.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "larger than the address space"))?;
        if length == 0 {
            return Ok(Self { memory: None });
        }
        let mut memory = MmapMut::map_anon(length)?;
        #[cfg(target_os = "linux")]
        let _ = memory.advise(Advice::HugePage);
        file.read_exact(&mut memory)?;
        Ok(Self { memory: Some(memory) })
    }
}

impl AsRef<[u8]> for LoadedFile {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_file_holds_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for content in [&b""[..], b"near", &[7; 5000]] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(LoadedFile::open(&path).unwrap().as_ref(), content);
        }
        assert!(LoadedFile::open(&folder.path().join("absent")).is_err());
    }
}
