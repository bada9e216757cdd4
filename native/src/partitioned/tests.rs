//! What a system may say at any moment, and an input that does not stay as it is.

use std::path::PathBuf;

use super::*;
use crate::Pool;
use crate::dataset::Options;
use nearshore_core::seed::SplitMix;

const ROWS: usize = 3000;
const DIMENSIONS: usize = 8;
const MEMORY: u64 = 64 << 20;

/// A folder with rows, and what is to be built of them.
struct Place {
    folder: tempfile::TempDir,
    source: Source,
    params: BuildParams,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut random = SplitMix::new(5);
        let header = [ROWS as u32, DIMENSIONS as u32].map(u32::to_le_bytes).concat();
        let rows = (0..ROWS * DIMENSIONS).flat_map(|_| (random.below(2001) as f32).to_le_bytes());
        let input = folder.path().join("base.fbin");
        fs::write(&input, header.into_iter().chain(rows).collect::<Vec<u8>>()).unwrap();
        let source = Source { input, ..Source::default() };
        Self { folder, source, params: BuildParams::default().m(8).ef_construction(40) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> Dataset {
        Dataset::open(&self.source.input, &Options::default()).unwrap()
    }

    /// Does what is not done yet, as the one command does.
    fn go_on(&self, output: &str) -> Result<(), PartitionedError> {
        let output = self.path(output);
        let state = State::open(&folder_of_build(&output), Share::Alone)?;
        let (data, pool) = (self.data(), Pool::new(2).unwrap());
        let job = Job { source: &self.source, params: &self.params, memory: MEMORY, partitions: Some(3) };
        let told = &mut |_: &'static str, _, _| {};
        let (manifest, plan) = match state.manifest()? {
            Some(manifest) => {
                let plan = state.plan(&manifest)?;
                (manifest, plan)
            }
            None => state.make_plan(&data, job, &pool, told)?,
        };
        for partition in 0..plan.parts().len() {
            if !state.is_linked(&manifest, &plan, partition)? {
                state.link(&manifest, &plan, partition, &pool, &mut |_| {})?;
            }
        }
        if state.finished()?.is_none() {
            state.merge(
                &manifest,
                &plan,
                &data,
                &pool,
                told,
                |summary| serde_json::json!({ "build_id": format!("{:016x}", summary.build_id) }),
            )?;
        }
        state.name_output(&output, false)?;
        state.remove()
    }

    /// Plans, and links everything.
    fn all_linked(&self, folder: &Path) -> (State, Manifest, Plan) {
        let (state, data, pool) = (State::open(folder, Share::Alone).unwrap(), self.data(), Pool::new(2).unwrap());
        let job = Job { source: &self.source, params: &self.params, memory: MEMORY, partitions: Some(3) };
        let (manifest, plan) = state.make_plan(&data, job, &pool, &mut |_, _, _| {}).unwrap();
        (0..3).for_each(|partition| state.link(&manifest, &plan, partition, &pool, &mut |_| {}).unwrap());
        (state, manifest, plan)
    }
}

/// A disk or a quota that is full, and a disk that fails, at each kind of call that writes. Each ends the build with the file and the reason,
/// loses nothing that was done, and the same command goes on.
#[cfg(target_os = "linux")]
#[test]
fn whatever_the_system_refuses_is_said_and_a_build_goes_on_after_it() {
    use rustix::io::Errno;
    let place = &Place::new();
    place.go_on("whole.shore").unwrap();
    let whole = fs::read(place.path("whole.shore")).unwrap();
    let (quota, io) = (Errno::DQUOT.raw_os_error(), Errno::IO.raw_os_error());
    let writes = [libc::SYS_write, libc::SYS_pwrite64, libc::SYS_writev];
    let cases = [
        (&writes[..], quota, "Disk quota exceeded"),
        (&[libc::SYS_fallocate], quota, "Disk quota exceeded"),
        (&[libc::SYS_fallocate], Errno::NOSPC.raw_os_error(), "No space left on device"),
        (&[libc::SYS_fsync, libc::SYS_fdatasync], io, "Input/output error"),
        (&writes[..], io, "Input/output error"),
    ];
    for (at, (calls, errno, words)) in cases.into_iter().enumerate() {
        let name = format!("x{at}.shore");
        let folder = folder_of_build(&place.path(&name));
        // At the beginning, when all is planned, and when all is linked.
        for step in 0..3 {
            let denied = std::thread::scope(|scope| {
                let deny = || {
                    crate::io::denied::deny(calls, errno);
                    place.go_on(&name)
                };
                scope.spawn(deny).join().unwrap()
            });
            // Merging and linking claim no room ahead.
            if step > 0 && calls == [libc::SYS_fallocate] {
                denied.unwrap();
                break;
            }
            let error = denied.unwrap_err();
            assert!(matches!(&error, PartitionedError::Io { path, .. } if path.starts_with(place.folder.path())), "{words}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains(&name), "{text}");
            let linked = step == 1 && errno == quota;
            assert!(!linked || text.contains("run-00000") && text.contains("; the file takes ") && text.ends_with(" KiB"), "{text}");
            assert!(folder.is_dir() && !place.path(&name).exists(), "what was done is kept: {text}");
            let state = State::open(&folder, Share::Alone).unwrap();
            let (data, pool) = (place.data(), Pool::new(2).unwrap());
            match state.manifest().unwrap() {
                None => {
                    assert_eq!(step, 0);
                    let job = Job { source: &place.source, params: &place.params, memory: MEMORY, partitions: Some(3) };
                    state.make_plan(&data, job, &pool, &mut |_, _, _| {}).unwrap();
                }
                Some(manifest) => {
                    let plan = state.plan(&manifest).unwrap();
                    (0..3).for_each(|partition| state.link(&manifest, &plan, partition, &pool, &mut |_| {}).unwrap());
                }
            }
        }
        if folder.is_dir() {
            place.go_on(&name).unwrap();
        }
        assert!(fs::read(place.path(&name)).unwrap() == whole && !folder.exists(), "{words}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_lock_can_be_taken_where_locks_are_those_of_a_network_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path(), Share::Others).unwrap();
    // A shared lock is one of what can be read, another one of what can be written.
    let mode = rustix::fs::fcntl_getfl(&state.lock).unwrap() & rustix::fs::OFlags::ACCMODE;
    assert_eq!(mode, rustix::fs::OFlags::RDWR);
    drop(state);
    // A server without locks has none to hold.
    let path = folder.path().to_owned();
    let without_locks = move || {
        crate::io::denied::deny(&[libc::SYS_flock], rustix::io::Errno::NOLCK.raw_os_error());
        [Share::Alone, Share::Others].map(|share| State::open(&path, share).map(drop)).into_iter().collect::<Result<Vec<()>, _>>()
    };
    std::thread::spawn(without_locks).join().unwrap().unwrap();
}

#[test]
fn rows_that_change_after_the_plan_are_found_before_there_is_a_file() {
    let place = Place::new();
    let (output, folder) = (place.path("x.shore"), place.path("x.shore.build"));
    let (state, manifest, plan) = place.all_linked(&folder);
    let (data, pool) = (place.data(), Pool::new(1).unwrap());
    let merge = || state.merge(&manifest, &plan, &data, &pool, &mut |_, _, _| {}, |_| serde_json::json!({ "build_id": "0" }));
    let mut bytes = fs::read(&place.source.input).unwrap();
    let middle = bytes.len() / 2;
    // In place, where the map sees it.
    let write = |bytes: &[u8]| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let mut file = File::options().write(true).open(&place.source.input).unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
    };
    bytes[middle] ^= 1;
    write(&bytes);
    let error = merge().unwrap_err();
    assert!(matches!(&error, PartitionedError::Mismatch { what, .. } if what == "the input has changed"), "{error:?}");
    assert!(state.finished().unwrap().is_none() && !output.exists());
    // Touched, and the same.
    bytes[middle] ^= 1;
    write(&bytes);
    merge().unwrap();
    assert!(state.finished().unwrap().is_some());
}

#[test]
fn an_output_that_is_gone_is_missed() {
    let place = Place::new();
    let output = place.path("x.shore");
    let (state, manifest, plan) = place.all_linked(&place.path("x.shore.build"));
    let (data, pool) = (place.data(), Pool::new(1).unwrap());
    let words = |summary: &nearshore_core::build::Summary| serde_json::json!({ "build_id": format!("{:016x}", summary.build_id) });
    state.merge(&manifest, &plan, &data, &pool, &mut |_, _, _| {}, words).unwrap();
    fs::write(&output, b"theirs").unwrap();
    let error = state.name_output(&output, false).unwrap_err();
    assert!(matches!(&error, PartitionedError::Io { error, .. } if error.kind() == io::ErrorKind::AlreadyExists), "{error:?}");
    assert_eq!(fs::read(&output).unwrap(), b"theirs");
    fs::remove_file(&output).unwrap();
    state.name_output(&output, false).unwrap();
    // It has its name: once more changes nothing.
    state.name_output(&output, false).unwrap();
    for damaged in [&b"theirs"[..], b""] {
        fs::write(&output, damaged).unwrap();
        let error = state.name_output(&output, true).unwrap_err();
        assert!(matches!(&error, PartitionedError::Damaged { path, .. } if path.ends_with(OUTPUT)), "{error:?}");
    }
    fs::remove_file(&output).unwrap();
    assert!(state.name_output(&output, true).is_err());
}
