//! The machine by cases, with a `now` that the tests make. A waiting task is a number.

use super::*;

type Actions = Vec<StreamAction<u32>>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn acquire(waiting: u32) -> StreamInput<u32> {
    let asked = v1::Acquire { function: format!("f-{waiting}"), ..v1::Acquire::default() };
    StreamInput::Acquire(Box::new(asked), waiting)
}

fn lease(sequence: u64) -> v1::LeaseId {
    v1::LeaseId { run: 1, sequence }
}

fn settle(sequence: u64, waiting: u32) -> StreamInput<u32> {
    let settle = v1::Settle { lease: Some(lease(sequence)), ..v1::Settle::default() };
    StreamInput::Settle(lease(sequence).into(), settle, waiting)
}

fn grant(sequence: u64, request: u64) -> v1::Grant {
    v1::Grant { lease: Some(lease(sequence)), invocation: Some(lease(sequence)), request, ..v1::Grant::default() }
}

fn granted(number: u64, sequence: u64) -> StreamInput<u32> {
    StreamInput::Heard(Told::Granted(v1::Granted { number, grant: Some(grant(sequence, number)) }))
}

fn refused(asked: About, code: &str) -> StreamInput<u32> {
    let refusal = v1::Refusal { code: code.to_owned(), message: String::new(), retry_after_ms: 0 };
    StreamInput::Heard(Told::Refused(v1::Refused { asked: Some(asked), refusal: Some(refusal) }))
}

fn welcome(session: u64, leases: Vec<v1::Grant>) -> StreamInput<u32> {
    StreamInput::Heard(Told::Welcome(v1::BrokerWelcome { session, leases, ..v1::BrokerWelcome::default() }))
}

fn lost() -> StreamInput<u32> {
    StreamInput::Ended(Status::unavailable("reset"))
}

