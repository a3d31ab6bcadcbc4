//! Brokers' streams: fencing, refused logons, and slow readers.

use super::*;

/// Begins a session that the engine would number `session`.
fn begin(brokers: &Brokers, resumes: Option<u64>, session: u64) -> OpenStream {
    brokers.begin(resumes, || Ok::<_, ()>((session, ()))).unwrap().0
}

/// Ends a stream. Returns true if that ends its session.
fn ends_session(brokers: &Brokers, stream: &OpenStream) -> bool {
    let mut lost = None;
    brokers.end(stream, |session| lost = Some(session));
    lost.is_some()
}

#[test]
fn a_resuming_stream_fences_the_one_before() {
    let brokers = Brokers::default();
    let mut first = begin(&brokers, None, 7);
    let second = begin(&brokers, Some(7), 7);
    assert!(matches!(first.notes.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    assert!(!ends_session(&brokers, &first));
    assert!(ends_session(&brokers, &second));
}

#[test]
fn a_logon_that_is_refused_takes_no_session() {
    let brokers = Brokers::default();
    assert!(brokers.begin(Some(7), || Err::<(u64, ()), _>("unknown")).is_err());
    assert!(brokers.streams().of_session.is_empty());
}

#[test]
fn a_stream_that_does_not_read_ends_its_session() {
    let brokers = Brokers::default();
    let mut stream = begin(&brokers, None, 7);
    let gone = || BrokerNote::Gone { bid: LeaseId { run: 1, sequence: 1 }, how: BidEnding::Expired };
    (0..=NOTES_MAX).for_each(|_| brokers.streams().tell(Some(7), gone));
    let told = std::iter::from_fn(|| stream.notes.try_recv().ok()).count();
    assert_eq!(told, NOTES_MAX);
    assert!(matches!(stream.notes.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    assert!(ends_session(&brokers, &stream));
}
