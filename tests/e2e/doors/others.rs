//! Every route, in every role, against another account's objects: nothing is learnt, and nothing changed.
//!
//! A caller learns something if the answer differs from that about an object that does not exist.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::{Key, Secured};
use crate::market::{Answer, sample};

/// A route and the statuses of a stranger's call: without a key, and with a client's, a provider's and an operator's
/// key.
struct RouteRow {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    statuses: [u16; 4],
}

const fn row(method: &'static str, path: &'static str, body: &'static str, statuses: [u16; 4]) -> RouteRow {
    RouteRow { method, path, body, statuses }
}

impl RouteRow {
    /// Returns the statuses of all callers. No door accepts a broker's key, which is for the exchange alone.
    fn all_statuses(&self) -> impl Iterator<Item = u16> {
        let unknown_key = if self.path.starts_with("/20") { 403 } else { 401 };
        self.statuses.into_iter().chain([unknown_key])
    }
}

const CLIENTS: [u16; 4] = [401, 404, 403, 404];
const OPERATORS: [u16; 4] = [401, 403, 403, 200];
const PUBLIC: [u16; 4] = [200, 200, 200, 200];

/// Routes in the order of their calls; those that an operator's key really changes come last.
const ROWS: [RouteRow; 67] = [
    row("GET", "/v1/functions", "", [401, 200, 403, 200]),
    row("GET", "/v1/functions/{function}", "", CLIENTS),
    row("GET", "/v1/functions/{function}/revisions", "", CLIENTS),
    row("GET", "/v1/functions/{function}/module", "", CLIENTS),
    row("POST", "/v1/functions/{function}/warm", "", CLIENTS),
    row("GET", "/v1/functions/{function}/logs", "", CLIENTS),
    row("PUT", "/v1/functions/{function}/aliases/{alias}", r#"{"revision": 1}"#, CLIENTS),
    row("PATCH", "/v1/functions/{function}", r#"{"memory_mb": 256}"#, CLIENTS),
    row("DELETE", "/v1/functions/{function}", "", CLIENTS),
    row("POST", "/v1/functions/{function}/invocations", "", CLIENTS),
    row("POST", "/v1/functions/{function}/quote", "", CLIENTS),
    row("GET", "/fn/{function}", "", CLIENTS),
    row("GET", "/fn/{function}/", "", CLIENTS),
    row("GET", "/fn/{function}/path", "", CLIENTS),
    row("GET", "/v1/invocations", "", [401, 200, 403, 200]),
    row("GET", "/v1/invocations/{invocation}", "", [401, 404, 403, 404]),
    row("POST", "/2015-03-31/functions/{function}/invocations", "", [403, 404, 403, 404]),
    row("POST", "/2021-11-15/functions/{function}/response-streaming-invocations", "", [403, 404, 403, 404]),
    row("GET", "/2015-03-31/functions", "", [403, 200, 403, 200]),
    row("GET", "/2015-03-31/functions/", "", [403, 200, 403, 200]),
    row("GET", "/2015-03-31/functions/{function}", "", [403, 404, 403, 404]),
    row("GET", "/2015-03-31/functions/{function}/configuration", "", [403, 404, 403, 404]),
    row("POST", "/function/{function}", "", CLIENTS),
    row("POST", "/function/{function}/", "", CLIENTS),
    row("POST", "/function/{function}/path", "", CLIENTS),
    // The function is in its account's namespace, and not public.
    row("POST", "/function/{function}.{account}", "", [401, 404, 404, 404]),
    row("POST", "/async-function/{function}", "", [401, 501, 501, 501]),
    row("POST", "/async-function/{function}/path", "", [401, 501, 501, 501]),
    row("GET", "/system/functions", "", [401, 200, 403, 200]),
    row("GET", "/system/function/{function}", "", CLIENTS),
    row("GET", "/system/info", "", PUBLIC),
    row("GET", "/v1/accounts/{account}", "", [401, 404, 404, 0]),
    row("GET", "/v1/accounts/{account}/statement", "", [401, 404, 404, 0]),
    row("GET", "/v1/keys", "", [401, 200, 200, 200]),
    row("GET", "/v1/clock", "", OPERATORS),
    row("POST", "/v1/clock/accept", "", OPERATORS),
    row("GET", "/v1/markets", "", PUBLIC),
    row("GET", "/v1/markets/local/wasm/book", "", PUBLIC),
    row("GET", "/v1/markets/local/wasm/trades", "", PUBLIC),
    row("GET", "/v1/markets/local/wasm/candles", "", PUBLIC),
    row("GET", "/v1/providers", "", PUBLIC),
    row("GET", "/healthz", "", PUBLIC),
    row("GET", "/readyz", "", PUBLIC),
    row("GET", "/metrics", "", OPERATORS),
    row("GET", "/v1/accounts", "", OPERATORS),
    row("POST", "/v1/accounts", r#"{"id": "{account}"}"#, [401, 403, 403, 0]),
    row("POST", "/v1/accounts/{account}/deposits", r#"{"amount": "1"}"#, [401, 403, 403, 0]),
    row("POST", "/v1/accounts/{account}/payouts", r#"{"amount": "1"}"#, [401, 403, 403, 0]),
    row(
        "POST",
        "/v1/accounts/{account}/corrections",
        r#"{"from": "ours", "amount": "1", "reason": "a test"}"#,
        [401, 403, 403, 0],
    ),
    row("POST", "/v1/accounts/{account}/freeze", "", [401, 403, 403, 0]),
    row("PUT", "/v1/accounts/{account}/limits", "{}", [401, 403, 403, 0]),
    row("POST", "/v1/markets", r#"{"market": "a/wasm"}"#, [401, 403, 403, 0]),
    row("PUT", "/v1/markets/local/wasm", "{}", [401, 403, 403, 0]),
    row("DELETE", "/v1/markets/local/wasm", "", [401, 403, 403, 0]),
    row("POST", "/v1/providers", r#"{"name": "n", "account": "{account}"}"#, [401, 403, 403, 0]),
    row("POST", "/v1/providers/{provider}/kill", r#"{"reason": "a test"}"#, [401, 403, 403, 0]),
    row("POST", "/v1/providers/{provider}/revive", "", [401, 403, 403, 0]),
    row("PUT", "/v1/providers/{provider}/limits", "{}", [401, 403, 403, 0]),
    row("PUT", "/v1/providers/{provider}/labels", r#"{"labels": {}}"#, [401, 403, 403, 0]),
    row("PUT", "/v1/providers/{provider}/targets", r#"{"targets": []}"#, [401, 403, 404, 0]),
    row("POST", "/v1/leases/{invocation}/close", "", [401, 403, 403, 0]),
    row("POST", "/v1/keys", r#"{"role": "client", "account": "{account}"}"#, [401, 403, 403, 0]),
    row("DELETE", "/v1/keys/{key}", "", [401, 403, 403, 0]),
    row("POST", "/v1/keys/{key}/rotate", "", [401, 403, 403, 0]),
    row("PUT", "/v1/functions/{function}/module", "no module", [401, 422, 403, 422]),
    row("PUT", "/v1/functions/{function}", r#"{"memory_mb": 0}"#, [401, 422, 403, 422]),
    row("GET", "/v1/stream", "", [0, 0, 0, 0]),
];

/// Objects named by a path or a body.
struct Objects<'a>([(&'static str, &'a str); 6]);

impl Objects<'_> {
    fn put_into(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, object)| text.replace(&format!("{{{name}}}"), object))
    }

    /// Replaces the objects' own names.
    fn taken_out_of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, object)| text.replace(object, name))
    }
}

async fn try_row(secured: &Secured, row: &RouteRow, key: Option<&Key>, objects: &Objects<'_>) -> (Answer, String) {
    let (method, path) = (row.method.parse::<Method>().unwrap(), objects.put_into(row.path));
    let body = objects.put_into(row.body);
    let answer = match key {
        None => secured.market.call(method, &path, &[], body).await,
        Some(key) => secured.call_as(key, method, &path, &[], body).await,
    };
    let text = objects.taken_out_of(&String::from_utf8_lossy(&answer.body));
    (answer, text)
}

/// Returns all that the owner sees of the account.
async fn seen(secured: &Secured, key: &Key) -> Value {
    let mut seen = Vec::new();
    for path in
        ["/v1/functions", "/v1/functions/their-thumb/revisions", "/v1/accounts/theirs", "/v1/accounts/theirs/statement"]
    {
        seen.push(secured.call_as(key, Method::GET, path, &[], "").await.json());
    }
    Value::Array(seen)
}

#[tokio::test]
async fn another_accounts_objects_are_as_if_absent() {
    let secured = Secured::start().await;
    let _edge = secured.provider("edge", &[]).await;
    let (theirs, ours) = (secured.account("theirs").await, secured.account("ours").await);
    secured.deploy(&theirs, "their-thumb", sample("echo")).await;
    let called = secured.call_as(&theirs, Method::POST, "/v1/functions/their-thumb/invocations", &[], "1").await;
    let invocation = called.header("merit-invocation-id").to_owned();
    let (provider, broker) = (secured.key("ours", "provider").await, secured.key("ours", "broker").await);
    let there = Objects([
        ("function", "their-thumb"),
        ("account", "theirs"),
        ("invocation", &invocation),
        ("provider", "edge"),
        ("key", &theirs.id),
        ("alias", "stable"),
    ]);
    let nowhere = Objects([
        ("function", "none-thumb"),
        ("account", "nobody"),
        ("invocation", "9-999999"),
        ("provider", "none"),
        ("key", "key-999999"),
        ("alias", "stable"),
    ]);
    let before = seen(&secured, &theirs).await;
    let callers = [None, Some(&ours), Some(&provider), Some(&secured.operator), Some(&broker)];
    for (row, key, status) in
        ROWS.iter().flat_map(|row| callers.iter().zip(row.all_statuses()).map(move |(k, s)| (row, *k, s)))
    {
        // An operator's key may do it; a stream has no end.
        if status == 0 {
            continue;
        }
        let who = key.map_or("nobody", |key| key.id.as_str());
        let (answer, text) = try_row(&secured, row, key, &there).await;
        assert_eq!(answer.status.as_u16(), status, "{who}: {} {}: {text}", row.method, row.path);
        let (_, unknown) = try_row(&secured, row, key, &nowhere).await;
        // An operator sees existing objects.
        let sees_all = key.is_some_and(|key| key.id == secured.operator.id);
        let public = sees_all || row.statuses == PUBLIC || row.statuses == OPERATORS;
        assert!(public || text == unknown, "{who}: {} {}: {text} is not {unknown}", row.method, row.path);
    }
    assert_eq!(seen(&secured, &theirs).await, before);
    let own = secured.call_as(&ours, Method::GET, "/v1/functions", &[], "").await.json();
    assert_eq!(own, json!({"functions": []}));
    // The digest of another account's module gives no access to its code.
    let revisions = &before[1]["revisions"][0]["module"];
    let definition = json!({"module": revisions, "providers": "any"}).to_string();
    let stolen = secured.call_as(&ours, Method::PUT, "/v1/functions/mine", &[], definition).await;
    assert_eq!(stolen.status, 404, "{stolen:?}");
}

#[tokio::test]
async fn no_route_is_left_out() {
    let secured = Secured::start().await;
    let described = secured.market.get("/openapi.json").await.json();
    let tried: BTreeSet<(String, String)> =
        ROWS.iter().map(|row| (row.method.to_lowercase(), plain(row.path))).collect();
    for (path, operations) in described["paths"].as_object().unwrap() {
        let methods: Vec<&String> = operations.as_object().unwrap().keys().collect();
        let is_any = methods.len() > 4;
        let is_tried = |method: &String| tried.contains(&(method.clone(), plain(path)));
        let missing: Vec<_> = methods.iter().filter(|method| !is_tried(method)).collect();
        let is_covered = missing.is_empty() || (is_any && missing.len() < methods.len()) || path == "/openapi.json";
        assert!(is_covered, "{path}: {missing:?} are in no row");
    }
}

/// Returns a path without the names of its parameters.
fn plain(path: &str) -> String {
    let path = path.replace("/local/wasm", "/{}/{}").replace("/path", "/{}");
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
