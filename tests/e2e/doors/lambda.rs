//! Lambda's clients: boto3, the AWS CLI and the JavaScript SDK, with only an endpoint and keys set.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::{client, for_clients, script, succeeds};

#[tokio::test]
async fn boto3_calls_as_it_calls_lambda() {
    let (_secured, _edge, environment) = for_clients().await;
    let mut python = client("python/bin/python", &environment);
    python.arg(script("boto_calls.py"));
    assert_eq!(succeeds(python).await, "boto3: done\n");
}

#[tokio::test]
async fn the_javascript_sdk_calls_as_it_calls_lambda() {
    let (_secured, _edge, environment) = for_clients().await;
    // Node looks for packages beside the script.
    let js = client("js", &environment).as_std().get_program().to_owned();
    let beside = std::path::Path::new(&js).join("js_calls.mjs");
    std::fs::copy(script("js_calls.mjs"), &beside).unwrap();
    let mut node = Command::new("node");
    node.arg(beside).envs(environment.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
    assert_eq!(succeeds(node).await, "the JavaScript SDK: done\n");
}

#[tokio::test]
async fn the_aws_cli_calls_as_it_calls_lambda() {
    let (secured, _edge, environment) = for_clients().await;
    let (payload, answer) = (secured.market.dir.path().join("in.json"), secured.market.dir.path().join("out.json"));
    std::fs::write(&payload, r#"{"cli": true}"#).unwrap();
    let mut aws = client("python/bin/aws", &environment);
    aws.args(["lambda", "invoke", "--function-name", "echo:live", "--log-type", "Tail", "--payload"])
        .arg(format!("fileb://{}", payload.display()))
        .arg(&answer);
    let told: Value = serde_json::from_str(&succeeds(aws).await).unwrap();
    assert_eq!((&told["StatusCode"], &told["ExecutedVersion"]), (&Value::from(200), &Value::from("1")));
    assert!(told["LogResult"].is_string(), "{told}");
    assert_eq!(std::fs::read_to_string(&answer).unwrap(), r#"{"cli": true}"#);
}

/// Between a client and the broker: the first answer is read to its end and thrown away with the connection.
async fn losing_the_first_answer(broker: String, tasks: &mut JoinSet<()>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = connections.clone();
    tasks.spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = TcpStream::connect(broker.trim_start_matches("http://")).await.unwrap();
            if seen.fetch_add(1, Ordering::SeqCst) > 0 {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
                continue;
            }
            let (mut reads, mut writes) = from.into_split();
            let (mut answers, mut asks) = to.into_split();
            let asking = tokio::spawn(async move { tokio::io::copy(&mut reads, &mut asks).await });
            let mut answer = vec![0; 65_536];
            assert!(answers.read(&mut answer).await.unwrap() > 0, "the broker answers");
            // It is lost, and the connection with it.
            asking.abort();
            writes.shutdown().await.ok();
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_retry_of_an_sdk_after_a_lost_answer_gets_the_first_result_and_is_charged_once() {
    let (secured, _edge, mut environment) = for_clients().await;
    let mut tasks = JoinSet::new();
    // The signature is over the host that the client speaks to; the proxy passes it on as it is.
    let (proxy, connections) = losing_the_first_answer(secured.market.http.clone(), &mut tasks).await;
    environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_LAMBDA");
    environment.push(("AWS_ENDPOINT_URL_LAMBDA", proxy));
    let mut python = client("python/bin/python", &environment);
    python.arg(script("boto_retry.py"));
    let told = succeeds(python).await;
    let (retries, id) = told.trim().split_once(' ').unwrap();
    assert_eq!((retries, connections.load(Ordering::SeqCst)), ("1", 2), "{told}");
    let operator = secured.operator.clone();
    let statement = secured.call_as(&operator, Method::GET, "/v1/accounts/team/statement", &[], "").await.json();
    let lines = statement["lines"].as_array().unwrap();
    let costs: Vec<&Value> = lines.iter().filter(|line| line["why"] == "cost").collect();
    assert_eq!(costs.len(), 1, "{statement}");
    assert_eq!(costs[0]["invocation_id"], id);
}
