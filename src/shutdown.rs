//! Stopping: SIGINT and SIGTERM, and the time for a drain.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Timeout of a drain.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Timeout of the exchange's drain: its calls take milliseconds, and sessions never end by themselves.
pub(crate) const EXCHANGE_DRAIN: Duration = Duration::from_secs(1);

/// Returns a token that SIGINT or SIGTERM cancels.
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
