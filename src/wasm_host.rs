//! The WebAssembly host of this process, if this build has one (feature `wasm`).

use merit_agent::{Provider, ProviderSettings};
use merit_proto::Transport;
use tokio::net::TcpListener;

/// True if this build has a host.
pub(crate) const IS_BUILT: bool = cfg!(feature = "wasm");

/// The way to a build with a host.
pub(crate) const NOT_BUILT: &str = "this build has no WebAssembly host, so it runs no functions itself; \
    build it with `cargo build --release` and its default features, or sell a function server with --adapter http";

/// The program of this process, also after its file was replaced.
#[cfg(feature = "wasm")]
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A runtime that the agents of this process share.
#[cfg(feature = "wasm")]
pub(crate) struct WasmHost(std::sync::Arc<merit_wasm::Runtime>);

#[cfg(feature = "wasm")]
impl WasmHost {
    /// Makes a host that compiles modules in child processes of this program, and keeps them in a folder of its user.
    pub(crate) fn new(threads: u32, cache: Option<std::path::PathBuf>) -> anyhow::Result<WasmHost> {
        let modules = merit_wasm::ModuleSettings {
            directory: cache.or_else(default_cache),
            compiler: Some(THIS_PROGRAM.into()),
            ..merit_wasm::ModuleSettings::default()
        };
        Ok(WasmHost(merit_wasm::Runtime::new(merit_wasm::RuntimeSettings { threads, modules })?))
    }

    /// Starts an agent that takes calls on `listener`.
    pub(crate) async fn start(
        &self,
        settings: ProviderSettings,
        exchange: Transport,
        listener: TcpListener,
    ) -> anyhow::Result<Provider> {
        Ok(Provider::start(settings, exchange, listener, self.0.clone()).await?)
    }
}

/// Returns the folder of compiled modules of this user; none if it cannot be made.
#[cfg(feature = "wasm")]
fn default_cache() -> Option<std::path::PathBuf> {
    let folder = crate::user_dirs::cache()?.join("modules");
    match merit_wasm::make_private(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "compiled modules are not kept; name a --module-cache");
            None
        }
    }
}

/// The stand-in of a build without a host: it cannot be made.
#[cfg(not(feature = "wasm"))]
pub(crate) enum WasmHost {}

#[cfg(not(feature = "wasm"))]
impl WasmHost {
    pub(crate) fn new(_threads: u32, _cache: Option<std::path::PathBuf>) -> anyhow::Result<WasmHost> {
        anyhow::bail!(NOT_BUILT)
    }

    pub(crate) async fn start(
        &self,
        _settings: ProviderSettings,
        _exchange: Transport,
        _listener: TcpListener,
    ) -> anyhow::Result<Provider> {
        match *self {}
    }
}
