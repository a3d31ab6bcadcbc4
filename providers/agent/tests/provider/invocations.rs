//! Invocations over a real socket, as a broker sends them.

use http::{Method, StatusCode};
use merit_adapters::{NotTaken, Passed, ProviderAnswer};
use merit_proto::{InProcess, Transport, v1};
use merit_terms::Outcome;

use crate::kit::{World, hostile, sample, sees};
use crate::peer::{Peer, Seen, proof};

async fn echoes(world: &World) {
    let payload = vec![7_u8; 1 << 20];
    let cold = world.broker.invoke(&world.token(1), payload.clone()).await;
    assert_eq!((cold.status, cold.body == payload), (StatusCode::OK, true));
    let report = cold.report();
    let reading = report.reading.unwrap();
    assert_eq!((report.outcome, &report.message), (Outcome::Ok, &None));
    assert!(reading.usage.cold_us > 0 && reading.usage.wall_us > 0 && reading.peak_memory_mb > 0);

    let warm = world.broker.invoke(&world.token(2), "hello").await;
    assert_eq!(warm.body, "hello");
    assert_eq!(warm.report().reading.unwrap().usage.cold_us, 0);
    assert_eq!(world.peer.fetched(), 1);
}

#[tokio::test]
async fn a_module_is_fetched_once_and_answers_with_its_report() {
    echoes(&World::new(sample("echo"), 2).await).await;
}

#[tokio::test]
async fn an_exchange_in_the_same_process_serves_as_well() {
    let (peer, seen) = Peer::new(sample("echo"));
    let transport = Transport::InProcess(InProcess::new(peer.routes()));
    echoes(&World::with(peer, seen, transport, 2).await).await;
}

#[tokio::test]
async fn calls_that_wait_for_one_module_fetch_it_once() {
    let mut world = World::new(sample("echo"), 2).await;
    world.peer.hold_modules_back();
    let (first, second) = (world.token(1), world.token(2));
    let calls = async { tokio::join!(world.broker.invoke(&first, "a"), world.broker.invoke(&second, "b")) };
    let ((first, second), ()) = tokio::join!(calls, async {
        sees(&mut world.seen, |seen| matches!(seen, Seen::ModuleAsked).then_some(())).await;
        world.peer.let_modules_go();
    });
    assert_eq!((&first.body[..], &second.body[..]), (&b"a"[..], &b"b"[..]));
    assert_eq!(world.peer.fetched(), 1);
}

#[tokio::test]
async fn a_guest_knows_its_function_and_its_invocation() {
    let world = World::new(hostile("environment"), 1).await;
    let answered = world.broker.invoke(&world.token(1), "").await;
    let text = String::from_utf8(answered.body.to_vec()).unwrap();
    let expected = ["sample", "MODE=fast", "MERIT_INVOCATION_ID=1-99", "MERIT_FUNCTION=sample", "MERIT_REVISION=3"];
    assert_eq!(text.trim_end_matches('\0').split('\0').collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_function_that_fails_is_executed_and_says_how() {
    let world = World::new(hostile("trap"), 1).await;
    let trapped = world.broker.invoke(&world.token(1), "").await;
    assert_eq!(trapped.status, StatusCode::OK);
    assert_eq!(trapped.report().outcome, Outcome::Trap);
    assert!(trapped.report().message.as_ref().unwrap().contains("unreachable"));

    let world = World::new(hostile("exit_3"), 1).await;
    let exited = world.broker.invoke(&world.token(1), "").await;
    assert_eq!(
        (exited.report().outcome, exited.report().message.as_deref()),
        (Outcome::Exit, Some("exited with code 3"))
    );
}

#[tokio::test]
async fn the_timeout_of_the_lease_is_enforced() {
    let world = World::new(hostile("loop"), 1).await;
    let answered = world.broker.invoke(&world.token_with(1, |claims| claims.timeout_ms = 2000), "").await;
    assert_eq!(answered.report().outcome, Outcome::Timeout);
}

#[tokio::test]
async fn the_memory_of_the_lease_is_enforced() {
    let world = World::new(hostile("grow"), 1).await;
    let answered = world.broker.invoke(&world.token_with(1, |claims| claims.memory_mb = 2), "").await;
    assert_eq!(answered.report().outcome, Outcome::OutOfMemory);
}

#[tokio::test]
async fn the_end_of_the_log_comes_with_the_answer() {
    let world = World::new(hostile("flood_log"), 1).await;
    let answered = world.broker.invoke(&world.token(1), "").await;
    assert_eq!(answered.body, "ok");
    let log = &answered.report().log;
    assert!(log.len() == 4096 && log.ends_with(b"the end"));
}

#[tokio::test]
async fn a_full_provider_is_busy_and_spares_the_token() {
    let mut world = World::new(sample("echo"), 1).await;
    world.peer.hold_modules_back();
    let running = tokio::spawn({
        let (broker, token) = (world.broker.clone(), world.token(1));
        async move { broker.invoke(&token, "first").await }
    });
    sees(&mut world.seen, |seen| matches!(seen, Seen::ModuleAsked).then_some(())).await;

    let token = world.token(2);
    let busy = world.broker.invoke(&token, "second").await;
    assert_eq!((busy.status, busy.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "busy"));
    assert_eq!(busy.headers["merit-busy"], "full");
    assert!(matches!(busy.answer, ProviderAnswer::NotSent { why: NotTaken::Full, .. }));

    world.peer.let_modules_go();
    assert_eq!(running.await.unwrap().body, "first");
    assert_eq!(world.broker.invoke(&token, "second").await.body, "second");
}

#[tokio::test]
async fn a_token_of_another_call_is_forbidden() {
    let world = World::new(sample("echo"), 1).await;
    let good = world.token(1);
    assert_eq!(world.broker.invoke(&good, "once").await.body, "once");
    let forged = merit_proto::sign(&[99; 32], &world.peer.claims(2));
    for (token, code) in [
        (good.as_str(), "token_used"),
        (&forged, "token_forged"),
        ("garbage", "token_malformed"),
        (&world.token_with(3, |claims| claims.expires = 1), "token_expired"),
        (&world.token_with(4, |claims| claims.provider = "edge-2".into()), "token_for_other"),
        (&world.token_with(5, |claims| claims.function = "other".into()), "token_for_other"),
        (&world.token_with(6, |claims| claims.revision = 2), "token_for_other"),
    ] {
        let refused = world.broker.invoke(token, "again").await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, code), "{token}");
        assert!(matches!(refused.answer, ProviderAnswer::NotSent { why: NotTaken::Failed, .. }));
    }
}

