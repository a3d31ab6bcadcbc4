//! The peers at a small size: every book runs to the end of its load.

use std::time::Duration;

#[test]
fn every_book_runs_the_load() {
    let books = merit_peers::run(1, Duration::from_millis(10));
    assert_eq!(books.map(|(name, _)| name), ["Merit", "matchcore", "orderbook-rs"]);
    for (name, book) in books {
        assert!(book.operations > 0 && book.operations_per_second > 0.0, "{name}: {book:?}");
    }
}
