//! Turns of two accounts.

use futures_util::FutureExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_account_waits_for_its_own_changes_alone() {
    let turns = Turns::default();
    let ours = turns.take("ours").await.unwrap();
    assert!(turns.take("ours").now_or_never().is_none(), "one at a time");
    drop(turns.take("theirs").now_or_never().expect("another account need not wait").unwrap());
    let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(turns.take("ours"))).collect();
    assert!(waiting.iter_mut().all(|take| take.now_or_never().is_none()));
    let refused = turns.take("ours").await.err().unwrap();
    assert_eq!((refused.status().as_u16(), refused.code.as_str()), (503, "overloaded"));
    waiting.truncate(1);
    drop(ours);
    drop(waiting.remove(0).await.unwrap());
    assert!(turns.queues().is_empty(), "nothing is kept of an account without changes");
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_wait_for_ever() {
    let turns = Turns::default();
    let ours = turns.take("ours").await.unwrap();
    assert!(turns.take("ours").await.is_err());
    drop(ours);
    assert!(turns.queues().is_empty());
}
