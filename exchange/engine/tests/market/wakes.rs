//! Wakes of resting bids besides supply: time, the health of providers, and limits that allow more than before.

use std::collections::BTreeMap;

use merit_engine::{
    AccountLimits, AtDeadline, Command, Correction, CorrectionKind, FunctionSettings, Logon, NotSent, ProviderLimits,
};
use merit_kit::{Floor, PRICE, Seller, code, logon, max_price, money, name, pool, rung, settings};
use merit_terms::{Budget, Execution, LeaseId, Limits, Period, Quota, Rung, Time};

/// Price above the limit of each bid that rests here.
const DEAR: u64 = 2 * PRICE;

/// Returns whether the last command matched the only bid, and none before it did.
fn is_matched(floor: &Floor) -> bool {
    floor.offered().is_some()
}

/// Makes as many calls that the provider fails as send it behind.
fn fail(floor: &mut Floor) {
    for _ in 0..3 {
        let lease = floor.call_at("seller").lease;
        floor.release(lease, NotSent::Failed);
    }
}

fn limit_provider(floor: &mut Floor, seller: Seller, exposure: Option<u64>) {
    let limits = ProviderLimits { exposure: exposure.map(money), ..ProviderLimits::default() };
    floor.apply(Command::SetProviderLimits { provider: seller.id, limits }).unwrap();
}

fn limit_account(floor: &mut Floor, limits: AccountLimits) {
    floor.apply(Command::SetAccountLimits { account: floor.buyer, limits }).unwrap();
}

fn one_at_once() -> AccountLimits {
    AccountLimits { max_concurrency: Some(1), ..AccountLimits::default() }
}

/// Waits until a lease has given its capacity back.
fn wait_until_overdue(floor: &mut Floor) {
    floor.wait_s(6);
}

/// Makes a bid that rests for this many days.
fn rest_for_days(floor: &mut Floor, days: u64) {
    floor.try_defer(max_price(PRICE), days * 86_400, AtDeadline::Expire).unwrap();
}

#[test]
fn the_end_of_a_pause_after_failures_wakes_a_bid() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    fail(&mut floor);
    floor.rest(PRICE);
    assert_eq!(floor.engine.next_due(), Some(floor.now.after_millis(100)));
    floor.wait_ms(99);
    assert!(!is_matched(&floor));
    floor.wait_ms(1);
    assert!(is_matched(&floor), "it is behind, but nothing else is left");
}

#[test]
fn a_provider_back_for_all_wakes_a_bid() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.seller("dear", 4, DEAR);
    for function in ["first", "second", "third", "untouched"] {
        floor.function = floor.put(function, code(), settings());
        if function != "untouched" {
            fail(&mut floor);
        }
    }
    floor.rest(PRICE);
    floor.wait_ms(99);
    assert!(!is_matched(&floor));
    floor.wait_ms(1);
    assert!(is_matched(&floor));
}

/// Makes a bid that waits for the trial of a provider, and ends the trial.
fn on_trial(end: impl Fn(&mut Floor, LeaseId)) -> Floor {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let pools = [pool(4), pool(4)].concat();
    floor.apply(Command::StatePools { provider: seller.id, session: seller.session, pools }).unwrap();
    floor.quote(seller, vec![rung(1, DEAR)]).unwrap();
    fail(&mut floor);
    floor.wait_s(1);
    let trial = floor.call().lease;
    floor.rest(PRICE);
    floor.quote(seller, vec![rung(1, DEAR), Rung { pool: 1, ..rung(2, PRICE) }]).unwrap();
    assert!(!is_matched(&floor));
    end(&mut floor, trial);
    floor
}

#[test]
fn a_trial_that_ends_without_failure_wakes_a_bid() {
    assert!(is_matched(&on_trial(|floor, trial| drop(floor.end(trial, Execution::Executed, 100)))));
    assert!(is_matched(&on_trial(|floor, trial| floor.release(trial, NotSent::Withdrawn))));
    assert!(is_matched(&on_trial(|floor, trial| drop(floor.end(trial, Execution::Unknown, 0)))));
    assert!(is_matched(&on_trial(|floor, _| wait_until_overdue(floor))));
}

#[test]
fn a_bid_goes_on_waiting_when_a_trial_fails() {
    let mut floor = on_trial(|floor, trial| floor.release(trial, NotSent::Failed));
    assert!(!is_matched(&floor));
    floor.wait_s(2);
    assert!(is_matched(&floor));
}

