//! `merit bench invoke | tenants` with the built binary.

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

#[tokio::test]
async fn the_tenants_bench_measures_a_good_tenant_beside_bad_ones() {
    let arguments = ["bench", "tenants", "--seconds", "1", "--rounds", "1", "--output", "json"];
    let output = merit().args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for phase in ["alone", "attacked"] {
        assert_eq!(report[phase]["calls"], 50, "{report:#}");
        assert!(report[phase]["success_percent"].as_f64().unwrap() > 0.0, "{report:#}");
    }
    let answered = |deed: &&Value| deed["answers"].as_array().unwrap().iter().any(|answer| answer[0] != "broken");
    assert!(report["deeds"].as_array().unwrap().iter().filter(answered).count() > 3, "{report:#}");
}
