//! Floating-point modes: what this library computes in, whatever the caller computes in.
//!
//! A C program may round upwards, flush subnormals to zero (`-ffast-math` makes some do so from their first instruction)
//! or trap. Files and answers are the same everywhere only in the default modes, and compilers of Rust assume those. So
//! every call sets them and puts the caller's back. Threads that a call starts inherit the defaults from it.

use std::arch::asm;

/// The caller's modes, set again when this is dropped.
pub(super) struct Callers(Register);

impl Callers {
    /// Sets the default modes: round to nearest, keep subnormals, no traps.
    pub(super) fn set_aside() -> Self {
        let callers = Self(read());
        write(DEFAULT);
        callers
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        write(self.0);
    }
}

#[cfg(target_arch = "x86_64")]
type Register = u32;
/// MXCSR after a reset: all exceptions masked. (The x87 unit has modes of its own; no code of ours uses it.)
#[cfg(target_arch = "x86_64")]
const DEFAULT: Register = 0x1F80;

#[cfg(target_arch = "x86_64")]
fn read() -> Register {
    let mut register: Register = 0;
    // SAFETY: stores the four bytes of MXCSR to the place given, which is a live local variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut register, options(nostack, preserves_flags)) };
    register
}

#[cfg(target_arch = "x86_64")]
fn write(register: Register) {
    // SAFETY: loads four bytes of a live variable into MXCSR: the defaults, or what was read from there, so no reserved bit
    // is set. Rust code may only run in the default modes: outside of the pair of calls that `Callers` makes there are
    // only the few instructions that enter and leave a function of this crate, which compute nothing. As the assembler
    // block may touch memory, no load, store or call between the pair is moved out of it.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const register, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
type Register = u64;
/// FPCR after a reset.
#[cfg(target_arch = "aarch64")]
const DEFAULT: Register = 0;

#[cfg(target_arch = "aarch64")]
fn read() -> Register {
    let register: Register;
    // SAFETY: reads FPCR, which every program may. It may count as touching memory, so that nothing is moved across.
    unsafe { asm!("mrs {}, fpcr", out(reg) register, options(nostack, preserves_flags)) };
    register
}

#[cfg(target_arch = "aarch64")]
fn write(register: Register) {
    // SAFETY: sets FPCR to the defaults or to what was read from there; the rest is as on x86-64.
    unsafe { asm!("msr fpcr, {}", in(reg) register, options(nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("how this machine's floating-point modes are saved and set belongs here");
