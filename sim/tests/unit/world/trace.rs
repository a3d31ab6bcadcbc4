//! The committed trace, and draws from it.

use rand::SeedableRng;

use super::*;

#[test]
fn the_sample_has_what_its_provenance_says() {
    let functions = read().unwrap();
    assert_eq!(functions.len(), 250);
    let arrivals: u32 = functions.iter().flat_map(|function| &function.arrivals).sum();
    assert_eq!(arrivals, 567_403);
    let names: std::collections::HashSet<_> = functions.iter().map(|function| &function.name).collect();
    assert_eq!(names.len(), 250, "a shortened hash names two functions");
}

#[test]
fn draws_stay_within_the_trace_and_keep_its_median() {
    let functions = read().unwrap();
    let busiest = functions.iter().max_by_key(|function| function.arrivals.iter().sum::<u32>()).unwrap();
    let mut chance = Pcg64::seed_from_u64(1);
    let mut drawn: Vec<u64> = (0..10_000).map(|_| busiest.draw_us(&mut chance)).collect();
    drawn.sort_unstable();
    let ms = busiest.durations_ms;
    assert!(drawn[0] >= (ms[0] * 1000.0) as u64 && drawn[9_999] <= (ms[6] * 1000.0) as u64);
    let median = drawn[5_000] as f64 / 1000.0 / ms[3];
    assert!((0.97..1.03).contains(&median), "{median}");
}