/// Returns the numbers of the bids that are sent.
fn bids(actions: &Actions) -> Vec<u64> {
    let number = |action: &StreamAction<u32>| match action {
        StreamAction::Say(said) => match &**said {
            Asked::Acquire(acquire) => Some(acquire.number),
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(number).collect()
}

/// Returns the kinds of the messages that are sent, in order.
fn said(actions: &Actions) -> Vec<&'static str> {
    let kind = |action: &StreamAction<u32>| match action {
        StreamAction::Say(said) => match &**said {
            Asked::Acquire(_) => "acquire",
            Asked::Settle(_) => "settle",
            Asked::SettleForgotten(_) => "settle forgotten",
            Asked::Release(_) => "release",
            _ => "something else",
        },
        other => panic!("{other:?}"),
    };
    actions.iter().map(kind).collect()
}

/// Makes a machine with the stream of session 9.
fn on() -> Machine<u32> {
    let mut machine = Machine::new();
    assert_eq!(machine.step(ms(0), StreamInput::Due), [StreamAction::Open(v1::BrokerHello { resumes: None })]);
    assert_eq!(machine.step(ms(0), welcome(9, Vec::new())), []);
    machine
}

/// Loses the stream and opens the next one, which resumes the session.
fn again(machine: &mut Machine<u32>, now: Duration) {
    assert_eq!(machine.step(now, lost()), [StreamAction::Close("reset".to_owned())]);
    let until = machine.due().unwrap();
    let opened = machine.step(until, StreamInput::Due);
    assert_eq!(opened, [StreamAction::Open(v1::BrokerHello { resumes: Some(9) })]);
}

#[test]
fn bids_are_numbered_and_answered_in_any_order() {
    let mut machine = on();
    assert_eq!(bids(&machine.step(ms(1), acquire(1))), [1]);
    assert_eq!(bids(&machine.step(ms(1), acquire(2))), [2]);
    let answer = LeaseReply::Granted(grant_from_proto(grant(50, 2)).unwrap());
    assert_eq!(machine.step(ms(2), granted(2, 50)), [StreamAction::Answer(2, answer)]);
    let answer = LeaseReply::Refused { code: RefusalCode::NoCapacity, message: String::new(), retry_after: None };
    assert_eq!(machine.step(ms(3), refused(About::Number(1), "no_capacity")), [StreamAction::Answer(1, answer)]);
    assert_eq!(machine.due(), None);
}

#[test]
fn an_answer_that_is_not_understood_is_an_answer() {
    let mut machine = on();
    for waiting in 1..=2 {
        machine.step(ms(1), acquire(waiting));
    }
    let half = Told::Granted(v1::Granted { number: 1, grant: Some(v1::Grant { lease: None, ..grant(50, 1) }) });
    let answer = StreamAction::Answer(1, LeaseReply::Unavailable);
    assert_eq!(machine.step(ms(2), StreamInput::Heard(half)), [answer]);
    let answer = LeaseReply::Refused { code: RefusalCode::Invalid, message: String::new(), retry_after: None };
    assert_eq!(machine.step(ms(3), refused(About::Number(2), "of_later")), [StreamAction::Answer(2, answer)]);
}

#[test]
fn requests_before_the_welcome_are_sent_after_it() {
    let mut machine = Machine::new();
    machine.step(ms(0), StreamInput::Due);
    assert_eq!(machine.step(ms(1), acquire(1)), []);
    assert_eq!(machine.step(ms(1), settle(4, 2)), []);
    assert_eq!(machine.step(ms(1), StreamInput::Release(lease(5).into(), NotSent::Busy)), []);
    assert_eq!(said(&machine.step(ms(2), welcome(9, Vec::new()))), ["release", "settle", "acquire"]);
}

#[test]
fn an_unanswered_bid_is_repeated_under_its_number() {
    let mut machine = on();
    machine.step(ms(1), acquire(1));
    machine.step(ms(1), settle(4, 2));
    machine.step(ms(1), StreamInput::Release(lease(5).into(), NotSent::Withdrawn));
    machine.step(ms(1), StreamInput::Heard(Told::Released(v1::Released { lease: Some(lease(5)) })));
    again(&mut machine, ms(2));
    let again = machine.step(ms(30), welcome(9, Vec::new()));
    assert_eq!((said(&again), bids(&again)), (vec!["settle", "acquire"], vec![1]));
    let settled = Told::Settled(v1::Settled { lease: Some(lease(4)), cost: 7, billed_ms: 1 });
    let answer = LeaseReply::Settled(Paid { cost: 7, billed_ms: 1 });
    assert_eq!(machine.step(ms(31), StreamInput::Heard(settled)), [StreamAction::Answer(2, answer)]);
}

#[test]
fn a_lease_granted_while_the_stream_broke_comes_later() {
    let mut machine = on();
    machine.step(ms(1), acquire(1));
    again(&mut machine, ms(2));
    let answer = LeaseReply::Granted(grant_from_proto(grant(50, 1)).unwrap());
    // One more, which was answered before and is under way.
    let leases = vec![grant(50, 1), grant(40, 77)];
    assert_eq!(machine.step(ms(30), welcome(9, leases)), [StreamAction::Answer(1, answer)]);
}

#[test]
fn a_bid_without_a_waiter_is_given_back_once_granted() {
    let given_back = |actions: Actions, sequence: u64| {
        let expected =
            v1::Release { lease: Some(lease(sequence)), why: v1::NotSent::Withdrawn.into(), retry_after_s: 0 };
        assert_eq!(actions, [StreamAction::Say(Box::new(Asked::Release(expected)))]);
    };
    let mut machine = on();
    machine.step(ms(1), acquire(1));
    machine.step(ms(1), acquire(2));
    let late = ms(1) + GRANT_WITHIN;
    let unanswered = [1, 2].map(|waiting| StreamAction::Answer(waiting, LeaseReply::Unavailable));
    assert_eq!(machine.step(late, StreamInput::Due), unanswered);
    given_back(machine.step(late, granted(1, 50)), 50);
    machine.step(late, StreamInput::Heard(Told::Released(v1::Released { lease: Some(lease(50)) })));
    again(&mut machine, late);
    given_back(machine.step(late + ms(30), welcome(9, vec![grant(51, 2)])), 51);
}

#[test]
fn a_resumed_stream_without_its_lease_forgets_an_abandoned_bid() {
    let mut machine = on();
    machine.step(ms(1), acquire(1));
    let late = ms(1) + GRANT_WITHIN;
    assert_eq!(machine.step(late, StreamInput::Due), [StreamAction::Answer(1, LeaseReply::Unavailable)]);
    assert_eq!(machine.abandoned.len(), 1);
    again(&mut machine, late);
    assert_eq!(machine.step(late + ms(30), welcome(9, Vec::new())), []);
    assert_eq!(machine.abandoned.len(), 0);
}

#[test]
fn a_release_that_is_answered_has_no_deadline_left() {
    let released = StreamInput::Heard(Told::Released(v1::Released { lease: Some(lease(5)) }));
    for answer in [released, refused(About::Release(lease(5)), "invalid")] {
        let mut machine = on();
        machine.step(ms(1), StreamInput::Release(lease(5).into(), NotSent::Busy));
        machine.step(ms(2), StreamInput::Release(lease(5).into(), NotSent::Busy));
        assert_eq!(machine.due(), Some(ms(2) + SETTLE_WITHIN));
        machine.step(ms(3), answer);
        assert_eq!(machine.due(), None);
    }
}

#[test]
fn without_a_stream_calls_wait_a_moment_then_are_refused() {
    let mut machine = on();
    assert_eq!(machine.step(ms(1000), lost()), [StreamAction::Close("reset".to_owned())]);
    assert_eq!(machine.step(ms(1001), acquire(1)), []);
    machine.step(ms(1020), StreamInput::Due);
    machine.step(ms(1021), lost());
    assert!(machine.due().unwrap() <= ms(2000));
    let answered = machine.step(ms(2000), StreamInput::Due);
    assert!(answered.contains(&StreamAction::Answer(1, LeaseReply::Unavailable)), "{answered:?}");
    assert_eq!(machine.step(ms(2500), acquire(2)), [StreamAction::Answer(2, LeaseReply::Unavailable)]);
    // A settlement is worth waiting for.
    assert_eq!(machine.step(ms(2500), settle(4, 3)), []);
    machine.step(ms(2500), StreamInput::Due);
    assert_eq!(said(&machine.step(ms(2600), welcome(9, Vec::new()))), ["settle"]);
    assert_eq!(bids(&machine.step(ms(2601), acquire(4))), [2]);
}

#[test]
fn an_unanswered_settle_times_out() {
    let mut machine = on();
    machine.step(ms(1), settle(4, 1));
    assert_eq!(machine.due(), Some(ms(1) + SETTLE_WITHIN));
    let answered = machine.step(ms(1) + SETTLE_WITHIN, StreamInput::Due);
    assert_eq!(answered, [StreamAction::Answer(1, LeaseReply::Unavailable)]);
}

#[test]
fn a_forgotten_lease_is_settled_by_its_proof() {
    let mut machine = on();
    machine.step(ms(1), settle(4, 1));
    let answered = machine.step(ms(2), refused(About::Settle(lease(4)), "forgotten"));
    let forgotten = LeaseReply::Refused { code: RefusalCode::Forgotten, message: String::new(), retry_after: None };
    assert_eq!(answered, [StreamAction::Answer(1, forgotten)]);
    let StreamInput::Settle(forgotten, asked, _) = settle(4, 2) else { panic!() };
    let again =
        machine.step(ms(3), StreamInput::SettleForgotten(v1::LeaseProof::default().into(), forgotten, asked, 2));
    assert_eq!(said(&again), ["settle forgotten"]);
    let settled = Told::Settled(v1::Settled { lease: Some(lease(4)), cost: 7, billed_ms: 1 });
    let answer = LeaseReply::Settled(Paid { cost: 7, billed_ms: 1 });
    assert_eq!(machine.step(ms(4), StreamInput::Heard(settled)), [StreamAction::Answer(2, answer)]);
}

#[test]
fn an_unknown_session_begins_anew_at_once() {
    let mut machine = on();
    machine.step(ms(1), acquire(1));
    again(&mut machine, ms(2));
    let unknown =
        merit_proto::refusal_status(&merit_terms::Refusal::Unknown { what: "broker session", name: "9".into() });
    assert!(matches!(machine.step(ms(30), StreamInput::Ended(unknown))[..], [StreamAction::Close(_)]));
    assert_eq!(machine.step(ms(30), StreamInput::Due), [StreamAction::Open(v1::BrokerHello { resumes: None })]);
    assert_eq!(bids(&machine.step(ms(31), welcome(12, Vec::new()))), [1]);
}

#[test]
fn pauses_between_streams_double_up_to_a_second() {
    let mut machine = Machine::<u32>::new();
    let mut now = ms(0);
    for pause in [20, 40, 80, 160, 320, 640, 1000, 1000] {
        assert!(matches!(machine.step(now, StreamInput::Due)[..], [StreamAction::Open(_)]));
        machine.step(now, lost());
        assert_eq!(machine.due(), Some(now + ms(pause)));
        now += ms(pause);
    }
    machine.step(now, StreamInput::Due);
    machine.step(now, welcome(9, Vec::new()));
    machine.step(now, lost());
    assert_eq!(machine.due(), Some(now + ms(20)));
}

#[test]
fn a_missing_welcome_times_out() {
    let mut machine = Machine::<u32>::new();
    machine.step(ms(0), StreamInput::Due);
    assert_eq!(machine.due(), Some(WELCOME_WITHIN));
    let given_up = machine.step(WELCOME_WITHIN, StreamInput::Due);
    assert_eq!(given_up, [StreamAction::Close("it takes the stream, and does not answer on it".to_owned())]);
}
