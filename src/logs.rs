//! Logs on standard error: for people on a terminal, as JSON where machines read them.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value = "text", env = "MERIT_LOG_FORMAT")]
    log_format: Format,
    /// What is logged: error, warn, info, debug, trace, or target=level pairs
    #[arg(long, global = true, default_value = "info", env = "MERIT_LOG")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn start(arguments: &Arguments) {
    // The WebAssembly library opens a span for each call of a guest into its host.
    let filter = EnvFilter::new(format!("wasmtime_wasi=warn,{}", arguments.log));
    let colours = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match arguments.log_format {
        Format::Text => logs.with_target(false).init(),
        Format::Json => logs.json().init(),
    }
}
