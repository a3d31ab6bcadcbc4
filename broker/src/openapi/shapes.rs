//! The shapes of answers by name: functions, accounts, markets, providers, invocations, quotes, and errors.
//!
//! A test compares real answers with them: no field may be missing here, and none too many.

use merit_terms::{InvocationState, Outcome};
use utoipa::openapi::ComponentsBuilder;

use super::registry::deployment;
use super::schema::{
    Schema, any, count, either, flag, gb_seconds, lease, list, map, name, named, nullable, object, one_of, open_object,
    text, time, usd,
};

/// Returns every shape that an operation names.
pub(super) fn all() -> ComponentsBuilder {
    let shapes = [
        ("Error", error()),
        ("LambdaError", open_object([("Type", one_of(["User", "Service"]))])),
        ("Accepted", object([("sequence", count())], [])),
        ("Budget", object([("period", period()), ("amount", usd()), ("spent", usd()), ("held", usd())], [])),
        ("Function", function()),
        ("FunctionLimits", function_limits()),
        ("Kept", object([("module", text())], [])),
        ("Revision", revision()),
        ("Readiness", readiness()),
        ("Key", key()),
        ("NewKey", new_key()),
        ("Account", account()),
        ("StatementLine", statement_line()),
        ("Market", market()),
        ("MarketTerms", market_terms()),
        ("Bands", nullable(object([("low", usd()), ("high", usd())], []))),
        ("Book", book()),
        ("BidLevel", object([("price", usd()), ("memory_mb", count()), ("bids", count())], [])),
        ("Trade", trade()),
        ("Candle", candle()),
        ("Provider", provider()),
        ("Quota", quota()),
        ("Health", health()),
        ("Quote", quote()),
        ("QuotedOffer", quoted_offer()),
        ("RefusedOffer", refused_offer()),
        ("Invocation", invocation()),
        ("Attempt", attempt()),
        ("FunctionLog", function_log()),
        ("Tariff", tariff()),
        ("LambdaFunction", lambda_function()),
        ("OpenFaasFunction", openfaas_function()),
    ];
    shapes.into_iter().fold(ComponentsBuilder::new(), |components, (name, shape)| components.schema(name, shape))
}

fn error() -> Schema {
    let said =
        object([("code", text()), ("message", text()), ("invocation_id", nullable(lease())), ("details", any())], []);
    object([("error", said)], [])
}

fn period() -> Schema {
    one_of(["day", "month", "never"])
}

fn function() -> Schema {
    object(
        [
            ("name", name()),
            ("account", name()),
            ("revision", count()),
            ("memory_mb", count()),
            ("timeout_ms", count()),
            ("module", nullable(text())),
            ("environment", map(text())),
            ("idempotent", flag()),
            ("providers", either([one_of(["own", "any"]), list(text())])),
            ("markets", list(text())),
            ("max_concurrency", nullable(count())),
            ("labels", map(text())),
            ("limits", named("FunctionLimits")),
            ("budgets", list(named("Budget"))),
            ("aliases", map(count())),
            // Of an alias, the share of a second revision.
            ("weights", map(map(any()))),
            ("deployments", list(deployment())),
            ("running", count()),
            ("public", nullable(object([("requests_per_second", count())], []))),
            ("logs", flag()),
        ],
        // Told of one function, not in lists and answers to changes.
        [("readiness", nullable(list(named("Readiness"))))],
    )
}

fn readiness() -> Schema {
    object(
        [
            ("provider", name()),
            ("state", one_of(["ready", "warming", "refused", "unknown"])),
            ("retry_after_s", nullable(count())),
            ("reason", nullable(text())),
        ],
        [],
    )
}

fn function_limits() -> Schema {
    object(
        [
            ("max_cost", nullable(usd())),
            ("max_price", nullable(usd())),
            ("max_latency_ms", nullable(count())),
            ("only", list(text())),
            ("ignore", list(text())),
        ],
        [],
    )
}

fn revision() -> Schema {
    object(
        [
            ("revision", count()),
            ("memory_mb", count()),
            ("timeout_ms", count()),
            ("environment", map(text())),
            ("module", nullable(text())),
            ("deployments", list(deployment())),
        ],
        [],
    )
}

/// A key without its secret.
fn key() -> Schema {
    object(key_fields(), [])
}

/// A key as it is told once.
fn new_key() -> Schema {
    let [id, role, account, version, created_at, expires, revoked, previous_until] = key_fields();
    let (secret, sequence) = (("secret", text()), ("sequence", count()));
    object([id, role, account, version, created_at, expires, revoked, previous_until, secret, sequence], [])
}

