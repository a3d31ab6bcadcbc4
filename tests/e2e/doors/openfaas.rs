//! OpenFaaS calls by curl, as faas-cli sends them; CloudEvents by a published SDK.

use serde_json::Value;
use tokio::process::Command;

use super::{client, for_clients, script, succeeds};

fn curl(arguments: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30"]).args(arguments).kill_on_drop(true);
    curl
}

#[tokio::test]
async fn faas_cli_s_calls_are_answered() {
    let (secured, _edge, environment) = for_clients().await;
    let value = |wanted: &str| environment.iter().find(|(name, _)| *name == wanted).unwrap().1.clone();
    let user = format!("{}:{}", value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    let http = &secured.market.http;
    let get = async |path: &str, more: &[&str]| {
        let url = format!("{http}{path}");
        succeeds(curl(&[&["--user", &user, "--include", url.as_str()], more].concat())).await
    };
    for path in ["/function/echo", "/function/echo.openfaas-fn", "/function/echo.team"] {
        let answer = get(path, &["--data", "hello", "--header", "X-Call-Id: mine"]).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{path}: {answer}");
        assert!(answer.contains("x-call-id: mine") && answer.contains("x-start-time: "), "{path}: {answer}");
        assert!(answer.contains("x-duration-seconds: 0.") && answer.contains("merit-cost: 0."), "{path}: {answer}");
    }
    let made = get("/function/echo", &["--data", ""]).await;
    assert!(made.lines().any(|line| line.starts_with("x-call-id: ") && line.len() > 40), "{made}");
    let missing = get("/function/nothing", &["--data", ""]).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(get("/function/echo.others", &["--data", ""]).await.starts_with("HTTP/1.1 404"));
    assert!(get("/async-function/echo", &["--data", ""]).await.starts_with("HTTP/1.1 501"));
    let denied = succeeds(curl(&["--include", "--user", "a:b", &format!("{http}/system/functions")])).await;
    assert!(denied.starts_with("HTTP/1.1 401") && denied.contains("www-authenticate: Basic"), "{denied}");

    let listed = succeeds(curl(&["--user", &user, &format!("{http}/system/functions")])).await;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let names: Vec<&str> = listed.iter().map(|function| function["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo", "exit_3", "wait"]);
    let one = succeeds(curl(&["--user", &user, &format!("{http}/system/function/echo")])).await;
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["namespace"], "team");
    let info = succeeds(curl(&[&format!("{http}/system/info")])).await;
    assert_eq!(serde_json::from_str::<Value>(&info).unwrap()["provider"]["provider"], "merit");
}

#[tokio::test]
async fn events_of_a_published_sdk_are_taken_in_both_modes() {
    let (secured, _edge, mut environment) = for_clients().await;
    environment.push(("BROKER", secured.market.http.clone()));
    let mut python = client("python/bin/python", &environment);
    python.arg(script("cloud_events.py"));
    assert_eq!(succeeds(python).await, "CloudEvents: done\n");
}
