//! Brokers' streams: many bids over one, answered in any order; sessions that are resumed; deferred bids.

use std::time::{SystemTime, UNIX_EPOCH};

use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Said;
use merit_proto::v1::brokerage_message::Message as Heard;
use merit_proto::v1::refused::Asked;
use serde_json::json;
use tonic::Code;

use crate::buyer::{Buyer, acquire, executed};
use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::eventually;
use crate::raw_session::{RawSession, logon};
use crate::seller::rung;

in_both_shapes! {
    one_stream_serves_many_bids_at_once
    a_repeated_bid_is_answered_with_its_lease
    a_resumed_stream_answers_for_its_leases
    a_resuming_stream_fences_the_earlier_one
    a_lease_is_given_back_with_the_reason
    a_deferred_bid_rests_until_it_is_offered_a_lease
    a_match_not_taken_up_is_released_and_rests
    a_deferred_bid_is_cancelled_or_expires
    a_resting_bid_waits_for_its_brokers_stream
    what_a_broker_asks_wrongly_is_refused
    a_slow_broker_loses_its_stream_and_keeps_its_session
}

const CHEAP: u64 = 1_000_000;
/// Reference price of a flat request fee: 20 times the fee.
const PRICE: u64 = 20 * CHEAP;

async fn market_of(shape: Shape) -> (Market, RawSession) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let mut session = RawSession::start(&market, logon("seller")).await;
    session.quote("local/wasm", vec![rung(1, 1024, CHEAP)]).await;
    (market, session)
}

/// Returns the time in `seconds`, in microseconds since 1970.
fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    now + seconds * 1_000_000
}

async fn held(market: &Market) -> String {
    market.get("/v1/accounts/dev").await.json()["held"].as_str().unwrap().to_owned()
}

async fn bids(market: &Market) -> serde_json::Value {
    market.get("/v1/markets/local/wasm/book").await.json()["bids"].clone()
}

async fn one_stream_serves_many_bids_at_once(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let mut settled = 0;
    for _ in 0..20 {
        // The pool has eight slots.
        let mut bids = Vec::new();
        for _ in 0..10 {
            bids.push(buyer.bid("echo", v1::Limits::default()).await);
        }
        let mut leases = Vec::new();
        // Asked for last to first: every answer names its bid.
        for number in bids.into_iter().rev() {
            match buyer.answer(number).await {
                Ok(grant) => leases.push((grant.request, number, grant.lease.unwrap())),
                Err(refused) => assert_eq!(refused.code, "no_capacity", "{refused:?}"),
            }
        }
        assert_eq!(leases.len(), 8);
        for (request, number, lease) in &leases {
            assert_eq!(request, number);
            buyer.say(Said::Settle(executed(*lease, 1000))).await;
        }
        for (.., lease) in leases {
            assert_eq!(buyer.settled(lease).await.unwrap().cost, CHEAP);
            settled += 1;
        }
    }
    let balance = market.get("/v1/accounts/seller").await.json()["balance"].as_str().unwrap().to_owned();
    let earned = merit_terms::Money::from_picodollars(settled * CHEAP).unwrap();
    assert_eq!(balance, earned.to_string());
    market.stop().await;
}

async fn a_repeated_bid_is_answered_with_its_lease(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let grant = buyer.acquire("echo", v1::Limits::default()).await.unwrap();
    let number = buyer.bid_as(grant.request, "echo", v1::Limits::default()).await;
    assert_eq!(buyer.answer(number).await.unwrap(), grant);
    market.until_leases_of("seller", |leases| leases == 1).await;
    let lease = grant.lease.unwrap();
    let cost = buyer.settle(lease, 1000).await.unwrap().cost;
    assert_eq!(cost, CHEAP);
    assert_eq!(buyer.settle(lease, 1000).await.unwrap_err().code, "closed");
    market.stop().await;
}

