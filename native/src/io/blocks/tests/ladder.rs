//! The ladder where parts of it are missing. Filters of system calls stick to a thread until it ends, so each has its own; limits
//! belong to a process, so those have a process.

use std::process::Command;
use std::thread;

use super::*;
use crate::io::denied::deny;

/// Set in a process that a test started.
const CHILD: &str = "NEARSHORE_TEST_CHILD";

/// From now on this thread gets `errno` from `io_uring_setup`.
fn forbid_rings(errno: i32) {
    deny(&[libc::SYS_io_uring_setup], errno);
}

fn parts(file: &BlockFile) -> Vec<Part> {
    file.refusals().iter().map(Refusal::part).collect()
}

/// Reads all of the file through what was found.
fn check(file: &BlockFile, sample: &Sample) {
    let mut blocks = file.blocks().unwrap();
    for block in 0..sample.len() / 1000 {
        blocks.submit(block, block * 1000, 1000);
    }
    for (block, bytes) in collect(&mut *blocks) {
        assert_eq!(bytes.unwrap(), sample.bytes[block as usize * 1000..][..1000]);
    }
}

#[test]
fn where_rings_are_forbidden_positioned_reads_take_their_place_and_the_cause_is_said() {
    for (errno, says) in
        [(libc::EPERM, "seccomp filter or kernel.io_uring_disabled"), (libc::ENOSYS, "this system has none"), (libc::ENOMEM, "ulimit -l")]
    {
        let work = move || {
            let sample = Sample::new();
            forbid_rings(errno);
            for method in [Method::Auto, Method::Uring] {
                let file = BlockFile::open(&sample.path(), BlockOptions::default().method(method)).unwrap();
                assert_eq!(file.method(), Method::Pread);
                assert_eq!(parts(&file)[0], Part::Uring);
                assert_eq!(file.refusals()[0].cause().raw_os_error(), Some(errno));
                let line = file.to_string();
                assert!(
                    line.starts_with("pread") && line.contains("no io_uring: ") && line.contains(says) && !line.contains('\n'),
                    "{line}"
                );
                check(&file, &sample);
            }
        };
        thread::spawn(work).join().unwrap();
    }
}

#[test]
fn a_ring_that_is_refused_later_is_replaced_and_the_line_says_so() {
    let sample = Sample::new();
    let file = BlockFile::open(&sample.path(), BlockOptions::default()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            forbid_rings(libc::ENOMEM);
            check(&file, &sample);
            check(&file, &sample);
        });
    });
    // Where there was none to begin with nothing is replaced.
    let refused = file.method() == Method::Uring;
    assert_eq!((file.replaced(), file.to_string().contains(", 2 threads by pread")), (if refused { 2 } else { 0 }, refused), "{file}");
}

#[test]
fn a_file_that_loses_its_name_is_read_on() {
    let sample = Sample::new();
    let opened = File::open(sample.path()).unwrap();
    let other = sample.folder.path().join("other");
    std::fs::write(&other, vec![9; sample.bytes.len()]).unwrap();
    assert!(super::super::ladder::is_same(&opened, &File::open(sample.path()).unwrap()).unwrap());
    std::fs::rename(&other, sample.path()).unwrap();
    assert!(!super::super::ladder::is_same(&opened, &File::open(sample.path()).unwrap()).unwrap());
    for method in [Method::Uring, Method::Pread, Method::Mmap] {
        let file = BlockFile::of(opened.try_clone().unwrap(), &sample.path(), BlockOptions::default().method(method)).unwrap();
        check(&file, &sample);
    }
}

