//! The operator's commands: each is journaled and answered with its sequence.

use super::market::maybe_count;
use super::operation::Operation;
use super::registry::budget;
use super::schema::{
    Schema, amount, flag, lease, like, list, map, market_part, name, named, nullable, object, one_of, range, text, time,
};

const TAG: &str = "Operator";

fn command(id: &'static str, summary: &str) -> Operation {
    Operation::new(id, TAG, summary).answers(named("Accepted")).errors([404, 409, 422])
}

fn of_account(id: &'static str, summary: &str) -> Operation {
    command(id, summary).path("id", name(), "The account.")
}

fn of_provider(id: &'static str, summary: &str) -> Operation {
    command(id, summary).path("name", name(), "The provider.")
}

fn market_terms() -> [(&'static str, Schema); 3] {
    let bands = object([("low", amount()), ("high", amount())], []);
    [("state", one_of(["open", "cancel_only", "halted"])), ("bands", nullable(bands)), ("self_dealing", flag())]
}

pub(crate) fn create_market() -> Operation {
    let market = like("^[a-z0-9_-]{1,32}/[a-z0-9_-]{1,32}$", "eu-west/wasm");
    command("create_market", "Make a market")
        .takes(object([("market", market)], market_terms()))
        .answers(named("MarketTerms"))
}

pub(crate) fn put_market() -> Operation {
    command("put_market", "Replace the terms of a market")
        .describe("A term that is left out is as in a new market. `POST /v1/markets` makes one.")
        .path("region", market_part(), "The region of the market.")
        .path("class", market_part(), "Its class, such as `wasm`.")
        .may_take(object([], market_terms()))
        .answers(named("MarketTerms"))
}

pub(crate) fn delete_market() -> Operation {
    command("delete_market", "Delete a market without offers, running calls, and bids that wait there alone")
        .path("region", market_part(), "The region of the market.")
        .path("class", market_part(), "Its class, such as `wasm`.")
}

fn clock_report() -> Schema {
    object([("at", time()), ("clock", time()), ("refused", flag())], [])
}

pub(crate) fn clock() -> Operation {
    Operation::new("clock", TAG, "Read the market's time, and the exchange's clock").answers(clock_report())
}

pub(crate) fn accept_clock() -> Operation {
    Operation::new("accept_clock", TAG, "Follow a clock that was set by more than a minute").answers(clock_report())
}

pub(crate) fn close_lease() -> Operation {
    command("close_lease", "Close an open lease at cost 0").path("id", lease(), "The lease.")
}

pub(crate) fn register_provider() -> Operation {
    let provider =
        object([("name", name()), ("account", name()), ("kind", one_of(["own", "market"]))], [("labels", labels())]);
    command("register_provider", "Register a provider").takes(provider)
}

pub(crate) fn kill_provider() -> Operation {
    of_provider("kill_provider", "Stop a provider from selling").takes(object([("reason", text())], []))
}

pub(crate) fn revive_provider() -> Operation {
    of_provider("revive_provider", "Let a provider sell again")
}

pub(crate) fn limit_provider() -> Operation {
    let limits =
        object([], [("offers", maybe_count()), ("quotes_per_second", maybe_count()), ("exposure", nullable(amount()))]);
    of_provider("limit_provider", "Replace the limits of a provider").takes(limits)
}

pub(crate) fn label_provider() -> Operation {
    of_provider("label_provider", "Replace the labels that are granted to a provider")
        .takes(object([("labels", labels())], []))
}

pub(crate) fn set_targets() -> Operation {
    of_provider("set_targets", "Replace the targets that functions may name beside those at the endpoint")
        .describe(
            "For a provider's key of its account, and for operators. Each pattern is a URL, such as \
             `https://fn.example/resize`, or one with `/*` at its end, which allows everything below it.",
        )
        .takes(object([("targets", list(text()))], []))
}

fn labels() -> Schema {
    map(text())
}

pub(crate) fn open_account() -> Operation {
    command("open_account", "Open an account").takes(object([("id", name())], []))
}

pub(crate) fn deposit() -> Operation {
    of_account("deposit", "Enter what was paid in").takes(object([("amount", amount())], []))
}

pub(crate) fn payout() -> Operation {
    of_account("pay_out", "Enter what was paid out").takes(object([("amount", amount())], [])).errors([402])
}

pub(crate) fn correct() -> Operation {
    let entry = object(
        [("amount", amount()), ("reason", text())],
        [
            ("kind", one_of(["correction", "refund"])),
            ("from", nullable(name())),
            ("to", nullable(name())),
            ("about", nullable(lease())),
        ],
    );
    of_account("correct", "Enter a correction or a refund")
        .describe("Exactly one of `from` and `to` names the other account.")
        .takes(entry)
        .errors([402])
}

pub(crate) fn freeze() -> Operation {
    of_account("freeze_account", "Freeze an account, or free it").may_take(object([], [("frozen", flag())]))
}

pub(crate) fn limit_account() -> Operation {
    let limits = object(
        [],
        [
            ("credit_limit", amount()),
            ("rate_per_second", maybe_count()),
            ("exposure", nullable(amount())),
            ("max_concurrency", maybe_count()),
            ("budgets", list(budget())),
        ],
    );
    of_account("limit_account", "Replace the limits of an account").takes(limits)
}

fn of_key(id: &'static str, summary: &str) -> Operation {
    let key = like("^key-[1-9][0-9]{0,18}$", "key-4711");
    Operation::new(id, "Keys", summary).path("id", key, "The key.")
}

pub(crate) fn keys() -> Operation {
    Operation::new("list_keys", "Keys", "List the keys that the caller may see")
        .answers(object([("keys", list(named("Key")))], []))
}

pub(crate) fn create_key() -> Operation {
    let role = one_of(["client", "provider", "operator", "broker"]);
    Operation::new("create_key", "Keys", "Make a key; its secret is shown only once")
        .takes(object([("role", role), ("account", name())], [("expires", nullable(time()))]))
        .answers(named("NewKey"))
        .errors([404, 422, 429])
}

pub(crate) fn revoke_key() -> Operation {
    of_key("revoke_key", "Let a key be used no more").answers(named("Key")).errors([404, 409, 422])
}

pub(crate) fn rotate_key() -> Operation {
    of_key("rotate_key", "Give a key a new secret, shown only once")
        .may_take(object([], [("keep_previous_ms", range(0, 2_678_400_000))]))
        .answers(named("NewKey"))
        .errors([404, 409, 422])
}
