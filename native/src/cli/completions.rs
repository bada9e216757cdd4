//! `nearshore completions`: a shell script, made from the definition of the command line itself.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::fail::Fail;
use super::output::print;

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Fail> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nearshore", &mut script);
    print(|out| std::io::Write::write_all(out, &script))
}
