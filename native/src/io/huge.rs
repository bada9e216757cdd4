//! Huge pages: memory that walks read here and there misses the address cache less on pages of megabytes.
//!
//! They are asked for where a program has read or made what it walks by: [`LoadedFile`](super::LoadedFile), codes of neighbours. A map of a file is
//! not advised: systems that keep files in large pages would then read megabytes for each block that a search touches first.

/// Bytes below which there is no whole huge page to be had, so that a small block stays part of its neighbours' memory.
const LEAST: usize = 2 << 20;

/// Asks for huge pages for memory that is yet to be written to. The system may have none, or not give them; it is advice.
pub(crate) fn ask(memory: &mut [u8]) {
    #[cfg(target_os = "linux")]
    {
        let page = rustix::param::page_size();
        let before = memory.as_ptr().align_offset(page);
        let whole = memory.len().saturating_sub(before) / page * page;
        if whole < LEAST {
            return;
        }
        let pages = memory[before..before + whole].as_mut_ptr();
        // SAFETY: whole pages of memory that is borrowed here alone, and stays as it is: this advice changes only by which pages it is mapped.
        let _ = unsafe { rustix::mm::madvise(pages.cast(), whole, rustix::mm::Advice::LinuxHugepage) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, LEAST);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::io::LoadedFile;
    use crate::{Index, Kernels, Pool};
    use nearshore_core::build::{BuildParams, Input, build};
    use nearshore_core::format::{Element, Metric};
    use nearshore_core::seed::SplitMix;
    use nearshore_core::vectors::Vectors;

    /// Whether huge pages were asked for the middle of `memory`; `None`, and words, where the system has none.
    fn asked(memory: &[u8]) -> Option<bool> {
        if std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").is_err() {
            eprintln!("skipped: this system has no transparent huge pages");
            return None;
        }
        let at = memory[memory.len() / 2..].as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let ends = range.and_then(|(start, end)| usize::from_str_radix(start, 16).ok().zip(usize::from_str_radix(end, 16).ok()));
            inside = ends.map_or(inside, |(start, end)| (start..end).contains(&at));
            if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
                return Some(flags.split_whitespace().any(|flag| flag == "hg"));
            }
        }
        panic!("no mapping holds what is looked for");
    }

    #[test]
    fn what_is_loaded_and_what_is_derived_asks_for_huge_pages() {
        const ROWS: usize = 12_000;
        let mut random = SplitMix::new(3);
        let rows: Vec<f32> = (0..ROWS * 8).map(|_| random.below(2000) as f32).collect();
        let vectors = Vectors::packed(Element::F32, 8, bytemuck::cast_slice(&rows)).unwrap();
        let mut params = BuildParams::new(Metric::L2).ef_construction(20);
        params.quality = false;
        let (pool, input) = (Pool::new(1).unwrap(), Input { vectors, ids: None, payloads: None });
        let go_on = &mut |_, _, _| std::ops::ControlFlow::Continue(());
        let (bytes, _) = build(&input, &params, &pool, Kernels::best(), go_on, Vec::new()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let mut index = Index::open(file.path()).unwrap();
        index.derive_neighbor_codes(&pool).unwrap();
        let derived = index.derived_neighbor_codes().unwrap();
        assert!(derived.len() > 2 * LEAST, "{}", derived.len());
        std::fs::write(file.path(), vec![7; 3 * LEAST]).unwrap();
        let loaded = LoadedFile::open(file.path(), u64::MAX).unwrap();
        for (memory, name) in [(derived, "codes of neighbours"), (loaded.as_ref(), "a loaded file")] {
            assert_ne!(asked(memory), Some(false), "{name}");
        }
        // Of nothing, and of less than a page, nothing is asked.
        ask(&mut []);
        ask(&mut [0; 100]);
    }
}
