//! Estimates follow their settlements, resist outliers where a median is asked for, age, and stay bounded.

use merit_terms::Money;

use super::*;

fn saw(wall_us: u64, at_s: u32) -> Observation {
    let usage = Usage { wall_us, cpu_us: wall_us, ..Usage::default() };
    Observation { usage, vcpus_milli: 1000, at_s, reported: true, is_whole: true, succeeded: Some(true) }
}

fn failed(wall_us: u64) -> Observation {
    Observation { is_whole: false, succeeded: Some(false), ..saw(wall_us, 0) }
}

fn predicted(learned: &Learned, provider: u32) -> Predicted {
    learned.predict(learned.reference().as_ref(), ProviderId::new(provider), Ratio::default())
}

fn taught(walls: &[u64]) -> Learned {
    let mut learned = Learned::default();
    for (provider, wall) in (0..).map(ProviderId::new).zip(walls) {
        learned.learn(provider, &saw(*wall, 0));
    }
    learned
}

fn teach(learned: &mut Learned, provider: u32, times: usize, seen: &Observation) {
    for _ in 0..times {
        learned.learn(ProviderId::new(provider), seen);
    }
}

#[test]
fn both_wall_times_follow_a_drift() {
    let mut learned = taught(&[1_000]);
    teach(&mut learned, 0, 80, &saw(8_000, 0));
    let Predicted { wall_us, usage, .. } = predicted(&learned, 0);
    assert!((7_500..8_200).contains(&wall_us) && (7_500..8_200).contains(&usage.wall_us), "{wall_us} {usage:?}");
}

#[test]
fn an_outlier_moves_the_mean_more_than_the_median() {
    let mut learned = taught(&[1_000]);
    teach(&mut learned, 0, 20, &saw(1_000, 0));
    teach(&mut learned, 0, 1, &saw(161_000, 0));
    let Predicted { wall_us, usage, .. } = predicted(&learned, 0);
    assert!((1_000..=1_100).contains(&wall_us), "{wall_us}");
    assert!((10_700..11_300).contains(&usage.wall_us), "{usage:?}");
}

#[test]
fn an_old_estimate_decays_to_the_median_never_past_it() {
    let mut learned = taught(&[8_000, 1_000, 1_000, 1_000]);
    let mut before = predicted(&learned, 0).usage.wall_us;
    for hour in 1..20 {
        (1..4).for_each(|provider| teach(&mut learned, provider, 1, &saw(1_000, hour * 3600)));
        let now = predicted(&learned, 0).usage.wall_us;
        assert!((950..=before).contains(&now), "{now} after {before}");
        before = now;
    }
    assert!(before < 1_100, "{before}");
}

#[test]
fn failing_more_than_the_best_takes_more_calls() {
    let mut learned = taught(&[1_000, 1_000]);
    let calls = |learned: &Learned| predicted(learned, 0).calls;
    teach(&mut learned, 0, 1, &failed(1));
    assert_eq!(calls(&learned).success_percent(), 50);
    teach(&mut learned, 0, 9, &failed(1));
    assert_eq!(calls(&learned).bill(Money::from_picodollars(1).unwrap()), Money::MAX);
    assert_eq!(predicted(&learned, 0).usage.wall_us, predicted(&learned, 1).usage.wall_us, "a failure teaches no time");
    teach(&mut learned, 1, 30, &failed(1));
    assert_eq!(calls(&learned), CallsPerAnswer::ONE, "a function that fails everywhere changes nothing");
}

#[test]
fn failures_teach_until_a_call_succeeds() {
    let mut learned = Learned::default();
    teach(&mut learned, 0, 3, &failed(64));
    assert_eq!(predicted(&learned, 0).usage.wall_us, 64);
    teach(&mut learned, 1, 1, &saw(2_000, 0));
    let [failing, answering] = [0, 1].map(|provider| predicted(&learned, provider));
    assert_eq!(failing.usage, answering.usage);
    assert!(failing.calls.success_percent() < 50, "{failing:?}");
}

#[test]
fn the_amount_paid_corrects_a_prediction_far_from_it() {
    let mut learned = taught(&[1_000]);
    let mut pay = |paid| {
        teach(&mut learned, 0, 64, &saw(1_000, 0));
        (0..400).for_each(|_| learned.learn_paid(ProviderId::new(0), |_| Some(paid)));
        (predicted(&learned, 0).paid_eighths, learned.at_least(1_000).paid_eighths)
    };
    assert_eq!(pay(1_200), (8, 8));
    assert_eq!(pay(2_048), (16, 8));
    assert_eq!(pay(700), (6, 4));
    assert_eq!(pay(0), (4, 4));
}

#[test]
fn unreported_cpu_is_not_learned_of_the_revision() {
    let mut learned = Learned::default();
    teach(&mut learned, 0, 1, &Observation { reported: false, ..saw(9_000, 0) });
    assert_eq!((learned.cpu_us(), predicted(&learned, 0).source), (0, Source::Observed));
    teach(&mut learned, 1, 1, &saw(500, 0));
    assert_eq!(learned.cpu_us(), 500);
}

#[test]
fn beyond_the_most_pairs_the_oldest_makes_room() {
    let walls: Vec<u64> = (0..PAIRS_MAX as u64 + 10).map(|i| 1_000 + i).collect();
    let learned = taught(&walls);
    assert_eq!((learned.fastest().len(), learned.providers().count() as usize), (PAIRS_MAX, PAIRS_MAX));
    assert!(!learned.providers().has(9) && learned.providers().has(10));
    assert_eq!(learned.oldest_first().count(), PAIRS_MAX);
    assert!(learned.fastest().is_sorted());
}

#[test]
fn a_pair_takes_32_bytes() {
    assert_eq!(size_of::<Pair>(), 32);
}