#[test]
fn a_bid_is_matched_when_exposure_frees() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    limit_provider(&mut floor, seller, Some(PRICE));
    let late = floor.call().lease;
    wait_until_overdue(&mut floor);
    floor.rest(PRICE);
    floor.settle(late, 100);
    assert!(is_matched(&floor));
}

#[test]
fn the_first_day_with_budget_wakes_a_bid() {
    for (period, [rests_on, spent_on, fits_on]) in [(Period::Day, [0, 1, 2]), (Period::Month, [30, 31, 59])] {
        let mut floor = Floor::new();
        let budgets = vec![Budget { period, amount: money(DEAR) }];
        floor.put("hello", code(), FunctionSettings { budgets, ..settings() });
        let seller = floor.seller("seller", 4, DEAR);
        floor.wait_until_day(rests_on);
        rest_for_days(&mut floor, 30);
        floor.wait_until_day(spent_on);
        let dear = floor.call().lease;
        floor.settle(dear, 1_000);
        floor.quote(seller, vec![rung(1, DEAR), rung(2, PRICE)]).unwrap();
        assert!(!is_matched(&floor), "{period:?}");
        floor.wait_until_day(fits_on);
        assert!(is_matched(&floor), "{period:?}");
    }
}

/// Makes a bid that waits for a running call, though there is an offer within its limit. `limit` allows one call at a
/// time.
fn waiting_for_a_call(limit: impl Fn(&mut Floor)) -> (Floor, LeaseId) {
    let mut floor = Floor::new();
    floor.seller("dear", 4, DEAR);
    limit(&mut floor);
    let running = floor.call().lease;
    floor.rest(PRICE);
    floor.seller("seller", 4, PRICE);
    assert!(!is_matched(&floor));
    (floor, running)
}

#[test]
fn the_end_of_a_concurrent_call_wakes_a_bid() {
    let by_function = |floor: &mut Floor| {
        floor.put("hello", code(), FunctionSettings { max_concurrency: Some(1), ..settings() });
    };
    let (mut floor, running) = waiting_for_a_call(by_function);
    floor.settle(running, 100);
    assert!(is_matched(&floor));
    let (mut floor, _) = waiting_for_a_call(|floor| limit_account(floor, one_at_once()));
    wait_until_overdue(&mut floor);
    assert!(is_matched(&floor));
}

#[test]
fn a_bid_is_matched_when_its_accounts_limits_are_raised() {
    let (mut floor, _) = waiting_for_a_call(|floor| limit_account(floor, one_at_once()));
    limit_account(&mut floor, AccountLimits::default());
    assert!(is_matched(&floor));
}

#[test]
fn returning_funds_wake_a_bid() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    floor.rest(PRICE);
    let (from, to, amount) = (floor.buyer, seller.account, money(1_000_000_000_000));
    let (kind, reason) = (CorrectionKind::Correction, String::new());
    let correction = Correction { kind, from, to, amount, about: None, reason };
    floor.apply(Command::Correct(Box::new(correction))).unwrap();
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert!(!is_matched(&floor));
    floor.apply(Command::Deposit { account: from, amount }).unwrap();
    assert!(is_matched(&floor));
}

#[test]
fn wider_limits_of_its_function_wake_a_bid() {
    let mut floor = Floor::new();
    let elsewhere = Limits { ignore: vec![name("seller")], ..Limits::default() };
    floor.put("hello", code(), FunctionSettings { limits: elsewhere, ..settings() });
    floor.rest(PRICE);
    floor.seller("seller", 4, PRICE);
    assert!(!is_matched(&floor));
    floor.put("hello", code(), settings());
    assert!(is_matched(&floor));
}

#[test]
fn what_concerns_one_account_examines_its_bids_only() {
    let (mut floor, running) = waiting_for_a_call(|floor| limit_account(floor, one_at_once()));
    let own = (floor.buyer, floor.function);
    (floor.buyer, floor.function) = floor.tenant("stranger");
    let nowhere = Limits { only: vec![name("nobody")], ..max_price(DEAR - 1) };
    for _ in 0..70 {
        floor.try_defer(nowhere.clone(), 60, AtDeadline::Expire).unwrap();
    }
    (floor.buyer, floor.function) = own;
    floor.settle(running, 100);
    assert!(is_matched(&floor));
}

