//! The work that is refused at each free space.

use super::*;

fn check(free: u64, before: Option<Growth>, expected: Option<Growth>) {
    assert_eq!(DiskReport::judge(free, 800, before).refused, expected, "{free} free, before {before:?}");
}

#[test]
fn uploads_are_refused_first_then_definitions_then_calls() {
    for (free, expected) in [
        (2_400, None),
        (2_399, Some(Growth::Uploads)),
        (1_600, Some(Growth::Uploads)),
        (1_599, Some(Growth::Definitions)),
        (800, Some(Growth::Definitions)),
        (799, Some(Growth::Calls)),
        (0, Some(Growth::Calls)),
    ] {
        check(free, None, expected);
    }
}

#[test]
fn what_was_refused_is_taken_again_with_room_to_spare() {
    check(800, Some(Growth::Calls), Some(Growth::Calls));
    check(899, Some(Growth::Calls), Some(Growth::Calls));
    check(900, Some(Growth::Calls), Some(Growth::Definitions));
    check(1_600, Some(Growth::Definitions), Some(Growth::Definitions));
    check(1_700, Some(Growth::Definitions), Some(Growth::Uploads));
    check(2_500, Some(Growth::Uploads), None);
    check(1_600, Some(Growth::Uploads), Some(Growth::Uploads));
}

#[test]
fn a_real_disk_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(DiskSpace::of(directory.path(), 0).check(Growth::Uploads), Ok(()));
    let full = DiskSpace::of(directory.path(), u64::MAX / 4);
    assert!(full.check(Growth::Calls).unwrap_err().to_string().contains("takes no calls"));
}
