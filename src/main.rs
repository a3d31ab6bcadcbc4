//! `merit`: a spot market for function execution, and the broker that spends it.

/// Prints a line, as the standard macro does. Ends the program if the reader is gone, as after `| head`. A server
/// announces its lines instead.
macro_rules! println {
    () => { $crate::output::say("") };
    ($($text:tt)+) => { $crate::output::say(&format!($($text)+)) };
}

mod access;
mod accounts;
mod bench;
mod book;
mod broker;
mod candles;
mod client;
mod clock;
mod compile_module;
mod completion;
mod decision;
mod demo;
mod deploy;
mod exchange;
mod free_tier;
mod function_logs;
mod functions;
mod invocations;
mod invoke;
mod journal;
mod keys;
mod last_invocation;
mod listen;
mod logs;
mod markets;
mod or_none;
mod output;
mod piped;
mod provider;
mod providers;
mod quote;
mod shutdown;
mod sim;
mod statement;
mod status;
mod time_range;
mod trades;
mod up;
mod user_dirs;
mod wasm_host;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use merit_listener::descriptors;
use merit_priority::Priority;

/// A spot market for function execution, and the broker that spends it.
#[derive(Parser)]
#[command(
    name = "merit",
    version,
    max_term_width = 100,
    after_help = "Start with `merit up`, then try `merit invoke echo --data hello`."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logs: logs::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything in one process: exchange, broker, page, and a demo of sellers and calls
    Up(up::Arguments),
    /// Start the exchange alone
    Exchange(exchange::Arguments),
    /// Start a broker at an exchange
    Broker(broker::Arguments),
    /// Sell this machine's idle capacity at an exchange, or that of a function server
    Provider(provider::Arguments),
    /// Call a function through the market
    Invoke(invoke::Arguments),
    /// Show the providers that would serve a call now, cheapest first, and why others would not
    Quote(quote::Arguments),
    /// List calls, or show the record of one
    Invocations(invocations::Arguments),
    /// Show what a function wrote to its standard error, call by call
    Logs(function_logs::Arguments),
    /// List functions, show one, change its settings, or delete it
    Functions(functions::Arguments),
    /// Upload a WebAssembly module and define its function; settings that are not named stay
    Deploy(deploy::Arguments),
    /// Show accounts, and change them as the operator
    Accounts(accounts::Arguments),
    /// Make, list, revoke and rotate keys
    Keys(keys::Arguments),
    /// List markets; create one, change its terms, or delete it
    Markets(markets::Arguments),
    /// List, open, kill or revive providers
    Providers(providers::Arguments),
    /// Show a market's book
    Book(book::Arguments),
    /// Show a market's trades
    Trades(trades::Arguments),
    /// Show a market's prices and volume, interval by interval
    Candles(candles::Arguments),
    /// Measure the engine, the journal, the market's fairness, or an invocation beside a reverse proxy
    Bench(bench::Arguments),
    /// Simulate a market over a real trace, by seed, on a virtual clock
    Sim(sim::Arguments),
    /// Explain the choice of an invocation's provider
    Why(why::Arguments),
    /// Show whether the broker serves calls, its markets, and its sellers
    Status(status::Arguments),
    /// Print the script by which a shell completes commands and flags
    Completion(completion::Arguments),
    /// Inspect a data directory, and check every byte of it
    Journal(journal::Arguments),
    /// Compile one module, as a child process of a host
    #[command(hide = true)]
    CompileModule(compile_module::Arguments),
}

/// An invocation allocates and frees some hundred small objects, many of them on another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A child process with limits, for which threads and logs are a burden.
    if let Command::CompileModule(arguments) = &arguments.command {
        return compile_module::run(arguments);
    }
    // The threads that start from here inherit it. Without it calls wait longer on a busy machine.
    merit_priority::set(Priority::Serving).ok();
    run_async(arguments)
}

#[tokio::main]
async fn run_async(arguments: Arguments) -> ExitCode {
    let _written = logs::start(&arguments.logs);
    descriptors::raise();
    match run(arguments.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("merit: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(arguments) => up::run(arguments).await,
        Command::Exchange(arguments) => exchange::run(arguments).await,
        Command::Broker(arguments) => broker::run(arguments).await,
        Command::Provider(arguments) => provider::run(arguments).await,
        Command::Invoke(arguments) => invoke::run(arguments).await,
        Command::Quote(arguments) => quote::run(arguments).await,
        Command::Invocations(arguments) => invocations::run(arguments).await,
        Command::Logs(arguments) => function_logs::run(arguments).await,
        Command::Functions(arguments) => functions::run(arguments).await,
        Command::Deploy(arguments) => deploy::run(arguments).await,
        Command::Accounts(arguments) => accounts::run(arguments).await,
        Command::Keys(arguments) => keys::run(arguments).await,
        Command::Markets(arguments) => markets::run(arguments).await,
        Command::Providers(arguments) => providers::run(arguments).await,
        Command::Book(arguments) => book::run(arguments).await,
        Command::Trades(arguments) => trades::run(arguments).await,
        Command::Candles(arguments) => candles::run(arguments).await,
        Command::Bench(arguments) => bench::run(arguments).await,
        Command::Sim(arguments) => sim::run(arguments),
        Command::Why(arguments) => why::run(&arguments),
        Command::Status(arguments) => status::run(arguments).await,
        Command::Completion(arguments) => {
            completion::run::<Arguments>(&arguments);
            Ok(())
        }
        Command::Journal(arguments) => journal::run(arguments),
        Command::CompileModule(arguments) => {
            anyhow::bail!("`merit compile-module` was started in the wrong place: {arguments:?}")
        }
    }
}
