//! Quotas: a free tier is used up before anybody is paid, and renews with its period.

use merit_engine::{Logon, NotSent};
use merit_kit::{Floor, MEMORY_MB, PRICE, Seller, TIMEOUT_MS, logon, name, pool, rung};
use merit_terms::{Execution, NoOffer, Period, Quota, Refusal, Rung};

fn quota(requests: Option<u64>, energy_mb_ms: Option<u64>, renews: Option<Period>) -> Quota {
    Quota { name: name("free"), requests, energy_mb_ms, renews }
}

fn free_rung() -> Rung {
    Rung { quota: Some(name("free")), ..rung(1, 0) }
}

/// Logs on a seller whose free tier is under this quota.
fn free_tier(floor: &mut Floor, quota: Quota) -> Seller {
    let seller = floor.newcomer("free", 8);
    let session = floor.logon_with(Logon { quotas: vec![quota], ..logon(seller.id, pool(8)) }).unwrap();
    let seller = Seller { session, ..seller };
    floor.quote(seller, vec![free_rung()]).unwrap();
    seller
}

fn used(floor: &Floor, seller: Seller) -> (u64, u64) {
    let view = &floor.engine.quotas(seller.id)[0];
    (view.used_requests, view.used_energy_mb_ms)
}

/// Returns the number of free calls before the first paid one.
fn free_calls(floor: &mut Floor) -> usize {
    (0..20)
        .take_while(|_| {
            let call = floor.call();
            floor.settle(call.lease, 100);
            call.price.picodollars() == 0
        })
        .count()
}

#[test]
fn a_free_tier_is_used_up_before_anybody_is_paid() {
    let mut floor = Floor::new();
    floor.seller("paid", 8, PRICE);
    free_tier(&mut floor, quota(Some(3), None, Some(Period::Day)));
    assert_eq!(free_calls(&mut floor), 3);
    assert_eq!(floor.call().price.picodollars(), PRICE);
}

#[test]
fn quoting_again_and_logging_on_again_reset_no_quota() {
    let mut floor = Floor::new();
    let quota = quota(Some(3), None, Some(Period::Day));
    let seller = free_tier(&mut floor, quota.clone());
    assert_eq!(floor.granted(2), 2);
    floor.quote(seller, Vec::new()).unwrap();
    floor.quote(seller, vec![free_rung()]).unwrap();
    assert_eq!(used(&floor, seller).0, 2);
    let session = floor.logon_with(Logon { quotas: vec![quota], ..logon(seller.id, pool(8)) }).unwrap();
    floor.quote(Seller { session, ..seller }, vec![free_rung()]).unwrap();
    assert_eq!(floor.granted(9), 1);
}

#[test]
fn a_quota_comes_back_at_its_renewal() {
    let mut floor = Floor::new();
    floor.seller("paid", 8, PRICE);
    let seller = free_tier(&mut floor, quota(Some(2), None, Some(Period::Day)));
    assert_eq!(free_calls(&mut floor), 2);
    floor.wait_until_day(1);
    assert_eq!(used(&floor, seller), (0, 0));
    assert_eq!(free_calls(&mut floor), 2);
}

#[test]
fn each_quota_renews_with_its_own_period_or_never() {
    for (renews, after_a_day, after_a_month) in [(Some(Period::Month), 0, 1), (None, 0, 0)] {
        let mut floor = Floor::new();
        free_tier(&mut floor, quota(Some(1), None, renews));
        let lease = floor.call().lease;
        floor.settle(lease, 100);
        floor.wait_until_day(1);
        assert_eq!(floor.granted(9), after_a_day, "{renews:?}");
        floor.wait_until_day(31);
        assert_eq!(floor.granted(9), after_a_month, "{renews:?}");
    }
}

#[test]
fn a_lease_reserves_quota_and_returns_the_unused_part() {
    let mut floor = Floor::new();
    let worst = u64::from(MEMORY_MB) * u64::from(TIMEOUT_MS);
    let seller = free_tier(&mut floor, quota(None, Some(worst + worst / 10), None));
    let lease = floor.call().lease;
    assert_eq!((used(&floor, seller), floor.lacks()), ((1, worst), NoOffer::Room));
    floor.settle(lease, 100);
    assert_eq!(used(&floor, seller), (1, worst / 10));
    floor.call();
    assert_eq!(used(&floor, seller), (2, worst + worst / 10));
}

#[test]
fn what_was_not_sent_returns_its_request() {
    let mut floor = Floor::new();
    let seller = free_tier(&mut floor, quota(Some(1), None, None));
    let lease = floor.call().lease;
    floor.release(lease, NotSent::Withdrawn);
    assert_eq!(used(&floor, seller), (0, 0));
    let lease = floor.call().lease;
    floor.end(lease, Execution::Executed, 0).unwrap();
    assert_eq!((used(&floor, seller).0, floor.lacks()), (1, NoOffer::Room));
}

#[test]
fn what_ends_in_another_period_returns_nothing() {
    let mut floor = Floor::new();
    let seller = free_tier(&mut floor, quota(Some(9), None, Some(Period::Day)));
    let lease = floor.call().lease;
    floor.wait_until_day(1);
    floor.call();
    let before = used(&floor, seller);
    floor.end(lease, Execution::Executed, 0).unwrap_err();
    assert_eq!(used(&floor, seller), before);
}

#[test]
fn offers_in_two_markets_share_one_quota() {
    let mut floor = Floor::new();
    let other = floor.create_market("us-east/wasm");
    let seller = free_tier(&mut floor, quota(Some(3), None, None));
    floor.quote_in(other, seller, vec![free_rung()]).unwrap();
    assert_eq!(floor.granted(9), 3);
}

#[test]
fn unknown_quotas_and_a_seventeenth_quota_are_refused() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 8);
    let refusal = floor.quote(seller, vec![free_rung()]);
    assert!(matches!(refusal, Err(Refusal::Rungs { rungs }) if rungs.len() == 1));
    let numbered = |number: usize| Quota { name: name(&format!("q{number}")), ..quota(None, None, None) };
    let quotas = |count: usize| Logon { quotas: (0..count).map(numbered).collect(), ..logon(seller.id, pool(8)) };
    assert!(matches!(floor.logon_with(quotas(17)), Err(Refusal::Invalid { field, .. }) if field == "quotas"));
    assert!(floor.logon_with(quotas(16)).is_ok());
}
