//! Mistakes that people make on the command line, and the sentence that each gets: what was wrong, where, what to do.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::keys_grpc::secured::certificate;
use crate::market::{Market, Shape};
use crate::process::{PATIENCE, Process, assert_fails, merit};

/// Commands and what they say. `BROKER`, `EXCHANGE` and `NOBODY` are addresses; nobody listens at the last.
const MISTAKES: [(&str, &str); 36] = [
    ("invoke ech --broker BROKER", "there is no function `ech`; did you mean `echo`? (not_found)"),
    ("invoke echo:9 --broker BROKER", "there is no revision `echo:9` (not_found)"),
    (
        "invoke echo -H Merit-Max-Cots:1 --broker BROKER",
        "the header merit-max-cots is not known; did you mean merit-max-cost? (malformed)",
    ),
    ("invoke echo -H Merit-Only:egde-1 --broker BROKER", "; there is no provider `egde-1`; did you mean `edge-1`?"),
    ("invoke echo -H Merit-Max-Price:cheap --broker BROKER", "the header merit-max-price has the value `cheap`: "),
    ("invoke echo -H Merit-Only --broker BROKER", "a header is `Name: value`"),
    ("invoke echo --data-file nowhere --broker BROKER", "could not read nowhere: No such file or directory"),
    ("invoke echo --broker NOBODY", "the broker at NOBODY does not answer; start one with `merit up`, or name it with"),
    ("invoke echo --broker localhost", "`localhost` is not the address of a broker, such as http://127.0.0.1:8080"),
    ("quote ech --broker BROKER", "there is no function `ech`; did you mean `echo`?"),
    ("logs ech --broker BROKER", "there is no function `ech`; did you mean `echo`?"),
    ("functions show ech --broker BROKER", "there is no function `ech`; did you mean `echo`?"),
    ("functions set echo --broker BROKER", "name a setting to change, such as --budget-day 1.50; see"),
    ("functions set echo --timeout-ms 0 --broker BROKER", "timeout_ms: 0 is not within 1 to 3600000 (invalid)"),
    ("functions set echo --budget-day much --broker BROKER", "`much` is not a decimal amount in USD, such as 0.0005"),
    ("functions delete ech --broker BROKER", "there is no function `ech`; did you mean `echo`?"),
    ("deploy new nowhere.wasm --broker BROKER", "could not read nowhere.wasm: No such file or directory"),
    (
        "deploy new Cargo.toml --broker BROKER",
        "not a WebAssembly module: it does not begin as one; name the compiled .wasm file",
    ),
    ("invocations --outcome bad --broker BROKER", "one of ok, exit, trap, out_of_memory, timeout, output_limit"),
    ("invocations 7 --broker BROKER", "`7` is not an invocation id: run and sequence, such as 1-4711"),
    ("markets set local/wams --state halted --broker BROKER", "did you mean `local/wasm`?"),
    ("markets create local/wasm --broker BROKER", "the market `local/wasm` exists already (already_exists)"),
    ("markets create wasm --broker BROKER", "`wasm` is not a market: region/class, such as eu-west/wasm"),
    ("markets set local/wasm --bands 2..1 --broker BROKER", "bands: 2 is above 1 (invalid)"),
    ("book local/wams --broker BROKER", "there is no market `local/wams`; did you mean `local/wasm`?"),
    ("accounts show nobody --broker BROKER", "there is no account `nobody`"),
    ("accounts payout dev 5000 --broker BROKER", "the account has 1000 USD beyond what is held"),
    ("providers kill egde-1 --reason test --broker BROKER", "there is no provider `egde-1`; did you mean `edge-1`?"),
    ("provider --name edge-2 --market local/wams --exchange EXCHANGE", "there is no market `local/wams`"),
    ("provider --name edge-2 --strategy utilisation --exchange EXCHANGE", "--strategy utilisation needs a --ceiling"),
    (
        "provider --name edge-2 --adapter http --endpoint NOBODY --exchange EXCHANGE",
        "no function server answers at NOBODY; start it first, name its URL with --endpoint, or give --no-probe",
    ),
    ("provider pause edge-9", "no provider `edge-9` of this user runs on this machine; `merit provider` starts one"),
    ("keys list --exchange NOBODY", "nothing listens at NOBODY; start an exchange there with `merit exchange`"),
    ("why 1-2 --data-dir nowhere", "there is no data directory nowhere; name it, as in `merit why INVOCATION"),
    ("journal verify nowhere", "there is no data directory nowhere; name it, as in `merit journal verify DIR`"),
    ("up --log loud", "`loud` is no level; error, warn, info, debug, trace or off"),
];

