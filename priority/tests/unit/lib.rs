//! Priorities of new threads, as the kernel tells them.

use super::*;

const ALL: [Priority; 5] =
    [Priority::Serving, Priority::ShortGuest, Priority::LongGuest, Priority::Background, Priority::Idle];

/// Returns the attributes of a new thread before and after it set these priorities.
fn on_a_thread(priorities: &[Priority]) -> [libc::sched_attr; 2] {
    let work = || {
        let before = own_attributes().unwrap();
        priorities.iter().for_each(|priority| set(*priority).unwrap());
        [before, own_attributes().unwrap()]
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

fn slice(attributes: &libc::sched_attr) -> Duration {
    Duration::from_nanos(attributes.sched_runtime)
}

#[test]
fn less_urgent_work_has_a_longer_slice() {
    assert!(ALL.is_sorted_by_key(|priority| (priority.nice(), priority.slice())));
    assert!(ALL[..4].windows(2).all(|pair| pair[0].slice() < pair[1].slice()));
}

#[test]
fn a_thread_gets_what_its_priority_says() {
    for priority in ALL {
        let [before, after] = on_a_thread(&[Priority::Serving, priority]);
        assert_eq!(after.sched_nice, before.sched_nice + priority.nice(), "{priority:?}");
        let policy = if priority == Priority::Idle { SCHED_IDLE } else { before.sched_policy };
        assert_eq!(after.sched_policy, policy, "{priority:?}");
        // Kernels before 6.12 have no slices.
        let slice = slice(&after);
        assert!(slice.is_zero() || slice == priority.slice(), "{slice:?} of {priority:?}");
    }
}

#[test]
fn slices_get_shorter_again_nice_values_stay() {
    let [before, after] = on_a_thread(&[Priority::Background, Priority::ShortGuest]);
    assert_eq!(after.sched_nice, before.sched_nice + Priority::Background.nice());
    let slice = slice(&after);
    assert!(slice.is_zero() || slice == Priority::ShortGuest.slice(), "{slice:?}");
}