async fn a_resumed_stream_answers_for_its_leases(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut first = Buyer::start(&market).await;
    let settled = first.acquire("echo", v1::Limits::default()).await.unwrap().lease.unwrap();
    first.settle(settled, 1000).await.unwrap();
    let open = first.acquire("echo", v1::Limits::default()).await.unwrap();
    let session = first.session();
    drop(first);

    let mut second = Buyer::resume(&market, session).await;
    assert_eq!(second.session(), session);
    assert_eq!(second.welcome.leases, std::slice::from_ref(&open));
    let again = second.bid_as(open.request, "echo", v1::Limits::default()).await;
    assert_eq!(second.answer(again).await.unwrap(), open);
    assert_eq!(second.settle(open.lease.unwrap(), 1000).await.unwrap().cost, CHEAP);
    drop(second);
    // A session without leases and bids is forgotten.
    eventually("the session is forgotten", || async {
        let status = Buyer::try_start(&market, Some(session)).await.err()?;
        assert_eq!(
            (status.code(), merit_proto::code_of(&status)),
            (Code::NotFound, Some(merit_terms::RefusalCode::NotFound))
        );
        Some(())
    })
    .await;
    market.stop().await;
}

async fn a_resuming_stream_fences_the_earlier_one(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut first = Buyer::start(&market).await;
    let lease = first.acquire("echo", v1::Limits::default()).await.unwrap().lease.unwrap();
    let mut second = Buyer::resume(&market, first.session()).await;
    assert_eq!(first.ended().await.unwrap().code(), Code::Aborted);
    drop(first);
    assert_eq!(second.settle(lease, 1000).await.unwrap().cost, CHEAP);
    second.acquire("echo", v1::Limits::default()).await.unwrap();
    market.stop().await;
}

async fn a_lease_is_given_back_with_the_reason(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let take = async |buyer: &mut Buyer| buyer.acquire("echo", v1::Limits::default()).await.unwrap().lease.unwrap();
    let health = async || market.get("/v1/providers").await.json()["providers"][0]["health"].clone();

    let lease = take(&mut buyer).await;
    buyer.release(lease, v1::NotSent::Withdrawn).await;
    assert_eq!(buyer.settle(lease, 1000).await.unwrap_err().code, "closed");
    // A closed lease is given back as well.
    buyer.release(lease, v1::NotSent::Withdrawn).await;
    assert_eq!(held(&market).await, "0");
    assert_eq!(health().await, json!([]));

    for _ in 0..3 {
        let lease = take(&mut buyer).await;
        buyer.release(lease, v1::NotSent::Failed).await;
    }
    let told = health().await;
    assert_eq!((&told[0]["function"], &told[0]["failures"]), (&json!("echo"), &json!(3)), "{told}");
    assert!(told[0]["reason"].as_str().unwrap().contains("revision 2 of echo failed there 3 times"), "{told}");
    let refused = buyer.acquire("echo", v1::Limits::default()).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retry_after_ms > 0), ("no_supply", true), "{refused:?}");
    market.stop().await;
}

