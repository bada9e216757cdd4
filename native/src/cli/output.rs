//! Standard output: text for people, one JSON object for programs.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nearshore::io::FileSink;
pub(crate) use nearshore::size::bytes;
use serde_json::Value;

use super::fail::Fail;
use super::signals::end_by_closed_pipe;

/// Hands `write` a buffered standard output. A reader that has gone away ends the program quietly.
pub(crate) fn print(write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) -> Result<(), Fail> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What the buffer still holds must not be written once more.
            let _ = out.into_parts();
            end_by_closed_pipe()
        }
        Err(error) => Err(Fail::io(Path::new("standard output"), &error)),
        Ok(()) => Ok(()),
    }
}

/// Begins the file that a command makes, unless it is one that the command reads.
pub(crate) fn begin(path: &Path, force: bool, inputs: &[&Path]) -> Result<FileSink, Fail> {
    check_folder(path)?;
    spare(path, inputs)?;
    FileSink::create(path, force).map_err(|error| Fail::output(path, &error))
}

/// Refuses an output in a folder that is not there, in fewer words than the system has for it.
pub(crate) fn check_folder(path: &Path) -> Result<(), Fail> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            let what = if folder.exists() { "no folder, but a file" } else { "no such folder" };
            Err(Fail::no_folder(format!("{}: {what}", folder.display())))
        }
        _ => Ok(()),
    }
}

/// Refuses an output that is one of the inputs: `--force` is no leave to destroy that.
pub(crate) fn spare(path: &Path, inputs: &[&Path]) -> Result<(), Fail> {
    if inputs.iter().any(|input| is_same(path, input)) {
        let what = "is read by this command, so it is not replaced, --force or not; another name would be right";
        return Err(Fail::usage(format!("{}: {what}", path.display())));
    }
    Ok(())
}

/// Whether two names are those of one file that is there.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.metadata().ok().map(|data| (data.dev(), data.ino()));
    place(one).is_some_and(|own| place(other) == Some(own))
}

/// One object on one line.
pub(crate) fn print_json(value: &Value) -> Result<(), Fail> {
    print(|out| writeln!(out, "{value}"))
}

/// A duration for people: `850 ms`, `12.3 s`, `4 min 10 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

/// A number with enough digits to be useful and no more, for JSON.
pub(crate) fn rounded(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return Value::from(if value.is_finite() { 0.0 } else { f64::MAX });
    }
    let scale = 10f64.powi(5 - value.abs().log10().floor() as i32);
    let short = (value * scale).round() / scale;
    Value::from(if short.is_finite() { short } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!((seconds(0.85), seconds(12.34), seconds(250.0)), ("850 ms".into(), "12.3 s".into(), "4 min 10 s".into()));
        assert_eq!(rounded(1234.56789).to_string(), "1234.57");
        assert_eq!(rounded(0.0).to_string(), "0.0");
    }
}
