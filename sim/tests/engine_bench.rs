//! The engine bench at a small size: it runs to its end and reports its sizes.

use merit_sim::engine_bench::{EngineBenchError, Settings, run};

fn settings() -> Settings {
    Settings {
        seed: 1,
        offers: 200,
        providers: 20,
        functions: 10,
        seconds: 0.3,
        match_offers: 100,
        match_providers: 10,
    }
}

#[test]
fn it_measures_every_command_and_every_shape_of_match() {
    let report = run(&settings()).unwrap();
    assert_eq!((report.offers, report.providers, report.markets), (200, 20, 3));
    assert_eq!(report.kinds.iter().map(|kind| kind.commands).sum::<u64>(), report.commands);
    for kind in &report.kinds {
        assert!(kind.commands > 0 && kind.p50_ns > 0 && kind.p999_ns >= kind.p50_ns, "{kind:?}");
    }
    let share = |name: &str| {
        let kind = report.kinds.iter().find(|kind| kind.name == name).unwrap();
        kind.commands as f64 / report.commands as f64
    };
    for (name, expected) in [("quote", 0.45), ("acquire", 0.225), ("settle", 0.225), ("cancel", 0.1)] {
        assert!((share(name) - expected).abs() < 0.05, "{name}: {}", share(name));
    }
    for latency in [report.matches.all, report.matches.rare, report.matches.spread] {
        assert!(latency.matches > 0 && latency.p999_ns >= latency.p50_ns, "{latency:?}");
    }
    let book = report.plain_book;
    assert!(book.operations > 0 && book.operations_per_second > 0.0, "{book:?}");
}

#[test]
fn fewer_offers_than_ladders_of_the_providers_are_refused() {
    let refused = run(&Settings { offers: 10, ..settings() });
    assert!(matches!(refused, Err(EngineBenchError::Size { .. })));
    let refused = run(&Settings { functions: 0, ..settings() });
    assert!(matches!(refused, Err(EngineBenchError::Nothing)));
}
