//! Lambda's clients: boto3, the AWS CLI and the JavaScript SDK, with only an endpoint and keys set.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
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

/// Runs `aws lambda invoke` without retries. Returns its output, and the answer that it wrote.
async fn aws_invoke(
    environment: &[(&'static str, String)],
    payload: &[u8],
    arguments: &[&str],
) -> (Output, Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (sent, answer) = (dir.path().join("sent"), dir.path().join("answer"));
    std::fs::write(&sent, payload).unwrap();
    let mut aws = client("python/bin/aws", environment);
    aws.env("AWS_MAX_ATTEMPTS", "1").args(["lambda", "invoke", "--payload"]).arg(format!("fileb://{}", sent.display()));
    let output = aws.args(arguments).arg(&answer).output().await.unwrap();
    (output, std::fs::read_to_string(answer).ok())
}

#[tokio::test]
async fn the_aws_cli_calls_as_it_calls_lambda() {
    let (_secured, _edge, environment) = for_clients().await;
    let call = async |arguments: &[&str]| {
        let (output, answer) = aws_invoke(&environment, br#"{"cli": true}"#, arguments).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        (serde_json::from_slice::<Value>(&output.stdout).unwrap(), answer.unwrap())
    };
    let ((told, echoed), (dry, nothing), (failed, error)) = tokio::join!(
        call(&["--function-name", "echo:live", "--log-type", "Tail"]),
        call(&["--function-name", "exit_3", "--invocation-type", "DryRun"]),
        call(&["--function-name", "exit_3"]),
    );
    assert_eq!((&told["StatusCode"], &told["ExecutedVersion"]), (&json!(200), &json!("1")));
    assert!(told["LogResult"].is_string() && echoed == r#"{"cli": true}"#, "{told} {echoed}");
    assert_eq!((dry, nothing.as_str()), (json!({"StatusCode": 204, "ExecutedVersion": "1"}), ""), "it did not run");
    assert_eq!(failed, json!({"StatusCode": 200, "ExecutedVersion": "1", "FunctionError": "Unhandled"}));
    assert_eq!(serde_json::from_str::<Value>(&error).unwrap()["errorType"], "Runtime.ExitError");
}

#[tokio::test]
async fn the_aws_cli_fails_with_lambdas_exception_when_refused() {
    let (_secured, _edge, environment) = for_clients().await;
    let value = |name: &str| environment.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    // The last value of a variable counts.
    let with = |more: &[(&'static str, String)]| [&environment[..], more].concat();
    let slow = with(&[("AWS_ACCESS_KEY_ID", value("SLOW_KEY")), ("AWS_SECRET_ACCESS_KEY", value("SLOW_SECRET"))]);
    let wrong = with(&[("AWS_SECRET_ACCESS_KEY", "wrong".to_owned())]);
    let check = async |environment: &[(&'static str, String)], function: &str, bytes: usize, exception: &str| {
        let (output, answer) = aws_invoke(environment, &vec![b'1'; bytes], &["--function-name", function]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), answer), (Some(255), None), "{exception}: {said}");
        let expected = format!("An error occurred ({exception}) when calling the Invoke operation");
        assert!(output.stdout.is_empty() && said.contains(&expected), "{exception}: {said}");
    };
    tokio::join!(
        check(&environment, "nothing", 1, "ResourceNotFoundException"),
        check(&environment, "echo", (6 << 20) + 1, "RequestTooLargeException"),
        check(&slow, "echo", 1, "TooManyRequestsException"),
        check(&wrong, "echo", 1, "InvalidSignatureException"),
    );
}

/// Starts a proxy that reads the first answer to its end and drops it with the connection.
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
            // The answer is lost, and the connection with it.
            asking.abort();
            writes.shutdown().await.ok();
        }
    });
    (address, connections)
}

#[tokio::test]
async fn an_sdk_retry_gets_the_first_result_charged_once() {
    let (secured, _edge, mut environment) = for_clients().await;
    let mut tasks = JoinSet::new();
    // The signature is over the client's host; the proxy passes it on unchanged.
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
