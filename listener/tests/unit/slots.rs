//! Slots of a port on a paused clock: the idlest connections make room.

use std::net::Ipv4Addr;

use super::*;

const THIS_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn slots(connections: usize, peer_connections: usize) -> Arc<Slots> {
    Slots::new(&Limits { connections, peer_connections, ..Limits::of_one_in(1) })
}

/// Takes slots of this machine, one after the other, 10 ms apart.
async fn take(slots: &Arc<Slots>, count: usize) -> Vec<Slot> {
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(slots.take(THIS_MACHINE).await.unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    taken
}

/// Waits for one more slot. Returns the numbers of the connections that were asked to make room, each of which ends.
async fn made_room(slots: &Arc<Slots>, mut open: Vec<Slot>) -> Vec<u64> {
    let ending = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if open.iter().any(|slot| slot.activity.closing.is_cancelled()) {
                return open
                    .extract_if(.., |slot| slot.activity.closing.is_cancelled())
                    .map(|slot| slot.number)
                    .collect();
            }
        }
    };
    let (next, ended) = tokio::join!(slots.take(THIS_MACHINE), ending);
    assert!(next.is_some());
    ended
}

#[tokio::test(start_paused = true)]
async fn the_one_that_is_idle_for_longest_makes_room() {
    let slots = slots(3, 3);
    let open = take(&slots, 3).await;
    for number in [0, 1, 2, 0] {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(open[number].activity.begin());
    }
    assert_eq!(made_room(&slots, open).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_asked_goes_before_others() {
    let slots = slots(3, 3);
    let open = take(&slots, 3).await;
    drop((open[0].activity.begin(), open[1].activity.begin()));
    tokio::time::sleep(FIRST_REQUEST_WITHIN).await;
    drop((open[0].activity.begin(), open[1].activity.begin()));
    assert_eq!(made_room(&slots, open).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_has_time_for_its_handshake() {
    let slots = slots(3, 3);
    let open = take(&slots, 3).await;
    drop(open[0].activity.begin());
    tokio::time::sleep(FIRST_REQUEST_WITHIN).await;
    drop(open[1].activity.begin());
    let newcomer = {
        drop(open);
        take(&slots, 1).await.remove(0)
    };
    let mut open = take(&slots, 2).await;
    drop(open[0].activity.begin());
    open.push(newcomer);
    assert_eq!(made_room(&slots, open).await, [4], "the idlest, as none is silent for long");
}

#[tokio::test(start_paused = true)]
async fn one_with_a_request_under_way_stays() {
    let slots = slots(2, 2);
    let open = take(&slots, 2).await;
    let (first, second) = (open[0].activity.begin(), open[1].activity.begin());
    let waiting = timeout(Duration::from_secs(60), slots.take(THIS_MACHINE)).await;
    assert!(waiting.is_err(), "both are busy");
    drop(second);
    assert_eq!(made_room(&slots, open).await, [2]);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_asked_again_while_it_closes_stops_nobody() {
    let slots = slots(2, 2);
    let mut open = take(&slots, 2).await;
    slots.close_idlest();
    let closing = open.iter().position(|slot| slot.activity.closing.is_cancelled()).unwrap();
    let closing = open.remove(closing);
    let _request = closing.activity.begin();
    assert_eq!(made_room(&slots, open).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_has_a_part_and_this_machine_all() {
    let slots = slots(4, 2);
    let one = slots.take(ELSEWHERE).await;
    let two = slots.take(ELSEWHERE).await;
    assert!(one.is_some() && two.is_some() && slots.take(ELSEWHERE).await.is_none());
    drop(two);
    assert!(slots.take(ELSEWHERE).await.is_some(), "what ended is given back");
    drop(one);
    assert_eq!(take(&slots, 4).await.len(), 4);
    assert!(slots.lock().by_peer.is_empty() && slots.lock().connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn idle_time_begins_with_the_end_of_the_last_request() {
    let activity = Arc::new(Activity::new(Instant::now()));
    let limit = Duration::from_secs(10);
    let request = activity.begin();
    assert!(timeout(limit * 5, activity.idle_for(limit)).await.is_err());
    drop(request);
    let since = Instant::now();
    activity.idle_for(limit).await;
    assert!((limit - Duration::from_millis(2)..limit * 2).contains(&since.elapsed()), "{:?}", since.elapsed());
}
