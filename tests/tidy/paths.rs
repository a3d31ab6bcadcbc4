//! Paths in documents: every link, and every path in backticks or in a tree, leads to a file or a folder.
//!
//! Reads README.md, CONTRIBUTING.md and docs; in decisions, which tell of the code as it was, the links alone.

use crate::findings::Finding;
use crate::tree::Tree;

/// Endings by which a word in backticks is a path even without a folder.
const ENDINGS: [&str; 11] = [".rs", ".ts", ".svelte", ".proto", ".md", ".toml", ".sh", ".mjs", ".py", ".yml", ".txt"];
/// Beginnings of paths that a build or a run makes.
const MADE: [&str; 5] = ["target/", "merit-data/", "broker/dashboard/dist", "fuzz/corpus", "fuzz/artifacts"];

/// Lists the paths that lead nowhere.
pub(crate) fn missing(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_document(&file.path)) {
        let mut is_fenced = false;
        for (number, line) in file.lines() {
            is_fenced ^= line.trim_start().starts_with("```");
            let mut check = |is_there: bool, path: &str| {
                if !is_there {
                    findings.push(Finding::new(&file.path, number, format!("`{path}` does not exist")));
                }
            };
            for link in links(line) {
                check(exists_from(tree, &file.path, link), link);
            }
            if !is_fenced && !file.path.starts_with("docs/decisions/") {
                line.split('`').skip(1).step_by(2).filter(|word| is_path(tree, word)).for_each(|word| {
                    check(exists(tree, word), word);
                });
            }
        }
    }
    findings
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && (!path.contains('/') || path.starts_with("docs/")) && path != "CHANGELOG.md"
}

/// Returns the targets of Markdown's links that are no URLs, without their fragments.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '/']));
    files.map(|target| target.split('#').next().unwrap_or_default()).filter(|target| !target.is_empty())
}

/// Takes a word for a path by its ending, or by a first part that is a folder of the root.
fn is_path(tree: &Tree, word: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    if !word.chars().all(plain) || word.starts_with(['/', '.', '-']) || word.contains("...") {
        return false;
    }
    let is_named = ENDINGS.iter().any(|ending| word.ends_with(ending));
    let is_below = word.split_once('/').is_some_and(|(first, _)| tree.all_paths.iter().any(|path| path == first));
    (is_named || is_below) && !MADE.iter().any(|made| word.starts_with(made))
}

/// Finds a path from the root, or as the end of one: `doors/headers.rs` is enough where the page says whose it is.
fn exists(tree: &Tree, word: &str) -> bool {
    let word = word.trim_end_matches('/');
    let first = word.split('/').next().unwrap_or(word);
    // A path that begins with a folder of the root begins there.
    let is_from_root = first != word && tree.all_paths.iter().any(|path| path == first);
    let end = format!("/{word}");
    tree.all_paths.iter().any(|path| path == word || !is_from_root && path.ends_with(&end))
}

fn exists_from(tree: &Tree, document: &str, link: &str) -> bool {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    path.is_empty() || MADE.iter().any(|made| path.starts_with(made)) || tree.all_paths.contains(&path)
}

#[cfg(test)]
fn check(text: &str, expected: &[&str]) {
    let tree = Tree::of(&[("docs/page.md", text), ("broker/src/doors/call.rs", ""), ("README.md", "")]);
    let found: Vec<String> = missing(&tree).into_iter().map(|finding| finding.text).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    check("`broker/src/doors` `doors/call.rs` `call.rs` [r](../README.md#a)", &[]);
    check("`broker/src/door`", &["`broker/src/door` does not exist"]);
    check("`auth.rs`", &["`auth.rs` does not exist"]);
    check("[r](README.md)", &["`README.md` does not exist"]);
}

#[test]
fn words_that_are_no_paths_are_left_alone() {
    check("`GET /v1/x.rs?`, `and/or`, `eu-west/wasm`, `target/release/merit`, [u](https://x.org/a.md)", &[]);
}
