//! Findings: where a rule is broken, and the report of one rule.

use std::collections::BTreeMap;
use std::fmt;

use crate::tree::Tree;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub path: String,
    pub line: usize,
    pub text: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

impl Tree {
    /// Prints the counts of a rule for each package, and panics with the findings if there are any.
    pub(crate) fn report(&self, rule: &str, mut findings: Vec<Finding>) {
        findings.sort();
        findings.dedup();
        findings.retain(|finding| self.is_asked_for(&finding.path));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &findings {
            *counts.entry(self.package_of(&finding.path)).or_default() += 1;
        }
        println!("tidy: {rule}: {} in all {counts:?}", findings.len());
        let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(list.is_empty(), "{rule}: {} findings\n{}", list.len(), list.join("\n"));
    }
}
