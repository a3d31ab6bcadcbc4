//! Tidy: the rules of the house that no linter knows, read from the text of every source file.
//!
//! Owns the words, sizes and arrows of the code; never its behaviour. One test a rule: it fails with `path:line: text`
//! for each finding, and prints the counts of each package (`cargo test -p merit-tidy -- --nocapture`).
//! `MERIT_TIDY_ROOT` reads another work tree, `MERIT_TIDY_ONLY=broker/src,terms` keeps the findings of these paths.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod absent;
mod circles;
mod comments;
mod findings;
mod lexer;
mod names;
mod paths;
mod rules;
mod sizes;
mod syntax;
mod targets;
mod tree;
mod trees;
