//! Stopping: SIGINT and SIGTERM, and how long what runs may take to finish.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a stop waits for what runs.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long the exchange waits for calls to end: they take milliseconds, and sessions never end by themselves.
pub(crate) const EXCHANGE_DRAIN: Duration = Duration::from_secs(1);

/// A token that is cancelled by SIGINT or SIGTERM.
pub(crate) fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    // Ends with the process.
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        tracing::info!(signal = name, "stopping: finishing what runs");
        stopping.cancel();
    });
    Ok(stop)
}