/// Exchanges that a provider waits for, and the reason that it gives once.
const WAITS: [(&str, &str); 3] = [
    (
        "NOBODY",
        "nothing listens at NOBODY; start an exchange there with `merit exchange`, or name another with --exchange",
    ),
    (
        "BROKER",
        "the server at BROKER is no exchange: it answers 404 by plain HTTP, as a broker's front door does; name the",
    ),
    ("SECURED", "the server at SECURED does not speak TLS; if it has no certificate, name it by http://"),
];

#[tokio::test]
async fn each_mistake_gets_its_sentence() {
    let market = Market::start(Shape::AllInOne).await;
    market.deploy("echo", json!({})).await;
    let _edge = market.provider("edge-1", &[]).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let tls = market.grpc.replace("http:", "https:");
    let places = [
        ("BROKER", &market.http),
        ("EXCHANGE", &market.grpc),
        ("NOBODY", &format!("http://{free}")),
        ("SECURED", &tls),
    ];
    let here = |text: &str| places.iter().fold(text.to_owned(), |text, (word, place)| text.replace(word, place));
    for (command, said) in MISTAKES {
        let command = here(command);
        assert_fails(&command.split(' ').collect::<Vec<_>>(), &[&here(said)]).await;
    }
    for (exchange, said) in WAITS {
        assert_waits(&here(exchange), &here(said)).await;
    }
    market.stop().await;
}

#[tokio::test]
async fn a_provider_names_what_is_wrong_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificate(&dir);
    let [data, cert, key] = [&dir.path().join("data"), &files.cert, &files.key].map(|path| path.display().to_string());
    let start = ["exchange", "--data-dir", &data, "--grpc", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let exchange = Process::start(&start, &dir.path().join("exchange.log")).await;
    let port = exchange.url("grpc").rsplit(':').next().unwrap().to_owned();
    let (plain, by_name) = (format!("http://localhost:{port}"), format!("https://localhost:{port}"));
    assert_waits(&plain, "or does not speak HTTP/2 in the clear; if it has a certificate, name it by https://").await;
    let unknown =
        format!("the certificate of {by_name} is of a CA that this machine does not trust; name the CA's PEM");
    assert_waits(&by_name, &unknown).await;
}

/// Asserts that a provider waits for an exchange for this reason, and says so once, however often it tries.
async fn assert_waits(exchange: &str, said: &str) {
    let mut command = merit();
    command.args(["provider", "--name", "edge-2", "--exchange", exchange]);
    let mut waiting = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(first.contains(&format!("waiting for the exchange at {exchange}: ")) && first.contains(said), "{first}");
    let more = tokio::time::timeout(std::time::Duration::from_secs(1), lines.next_line()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_port_that_is_none_is_told_with_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    for (command, flag) in [("up", "--http"), ("up", "--grpc"), ("broker", "--http"), ("exchange", "--grpc")] {
        let mut arguments = vec![command, flag, "127.0.0.1:65536"];
        arguments.extend(["--data-dir", &data].iter().filter(|_| command != "broker"));
        assert_fails(&arguments, &[flag, "the port `65536` is not 1 to 65535, or 0 for a free one"]).await;
    }
    let sell = ["provider", "--name", "p"];
    for (port, url) in [("0", "http://127.0.0.1:0"), ("70000", "http://[::1]:70000"), ("", "http://localhost:")] {
        let said = format!("the port `{port}` is not 1 to 65535");
        assert_fails(&[&sell[..], &["--exchange", url]].concat(), &["--exchange", url, &said]).await;
        assert_fails(&["broker", "--http", "127.0.0.1:0", "--exchange", url], &["--exchange", &said]).await;
        assert_fails(&[&sell[..], &["--endpoint", url]].concat(), &["--endpoint", url, &said]).await;
        let server = ["--adapter", "http", "--endpoint", url];
        assert_fails(&[&sell[..], &server].concat(), &["--endpoint", url, &said]).await;
        assert_fails(&["functions", "--broker", url], &["--broker", url, &said]).await;
    }
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}
