//! One process per directory.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::*;
use crate::storage::LockError;

const HOLD: &str = "MERIT_TEST_HOLD_JOURNAL";
const HELD: &str = "the journal is held";

fn holder(place: &Place) -> Option<u32> {
    match place.refusal() {
        OpenError::Lock(LockError::Held { process, .. }) => process,
        other => panic!("{other}"),
    }
}

#[test]
fn a_second_open_is_refused_until_the_first_is_dropped() {
    let place = Place::with(&some_batches(3));
    let opened = place.open();
    assert_eq!(holder(&place), Some(std::process::id()));
    let text = place.refusal().to_string();
    assert!(text.contains(&place.storage().to_string()), "{text}");
    assert!(text.contains("another merit process"), "{text}");
    assert!(place.verify().in_use);
    drop(opened);
    assert!(!place.verify().in_use);
    assert_eq!(place.open().recovery.cut, None);
}

#[test]
fn a_second_process_is_told_the_holder_until_it_dies() {
    // This test starts itself as the process that holds the journal.
    if let Some(path) = env::var_os(HOLD) {
        let journal = Journal::open(Directory::existing(path), SMALL, |_, _| Ok(())).unwrap();
        println!("\n{HELD}");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        drop(journal);
        return;
    }
    let place = Place::with(&some_batches(3));
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("tests::lock::a_second_process_is_told_the_holder_until_it_dies")
        .env(HOLD, place.directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == HELD));
    assert_eq!(holder(&place), Some(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.open().records, flatten(&some_batches(3)));
}
