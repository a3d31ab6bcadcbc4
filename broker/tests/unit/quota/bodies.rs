//! The pace and the room of bodies.

use futures_util::{StreamExt, stream};

use super::*;

fn body(parts: usize, bytes: usize) -> Body {
    let part = Bytes::from(vec![b'x'; bytes]);
    Body::from_stream(stream::iter((0..parts).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
}

/// Makes a body of parts that come one by one, `apart` from each other.
fn dripping(parts: usize, bytes: usize, apart: Duration) -> Body {
    let part = Bytes::from(vec![b'x'; bytes]);
    Body::from_stream(stream::iter(0..parts).then(move |_| {
        let part = part.clone();
        async move {
            tokio::time::sleep(apart).await;
            Ok::<_, std::io::Error>(part)
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_is_cut_a_slow_one_is_not() {
    let check = async |parts, bytes, apart, expected: Result<usize, u16>| {
        let began = Instant::now();
        let body = dripping(parts, bytes, Duration::from_secs(apart));
        let read = read(body, 1 << 20, Room::new(&of_callers(), Holder::Peer(None))).await;
        let read = read.map(|held| held.len()).map_err(|error| error.status().as_u16());
        assert_eq!(read, expected, "{bytes} bytes each {apart} s");
        began.elapsed()
    };
    assert!(check(1000, 1, 1, Err(408)).await < PAUSES_WITHIN * 2);
    assert!(check(1000, 1024, 1, Err(408)).await < PAUSES_WITHIN * 2);
    check(60, 16 << 10, 1, Ok(60 << 14)).await;
    check(3, 10, 9, Ok(30)).await;
    check(2, 10, 29, Err(408)).await;
    check(0, 0, 0, Ok(0)).await;
}

#[tokio::test]
async fn bodies_have_room_until_dropped_and_none_waits() {
    let quota = Shares::new(1_000_000, 1_500_000);
    let room = || Room::new(&quota, Holder::Peer(None));
    let buffer = crate::limits::BUFFERED_MAX_BYTES;
    let read = async |bytes| read_beginning(body(1, bytes), 6 << 20, buffer, room()).await;
    let (first, rest_of_first) = read(200_000).await.unwrap();
    let (second, rest_of_second) = read(700_000).await.unwrap();
    assert!(rest_of_first.is_none() && rest_of_second.is_some());
    let refused = read(200_000).await.unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.code.as_str(), refused.retry_after_s), (503, "overloaded", Some(1)));
    assert!(read(UNCOUNTED_MAX_BYTES).await.is_ok(), "small ones are not counted");
    drop(first.clone());
    assert!(read(200_000).await.is_err(), "a clone shares it");
    drop(first);
    assert!(read(200_000).await.is_ok());
    drop(second);
}
