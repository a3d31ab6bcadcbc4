//! `merit bench invoke` with the built binary.

use serde_json::Value;

use crate::process::merit;

#[tokio::test]
async fn the_invocation_bench_measures_calls_through_merit() {
    let arguments = ["bench", "invoke", "--connections", "1", "--seconds", "0.1", "--rounds", "1", "--output", "json"];
    let output = merit().args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let through_merit = rows.iter().find(|row| row["target"] == "merit").unwrap();
    assert!(through_merit["requests_per_second"].as_f64().unwrap() > 1.0, "{report:#}");
}
