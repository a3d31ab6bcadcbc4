//! Health: a provider that fails is left out, first for the revision, then for all, and one good call brings it back.

use merit_engine::{Command, NotSent, ProviderKind, Settle};
use merit_kit::{Floor, PRICE, Seller, code, pool, rung, settings, settle};
use merit_terms::{AccountId, Execution, FunctionId, NoOffer, Outcome};

/// A provider alone in its market, and the functions of tenants that call it.
struct Ward {
    floor: Floor,
    seller: Seller,
}

impl Ward {
    fn new() -> Ward {
        let mut floor = Floor::new();
        let seller = floor.seller("seller", 64, PRICE);
        Ward { floor, seller }
    }

    fn as_tenant(&mut self, (account, function): (AccountId, FunctionId)) {
        (self.floor.buyer, self.floor.function) = (account, function);
    }

    /// Makes one call that the provider fails.
    fn fail(&mut self) {
        let lease = self.floor.call().lease;
        self.floor.release(lease, NotSent::Failed);
    }

    /// Goes on with another function of the current tenant.
    fn another_function(&mut self, name: &str) {
        self.floor.function = self.floor.put(name, code(), settings());
    }

    fn is_out(&mut self) -> bool {
        self.floor.engine.health(self.seller.id).iter().any(|back| back.revision.is_none())
    }
}

#[test]
fn one_tenants_failures_take_no_provider_from_others() {
    let mut ward = Ward::new();
    let other = ward.floor.tenant("other");
    for _ in 0..8 {
        ward.fail();
        assert_eq!(ward.floor.lacks(), NoOffer::Room, "left out for this revision");
        ward.floor.wait_s(300);
    }
    assert!(!ward.is_out());
    ward.as_tenant(other);
    ward.floor.call();
}

/// Returns a ward in which calls of three functions by two tenants have failed.
fn failing_for_all() -> Ward {
    let mut ward = Ward::new();
    let other = ward.floor.tenant("other");
    ward.fail();
    ward.another_function("second");
    ward.fail();
    assert!(!ward.is_out());
    ward.as_tenant(other);
    ward.fail();
    ward
}

#[test]
fn three_functions_of_two_tenants_take_a_provider_out() {
    let mut ward = failing_for_all();
    assert!(ward.is_out());
    ward.another_function("untouched");
    assert_eq!(ward.floor.lacks(), NoOffer::Room);
}

#[test]
fn one_good_trial_brings_a_provider_back_for_all() {
    let mut ward = failing_for_all();
    ward.floor.wait_s(1);
    let trial = ward.floor.call().lease;
    assert_eq!(ward.floor.lacks(), NoOffer::Room, "one call at a time tries it");
    ward.floor.settle(trial, 100);
    assert!(ward.floor.engine.health(ward.seller.id).is_empty());
    assert_eq!(ward.floor.granted(3), 3);
}

#[test]
fn failed_trials_double_the_back_off_up_to_5_minutes() {
    let mut ward = Ward::new();
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        ward.fail();
        ward.floor.wait_ms(seconds * 1_000 - 1);
        assert_eq!(ward.floor.lacks(), NoOffer::Room, "{seconds}");
        ward.floor.wait_ms(1);
    }
    ward.floor.call();
}

#[test]
fn calls_that_ran_while_it_was_out_already_count_once() {
    let mut ward = Ward::new();
    let leases = [(); 5].map(|()| ward.floor.call().lease);
    leases.into_iter().for_each(|lease| ward.floor.release(lease, NotSent::Failed));
    assert_eq!(ward.floor.engine.health(ward.seller.id)[0].failures, 1);
}

#[test]
fn after_a_trial_that_was_not_sent_another_call_tries() {
    let mut ward = Ward::new();
    ward.fail();
    ward.floor.wait_s(1);
    let trial = ward.floor.call().lease;
    ward.floor.release(trial, NotSent::Withdrawn);
    ward.floor.call();
    assert_eq!(ward.floor.lacks(), NoOffer::Room);
}

/// Returns whether the provider is left out after one call that ended like this.
fn is_left_out_after(end: impl Fn(Settle) -> Settle) -> bool {
    let mut ward = Ward::new();
    let lease = ward.floor.call().lease;
    ward.floor.apply(Command::Settle(end(settle(lease, 100)))).unwrap();
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
        ward.fail();
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
    shared.floor.call();
    shared.as_tenant(first);
    assert!(!fail_three(&mut shared));
}

#[test]
fn the_owner_alone_is_enough_for_its_own_provider() {
    let mut ward = Ward::new();
    let owner = ward.floor.buyer;
    let id = ward.floor.provider("own-cluster", owner, ProviderKind::Own);
    let session = ward.floor.logon(id, pool(8));
    ward.floor.quote(ward.seller, Vec::new()).unwrap();
    ward.seller = Seller { id, account: owner, session };
    ward.floor.quote(ward.seller, vec![rung(1, PRICE)]).unwrap();
    assert!(fail_three(&mut ward));
}