fn key_fields() -> [(&'static str, Schema); 8] {
    [
        ("id", text()),
        ("role", one_of(["client", "provider", "operator", "broker"])),
        ("account", name()),
        ("version", count()),
        ("created_at", time()),
        ("expires", nullable(time())),
        ("revoked", flag()),
        ("previous_until", nullable(time())),
    ]
}

fn account() -> Schema {
    object(
        [
            ("id", name()),
            ("balance", usd()),
            ("held", usd()),
            ("frozen", flag()),
            ("credit_limit", usd()),
            ("rate_per_second", nullable(count())),
            ("exposure", nullable(usd())),
            ("max_concurrency", nullable(count())),
            ("budgets", list(named("Budget"))),
        ],
        [],
    )
}

fn statement_line() -> Schema {
    object(
        [
            ("sequence", count()),
            ("at", time()),
            ("counter_account", text()),
            ("amount", usd()),
            ("balance", usd()),
            ("why", text()),
        ],
        [("lease", lease()), ("invocation_id", lease()), ("reason", text())],
    )
}

fn market_state() -> Schema {
    one_of(["open", "cancel_only", "halted", ""])
}

fn market() -> Schema {
    object(
        [
            ("market", text()),
            ("spot_price", nullable(usd())),
            ("last_price", nullable(usd())),
            ("offers", count()),
            ("capacity_mb", count()),
            ("free_mb", count()),
            ("bids", count()),
            ("trades", count()),
            ("state", market_state()),
            ("bands", named("Bands")),
            ("self_dealing", flag()),
        ],
        [],
    )
}

fn market_terms() -> Schema {
    object(
        [
            ("sequence", count()),
            ("market", text()),
            ("state", market_state()),
            ("bands", named("Bands")),
            ("self_dealing", flag()),
        ],
        [],
    )
}

fn book() -> Schema {
    let level = object([("price", usd()), ("capacity_mb", count()), ("free_mb", count()), ("offers", count())], []);
    object(
        [
            ("market", text()),
            ("sequence", count()),
            ("checksum", count()),
            ("spot_price", nullable(usd())),
            ("last_price", nullable(usd())),
            ("offers", list(level)),
            ("bids", list(named("BidLevel"))),
            ("state", market_state()),
            ("bands", named("Bands")),
            ("self_dealing", flag()),
        ],
        [],
    )
}

fn trade() -> Schema {
    object(
        [
            ("sequence", count()),
            ("match_sequence", count()),
            ("at", time()),
            ("provider", text()),
            ("price", usd()),
            ("memory_mb", count()),
            ("gb_seconds", gb_seconds()),
        ],
        [("invocation_id", lease()), ("cost", usd()), ("private", flag())],
    )
}

fn candle() -> Schema {
    object(
        [
            ("at", time()),
            ("open", nullable(usd())),
            ("high", nullable(usd())),
            ("low", nullable(usd())),
            ("close", nullable(usd())),
            ("gb_seconds", gb_seconds()),
            ("trades", count()),
        ],
        [],
    )
}

/// The last fields are told to who may see the provider's own affairs.
fn provider() -> Schema {
    let pool = object([("memory_mb", count()), ("slots", count()), ("leased_mb", count()), ("leases", count())], []);
    let limits = object(
        [("offers", nullable(count())), ("quotes_per_second", nullable(count())), ("exposure", nullable(usd()))],
        [],
    );
    object(
        [
            ("name", name()),
            ("account", name()),
            ("kind", one_of(["own", "market"])),
            ("online", flag()),
            ("offers", count()),
            // `labels` are the operator's; `claimed_labels` are the provider's own claims.
            ("labels", map(text())),
            ("claimed_labels", map(text())),
            ("pools", list(pool)),
            // Why it was killed.
            ("killed", nullable(text())),
        ],
        [
            ("targets", list(text())),
            ("exposure", usd()),
            ("limits", limits),
            ("protection", nullable(object([("leases", count()), ("within_ms", count())], []))),
            ("quotas", list(named("Quota"))),
            ("health", list(named("Health"))),
        ],
    )
}

fn quota() -> Schema {
    object(
        [
            ("name", text()),
            ("renews", period()),
            ("requests", nullable(count())),
            ("used_requests", count()),
            ("gb_seconds", nullable(gb_seconds())),
            ("used_gb_seconds", gb_seconds()),
        ],
        [],
    )
}

fn health() -> Schema {
    object(
        [
            ("function", nullable(text())),
            ("revision", nullable(count())),
            ("failures", count()),
            ("until", time()),
            ("trial", nullable(lease())),
            ("reason", text()),
        ],
        [],
    )
}

fn quote() -> Schema {
    object(
        [
            ("function", name()),
            ("revision", count()),
            ("at", time()),
            ("sequence", count()),
            ("offers", list(named("QuotedOffer"))),
            ("refused", list(named("RefusedOffer"))),
        ],
        [("more_offers", count()), ("more_refused", map(count())), ("unknown_providers", list(unknown_provider()))],
    )
}

fn unknown_provider() -> Schema {
    object([("name", name()), ("nearest", nullable(name()))], [])
}

fn quoted_offer() -> Schema {
    let predicted = object(
        [("wall_us", count()), ("cold_us", count()), ("billed_ms", count()), ("cost", usd())],
        [("cost_of_answer", usd())],
    );
    object(
        [
            ("rank", count()),
            ("provider", text()),
            ("offer", text()),
            ("market", text()),
            ("price", usd()),
            ("predicted", predicted),
            ("worst_cost", usd()),
            ("timeout_ms", count()),
        ],
        [("prior", flag()), ("observed", flag()), ("success_percent", count())],
    )
}

fn refused_offer() -> Schema {
    object([("provider", text()), ("offer", text()), ("market", text()), ("code", text()), ("message", text())], [])
}

fn invocation() -> Schema {
    let usage = object(
        [
            ("wall_us", count()),
            ("cpu_us", count()),
            ("cold_us", count()),
            ("billed_ms", count()),
            ("estimated", flag()),
        ],
        [],
    );
    object(
        [
            ("id", lease()),
            ("function", name()),
            ("revision", count()),
            ("state", one_of(InvocationState::ALL.map(InvocationState::as_str))),
            ("account", name()),
            ("submitted_at", time()),
            ("attempts", list(named("Attempt"))),
            ("memory_mb", count()),
            ("vcpus", text()),
            ("tariff", named("Tariff")),
            ("quoted_cost", usd()),
        ],
        [
            ("deadline", time()),
            ("decision_sequence", count()),
            ("settled_at", time()),
            ("outcome", outcome()),
            ("usage", usage),
            ("egress_bytes", count()),
            ("cost", usd()),
            ("fee", usd()),
            // The end of its log; not in lists.
            ("log", text()),
            ("runner_up", object([("provider", text()), ("predicted_cost", usd())], [])),
        ],
    )
}

/// Returns the outcome of a call that executed.
pub(super) fn outcome() -> Schema {
    one_of(Outcome::ALL.map(Outcome::as_str))
}

fn function_log() -> Schema {
    let fields = [
        ("sequence", count()),
        ("at", time()),
        ("function", text()),
        ("invocation_id", lease()),
        ("provider", text()),
        ("outcome", outcome()),
        ("log", text()),
    ];
    object(fields, [])
}

fn attempt() -> Schema {
    let claim = object([("wall_us", count()), ("cpu_us", count()), ("cold_us", count())], []);
    object(
        [
            ("provider", text()),
            ("market", text()),
            ("lease", lease()),
            ("matched_at", time()),
            ("outcome", text()),
            ("wall_us", count()),
            ("quoted_cost", usd()),
            ("prior", flag()),
        ],
        [("cost", usd()), ("claim", claim)],
    )
}

fn tariff() -> Schema {
    object(
        [
            ("per_request", usd()),
            ("per_gb_second", usd()),
            ("per_cpu_ms", usd()),
            ("per_gb_egress", usd()),
            ("increment_ms", count()),
            ("minimum_ms", count()),
            ("memory_step_mb", count()),
            ("bills_cold_start", flag()),
        ],
        [],
    )
}

fn lambda_function() -> Schema {
    open_object([
        ("FunctionName", name()),
        ("FunctionArn", text()),
        ("Version", text()),
        ("Runtime", text()),
        ("MemorySize", count()),
        ("Timeout", count()),
        ("State", text()),
        ("CodeSha256", text()),
    ])
}

fn openfaas_function() -> Schema {
    open_object([
        ("name", name()),
        ("namespace", name()),
        ("image", text()),
        ("labels", map(text())),
        ("annotations", map(text())),
        ("replicas", count()),
        ("availableReplicas", count()),
    ])
}
