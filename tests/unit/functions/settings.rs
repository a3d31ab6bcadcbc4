//! Patches of what a command line names.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: SettingArguments,
}

#[track_caller]
fn check(arguments: &[&str], expected: Value) {
    let present = json!({"budgets": [{"period": "month", "amount": "20", "spent": "0", "held": "0"}]});
    let line = Line::try_parse_from([&["merit"], arguments].concat()).unwrap();
    assert_eq!(Value::Object(line.settings.patch(&present)), expected, "{arguments:?}");
}

#[test]
fn a_patch_has_what_is_named_alone() {
    check(&[], json!({}));
    check(&["--memory-mb", "256"], json!({"memory_mb": 256}));
    check(&["--providers", "a, b"], json!({"providers": ["a", "b"]}));
    check(&["--providers", "own"], json!({"providers": "own"}));
    check(&["--market", "a/wasm", "--market", "b/*"], json!({"markets": ["a/wasm", "b/*"]}));
    check(&["--max-cost", "0.5", "--only", "a,b"], json!({"limits": {"max_cost": "0.5", "only": ["a", "b"]}}));
    check(&["--public", "5"], json!({"public": {"requests_per_second": 5}}));
    check(
        &["--label", "team=media", "--env", "A=1=2"],
        json!({"labels": {"team": "media"}, "environment": {"A": "1=2"}}),
    );
}

#[test]
fn a_word_takes_a_setting_away() {
    check(&["--market", "any"], json!({"markets": null}));
    check(&["--max-concurrency", "none", "--public", "none"], json!({"max_concurrency": null, "public": null}));
    check(&["--max-price", "none", "--ignore", "none"], json!({"limits": {"max_price": null, "ignore": null}}));
    check(
        &["--remove-label", "team", "--remove-env", "A"],
        json!({"labels": {"team": null}, "environment": {"A": null}}),
    );
}

#[test]
fn a_budget_leaves_the_other_as_it_is() {
    let month = json!({"period": "month", "amount": "20"});
    check(&["--budget-day", "1.50"], json!({"budgets": [{"period": "day", "amount": "1.5"}, month]}));
    check(&["--budget-day", "none"], json!({"budgets": [month]}));
    check(&["--budget-month", "none"], json!({"budgets": []}));
}
