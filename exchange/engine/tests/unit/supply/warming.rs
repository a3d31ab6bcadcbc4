//! The bound on the warming revisions of one provider.

use super::*;

#[test]
fn one_more_replaces_the_first_to_end() {
    let at = Time::from_micros(1_000_000);
    let mut known = BTreeMap::new();
    for key in 0..REVISIONS_MAX {
        assert_eq!(enter(&mut known, key, Warming::new(at, 10 + key as u32)), []);
    }
    let gone = enter(&mut known, REVISIONS_MAX, Warming::new(at, 600));
    assert_eq!((gone, known.len()), (vec![(0, Warming::new(at, 10))], REVISIONS_MAX));
    let later = at.after_millis(20_000);
    let gone = enter(&mut known, 5, Warming::new(later, 1));
    assert_eq!(gone.iter().map(|(key, _)| *key).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
}
