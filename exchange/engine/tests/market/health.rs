//! Health: a provider that fails is behind all others, first for the revision, then for all, and one good call brings
//! it back. What is behind is used where nothing else is left.

use merit_engine::{Command, NotSent, ProviderKind, Settle};
use merit_kit::{Floor, PRICE, Seller, code, pool, rung, settings, settle};
use merit_terms::{AccountId, Execution, FunctionId, Limits, NoOffer, Outcome};

/// Failures in a row that send a provider behind.
const IN_A_ROW: usize = 3;
/// Time after a failure in which a provider that is behind is not used at all, in milliseconds.
const PAUSE_MS: u64 = 100;

/// A provider beside a dearer one as large, and the functions of tenants that call it.
struct Ward {
    floor: Floor,
    seller: Seller,
}

impl Ward {
    fn new() -> Ward {
        let mut floor = Floor::new();
        let seller = floor.seller("seller", 64, PRICE);
        floor.seller("dearer", 64, 4 * PRICE);
        Ward { floor, seller }
    }

    fn as_tenant(&mut self, (account, function): (AccountId, FunctionId)) {
        (self.floor.buyer, self.floor.function) = (account, function);
    }

    /// Makes one call that the provider fails.
    fn fail(&mut self) {
        let lease = self.floor.call_at("seller").lease;
        self.floor.release(lease, NotSent::Failed);
    }

    /// Makes as many calls that the provider fails as send it behind.
    fn fail_in_a_row(&mut self) {
        (0..IN_A_ROW).for_each(|_| self.fail());
    }

    /// Goes on with another function of the current tenant.
    fn another_function(&mut self, name: &str) {
        self.floor.function = self.floor.put(name, code(), settings());
    }

    /// Returns whether the whole provider is behind.
    fn is_out(&mut self) -> bool {
        self.floor.engine.health(self.seller.id).iter().any(|back| back.revision.is_none())
    }

    /// Returns whether the next call goes to the dearer one.
    fn goes_elsewhere(&mut self) -> bool {
        let lease = self.floor.call();
        self.floor.release(lease.lease, NotSent::Withdrawn);
        lease.provider != self.seller.id
    }

    /// Takes the dearer one out of the market.
    fn alone(mut self) -> Ward {
        let dearer = self.floor.engine.find_provider(&"dearer".parse().unwrap()).unwrap();
        self.floor.apply(Command::Kill { provider: dearer, reason: "test".to_owned() }).unwrap();
        self
    }
}

#[test]
fn one_failure_or_two_only_move_the_call_elsewhere() {
    let mut ward = Ward::new();
    for _ in 0..4 {
        (1..IN_A_ROW).for_each(|_| ward.fail());
        assert!(ward.floor.engine.health(ward.seller.id).is_empty());
        let lease = ward.floor.call_at("seller").lease;
        ward.floor.settle(lease, 100);
    }
    ward.fail_in_a_row();
    assert!(ward.goes_elsewhere(), "an answer began the count anew, and three are enough");
}

#[test]
fn what_is_behind_is_used_where_nothing_else_is_left() {
    let mut ward = Ward::new();
    ward.fail_in_a_row();
    ward.floor.wait_ms(PAUSE_MS);
    assert!(ward.goes_elsewhere());
    let mut ward = ward.alone();
    let trial = ward.floor.call_at("seller").lease;
    assert_eq!(ward.floor.lacks(), NoOffer::Behind, "one call at a time");
    ward.floor.release(trial, NotSent::Failed);
    ward.floor.wait_ms(PAUSE_MS - 1);
    assert_eq!(ward.floor.lacks(), NoOffer::Behind, "and a pause after each failure");
    ward.floor.wait_ms(1);
    let trial = ward.floor.call_at("seller").lease;
    ward.floor.settle(trial, 100);
    assert_eq!(ward.floor.granted(3), 3, "one answer brings it back");
}