async fn a_deferred_bid_rests_until_it_is_offered_a_lease(shape: Shape) {
    let (market, mut session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let resting = async |buyer: &mut Buyer, number: u64| {
        buyer
            .hear(|heard| match heard {
                Heard::Resting(resting) if resting.number == number => resting.bid,
                Heard::Refused(refused) => panic!("{refused:?}"),
                _ => None,
            })
            .await
    };
    // A bid within its limit is leased at once.
    let at_once = buyer.defer("echo", PRICE, in_seconds(60)).await;
    let grant = buyer.answer(at_once).await.unwrap();
    buyer.settle(grant.lease.unwrap(), 1000).await.unwrap();

    let number = buyer.defer("echo", PRICE - 1, in_seconds(60)).await;
    let bid = resting(&mut buyer, number).await;
    assert_ne!(held(&market).await, "0");
    let waits = json!([{"price": "0.000019999999", "memory_mb": 128, "bids": 1}]);
    assert_eq!(bids(&market).await, waits, "the book's bid side");
    session.quote("local/wasm", vec![rung(1, 1024, CHEAP / 2)]).await;
    let offered = buyer.hear(|heard| match heard {
        Heard::Offered(offered) => offered.grant.clone(),
        _ => None,
    });
    let grant = offered.await;
    assert_eq!((grant.invocation, grant.request, grant.provider.as_str()), (Some(bid), number, "seller"));
    let lease = grant.lease.unwrap();
    buyer.say(Said::TakeUp(v1::TakeUp { lease: Some(lease) })).await;
    buyer.hear(|heard| matches!(heard, Heard::TakenUp(taken) if taken.lease == Some(lease)).then_some(())).await;
    assert_eq!(buyer.settle(lease, 1000).await.unwrap().cost, CHEAP / 2);
    assert_eq!(bids(&market).await, json!([]));
    assert_eq!(held(&market).await, "0");
    market.stop().await;
}

async fn a_match_not_taken_up_is_released_and_rests(shape: Shape) {
    let (market, mut session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let number = buyer.defer("echo", PRICE - 1, in_seconds(60)).await;
    let bid = buyer.hear(|heard| if let Heard::Resting(resting) = heard { resting.bid } else { None }).await;
    session.quote("local/wasm", vec![rung(1, 1024, CHEAP / 2)]).await;
    let offered = |heard: &Heard| if let Heard::Offered(offered) = heard { offered.grant.clone() } else { None };
    let first = buyer.hear(offered).await;
    let second = buyer.hear(offered).await;
    assert_ne!(first.lease, second.lease);
    assert_eq!((second.invocation, second.request), (Some(bid), number));
    buyer.say(Said::TakeUp(v1::TakeUp { lease: first.lease })).await;
    let refused = buyer.hear(|heard| match heard {
        Heard::Refused(v1::Refused { asked: Some(Asked::TakeUp(lease)), refusal }) if Some(*lease) == first.lease => {
            refusal.clone()
        }
        _ => None,
    });
    assert_eq!(refused.await.code, "closed");
    market.stop().await;
}

async fn a_deferred_bid_is_cancelled_or_expires(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let rests = |heard: &Heard| if let Heard::Resting(resting) = heard { resting.bid } else { None };
    buyer.defer("echo", PRICE - 1, in_seconds(60)).await;
    let bid = buyer.hear(rests).await;
    // Any broker of its account may do so.
    let mut other = Buyer::start(&market).await;
    let cancel = |account: &str| Said::CancelBid(v1::CancelBid { account: account.to_owned(), bid: Some(bid) });
    other.say(cancel("seller")).await;
    let refused =
        other.hear(|heard| if let Heard::Refused(refused) = heard { Some(refused.clone()) } else { None }).await;
    assert_eq!((refused.asked, refused.refusal.unwrap().code.as_str()), (Some(Asked::CancelBid(bid)), "closed"));
    other.say(cancel("dev")).await;
    other.hear(|heard| matches!(heard, Heard::Cancelled(cancelled) if cancelled.bid == Some(bid)).then_some(())).await;
    let gone =
        |heard: &Heard| if let Heard::BidGone(gone) = heard { Some((gone.bid.unwrap(), gone.how())) } else { None };
    assert_eq!(buyer.hear(gone).await, (bid, v1::BidEnding::Cancelled));

    buyer.defer("echo", PRICE - 1, in_seconds(1)).await;
    let bid = buyer.hear(rests).await;
    assert_eq!(buyer.hear(gone).await, (bid, v1::BidEnding::Expired));
    assert_eq!(held(&market).await, "0");
    market.stop().await;
}

async fn a_resting_bid_waits_for_its_brokers_stream(shape: Shape) {
    let (market, mut session) = market_of(shape).await;
    let mut first = Buyer::start(&market).await;
    first.defer("echo", PRICE - 1, in_seconds(60)).await;
    let bid = first.hear(|heard| if let Heard::Resting(resting) = heard { resting.bid } else { None }).await;
    let number_of_session = first.session();
    drop(first);
    eventually("the stream is lost", || async {
        // The session of another stream tells nothing about these bids.
        let log = market.processes[0].log();
        log.contains(&format!("a broker's stream ended session={number_of_session}")).then_some(())
    })
    .await;
    session.quote("local/wasm", vec![rung(1, 1024, CHEAP / 2)]).await;
    assert_eq!(market.get("/v1/providers").await.json()["providers"][0]["pools"][0]["leases"], 0);

    let mut second = Buyer::resume(&market, number_of_session).await;
    // The new supply serves it at once.
    let offered = second.hear(|heard| if let Heard::Offered(offered) = heard { offered.grant.clone() } else { None });
    assert_eq!(offered.await.invocation, Some(bid));
    market.stop().await;
}

async fn what_a_broker_asks_wrongly_is_refused(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let mut check = async |said: Said, asked: Asked, code: &str, named: &str| {
        buyer.say(said).await;
        let refused =
            buyer.hear(|heard| if let Heard::Refused(refused) = heard { Some(refused.clone()) } else { None });
        let refused = refused.await;
        let refusal = refused.refusal.unwrap();
        assert_eq!((refused.asked, refusal.code.as_str()), (Some(asked), code), "{refusal:?}");
        assert!(refusal.message.contains(named), "`{named}` is not in: {}", refusal.message);
    };
    let bid = |number, function: &str| acquire(number, function, v1::Limits::default());
    let unknown = v1::LeaseId { run: 1, sequence: 999_999 };
    check(Said::Acquire(bid(71, "nothing")), Asked::Number(71), "not_found", "nothing").await;
    check(Said::Acquire(bid(72, "no name")), Asked::Number(72), "invalid", "function: `no name`").await;
    let other = v1::Acquire { account: "nobody".to_owned(), ..bid(73, "echo") };
    check(Said::Acquire(other), Asked::Number(73), "not_found", "nobody").await;
    let only = v1::Limits { only: vec!["edge 1".to_owned()], ..v1::Limits::default() };
    check(Said::Acquire(acquire(74, "echo", only)), Asked::Number(74), "invalid", "only: `edge 1`").await;
    let tried = v1::Acquire { tried: vec!["a".to_owned(); 65], ..bid(75, "echo") };
    check(Said::Acquire(tried), Asked::Number(75), "invalid", "tried: 65").await;
    let defer = |bid, deadline| Said::Defer(v1::Defer { bid, deadline, then: v1::AtDeadline::Expire.into() });
    check(defer(Some(bid(76, "echo")), in_seconds(9)), Asked::Number(76), "invalid", "max_price").await;
    check(defer(None, in_seconds(9)), Asked::Number(0), "invalid", "bid: is missing").await;
    let settle = v1::Settle { execution: 0, ..executed(unknown, 1) };
    check(Said::Settle(settle), Asked::Settle(unknown), "invalid", "execution: is missing").await;
    check(Said::Settle(executed(unknown, 1)), Asked::Settle(unknown), "closed", "closed").await;
    let forged = v1::SettleForgotten { proof: Some(v1::LeaseProof::default()), settle: Some(executed(unknown, 1)) };
    check(Said::SettleForgotten(forged), Asked::Settle(unknown), "forbidden", "proof").await;
    let release = v1::Release { lease: Some(unknown), why: 0, retry_after_s: 0 };
    check(Said::Release(release), Asked::Release(unknown), "invalid", "why: is missing").await;
    check(Said::TakeUp(v1::TakeUp { lease: Some(unknown) }), Asked::TakeUp(unknown), "closed", "closed").await;
    // The stream has survived all of that; a second hello ends it.
    buyer.acquire("echo", v1::Limits::default()).await.unwrap();
    buyer.say(Said::Hello(v1::BrokerHello { resumes: None })).await;
    assert_eq!(buyer.ended().await.unwrap().code(), Code::InvalidArgument);
    market.stop().await;
}

async fn a_slow_broker_loses_its_stream_and_keeps_its_session(shape: Shape) {
    let (market, _session) = market_of(shape).await;
    let mut buyer = Buyer::start(&market).await;
    let lease = buyer.acquire("echo", v1::Limits::default()).await.unwrap().lease.unwrap();
    // Each answer has its own name. All of them are far more than the queues hold: 4,096 answers at the exchange, and
    // about 3 MB in the windows and buffers of the connection.
    let no_name = "no name ".repeat(256);
    for number in 1000..9000 {
        buyer.bid_as(number, &no_name, v1::Limits::default()).await;
    }
    eventually("the stream is ended", || async {
        market.processes[0].log().contains("answers that wait to be read").then_some(())
    })
    .await;
    buyer.ended().await;
    let mut again = Buyer::resume(&market, buyer.session()).await;
    assert_eq!(again.settle(lease, 1000).await.unwrap().cost, CHEAP);
    market.stop().await;
}
