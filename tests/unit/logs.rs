//! Levels of the log by target.

use tracing_subscriber::filter::LevelFilter;

use super::levels;

#[test]
fn a_level_alone_is_of_merits_own_crates() {
    let check = |text: &str, target: &str, level: LevelFilter, is_told: bool| {
        let level = level.into_level().unwrap();
        assert_eq!(levels(text).unwrap().would_enable(target, &level), is_told, "{text}: {level} of {target}");
    };
    check("info", "h2::codec", LevelFilter::INFO, true);
    check("debug", "merit_broker::edge", LevelFilter::DEBUG, true);
    check("debug", "h2::codec", LevelFilter::DEBUG, false);
    check("debug,h2=trace", "h2::codec", LevelFilter::TRACE, true);
    check("warn", "merit", LevelFilter::INFO, false);
    check("info", "wasmtime_wasi::p1", LevelFilter::INFO, false);
    check("info,wasmtime_wasi=info", "wasmtime_wasi::p1", LevelFilter::INFO, true);
}

#[test]
fn an_unknown_level_is_refused_with_those_there_are() {
    let refused = levels("info,h2=loud").unwrap_err();
    assert_eq!(refused, "`loud` is no level; error, warn, info, debug, trace or off");
}
