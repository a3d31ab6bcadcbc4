//! Providers' sessions over their streams: missed messages are repeated, offers outlive a logout only, claims need the
//! exchange's proof.

use http::Method;
use merit_engine::{Command, Event};
use merit_exchange::replay;
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Heard;
use merit_proto::v1::provider_message::Message as Said;
use serde_json::json;
use tonic::Code;

use crate::buyer::Buyer;
use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::raw_session::{RawSession, logon};
use crate::seller::rung;

in_both_shapes! {
    a_session_that_resumes_hears_what_it_missed
    a_session_that_cannot_resume_is_told_how_it_stands
    a_logout_leaves_expiring_offers_a_lost_stream_none
    a_fenced_session_is_told_and_takes_nothing_along
    a_claim_needs_the_proof_of_an_own_lease
    what_nobody_settles_is_paid_by_its_claim
    offers_are_pulled_when_they_are_leased_too_fast
    what_is_sold_under_a_quota_is_counted_over_sessions
    a_logon_that_cannot_be_is_refused_with_the_reason
}

/// A numbered message, as far as these tests tell them apart.
#[derive(Clone, Debug, PartialEq)]
enum Numbered {
    Granted(v1::LeaseId),
    Settled(v1::LeaseId),
    Market(String, v1::MarketState),
    Other,
}

fn told(heard: &Heard) -> Numbered {
    match heard {
        Heard::LeaseGranted(granted) => Numbered::Granted(granted.lease.unwrap()),
        Heard::LeaseSettled(settled) => Numbered::Settled(settled.lease.unwrap()),
        Heard::MarketState(change) => Numbered::Market(change.market.clone(), change.terms.unwrap().state()),
        _ => Numbered::Other,
    }
}

/// Starts a market with a function whose calls cost a millionth of a dollar at the provider.
async fn market_of(shape: Shape, logon: v1::Logon) -> (Market, RawSession, Buyer) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let mut session = RawSession::start(&market, logon).await;
    session.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    let buyer = Buyer::start(&market).await;
    (market, session, buyer)
}

async fn lease(buyer: &mut Buyer) -> v1::Grant {
    buyer.acquire("echo", v1::Limits::default()).await.unwrap()
}

