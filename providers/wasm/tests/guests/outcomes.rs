//! The outcomes of a guest.

use merit_wasm::GuestOutcome;

use crate::kit::{call, hostile, sample};

async fn check(name: &str, expected: GuestOutcome) {
    let execution = call(hostile(name), b"", |_| ()).await;
    assert_eq!(execution.outcome, expected, "{name}");
}

fn trap(message: &str) -> GuestOutcome {
    GuestOutcome::Trap(message.to_owned())
}

#[tokio::test]
async fn a_guest_that_returns_is_ok_and_metered() {
    let execution = call(sample("echo"), b"hello", |_| ()).await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    assert_eq!(&execution.output[..], b"hello");
    assert_eq!(&execution.log[..], b"");
    let usage = execution.usage;
    assert!(usage.wall_us > 0 && usage.cpu_us > 0, "{usage:?}");
    assert_eq!(usage.cold_us, 0);
    assert!((65_536..1 << 20).contains(&usage.peak_memory_bytes), "{usage:?}");
}

#[tokio::test]
async fn a_code_other_than_0_is_an_exit() {
    check("exit_3", GuestOutcome::Exit(3)).await;
}

#[tokio::test]
async fn unreachable_is_a_trap() {
    check("trap", trap("wasm trap: wasm `unreachable` instruction executed")).await;
}

#[tokio::test]
async fn an_endless_recursion_is_a_trap() {
    check("recurse", trap("wasm trap: call stack exhausted")).await;
}

#[tokio::test]
async fn a_refused_payload_exits_with_a_message_in_the_log() {
    for (name, payload) in [
        ("mandelbrot", "wide"),
        ("mandelbrot", "10 10"),
        ("mandelbrot", "10 10 10 10"),
        ("mandelbrot", "0 10 10"),
        ("mandelbrot", "10 99999 10"),
        ("mandelbrot", "10 10 99999999999999999999999"),
        ("wait", "soon"),
        ("wait", "-1"),
        ("wait", "1 2"),
        ("wait", "600001"),
    ] {
        let execution = call(sample(name), payload.as_bytes(), |_| ()).await;
        assert_eq!(execution.outcome, GuestOutcome::Exit(2), "{name} {payload}");
        assert_eq!(&execution.output[..], b"", "{name} {payload}");
        assert!(execution.log.starts_with(b"the payload is "), "{name} {payload}");
    }
}

#[tokio::test]
async fn a_guest_sees_only_its_own_arguments_and_environment() {
    let execution = call(hostile("environment"), b"", |job| {
        job.arguments = vec!["name".into(), "first".into()];
        job.environment = vec![("REGION".into(), "eu-west".into())];
    })
    .await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    assert_eq!(&execution.output[..], b"name\0first\0REGION=eu-west\0");
}

#[tokio::test]
async fn a_guest_has_no_directory_and_no_socket() {
    check("look_around", GuestOutcome::Ok).await;
}