#[test]
fn a_file_system_that_refuses_direct_reads_is_read_through_its_cache() {
    // Files of the kernel's own file systems refuse when they are opened. (Memory file systems used to and no longer do.)
    let path = std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
    let Ok(content) = std::fs::read(path) else {
        eprintln!("skipped: this system has no {}", path.display());
        return;
    };
    for method in [Method::Uring, Method::Pread] {
        let file = BlockFile::open(path, BlockOptions::default().method(method)).unwrap();
        assert!(!file.direct());
        assert!(parts(&file).contains(&Part::Direct), "{file}");
        assert!(file.to_string().contains("no O_DIRECT: ") && file.to_string().contains("through its cache only"), "{file}");
        let mut blocks = file.blocks().unwrap();
        blocks.submit(0, 0, content.len() as u32);
        assert_eq!(collect(&mut *blocks)[0].1.as_ref().unwrap(), &content);
    }
}

#[test]
fn memory_file_systems_are_read_one_way_or_the_other() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: this system has no /dev/shm to write to");
        return;
    };
    let sample = Sample { folder, bytes: Sample::new().bytes };
    std::fs::write(sample.path(), &sample.bytes).unwrap();
    for method in [Method::Uring, Method::Pread, Method::Mmap] {
        check(&BlockFile::open(&sample.path(), BlockOptions::default().method(method)).unwrap(), &sample);
    }
}

#[test]
fn with_little_memory_to_lock_a_ring_does_without_registered_buffers_or_is_replaced() {
    if std::env::var_os(CHILD).is_none() {
        let name = "io::blocks::tests::ladder::with_little_memory_to_lock_a_ring_does_without_registered_buffers_or_is_replaced";
        let child = Command::new(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&child.stderr));
        return;
    }
    let sample = Sample::new();
    let with = BlockFile::open(&sample.path(), BlockOptions::default()).unwrap();
    if with.method() != Method::Uring {
        eprintln!("skipped: {with}");
        return;
    }
    // Enough for a ring, which newer kernels count too, and not for the memory of its reads.
    limit_locked_memory(256 << 10);
    let file = BlockFile::open(&sample.path(), BlockOptions::default()).unwrap();
    assert_eq!((file.method(), parts(&file)), (Method::Uring, vec![Part::RegisteredBuffers]), "{file}");
    assert!(file.to_string().contains("no registered buffers: ") && file.to_string().contains("ulimit -l"), "{file}");
    check(&file, &sample);
    limit_locked_memory(0);
    let file = BlockFile::open(&sample.path(), BlockOptions::default()).unwrap();
    let part = if file.method() == Method::Uring { Part::RegisteredBuffers } else { Part::Uring };
    assert_eq!(parts(&file), [part], "{file}");
    assert!(file.to_string().contains("ulimit -l"), "{file}");
    check(&file, &sample);
}

/// Memory that may be locked from now on, whoever runs the tests: no limit holds the superuser unless it gives that up.
fn limit_locked_memory(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // Version 3 of the header, for this thread; then effective, permitted and inheritable sets, low words first.
    const CAP_IPC_LOCK: u32 = 14;
    let header = [0x2008_0522u32, 0];
    let mut sets = [0u32; 6];
    // SAFETY: the calls read and write the arrays given, which are as long as version 3 says, and the limit, which is one.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()), 0);
        sets[0] &= !(1 << CAP_IPC_LOCK);
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()), 0);
    }
}

#[test]
fn what_is_asked_for_is_taken() {
    let sample = Sample::new();
    for (method, direct) in [(Method::Mmap, false), (Method::Pread, false)] {
        let file = BlockFile::open(&sample.path(), BlockOptions::default().method(method).direct(direct)).unwrap();
        assert_eq!((file.method(), file.direct(), file.to_string()), (method, false, method.as_str().to_owned()));
        check(&file, &sample);
    }
    assert!(BlockFile::open(&sample.folder.path().join("absent"), BlockOptions::default()).is_err());
    let empty = Sample::of(Vec::new());
    check(&BlockFile::open(&empty.path(), BlockOptions::default()).unwrap(), &empty);
    assert_eq!("uring".parse(), Ok(Method::Uring));
    assert!("ring".parse::<Method>().is_err());
}
