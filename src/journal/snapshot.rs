//! `merit journal snapshot`: a snapshot of a directory that no process uses.

use anyhow::bail;
use merit_exchange::snapshot;
use merit_journal as journal;
use merit_journal::storage::{Directory, Storage};

use serde_json::json;

use super::DataDir;
use crate::output::{OutputArgument, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    format: OutputArgument,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let storage = Directory::existing(arguments.data.path()?);
    let _lock = storage.lock()?;
    let report = journal::verify(&storage)?;
    if let Some(damage) = report.damage.filter(|damage| damage.extent == journal::Extent::Middle) {
        bail!("{damage}; {}", damage.way_out());
    }
    // A start cuts a damaged last batch off, so a snapshot never covers it.
    let upto = report.contents.last_batch.map_or(0, |first| first - 1);
    let Some(identity) = report.identity.filter(|_| upto > 0) else {
        bail!("there are too few commands in {storage} for a snapshot");
    };
    let made = snapshot::make(&storage, identity, upto, || false)?;
    if arguments.format.is_json() {
        let digest = made.as_ref().map(|header| format!("{:032x}", header.digest));
        print_json(&json!({"sequence": upto, "made": made.is_some(), "digest": digest}));
        return Ok(());
    }
    match made {
        Some(header) => {
            println!("snapshot of sequence {upto}, {} bytes, digest {:032x}", header.body_bytes, header.digest)
        }
        None => println!("there is a snapshot of sequence {upto} already"),
    }
    Ok(())
}
