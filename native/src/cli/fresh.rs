//! A folder that a build made and did nothing in.

use std::path::PathBuf;

use nearshore::partitioned::{Share, State};

/// A folder that this build made: removed when it goes, as what failed before there was anything to go on with leaves nothing behind. Declared before
/// what holds the folder's lock.
pub(crate) struct Fresh<'a>(pub(crate) Option<&'a PathBuf>);

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if let Some(folder) = self.0.filter(|folder| folder.is_dir())
            && let Ok(state) = State::open(folder, Share::Alone)
            // Another build may have planned there meanwhile.
            && matches!((state.manifest(), state.finished()), (Ok(None), Ok(None)))
        {
            // What cannot be removed is known as a build's by the next one.
            let _ = state.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore::Pool;
    use nearshore::build::BuildParams;
    use nearshore::dataset::{Dataset, Options};
    use nearshore::partitioned::{Job, Source};

    #[test]
    fn what_another_build_planned_meanwhile_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("x.shore.build");
        let fresh = || Fresh((!folder.exists()).then_some(&folder));
        let open = || State::open(&folder, Share::Alone).unwrap();
        // Nobody else came.
        let own = fresh();
        drop(open());
        drop(own);
        assert!(!folder.exists());
        // Another build is at work.
        let own = fresh();
        let others = open();
        drop(own);
        assert!(folder.join("lock").exists());
        drop(others);
        std::fs::remove_dir_all(&folder).unwrap();
        // It has planned, and is done for now; then this one, which saw no folder, fails.
        let own = fresh();
        let input = place.path().join("base.fbin");
        let numbers = (0..4000_u16).flat_map(|place| f32::from(place % 251).to_le_bytes());
        std::fs::write(&input, [1000_u32, 4].into_iter().flat_map(u32::to_le_bytes).chain(numbers).collect::<Vec<u8>>()).unwrap();
        let data = Dataset::open(&input, &Options::default()).unwrap();
        let (source, params) = (Source { input, ..Source::default() }, BuildParams::default().m(8).ef_construction(20));
        let job = Job { source: &source, params: &params, memory: 64 << 20, partitions: Some(3) };
        open().make_plan(&data, job, &Pool::new(1).unwrap(), &mut |_, _, _| {}).unwrap();
        drop(own);
        assert!(open().manifest().unwrap().is_some());
        // The same of one that has come to its end but for the name.
        std::fs::remove_dir_all(&folder).unwrap();
        let own = fresh();
        drop(open());
        std::fs::write(folder.join("finished.json"), "{ \"build_id\": \"0\" }").unwrap();
        drop(own);
        assert!(open().finished().unwrap().is_some());
    }
}
