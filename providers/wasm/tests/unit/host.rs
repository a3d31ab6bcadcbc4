//! The order in which threads get guests.

use std::sync::mpsc::TryRecvError;

use super::*;

/// Returns the number of the thread that gets the next guest after three ended theirs in order.
fn next_of_three(rested_first: bool) -> usize {
    let mut idle = Idle { threads: VecDeque::new(), rested_first, closed: false };
    let tasks: Vec<Receiver<Task>> = (0..3)
        .map(|_| {
            let (thread, tasks) = channel();
            idle.give_back(thread);
            tasks
        })
        .collect();
    drop(idle.take());
    // A thread whose sender is gone hears no more.
    tasks.iter().position(|tasks| matches!(tasks.try_recv(), Err(TryRecvError::Disconnected))).unwrap()
}

#[test]
fn a_shared_core_takes_the_thread_that_rested_longest() {
    assert_eq!((next_of_three(true), next_of_three(false)), (0, 2));
}
