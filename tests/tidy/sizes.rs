//! Sizes: the width of lines and the length of files.

use crate::findings::Finding;
use crate::tree::{SourceFile, Tree};

/// Widest line, in characters, as in rustfmt.toml.
const WIDTH: usize = 120;
/// Longest file, in lines; most should have a third of it.
const LENGTH: usize = 500;
/// Files of test vectors that are copied from outside as they are.
const VECTORS: [&str; 0] = [];

fn code(tree: &Tree) -> impl Iterator<Item = &SourceFile> {
    tree.files.iter().filter(|file| file.ends_with_one_of(&["rs", "ts", "svelte", "proto"]))
}

/// Lists the lines that are too wide; one with a URL may be.
pub(crate) fn wide_lines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in code(tree).filter(|file| !VECTORS.contains(&file.path.as_str())) {
        for (number, line) in file.lines() {
            let width = line.chars().count();
            if width > WIDTH && !line.contains("://") {
                findings.push(Finding::new(&file.path, number, format!("{width} characters")));
            }
        }
    }
    findings
}

/// Lists the files that are too long.
pub(crate) fn long_files(tree: &Tree) -> Vec<Finding> {
    let lengths = code(tree).map(|file| (file, file.lines().count()));
    let long = lengths.filter(|(_, length)| *length > LENGTH);
    long.map(|(file, length)| Finding::new(&file.path, length, format!("{length} lines"))).collect()
}

#[test]
fn only_lines_beyond_the_width_are_found() {
    let wide = |width: usize| wide_lines(&Tree::of(&[("a.rs", &"ä".repeat(width))])).len();
    assert_eq!((wide(WIDTH), wide(WIDTH + 1)), (0, 1));
}

#[test]
fn only_files_beyond_the_length_are_found() {
    let long = |length: usize| long_files(&Tree::of(&[("a.ts", &"a\n".repeat(length))])).len();
    assert_eq!((long(LENGTH), long(LENGTH + 1)), (0, 1));
}
