//! What the tests of the command share: a folder, made-up vectors, and the real binary.

#[cfg(feature = "grpc")]
pub(crate) mod called;
#[cfg(feature = "server")]
pub(crate) mod served;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder that goes when the test ends.
pub(crate) struct Sandbox(tempfile::TempDir);

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// The binary, at home in the folder, so that names alone say which files are meant.
    pub(crate) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nearshore"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command line, split at spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_args(&line.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn run_args(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs a command line with something on its standard input.
    pub(crate) fn pipe(&self, input: &[u8], line: &str) -> Ran {
        let mut child = self.command(line.split(' ')).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // The command may refuse its input before it has read it all.
            scope.spawn(move || stdin.write_all(input).or(Ok::<(), std::io::Error>(())));
        });
        Ran::from(child.wait_with_output().unwrap())
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A small file system of its own, gone with the value. `None` where only root may mount and we are not root.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(folder: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir(folder).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    /// Takes all of its room but so many bytes, in the file `ballast`.
    pub(crate) fn fill(&self, but: u64) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[7; 1 << 16]).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length - but).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// Fails the test unless the run succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// The one JSON object on standard output.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.ok();
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Fails the test unless the command line was refused, with this said.
    #[track_caller]
    pub(crate) fn fails_in_usage(self, words: &str) {
        assert!(self.code == Some(2) && self.stderr.contains(words), "{words} in {self:?}");
    }

    /// Fails the test unless the run failed with this code and one line that holds all these words. A slow machine may
    /// have printed progress before it.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(self.stderr.matches("nearshore: ").count() == 1 && last.starts_with("nearshore: "), "{self:?}");
        assert!(words.iter().all(|word| last.contains(word)), "{words:?} in {self:?}");
    }
}

/// Numbers without a pattern that matters, the same every time.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn fbin(dimensions: usize, values: &[f32]) -> Vec<u8> {
    let rows = (values.len() / dimensions) as u32;
    let header = [rows.to_le_bytes(), (dimensions as u32).to_le_bytes()].concat();
    header.into_iter().chain(values.iter().flat_map(|value| value.to_le_bytes())).collect()
}

pub(crate) fn jsonl(dimensions: usize, values: &[f32], fields: impl Fn(usize) -> String) -> Vec<u8> {
    let line = |(row, vector): (usize, &[f32])| format!("{{\"vector\": {vector:?}{}}}\n", fields(row));
    values.chunks(dimensions).enumerate().map(line).collect::<String>().into_bytes()
}

/// Keys of an object, in order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}
