//! The doors that call functions: native, pass-through, Lambda, OpenFaaS.

use merit_terms::InvocationState;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Required, Response, content::ContentBuilder};

use super::operation::{Operation, said};
use super::schema::{
    any, bytes, count, flag, lease, like, list, name, named, object, one_of, open_object, range, small_count, text,
    time, usd,
};
use super::shapes::outcome;
use crate::doors::error_shape::Shape;

const INVOKE: &str = "Invoke";
const LAMBDA: &str = "AWS Lambda";
const OPENFAAS: &str = "OpenFaaS";

/// Statuses of calls beside an answer: funds, no function, no offer, limits, the function's failure, not built yet, a
/// provider's failure, a deadline, a function that calls itself.
const ENDS: [u16; 9] = [402, 404, 422, 429, 500, 501, 502, 504, 508];
/// Pattern of an amount in USD. Lists of preferences are separated by commas.
const AMOUNT: &str = r"^[0-9]{1,6}(\.[0-9]{1,12})?$";
const NAMES: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(, ?[A-Za-z0-9][A-Za-z0-9_-]{0,63}){0,8}$";
const REGIONS: &str = r"^[a-z0-9*_-]{1,32}(/[a-z0-9*_-]{1,32})?(, ?[a-z0-9*_-]{1,32}(/[a-z0-9*_-]{1,32})?){0,8}$";
const LABELS: &str = "^[a-z][a-z0-9_-]{0,30}=[A-Za-z0-9_-]{1,30}(, ?[a-z][a-z0-9_-]{0,30}=[A-Za-z0-9_-]{1,30}){0,4}$";
const DEADLINE: &str =
    r"^(\+[0-9]{1,4}(ms|s|m)|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z)$";
const QUALIFIER: &str = r"^(\$LATEST|[0-9]{1,9}|[A-Za-z][A-Za-z0-9_-]{0,63})$";
const CALL_ID: &str = "^[!-~]{1,128}$";
const FUNCTION: &str = "A function: its name, `name:alias` or `name:revision`.";

impl Operation {
    /// Adds the preferences that every invoking call takes.
    fn with_preferences(self) -> Operation {
        self.header("Merit-Max-Cost", like(AMOUNT, "0.0005"), "The most that the whole call may cost, in USD.")
            .header("Merit-Max-Price", like(AMOUNT, "0.00003"), "The highest reference price, in USD per GB-s.")
            .header("Merit-Only", like(NAMES, "edge-1, edge-2"), "Providers of which one is to serve the call.")
            .header("Merit-Ignore", like(NAMES, "edge-3"), "Providers that may not serve it.")
            .header(
                "Merit-Region",
                like(REGIONS, "loc*"),
                "Patterns over regions, or over markets: `eu-*, us-east/wasm`.",
            )
            .header("Merit-Labels", like(LABELS, "residency=eu"), "Labels that the provider must have.")
            .header("Merit-Max-Latency-Ms", small_count(), "The longest predicted time of the call.")
            .header("Merit-Allow-Fallback", flag(), "`false`: one attempt. Default `true`.")
            .header(
                "Merit-Deadline",
                like(DEADLINE, "+30s"),
                "The total time that the call has: RFC 3339, or so many ms, s, m.",
            )
            .header("Merit-Idempotent", flag(), "Whether this call may run twice; else the function's word counts.")
    }

    /// Adds the wish for the end of the log.
    fn with_log_type(self) -> Operation {
        self.header(
            "Merit-Log-Type",
            one_of(["None", "Tail"]),
            "`Tail`: the end of the log in `Merit-Log-Result`, if the answer does not stream.",
        )
    }

    /// Adds the answer of the function itself: any status and content, with the receipt in its headers.
    fn answers_of_function(self) -> Operation {
        self.response("default", receipt("The function's own answer, its status and its content.", "*/*"))
            .response("200", receipt("The function's own answer, its status and its content.", "*/*"))
    }
}

