//! Public functions: called without a key, or with another account's, on the bill of their owner.

use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Key, Secured, exit_3, succeeds};
use crate::logs::noisy;
use crate::market::{Answer, sample};
use crate::process::{Process, eventually, merit};

/// Headers of a receipt about money and the provider.
const RECEIPT: [&str; 8] = [
    "merit-provider",
    "merit-market",
    "merit-revision",
    "merit-price",
    "merit-quoted-cost",
    "merit-cost",
    "merit-billed-ms",
    "merit-attempts",
];

/// Starts a market in which `team` has `echo` and `exit`, and `other` nothing.
async fn market() -> (Secured, Process, Key, Key) {
    let secured = Secured::start().await;
    let edge = secured.provider("edge", &[]).await;
    let (team, other) = (secured.account("team").await, secured.account("other").await);
    secured.deploy(&team, "echo", sample("echo")).await;
    secured.deploy(&team, "exit", exit_3()).await;
    (secured, edge, team, other)
}

/// Defines a function of `team` anew, with its module.
async fn define(secured: &Secured, team: &Key, name: &str, more: Value) -> Value {
    let mut definition = json!({"timeout_ms": 10_000, "providers": "any"});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/v1/functions/{name}?reset=true");
    let put = secured.call_as(team, Method::PUT, &path, &[], definition.to_string()).await;
    assert_eq!(put.status, 200, "{put:?}");
    put.json()
}

fn public(requests_per_second: u32) -> Value {
    json!({"public": {"requests_per_second": requests_per_second}})
}

async fn keyless(secured: &Secured, path: &str, headers: &[(&str, &str)]) -> Answer {
    secured.market.call(Method::POST, path, headers, "hello").await
}

async fn balance(secured: &Secured, key: &Key, account: &str) -> String {
    let account = secured.call_as(key, Method::GET, &format!("/v1/accounts/{account}"), &[], "").await.json();
    account["balance"].as_str().unwrap().to_owned()
}

fn assert_tells_nothing(answer: &Answer) {
    for name in RECEIPT {
        assert!(!answer.headers.contains_key(name), "{name}: {answer:?}");
    }
    answer.header("merit-overhead-us");
}

#[tokio::test]
async fn anybody_calls_a_public_function_and_its_owner_pays() {
    let (secured, _edge, team, other) = market().await;
    assert_eq!(define(&secured, &team, "echo", public(500)).await["public"], json!({"requests_per_second": 500}));
    let url = format!("{}/function/echo.team", secured.market.http);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--include", "--data", "hello", &url]).kill_on_drop(true);
    let told = succeeds(curl).await;
    assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("hello"), "{told}");
    assert!(told.contains("x-call-id: ") && !told.contains("merit-cost"), "{told}");

    for key in [None, Some(&other)] {
        let before = [balance(&secured, &team, "team").await, balance(&secured, &other, "other").await];
        for path in ["/function/echo.team", "/function/echo.team/", "/function/echo.team/path?q=1"] {
            let answer = match key {
                None => keyless(&secured, path, &[]).await,
                Some(key) => secured.call_as(key, Method::POST, path, &[], "hello").await,
            };
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"), "{path}");
            assert_tells_nothing(&answer);
            let record = format!("/v1/invocations/{}", answer.header("merit-invocation-id"));
            let told = secured.call_as(&team, Method::GET, &record, &[], "").await.json();
            assert_eq!((&told["account"], &told["state"]), (&json!("team"), &json!("settled")), "{told}");
            assert_ne!(told["cost"], "0", "{told}");
            assert_eq!(secured.call_as(&other, Method::GET, &record, &[], "").await.status, 404);
            assert_eq!(secured.market.get(&record).await.status, 401);
        }
        let after = [balance(&secured, &team, "team").await, balance(&secured, &other, "other").await];
        assert_ne!(after[0], before[0], "the owner pays");
        assert_eq!(after[1], before[1], "and nobody else");
    }
    // Its owner is told the cost.
    let own = secured.call_as(&team, Method::POST, "/function/echo.team", &[], "hello").await;
    assert_eq!((own.status.as_u16(), own.header("merit-provider")), (200, "edge"));
    own.header("merit-cost");

    let large = secured.market.dir.path().join("large");
    std::fs::write(&large, vec![b'y'; 700_000]).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--dump-header", "-", "--header", "TE: trailers", "--data-binary"]).kill_on_drop(true);
    let streamed = succeeds({
        curl.arg(format!("@{}", large.display())).arg(&url);
        curl
    })
    .await;
    assert!(streamed.starts_with("HTTP/1.1 200") && streamed.contains(&"y".repeat(700_000)), "{}", streamed.len());
    assert!(!streamed.contains("merit-cost"), "no trailer says what it cost");
    let too_large = secured.market.call(Method::POST, "/function/echo.team", &[], vec![b'y'; (6 << 20) + 1]).await;
    assert_eq!(too_large.status, 413, "{too_large:?}");
}

