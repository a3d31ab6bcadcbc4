//! `merit accounts`: balances, statements, and the operator's hand on accounts.

use anyhow::bail;
use clap::Subcommand;
use http::Method;
use merit_terms::{LeaseId, Money, Name};
use serde_json::{Map, Value, json};

use crate::client::{self, Client};
use crate::or_none::{OrNone, amount, number};
use crate::output::Kind::{self, Number, Text, Usd};
use crate::output::{Format, cells, objects, print_done, print_json, print_table, text};
use crate::statement;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// List all accounts; their balances sum to zero
    List,
    /// Show one account with its limits and budgets
    Show { id: Name },
    /// Show an account's credits and debits, line by line
    Statement(statement::Arguments),
    /// Open an account
    Open { id: Name },
    /// Pay money in
    Deposit { id: Name, amount: Money },
    /// Pay out money that is not held
    Payout {
        id: Name,
        /// In USD
        amount: Money,
    },
    /// Correct a balance by an entry from or to another account, even below the credit limit
    Correct(Correct),
    /// Stop an account from buying and selling
    Freeze {
        id: Name,
        /// Let it buy and sell again
        #[arg(long)]
        undo: bool,
    },
    /// Change the limits of an account; those not named stay, and `none` takes one away
    Limits(Limits),
}

#[derive(clap::Args)]
struct Correct {
    id: Name,
    amount: Money,
    /// The account that pays
    #[arg(long, conflicts_with = "to")]
    from: Option<Name>,
    /// The account that is paid
    #[arg(long)]
    to: Option<Name>,
    /// The reason, for the statements
    #[arg(long)]
    reason: String,
    /// The invocation that this corrects
    #[arg(long)]
    about: Option<LeaseId>,
    /// Give back a buyer's payment for the invocation
    #[arg(long, requires = "about")]
    refund: bool,
}

#[derive(clap::Args)]
struct Limits {
    id: Name,
    /// The most that the balance may be below zero, in USD
    #[arg(long)]
    credit: Option<Money>,
    /// Calls a second
    #[arg(long, value_parser = number)]
    rate: Option<OrNone>,
    /// The most that may be held at once, in USD
    #[arg(long, value_parser = amount)]
    exposure: Option<OrNone>,
    /// Calls at once
    #[arg(long, value_parser = number)]
    max_concurrency: Option<OrNone>,
    /// The most that calls may cost in a UTC day, in USD
    #[arg(long, alias = "budget-day", value_parser = amount)]
    day_budget: Option<OrNone>,
    /// The most that calls may cost in a UTC month, in USD
    #[arg(long, alias = "budget-month", value_parser = amount)]
    month_budget: Option<OrNone>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (client, format) = (Client::new(&arguments.broker)?, arguments.format);
    match arguments.command {
        Command::List => list(&client, format).await,
        Command::Show { id } => show(&client, &id, format).await,
        Command::Statement(asked) => statement::run(&client, asked, format).await,
        Command::Open { id } => {
            let done = client.send(Method::POST, "/v1/accounts", &json!({"id": id})).await?;
            print_done(format, &done, &format!("{id} is open"));
            Ok(())
        }
        Command::Deposit { id, amount } => {
            let done = post(&client, &id, "deposits", &json!({"amount": amount})).await?;
            print_done(format, &done, &format!("{amount} USD were paid in to {id}"));
            Ok(())
        }
        Command::Payout { id, amount } => {
            let done = post(&client, &id, "payouts", &json!({"amount": amount})).await?;
            print_done(format, &done, &format!("{amount} USD were paid out of {id}"));
            Ok(())
        }
        Command::Correct(asked) => correct(&client, asked, format).await,
        Command::Freeze { id, undo } => {
            let done = post(&client, &id, "freeze", &json!({"frozen": !undo})).await?;
            let how = if undo { "buys and sells again" } else { "is frozen" };
            print_done(format, &done, &format!("{id} {how}"));
            Ok(())
        }
        Command::Limits(asked) => limits(&client, asked, format).await,
    }
}

