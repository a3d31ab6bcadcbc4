//! `merit bench`: the speed of engine and journal, the gains of sellers that misbehave, the cost of a forwarded
//! invocation beside plain proxies, and a tenant's calls beside those of bad ones.

mod engine;
mod fairness;
mod invoke;
mod journal;
mod tenants;

use std::net::SocketAddr;

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
    /// Show what sellers gain by misbehaving, each beside its honest self
    Fairness(fairness::Arguments),
    /// Measure requests through Merit, nginx, haproxy, a plain forwarder and nothing, on this machine
    Invoke(invoke::Arguments),
    /// Show what two tenants that do their worst change for a third one, on this machine
    Tenants(tenants::Arguments),
    /// A peer of Merit in `invoke`: forwards, and nothing else
    #[command(hide = true)]
    Forwarder(Forwarder),
}

#[derive(clap::Args)]
struct Forwarder {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    to: SocketAddr,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.bench {
        Bench::Journal(arguments) => journal::run(arguments).await,
        Bench::Engine(arguments) => engine::run(arguments),
        Bench::Fairness(arguments) => fairness::run(arguments),
        Bench::Invoke(arguments) => invoke::run(arguments),
        Bench::Tenants(arguments) => tenants::run(arguments).await,
        Bench::Forwarder(arguments) => Ok(merit_sim::invoke_bench::forward(arguments.listen, arguments.to).await?),
    }
}