#[tokio::test]
async fn a_call_that_cannot_start_is_not_sent() {
    let world = World::new(sample("echo"), 1).await;
    let check = |answered: crate::kit::Answered, status: u16, code: &str| {
        assert_eq!((answered.status.as_u16(), answered.code().as_str()), (status, code));
        assert!(matches!(answered.answer, ProviderAnswer::NotSent { .. }), "{:?}", answered.answer);
    };
    let of_other = world.token_with(1, |claims| claims.function = "other".into());
    check(world.broker.invoke_function("other", &of_other, "").await, 422, "unknown_module");
    let without = world.token_with(2, |claims| claims.module = Vec::new());
    check(world.broker.invoke(&without, "").await, 422, "no_module");
    let another = world.token_with(3, |claims| claims.module = vec![0; 32]);
    check(world.broker.invoke(&another, "").await, 503, "module_unavailable");
    check(world.broker.invoke(&world.token(4), vec![0; (20 << 20) + 1]).await, 413, "payload_too_large");
    check(world.broker.get("/invoke/dev/sample/3").await, 404, "not_found");
    check(world.broker.get("/").await, 404, "not_found");
    assert_eq!(world.broker.invoke(&world.token(4), "ok").await.body, "ok");
}

#[tokio::test]
async fn a_late_module_is_not_sent_but_serves_later_calls() {
    let mut world = World::new(sample("echo"), 1).await;
    world.peer.hold_modules_back();
    let late = world.broker.invoke(&world.token_with(1, |claims| claims.timeout_ms = 20), "").await;
    assert_eq!(late.code(), "warming");
    assert!(matches!(late.answer, ProviderAnswer::NotSent { why: NotTaken::Warming { retry_after_s: 1 }, .. }));
    sees(&mut world.seen, |seen| matches!(seen, Seen::ModuleAsked).then_some(())).await;
    world.peer.let_modules_go();
    assert_eq!(world.broker.invoke(&world.token(2), "soon").await.body, "soon");
    assert_eq!(world.peer.fetched(), 1);
}

#[tokio::test]
async fn a_module_that_cannot_be_run_is_not_sent() {
    let world = World::new("not a module".into(), 1).await;
    let answered = world.broker.invoke(&world.token(1), "").await;
    assert_eq!(answered.code(), "module_unusable");
    assert!(matches!(answered.answer, ProviderAnswer::NotSent { why: NotTaken::Call, .. }));
}

