//! What all drivers promise, the ladder that chooses one, and the loop over them.

mod drivers;
#[cfg(target_os = "linux")]
mod ladder;
mod searches;
mod signals;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use nearshore_core::seed::mix;

pub(crate) use self::signals::interrupted;
use super::fault::{Faults, FaultyBlocks};
use super::*;

/// A file that ends in the middle of a page, of bytes that say where they are.
struct Sample {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        Self::of((0..300_000u64 / 8).flat_map(|word| mix(word).to_le_bytes()).chain([1, 2, 3]).collect())
    }

    fn of(bytes: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), &bytes).unwrap();
        Self { folder, bytes }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Every driver in every manner that this machine has, by name.
    fn drivers(&self) -> Vec<(String, Box<dyn Blocks + '_>)> {
        let mut all: Vec<(String, Box<dyn Blocks + '_>)> = vec![("slice".to_owned(), Box::new(HeldBlocks::new(&self.bytes)))];
        for (method, direct, depth) in [
            (Method::Mmap, false, 1),
            (Method::Pread, false, 1),
            (Method::Pread, false, 4),
            (Method::Pread, true, 4),
            (Method::Uring, false, 3),
            (Method::Uring, true, 1),
            (Method::Uring, true, 64),
        ] {
            for gap in [0, 5000] {
                let mut options = BlockOptions::default().method(method).direct(direct).depth(depth);
                options.gap = gap;
                let file = BlockFile::open(&self.path(), options).unwrap();
                all.push((format!("{file}, depth {depth}, gap {gap}"), file.blocks().unwrap()));
            }
        }
        let file = Arc::new(File::open(self.path()).unwrap());
        let rules = Merging { align: 1, gap: 0, bytes_max: 1 << 16 };
        let mut faulty = |faults: Faults, depth| {
            let file = fault::FaultyFile::new(file.clone(), faults);
            all.push((format!("{faults:?}"), Box::new(PreadBlocks::new(Arc::new(file), self.len(), rules, depth)) as _));
        };
        faulty(Faults { seed: 1, short: 600, eintr: 300, ..Faults::default() }, 1);
        faulty(Faults { seed: 2, short: 600, eintr: 300, ..Faults::default() }, 3);
        let late = FaultyBlocks::new(HeldBlocks::new(&self.bytes), Faults::late(3));
        all.push(("late".to_owned(), Box::new(late)));
        let late = BlockFile::open(&self.path(), BlockOptions::default()).unwrap().blocks().unwrap();
        let cache = Arc::new(BlockCache::new(50_000));
        all.push(("cached".to_owned(), Box::new(CachedBlocks::new(FaultyBlocks::new(late, Faults::late(4)), cache))));
        all
    }
}

/// Everything in flight, by token.
fn collect(blocks: &mut dyn Blocks) -> Vec<(u64, Result<Vec<u8>, BlockError>)> {
    let mut all = Vec::new();
    while blocks.in_flight() > 0 {
        let before = (all.len(), blocks.in_flight());
        blocks.wait(&mut |token, bytes| all.push((token, bytes.map(<[u8]>::to_vec)))).unwrap();
        assert!(all.len() > before.0, "a wait brought nothing");
        assert_eq!(all.len() + blocks.in_flight(), before.0 + before.1);
    }
    all.sort_by_key(|(token, _)| *token);
    all
}
