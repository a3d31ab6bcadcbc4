//! Tests of the kinds of standard input.

use std::fs::File;
use std::io::Write;

use super::*;

#[test]
fn a_pipe_or_a_file_is_meant_no_device() {
    let (read, _write) = std::io::pipe().unwrap();
    assert!(is_meant(&read) && is_meant(File::open("Cargo.toml").unwrap()));
    assert!(!is_meant(File::open("/dev/null").unwrap()));
    assert!(!is_meant(File::open(".").unwrap()));
}

#[test]
fn a_pipe_that_nobody_writes_is_not_waited_for() {
    let (read, mut write) = std::io::pipe().unwrap();
    assert!(!begins(&read, Duration::from_millis(1)).unwrap());
    write.write_all(b"x").unwrap();
    assert!(begins(&read, Duration::from_millis(1)).unwrap());
    let (read, write) = std::io::pipe().unwrap();
    drop(write);
    assert!(begins(&read, Duration::from_millis(1)).unwrap(), "its end is there");
}
