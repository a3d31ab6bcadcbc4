//! `merit completion`: the script by which a shell completes commands and flags.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::output::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The shell; for bash: `source <(merit completion bash)`
    shell: Shell,
}

pub(crate) fn run<C: CommandFactory>(arguments: &Arguments) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut C::command(), "merit", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
}
