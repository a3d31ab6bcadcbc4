//! Budgets: the most that a function or an account spends in a day or a month, however many calls run at once.

use merit_engine::{AccountLimits, Command, FunctionSettings, ProviderKind, SpendingOf};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, TIMEOUT_MS, code, money, pool, rung, settings};
use merit_terms::{Budget, NoOffer, Period};

const COST: u64 = PRICE / CALLS_PER_GB_SECOND;

fn budget(period: Period, picodollars: u64) -> Budget {
    Budget { period, amount: money(picodollars) }
}

fn function_budget(floor: &mut Floor, budget: Budget) {
    floor.put("hello", code(), FunctionSettings { budgets: vec![budget], ..settings() });
}

fn account_budget(floor: &mut Floor, budget: Budget) {
    let limits = AccountLimits { budgets: vec![budget], ..AccountLimits::default() };
    floor.apply(Command::SetAccountLimits { account: floor.buyer, limits }).unwrap();
}

fn spent(floor: &Floor, period: Period) -> (u128, u128) {
    floor.engine.spending(SpendingOf::Function(floor.function), period)
}

#[test]
fn a_budget_for_exactly_ten_calls_gives_exactly_ten() {
    for set in [function_budget, account_budget] {
        let mut floor = Floor::new();
        floor.seller("seller", 64, PRICE);
        set(&mut floor, budget(Period::Day, 10 * PRICE));
        assert_eq!((floor.granted(20), floor.lacks()), (10, NoOffer::Budget));
    }
}

#[test]
fn ten_calls_one_after_the_other_are_ten_as_well() {
    let mut floor = Floor::new();
    floor.seller("seller", 64, PRICE);
    function_budget(&mut floor, budget(Period::Month, 10 * PRICE));
    for _ in 0..10 {
        let lease = floor.call().lease;
        floor.settle(lease, u64::from(TIMEOUT_MS));
    }
    assert_eq!((floor.lacks(), spent(&floor, Period::Month)), (NoOffer::Budget, (10 * u128::from(PRICE), 0)));
}

#[test]
fn a_settlement_frees_what_it_did_not_cost() {
    let mut floor = Floor::new();
    floor.seller("seller", 64, PRICE);
    function_budget(&mut floor, budget(Period::Day, PRICE + COST));
    let lease = floor.call().lease;
    assert_eq!((floor.lacks(), spent(&floor, Period::Day)), (NoOffer::Budget, (0, u128::from(PRICE))));
    floor.settle(lease, 100);
    assert_eq!(spent(&floor, Period::Day), (u128::from(COST), 0));
    floor.call();
    assert_eq!(floor.lacks(), NoOffer::Budget);
}

#[test]
fn a_day_begins_anew_and_a_month_goes_on() {
    for (period, after_a_day) in [(Period::Day, 1), (Period::Month, 0)] {
        let mut floor = Floor::new();
        floor.seller("seller", 64, PRICE);
        function_budget(&mut floor, budget(period, PRICE));
        let lease = floor.call().lease;
        floor.settle(lease, u64::from(TIMEOUT_MS));
        floor.wait_until_day(1);
        assert_eq!(floor.granted(9), after_a_day, "{period:?}");
        floor.wait_until_day(31);
        assert_eq!(floor.granted(9), 1, "{period:?}");
    }
}

#[test]
fn a_call_counts_in_the_day_of_its_match() {
    let mut floor = Floor::new();
    floor.seller("seller", 64, PRICE);
    floor.wait_until_day(1);
    floor.now = merit_terms::Time::from_micros(floor.now.micros() + 86_399_000_000);
    let lease = floor.call().lease;
    floor.wait_until_day(2);
    floor.settle(lease, 100);
    assert_eq!(spent(&floor, Period::Day), (0, 0));
    assert_eq!(spent(&floor, Period::Month), (u128::from(COST), 0));
}

#[test]
fn own_providers_count_on_budgets_though_they_move_no_money() {
    let mut floor = Floor::new();
    let buyer = floor.buyer;
    let id = floor.provider("own-cluster", buyer, ProviderKind::Own);
    let session = floor.logon(id, pool(64));
    floor.quote(merit_kit::Seller { id, account: buyer, session }, vec![rung(1, PRICE)]).unwrap();
    function_budget(&mut floor, budget(Period::Day, 2 * PRICE));
    assert_eq!((floor.granted(9), floor.lacks(), floor.held(buyer)), (2, NoOffer::Budget, 0));
}

#[test]
fn a_budget_is_named_after_room_and_before_funds() {
    let mut floor = Floor::new();
    function_budget(&mut floor, budget(Period::Day, PRICE));
    floor.seller("seller", 1, PRICE);
    floor.call();
    assert_eq!(floor.lacks(), NoOffer::Room);
    floor.seller("too-dear", 1, 1_000_000_000_000);
    assert_eq!(floor.lacks(), NoOffer::Budget, "it lacks funds as well");
    function_budget(&mut floor, budget(Period::Day, 9_000_000_000_000_000_000));
    assert_eq!(floor.lacks(), NoOffer::Funds);
}

#[test]
fn a_budget_below_the_spending_refuses_until_it_is_raised() {
    let mut floor = Floor::new();
    floor.seller("seller", 64, PRICE);
    assert_eq!(floor.granted(5), 5);
    account_budget(&mut floor, budget(Period::Day, 2 * PRICE));
    assert_eq!(floor.lacks(), NoOffer::Budget);
    account_budget(&mut floor, budget(Period::Day, 6 * PRICE));
    assert_eq!(floor.granted(9), 1);
}
