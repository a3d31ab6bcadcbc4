//! Trees in docs/ARCHITECTURE.md: each is as the folder is.
//!
//! A tree begins with a line whose first word is a folder, such as `broker/src/`, and goes on while lines are
//! indented more. Every word of it that ends with `.rs` or `/` is below that folder, and every file and folder right
//! in it has its word, but for `lib.rs`, `main.rs` and `mod.rs`.

use crate::findings::Finding;
use crate::tree::{SourceFile, Tree};

const PAGE: &str = "docs/ARCHITECTURE.md";
const ROOTS: [&str; 3] = ["lib.rs", "main.rs", "mod.rs"];
/// Folders whose tree the page must have.
const DRAWN: [&str; 2] = ["broker/src", "exchange/engine/src"];

/// A tree as the page has it: its folder, the line where it begins, and its words with their lines.
struct Drawn<'a> {
    folder: &'a str,
    line: usize,
    words: Vec<(usize, &'a str)>,
}

/// Lists the words that lead nowhere, and the files and folders without a word.
pub(crate) fn different(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let all = tree.file(PAGE).map(|page| trees(tree, page)).unwrap_or_default();
    for folder in DRAWN.iter().filter(|folder| !all.iter().any(|drawn| drawn.folder == **folder)) {
        findings.push(Finding::new(PAGE, 1, format!("there is no tree of {folder}/")));
    }
    for drawn in all {
        let below = format!("{}/", drawn.folder);
        let inside: Vec<&str> = tree.all_paths.iter().filter_map(|path| path.strip_prefix(&below)).collect();
        for (line, word) in &drawn.words {
            let name = word.trim_end_matches('/');
            let is_there = inside.iter().any(|path| *path == name || path.ends_with(&format!("/{name}")));
            if !is_there {
                findings.push(Finding::new(PAGE, *line, format!("`{word}` is not in {below}")));
            }
        }
        for path in inside.iter().filter(|path| !path.contains('/') && !ROOTS.contains(path)) {
            if !drawn.words.iter().any(|(_, word)| word.trim_end_matches('/') == *path) {
                findings.push(Finding::new(PAGE, drawn.line, format!("the tree lacks {below}{path}")));
            }
        }
    }
    findings
}

fn trees<'a>(tree: &Tree, page: &'a SourceFile) -> Vec<Drawn<'a>> {
    let mut trees: Vec<Drawn<'a>> = Vec::new();
    let mut root_indent = None;
    for (number, line) in page.lines() {
        let indent = line.len() - line.trim_start().len();
        let first = line.split_whitespace().next().unwrap_or_default();
        let folder = first.strip_suffix('/').filter(|folder| folder.contains('/'));
        if let Some(folder) = folder.filter(|folder| tree.all_paths.iter().any(|path| path == folder)) {
            trees.push(Drawn { folder, line: number, words: Vec::new() });
            root_indent = Some(indent);
        } else if root_indent.is_some_and(|root| indent > root)
            && let Some(drawn) = trees.last_mut()
        {
            let words = line.split_whitespace().map(|word| word.trim_matches([',', ';', '(', ')']));
            drawn.words.extend(words.filter(|word| is_path(word)).map(|word| (number, word)));
        } else {
            root_indent = None;
        }
    }
    trees
}

fn is_path(word: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_./".contains(letter);
    (word.ends_with(".rs") || word.ends_with('/')) && word.len() > 3 && word.chars().all(plain)
}

#[cfg(test)]
fn check(page: &str, expected: &[&str]) {
    let files = ["broker/src/lib.rs", "broker/src/routes.rs", "broker/src/doors/call.rs", "exchange/engine/src/lib.rs"];
    let page = format!("{page}\n    exchange/engine/src/\n");
    let tree = Tree::of(&[&files.map(|path| (path, ""))[..], &[(PAGE, page.as_str())]].concat());
    let found: Vec<String> = different(&tree).into_iter().map(|finding| finding.text).collect();
    assert_eq!(found, expected, "{page}");
}

#[test]
fn a_tree_that_is_the_folder_has_no_findings() {
    check("text\n\n    broker/src/\n      routes.rs   doors/  call.rs, (call)\n\n`x.rs` in text", &[]);
}

#[test]
fn a_folder_without_a_tree_is_found() {
    check("text", &["there is no tree of broker/src/"]);
}

#[test]
fn words_that_a_tree_lacks_or_invents_are_found() {
    check("    broker/src/\n      doors/\n", &["the tree lacks broker/src/routes.rs"]);
    check("    broker/src/\n      doors/ routes.rs edge/\n", &["`edge/` is not in broker/src/"]);
}
