//! Names: types that stand for two ideas, words that the glossary refuses, and long names of tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::Finding;
use crate::targets::Target;
use crate::tree::Tree;

/// Names that several modules of a crate share by design: package, name, reason.
const SHARED: [(&str, &str, &str); 2] =
    [("", "Arguments", "those of each subcommand, in its own file"), ("", "Command", "the subcommands of a command")];
/// Terms of the field that hold a refused word.
const TERMS: [&str; 3] = ["market_data", "MarketData", "DataDir"];

/// Most words of a test's name.
const TEST_WORDS: usize = 10;

/// Lists the type names that more than one module of a crate defines.
pub(crate) fn duplicates(tree: &Tree, targets: &[Target]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in targets {
        let package = tree.package_of(&target.root);
        let mut places: BTreeMap<&str, BTreeMap<(&str, Vec<String>), usize>> = BTreeMap::new();
        for module in target.modules.values() {
            for item in &module.facts.types {
                if target.is_test || !(module.is_test || item.is_test) {
                    let place = (module.file.as_str(), item.within.clone());
                    places.entry(&item.name).or_default().entry(place).or_insert(item.line);
                }
            }
        }
        for (name, places) in places {
            let is_shared = SHARED.iter().any(|shared| (shared.0, shared.1) == (package, name));
            if places.len() > 1 && !is_shared {
                let all: Vec<String> = places.iter().map(|((file, _), line)| format!("{file}:{line}")).collect();
                let text = format!("{name} is defined {} times: {}", places.len(), all.join(", "));
                findings.push(first_asked_for(tree, &places, &text));
            }
        }
    }
    findings
}

fn first_asked_for(tree: &Tree, places: &BTreeMap<(&str, Vec<String>), usize>, text: &str) -> Finding {
    let mut all = places.iter().map(|((file, _), line)| Finding::new(file, *line, text));
    let first = all.clone().next();
    all.find(|finding| tree.is_asked_for(&finding.path)).or(first).unwrap_or_else(|| Finding::new("", 0, text))
}

/// Lists the types, modules and folders of code that are named by a word of the glossary's section "Not".
pub(crate) fn refused_words(tree: &Tree, targets: &[Target]) -> Vec<Finding> {
    let words = glossary_words(tree);
    assert!(!words.is_empty(), "docs/GLOSSARY.md has no section `## Not` with words in backticks");
    let mut findings = Vec::new();
    let mut check = |path: &str, line: usize, name: &str| {
        for word in words_of(name) {
            let is_term = TERMS.iter().any(|term| name.contains(term));
            if !is_term && (words.contains(word.strip_suffix('s').unwrap_or(&word)) || words.contains(&word)) {
                findings.push(Finding::new(path, line, format!("`{name}` is named by the refused word `{word}`")));
            }
        }
    };
    for target in targets {
        for module in target.modules.values() {
            module.facts.types.iter().for_each(|item| check(&module.file, item.line, &item.name));
            module.facts.modules.iter().for_each(|item| check(&module.file, 1, &item.name));
        }
    }
    for file in tree.files.iter().filter(|file| file.ends_with_one_of(&["rs", "ts", "svelte", "proto"])) {
        file.path.split('/').for_each(|part| check(&file.path, 1, part.split('.').next().unwrap_or_default()));
    }
    findings
}

/// Returns the words in backticks of the glossary's section `## Not`.
fn glossary_words(tree: &Tree) -> BTreeSet<String> {
    let glossary = tree.file("docs/GLOSSARY.md").map_or("", |file| &file.text);
    let section = glossary.split("\n## ").find(|section| section.starts_with("Not\n")).unwrap_or_default();
    section.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Splits a name at `_`, `-` and capitals, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter == '-' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' && letter != '-' {
            words.iter_mut().rev().take(1).for_each(|word| word.extend(letter.to_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Lists the tests, of Rust and of the page, whose names have more than ten words.
pub(crate) fn long_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for test in crate::syntax::facts(&file.text).tests {
            let count = test.name.split('_').filter(|word| !word.is_empty()).count();
            if count > TEST_WORDS {
                findings.push(Finding::new(&file.path, test.line, format!("{count} words: {}", test.name)));
            }
        }
    }
    for file in tree.files.iter().filter(|file| file.path.ends_with(".test.ts")) {
        for (number, line) in file.lines() {
            let call = ["test(", "it("].iter().find_map(|call| line.trim_start().strip_prefix(call));
            let name = call.and_then(|rest| rest.split(['"', '\'', '`']).nth(1)).unwrap_or_default();
            let count = name.split_whitespace().count();
            if count > TEST_WORDS {
                findings.push(Finding::new(&file.path, number, format!("{count} words: {name}")));
            }
        }
    }
    findings
}

#[cfg(test)]
use crate::targets::targets;

#[cfg(test)]
fn crate_of(a: &'static str, b: &'static str) -> Tree {
    let glossary = "# Glossary\n\n## Not\n\n`manager`, `data`\n";
    let root = "mod a; mod b;";
    Tree::of(&[
        ("Cargo.toml", ""),
        ("docs/GLOSSARY.md", glossary),
        ("src/lib.rs", root),
        ("src/a.rs", a),
        ("src/b.rs", b),
    ])
}

#[cfg(test)]
fn duplicates_of(tree: &Tree) -> Vec<Finding> {
    duplicates(tree, &targets(tree))
}

#[test]
fn a_name_for_two_types_is_found_once() {
    let found =
        duplicates_of(&crate_of("struct Call;", "enum Call {} struct Other; impl T for Call { type Other = u8; }"));
    assert_eq!(
        found.iter().map(Finding::to_string).collect::<Vec<_>>(),
        ["src/a.rs:1: Call is defined 2 times: src/a.rs:1, src/b.rs:1"]
    );
    assert!(duplicates_of(&crate_of("struct Call;", "#[cfg(test)] mod tests { struct Call; }")).is_empty());
}

#[test]
fn a_refused_word_is_found_in_any_name() {
    let tree = crate_of("struct CallManagers;", "mod data_of_calls {} struct Metadata;");
    let found = refused_words(&tree, &targets(&tree));
    assert_eq!(
        found.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>(),
        [
            "`CallManagers` is named by the refused word `managers`",
            "`data_of_calls` is named by the refused word `data`"
        ]
    );
}

#[test]
fn a_test_name_of_eleven_words_is_found() {
    let ten = "#[test] fn one_two_three_four_five_six_seven_eight_nine_ten() {}";
    assert!(long_tests(&Tree::of(&[("a.rs", ten)])).is_empty());
    assert_eq!(long_tests(&Tree::of(&[("a.rs", &ten.replace("ten", "ten_eleven"))])).len(), 1);
    let page = "test(\"one two three four five six seven eight nine ten eleven\", () => {});";
    assert_eq!(long_tests(&Tree::of(&[("a.test.ts", page)])).len(), 1);
}