#[test]
fn a_quote_shows_what_is_behind_if_nothing_else_is() {
    let mut ward = Ward::new();
    ward.fail_in_a_row();
    ward.floor.wait_ms(PAUSE_MS);
    let order = |ward: &Ward| ward.floor.engine.quote(&ward.floor.bid(Limits::default())).unwrap();
    let beside = order(&ward);
    assert_eq!((beside.offers.len(), beside.refused[0].reason.code()), (1, "backing_off"));
    let alone = order(&ward.alone());
    assert_eq!((alone.offers.len(), alone.refused.len()), (1, 0));
}

#[test]
fn one_tenants_failures_take_no_provider_from_others() {
    let mut ward = Ward::new();
    let other = ward.floor.tenant("other");
    ward.fail_in_a_row();
    for _ in 0..8 {
        assert!(ward.goes_elsewhere(), "behind for this revision");
        ward.floor.wait_s(300);
        ward.fail();
    }
    assert!(!ward.is_out());
    ward.as_tenant(other);
    assert!(!ward.goes_elsewhere());
}

/// Returns a ward in which calls of three functions by two tenants have failed.
fn failing_for_all() -> Ward {
    let mut ward = Ward::new();
    let other = ward.floor.tenant("other");
    ward.fail_in_a_row();
    ward.another_function("second");
    ward.fail_in_a_row();
    assert!(!ward.is_out());
    ward.as_tenant(other);
    ward.fail_in_a_row();
    ward
}

#[test]
fn three_functions_of_two_tenants_take_a_provider_out() {
    let mut ward = failing_for_all();
    assert!(ward.is_out());
    ward.another_function("untouched");
    assert!(ward.goes_elsewhere());
}

#[test]
fn at_most_half_of_a_market_is_sent_behind() {
    let mut ward = Ward::new();
    let other = ward.floor.tenant("other");
    // One slot more than the rest of the market.
    ward.seller = ward.floor.seller("largest", 129, PRICE / 2);
    for (tenant, function) in [(None, "first"), (None, "second"), (Some(other), "third")] {
        tenant.into_iter().for_each(|tenant| ward.as_tenant(tenant));
        ward.another_function(function);
        for _ in 0..IN_A_ROW {
            let lease = ward.floor.call_at("largest").lease;
            ward.floor.release(lease, NotSent::Failed);
        }
    }
    assert!(!ward.is_out());
}

#[test]
fn one_good_trial_brings_a_provider_back_for_all() {
    let mut ward = failing_for_all();
    ward.floor.wait_s(1);
    let trial = ward.floor.call_at("seller").lease;
    assert!(ward.goes_elsewhere(), "one call at a time tries it");
    ward.floor.settle(trial, 100);
    assert!(ward.floor.engine.health(ward.seller.id).is_empty());
    assert!(!ward.goes_elsewhere());
}

#[test]
fn failed_trials_double_the_back_off_up_to_5_minutes() {
    let mut ward = Ward::new();
    ["seller", "dearer"].iter().for_each(|provider| ward.floor.run_at(provider, 100));
    (1..IN_A_ROW).for_each(|_| ward.fail());
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        ward.fail();
        ward.floor.wait_ms(seconds * 1_000 - 1);
        assert!(ward.goes_elsewhere(), "{seconds}");
        ward.floor.wait_ms(1);
    }
    assert!(!ward.goes_elsewhere());
}

#[test]
fn calls_that_ran_while_it_was_out_already_count_once() {
    let mut ward = Ward::new();
    let leases = [(); 5].map(|()| ward.floor.call_at("seller").lease);
    leases.into_iter().for_each(|lease| ward.floor.release(lease, NotSent::Failed));
    assert_eq!(ward.floor.engine.health(ward.seller.id)[0].failures as usize, IN_A_ROW);
}

#[test]
fn after_a_trial_that_was_not_sent_another_call_tries() {
    let mut ward = Ward::new();
    ward.fail_in_a_row();
    ward.floor.wait_s(1);
    let trial = ward.floor.call_at("seller").lease;
    ward.floor.release(trial, NotSent::Withdrawn);
    ward.floor.call_at("seller");
    assert!(ward.goes_elsewhere());
}

