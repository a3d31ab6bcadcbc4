//! The sampling of the access log.

use super::*;

#[test]
fn a_share_is_a_share() {
    let sampled = |share| {
        let log = AccessLog::new(share);
        let request = axum::extract::Request::new(axum::body::Body::empty());
        (0..1000).filter(|_| log.note(&request).is_some_and(|entry| entry.is_sampled)).count()
    };
    assert_eq!([0.0, 0.01, 0.5, 1.0].map(sampled), [0, 10, 500, 1000]);
}
