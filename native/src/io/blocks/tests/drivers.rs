//! What every driver promises, each alone.

use nearshore_core::seed::SplitMix;

use super::*;

/// Reads of every size and place, in no order, some of them twice.
fn reads(seed: u64, end: u64, count: usize) -> Vec<(u64, u32)> {
    let mut random = SplitMix::new(seed);
    let mut all: Vec<(u64, u32)> = Vec::new();
    for _ in 0..count {
        let bytes = [0, 1, 8, 100, 512, 4096, 4097, 40_000][random.below(8) as usize];
        let offset = random.below(end - bytes + 1);
        let (offset, bytes) = match random.below(6) {
            0 => (offset / 4096 * 4096, bytes),
            1 => (end - bytes, bytes),
            // Right behind another one.
            2 => all.last().map_or((0, 1), |last| {
                if last.0 + u64::from(last.1) + bytes <= end { (last.0 + u64::from(last.1), bytes) } else { (0, 1) }
            }),
            3 => all.first().map_or((0, 1), |first| (first.0, u64::from(first.1))),
            _ => (offset, bytes),
        };
        all.push((offset, bytes as u32));
    }
    all
}

#[test]
fn every_driver_brings_exactly_what_was_asked_for() {
    let sample = Sample::new();
    for (name, mut blocks) in sample.drivers() {
        for (seed, count) in [(1, 1), (2, 2), (3, 300), (4, 50)] {
            let reads = reads(seed, sample.len(), count);
            for (token, &(offset, bytes)) in reads.iter().enumerate() {
                blocks.submit(token as u64, offset, bytes);
                if token % 100 == 99 {
                    blocks.start().unwrap();
                }
            }
            assert_eq!(blocks.in_flight(), count, "{name}");
            for (token, bytes) in collect(&mut *blocks) {
                let (offset, wanted) = reads[token as usize];
                let expected = &sample.bytes[offset as usize..][..wanted as usize];
                assert!(bytes.as_ref().is_ok_and(|bytes| bytes == expected), "{name}: {wanted} at {offset}: {:?}", bytes.err());
            }
        }
    }
}

#[test]
fn asking_while_others_are_under_way_loses_nothing() {
    let sample = Sample::new();
    for (name, mut blocks) in sample.drivers() {
        let reads = reads(7, sample.len(), 500);
        let (mut next, mut seen) = (0, vec![0; reads.len()]);
        while next < reads.len() || blocks.in_flight() > 0 {
            for _ in 0..7.min(reads.len() - next) {
                blocks.submit(next as u64, reads[next].0, reads[next].1);
                next += 1;
            }
            blocks
                .wait(&mut |token, bytes| {
                    let (offset, wanted) = reads[token as usize];
                    assert_eq!(bytes.unwrap(), &sample.bytes[offset as usize..][..wanted as usize], "{name}");
                    seen[token as usize] += 1;
                })
                .unwrap();
        }
        assert_eq!(seen, vec![1; reads.len()], "{name}");
    }
}

#[test]
fn a_wait_for_nothing_returns() {
    let sample = Sample::new();
    for (name, mut blocks) in sample.drivers() {
        blocks.wait(&mut |_, _| panic!("{name}")).unwrap();
        assert_eq!(blocks.in_flight(), 0);
    }
}

#[test]
fn a_block_beyond_the_end_is_cut_and_costs_no_memory() {
    let sample = Sample::new();
    let end = sample.len();
    for (name, mut blocks) in sample.drivers() {
        for (token, (offset, bytes)) in
            [(end - 10, 11), (end, 1), (u64::MAX, u32::MAX), (0, u32::MAX), (end - 1, 1)].into_iter().enumerate()
        {
            blocks.submit(token as u64, offset, bytes);
        }
        let found: Vec<Option<u32>> = collect(&mut *blocks)
            .into_iter()
            .map(|(_, bytes)| match bytes {
                Err(BlockError::Truncated { found, .. }) => Some(found),
                Ok(bytes) if bytes == sample.bytes[sample.bytes.len() - 1..] => None,
                other => panic!("{name}: {other:?}"),
            })
            .collect();
        assert_eq!(found, [Some(10), Some(0), Some(0), Some(end as u32), None], "{name}");
    }
}

