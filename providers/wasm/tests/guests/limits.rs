//! Limits of memory, time, output, log and one host call.

use std::time::{Duration, Instant};

use merit_wasm::{GuestOutcome, GuestRun};

use crate::kit::{call, hostile, sample};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn memory_ends_at_the_cap() {
    let execution = call(hostile("grow"), b"", |job| job.memory_mb = 32).await;
    assert_eq!(execution.outcome, GuestOutcome::OutOfMemory);
    let peak = execution.usage.peak_memory_bytes;
    assert!((31 * MIB..=32 * MIB).contains(&peak), "{peak}");
}

#[tokio::test]
async fn a_guest_that_copes_with_refused_memory_is_ok() {
    let execution = call(hostile("grow_and_cope"), b"", |job| job.memory_mb = 1).await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    assert_eq!(&execution.output[..], b"ok");
    assert_eq!(execution.usage.peak_memory_bytes, 65_536);

    let execution = call(hostile("grow_and_cope"), b"", |job| job.memory_mb = 128).await;
    assert_eq!(execution.usage.peak_memory_bytes, 65 * 65_536 + 15 * 64 * 65_536);
}

#[tokio::test]
async fn a_module_born_above_the_cap_is_out_of_memory() {
    let execution = call(hostile("born_big"), b"", |job| job.memory_mb = 255).await;
    assert_eq!(execution.outcome, GuestOutcome::OutOfMemory);
    let execution = call(hostile("born_big"), b"", |job| job.memory_mb = 256).await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
}

async fn stopped_at(name: &str, timeout_ms: u64) -> GuestRun {
    let started = Instant::now();
    let execution = call(hostile(name), b"", |job| {
        job.timeout = Duration::from_millis(timeout_ms);
    })
    .await;
    assert_eq!(execution.outcome, GuestOutcome::Timeout, "{name}");
    let wall_ms = execution.usage.wall_us / 1_000;
    assert!((timeout_ms..2 * timeout_ms).contains(&wall_ms), "{name}: {wall_ms} ms");
    assert!(started.elapsed() < Duration::from_secs(5), "{name}");
    execution
}

#[tokio::test]
async fn a_guest_that_burns_cpu_stops_at_its_timeout() {
    let execution = stopped_at("loop", 300).await;
    assert!(execution.usage.cpu_us > 30_000, "{:?}", execution.usage);
}

#[tokio::test]
async fn a_guest_in_a_host_call_stops_at_its_timeout() {
    let execution = stopped_at("sleep_an_hour", 300).await;
    assert!(execution.usage.cpu_us < 100_000, "{:?}", execution.usage);
}

#[tokio::test]
async fn the_wait_for_the_module_is_part_of_the_timeout() {
    let execution = call(hostile("loop"), b"", |job| {
        job.timeout = Duration::from_secs(60);
        job.waited = Duration::from_millis(59_900);
    })
    .await;
    assert_eq!(execution.outcome, GuestOutcome::Timeout);
    assert_eq!(execution.usage.cold_us, 59_900_000);
    assert!(execution.usage.wall_us < 5_000_000, "{:?}", execution.usage);
}

#[tokio::test]
async fn a_flood_of_output_stops_at_the_limit() {
    let limit = 1_000_000;
    let execution = call(hostile("flood_output"), b"", |job| job.output_limit_bytes = limit).await;
    assert_eq!(execution.outcome, GuestOutcome::OutputLimit);
    assert_eq!(execution.output.len(), limit);
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_ok() {
    let payload = vec![1; 100_000];
    let exact = call(sample("echo"), &payload, |job| job.output_limit_bytes = 100_000).await;
    assert_eq!((exact.outcome, exact.output.len()), (GuestOutcome::Ok, 100_000));
    let short = call(sample("echo"), &payload, |job| job.output_limit_bytes = 99_999).await;
    assert_eq!((short.outcome, short.output.len()), (GuestOutcome::OutputLimit, 99_999));
}

#[tokio::test]
async fn a_flood_of_log_keeps_its_tail_and_goes_on() {
    let execution = call(hostile("flood_log"), b"", |job| job.log_limit_bytes = 1_000).await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    assert_eq!(&execution.output[..], b"ok");
    assert_eq!(execution.log.len(), 1_000);
    assert!(execution.log.ends_with(b"\0the end"));
}

#[tokio::test]
async fn a_log_of_no_bytes_is_possible() {
    let execution = call(hostile("flood_log"), b"", |job| job.log_limit_bytes = 0).await;
    assert_eq!((execution.outcome, execution.log.len()), (GuestOutcome::Ok, 0));
}

#[tokio::test]
async fn a_huge_request_for_random_bytes_is_a_trap() {
    let execution = call(hostile("random_huge"), b"", |_| ()).await;
    let GuestOutcome::Trap(message) = execution.outcome else { panic!("{:?}", execution.outcome) };
    assert_eq!(message, "requested len 50331648 exceeds limit 1048576");
}

#[tokio::test]
async fn a_wait_for_a_million_clocks_is_a_trap() {
    let execution = call(hostile("poll_many"), b"", |_| ()).await;
    assert!(matches!(execution.outcome, GuestOutcome::Trap(_)), "{:?}", execution.outcome);
    assert!(execution.usage.cpu_us < 2_000_000, "{:?}", execution.usage);
}
