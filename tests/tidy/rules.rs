//! One test a rule, over the whole work tree. A rule's own cases, which it must find, stand beside it.

use std::sync::LazyLock;

use crate::targets::{self, Target};
use crate::tree::Tree;
use crate::{absent, circles, comments, names, paths, sizes, trees};

/// The work tree, read once for all rules.
static TREE: LazyLock<Tree> = LazyLock::new(Tree::read);
static TARGETS: LazyLock<Vec<Target>> = LazyLock::new(|| targets::targets(&TREE));

#[test]
fn no_comment_begins_with_a_question_word() {
    TREE.report("question words", comments::questions(&TREE));
}

#[test]
fn a_type_name_stands_for_one_idea_in_a_crate() {
    TREE.report("type names", names::duplicates(&TREE, &TARGETS));
}

#[test]
fn no_name_is_a_word_that_the_glossary_refuses() {
    TREE.report("refused words", names::refused_words(&TREE, &TARGETS));
}

#[test]
fn test_names_have_at_most_ten_words() {
    TREE.report("test names", names::long_tests(&TREE));
}

#[test]
fn no_line_is_wider_than_120_characters() {
    TREE.report("wide lines", sizes::wide_lines(&TREE));
}

#[test]
fn no_file_is_longer_than_500_lines() {
    TREE.report("long files", sizes::long_files(&TREE));
}

#[test]
fn every_rust_file_has_a_header() {
    TREE.report("headers", comments::missing_headers(&TREE));
}

#[test]
fn only_parents_and_children_import_each_other() {
    TREE.report("import circles", circles::circles(&TARGETS));
}

#[test]
fn paths_in_documents_exist() {
    TREE.report("paths in documents", paths::missing(&TREE));
}

#[test]
fn engine_terms_and_doors_mention_nothing_they_must_not() {
    TREE.report("absences", absent::present(&TREE));
}

#[test]
fn trees_in_the_architecture_are_as_the_folders_are() {
    TREE.report("trees", trees::different(&TREE));
}
