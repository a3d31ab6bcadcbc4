//! The id of the user's last `merit invoke`, for `merit why last`: a small file in the user's state directory.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use merit_terms::LeaseId;

use crate::user_dirs;

fn file() -> Option<PathBuf> {
    Some(user_dirs::state()?.join("last-invocation"))
}

/// Remembers an invocation. A call does not fail if that is not possible.
pub(crate) fn remember(id: &str) {
    let Some(file) = file() else { return };
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, id));
    if let Err(error) = written {
        tracing::debug!(file = %file.display(), %error, "the invocation's id could not be kept for `merit why last`");
    }
}

/// Reads the remembered invocation.
pub(crate) fn recall() -> anyhow::Result<LeaseId> {
    let Some(text) = file().and_then(|file| fs::read_to_string(file).ok()) else {
        bail!("no call by `merit invoke` is remembered; name an invocation, as `merit invocations` lists them");
    };
    text.trim().parse().context("the remembered invocation is not readable; name one")
}
