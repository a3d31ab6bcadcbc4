//! The user's last `merit invoke`, for `merit why last`: its id and its broker, in a file of the state folder.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use merit_terms::LeaseId;

use crate::user_dirs;

fn file() -> Option<PathBuf> {
    Some(user_dirs::state()?.join("last-invocation"))
}

/// Keeps the id of a call and its broker, or that the call has none. A call does not fail if that is not possible.
pub(crate) fn remember(id: Option<&str>, broker: &str) {
    let Some(file) = file() else { return };
    let kept = file.parent().map_or(Ok(()), fs::create_dir_all);
    let kept = kept.and_then(|()| fs::write(&file, format!("{} {broker}", id.unwrap_or("-"))));
    if let Err(error) = kept {
        tracing::debug!(file = %file.display(), %error, "the invocation's id could not be kept for `merit why last`");
    }
}

/// Returns the id of the last call and its broker.
pub(crate) fn recall() -> anyhow::Result<(LeaseId, String)> {
    let Some(text) = file().and_then(|file| fs::read_to_string(file).ok()) else {
        bail!("no call by `merit invoke` is known; name an invocation, as `merit invocations` lists them");
    };
    let (id, broker) = text.trim().split_once(' ').unwrap_or((text.trim(), "its broker"));
    if id == "-" {
        bail!("the last call, at {broker}, was refused before it was matched; `merit quote FUNCTION` shows why");
    }
    let id = id.parse().context("the id of the last call is not readable; name an invocation")?;
    Ok((id, broker.to_owned()))
}
