//! Folders of the user, by the XDG Base Directory Specification 0.8, with a folder `merit` in each.

use std::path::PathBuf;

fn set(name: &str) -> Option<PathBuf> {
    // A relative path is to be ignored, by the specification.
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Returns the state folder: `$XDG_STATE_HOME/merit`, else `~/.local/state/merit`.
pub(crate) fn state() -> Option<PathBuf> {
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("merit"))
}

/// Returns the cache folder: `$XDG_CACHE_HOME/merit`, else `~/.cache/merit`.
pub(crate) fn cache() -> Option<PathBuf> {
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("merit"))
}

/// Returns the folder of sockets: `$XDG_RUNTIME_DIR/merit`, else that of [`state`].
pub(crate) fn runtime() -> Option<PathBuf> {
    set("XDG_RUNTIME_DIR").map(|runtime| runtime.join("merit")).or_else(state)
}
