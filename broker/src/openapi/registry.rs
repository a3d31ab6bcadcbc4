//! Functions: definitions, revisions, aliases, modules.

use super::operation::Operation;
use super::schema::Schema;
use super::schema::{
    amount, any, bytes, count, either, flag, list, map, name, named, nullable, object, one_of, range, small_count, text,
};

const TAG: &str = "Functions";

fn operation(id: &'static str, summary: &str) -> Operation {
    Operation::new(id, TAG, summary)
}

fn of_function(id: &'static str, summary: &str) -> Operation {
    operation(id, summary).path("name", name(), "The function's name.").errors([404])
}

pub(crate) fn list_all() -> Operation {
    operation("list_functions", "List the functions of the account")
        .describe(
            "By name. A page ends early where it has 1 MB, so it may have fewer functions than its limit, and still a \
             `next`.",
        )
        .query("limit", range(1, 1_000), "At most so many; 100 by default.")
        .query("cursor", name(), "`next` of the page before.")
        .answers(object([("functions", list(named("Function")))], [("next", text())]))
}

pub(crate) fn get() -> Operation {
    of_function("get_function", "Get a function").answers(named("Function"))
}

pub(crate) fn put() -> Operation {
    of_function("put_function", "Define a function")
        .describe(
            "A new revision where code, memory, timeout or environment differ. Without a module it keeps the last one. \
             A field that is left out has its default; where it is set at present, the answer is 409 `would_reset`.",
        )
        .query("reset", flag(), "`true`: reset the fields that are set and left out.")
        .takes(definition())
        .answers(named("Function"))
        .errors([409, 422])
}

pub(crate) fn patch() -> Operation {
    of_function("patch_function", "Change some fields of a function's definition")
        .describe(
            "A JSON merge patch (RFC 7396) over the definition as PUT takes it: `null` sets a field's default, what is \
             left out stays. `module: null` keeps the module.",
        )
        .takes(definition_patch())
        .answers(named("Function"))
        .errors([409, 422])
}

pub(crate) fn delete() -> Operation {
    of_function("delete_function", "Delete a function").answers(named("Accepted")).errors([409, 422])
}

pub(crate) fn revisions() -> Operation {
    of_function("list_revisions", "List the revisions of a function")
        .answers(object([("revisions", list(named("Revision")))], []))
}

pub(crate) fn put_alias() -> Operation {
    of_function("put_alias", "Point an alias at a revision")
        .path("alias", name(), "The alias; `live` is the one that calls without one use.")
        .describe(
            "`weights` sends a share of the calls to one other revision, for a canary: `{\"4\": 0.1}` is a tenth of \
             them.",
        )
        .takes(object([("revision", small_count())], [("weights", map(any()))]))
        .answers(named("Function"))
        .errors([409, 422])
}

pub(crate) fn put_module() -> Operation {
    of_function("put_module", "Upload a WebAssembly module")
        .describe(
            "Kept by its content; a new revision of the function, which is made if it is not there. At most 32 MB.",
        )
        .query("revision", flag(), "`false`: only keep the module, for a definition that names it.")
        .takes_module()
        .answers(either([named("Function"), named("Kept")]))
        .errors([409, 422])
}

pub(crate) fn get_module() -> Operation {
    of_function("get_module", "Download a WebAssembly module")
        .describe("That of the newest revision, or of another one. Counts as a call of the account's rate.")
        .query("revision", count(), "The number of the revision.")
        .answers_content("application/wasm", bytes())
        .errors([429])
}

pub(crate) fn warm() -> Operation {
    of_function("warm_function", "Load a function's module before its first call")
        .describe(
            "Asks up to 32 providers to which calls may go, cheapest first, to fetch and compile the module. Answers \
             its readiness at each; repeat until it is `ready`. Counts as a call of the account's rate.",
        )
        .query("revision", count(), "The number of the revision; the newest if it is left out.")
        .answers(object([("revision", count()), ("readiness", list(named("Readiness")))], []))
        .errors([422, 429])
}

/// Returns the fields of a budget that is set.
pub(super) fn budget() -> Schema {
    object([("period", one_of(["day", "month"])), ("amount", amount())], [])
}

/// Returns the fields of a deployment: the provider, and the target there.
pub(super) fn deployment() -> Schema {
    object([("provider", name()), ("target", text())], [])
}

fn definition() -> Schema {
    let limits = [
        ("max_cost", nullable(amount())),
        ("max_price", nullable(amount())),
        ("max_latency_ms", nullable(small_count())),
        ("only", list(name())),
        ("ignore", list(name())),
    ];
    let may_be_null = ["providers", "max_concurrency", "limits", "module", "public"];
    let fields = fields(limits, text());
    object([], fields.map(|(name, shape)| (name, if may_be_null.contains(&name) { nullable(shape) } else { shape })))
}

fn definition_patch() -> Schema {
    let limits = [
        ("max_cost", amount()),
        ("max_price", amount()),
        ("max_latency_ms", small_count()),
        ("only", list(name())),
        ("ignore", list(name())),
    ];
    let fields = fields(limits.map(|(name, shape)| (name, nullable(shape))), nullable(text()));
    object([], fields.map(|(name, shape)| (name, nullable(shape))))
}

/// Returns the fields of a definition with these limits, and such values of labels and variables.
fn fields(limits: [(&'static str, Schema); 5], value: Schema) -> [(&'static str, Schema); 14] {
    [
        ("memory_mb", range(1, 10_240)),
        ("timeout_ms", range(1, 900_000)),
        ("idempotent", flag()),
        ("providers", either([one_of(["own", "any"]), list(name())])),
        ("markets", list(text())),
        ("max_concurrency", small_count()),
        ("labels", map(value.clone())),
        ("environment", map(value)),
        ("limits", object([], limits)),
        ("budgets", list(budget())),
        ("deployments", list(deployment())),
        ("module", text()),
        ("public", object([("requests_per_second", range(1, 10_000))], [])),
        ("logs", flag()),
    ]
}
