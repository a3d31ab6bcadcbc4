//! The settings of the compilation and the cache of modules.

use std::path::PathBuf;

/// The settings of the compilation and the cache of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSettings {
    /// Maximum bytes of compiled modules in memory. The last one stays whatever its size.
    pub max_bytes: usize,
    /// Directory of compiled modules, for this user alone. None: a restart compiles anew.
    pub directory: Option<PathBuf>,
    /// Program that compiles in a child process, as `PROGRAM compile-module`. None: this process compiles, without
    /// limits.
    pub compiler: Option<PathBuf>,
    /// Maximum modules that are compiled at once, by all processes that share the directory; at most half are of
    /// one account. The default is half of the cores, from 2 to 8.
    pub compiled_at_once: usize,
}

impl Default for ModuleSettings {
    fn default() -> ModuleSettings {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let compiled_at_once = cores.div_ceil(2).clamp(2, 8);
        ModuleSettings { max_bytes: 512 << 20, directory: None, compiler: None, compiled_at_once }
    }
}
