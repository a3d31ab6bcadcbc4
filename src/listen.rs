//! Listening, with errors that name the flag.

use std::net::SocketAddr;

use anyhow::{Context, anyhow, bail};
use merit_terms::port_of;
use tokio::net::TcpListener;

/// Listens on a loopback address.
pub(crate) async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    if !address.ip().is_loopback() {
        bail!("{flag} {address}: this listener takes loopback addresses only; use 127.0.0.1");
    }
    bind(address, flag).await
}

/// Listens on any address; the server judges the callers.
pub(crate) async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let free = SocketAddr::new(address.ip(), 0);
            anyhow!(
                "{address} is in use; stop what uses it, or choose another address with {flag} \
                 ({free} picks a free port)"
            )
        }
        _ => anyhow!(error).context(format!("could not listen on {address} ({flag})")),
    })
}

pub(crate) fn address(listener: &TcpListener) -> anyhow::Result<SocketAddr> {
    listener.local_addr().context("the listener has no address")
}

/// Parses the address of a listener. Port 0 is a free port of the system's choice.
pub(crate) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.rsplit_once(':') {
        Some((_, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port_of(text).is_err() =>
        {
            format!("the port `{port}` is not 1 to 65535, or 0 for a free one")
        }
        _ => format!("`{text}` is not an IP address and a port, such as 127.0.0.1:8080"),
    })
}