#[test]
fn waking_a_market_at_several_prices_examines_bids_once() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 1);
    floor.quote(seller, vec![rung(1, PRICE), rung(2, DEAR)]).unwrap();
    let running = floor.call().lease;
    for _ in 0..60 {
        floor.try_defer(Limits { only: vec![name("nobody")], ..max_price(DEAR) }, 60, AtDeadline::Expire).unwrap();
    }
    floor.settle(running, 100);
    assert_ne!(floor.engine.next_due(), Some(floor.engine.last_at()));
}

#[test]
fn a_bid_is_matched_when_a_providers_limits_are_raised() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    limit_provider(&mut floor, seller, Some(0));
    floor.rest(PRICE);
    limit_provider(&mut floor, seller, None);
    assert!(is_matched(&floor));
}

#[test]
fn granted_labels_wake_a_bid() {
    let mut floor = Floor::new();
    let provider = floor.seller("seller", 4, PRICE).id;
    let label = ("residency".to_owned(), "us".to_owned());
    let limits = Limits { labels: vec![label.clone()], ..max_price(PRICE) };
    floor.try_defer(limits, 60, AtDeadline::Expire).unwrap();
    floor.apply(Command::GrantLabels { provider, labels: BTreeMap::from([label]) }).unwrap();
    assert!(is_matched(&floor));
}

#[test]
fn a_bid_is_matched_when_a_revived_provider_offers_again() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    floor.apply(Command::Kill { provider: seller.id, reason: String::new() }).unwrap();
    floor.rest(PRICE);
    floor.apply(Command::Revive { provider: seller.id }).unwrap();
    assert!(!is_matched(&floor), "its offers went when it was stopped");
    let session = floor.logon(seller.id, pool(4));
    floor.quote(Seller { session, ..seller }, vec![rung(1, PRICE)]).unwrap();
    assert!(is_matched(&floor));
}

fn free(requests: u64, energy_mb_ms: Option<u64>) -> Vec<Quota> {
    vec![Quota { name: name("free"), requests: Some(requests), energy_mb_ms, renews: None }]
}

/// Logs on a seller that sells under its quota for another minute.
fn under_quota(floor: &mut Floor, quotas: Vec<Quota>) -> Seller {
    let seller = floor.newcomer("seller", 4);
    let session = floor.logon_with(Logon { quotas, ..logon(seller.id, pool(4)) }).unwrap();
    let expires = Some(floor.now.after_millis(60_000));
    let seller = Seller { session, ..seller };
    floor.quote(seller, vec![Rung { quota: Some(name("free")), expires, ..rung(1, PRICE) }]).unwrap();
    seller
}

#[test]
fn returned_quota_wakes_a_bid() {
    let mut floor = Floor::new();
    under_quota(&mut floor, free(2, Some(1024 * 1_100)));
    let late = floor.call().lease;
    wait_until_overdue(&mut floor);
    floor.rest(PRICE);
    floor.settle(late, 100);
    assert!(is_matched(&floor));
}

#[test]
fn a_logon_with_a_larger_quota_wakes_a_bid() {
    let mut floor = Floor::new();
    let Seller { id: provider, session, .. } = under_quota(&mut floor, free(1, None));
    floor.call();
    floor.rest(PRICE);
    floor.apply(Command::Logout { provider, session }).unwrap();
    floor.logon_with(Logon { quotas: free(2, None), ..logon(provider, pool(4)) }).unwrap();
    assert!(is_matched(&floor));
}

#[test]
fn time_is_looked_at_only_while_bids_rest() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    fail(&mut floor);
    assert_eq!(floor.engine.next_due(), None);
    rest_for_days(&mut floor, 2);
    assert_eq!(floor.engine.next_due(), Some(floor.now.after_millis(100)));
    let bid = floor.engine.resting().next().unwrap().id;
    floor.apply(Command::CancelBid { account: floor.buyer, bid }).unwrap();
    assert_eq!(floor.engine.next_due(), None);
    floor.wait_s(2);
    floor.function =
        floor.put("elsewhere", code(), FunctionSettings { markets: vec!["us-*/*".parse().unwrap()], ..settings() });
    rest_for_days(&mut floor, 2);
    assert_eq!(floor.engine.next_due(), Some(Time::start_of(Period::Day, 1)));
}
