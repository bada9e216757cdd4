//! A system that refuses, for tests: what a full quota, a broken disk or a sandbox say, whenever a test wants to hear it.

use std::io;

/// From now on this thread, and those that it starts, get `errno` from these system calls; there is no way back.
pub(crate) fn deny(calls: &[libc::c_long], errno: i32) {
    // The number of the call; for each that is denied, on to the next or to the error; else leave.
    let instruction = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut program = vec![instruction(0x20, 0, 0)];
    for &call in calls {
        program.push(instruction(0x15, 1, call as u32));
        program.push(instruction(0x06, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    }
    program.push(instruction(0x06, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the calls read their arguments and the program behind them, which lives until after; they change what this thread may do,
    // and no memory.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program)
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}
