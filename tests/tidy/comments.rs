//! The first words of comments, and the headers of files.

use crate::findings::Finding;
use crate::tree::{SourceFile, Tree};

/// Words that begin no line of a doc comment: what follows would be a clause in a noun's place.
const NEVER: [&str; 9] = ["What", "Who", "Whose", "Whom", "Whether", "Those", "So many", "The same", "So much"];
/// Words that begin no doc comment; inside one they may begin a sentence.
const NOT_FIRST: [&str; 6] = ["How", "Which", "Where", "When", "Why", "That"];

/// Lists the comments that begin with a question word.
pub(crate) fn questions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.ends_with_one_of(&["rs", "ts", "svelte", "proto"])) {
        let mut is_first = true;
        for (number, line) in file.lines() {
            let Some(comment) = comment(file, line) else {
                is_first = true;
                continue;
            };
            if begins(comment, &NEVER) || (is_first && begins(comment, &NOT_FIRST)) {
                findings.push(Finding::new(&file.path, number, line.trim()));
            }
            is_first = comment.is_empty();
        }
    }
    findings
}

/// Returns the text of a line of a doc comment; outside of Rust every comment documents.
fn comment<'a>(file: &SourceFile, line: &'a str) -> Option<&'a str> {
    let line = line.trim_start();
    let marks: &[&str] = if file.ends_with_one_of(&["rs"]) { &["///", "//!"] } else { &["/**", "//", "* ", "<!--"] };
    marks.iter().find_map(|mark| line.strip_prefix(mark)).map(str::trim_start)
}

fn begins(comment: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        let rest = comment.strip_prefix(word);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    })
}

/// Lists the Rust files that do not begin with a `//!` header; a file of one `#[path]` test may, too, begin with `use`.
pub(crate) fn missing_headers(tree: &Tree) -> Vec<Finding> {
    let lacks = |file: &&SourceFile| !file.text.starts_with("//!");
    tree.rust().filter(lacks).map(|file| Finding::new(&file.path, 1, "no header `//! ...`")).collect()
}

#[cfg(test)]
fn check(path: &str, text: &str, lines: &[usize]) {
    let found: Vec<usize> = questions(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect();
    assert_eq!(found, lines, "{path}: {text}");
}

#[test]
fn a_question_word_begins_no_line_of_a_doc_comment() {
    check("a.rs", "/// What waits.\nfn a() {}\n    //! The same as b.\n", &[1, 3]);
    check("a.rs", "/// Waits.\n/// Whose call it is.\n// What is no doc.\n/// Whatever waits.\n", &[2]);
    check("a.ts", "/** Who calls. */\n// Those that wait.\n", &[1, 2]);
    check("a.proto", "// So many calls.\n", &[1]);
}

#[test]
fn how_and_when_begin_no_doc_comment() {
    check("a.rs", "/// How long it waits.\n", &[1]);
    check("a.rs", "/// Waits.\n/// When it is over, it ends.\nfn a() {}\n/// When it is over.\n", &[4]);
}

#[test]
fn a_file_without_a_header_is_found() {
    assert_eq!(missing_headers(&Tree::of(&[("a.rs", "//! A.\n"), ("b.rs", "use a;\n")])).len(), 1);
}
