//! The README's commands, run as written.
//!
//! One shell runs every fenced `sh` block in order from the repository's root, as a person with one terminal would; what they make goes
//! into `tour/`, which git ignores and which is emptied first. Fenced blocks with a file name after the language are that file: below
//! `tour/` they are written before the commands run, anywhere else the file is there and must end with the same text.
//!
//! A comment on the line before a block changes how it is run:
//! - `<!-- run: until "WORDS" -->`: it does not end by itself; it is stopped once its output contains the words;
//! - `<!-- run: no, REASON -->`: it is left out, and the reason is printed.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::process::program;
use crate::workspace;

/// How a block is run.
#[derive(Debug, PartialEq, Eq)]
enum Mode {
    ToTheEnd,
    Until(String),
    No(String),
}

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    /// What follows the fence: language, then perhaps a file name.
    info: String,
    mode: Mode,
    text: String,
}

/// Runs every command of the README, with these variables set; how many blocks ran.
///
/// # Errors
/// When a command fails, or the README has none.
pub(crate) fn check(build: &[(&str, &str)]) -> Result<u64> {
    let text = std::fs::read_to_string(workspace::root().join("README.md"))?;
    let blocks = blocks(&text)?;
    let tour = workspace::root().join("tour");
    if tour.exists() {
        std::fs::remove_dir_all(&tour)?;
    }
    std::fs::create_dir(&tour)?;
    for block in &blocks {
        if let Some((_, name)) = block.info.split_once(' ') {
            place(block, name).with_context(|| format!("README.md:{}", block.line))?;
        }
    }
    let (mut script, mut ran) = (String::from("set -eu\n"), 0);
    for block in blocks.iter().filter(|block| block.info == "sh") {
        match &block.mode {
            Mode::No(reason) => println!("README.md:{}: not run: {reason}", block.line),
            Mode::Until(words) => {
                until(block, words, build)?;
                ran += 1;
            }
            Mode::ToTheEnd => {
                for line in block.text.lines() {
                    writeln!(script, "printf '%s\\n' {}", quoted(&format!("$ {line}")))?;
                    writeln!(script, "{line}")?;
                }
                ran += 1;
            }
        }
    }
    if ran == 0 {
        bail!("README.md has no fenced sh block");
    }
    let file = workspace::target().join("readme.sh");
    std::fs::write(&file, script)?;
    build.iter().fold(program("bash").arg(file), |shell, (name, value)| shell.env(name, value)).run()?;
    Ok(ran)
}

/// Writes the file that a block is, or compares with it.
fn place(block: &Block, name: &str) -> Result<()> {
    let file = workspace::root().join(name);
    if name.starts_with("tour/") {
        return Ok(std::fs::write(file, &block.text)?);
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
    if !text.ends_with(&block.text) {
        bail!("{name} does not end with the text of this block");
    }
    Ok(())
}

/// Every fenced block with the comment before it.
fn blocks(text: &str) -> Result<Vec<Block>> {
    let (mut found, mut open, mut mode) = (Vec::new(), None::<Block>, Mode::ToTheEnd);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => writeln!(block.text, "{line}")?,
            (None, Some(info)) => {
                let mode = std::mem::replace(&mut mode, Mode::ToTheEnd);
                open = Some(Block { line: number + 1, info: info.trim().to_owned(), mode, text: String::new() });
            }
            (None, None) => mode = directive(line).with_context(|| format!("README.md:{}", number + 1))?,
        }
    }
    if let Some(block) = open {
        bail!("README.md:{}: the fence is not closed", block.line);
    }
    Ok(found)
}

fn directive(line: &str) -> Result<Mode> {
    let Some(words) = line.strip_prefix("<!-- run: ").and_then(|rest| rest.strip_suffix(" -->")) else { return Ok(Mode::ToTheEnd) };
    if let Some(reason) = words.strip_prefix("no, ") {
        return Ok(Mode::No(reason.to_owned()));
    }
    match words.strip_prefix("until \"").and_then(|rest| rest.strip_suffix('"')) {
        Some(words) => Ok(Mode::Until(words.to_owned())),
        None => bail!("`run: {words}` is neither `no, REASON` nor `until \"WORDS\"`"),
    }
}

/// Runs a block that serves until it says so, then ends it and its children.
fn until(block: &Block, words: &str, build: &[(&str, &str)]) -> Result<()> {
    println!("$ {} (until it says \"{words}\")", block.text.trim_end().replace('\n', "; "));
    let mut command = Command::new("bash");
    command.args(["-euc", &block.text]).current_dir(workspace::root()).envs(build.iter().copied());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn()?;
    let group = child.id();
    let mut said = false;
    for line in BufReader::new(child.stdout.take().context("no stdout")?).lines() {
        let line = line?;
        println!("{line}");
        if line.contains(words) {
            said = true;
            break;
        }
    }
    if said {
        program("bash").arg("-c").arg(format!("kill -- -{group}")).run()?;
        child.wait()?;
        return Ok(());
    }
    bail!("README.md:{}: ended with {} and never said \"{words}\"", block.line, child.wait()?)
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_their_line_mode_and_name() {
        let text = "a\n```sh\nx\ny\n```\n<!-- run: until \"on http\" -->\n```sh\nz\n```\n<!-- run: no, it is this -->\n```sh\n```\n```js q.mjs\nw\n```\n";
        let found = blocks(text).unwrap();
        let parts: Vec<_> = found.iter().map(|block| (block.line, block.info.as_str(), block.text.as_str())).collect();
        assert_eq!(parts, [(2, "sh", "x\ny\n"), (7, "sh", "z\n"), (11, "sh", ""), (13, "js q.mjs", "w\n")]);
        assert_eq!(found[0].mode, Mode::ToTheEnd);
        assert_eq!(found[1].mode, Mode::Until("on http".to_owned()));
        assert_eq!(found[2].mode, Mode::No("it is this".to_owned()));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(blocks("```sh\nx\n").unwrap_err().to_string().contains("README.md:1"));
        assert!(blocks("<!-- run: never -->\n```sh\n```\n").is_err());
    }

    #[test]
    fn quotes_survive_the_shell() {
        assert_eq!(program("bash").arg("-c").arg(format!("printf %s {}", quoted("a 'b' $c"))).read().unwrap(), "a 'b' $c");
    }
}
