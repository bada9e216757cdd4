//! Running other programs: what is run is shown, what it prints passes through, and what the caller wants of it is kept.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// A command line to be run.
pub(crate) struct Process {
    command: Command,
    shown: String,
}

/// Cargo, the one that runs this task.
pub(crate) fn cargo(arguments: &[&str]) -> Process {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Process::named(cargo, "cargo").args(arguments)
}

/// Any program on the PATH.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Process {
    let shown = name.as_ref().to_string_lossy().into_owned();
    Process::named(name, &shown)
}

impl Process {
    /// A program at a place, shown by the name that a person would type.
    pub(crate) fn named(program: impl AsRef<OsStr>, shown: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace::root()).env("CARGO_TARGET_DIR", workspace::target()).stdin(Stdio::null());
        // `cargo run` describes this crate to its child in variables that would look like a change to a cargo further down.
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") || name_text == "CARGO_BIN_NAME" {
                command.env_remove(name);
            }
        }
        Self { command, shown: shown.to_owned() }
    }

    /// The command line as a person would type it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        let text = argument.as_ref().to_string_lossy();
        self.shown.push(' ');
        self.shown.push_str(&text);
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<T: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    /// Sets a variable; the shown line begins with it.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.shown = format!("{name}={:?} {}", value.as_ref().to_string_lossy(), self.shown);
        self.command.env(name, value);
        self
    }

    /// Runs it elsewhere than in the repository's root.
    pub(crate) fn dir(mut self, place: impl AsRef<Path>) -> Self {
        let place = place.as_ref();
        let near = place.strip_prefix(workspace::root()).unwrap_or(place);
        self.shown = format!("(in {}) {}", near.display(), self.shown);
        self.command.current_dir(place);
        self
    }

    /// Runs it; its output passes through to ours.
    ///
    /// # Errors
    /// When it cannot be started or ends with a status that is not zero.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("$ {}", self.shown);
        let status = self.command.status().with_context(|| format!("cannot start {}", self.shown))?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.shown);
        }
        Ok(())
    }

    /// Runs it, passes both streams through line by line and returns all lines beside whether it succeeded.
    ///
    /// # Errors
    /// When it cannot be started or read.
    pub(crate) fn tee(mut self) -> Result<(bool, String)> {
        println!("$ {}", self.shown);
        let mut child =
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", self.shown))?;
        let errors = child.stderr.take().context("no stderr")?;
        let output = child.stdout.take().context("no stdout")?;
        let errors = std::thread::spawn(move || pass_through(errors, &mut std::io::stderr()));
        let mut text = pass_through(output, &mut std::io::stdout())?;
        let more = errors.join().map_err(|_| anyhow::anyhow!("the reader of stderr ended early"))??;
        text.push_str(&more);
        Ok((child.wait()?.success(), text))
    }

    /// Runs it silently and returns what it printed on stdout.
    ///
    /// # Errors
    /// When it cannot be started, ends with a status that is not zero (its stderr is told) or prints no UTF-8.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.command.output().with_context(|| format!("cannot start {}", self.shown))?;
        if !output.status.success() {
            bail!("`{}` ended with {}: {}", self.shown, output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", self.shown))
    }
}

/// Copies lines from `input` to `output` as they come; returns all of them.
fn pass_through(input: impl Read, output: &mut dyn std::io::Write) -> Result<String> {
    let mut reader = BufReader::new(input);
    let mut text = String::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        output.write_all(&line)?;
        output.flush()?;
        text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(text)
}

/// The first of these programs that the PATH has.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| places.iter().map(|place| place.join(name)).find(|file| file.is_file()))
}
