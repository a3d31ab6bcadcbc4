//! Absences: paths that a part of the code never mentions, as docs/ARCHITECTURE.md promises.
//!
//! Clippy holds what it can (the `clippy.toml` of engine and terms); dependencies that a manifest lacks need no rule.

use crate::findings::Finding;
use crate::syntax;
use crate::tree::Tree;

/// One absence: below `folder`, but for `except`, nothing mentions `path`.
struct Absence {
    folder: &'static str,
    except: &'static str,
    path: &'static str,
    reason: &'static str,
}

const PURE: &str = "does no IO, reads no clock and starts no thread";

const ABSENCES: [Absence; 13] = [
    pure("exchange/engine/src/", "std::env"),
    pure("exchange/engine/src/", "std::fs"),
    pure("exchange/engine/src/", "std::io"),
    pure("exchange/engine/src/", "std::net"),
    pure("exchange/engine/src/", "std::process"),
    pure("exchange/engine/src/", "std::thread"),
    pure("terms/src/", "std::env"),
    pure("terms/src/", "std::fs"),
    pure("terms/src/", "std::io"),
    pure("terms/src/", "std::net"),
    pure("terms/src/", "std::process"),
    pure("terms/src/", "std::thread"),
    Absence {
        folder: "broker/src/",
        except: "broker/src/exchange/",
        path: "merit_proto::v1",
        reason: "protobuf ends in broker/src/exchange",
    },
];

const fn pure(folder: &'static str, path: &'static str) -> Absence {
    Absence { folder, except: "tests/", path, reason: PURE }
}

/// Lists the mentions of what must be absent.
pub(crate) fn present(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let is_of =
            |absence: &&Absence| file.path.starts_with(absence.folder) && !file.path.starts_with(absence.except);
        let absences: Vec<&Absence> = ABSENCES.iter().filter(is_of).collect();
        if absences.is_empty() {
            continue;
        }
        for mention in syntax::facts(&file.text).mentions.iter().filter(|mention| !mention.is_test) {
            let path = format!("{}::", mention.path.join("::"));
            for absence in absences.iter().filter(|absence| path.starts_with(&format!("{}::", absence.path))) {
                findings.push(Finding::new(&file.path, mention.line, format!("{}: {}", absence.path, absence.reason)));
            }
        }
    }
    findings
}

#[cfg(test)]
fn check(path: &str, text: &str, count: usize) {
    assert_eq!(present(&Tree::of(&[(path, text)])).len(), count, "{path}: {text}");
}

#[test]
fn the_engine_mentions_no_disk() {
    check("exchange/engine/src/lib.rs", "use std::{fs, mem};", 1);
    check("exchange/engine/src/lib.rs", "fn f() { std::fs::read(x) } // std::net", 1);
    check("exchange/engine/tests/twin.rs", "use std::fs;", 0);
    check("exchange/engine/src/lib.rs", "use std::format;", 0);
}

#[test]
fn protobuf_ends_behind_the_exchange_floor() {
    check("broker/src/doors/call.rs", "use merit_proto::v1::Acquire;", 1);
    check("broker/src/exchange/leases.rs", "use merit_proto::v1;", 0);
    check("broker/src/server.rs", "use merit_proto::Transport;", 0);
}