#[test]
fn a_file_that_shrinks_is_an_error_for_the_blocks_that_went() {
    for (method, direct) in [(Method::Pread, false), (Method::Pread, true), (Method::Uring, false), (Method::Uring, true)] {
        for cut in [0, 1, 8191, 8192, 8193] {
            let sample = Sample::new();
            let file = BlockFile::open(&sample.path(), BlockOptions::default().method(method).direct(direct)).unwrap();
            let mut blocks = file.blocks().unwrap();
            File::options().write(true).open(sample.path()).unwrap().set_len(cut).unwrap();
            for block in 0..20 {
                blocks.submit(block, block * 1000, 1000);
            }
            for (block, bytes) in collect(&mut *blocks) {
                let (start, end) = (block as usize * 1000, block as usize * 1000 + 1000);
                match bytes {
                    Ok(bytes) => assert!(end as u64 <= cut && bytes == sample.bytes[start..end], "{file}, {cut}: block {block}"),
                    Err(BlockError::Truncated { found, .. }) => {
                        assert_eq!(u64::from(found), cut.saturating_sub(start as u64), "{file}, {cut}: block {block}");
                        assert!(found < 1000);
                    }
                    Err(error) => panic!("{file}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_block_that_cannot_be_read_costs_no_neighbour() {
    // A file whose bytes 10,000 to 10,100 are on a bad sector.
    struct Bad(Vec<u8>);
    impl ReadAt for Bad {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            if offset < 10_100 && offset + buffer.len() as u64 > 10_000 {
                return Err(io::Error::from_raw_os_error(5));
            }
            let rest = &self.0[offset as usize..];
            let bytes = buffer.len().min(rest.len());
            buffer[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(bytes)
        }
    }
    let sample = Sample::new();
    let rules = Merging { align: 1, gap: 0, bytes_max: 1 << 20 };
    for depth in [1, 4] {
        let mut blocks = PreadBlocks::new(Arc::new(Bad(sample.bytes.clone())), sample.len(), rules, depth);
        for block in 0..30 {
            blocks.submit(block, block * 1000, 1000);
        }
        for (block, bytes) in collect(&mut blocks) {
            match bytes {
                Ok(bytes) => assert_eq!(bytes, sample.bytes[block as usize * 1000..][..1000]),
                Err(BlockError::Io { offset: 10_000, error }) if block == 10 => assert_eq!(error.raw_os_error(), Some(5)),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_read_that_is_interrupted_for_ever_ends() {
    let sample = Sample::new();
    let rules = Merging { align: 1, gap: 0, bytes_max: 1 << 16 };
    let file = fault::FaultyFile::new(File::open(sample.path()).unwrap(), Faults { eintr: 1000, ..Faults::default() });
    let mut blocks = PreadBlocks::new(Arc::new(file), sample.len(), rules, 2);
    blocks.submit(0, 0, 10);
    assert!(matches!(collect(&mut blocks)[..], [(0, Err(BlockError::Io { .. }))]));
}

/// A file whose reads of one place panic.
struct Panics(File);

impl ReadAt for Panics {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        assert_ne!(offset, 100_000, "a panic of a test");
        self.0.read_at(buffer, offset)
    }
}

#[test]
fn a_panic_in_a_thread_that_reads_is_an_error_of_that_block() {
    let sample = Sample::new();
    let rules = Merging { align: 1, gap: 0, bytes_max: 1 << 16 };
    let mut blocks = PreadBlocks::new(Arc::new(Panics(File::open(sample.path()).unwrap())), sample.len(), rules, 2);
    for round in 0..3 {
        (0..5).for_each(|block| blocks.submit(block, block * 50_000, 1000));
        let answers = collect(&mut blocks);
        assert_eq!(answers.len(), 5, "{round}");
        for (block, bytes) in answers {
            match bytes {
                Ok(bytes) => assert!(block != 2 && bytes == sample.bytes[block as usize * 50_000..][..1000], "{round}: {block}"),
                Err(error) => assert!(block == 2 && error.to_string().contains("panicked"), "{round}: {block}: {error}"),
            }
        }
    }
}

#[test]
fn a_driver_may_go_while_reads_are_under_way() {
    let sample = Sample::new();
    for (_, mut blocks) in sample.drivers() {
        for (token, (offset, bytes)) in reads(9, sample.len(), 200).into_iter().enumerate() {
            blocks.submit(token as u64, offset, bytes);
        }
        blocks.start().unwrap();
    }
}

#[test]
fn a_torn_or_mistaken_block_is_counted_as_spoiled() {
    let sample = Sample::new();
    let mut blocks =
        FaultyBlocks::new(HeldBlocks::new(&sample.bytes), Faults { torn: 300, wrong: 300, short: 100, eio: 100, ..Faults::all(5) });
    for block in 0..200 {
        blocks.submit(block, block * 1000, 1000);
    }
    let wrong = collect(&mut blocks)
        .into_iter()
        .filter(|(block, bytes)| bytes.as_ref().map_or(true, |bytes| *bytes != sample.bytes[*block as usize * 1000..][..1000]));
    let wrong = wrong.count();
    assert_eq!(wrong as u64, blocks.spoiled());
    assert!((120..=190).contains(&wrong), "{wrong} of 200");
}

#[test]
fn a_thread_that_is_interrupted_reads_on() {
    let sample = Sample::new();
    for (name, mut blocks) in sample.drivers() {
        let reads = reads(11, sample.len(), 300);
        interrupted(|| {
            for (token, &(offset, bytes)) in reads.iter().enumerate() {
                blocks.submit(token as u64, offset, bytes);
            }
            for (token, bytes) in collect(&mut *blocks) {
                let (offset, wanted) = reads[token as usize];
                assert_eq!(bytes.unwrap(), &sample.bytes[offset as usize..][..wanted as usize], "{name}");
            }
        });
    }
}

#[test]
fn reads_are_those_that_the_system_was_asked_for() {
    let sample = Sample::new();
    for method in [Method::Pread, Method::Uring] {
        let file = BlockFile::open(&sample.path(), BlockOptions::default().method(method).direct(false)).unwrap();
        let cache = Arc::new(BlockCache::new(1 << 20));
        let mut blocks = CachedBlocks::new(file.blocks().unwrap(), cache.clone());
        // Two that touch, one apart, one twice; then some that came before.
        for (asked, reads) in [(vec![(0, 1000), (1000, 1000), (5000, 10), (5000, 10)], 2), (vec![(0, 1000), (5000, 10), (9000, 10)], 3)] {
            asked.iter().zip(0..).for_each(|(&(offset, bytes), token)| blocks.submit(token, offset, bytes));
            assert!(collect(&mut blocks).iter().all(|(_, bytes)| bytes.is_ok()));
            assert_eq!(blocks.reads(), reads, "{file}");
        }
        assert_eq!(cache.hits(), 2);
    }
    assert_eq!(HeldBlocks::new(&sample.bytes).reads(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn memory_of_a_ring_is_registered_where_the_system_allows() {
    let sample = Sample::new();
    let file = BlockFile::open(&sample.path(), BlockOptions::default()).unwrap();
    if file.method() != Method::Uring {
        eprintln!("skipped: {file}");
        return;
    }
    let rules = Merging { align: 1, gap: 0, bytes_max: 1 << 16 };
    let (blocks, refusals) = UringBlocks::new(Arc::new(File::open(sample.path()).unwrap()), sample.len(), rules, 64).unwrap();
    assert_eq!(blocks.registered(), (true, !refusals.iter().any(|refusal| refusal.part() == Part::RegisteredBuffers)), "{file}");
    // 64 slots are a megabyte. Locked memory is counted by user, so rings of other tests may leave none: that is a cause that names itself.
    let full = refusals.iter().any(|refusal| refusal.to_string().contains("os error 12"));
    assert!(blocks.registered().1 || full || limit_of_locked_memory() < 2 << 20, "{refusals:?}");
}

#[cfg(target_os = "linux")]
fn limit_of_locked_memory() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes the limit given.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }, 0);
    limit.rlim_cur
}
