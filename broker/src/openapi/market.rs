//! Market data, providers, accounts as they stand, and the health of the broker.

use super::operation::Operation;
use super::schema::{
    Schema, count, list, market_part, name, named, object, one_of, range, small_count, text, time, usd,
};

const TAG: &str = "Market data";
const ACCOUNTS: &str = "Accounts";
const STATE: &str = "Health";

fn of_market(id: &'static str, summary: &str) -> Operation {
    Operation::new(id, TAG, summary)
        .path("region", market_part(), "The region of the market.")
        .path("class", market_part(), "Its class, such as `wasm`.")
        .errors([404, 422])
}

impl Operation {
    fn with_span(self, most: i64) -> Operation {
        self.query("from", time(), "Nothing before.").query("to", time(), "Nothing after.").query(
            "limit",
            range(1, most),
            "At most so many, the newest.",
        )
    }
}

pub(crate) fn markets() -> Operation {
    Operation::new("list_markets", TAG, "List the markets")
        .describe("Prices, offers, capacity and trades are the public ones.")
        .answers(object([("markets", list(named("Market")))], []))
}

pub(crate) fn book() -> Operation {
    of_market("get_book", "Get the book of a market")
        .describe("Of public offers: those of own providers, and those for some accounts only, are not in it.")
        .answers(named("Book"))
}

pub(crate) fn trades() -> Operation {
    of_market("list_trades", "List the trades of a market")
        .describe(
            "The public trades, and with `private` those that only the caller's account and the other side see. Those \
             that it paid come with invocation and cost.",
        )
        .with_span(1_000)
        .query("before", count(), "Only those of a lower sequence.")
        .answers(object([("trades", list(named("Trade")))], []))
}

pub(crate) fn candles() -> Operation {
    of_market("list_candles", "List the candles of a market")
        .with_span(1_500)
        .query("interval", interval(), "The length of a candle.")
        .answers(object([("market", text()), ("interval", interval()), ("candles", list(named("Candle")))], []))
}

fn interval() -> Schema {
    one_of(["1s", "1m", "1h", "1d"])
}

pub(crate) fn stream() -> Operation {
    Operation::new("stream", TAG, "Stream the market")
        .describe(
            "Server-sent events: `snapshot`, then `delta`, `trade`, `state` and `heartbeat`. It does not end. 64 at \
             once for an account, or an address without a key.",
        )
        .query("markets", text(), "Names, separated by commas; none: all.")
        .header("Last-Event-ID", text(), "Goes on after that event, or begins with a snapshot.")
        .answers_content("text/event-stream", text())
        .errors([404, 422, 429])
}

pub(crate) fn providers() -> Operation {
    Operation::new("list_providers", TAG, "List the providers")
        .describe(
            "Those of the market; own providers only to their account, to accounts that their offers name, and to the \
             operator. Limits, quotas and health only to the provider's own account and the operator.",
        )
        .answers(object([("providers", list(named("Provider")))], []))
}

fn of_account(id: &'static str, summary: &str) -> Operation {
    Operation::new(id, ACCOUNTS, summary).path("id", name(), "The account.").errors([404])
}

pub(crate) fn account() -> Operation {
    of_account("get_account", "Get an account").answers(named("Account"))
}

pub(crate) fn statement() -> Operation {
    of_account("get_statement", "List the double-entry lines of an account")
        .with_span(1_000)
        .query("before", count(), "Only those of a lower sequence.")
        .answers(object([("account", name()), ("lines", list(named("StatementLine")))], []))
}

pub(crate) fn accounts() -> Operation {
    Operation::new("list_accounts", "Operator", "List all accounts and their sum, which is 0")
        .answers(object([("accounts", list(named("Account"))), ("sum", usd())], []))
}

pub(crate) fn health() -> Operation {
    Operation::new("health", STATE, "Whether the process answers").answers_content("text/plain; charset=utf-8", text())
}

pub(crate) fn ready() -> Operation {
    Operation::new("ready", STATE, "Whether calls can be served")
        .describe("503 while it drains and while the exchange does not answer.")
        .answers_content("text/plain; charset=utf-8", text())
}

pub(crate) fn metrics() -> Operation {
    Operation::new("metrics", STATE, "Metrics for Prometheus")
        .answers_content("text/plain; version=0.0.4", text())
        .errors([500])
}

pub(crate) fn document() -> Operation {
    Operation::new("openapi", STATE, "This description")
        .answers(super::schema::open_object([("openapi", text()), ("paths", super::schema::any())]))
}

/// Returns a whole number of 32 bits, or null.
pub(super) fn maybe_count() -> Schema {
    super::schema::nullable(small_count())
}