/// Returns whether the provider is behind after calls that ended like this.
fn is_left_out_after(end: impl Fn(Settle) -> Settle) -> bool {
    let mut ward = Ward::new();
    for _ in 0..IN_A_ROW {
        let lease = ward.floor.call_at("seller").lease;
        ward.floor.apply(Command::Settle(end(settle(lease, 100)))).unwrap();
    }
    !ward.floor.engine.health(ward.seller.id).is_empty()
}

#[test]
fn only_what_the_provider_is_to_blame_for_counts() {
    assert!(is_left_out_after(|end| Settle { execution: Execution::Unknown, fault: true, ..end }));
    assert!(!is_left_out_after(|end| Settle { execution: Execution::Unknown, ..end }));
    assert!(!is_left_out_after(|end| Settle { execution: Execution::NotSent, ..end }));
    assert!(!is_left_out_after(|end| Settle { outcome: Outcome::Trap, ..end }));
}

#[test]
fn busy_is_no_failure() {
    let mut ward = Ward::new();
    let lease = ward.floor.call().lease;
    ward.floor.release(lease, NotSent::Busy);
    assert!(ward.floor.engine.health(ward.seller.id).is_empty());
}

/// Fails three functions of one tenant at its seller. Returns whether the provider is out for all.
fn fail_three(ward: &mut Ward) -> bool {
    for function in ["first", "second", "third"] {
        ward.another_function(function);
        ward.fail_in_a_row();
    }
    ward.is_out()
}

#[test]
fn one_tenant_is_enough_if_it_called_alone_this_hour() {
    let mut alone = Ward::new();
    assert!(fail_three(&mut alone));
    let mut shared = Ward::new();
    let (first, other) = ((shared.floor.buyer, shared.floor.function), shared.floor.tenant("other"));
    shared.as_tenant(other);
    shared.floor.call_at("seller");
    shared.as_tenant(first);
    assert!(!fail_three(&mut shared));
}

#[test]
fn the_owner_alone_is_enough_for_its_own_provider() {
    let mut ward = Ward::new();
    let owner = ward.floor.buyer;
    let id = ward.floor.provider("own-cluster", owner, ProviderKind::Own);
    let session = ward.floor.logon(id, pool(8));
    ward.seller = Seller { id, account: owner, session };
    ward.floor.quote(ward.seller, vec![rung(1, PRICE / 2)]).unwrap();
    for function in ["first", "second", "third"] {
        ward.another_function(function);
        for _ in 0..IN_A_ROW {
            let lease = ward.floor.call_at("own-cluster").lease;
            ward.floor.release(lease, NotSent::Failed);
        }
    }
    assert!(ward.is_out());
}

#[test]
fn a_seller_that_fails_two_of_three_needs_three_calls() {
    let mut ward = Ward::new();
    ward.floor.seller("rival", 64, 2 * PRICE);
    ["seller", "rival"].iter().for_each(|provider| ward.floor.run_at(provider, 100));
    for call in 0..10 {
        if call % 3 == 2 { ward.floor.run_at("seller", 100) } else { ward.fail() }
    }
    assert!(ward.floor.engine.health(ward.seller.id).is_empty(), "never three in a row");
    assert!(ward.goes_elsewhere());
}

#[test]
fn a_good_trial_restores_half_of_the_lost_success() {
    let mut ward = Ward::new();
    for _ in 0..8 {
        ["seller", "dearer"].iter().for_each(|provider| ward.floor.run_at(provider, 100));
    }
    ward.fail_in_a_row();
    ward.floor.wait_s(1);
    let trial = ward.floor.call();
    assert_eq!(trial.provider, ward.seller.id, "the trial is ranked as if all its calls succeeded");
    ward.floor.settle(trial.lease, 100);
    assert!(!ward.goes_elsewhere());
}
