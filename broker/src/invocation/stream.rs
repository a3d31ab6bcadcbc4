//! Whether the caller of an answer that streams reads it, and has all of it that was passed on.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::run::Part;

/// How long a caller may take to read the next part.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(60);
/// How long all that waiting may be for one answer: its lease is settled within ten minutes after the function's own time,
/// so that what ran is charged.
const WAITED_MAX: Duration = Duration::from_secs(8 * 60);

/// An answer on its way to its caller.
pub(super) struct Hearing<'a> {
    parts: &'a mpsc::Sender<Part>,
    waited: Duration,
    has_all: bool,
}

impl Hearing<'_> {
    pub(super) fn new(parts: &mpsc::Sender<Part>) -> Hearing<'_> {
        Hearing { parts, waited: Duration::ZERO, has_all: true }
    }

    /// Passes a part on, unless one before it was not; for how long the caller was waited for.
    pub(super) async fn pass(&mut self, bytes: Bytes) -> Duration {
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

    /// Whether every part was passed on; if not, the answer is never told to be whole.
    pub(super) fn has_all(&self) -> bool {
        self.has_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes so many parts to a caller who reads one each `pause`: how many it got, whether that is all, and what it took.
    async fn passed(parts: usize, pause: Duration) -> (usize, bool, Duration) {
        let (sender, mut receiver) = mpsc::channel(1);
        let reading = tokio::spawn(async move {
            let mut read = 0;
            loop {
                tokio::time::sleep(pause).await;
                match receiver.recv().await {
                    Some(_) => read += 1,
                    None => return read,
                }
            }
        });
        let (began, mut hearing) = (Instant::now(), Hearing::new(&sender));
        for _ in 0..parts {
            hearing.pass(Bytes::from_static(b"part")).await;
        }
        let (has_all, took) = (hearing.has_all(), began.elapsed());
        drop(sender);
        (reading.await.unwrap(), has_all, took)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_in_time_gets_no_part_after_a_missing_one_and_is_not_told_that_it_is_whole() {
        assert!(matches!(passed(10, READ_WITHIN / 2).await, (10, true, _)));
        let (read, has_all, took) = passed(10, READ_WITHIN * 2).await;
        assert!(read < 10 && !has_all && took < READ_WITHIN * 2, "{read} {took:?}");
        // Each is read in time, and all of them together are not.
        let (read, has_all, took) = passed(100, READ_WITHIN / 2).await;
        assert!(read < 100 && !has_all, "{read}");
        assert!((WAITED_MAX..WAITED_MAX + READ_WITHIN).contains(&took), "{took:?}");
    }
}
