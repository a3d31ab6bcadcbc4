//! The dispatch machine by cases.

use merit_proto::v1;
use merit_terms::{Adapter, RefusalCode};

use super::*;
use crate::exchange::leases::lease::Proof;

fn grant(provider: &str, sequence: u64, idempotent: bool) -> Input {
    let lease = LeaseId { run: 1, sequence };
    Input::Granted(Arc::new(Grant {
        lease,
        invocation: lease,
        provider: provider.into(),
        market: String::new(),
        endpoint: String::new(),
        target: String::new(),
        targets: Vec::new(),
        endpoint_trusted: false,
        adapter: Adapter::Agent,
        revision: 1,
        memory_mb: 128,
        timeout_ms: 1000,
        price: 0,
        quoted_cost: 0,
        idempotent,
        logs_off: false,
        token: String::new(),
        proof: Some(proof(sequence)),
    }))
}

fn proof(sequence: u64) -> Proof {
    v1::LeaseProof { terms: sequence.to_be_bytes().to_vec(), mac: Vec::new() }.into()
}

fn ended(end: AttemptEnd) -> Input {
    Input::Ended { end, took_us: 7 }
}

fn not_sent() -> Input {
    ended(AttemptEnd::NotSent { why: NotSent::Failed, reason: "connection refused".into() })
}

fn unknown() -> Input {
    ended(AttemptEnd::Unknown { fault: true, reason: "connection reset".into() })
}

fn executed(outcome: Outcome) -> Input {
    answered(outcome, false)
}

fn gateway_error() -> Input {
    answered(Outcome::Ok, true)
}

fn answered(outcome: Outcome, gateway_error: bool) -> Input {
    let log = Vec::new();
    ended(AttemptEnd::Executed {
        outcome,
        usage: None,
        observed_us: 5,
        egress_bytes: 0,
        log,
        gateway_error,
        server_error: gateway_error,
    })
}

/// Feeds the inputs. Returns the last action.
fn run(one_attempt: bool, inputs: Vec<Input>) -> Action {
    let mut dispatch = Dispatch::new(one_attempt, None);
    inputs.into_iter().map(|input| dispatch.step(input).unwrap()).last().unwrap()
}

fn is_further_attempt(action: &Action, provider: &str) -> bool {
    matches!(action, Action::Acquire { tried, invocation: Some(_) } if tried == &[provider])
}

fn is_failed(action: &Action, expected: Execution) -> bool {
    let Action::Finish(finished) = action else { return false };
    matches!(&finished.end, End::Failed { failure, .. } if failure.ran == expected)
}

#[test]
fn fails_over_when_the_request_was_not_sent() {
    let action = run(false, vec![grant("a", 1, false), not_sent(), Input::Released]);
    assert!(is_further_attempt(&action, "a"), "{action:?}");
}

#[test]
fn fails_over_after_an_unknown_only_if_idempotent() {
    let action = run(false, vec![grant("a", 1, true), unknown(), Input::Released]);
    assert!(is_further_attempt(&action, "a"), "{action:?}");
    let action = run(false, vec![grant("a", 1, false), unknown(), Input::Released]);
    assert!(is_failed(&action, Execution::Unknown), "{action:?}");
}

#[test]
fn one_attempt_is_one_attempt() {
    let action = run(true, vec![grant("a", 1, true), not_sent(), Input::Released]);
    assert!(is_failed(&action, Execution::NotSent), "{action:?}");
}

#[test]
fn an_unsent_lease_is_released_a_sent_one_settled() {
    let action = run(false, vec![grant("a", 7, false), not_sent()]);
    assert!(matches!(action, Action::Release { lease: LeaseId { run: 1, sequence: 7 }, why: NotSent::Failed }));
    let action = run(false, vec![grant("a", 7, false), unknown()]);
    let Action::Settle(leased, bill) = action else { panic!("{action:?}") };
    let expected = Bill::Unknown { fault: true, observed_us: 7, given_up: true };
    assert_eq!((leased.grant.lease, bill), (LeaseId { run: 1, sequence: 7 }, expected));
    assert_eq!(leased.grant.proof, Some(proof(7)));
}