fn receipt(text_: &str, kind: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(bytes())).build();
    let told = [
        ("merit-invocation-id", lease()),
        ("merit-provider", name()),
        ("merit-market", text()),
        ("merit-revision", count()),
        ("merit-price", usd()),
        ("merit-quoted-cost", usd()),
        ("merit-cost", usd()),
        ("merit-billed-ms", count()),
        ("merit-attempts", count()),
        ("merit-overhead-us", count()),
        // Base64, for a caller who asks for it.
        ("merit-log-result", text()),
    ];
    let response = ResponseBuilder::new().description(text_).content(kind, content);
    told.into_iter().fold(response, |response, (name, shape)| response.header(name, said(shape))).build()
}

pub(crate) fn invoke() -> Operation {
    Operation::new("invoke", INVOKE, "Invoke a function")
        .describe("The body is the payload, of any content type; CloudEvents are taken in binary and structured mode.")
        .path("name", text(), FUNCTION)
        .query("mode", one_of(["sync", "deferred"]), "`deferred` is not in this version.")
        .header("Prefer", text(), "`respond-async` is not in this version.")
        .header("Idempotency-Key", text(), "Not in this version.")
        .with_preferences()
        .with_log_type()
        .takes_payload()
        .answers_of_function()
        .errors(ENDS)
}

pub(crate) fn pass_through() -> Operation {
    Operation::new("pass_through", INVOKE, "Pass a request through to a function")
        .describe("Method, path, query, headers and body reach the function; both ways stream.")
        .path("name", text(), FUNCTION)
        .with_preferences()
        .with_log_type()
        .takes_payload()
        .answers_of_function()
        .errors(ENDS)
}

pub(crate) fn pass_through_path() -> Operation {
    pass_through().renamed("pass_through_path").path("path", text(), "What the function sees as its path.")
}

pub(crate) fn quote() -> Operation {
    Operation::new("quote", INVOKE, "Quote a call")
        .describe(
            "The ranked merit order for this call, now, and why others are refused. Refused offers that the account \
             may not see are counted, not named. Runs nothing; counts as a call of the account's rate.",
        )
        .path("name", text(), FUNCTION)
        .with_preferences()
        .may_take(object([], [("payload_bytes", range(0, 6 << 20))]))
        .answers(named("Quote"))
        .errors([404, 422, 429])
}

pub(crate) fn invocation() -> Operation {
    Operation::new("get_invocation", INVOKE, "Get the record of an invocation")
        .describe("State, attempts, usage, tariff, cost, and the decision.")
        .path("id", lease(), "The id, from `Merit-Invocation-Id`.")
        .answers(named("Invocation"))
        .errors([404])
}

impl Operation {
    /// Adds the query of a page, newest first.
    fn with_page(self) -> Operation {
        self.query("from", time(), "Nothing before.")
            .query("to", time(), "Nothing at this time or after.")
            .query("limit", range(1, 1_000), "At most so many, the newest; 100 by default.")
            .query("cursor", text(), "`next` of the page before.")
    }
}

pub(crate) fn invocations() -> Operation {
    Operation::new("list_invocations", INVOKE, "List one's invocations")
        .describe("Newest first. A page may have fewer than its limit, and still a `next`.")
        .query("function", name(), "Only calls of this function.")
        .query("outcome", outcome(), "Only calls that executed and ended like this.")
        .query("state", one_of(InvocationState::ALL.map(InvocationState::as_str)), "Only calls in this state.")
        .with_page()
        .answers(object([("invocations", list(named("Invocation")))], [("next", text())]))
        .errors([404])
}

pub(crate) fn logs() -> Operation {
    Operation::new("list_logs", INVOKE, "List the logs of a function")
        .describe(
            "The end of what each call wrote to its standard error, at most 4 KB, newest first; for the \
             function's own account. Kept for a week, as long as there are fewer than 100,000 logs in all. A \
             definition with `\"logs\": false` adds none, nor do calls of function servers.",
        )
        .path("name", name(), "The function.")
        .with_page()
        .query("after", count(), "Only those of a later sequence.")
        .answers(object([("logs", list(named("FunctionLog")))], [("next", text())]))
        .errors([404])
}

fn lambda(id: &'static str, summary: &str) -> Operation {
    Operation::at(id, LAMBDA, summary, Shape::Lambda).errors([404])
}

fn lambda_named(id: &'static str, summary: &str) -> Operation {
    lambda(id, summary).path("name", text(), "A name, `name:alias`, a partial or a whole ARN.").query(
        "Qualifier",
        like(QUALIFIER, "live"),
        "An alias, a version, or `$LATEST`.",
    )
}

