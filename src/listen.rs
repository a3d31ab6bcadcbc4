//! Listening on an address, with an error that names the flag.

use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;

pub(crate) async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
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
