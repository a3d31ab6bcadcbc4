//! The machine by cases, with a `now` that the tests make.

use super::*;

const HEARTBEAT_MS: u32 = 1000;

fn machine(markets: &[&str]) -> Machine {
    let logon = v1::Logon {
        provider: "edge-1".into(),
        pools: vec![v1::PoolSize { memory_mb: 1024, slots: 4 }],
        endpoint: "http://127.0.0.1:9000".into(),
        ..v1::Logon::default()
    };
    let ladder = |market: &&str| (market.parse().unwrap(), vec![v1::Rung { id: 1, ..v1::Rung::default() }]);
    Machine::new(logon, markets.iter().map(ladder).collect(), None, 42)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A time that does not come.
const FAR: u64 = u64::MAX;

fn welcome(session: u32) -> Input {
    let session_key = vec![session as u8; 32];
    Input::Received(
        0,
        FromExchange::Welcome(v1::Welcome {
            session,
            session_key,
            heartbeat_ms: HEARTBEAT_MS,
            ..v1::Welcome::default()
        }),
    )
}

impl Input {
    /// Returns the same welcome, of a resumed session.
    fn resumed(self) -> Input {
        match self {
            Input::Received(number, FromExchange::Welcome(welcome)) => {
                Input::Received(number, FromExchange::Welcome(v1::Welcome { resumed: true, ..welcome }))
            }
            other => other,
        }
    }
}

fn heartbeat() -> Input {
    Input::Received(0, FromExchange::Heartbeat(v1::ExchangeHeartbeat { at: 0 }))
}

fn unavailable() -> Input {
    Input::Ended(Status::unavailable("connection refused"))
}

fn numbers(actions: &[Action]) -> Vec<u64> {
    let number = |action: &Action| match action {
        Action::Send(ToExchange::Quote(quote)) => Some(quote.number),
        _ => None,
    };
    actions.iter().filter_map(number).collect()
}

/// A machine that is on since `now`.
fn on(markets: &[&str], now: Duration) -> Machine {
    let mut machine = machine(markets);
    assert!(matches!(machine.step(now, Input::Due)[..], [Action::Open(_)]));
    assert!(matches!(machine.step(now, welcome(1))[0], Action::Trust(_)));
    machine
}

/// Loses the stream and answers the pause before the next.
fn pause(machine: &mut Machine, now: Duration) -> Duration {
    assert_eq!(machine.step(now, unavailable()), [Action::Close]);
    machine.due().unwrap() - now
}

#[test]
fn logs_on_at_once_and_quotes_every_market_when_welcomed() {
    let mut machine = machine(&["local/wasm", "eu-west/wasm"]);
    assert_eq!(machine.due(), Some(ms(0)));
    let opened = machine.step(ms(0), Input::Due);
    assert!(matches!(&opened[..], [Action::Open(logon)] if logon.provider == "edge-1"));
    let actions = machine.step(ms(5), welcome(7));
    assert_eq!(actions[0], Action::Trust(Credentials { number: 7, key: [7; 32] }));
    assert_eq!(numbers(&actions), [1, 2]);
    assert_eq!(machine.standing().session, Some(7));
}

#[test]
fn a_welcome_that_does_not_come_is_given_up() {
    let mut machine = machine(&["local/wasm"]);
    machine.step(ms(0), Input::Due);
    assert_eq!(machine.due(), Some(WELCOME_TIMEOUT));
    assert_eq!(machine.step(WELCOME_TIMEOUT - ms(1), Input::Due), []);
    assert_eq!(machine.step(WELCOME_TIMEOUT, Input::Due), [Action::Close]);
    let again = machine.due().unwrap();
    assert!(again > WELCOME_TIMEOUT);
    assert!(matches!(machine.step(again, Input::Due)[..], [Action::Open(_)]));
}

#[test]
fn a_welcome_without_a_key_is_no_welcome() {
    let mut machine = machine(&["local/wasm"]);
    machine.step(ms(0), Input::Due);
    let keyless = v1::Welcome { session: 1, session_key: vec![1; 31], heartbeat_ms: 1000, ..v1::Welcome::default() };
    assert_eq!(machine.step(ms(1), Input::Received(0, FromExchange::Welcome(keyless))), [Action::Close]);
    assert_eq!(machine.standing().session, None);
}

#[test]
fn states_its_pools_with_every_heartbeat() {
    let mut machine = on(&["local/wasm"], ms(0));
    assert_eq!(machine.due(), Some(ms(1000)));
    assert_eq!(machine.step(ms(999), Input::Due), []);
    let pools = vec![v1::PoolSize { memory_mb: 1024, slots: 4 }];
    let beat = [Action::Send(ToExchange::Heartbeat(v1::ProviderHeartbeat { pools }))];
    assert_eq!(machine.step(ms(1000), Input::Due), beat);
    assert_eq!(machine.due(), Some(ms(2000)));
    assert_eq!(machine.step(ms(2500), Input::Due), beat, "a late one is not made up for");
    assert_eq!(machine.due(), Some(ms(3000)), "three heartbeats of silence");
}

#[test]
fn an_exchange_that_is_silent_for_three_heartbeats_is_lost() {
    let mut machine = on(&["local/wasm"], ms(0));
    machine.step(ms(2999), heartbeat());
    assert!(matches!(machine.step(ms(3000), Input::Due)[..], [Action::Send(ToExchange::Heartbeat(_))]));
    assert_eq!(machine.step(ms(5999), Input::Due), [Action::Close]);
    assert_eq!(machine.standing().session, None);
}

#[test]
fn a_new_stream_is_quoted_anew_with_growing_numbers() {
    let mut machine = on(&["local/wasm", "eu-west/wasm"], ms(0));
    machine.step(ms(10), Input::Received(0, FromExchange::QuoteAccepted(v1::QuoteAccepted { number: 1 })));
    assert_eq!(machine.standing().markets, 1);
    assert_eq!(machine.step(ms(50), unavailable()), [Action::Close]);
    assert_eq!(machine.standing().markets, 0);
    let again = machine.due().unwrap();
    assert!(matches!(machine.step(again, Input::Due)[..], [Action::Open(_)]));
    let actions = machine.step(again, welcome(2));
    assert_eq!(actions[0], Action::Trust(Credentials { number: 2, key: [2; 32] }));
    assert_eq!(numbers(&actions), [3, 4]);
}

#[test]
fn the_back_off_doubles_to_five_seconds_with_half_jitter() {
    let mut machine = machine(&["local/wasm"]);
    let mut now = ms(0);
    for most_ms in [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] {
        assert!(matches!(machine.step(now, Input::Due)[..], [Action::Open(_)]));
        let pause = pause(&mut machine, now);
        assert!((ms(most_ms / 2)..=ms(most_ms)).contains(&pause), "{pause:?} of {most_ms} ms");
        now += pause;
    }
}

#[test]
fn pauses_differ_between_seeds() {
    let pause_of = |seed| {
        let mut machine = Machine::new(v1::Logon::default(), Vec::new(), None, seed);
        machine.step(ms(0), Input::Due);
        pause(&mut machine, ms(0))
    };
    assert_ne!(pause_of(1), pause_of(2));
    assert_eq!(pause_of(1), pause_of(1));
}

#[test]
fn only_a_session_that_lasts_makes_the_next_pause_short() {
    let mut machine = machine(&["local/wasm"]);
    let mut now = ms(0);
    for _ in 0..5 {
        machine.step(now, Input::Due);
        machine.step(now, welcome(1));
        now += pause(&mut machine, now);
    }
    machine.step(now, Input::Due);
    machine.step(now, welcome(1));
    assert!(pause(&mut machine, now + ms(2999)) >= ms(1600), "a session of less than three heartbeats");
    let now = machine.due().unwrap();
    machine.step(now, Input::Due);
    machine.step(now, welcome(1));
    machine.step(now + ms(2000), heartbeat());
    assert!(pause(&mut machine, now + ms(3000)) <= ms(100));
}

#[test]
fn a_refused_first_logon_ends_the_session_with_the_reason() {
    let mut machine = machine(&["local/wasm"]);
    machine.step(ms(0), Input::Due);
    let refused = Input::Ended(Status::permission_denied("the provider `edge-1` is not registered"));
    let error = SessionError::Refused { message: "the provider `edge-1` is not registered".into() };
    assert_eq!(machine.step(ms(1), refused), [Action::End(Err(error))]);
    assert_eq!(machine.due(), None);
}

#[test]
fn a_later_logon_that_is_refused_is_tried_again() {
    let mut machine = on(&["local/wasm"], ms(0));
    let now = ms(1) + pause(&mut machine, ms(1));
    machine.step(now, Input::Due);
    assert_eq!(machine.step(now, Input::Ended(Status::permission_denied("killed"))), [Action::Close]);
    assert!(machine.due().is_some());
}

#[test]
fn another_session_of_the_provider_ends_this_one_for_good() {
    let mut machine = on(&["local/wasm"], ms(0));
    let superseded = Input::Ended(Status::aborted("another session of the provider has logged on"));
    let error = SessionError::Superseded { provider: "edge-1".into() };
    assert_eq!(machine.step(ms(1), superseded), [Action::End(Err(error))]);
    assert_eq!(machine.due(), None);
    assert_eq!(machine.step(ms(2), Input::Due), []);
}

#[test]
fn a_refused_ladder_is_reported_and_quoted_again() {
    let mut machine = on(&["local/wasm", "eu-west/wasm"], ms(0));
    let refused = v1::QuoteRefused { number: 2, code: "not_found".into(), ..v1::QuoteRefused::default() };
    machine.step(ms(10), Input::Received(0, FromExchange::QuoteRefused(refused)));
    assert_eq!(machine.standing().refused[0].market.as_str(), "eu-west/wasm");
    let again = ms(10) + REQUOTE_AFTER;
    machine.step(again, heartbeat());
    machine.step(again - ms(1), Input::Due);
    assert_eq!(machine.due(), Some(again));
    assert_eq!(numbers(&machine.step(again, Input::Due)), [3]);
    machine.step(again, Input::Received(0, FromExchange::QuoteAccepted(v1::QuoteAccepted { number: 3 })));
    assert_eq!((machine.standing().markets, machine.standing().refused.len()), (1, 0));
}

#[test]
fn an_answer_to_an_earlier_quote_is_ignored() {
    let mut machine = on(&["local/wasm"], ms(0));
    let now = ms(1) + pause(&mut machine, ms(1));
    machine.step(now, Input::Due);
    machine.step(now, welcome(2));
    machine.step(now, Input::Received(0, FromExchange::QuoteAccepted(v1::QuoteAccepted { number: 1 })));
    assert_eq!(machine.standing().markets, 0);
}

#[test]
fn leases_and_revenue_are_summed_over_sessions() {
    let mut machine = on(&["local/wasm"], ms(0));
    machine.step(ms(1), Input::Received(0, FromExchange::LeaseGranted(v1::LeaseGranted::default())));
    machine.step(
        ms(2),
        Input::Received(0, FromExchange::LeaseSettled(v1::LeaseSettled { lease: None, revenue: 285_417, sold: true })),
    );
    let now = ms(3) + pause(&mut machine, ms(3));
    machine.step(now, Input::Due);
    machine.step(now, welcome(2));
    machine.step(
        now,
        Input::Received(0, FromExchange::LeaseSettled(v1::LeaseSettled { lease: None, revenue: 3, sold: false })),
    );
    let standing = machine.standing();
    assert_eq!((standing.granted, standing.settled), (1, 2));
    assert_eq!(standing.revenue, Balance::from_picodollars(285_420));
}

#[test]
fn a_stop_ends_the_session_without_an_error() {
    let mut machine = on(&["local/wasm"], ms(0));
    assert_eq!(machine.step(ms(1), Input::Stop), [Action::End(Ok(()))]);
    assert_eq!(machine.step(ms(2), unavailable()), []);
}

fn lease(sequence: u64) -> v1::LeaseId {
    v1::LeaseId { run: 1, sequence }
}

fn ran(sequence: u64) -> Input {
    let proof = v1::LeaseProof { terms: vec![sequence as u8], mac: Vec::new() };
    Input::Ran(RunEvent::Finished { lease: lease(sequence).into(), usage: merit_terms::Usage::default(), proof })
}

fn settled(sequence: u64) -> FromExchange {
    FromExchange::LeaseSettled(v1::LeaseSettled { lease: Some(lease(sequence)), revenue: 1, sold: true })
}

fn claims(actions: &[Action]) -> Vec<u8> {
    let claim = |action: &Action| match action {
        Action::Send(ToExchange::Claim(claim)) => Some(claim.proof.as_ref().unwrap().terms[0]),
        _ => None,
    };
    actions.iter().filter_map(claim).collect()
}

#[test]
fn a_logon_says_what_was_heard_last() {
    let logon = |actions: Vec<Action>| match &actions[..] {
        [Action::Open(logon)] => logon.last_sequence,
        other => panic!("{other:?}"),
    };
    let mut machine = machine(&["local/wasm"]);
    assert_eq!(logon(machine.step(ms(0), Input::Due)), None);
    let Input::Received(_, FromExchange::Welcome(mut first)) = welcome(1) else { panic!() };
    first.last_sequence = 70;
    machine.step(ms(1), Input::Received(0, FromExchange::Welcome(first)));
    let now = ms(1) + pause(&mut machine, ms(1));
    assert_eq!(logon(machine.step(now, Input::Due)), Some(70));
    let Input::Received(_, FromExchange::Welcome(mut second)) = welcome(2) else { panic!() };
    (second.last_sequence, second.resumed) = (70, true);
    machine.step(now, Input::Received(0, FromExchange::Welcome(second)));
    machine.step(now, Input::Received(75, settled(1)));
    machine.step(now, heartbeat());
    let now = now + pause(&mut machine, now);
    assert_eq!(logon(machine.step(now, Input::Due)), Some(75));
}

#[test]
fn an_unsettled_run_is_claimed_over_the_next_stream() {
    let mut machine = on(&["local/wasm"], ms(0));
    for sequence in 1..=3 {
        machine.step(ms(sequence), ran(sequence));
    }
    machine.step(ms(10), Input::Received(1, settled(2)));
    machine.step(ms(11), Input::Ran(RunEvent::Undelivered(lease(3).into())));
    assert_eq!(claims(&machine.step(machine.due().unwrap(), Input::Due)), [3]);
    machine.step(ms(12), Input::Received(2, FromExchange::LeaseUnknown(v1::LeaseUnknown { lease: Some(lease(1)) })));
    let now = ms(13) + pause(&mut machine, ms(13));
    machine.step(now, Input::Due);
    machine.step(now, welcome(2).resumed());
    assert_eq!(claims(&machine.step(machine.due().unwrap(), Input::Due)), [1]);
    for sequence in [1, 3] {
        let answered = v1::ClaimAnswered { lease: Some(lease(sequence)), ..v1::ClaimAnswered::default() };
        machine.step(now, Input::Received(0, FromExchange::ClaimAnswered(answered)));
    }
    assert_eq!(machine.standing().claimed, 2);
    machine.step(now, Input::Received(3, settled(1)));
    assert_eq!(machine.standing().claimed, 1);
    machine.step(now + ms(60_000), heartbeat());
    assert_eq!(claims(&machine.step(now + ms(60_000), Input::Due)), [0_u8; 0]);
}

#[test]
fn a_new_session_claims_only_open_leases() {
    let mut machine = on(&["local/wasm"], ms(0));
    machine.step(ms(1), ran(1));
    machine.step(ms(2), ran(2));
    let now = ms(3) + pause(&mut machine, ms(3));
    machine.step(now, Input::Due);
    let Input::Received(_, FromExchange::Welcome(mut welcome)) = welcome(2) else { panic!() };
    welcome.leases = vec![v1::LeaseGranted { lease: Some(lease(2)), memory_mb: 128, capacity_until: FAR }];
    machine.step(now, Input::Received(0, FromExchange::Welcome(welcome)));
    machine.step(now + ms(60_000), heartbeat());
    assert_eq!(claims(&machine.step(now + ms(60_000), Input::Due)), [2]);
}

#[test]
fn pulled_offers_are_quoted_again_after_a_moment() {
    let mut machine = on(&["local/wasm", "eu-west/wasm"], ms(0));
    for number in [1, 2] {
        machine.step(ms(1), Input::Received(0, FromExchange::QuoteAccepted(v1::QuoteAccepted { number })));
    }
    machine.step(ms(5), Input::Received(9, FromExchange::Protected(v1::OffersProtected {})));
    let standing = machine.standing();
    assert_eq!((standing.markets, standing.refused[0].code.as_str()), (0, "protected"));
    machine.step(ms(1000), Input::Due);
    assert_eq!(machine.due(), Some(ms(5) + PROTECTED_FOR));
    assert_eq!(numbers(&machine.step(ms(5) + PROTECTED_FOR, Input::Due)), [3, 4]);
}

#[test]
fn a_changed_market_that_refused_is_quoted_again_at_once() {
    let mut machine = on(&["local/wasm", "eu-west/wasm"], ms(0));
    let refused = v1::QuoteRefused { number: 2, code: "market_closed".into(), ..v1::QuoteRefused::default() };
    machine.step(ms(1), Input::Received(0, FromExchange::QuoteRefused(refused)));
    let changed = |market: &str| {
        let change = v1::MarketChange { market: market.to_owned(), terms: None };
        Input::Received(7, FromExchange::MarketState(change))
    };
    assert_eq!(machine.step(ms(2), changed("local/wasm")), []);
    assert_eq!(numbers(&machine.step(ms(3), changed("eu-west/wasm"))), [3]);
}

/// The expiry of each rung that is quoted.
fn expiries(actions: &[Action]) -> Vec<u64> {
    let rungs = |action: &Action| match action {
        Action::Send(ToExchange::Quote(quote)) => quote.rungs.iter().map(|rung| rung.expires).collect(),
        _ => Vec::new(),
    };
    actions.iter().flat_map(rungs).collect()
}

#[test]
fn expiring_offers_are_quoted_again_by_the_exchange_s_clock() {
    let accepted = |number| Input::Received(0, FromExchange::QuoteAccepted(v1::QuoteAccepted { number }));
    let mut machine = Machine { expire_after: Some(ms(1500)), ..machine(&["local/wasm"]) };
    machine.step(ms(0), Input::Due);
    let Input::Received(_, FromExchange::Welcome(mut first)) = welcome(1) else { panic!() };
    first.at = 7_000_000;
    let quoted = machine.step(ms(100), Input::Received(0, FromExchange::Welcome(first)));
    assert_eq!((numbers(&quoted), expiries(&quoted)), (vec![1], vec![8_500_000]));
    machine.step(ms(110), accepted(1));
    assert_eq!(machine.due(), Some(ms(850)));
    let again = machine.step(ms(850), Input::Due);
    assert_eq!((numbers(&again), expiries(&again)), (vec![2], vec![9_250_000]));
    assert_eq!(machine.standing().markets, 1, "what was accepted stands");

    // Its clock may be put right.
    machine.step(ms(1000), Input::Received(0, FromExchange::Heartbeat(v1::ExchangeHeartbeat { at: 20_000_000 })));
    assert_eq!(machine.due(), Some(ms(1100)));
    assert_eq!(numbers(&machine.step(ms(1100), Input::Due)), [0_u64; 0], "a heartbeat");
    let again = machine.step(ms(1600), Input::Due);
    assert_eq!((numbers(&again), expiries(&again)), (vec![3], vec![22_100_000]));
    // One that is refused waits for its own time.
    let refused = v1::QuoteRefused { number: 3, code: "not_found".into(), ..v1::QuoteRefused::default() };
    machine.step(ms(1610), Input::Received(0, FromExchange::QuoteRefused(refused)));
    machine.step(ms(4000), heartbeat());
    assert_eq!(numbers(&machine.step(ms(4000), Input::Due)), [0_u64; 0]);
}

#[test]
fn a_paused_provider_quotes_nothing_until_it_resumes() {
    let mut machine = machine(&["eu/a", "eu/b"]);
    machine.step(ms(0), Input::Due);
    assert_eq!(numbers(&machine.step(ms(1), welcome(1))), [1, 2]);
    let cancelled = machine.step(ms(2), Input::Change(SaleChange::Pause));
    assert_eq!(cancelled, [Action::Send(ToExchange::CancelAll(v1::CancelAllOffers {}))]);
    assert!(machine.standing().paused && machine.standing().markets == 0);
    // Also in another session.
    machine.step(ms(3), unavailable());
    machine.step(machine.due().unwrap(), Input::Due);
    assert!(numbers(&machine.step(ms(900), welcome(2))).is_empty());
    assert_eq!(numbers(&machine.step(ms(901), Input::Change(SaleChange::Resume))), [3, 4]);
    assert!(!machine.standing().paused);
}

#[test]
fn another_ladder_is_quoted_at_once_or_on_resumption() {
    let mut machine = machine(&["eu/a"]);
    machine.step(ms(0), Input::Due);
    machine.step(ms(1), welcome(1));
    machine.step(ms(2), Input::Received(0, FromExchange::QuoteAccepted(v1::QuoteAccepted { number: 1 })));
    let ladder = |id| Input::Change(SaleChange::Reprice(vec![v1::Rung { id, ..v1::Rung::default() }]));
    let quoted = |actions: &[Action]| match actions {
        [Action::Send(ToExchange::Quote(quote))] => quote.rungs[0].id,
        other => panic!("{other:?}"),
    };
    assert_eq!(quoted(&machine.step(ms(3), ladder(7))), 7);
    assert_eq!(machine.standing().markets, 0, "the exchange has not answered yet");
    machine.step(ms(4), Input::Change(SaleChange::Pause));
    assert_eq!(machine.step(ms(5), ladder(8)), []);
    assert_eq!(quoted(&machine.step(ms(6), Input::Change(SaleChange::Resume))), 8);
}

#[test]
fn leased_memory_is_that_of_open_leases() {
    let mut machine = machine(&["eu/a"]);
    machine.step(ms(0), Input::Due);
    machine.step(ms(1), welcome(1));
    let id = |sequence| Some(v1::LeaseId { run: 1, sequence });
    let granted = |sequence| {
        Input::Received(
            1,
            FromExchange::LeaseGranted(v1::LeaseGranted { lease: id(sequence), memory_mb: 128, capacity_until: FAR }),
        )
    };
    machine.step(ms(2), granted(1));
    machine.step(ms(2), granted(2));
    assert_eq!(machine.standing().leased_mb, 256);
    let unknown = v1::LeaseUnknown { lease: id(2) };
    machine.step(ms(3), Input::Received(2, FromExchange::LeaseUnknown(unknown)));
    assert_eq!(machine.standing().leased_mb, 128);
    let settled = v1::LeaseSettled { lease: id(1), revenue: 5, sold: true };
    machine.step(ms(3), Input::Received(2, FromExchange::LeaseSettled(settled)));
    assert_eq!((machine.standing().leased_mb, machine.standing().sold), (0, 1));
}
