//! Listening on a loopback address, with an error that names the flag.

use std::net::SocketAddr;

use anyhow::{Context, anyhow, bail};
use tokio::net::TcpListener;

pub(crate) async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    if !address.ip().is_loopback() {
        bail!("{flag} {address}: this version has no keys, and without keys only loopback is served; use 127.0.0.1");
    }
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let free = SocketAddr::new(address.ip(), 0);
            anyhow!("{address} is in use; stop what uses it, or choose another address with {flag} ({free} picks a free port)")
        }
        _ => anyhow!(error).context(format!("could not listen on {address} ({flag})")),
    })
}

pub(crate) fn address(listener: &TcpListener) -> anyhow::Result<SocketAddr> {
    listener.local_addr().context("the listener has no address")
}
