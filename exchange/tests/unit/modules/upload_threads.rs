//! The threads of uploads: bounded, and of low priority.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::getpriority_process;

use super::*;

#[tokio::test]
async fn two_uploads_run_at_once_at_low_priority() {
    let (threads, running) = (UploadThreads::new(), Arc::new(AtomicUsize::new(0)));
    let upload = || {
        let running = Arc::clone(&running);
        threads.run(move || {
            let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            running.fetch_sub(1, Ordering::SeqCst);
            (at_once, getpriority_process(None).unwrap())
        })
    };
    let done = tokio::join!(upload(), upload(), upload(), upload());
    for (at_once, priority) in [done.0, done.1, done.2, done.3].map(Option::unwrap) {
        assert!(at_once <= THREADS_MAX && priority >= 10, "{at_once} at once, nice {priority}");
    }
    assert_eq!(threads.run(|| panic!("a bug in the check")).await, None::<()>);
}
