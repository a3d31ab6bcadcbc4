//! Import circles: at every level of a crate the arrows between neighbours go one way.
//!
//! An arrow is a path in code or in a `use` item, drawn to the module that defines what it names. An arrow between a
//! module and one inside it is free. Every other arrow joins two neighbours of some level, by themselves or by what is
//! inside them; neighbours that reach each other are a circle. Tests inside a production crate draw no arrows.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::Finding;
use crate::targets::{ModulePath, Target};

/// The arrows of one level: from neighbour to neighbour, with the first place and the number of all.
type Arrows = BTreeMap<(String, String), (String, usize)>;

/// Lists each circle with its arrows.
pub(crate) fn circles(targets: &[Target]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in targets {
        for (parent, arrows) in levels(target) {
            for circle in components(&arrows) {
                findings.push(describe(target, &parent, &arrows, &circle));
            }
        }
    }
    findings
}

/// Sorts the arrows of a crate into the levels on which they join two neighbours, keyed by the module around these.
fn levels(target: &Target) -> BTreeMap<ModulePath, Arrows> {
    let mut levels: BTreeMap<ModulePath, Arrows> = BTreeMap::new();
    for (from, module) in &target.modules {
        if module.is_test && !target.is_test {
            continue;
        }
        for mention in &module.facts.mentions {
            if mention.is_test && !target.is_test {
                continue;
            }
            let Some(to) = target.resolve(from, mention) else { continue };
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(left), Some(right)) = (from.get(shared), to.get(shared)) {
                let arrows = levels.entry(from[..shared].to_vec()).or_default();
                let place = || (format!("{}:{}", module.file, mention.line), 0);
                arrows.entry((left.clone(), right.clone())).or_insert_with(place).1 += 1;
            }
        }
    }
    levels
}

/// Returns the sets of neighbours that reach each other.
fn components(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let names: BTreeSet<&String> = arrows.keys().flat_map(|(from, to)| [from, to]).collect();
    let reach: BTreeMap<&String, BTreeSet<&String>> = names.iter().map(|name| (*name, reached(arrows, name))).collect();
    let mut components: Vec<BTreeSet<String>> = Vec::new();
    for name in &names {
        let circle: BTreeSet<String> =
            reach[name].iter().filter(|other| reach[*other].contains(name)).map(|other| (*other).clone()).collect();
        if !circle.is_empty() && !components.contains(&circle) {
            components.push(circle);
        }
    }
    components
}

fn reached<'a>(arrows: &'a Arrows, from: &str) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for (_, to) in arrows.keys().filter(|(from, _)| from == at) {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

fn describe(target: &Target, parent: &ModulePath, arrows: &Arrows, circle: &BTreeSet<String>) -> Finding {
    let members: Vec<&str> = circle.iter().map(String::as_str).collect();
    let mut text = format!("{} modules in a circle: {}", members.len(), members.join(", "));
    for ((from, to), (place, count)) in arrows {
        if circle.contains(from) && circle.contains(to) {
            text.push_str(&format!("\n    {from} -> {to}, {count} times, first at {place}"));
        }
    }
    let file = target.modules.get(parent).map_or(&target.root, |module| &module.file);
    Finding::new(file, 1, text)
}

#[cfg(test)]
use crate::{targets::targets, tree::Tree};

#[cfg(test)]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let all = [&[("Cargo.toml", ""), ("src/lib.rs", "mod a; mod b;")], files].concat();
    let found: Vec<String> = circles(&targets(&Tree::of(&all)))
        .into_iter()
        .map(|finding| {
            finding.text.lines().next().unwrap_or_default().rsplit(": ").next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(found, expected, "{files:?}");
}

#[test]
fn neighbours_that_import_each_other_are_a_circle() {
    check(&[("src/a.rs", "use crate::b::B;"), ("src/b.rs", "fn f() { super::a::f() }")], &["a, b"]);
    check(&[("src/a.rs", "use crate::b::B;"), ("src/b.rs", "")], &[]);
}

#[test]
fn an_arrow_of_a_child_counts_for_its_parent() {
    let files = [("src/a.rs", "mod c;"), ("src/a/c.rs", "use crate::b::B;"), ("src/b.rs", "use crate::a::A;")];
    check(&files, &["a, b"]);
}

#[test]
fn parent_and_child_may_import_each_other() {
    check(&[("src/a.rs", "mod c; use c::C;"), ("src/a/c.rs", "use super::A;"), ("src/b.rs", "")], &[]);
}

#[test]
fn a_reexport_hides_no_circle() {
    let root = ("src/lib.rs", "mod a; mod b; pub use a::A;");
    check(&[root, ("src/a.rs", "use crate::b::B; pub struct A;"), ("src/b.rs", "use crate::A;")], &["a, b"]);
}

#[test]
fn tests_in_a_crate_draw_no_arrows() {
    let test = "#[cfg(test)] mod tests { use crate::a::A; }";
    check(&[("src/a.rs", "use crate::b::B;"), ("src/b.rs", test)], &[]);
}

#[test]
fn paths_of_other_crates_are_no_arrows() {
    check(&[("src/a.rs", "use std::fs; use b_of_others::B;"), ("src/b.rs", "use tokio; use crate::a::A;")], &[]);
}