#[tokio::test]
async fn a_function_that_is_not_public_is_as_if_absent() {
    let (secured, _edge, team, other) = market().await;
    define(&secured, &team, "exit", public(500)).await;
    let told = |answer: &Answer, named: &str| {
        let (name, account) = named.split_once('.').unwrap();
        let text = answer.text().replace(&format!("`{name}`"), "it").replace(&format!("`{account}`"), "there");
        (answer.status, answer.headers.get("x-merit-error").cloned(), text)
    };
    let ask = async |key: Option<&Key>, named: &str| {
        let path = format!("/function/{named}");
        let answer = match key {
            None => keyless(&secured, &path, &[]).await,
            Some(key) => secured.call_as(key, Method::POST, &path, &[], "").await,
        };
        told(&answer, named)
    };
    for (key, status) in [(None, 401), (Some(&other), 404)] {
        let nowhere = ask(key, "none.nobody").await;
        assert_eq!(nowhere.0, status, "{nowhere:?}");
        for named in
            ["echo.team", "none.team", "echo.nobody", "exit:1.team", "exit.team.team", "exit.", ".team", "exit.TEAM"]
        {
            let answer = ask(key, named).await;
            assert_eq!((answer.0, &answer.1), (nowhere.0, &nowhere.1), "{named}: {answer:?}");
            assert!(key.is_some() || answer.2 == nowhere.2, "{named}: {answer:?}");
        }
    }
    // A public function opens no other door, and nothing else about it is told.
    for path in [
        "/function/exit",
        "/function/exit.openfaas-fn",
        "/async-function/exit.team",
        "/fn/exit",
        "/v1/functions/exit/invocations",
        "/v1/functions/exit/quote",
    ] {
        assert_eq!(keyless(&secured, path, &[]).await.status, 401, "{path}");
    }
    for path in ["/system/function/exit.team", "/system/functions", "/v1/functions/exit", "/v1/accounts/team"] {
        assert_eq!(secured.market.get(path).await.status, 401, "{path}");
    }
    assert_eq!(secured.call_as(&other, Method::GET, "/system/function/exit.team", &[], "").await.status, 404);
    let wrong = keyless(&secured, "/function/exit.team", &[("authorization", "Bearer key-1.x")]).await;
    assert_eq!(wrong.status, 401, "a key that is shown is checked: {wrong:?}");

    define(&secured, &team, "exit", json!({"public": null})).await;
    eventually("it is private again", || async {
        (keyless(&secured, "/function/exit.team", &[]).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn visitors_neither_steer_nor_see_the_owners_money() {
    let (secured, _edge, team, other) = market().await;
    define(&secured, &team, "echo", public(500)).await;
    for preference in [
        ("merit-max-cost", "5"),
        ("merit-max-price", "1"),
        ("merit-only", "edge"),
        ("merit-ignore", "edge"),
        ("merit-region", "local"),
        ("merit-idempotent", "true"),
        ("merit-allow-fallback", "false"),
        ("merit-deadline", "+30s"),
        ("merit-log-type", "Tail"),
        ("merit-unknown", "1"),
    ] {
        let answer = keyless(&secured, "/function/echo.team", &[preference]).await;
        assert_eq!(answer.status, 400, "{preference:?}: {answer:?}");
        let key = other.text();
        let answer = keyless(&secured, "/function/echo.team", &[preference, ("merit-key", &key)]).await;
        assert_eq!(answer.status, 400, "{preference:?}: {answer:?}");
    }
    let key = other.text();
    assert_eq!(keyless(&secured, "/function/echo.team", &[("merit-key", &key)]).await.status, 200);
    assert_eq!(keyless(&secured, "/function/echo.team", &[("merit-cost", "1")]).await.status, 200, "as everywhere");

    define(&secured, &team, "exit", public(500)).await;
    let failed = keyless(&secured, "/function/exit.team", &[]).await;
    assert_eq!((failed.status.as_u16(), failed.text()), (500, "the function failed\n"));
    assert_tells_nothing(&failed);

    // Nor what it wrote to its standard error, and neither does another account.
    secured.deploy(&team, "noisy", noisy("a secret")).await;
    define(&secured, &team, "noisy", public(500)).await;
    let failed = keyless(&secured, "/function/noisy.team", &[]).await;
    assert_eq!((failed.status.as_u16(), failed.text()), (500, "the function failed\n"));
    let id = failed.header("merit-invocation-id").to_owned();
    let read = async |key: &Key, path: &str| secured.call_as(key, Method::GET, path, &[], "").await;
    for path in [format!("/v1/invocations/{id}"), "/v1/functions/noisy/logs".to_owned()] {
        assert_eq!(read(&other, &path).await.status, 404, "{path}");
        let own = read(&team, &path).await;
        assert!(own.status == 200 && own.text().contains("a secret"), "{path}: {own:?}");
    }
    let others = read(&other, "/v1/invocations").await.json();
    assert_eq!(others["invocations"], json!([]));

    // Others cannot tell whether its owner cannot pay, will not pay, or nobody sells.
    let poor =
        json!({"public": {"requests_per_second": 500}, "budgets": [{"period": "day", "amount": "0.0000000001"}]});
    let nobody = json!({"public": {"requests_per_second": 500}, "markets": ["mars/*"]});
    for (more, own_status) in [(poor, 402), (nobody, 422)] {
        define(&secured, &team, "echo", more).await;
        let own = secured.call_as(&team, Method::POST, "/function/echo", &[], "").await;
        assert_eq!(own.status.as_u16(), own_status, "{own:?}");
        let told = keyless(&secured, "/function/echo.team", &[]).await;
        assert_eq!((told.status.as_u16(), told.text()), (503, "the function cannot be called at present\n"));
        assert_eq!(told.header("x-merit-error"), "unavailable");
        assert_tells_nothing(&told);
    }
}

#[tokio::test]
async fn a_public_function_keeps_its_owners_rate() {
    let (secured, _edge, team, _other) = market().await;
    define(&secured, &team, "echo", public(2)).await;
    let mut answers = Vec::new();
    let began = std::time::Instant::now();
    while answers.last().is_none_or(|answer: &Answer| answer.status == 200) {
        assert!(answers.len() < 1000, "none is refused");
        answers.push(keyless(&secured, "/function/echo.team", &[]).await);
    }
    let (taken, seconds) = (answers.len() - 1, began.elapsed().as_secs_f64());
    // Two at once, and one more each half a second.
    assert!(taken >= 2 && taken as f64 <= 3.0 + 2.0 * seconds, "{taken} in {seconds} s");
    let refused = answers.iter().find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status.as_u16(), refused.header("x-merit-error")), (429, "rate_limited"), "{refused:?}");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1, "{refused:?}");
    for _ in 0..12 {
        let own = secured.call_as(&team, Method::POST, "/function/echo", &[], "").await;
        assert_eq!(own.status, 200, "its owner's calls are not counted: {own:?}");
    }
    // The owner's own rate holds for visitors, too.
    secured.operate(Method::PUT, "/v1/accounts/team/limits", json!({"rate_per_second": 0})).await;
    eventually("the account's rate is known", || async {
        let answer = secured.call_as(&team, Method::POST, "/function/echo", &[], "").await;
        (answer.status == 429).then_some(())
    })
    .await;
    define(&secured, &team, "echo", public(10_000)).await;
    eventually("the account's rate counts", || async {
        let answer = keyless(&secured, "/function/echo.team", &[]).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        (answer.header("retry-after") == "60").then_some(())
    })
    .await;
}

#[tokio::test]
async fn deploy_makes_a_sound_function_public() {
    let (secured, _edge, team, _other) = market().await;
    let module = format!("{}/functions/echo.wasm", env!("CARGO_MANIFEST_DIR"));
    let deploy = async |more: &[&str]| {
        let mut deploy = merit();
        deploy.args(["deploy", "hello", &module, "--broker", &secured.market.http]).args(more);
        deploy.env("MERIT_KEY", team.text());
        succeeds(deploy).await;
        secured.call_as(&team, Method::GET, "/v1/functions/hello", &[], "").await.json()["public"].clone()
    };
    assert_eq!(deploy(&["--public", "3", "--providers", "any"]).await, json!({"requests_per_second": 3}));
    assert_eq!(keyless(&secured, "/function/hello.team", &[]).await.text(), "hello");
    assert_eq!(deploy(&[]).await, json!({"requests_per_second": 3}), "what is not named stays");
    assert_eq!(deploy(&["--public", "none"]).await, Value::Null);
    for (public, status, said) in [
        (json!({"requests_per_second": 0}), 422, "public.requests_per_second: 1 to 10000"),
        (json!({"requests_per_second": 10_001}), 422, "public.requests_per_second: 1 to 10000"),
        (json!({"requests_per_second": -1}), 400, "public.requests_per_second"),
        (json!({"requests_per_secnd": 1}), 400, "did you mean `requests_per_second`?"),
        (json!({}), 400, "requests_per_second"),
        (json!(true), 400, "public"),
    ] {
        let body = json!({"public": public}).to_string();
        let refused = secured.call_as(&team, Method::PATCH, "/v1/functions/hello", &[], body).await;
        assert_eq!(refused.status.as_u16(), status, "{public}: {refused:?}");
        assert!(refused.message().contains(said), "{public}: {refused:?}");
    }
}
