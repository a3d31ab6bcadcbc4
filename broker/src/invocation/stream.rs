//! An answer that streams: its parts on their way to the caller, back-pressure, and its end.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::WhenGone;
use crate::exchange::leases::lease::Paid;
use crate::provider::answer::{NextPart, StreamedAnswer};
use crate::provider::end::AttemptEnd;

/// Time that a caller may take to read the next part.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(60);
/// Back-pressure in all on one answer: its lease must be settled within ten minutes after the function's own time.
const WAITED_MAX: Duration = Duration::from_secs(8 * 60);

/// The rest of an answer, part by part. Its end comes once it is settled.
pub(crate) struct Rest {
    pub(crate) parts: mpsc::Receiver<Part>,
    /// Length of the whole, if the provider stated it.
    pub(crate) length: Option<u64>,
}

pub(crate) enum Part {
    Bytes(Bytes),
    /// The whole answer was passed on and is settled.
    Settled(Paid),
    /// The answer breaks off here.
    Broken,
}

/// The passing on of an answer, as fast as its caller reads.
struct Passing<'a> {
    parts: &'a mpsc::Sender<Part>,
    waited: Duration,
    has_all: bool,
}

impl Passing<'_> {
    fn new(parts: &mpsc::Sender<Part>) -> Passing<'_> {
        Passing { parts, waited: Duration::ZERO, has_all: true }
    }

    /// Passes a part on, unless one before it was not. Returns the time that the caller was waited for.
    async fn pass(&mut self, bytes: Bytes) -> Duration {
        if !self.has_all {
            return Duration::ZERO;
        }
        let began = Instant::now();
        let is_passed = self.parts.send_timeout(Part::Bytes(bytes), READ_WITHIN).await.is_ok();
        let waited = began.elapsed();
        self.waited += waited;
        self.has_all = is_passed && self.waited < WAITED_MAX;
        waited
    }
}

/// Passes the rest of an answer on. Returns its end, and true if the caller has the whole of it.
pub(super) async fn pass_on(
    answer: &mut StreamedAnswer,
    parts: Option<&mpsc::Sender<Part>>,
    when_gone: WhenGone,
) -> (AttemptEnd, bool) {
    let Some(parts) = parts else { return (answer.executed(), false) };
    // A call that goes on without its caller is read to its end all the same.
    let cancels = when_gone == WhenGone::Cancel;
    let mut passing = Passing::new(parts);
    loop {
        let next = tokio::select! {
            next = answer.next() => next,
            () = parts.closed(), if cancels => return (answer.executed(), false),
        };
        match next {
            NextPart::Whole(end) => return (end, passing.has_all),
            NextPart::Broken(end) => return (end, false),
            NextPart::Part(bytes) => {
                answer.waited(passing.pass(bytes).await);
                if cancels && !passing.has_all {
                    return (answer.executed(), false);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/invocation/stream.rs"]
mod tests;
