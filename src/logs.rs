//! Logs on standard error: for people on a terminal, as JSON where machines read them.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

/// Length of the queue of log lines.
const LINES_MAX: usize = 16_384;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Format of the log lines
    #[arg(long, global = true, value_enum, default_value = "text", env = "MERIT_LOG_FORMAT")]
    log_format: LogFormat,
    /// Level of the log: error, warn, info, debug, trace or off; or target=level pairs, such as info,h2=debug
    #[arg(long, global = true, default_value = "info", env = "MERIT_LOG", value_parser = levels)]
    log: Targets,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Starts the log. A thread of its own writes it until the guard is dropped; lines are dropped when their reader is
/// slow.
pub(crate) fn start(arguments: &Arguments) -> WorkerGuard {
    let colours = std::io::stderr().is_terminal();
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).finish(std::io::stderr());
    let (levels, lines) = (arguments.log.clone(), fmt::layer().with_writer(writer).with_ansi(colours));
    match arguments.log_format {
        LogFormat::Text => registry().with(levels).with(lines.with_target(false)).init(),
        LogFormat::Json => registry().with(levels).with(lines.json()).init(),
    }
    guard
}

/// Parses levels. A level alone is that of Merit's own crates; the libraries say no more than `info` by it.
fn levels(text: &str) -> Result<Targets, String> {
    // It opens a span for each call of a guest into its host.
    let mut levels = Targets::new().with_target("wasmtime_wasi", LevelFilter::WARN);
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (target, level) = part.split_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let level: LevelFilter =
            level.parse().map_err(|_| format!("`{level}` is no level; error, warn, info, debug, trace or off"))?;
        levels = match target {
            Some(target) => levels.with_target(target, level),
            None => levels.with_default(level.min(LevelFilter::INFO)).with_target("merit", level),
        };
    }
    Ok(levels)
}

#[cfg(test)]
#[path = "../tests/unit/logs.rs"]
mod tests;
