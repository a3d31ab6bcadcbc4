//! Slow callers of streamed answers, on a paused clock.

use super::*;

/// Passes parts to a caller who reads one each `pause`. Returns the parts that it got, whether it has all, and the
/// time.
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
    let (began, mut passing) = (Instant::now(), Passing::new(&sender));
    for _ in 0..parts {
        passing.pass(Bytes::from_static(b"part")).await;
    }
    let (has_all, took) = (passing.has_all, began.elapsed());
    drop(sender);
    (reading.await.unwrap(), has_all, took)
}

#[tokio::test(start_paused = true)]
async fn a_slow_caller_gets_no_part_after_a_missing_one() {
    assert!(matches!(passed(10, READ_WITHIN / 2).await, (10, true, _)));
    let (read, has_all, took) = passed(10, READ_WITHIN * 2).await;
    assert!(read < 10 && !has_all && took < READ_WITHIN * 2, "{read} {took:?}");
    // Each part is read in time, and all together are not.
    let (read, has_all, took) = passed(100, READ_WITHIN / 2).await;
    assert!(read < 100 && !has_all, "{read}");
    assert!((WAITED_MAX..WAITED_MAX + READ_WITHIN).contains(&took), "{took:?}");
}