#[test]
fn an_answer_ends_it_whatever_the_function_did() {
    let settled = Paid { cost: 9, billed_ms: 1 };
    let action = run(false, vec![grant("a", 1, true), executed(Outcome::Trap), Input::Settled(settled)]);
    let Action::Finish(finished) = action else { panic!("{action:?}") };
    assert!(matches!(finished.end, End::Executed { outcome: Outcome::Trap, paid, .. } if paid == settled));
    assert_eq!(finished.attempts, 1);
}

#[test]
fn the_invocation_keeps_the_id_of_its_first_lease() {
    let again =
        vec![grant("a", 1, false), not_sent(), Input::Released, grant("b", 2, false), not_sent(), Input::Released];
    let action = run(false, again);
    let first = LeaseId { run: 1, sequence: 1 };
    assert!(matches!(action, Action::Acquire { invocation: Some(id), .. } if id == first));
}

#[test]
fn a_failure_outweighs_the_refusal_that_follows_it() {
    let refused =
        Input::Refused { code: RefusalCode::NoEligibleProvider.into(), message: String::new(), retry_after: None };
    let action = run(false, vec![grant("a", 1, true), unknown(), Input::Released, refused, Input::Released]);
    assert!(is_failed(&action, Execution::Unknown), "{action:?}");
}

#[test]
fn an_answered_call_is_never_tried_again_even_if_unsettled() {
    let unsettled = Input::Unsettled { reason: "the exchange forgot the lease".into() };
    let before = vec![grant("a", 1, true), not_sent(), Input::Released, grant("b", 2, true)];
    let action = run(false, before.into_iter().chain([executed(Outcome::Ok), unsettled]).collect());
    assert!(is_failed(&action, Execution::Executed), "{action:?}");
}

#[test]
fn nothing_is_tried_again_once_that_is_said() {
    let mut dispatch = Dispatch::new(false, Some(true));
    dispatch.step(grant("a", 1, true)).unwrap();
    dispatch.no_more();
    dispatch.step(unknown()).unwrap();
    let action = dispatch.step(Input::Released).unwrap();
    assert!(is_failed(&action, Execution::Unknown), "{action:?}");
}

#[test]
fn attempts_are_bounded() {
    let mut dispatch = Dispatch::new(false, None);
    for sequence in 1..=ATTEMPTS_MAX as u64 {
        dispatch.step(grant("a", sequence, true)).unwrap();
        dispatch.step(not_sent()).unwrap();
        let action = dispatch.step(Input::Released).unwrap();
        assert_eq!(matches!(action, Action::Finish(_)), sequence == ATTEMPTS_MAX as u64);
    }
}

#[test]
fn a_misplaced_input_is_refused_and_changes_nothing() {
    let settled = || Input::Settled(Paid { cost: 9, billed_ms: 1 });
    let refused = || Input::Refused { code: ErrorCode::Timeout, message: String::new(), retry_after: None };
    let unsettled = || Input::Unsettled { reason: String::new() };
    let mut dispatch = Dispatch::new(false, None);
    let check = |dispatch: &mut Dispatch, state: &str, inputs: Vec<Input>| {
        for input in inputs {
            let misplaced = dispatch.step(input).unwrap_err();
            assert_eq!(misplaced.state, state, "{misplaced}");
        }
    };
    check(&mut dispatch, "acquiring", vec![not_sent(), settled(), unsettled(), Input::Released]);
    dispatch.step(grant("a", 1, true)).unwrap();
    check(&mut dispatch, "sending", vec![grant("b", 2, true), refused(), unsettled(), Input::Released]);
    assert_eq!(dispatch.leased().unwrap().grant.provider, "a");
    dispatch.step(executed(Outcome::Ok)).unwrap();
    check(&mut dispatch, "settling", vec![grant("b", 2, true), refused(), unknown(), Input::Released]);
    let action = dispatch.step(settled()).unwrap();
    assert!(matches!(action, Action::Finish(_)), "{action:?}");
    check(&mut dispatch, "finished", vec![grant("b", 2, true), refused(), not_sent(), settled(), Input::Released]);
    assert!(dispatch.leased().is_none());
    let mut dispatch = Dispatch::new(false, None);
    dispatch.step(grant("a", 1, true)).unwrap();
    dispatch.step(not_sent()).unwrap();
    check(&mut dispatch, "closing", vec![grant("b", 2, true), refused(), executed(Outcome::Ok), unsettled()]);
    assert!(is_further_attempt(&dispatch.step(Input::Released).unwrap(), "a"), "it goes on");
}

