//! Streams of shared connections.

use super::*;

#[test]
fn streams_of_one_connection_have_a_bound() {
    let (shared, server) = (SharedConnections::default(), Authority::from_static("functions.example:443"));
    assert!(shared.begin(&server).unwrap().is_none(), "nobody knows");
    shared.learn(&server, Version::HTTP_2);
    let mut places: Vec<_> = (0..STREAMS_MAX).map(|_| shared.begin(&server).unwrap().unwrap()).collect();
    assert!(shared.begin(&server).is_err());
    assert!(shared.begin(&Authority::from_static("elsewhere.example:443")).unwrap().is_none());
    places.pop();
    assert!(shared.begin(&server).unwrap().is_some(), "a place that is given back is free");
    shared.learn(&server, Version::HTTP_11);
    assert!(shared.begin(&server).unwrap().is_none(), "it changed its mind");
}
