//! `merit bench`: how fast the engine is, and what a forwarded invocation costs beside nginx.

mod engine;
mod invoke;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Measure the matching engine on one core: commands mixed, and single matches
    Engine(engine::Arguments),
    /// Measure requests through Merit, nginx and nothing, on this machine
    Invoke(invoke::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.bench {
        Bench::Engine(arguments) => engine::run(arguments),
        Bench::Invoke(arguments) => invoke::run(arguments),
    }
}