/// Returns the number of the lease that an action settles as executed.
fn settles(action: &Action) -> u64 {
    let Action::Settle(leased, Bill::Executed { .. }) = action else { panic!("{action:?}") };
    leased.grant.lease.sequence
}

#[test]
fn a_gateway_error_of_an_idempotent_call_is_tried_elsewhere() {
    let mut dispatch = Dispatch::new(false, None);
    dispatch.step(grant("a", 1, true)).unwrap();
    let action = dispatch.step(gateway_error()).unwrap();
    assert!(is_further_attempt(&action, "a"), "{action:?}");
    dispatch.step(grant("b", 2, true)).unwrap();
    let replaced = dispatch.step(executed(Outcome::Ok)).unwrap();
    assert!(matches!(replaced, Action::Release { lease, why: NotSent::Replaced } if lease.sequence == 1));
    assert_eq!(settles(&dispatch.step(Input::Released).unwrap()), 2);
    assert_eq!(settles(&run(false, vec![grant("a", 1, false), gateway_error()])), 1, "not idempotent");
}

#[test]
fn the_last_gateway_error_is_passed_on_without_a_better() {
    let refused =
        || Input::Refused { code: RefusalCode::NoEligibleProvider.into(), message: String::new(), retry_after: None };
    let first = || vec![grant("a", 1, true), gateway_error()];
    let settled = |more: Vec<Input>| settles(&run(false, first().into_iter().chain(more).collect()));
    assert_eq!(settled(vec![refused()]), 1);
    assert_eq!(settled(vec![grant("b", 2, true), not_sent(), Input::Released, refused()]), 1);
    assert_eq!(settled(vec![grant("b", 2, true), unknown(), Input::Released]), 1, "one may have taken its timeout");
    let second = vec![grant("b", 2, true), gateway_error(), Input::Released, refused()];
    assert_eq!(settled(second), 2);
}

#[test]
fn a_bug_between_attempts_closes_the_kept_lease() {
    let mut dispatch = Dispatch::new(false, None);
    dispatch.step(grant("a", 1, true)).unwrap();
    dispatch.step(gateway_error()).unwrap();
    assert_eq!(dispatch.leased().map(|leased| leased.grant.lease.sequence), Some(1));
}

#[test]
fn an_answer_that_begins_gives_a_kept_one_back() {
    let mut dispatch = Dispatch::new(false, None);
    dispatch.step(grant("a", 1, true)).unwrap();
    dispatch.step(gateway_error()).unwrap();
    dispatch.step(grant("b", 2, true)).unwrap();
    assert_eq!(dispatch.begun().map(|lease| lease.sequence), Some(1));
    dispatch.step(unknown()).unwrap();
    let action = dispatch.step(Input::Released).unwrap();
    assert!(is_failed(&action, Execution::Unknown), "a broken stream: {action:?}");
}

/// Returns whether an action settles a lease as unknown, and gives its invocation up.
fn gives_up(action: &Action, sequence: u64) -> bool {
    let Action::Settle(leased, Bill::Unknown { given_up, .. }) = action else { panic!("{action:?}") };
    *given_up && leased.grant.lease.sequence == sequence
}

#[test]
fn a_broken_attempt_is_given_up_once_nothing_follows() {
    let refused =
        || Input::Refused { code: RefusalCode::NoEligibleProvider.into(), message: String::new(), retry_after: None };
    assert!(gives_up(&run(false, vec![grant("a", 1, false), unknown()]), 1), "it may not run twice");
    assert!(!gives_up(&run(false, vec![grant("a", 1, true), unknown()]), 1), "another may follow");
    assert!(gives_up(&run(false, vec![grant("a", 1, true), unknown(), Input::Released, refused()]), 1));
    let second = vec![grant("a", 1, true), unknown(), Input::Released, grant("b", 2, true), not_sent()];
    let more = [Input::Released, refused()];
    assert!(gives_up(&run(false, second.into_iter().chain(more).collect()), 1));
}
