//! The sorted list in chunks beside a sorted set.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;

#[test]
fn orders_as_a_sorted_set_does_after_every_step() {
    for (seed, rates) in [(1, 3), (2, 1_000_000), (3, 40)] {
        let (mut chance, mut ranks, mut twin) = (Pcg64::seed_from_u64(seed), Ranks::default(), BTreeSet::new());
        for step in 0..6_000_u64 {
            let grow = step % 3_000 < 2_000;
            if chance.random_ratio(if grow { 3 } else { 1 }, 4) {
                let rate = chance.random_range(0..rates);
                let entry = (rate, chance.random_range(0..9), step);
                ranks.insert(entry);
                twin.insert(entry);
            } else if let Some(entry) = twin.iter().nth(chance.random_range(0..twin.len().max(1))).copied() {
                assert!(ranks.remove(entry) && twin.remove(&entry));
                assert!(!ranks.remove(entry), "seed {seed}");
            }
            assert_eq!((ranks.first(), ranks.is_empty()), (twin.first(), twin.is_empty()));
            if step % 50 == 0 {
                assert!(ranks.iter().eq(twin.iter()), "seed {seed}, step {step}");
                let rate = chance.random_range(0..=rates);
                let after = ranks.after(|entry| entry.0 < rate);
                assert!(after.eq(twin.iter().filter(|entry| entry.0 >= rate)), "seed {seed}");
            }
        }
    }
}
