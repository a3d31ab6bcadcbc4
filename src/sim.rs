//! `merit sim`: a seeded world on a virtual clock, and the cost of its calls.

use merit_sim::world::{self, Timing, WorldReport};
use serde_json::json;

use crate::output::Kind::{Number, Price, Text, Usd};
use crate::output::{Format, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of minutes of the trace
    #[arg(
        long,
        default_value_t = world::MINUTES,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(world::MINUTES))
    )]
    minutes: u32,
    /// Seed of the world; equal seeds give the same report and digest
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = world::WorldSettings { seed: arguments.seed, minutes: arguments.minutes };
    let (report, timing) = world::run(settings)?;
    if arguments.format.is_json() {
        print_json(&json!({"report": report, "timing": timing}));
    } else {
        print(&report, &timing, arguments.format);
    }
    Ok(())
}

fn print(report: &WorldReport, timing: &Timing, format: Format) {
    println!(
        "{} minutes of the Azure Functions trace of 2019, {} functions of {} accounts, seed {}\n",
        report.minutes, report.functions, report.accounts, report.seed
    );
    print_sellers(report, format);
    let refused = report.total.refused.iter().map(|(code, count)| format!("{count} {code}")).collect::<Vec<_>>();
    let refused = if refused.is_empty() { "none".to_owned() } else { refused.join(", ") };
    println!("\ncalls {}, refused: {refused}\n", report.total.calls);
    println!(
        "The same executed calls at one platform alone (list price and speed as above, room for all, no free tier):"
    );
    let columns = [("baseline", Text), ("cost", Usd), ("market saves %", Number)];
    let row = |alone: &world::Alone| {
        vec![alone.provider.clone(), alone.cost.to_string(), format!("{:.2}", alone.saving_percent)]
    };
    format.print_table(&columns, report.alone.iter().map(row));
    println!("\nbalances sum to {}, {} leases open, digest {}", report.balance_sum, report.open_leases, report.digest);
    println!(
        "{} commands in {:.2} s: {:.0} a second",
        report.commands, timing.wall_seconds, timing.commands_per_second
    );
}

fn print_sellers(report: &WorldReport, format: Format) {
    let columns = [
        ("provider", Text),
        ("pool MB", Number),
        ("speed", Number),
        ("invocations", Number),
        ("GB-s", Number),
        ("paid", Usd),
        ("mean price", Price),
        ("price", Text),
    ];
    let sold = |sold: &world::Sold| {
        let price = sold.price_list.as_ref().zip(sold.confidence.as_ref());
        vec![
            sold.provider.clone(),
            sold.pool_mb.to_string(),
            format!("{:.2}", 1000.0 / sold.wall_permille as f64),
            sold.invocations.to_string(),
            format!("{:.1}", sold.gb_seconds),
            sold.paid.to_string(),
            sold.mean_price.to_string(),
            price.map_or("assumed".to_owned(), |(row, confidence)| format!("{row}; confidence {confidence}")),
        ]
    };
    let total = &report.total;
    let sum = vec![
        "total".to_owned(),
        report.sellers.iter().map(|sold| sold.pool_mb).sum::<u64>().to_string(),
        String::new(),
        total.invocations.to_string(),
        format!("{:.1}", total.gb_seconds),
        total.paid.to_string(),
        total.mean_price.to_string(),
        String::new(),
    ];
    format.print_table(&columns, report.sellers.iter().map(sold).chain([sum]));
}