pub(crate) fn lambda_list() -> Operation {
    lambda("lambda_list_functions", "ListFunctions")
        .query("Marker", text(), "`NextMarker` of the page before.")
        .query("MaxItems", count(), "At most 50.")
        .answers(open_object([("Functions", list(named("LambdaFunction")))]))
}

pub(crate) fn lambda_get() -> Operation {
    let function = open_object([("Configuration", named("LambdaFunction")), ("Code", any())]);
    lambda_named("lambda_get_function", "GetFunction").answers(function)
}

pub(crate) fn lambda_configuration() -> Operation {
    lambda_named("lambda_get_function_configuration", "GetFunctionConfiguration").answers(named("LambdaFunction"))
}

fn lambda_call(id: &'static str, summary: &str) -> Operation {
    lambda_named(id, summary)
        .header(
            "X-Amz-Invocation-Type",
            one_of(["RequestResponse", "Event", "DryRun"]),
            "`Event` is not in this version.",
        )
        .header("X-Amz-Log-Type", one_of(["None", "Tail"]), "`Tail`: the end of the log in `X-Amz-Log-Result`.")
        .header("X-Amz-Client-Context", text(), "Passed on to the function.")
        .with_preferences()
        .with_log_type()
        .takes_payload()
        .response(
            "204",
            ResponseBuilder::new().description("DryRun: what it would cost, in `Merit-*` headers.").build(),
        )
        .errors([402, 409, 429, 500, 501])
}

pub(crate) fn lambda_invoke() -> Operation {
    lambda_call("lambda_invoke", "Invoke")
        .describe("A function's own error is 200 with `X-Amz-Function-Error`, as is a call that may have run.")
        .response("200", receipt("The function's answer, or its error.", "*/*"))
}

pub(crate) fn lambda_stream() -> Operation {
    lambda_call("lambda_invoke_with_response_stream", "InvokeWithResponseStream")
        .response("200", receipt("The function's answer as an event stream.", "application/vnd.amazon.eventstream"))
}

fn openfaas(id: &'static str, summary: &str) -> Operation {
    Operation::at(id, OPENFAAS, summary, Shape::OpenFaas)
}

pub(crate) fn openfaas_invoke() -> Operation {
    openfaas("openfaas_invoke", "Invoke a function")
        .path("name", text(), "`name`, or `name.namespace` where the namespace is the account.")
        .describe(
            "A function that its definition makes `public` is called by anybody, also without a key, as \
             `name.account`, on that account's bill. Such a caller sets no preferences and is told no cost.",
        )
        .header("X-Call-Id", like(CALL_ID, "7f3c"), "Made if absent, and told.")
        .with_preferences()
        .with_log_type()
        .takes_payload()
        .answers_of_function()
        .errors(ENDS)
}

pub(crate) fn openfaas_invoke_path() -> Operation {
    openfaas_invoke().renamed("openfaas_invoke_path").path("path", text(), "What the function sees as its path.")
}

pub(crate) fn openfaas_async() -> Operation {
    openfaas("openfaas_invoke_async", "Invoke a function and call back")
        .describe("Not in this version: 501.")
        .path("name", text(), "`name`, or `name.namespace`.")
        .takes_content("*/*", bytes(), Required::False)
        .errors([501])
}

pub(crate) fn openfaas_async_path() -> Operation {
    openfaas_async().renamed("openfaas_invoke_async_path").path("path", text(), "What the function sees as its path.")
}

pub(crate) fn openfaas_list() -> Operation {
    openfaas("openfaas_list_functions", "List the functions")
        .query("namespace", text(), "The account, or `openfaas-fn`.")
        .answers(list(named("OpenFaasFunction")))
}

pub(crate) fn openfaas_get() -> Operation {
    openfaas("openfaas_get_function", "Get a function")
        .path("name", text(), "`name`, or `name.namespace`.")
        .answers(named("OpenFaasFunction"))
        .errors([404])
}

pub(crate) fn openfaas_info() -> Operation {
    openfaas("openfaas_info", "What this gateway is").answers(open_object([
        ("arch", text()),
        ("provider", open_object([])),
        ("version", open_object([])),
    ]))
}