async fn post(client: &Client, id: &Name, what: &str, body: &Value) -> anyhow::Result<Value> {
    client.send(Method::POST, &format!("/v1/accounts/{id}/{what}"), body).await
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let listed = client.get("/v1/accounts").await?;
    if format.is_json() {
        print_json(&listed);
        return Ok(());
    }
    let columns = [("id", Text), ("balance", Usd), ("held", Usd), ("credit limit", Usd), ("frozen", Text)];
    let row = |account| cells(account, ["id", "balance", "held", "credit_limit", "frozen"]);
    format.print_table(&columns, objects(&listed, "accounts").iter().map(row));
    println!("sum: {}", format.with_unit(Usd, &text(&listed, "sum")));
    Ok(())
}

async fn show(client: &Client, id: &Name, format: Format) -> anyhow::Result<()> {
    let account = client.get(&format!("/v1/accounts/{id}")).await?;
    if format.is_json() {
        print_json(&account);
        return Ok(());
    }
    let money = ["balance", "held", "credit_limit", "exposure"].map(|field| (field, Usd));
    let others = ["frozen", "rate_per_second", "max_concurrency"].map(|field| (field, Number));
    let row = |(field, kind): (&str, Kind)| vec![field.to_owned(), format.with_unit(kind, &text(&account, field))];
    print_table(&[(id.as_str(), Text), ("", Number)], money.into_iter().chain(others).map(row));
    let budgets = objects(&account, "budgets");
    if !budgets.is_empty() {
        println!();
        let columns = [("budget", Text), ("amount", Usd), ("spent", Usd), ("held", Usd)];
        format.print_table(&columns, budgets.iter().map(|budget| cells(budget, ["period", "amount", "spent", "held"])));
    }
    Ok(())
}

async fn correct(client: &Client, asked: Correct, format: Format) -> anyhow::Result<()> {
    if asked.from.is_none() && asked.to.is_none() {
        bail!("name the other account: --from to credit {}, --to to debit it", asked.id);
    }
    let kind = if asked.refund { "refund" } else { "correction" };
    let about = asked.about.map(|id| id.to_string());
    let (from, to, amount, reason) = (asked.from, asked.to, asked.amount, asked.reason);
    let body = json!({"kind": kind, "from": from, "to": to, "amount": amount, "about": about, "reason": reason});
    let done = post(client, &asked.id, "corrections", &body).await?;
    print_done(format, &done, &format!("a {kind} of {amount} USD is booked on {}", asked.id));
    Ok(())
}

/// Reads the account's limits and sets those that were given.
async fn limits(client: &Client, asked: Limits, format: Format) -> anyhow::Result<()> {
    let path = format!("/v1/accounts/{}", asked.id);
    let now = client.get(&path).await?;
    let mut changed = Map::new();
    let credit = asked.credit.map(|credit| OrNone(json!(credit)));
    let fields = [
        ("credit_limit", credit),
        ("rate_per_second", asked.rate),
        ("exposure", asked.exposure),
        ("max_concurrency", asked.max_concurrency),
    ];
    for (field, asked) in fields {
        changed.insert(field.to_owned(), asked.map_or_else(|| now[field].clone(), |OrNone(limit)| limit));
    }
    let mut budgets = Vec::new();
    for (period, asked) in [("day", asked.day_budget), ("month", asked.month_budget)] {
        let stands = || objects(&now, "budgets").iter().find(|budget| budget["period"] == period);
        let amount =
            asked.map_or_else(|| stands().map_or(Value::Null, |b| b["amount"].clone()), |OrNone(amount)| amount);
        if !amount.is_null() {
            budgets.push(json!({"period": period, "amount": amount}));
        }
    }
    changed.insert("budgets".to_owned(), Value::Array(budgets));
    let done = client.send(Method::PUT, &format!("{path}/limits"), &Value::Object(changed)).await?;
    print_done(format, &done, &format!("the limits of {} are set", asked.id));
    Ok(())
}
