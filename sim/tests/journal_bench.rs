//! The journal bench at a small size: it runs to its end and reports its sizes.

use merit_sim::journal_bench::{JournalBenchError, JournalBenchSettings, run};

fn settings() -> JournalBenchSettings {
    JournalBenchSettings { within: None, submitters: 4, burst: 32, seconds: 0.2, floor_seconds: 0.1, snapshots: true }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_measures_both_loads_the_floor_and_starts() {
    let report = run(&settings()).await.unwrap();
    for phase in [&report.entries, &report.calls] {
        assert!(phase.commands > 0 && phase.commands_per_batch >= 1.0, "{report:?}");
        assert!(phase.bytes_per_command > 10.0 && phase.durable_p99_us >= phase.durable_p50_us, "{report:?}");
    }
    assert!(report.starts.replay_seconds > 0.0 && report.starts.snapshot_seconds > 0.0, "{report:?}");
    assert!(report.commands_per_second > 0.0 && report.floor_records_per_second > 0.0, "{report:?}");
}

#[tokio::test]
async fn nothing_to_submit_is_refused() {
    let refused = run(&JournalBenchSettings { burst: 0, ..settings() }).await;
    assert!(matches!(refused, Err(JournalBenchError::Nothing)));
}
