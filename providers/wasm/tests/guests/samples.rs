//! Answers of the sample functions, as committed and as rebuilt from their sources.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use merit_wasm::{GuestOutcome, Host, Module};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::kit::{call, compiled, functions, host, job, run, runtime, sample};

const NAMES: [&str; 5] = ["echo", "mandelbrot", "sha256", "wait", "wordcount"];

async fn answer(host: &Host, module: &Module, payload: &[u8]) -> Bytes {
    let execution = run(host, job(module, payload.to_vec())).await;
    assert_eq!(execution.outcome, GuestOutcome::Ok);
    execution.output
}

fn random_payloads() -> impl Iterator<Item = Vec<u8>> {
    const SEED: u64 = 20;
    let mut random = Pcg64::seed_from_u64(SEED);
    let edges = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 32_767, 32_768, 32_769, 65_536, 1_000_000];
    let sizes: Vec<usize> = edges.into_iter().chain((0..30).map(|n| n * n * 37)).collect();
    sizes.into_iter().map(move |size| {
        let mut payload = vec![0; size];
        random.fill(&mut payload[..]);
        payload
    })
}

#[tokio::test]
async fn echo_answers_its_payload() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    let module = compiled(&runtime, sample("echo")).await;
    for payload in random_payloads() {
        assert_eq!(answer(&host, &module, &payload).await, payload, "{} bytes", payload.len());
    }
}

#[tokio::test]
async fn sha256_answers_as_sha256sum_does() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    let module = compiled(&runtime, sample("sha256")).await;
    for payload in random_payloads() {
        let expected = format!("{}  -\n", hex::encode(merit_wasm::digest(&payload)));
        assert_eq!(answer(&host, &module, &payload).await, expected, "{} bytes", payload.len());
    }
}

#[tokio::test]
async fn wordcount_counts_as_wc_does() {
    let long = "some words \t and\nlines\r\n".repeat(5_000);
    for text in ["", "\n", "a", "a b", " a\x0bb\x0cc ", "one\ntwo  three\n\n", &long] {
        let separators = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];
        let words = text.split(separators).filter(|word| !word.is_empty()).count();
        let expected = format!("{} {words} {}\n", text.matches('\n').count(), text.len());
        let execution = call(sample("wordcount"), text.as_bytes(), |_| ()).await;
        assert_eq!(execution.output, expected, "{text:.20?}");
    }
}

#[tokio::test]
async fn mandelbrot_draws_the_asked_size_symmetrically() {
    let execution = call(sample("mandelbrot"), b"31 11 50", |_| ()).await;
    let text = String::from_utf8(execution.output.to_vec()).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 11);
    assert!(rows.iter().all(|row| row.len() == 31), "{text}");
    assert_eq!(rows[0], rows[10]);
    assert_eq!(rows[3], rows[7]);
    assert!(rows[5].contains('@') && rows[0].starts_with(' '), "{text}");
}

#[tokio::test]
async fn wait_waits_100_ms_unless_told() {
    let execution = call(sample("wait"), b"", |_| ()).await;
    assert_eq!(&execution.output[..], b"waited 100 ms\n");
    assert!(execution.usage.wall_us >= 100_000, "{:?}", execution.usage);
    let execution = call(sample("wait"), b"5\n", |_| ()).await;
    assert_eq!(&execution.output[..], b"waited 5 ms\n");
    assert!((5_000..90_000).contains(&execution.usage.wall_us), "{:?}", execution.usage);
}

#[test]
fn samples_are_small() {
    for name in NAMES {
        assert!(sample(name).len() < 8_192, "{name}: {} bytes", sample(name).len());
    }
}

fn rebuild(directory: &Path) {
    let build = Command::new(functions().join("build.sh")).arg(directory).output().unwrap();
    let said = String::from_utf8_lossy(&build.stderr);
    assert!(
        build.status.success(),
        "functions/build.sh failed; it needs the packages clang and lld (packages.txt): {said}"
    );
}

#[tokio::test]
async fn rebuilt_samples_answer_as_the_committed_ones() {
    let directory = tempfile::tempdir().unwrap();
    rebuild(directory.path());
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    for name in NAMES {
        let rebuilt = std::fs::read(directory.path().join(format!("{name}.wasm"))).unwrap();
        let rebuilt = compiled(&runtime, rebuilt.into()).await;
        let committed = compiled(&runtime, sample(name)).await;
        for payload in ["", "7", "30 20 100", "two words\n", "0"] {
            let new = run(&host, job(&rebuilt, payload)).await;
            let old = run(&host, job(&committed, payload)).await;
            assert_eq!((new.outcome, new.output, new.log), (old.outcome, old.output, old.log), "{name} {payload:?}");
        }
    }
}
