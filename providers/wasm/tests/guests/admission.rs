//! Admission to threads, and guests without their caller or their host.

use std::time::Duration;

use merit_wasm::{Busy, GuestOutcome, Host, HostError, HostSettings};

use crate::kit::{compiled, host, job, run, runtime, sample, seat};

#[tokio::test]
async fn a_host_with_all_threads_taken_is_busy_at_once() {
    let runtime = runtime(2);
    let host = host(&runtime, 2, 1.0);
    let module = compiled(&runtime, sample("wait")).await;
    let first = tokio::spawn(seat(&host).run(job(&module, "150")));
    let second = tokio::spawn(seat(&host).run(job(&module, "150")));
    assert_eq!(host.admit().err(), Some(Busy));
    assert_eq!(host.idle(), 0);
    for call in [first, second] {
        assert_eq!(call.await.unwrap().unwrap().outcome, GuestOutcome::Ok);
    }
    assert_eq!(host.idle(), 2);
    assert_eq!(run(&host, job(&module, "0")).await.outcome, GuestOutcome::Ok);
}

#[test]
fn an_unused_seat_goes_back() {
    let host = host(&runtime(1), 1, 1.0);
    let taken = seat(&host);
    assert!(host.admit().is_err());
    drop(taken);
    assert!(host.admit().is_ok());
}

#[tokio::test]
async fn a_thread_stays_taken_when_its_caller_goes_away() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    let module = compiled(&runtime, sample("wait")).await;
    let run = seat(&host).run(job(&module, "100"));
    let impatient = tokio::time::timeout(Duration::from_millis(10), run).await;
    assert!(impatient.is_err());
    assert!(host.admit().is_err());
    while host.admit().is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dropped_host_lets_its_guests_finish() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    let module = compiled(&runtime, sample("wait")).await;
    let call = tokio::spawn(seat(&host).run(job(&module, "100")));
    while host.idle() > 0 {
        tokio::task::yield_now().await;
    }
    drop(host);
    let execution = call.await.unwrap().unwrap();
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    assert_eq!(&execution.output[..], b"waited 100 ms\n");
}

#[test]
fn hosts_share_the_threads_of_their_runtime() {
    let runtime = runtime(3);
    let two = HostSettings { threads: 2, cpu_share: 1.0 };
    let first = Host::new(runtime.clone(), two).unwrap();
    assert!(matches!(Host::new(runtime.clone(), two), Err(HostError::Threads(2))));
    let none = HostSettings { threads: 0, cpu_share: 1.0 };
    assert!(matches!(Host::new(runtime.clone(), none), Err(HostError::Threads(0))));
    drop(first);
    // The threads of the first host end on their own.
    while Host::new(runtime.clone(), two).is_err() {
        std::thread::yield_now();
    }
}
