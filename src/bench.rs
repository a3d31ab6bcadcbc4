//! `merit bench`: how fast engine and journal are, and what a forwarded invocation costs beside nginx.

mod engine;
mod invoke;
mod journal;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Measure the matching engine on one core: commands mixed, and single matches
    Engine(engine::Arguments),
    /// Measure the journal: commands a second that are applied and durable, beside bare writes and syncs
    Journal(journal::Arguments),
    /// Measure requests through Merit, nginx and nothing, on this machine
    Invoke(invoke::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.bench {
        Bench::Journal(arguments) => journal::run(arguments).await,
        Bench::Engine(arguments) => engine::run(arguments),
        Bench::Invoke(arguments) => invoke::run(arguments),
    }
}
