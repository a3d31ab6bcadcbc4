//! Shares per holder and for all.

use super::*;

#[test]
fn each_has_its_bound_and_gets_it_back() {
    let shares = Shares::new(10, 100);
    let first = shares.take(1, 5).unwrap();
    let mut second = shares.take(1, 4).unwrap();
    assert_eq!(shares.take(1, 2).unwrap_err(), Full::Each);
    assert_eq!((second.grow(1), second.grow(1)), (Ok(()), Err(Full::Each)));
    assert!(shares.take(2, 10).is_ok(), "another has its own");
    drop(first);
    assert!(shares.take(1, 5).is_ok());
    drop(second);
    assert!(shares.lock().by_each.is_empty() && shares.lock().all == 0, "nobody is kept who holds nothing");
}

#[test]
fn all_together_have_a_bound() {
    let shares = Shares::new(10, 15);
    let _first = shares.take(1, 10).unwrap();
    let mut second = shares.take(2, 5).unwrap();
    assert_eq!((second.grow(1), shares.take(3, 1).unwrap_err()), (Err(Full::All), Full::All));
}
