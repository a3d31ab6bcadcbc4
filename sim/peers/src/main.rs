//! `cargo run --release -p merit-peers`: prints the plain book's table, two seconds a book by default.

use std::time::Duration;

use clap::Parser;

/// Merit's plain book beside published ones: adds, cancels and matches among 10000 offers.
#[derive(Parser)]
struct Arguments {
    /// Seconds that each book is measured
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let rows = merit_peers::run(arguments.seed, Duration::from_secs(arguments.seconds));
    println!("{:<12}  {:>10}  {:>10}  {:>8}", "book", "operations", "a second", "to Merit");
    for (name, book) in rows {
        let ratio = book.operations_per_second / rows[0].1.operations_per_second;
        println!("{name:<12}  {:>10}  {:>10.0}  {ratio:>8.2}", book.operations, book.operations_per_second);
    }
}
