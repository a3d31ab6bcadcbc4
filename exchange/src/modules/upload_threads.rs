//! The threads that check and keep uploads, at low priority: the check of a large module takes a fifth of a second of
//! the processor, and calls go first. At most two at once.

use std::sync::Arc;

use merit_priority::Priority;
use tokio::sync::{Semaphore, oneshot};

/// Maximum threads at once.
const THREADS_MAX: usize = 2;

pub(crate) struct UploadThreads(Arc<Semaphore>);

impl UploadThreads {
    pub(crate) fn new() -> UploadThreads {
        UploadThreads(Arc::new(Semaphore::new(THREADS_MAX)))
    }

    /// Runs work on a thread of its own, when it is its turn. None if the thread could not be started, or panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let (done, result) = oneshot::channel();
        let upload = move || {
            // A failure is harmless.
            merit_priority::set(Priority::Background).ok();
            // The uploader may have gone away.
            done.send(work()).ok();
            drop(turn);
        };
        std::thread::Builder::new().name("upload".to_owned()).spawn(upload).ok()?;
        result.await.ok()
    }
}

#[cfg(test)]
#[path = "../../tests/unit/modules/upload_threads.rs"]
mod tests;
