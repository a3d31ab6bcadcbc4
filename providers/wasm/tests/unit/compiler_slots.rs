//! Compiler slots that several processes share.

use futures_util::FutureExt;
use tempfile::tempdir;

use super::*;

#[tokio::test]
async fn processes_that_share_a_folder_share_its_slots() {
    let directory = tempdir().unwrap();
    let [one, other, third] = [(); 3].map(|()| CompilerSlots::new(Some(directory.path()), 2));
    let held = [one.take("a").await, other.take("b").await];
    assert!(third.take("c").now_or_never().is_none());
    drop(held);
    assert!(third.take("c").now_or_never().is_some());
}

#[tokio::test]
async fn one_account_has_half_of_the_slots_of_all_processes() {
    let directory = tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| CompilerSlots::new(Some(directory.path()), 2));
    let _held = one.take("bad").await;
    assert!(other.take("bad").now_or_never().is_none());
    assert!(other.take("good").now_or_never().is_some());
}

#[tokio::test]
async fn a_process_that_had_a_slot_lets_others_go_first() {
    let directory = tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| CompilerSlots::new(Some(directory.path()), 1));
    drop(one.take("a").await);
    assert!(one.take("a").now_or_never().is_none());
    drop(other.take("b").await);
    one.take("a").await;
}

#[tokio::test]
async fn without_a_folder_nobody_waits_for_others() {
    for directory in [None, Some(Path::new("/proc/nowhere"))] {
        let slots = CompilerSlots::new(directory, 1);
        let _held = slots.take("a").await;
        assert!(slots.take("a").now_or_never().is_some());
    }
}
