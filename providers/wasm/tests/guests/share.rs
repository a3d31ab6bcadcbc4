//! The CPU share. Other work on the machine only slows a guest, so the lower bounds hold for each call and the upper
//! bounds for the least disturbed one.

use std::time::Instant;

use merit_wasm::{GuestOutcome, GuestUsage, Host, HostError, HostSettings, Module};

use crate::kit::{compiled, host, job, run, runtime, sample};

const ROUNDS: usize = 9;

const TICK_US: f64 = 1_000.0;

/// Allowance for the work of a call outside of the metered span.
const ROUNDING_US: f64 = 100.0;

async fn usage(host: &Host, module: &Module, payload: &'static str) -> GuestUsage {
    let execution = run(host, job(module, payload)).await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    execution.usage
}

fn least(of: &[GuestUsage], value: fn(&GuestUsage) -> u64) -> f64 {
    of.iter().map(value).min().unwrap() as f64
}

/// A thread runs ahead of its share by at most one tick of credit, however crowded the machine.
fn check_never_above(share: f64, calls: &[GuestUsage]) {
    for usage in calls {
        let least_us = (usage.cpu_us as f64 - TICK_US - ROUNDING_US) / share;
        assert!(usage.wall_us as f64 >= least_us, "{share}: {usage:?}");
    }
}

#[tokio::test]
async fn half_the_share_takes_twice_the_time_and_equal_cpu() {
    let runtime = runtime(2);
    let (half, quarter) = (host(&runtime, 1, 0.5), host(&runtime, 1, 0.25));
    let module = compiled(&runtime, sample("mandelbrot")).await;
    let (mut halves, mut quarters) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        halves.push(usage(&half, &module, "").await);
        quarters.push(usage(&quarter, &module, "").await);
    }
    check_never_above(0.5, &halves);
    check_never_above(0.25, &quarters);
    let walls = least(&quarters, |u| u.wall_us) / least(&halves, |u| u.wall_us);
    let cpus = least(&quarters, |u| u.cpu_us) / least(&halves, |u| u.cpu_us);
    assert!((1.5..2.7).contains(&walls), "wall x {walls:.2}: {halves:?} {quarters:?}");
    assert!((0.7..1.4).contains(&cpus), "CPU x {cpus:.2}: {halves:?} {quarters:?}");
}

#[tokio::test]
async fn many_short_calls_share_as_one_long_call_does() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 0.25);
    let module = compiled(&runtime, sample("mandelbrot")).await;
    let (started, mut cpu_us) = (Instant::now(), 0);
    for _ in 0..100 {
        cpu_us += usage(&host, &module, "20 20 2000").await.cpu_us;
    }
    let elapsed = started.elapsed();
    let held = cpu_us as f64 / elapsed.as_micros() as f64;
    assert!((0.05..0.27).contains(&held), "held {held:.2}: {cpu_us} us of {elapsed:?}");
}

#[tokio::test]
async fn a_waiting_guest_is_not_slowed_by_a_small_share() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 0.1);
    let module = compiled(&runtime, sample("wait")).await;
    let usage = usage(&host, &module, "200").await;
    assert!((200_000..350_000).contains(&usage.wall_us), "{usage:?}");
}

#[test]
fn a_share_outside_of_0_to_1_is_refused() {
    let runtime = runtime(1);
    for cpu_share in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
        let refused = Host::new(runtime.clone(), HostSettings { threads: 1, cpu_share });
        assert!(matches!(refused, Err(HostError::CpuShare(_))), "{cpu_share}");
    }
}
