//! The WebAssembly host of this process, if this build has one (feature `wasm`).

use merit_agent::{Provider, ProviderSettings};
use merit_proto::Transport;
use tokio::net::TcpListener;

/// True if this build has a host.
pub(crate) const IS_BUILT: bool = cfg!(feature = "wasm");

/// The way to a build with a host.
pub(crate) const NOT_BUILT: &str = "this build has no WebAssembly host, so it runs no functions itself; \
    build it with `cargo build --release` and its default features, or sell a function server with --adapter http";

/// A runtime that the agents of this process share.
#[cfg(feature = "wasm")]
pub(crate) struct WasmHost(std::sync::Arc<merit_wasm::Runtime>);

#[cfg(feature = "wasm")]
impl WasmHost {
    /// Maximum number of compiled modules that are kept.
    const MODULES_KEPT: usize = 256;

    pub(crate) fn new(threads: u32) -> anyhow::Result<WasmHost> {
        let settings = merit_wasm::RuntimeSettings { threads, modules: WasmHost::MODULES_KEPT };
        Ok(WasmHost(merit_wasm::Runtime::new(settings)?))
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

/// The stand-in of a build without a host: it cannot be made.
#[cfg(not(feature = "wasm"))]
pub(crate) enum WasmHost {}

#[cfg(not(feature = "wasm"))]
impl WasmHost {
    pub(crate) fn new(_threads: u32) -> anyhow::Result<WasmHost> {
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
