//! The estimate of a compilation's end.

use super::*;

fn seconds(expected: u64, used: u64, passed: u64) -> u64 {
    let [expected, used, passed] = [expected, used, passed].map(Duration::from_secs);
    remaining(expected, used, passed).as_secs()
}

#[test]
fn the_estimate_follows_the_share_of_a_core() {
    assert_eq!(seconds(25, 0, 0), 25, "nothing is known of its speed");
    assert_eq!(seconds(25, 5, 5), 20);
    assert_eq!(seconds(25, 5, 50), 200, "it gets a tenth of a core");
    assert_eq!(seconds(25, 25, 25), 5, "a fifth more than expected");
    assert_eq!(seconds(25, 1, 10_000), 600, "ten minutes at most");
    assert_eq!(seconds(0, 0, 0), 1);
}

#[test]
fn the_time_of_a_process_grows_as_it_runs() {
    let before = cpu_time(std::process::id()).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while cpu_time(std::process::id()).unwrap() == before && Instant::now() < until {
        std::hint::black_box((0..100_000_u64).sum::<u64>());
    }
    assert!(cpu_time(std::process::id()).unwrap() > before);
}