async fn halt(market: &Market) {
    let answer = market.call(Method::PUT, "/v1/markets/local/wasm", &[], r#"{"state": "halted"}"#).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Makes two leases, settles the first, and halts the market. Returns the number of the last message that was heard,
/// and the missed ones.
async fn missed(market: &Market, session: &mut RawSession, buyer: &mut Buyer) -> (u64, Vec<Numbered>) {
    let first = lease(buyer).await.lease.unwrap();
    let (last, heard) = session.numbered().await;
    assert_eq!(told(&heard), Numbered::Granted(first));
    let second = lease(buyer).await.lease.unwrap();
    buyer.settle(first, 1000).await.unwrap();
    halt(market).await;
    let halted = Numbered::Market("local/wasm".to_owned(), v1::MarketState::Halted);
    (last, vec![Numbered::Granted(second), Numbered::Settled(first), halted])
}

async fn check_resumes(market: &Market, last: u64, missed: &[Numbered]) {
    let mut session = RawSession::start(market, v1::Logon { last_sequence: Some(last), ..logon("seller") }).await;
    assert!(session.welcome.resumed);
    assert_eq!(session.welcome.last_sequence, last);
    let mut before = last;
    for expected in missed {
        let (number, heard) = session.numbered().await;
        assert!(number > before, "{number} after {before}");
        assert_eq!(told(&heard), *expected);
        before = number;
    }
}

async fn a_session_that_resumes_hears_what_it_missed(shape: Shape) {
    let (market, mut session, mut buyer) = market_of(shape, logon("seller")).await;
    let (last, missed) = missed(&market, &mut session, &mut buyer).await;
    drop(session);
    check_resumes(&market, last, &missed).await;
    // A stream that read nothing resumes as well.
    check_resumes(&market, last, &missed).await;
    market.stop().await;
}

#[tokio::test]
async fn an_exchange_that_restarts_still_knows_what_was_missed() {
    let (mut market, mut session, mut buyer) = market_of(Shape::ThreeProcesses, logon("seller")).await;
    let (last, missed) = missed(&market, &mut session, &mut buyer).await;
    let killed = market.processes.remove(0).kill().await;
    market.processes.insert(0, killed.start_again().await);
    check_resumes(&market, last, &missed).await;
    market.stop().await;
}

async fn a_session_that_cannot_resume_is_told_how_it_stands(shape: Shape) {
    let (market, mut session, mut buyer) = market_of(shape, logon("seller")).await;
    let (last, missed) = missed(&market, &mut session, &mut buyer).await;
    drop(session);
    // The first logon of a process, and one that claims to have heard messages of the future.
    for last_sequence in [None, Some(last << 20)] {
        let session = RawSession::start(&market, v1::Logon { last_sequence, ..logon("seller") }).await;
        let welcome = &session.welcome;
        assert!(!welcome.resumed && welcome.last_sequence > last);
        let open: Vec<Numbered> = welcome.leases.iter().map(|lease| Numbered::Granted(lease.lease.unwrap())).collect();
        assert_eq!(open, missed[..1]);
        assert_eq!(welcome.markets.len(), 1);
        assert_eq!(welcome.markets[0].terms.unwrap().state(), v1::MarketState::Halted);
    }
    market.stop().await;
}

async fn a_logout_leaves_expiring_offers_a_lost_stream_none(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let offers = async || market.get("/v1/markets/local/wasm/book").await.json()["offers"].as_array().unwrap().len();
    let far = v1::Rung { expires: 4_000_000_000_000_000, ..rung(1, 512, 1_000_000) };
    let ladder = || vec![far.clone(), rung(2, 512, 2_000_000)];

    let mut session = RawSession::start(&market, logon("seller")).await;
    session.quote("local/wasm", ladder()).await;
    assert_eq!(offers().await, 2);
    session.say(Said::Logout(v1::Logout {})).await;
    assert!(session.ended().await.is_none(), "a logout is no error");
    assert_eq!(offers().await, 1);
    // It still matches, though its provider is not there to hear of it.
    let mut buyer = Buyer::start(&market).await;
    let grant = buyer.acquire("echo", v1::Limits::default()).await.unwrap();
    assert_eq!((grant.provider.as_str(), grant.price), ("seller", 20_000_000));

    let mut session = RawSession::start(&market, logon("seller")).await;
    session.quote("local/wasm", ladder()).await;
    drop(session);
    market.until_offers_of("seller", false).await;
    market.stop().await;
}

async fn a_fenced_session_is_told_and_takes_nothing_along(shape: Shape) {
    let (market, mut first, mut buyer) = market_of(shape, logon("seller")).await;
    let mut second = RawSession::start(&market, logon("seller")).await;
    let ended = first.ended().await.unwrap();
    assert_eq!(ended.code(), Code::Aborted, "{ended:?}");
    second.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    drop(first);
    let granted = lease(&mut buyer).await.lease.unwrap();
    assert_eq!(told(&second.numbered().await.1), Numbered::Granted(granted));
    assert_eq!(market.get("/v1/providers").await.json()["providers"][0]["online"], true);
    market.stop().await;
}

async fn a_claim_needs_the_proof_of_an_own_lease(shape: Shape) {
    let (market, mut session, mut buyer) = market_of(shape, logon("seller")).await;
    let grant = lease(&mut buyer).await;
    let (id, proof) = (grant.lease.unwrap(), grant.proof.unwrap());

    let mut other = RawSession::start(&market, logon("other")).await;
    let answered = other.claim(proof.clone(), 1000).await;
    assert_eq!((answered.lease, answered.code.as_str()), (Some(id), "forbidden"), "{answered:?}");
    let mut forged = proof.clone();
    forged.mac[5] ^= 1;
    assert_eq!(session.claim(forged, 1000).await.code, "forbidden");
    let mut dearer = proof.clone();
    *dearer.terms.last_mut().unwrap() ^= 1;
    assert_eq!(session.claim(dearer, 1000).await.code, "forbidden");
    assert_eq!(session.claim(v1::LeaseProof::default(), 1000).await.code, "forbidden");

    let answered = session.claim(proof.clone(), 1000).await;
    assert_eq!((answered.lease, answered.code.as_str()), (Some(id), ""), "{answered:?}");
    // The first claim stands; a settled lease is not claimed.
    assert_eq!(session.claim(proof.clone(), 9_000_000).await.code, "");
    buyer.settle(id, 2000).await.unwrap();
    assert_eq!(session.claim(proof, 1000).await.code, "closed");

    let dir = market.stop().await;
    let mut claims = Vec::new();
    replay(&dir.path().join("data"), |_, _, events| {
        claims.extend(events.iter().filter_map(|event| match event {
            Event::Claimed { lease, usage, .. } => Some((*lease, usage.wall_us)),
            _ => None,
        }));
    })
    .unwrap();
    assert_eq!(claims, [(id.into(), 1000)]);
}

async fn what_nobody_settles_is_paid_by_its_claim(shape: Shape) {
    let (market, mut session, mut buyer) = market_of(shape, logon("seller")).await;
    let unknown = lease(&mut buyer).await;
    let id = unknown.lease.unwrap();
    let settle = v1::Settle { lease: Some(id), execution: v1::Execution::Unknown.into(), ..v1::Settle::default() };
    buyer.say(v1::broker_message::Message::Settle(settle)).await;
    buyer.settled(id).await.unwrap();
    // It is told at once, and may claim.
    let heard = session.hear(|heard| match heard {
        Heard::LeaseUnknown(lease) => lease.lease,
        _ => None,
    });
    assert_eq!(heard.await, id);
    assert_eq!(session.claim(unknown.proof.unwrap(), 1000).await.code, "");

    let dir = market.stop().await;
    let mut engine = replay(&dir.path().join("data"), |_, _, _| {}).unwrap().engine;
    let balance = |engine: &merit_engine::Engine| {
        engine.account(engine.find_account("seller").unwrap()).unwrap().balance.picodollars()
    };
    assert_eq!(balance(&engine), 0, "it is not paid before its time to be settled has passed");
    let long_after = engine.last_at().after_millis(3_600_000);
    while engine.next_due().is_some() {
        engine.apply(long_after, &Command::Tick, &mut Vec::new());
    }
    assert_eq!(balance(&engine), 1_000_000);
}

async fn offers_are_pulled_when_they_are_leased_too_fast(shape: Shape) {
    let protection = Some(v1::Protection { leases: 3, within_ms: 60_000 });
    let (market, mut session, mut buyer) = market_of(shape, v1::Logon { protection, ..logon("seller") }).await;
    for _ in 0..3 {
        lease(&mut buyer).await;
    }
    session.hear(|heard| matches!(heard, Heard::Protected(_)).then_some(())).await;
    let refused = buyer.acquire("echo", v1::Limits::default()).await.unwrap_err();
    assert_eq!(refused.code, "no_eligible_provider", "{refused:?}");
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["protection"], json!({"leases": 3, "within_ms": 60_000}));
    session.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    lease(&mut buyer).await;
    market.stop().await;
}

async fn what_is_sold_under_a_quota_is_counted_over_sessions(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let quota = v1::Quota {
        name: "free".to_owned(),
        requests: Some(2),
        energy_mb_ms: None,
        renews: v1::Period::Unspecified.into(),
    };
    let logon = v1::Logon { quotas: vec![quota], ..logon("seller") };
    let ladder = || vec![v1::Rung { quota: "free".to_owned(), ..rung(1, 1024, 0) }];
    let mut buyer = Buyer::start(&market).await;
    for used in 1..=2 {
        let mut session = RawSession::start(&market, logon.clone()).await;
        session.quote("local/wasm", ladder()).await;
        let id = lease(&mut buyer).await.lease.unwrap();
        assert_eq!(buyer.settle(id, 1000).await.unwrap().cost, 0);
        let quota = market.get("/v1/providers").await.json()["providers"][0]["quotas"][0].clone();
        assert_eq!((&quota["name"], &quota["used_requests"]), (&json!("free"), &json!(used)), "{quota}");
    }
    let mut session = RawSession::start(&market, logon).await;
    session.quote("local/wasm", ladder()).await;
    let refused = buyer.acquire("echo", v1::Limits::default()).await.unwrap_err();
    assert_eq!(refused.code, "no_capacity", "{refused:?}");
    market.stop().await;
}

async fn a_logon_that_cannot_be_is_refused_with_the_reason(shape: Shape) {
    let market = Market::start(shape).await;
    let check = async |logon: v1::Logon, named: &str| {
        let status = RawSession::try_start(&market, logon).await.err().expect(named);
        assert!(status.message().contains(named), "`{named}` is not in: {status:?}");
    };
    let quota = v1::Quota { name: "free".to_owned(), ..v1::Quota::default() };
    check(v1::Logon { quotas: vec![quota.clone(), quota.clone()], ..logon("seller") }, "quotas").await;
    let unnamed = v1::Quota { name: "a name".to_owned(), ..quota };
    check(v1::Logon { quotas: vec![unnamed], ..logon("seller") }, "quota: `a name`").await;
    let protection = Some(v1::Protection { leases: 0, within_ms: 100 });
    check(v1::Logon { protection, ..logon("seller") }, "protection").await;
    check(v1::Logon { pools: Vec::new(), ..logon("seller") }, "pools").await;
    check(v1::Logon { endpoint: "http://10.0.0.1:1".to_owned(), ..logon("seller") }, "loopback").await;
    market.stop().await;
}