#[tokio::test]
async fn a_guest_without_its_caller_is_stopped_and_claimed() {
    // One that burns CPU, and one that waits in the host.
    for (guest, long, short) in [("mandelbrot", "4096 4096 100000000", "1 1 1"), ("wait", "600000", "0")] {
        let mut world = World::new(sample(guest), 1).await;
        world.broker.invoke(&world.token(1), short).await; // Its module is there from now on.
        let (token, probe, next) = (world.token(2), world.token(3), world.token(4));
        let proof = proof();
        // The only thread is taken once the call has begun.
        let begun = async {
            while world.broker.invoke(&probe, short).await.status != StatusCode::TOO_MANY_REQUESTS {
                assert!(world.provider.standing().borrow().session.is_some());
            }
        };
        world.broker.abandon(&token, &merit_proto::write_proof(&proof), long, begun).await;
        let claim = sees(&mut world.seen, |seen| match seen {
            Seen::Claim(claim) => Some(claim),
            _ => None,
        });
        let claim = claim.await;
        assert_eq!(claim.proof, Some(proof));
        let wall_us = claim.usage.unwrap().wall_us;
        assert!((1..10_000_000).contains(&wall_us), "{guest}: {wall_us} us of a timeout of 20 s");
        assert!(!world.broker.invoke(&next, short).await.body.is_empty(), "the thread of {guest} is free again");
    }
}

#[tokio::test]
async fn a_call_left_before_its_module_came_claims_nothing() {
    let mut world = World::new(sample("echo"), 1).await;
    world.peer.hold_modules_back();
    let proof = proof();
    let token = world.token(1);
    let begun = sees(&mut world.seen, |seen| matches!(seen, Seen::ModuleAsked).then_some(()));
    world.broker.abandon(&token, &merit_proto::write_proof(&proof), "", begun).await;
    let claim = sees(&mut world.seen, |seen| match seen {
        Seen::Claim(claim) => Some(claim),
        _ => None,
    });
    let claim = claim.await;
    assert_eq!((claim.proof, claim.usage), (Some(proof), Some(v1::Usage::default())));
}

#[tokio::test]
async fn a_passed_call_has_the_variables_of_cgi() {
    let world = World::new(hostile("environment"), 1).await;
    let headers = [("x-own", "1"), ("proxy", "http://evil"), ("mode", "slow"), ("content-type", "text/plain")];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let headers = http::HeaderMap::from_iter(headers);
    let passed = Passed { host: Some("api.example:81"), ..Passed::new(&Method::PUT, "/a%20b", Some("q=1")) };
    let answered = world.broker.pass(&world.token(1), passed, &headers, "12345").await;
    let text = String::from_utf8(answered.body.to_vec()).unwrap();
    let told: Vec<&str> = text.split('\0').collect();
    for variable in [
        "MODE=fast",
        "MERIT_FUNCTION=sample",
        "REQUEST_METHOD=PUT",
        "SCRIPT_NAME=/fn/sample",
        "PATH_INFO=/a b",
        "QUERY_STRING=q=1",
        "CONTENT_TYPE=text/plain",
        "CONTENT_LENGTH=5",
        "SERVER_NAME=api.example",
        "SERVER_PORT=81",
        "HTTP_X_OWN=1",
        "HTTP_MODE=slow",
    ] {
        assert!(told.contains(&variable), "{variable} in {told:?}");
    }
    assert!(!told.iter().any(|variable| variable.starts_with("HTTP_PROXY") || variable.contains("evil")), "{told:?}");
}

#[tokio::test]
async fn only_a_passed_call_answers_with_a_document() {
    let world = World::new(sample("echo"), 1).await;
    let document = "Status: 404 Not Found\r\nX-Own: 1\r\nMerit-Cost: 0\r\n\r\nno such thing";
    let passed = Passed::new(&Method::GET, "/x", None);
    let answered = world.broker.pass(&world.token(1), passed, &http::HeaderMap::new(), document).await;
    let ProviderAnswer::Executed { status, headers, report } = &answered.answer else {
        panic!("{:?}", answered.answer)
    };
    assert_eq!((status.as_u16(), report.outcome, &answered.body[..]), (404, Outcome::Ok, &b"no such thing"[..]));
    assert_eq!(headers["x-own"], "1");
    assert!(headers.get("content-type").is_none() && answered.headers.get("merit-cost").is_none());

    let plain = world.broker.pass(&world.token(2), passed, &http::HeaderMap::new(), "Status: fine").await;
    assert!(matches!(plain.answer, ProviderAnswer::Executed { status, .. } if status == StatusCode::OK));
    assert_eq!(
        (&plain.body[..], plain.headers["content-type"].to_str().unwrap()),
        (&b"Status: fine"[..], "application/octet-stream")
    );

    let invoked = world.broker.invoke(&world.token(3), document).await;
    assert_eq!((&invoked.body[..], invoked.headers.get("merit-status")), (document.as_bytes(), None));
}
