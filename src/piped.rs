//! A payload on standard input that nobody named: read from a pipe, a file or a socket, never from a device.

use std::io::{Read, Stdin};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::retry_on_intr;

/// Timeout of the first byte, or of the end, so that a pipe that nobody writes fails the call and does not hang it.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);

/// Returns the payload on standard input; empty where there is none.
pub(crate) fn payload(input: &Stdin) -> anyhow::Result<Vec<u8>> {
    let mut payload = Vec::new();
    if is_meant(input) {
        if !begins(input, BEGINS_WITHIN)? {
            bail!(
                "nothing came on standard input for {} s; `--data ''` sends no payload, and `--data-file -` waits \
                 without end",
                BEGINS_WITHIN.as_secs()
            );
        }
        input.lock().read_to_end(&mut payload).context("could not read standard input")?;
    }
    Ok(payload)
}

/// Returns whether the input is of a kind that a payload comes by. One that is closed is not.
fn is_meant(input: impl AsFd) -> bool {
    let kind = fstat(input).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(FileType::Fifo | FileType::RegularFile | FileType::Socket))
}

/// Waits for the first byte or the end. Returns false if neither comes in time.
fn begins(input: impl AsFd, within: Duration) -> anyhow::Result<bool> {
    let within = Timespec::try_from(within).context("the timeout of standard input")?;
    let mut waited = [PollFd::new(&input, PollFlags::IN)];
    let ready = retry_on_intr(|| poll(&mut waited, Some(&within))).context("could not wait for standard input")?;
    Ok(ready > 0)
}

#[cfg(test)]
#[path = "../tests/unit/piped.rs"]
mod tests;
