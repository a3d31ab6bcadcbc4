//! `merit bench engine`: commands a second, latencies, and memory of the matching engine.

use merit_sim::engine_bench::{self, Kind, Latency, MATCH_OFFERS, MATCH_PROVIDERS, Report, Settings};
use serde_json::to_value;

use crate::output::Kind::{Number, Text};
use crate::output::{OutputArgument, print_json, print_table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Offers that rest while commands are mixed
    #[arg(long, default_value_t = 100_000)]
    offers: u32,
    /// Providers that the offers belong to
    #[arg(long, default_value_t = 5_000)]
    providers: u32,
    #[arg(long, default_value_t = 1_000)]
    functions: u32,
    /// Seconds of mixed commands; matches and the plain book take about twice as long together
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    format: OutputArgument,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let report = engine_bench::run(&Settings {
        seed: arguments.seed,
        offers: arguments.offers,
        providers: arguments.providers,
        functions: arguments.functions,
        seconds: arguments.seconds,
        match_offers: MATCH_OFFERS,
        match_providers: MATCH_PROVIDERS,
    })?;
    if arguments.format.is_json() {
        print_json(&to_value(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn print(report: &Report) {
    println!(
        "{} offers of {} providers in {} markets, {} functions, {} open leases",
        report.offers, report.providers, report.markets, report.functions, report.leases
    );
    println!(
        "{} commands in {:.1} s inside the engine: {:.0} a second; {} bytes an offer\n",
        report.commands, report.seconds, report.commands_per_second, report.bytes_per_offer
    );
    let columns = [("command", Text), ("count", Number), ("p50 ns", Number), ("p99.9 ns", Number)];
    let kind = |kind: &Kind| row(kind.name, kind.commands, kind.p50_ns, kind.p999_ns);
    let all = row("all", report.commands, report.p50_ns, report.p999_ns);
    print_table(&columns, report.kinds.iter().map(kind).chain([all]));

    let matches = &report.matches;
    println!("\nOne acquire among {} offers of {} providers:", matches.offers, matches.providers);
    let columns = [("eligible", Text), ("count", Number), ("p50 ns", Number), ("p99.9 ns", Number)];
    let shape = |name, latency: &Latency| row(name, latency.matches, latency.p50_ns, latency.p999_ns);
    print_table(
        &columns,
        [
            shape("all", &matches.all),
            shape("one provider", &matches.rare),
            shape("half, speeds over 4x", &matches.spread),
        ],
    );

    let deferred = &report.deferred;
    println!("\nA deferred bid's match, from the command that crosses it, with {} bids resting:", deferred.bids);
    let columns = [("count", Number), ("p50 ns", Number), ("p99.9 ns", Number), ("most commands", Number)];
    let figures = [deferred.matches, deferred.p50_ns, deferred.p999_ns, deferred.commands_max.into()];
    print_table(&columns, [figures.map(|figure| figure.to_string()).to_vec()]);

    println!("\nThe plain book: adds, cancels and matches among 10000 offers, without ledger and prediction:");
    let columns = [("book", Text), ("operations", Number), ("a second", Number)];
    let book = &report.plain_book;
    let rate = format!("{:.0}", book.operations_per_second);
    print_table(&columns, [vec!["Merit".to_owned(), book.operations.to_string(), rate]]);
    println!("\nTo compare with published books, in Merit's source tree: cargo run --release -p merit-peers");
}

fn row(name: &str, count: u64, p50_ns: u64, p999_ns: u64) -> Vec<String> {
    vec![name.to_owned(), count.to_string(), p50_ns.to_string(), p999_ns.to_string()]
}
