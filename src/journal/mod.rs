//! `merit journal`: reads a data directory without changing it.

mod inspect;
mod readable;
mod replay;
mod snapshot;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::bail;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the contents of a data directory: segments, snapshots, runs, kinds of commands; or the commands themselves
    Inspect(inspect::Arguments),
    /// Check every byte of journal and snapshots, replay all of it, and report the state
    Verify(verify::Arguments),
    /// Show the state after one of the commands
    Replay(replay::Arguments),
    /// Make a snapshot in a directory that no process uses, so that its next start is short
    Snapshot(snapshot::Arguments),
}

#[derive(clap::Args)]
struct DataDir {
    /// The data directory
    #[arg(default_value = "./merit-data", env = "MERIT_DATA_DIR")]
    data_dir: PathBuf,
}

impl DataDir {
    /// Returns the directory, if it holds a journal.
    fn path(&self) -> anyhow::Result<&Path> {
        check(&self.data_dir, "merit journal verify DIR")?;
        Ok(&self.data_dir)
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
    }
}

/// Refuses a path that is no directory, or holds no journal.
pub(crate) fn check(data_dir: &Path, example: &str) -> anyhow::Result<()> {
    if !data_dir.is_dir() {
        bail!("there is no data directory {}; name it, as in `{example}`", data_dir.display());
    }
    let has_segment = std::fs::read_dir(data_dir)?
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("journal-")));
    if !has_segment {
        bail!(
            "there is no journal in {}; a data directory holds files such as journal-0000000001.segment",
            data_dir.display()
        );
    }
    Ok(())
}
