//! Logs on standard error: for people on a terminal, as JSON where machines read them.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Length of the queue of log lines.
const LINES_MAX: usize = 16_384;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Format of the log lines
    #[arg(long, global = true, value_enum, default_value = "text", env = "MERIT_LOG_FORMAT")]
    log_format: Format,
    /// Level of the log: error, warn, info, debug, trace, or target=level pairs
    #[arg(long, global = true, default_value = "info", env = "MERIT_LOG")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Starts the log. A thread of its own writes it until the guard is dropped; lines are dropped when their reader is
/// slow.
pub(crate) fn start(arguments: &Arguments) -> WorkerGuard {
    // `wasmtime_wasi` opens a span for each call of a guest into its host.
    let filter = EnvFilter::new(format!("wasmtime_wasi=warn,{}", arguments.log));
    let colours = std::io::stderr().is_terminal();
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).finish(std::io::stderr());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match arguments.log_format {
        Format::Text => logs.with_target(false).init(),
        Format::Json => logs.json().init(),
    }
    guard
}
