//! Providers' sessions: what each hears, from where, and its end.

use futures_util::FutureExt;
use merit_terms::Time;

use super::*;

const SELLER: ProviderId = ProviderId::new(4);

fn happen(sessions: &Sessions, sequence: u64, events: Vec<Event>) {
    sessions.apply(&[Happened { sequence, at: Time::default(), events, spots: Vec::new(), log: None }]);
}

/// Applies a command that concerns the seller.
fn protect(sessions: &Sessions, sequence: u64) {
    happen(sessions, sequence, vec![Event::Protected { provider: SELLER }]);
}

fn end(sessions: &Sessions, sequence: u64, session: u32, why: SessionEnding) {
    happen(sessions, sequence, vec![Event::SessionEnded { provider: SELLER, session, why }]);
}

/// Reads the sequences of the next messages; none if the session waits.
fn heard(sessions: &Sessions, listening: &mut Listening) -> Option<Result<Vec<u64>, Over>> {
    let taken = sessions.next(listening).now_or_never()?;
    Some(taken.map(|notes| notes.into_iter().map(|(number, _)| number >> COMMAND_SHIFT).collect()))
}

#[test]
fn a_session_hears_what_happens_from_its_beginning_on() {
    let sessions = Sessions::default();
    protect(&sessions, 1);
    let mut first = sessions.listen(SELLER, 1, None);
    assert!(!first.resumed);
    assert_eq!(heard(&sessions, &mut first), None);
    protect(&sessions, 2);
    happen(&sessions, 3, vec![Event::Protected { provider: ProviderId::new(5) }]);
    protect(&sessions, 4);
    assert_eq!(heard(&sessions, &mut first), Some(Ok(vec![2, 4])));
    assert_eq!(heard(&sessions, &mut first), None);
}

#[test]
fn a_session_goes_on_where_the_one_before_stopped_reading() {
    let sessions = Sessions::default();
    happen(&sessions, 1, vec![Event::Protected { provider: SELLER }; 3]);
    let last = number(1, 2);
    let mut second = sessions.listen(SELLER, 2, Some(last));
    assert!(second.resumed);
    protect(&sessions, 2);
    assert_eq!(heard(&sessions, &mut second), Some(Ok(vec![1, 2])));
    // Of the future nothing was heard.
    let third = sessions.listen(SELLER, 3, Some(number(9, 1)));
    assert_eq!((third.resumed, third.after), (false, second.after));
}

#[test]
fn news_of_others_leave_a_providers_numbers_alone() {
    let sessions = Sessions::default();
    for other in (0..32).map(ProviderId::new) {
        sessions.lock().of(other);
    }
    let changed = Event::MarketChanged { market: MarketId::new(0), terms: MarketTerms::default() };
    let protected = |provider| Event::Protected { provider };
    happen(&sessions, 1, vec![protected(ProviderId::new(5)), changed, protected(SELLER)]);
    let told: Vec<u64> = sessions.lock().of(SELLER).kept.iter().map(|(number, _)| *number).collect();
    assert_eq!(told, [number(1, 1), number(1, 2)]);
}

#[test]
fn a_session_behind_the_ring_cannot_resume() {
    let sessions = Sessions::default();
    let mut slow = sessions.listen(SELLER, 1, None);
    protect(&sessions, 1);
    assert_eq!(heard(&sessions, &mut slow), Some(Ok(vec![1])));
    (2..=KEPT_MAX as u64 + 1).for_each(|sequence| protect(&sessions, sequence));
    assert!(sessions.listen(SELLER, 2, Some(slow.after)).resumed);
    protect(&sessions, KEPT_MAX as u64 + 2);
    protect(&sessions, KEPT_MAX as u64 + 3);
    assert!(!sessions.listen(SELLER, 3, Some(slow.after)).resumed);
}

#[test]
fn a_session_that_reads_too_slowly_is_over() {
    let sessions = Sessions::default();
    let mut slow = sessions.listen(SELLER, 1, None);
    (1..=KEPT_MAX as u64 + 1).for_each(|sequence| protect(&sessions, sequence));
    assert_eq!(heard(&sessions, &mut slow), Some(Err(Over::Behind)));
}

#[test]
fn a_process_goes_on_from_its_first_state() {
    let sessions = Sessions::default();
    sessions.lock().beginning = number(70, u16::MAX);
    protect(&sessions, 71);
    assert!(sessions.listen(SELLER, 1, Some(number(70, u16::MAX))).resumed);
    assert!(!sessions.listen(SELLER, 1, Some(number(70, 3))).resumed);
}

#[test]
fn a_session_ends_when_a_later_one_listens() {
    let sessions = Sessions::default();
    let mut first = sessions.listen(SELLER, 1, None);
    let mut second = sessions.listen(SELLER, 2, None);
    assert_eq!(heard(&sessions, &mut first), Some(Err(Over::Ended(SessionEnding::Fenced))));
    end(&sessions, 1, 1, SessionEnding::Fenced);
    assert_eq!(heard(&sessions, &mut second), None);
    end(&sessions, 2, 2, SessionEnding::Killed);
    assert_eq!(heard(&sessions, &mut second), Some(Err(Over::Ended(SessionEnding::Killed))));
    // Its logon was durable, and its end came before it could listen.
    end(&sessions, 3, 3, SessionEnding::Killed);
    let mut third = sessions.listen(SELLER, 3, None);
    assert_eq!(heard(&sessions, &mut third), Some(Err(Over::Ended(SessionEnding::Killed))));
}
