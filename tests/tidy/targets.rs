//! The targets of every package, and the modules of each: from a root file along its `mod` items.
//!
//! Resolves a path to the module that defines what it names, through `use` items; never looks into another crate.

use std::collections::{BTreeMap, BTreeSet};

use crate::syntax::{self, Facts, Mention};
use crate::tree::Tree;

/// A module's path below its crate's root; the root's is empty.
pub(crate) type ModulePath = Vec<String>;

/// A crate as the compiler sees it: a library, a program, or the binary of an integration test.
pub(crate) struct Target {
    pub root: String,
    pub is_test: bool,
    /// Modules with a file of their own.
    pub modules: BTreeMap<ModulePath, FileModule>,
    /// Names that `use` items bring into each module, with their paths.
    brought: BTreeMap<(ModulePath, String), Vec<String>>,
    /// All modules, the inline ones too.
    known: BTreeSet<ModulePath>,
}

pub(crate) struct FileModule {
    pub file: String,
    pub is_test: bool,
    pub facts: Facts,
}

/// Finds all targets of a tree.
pub(crate) fn targets(tree: &Tree) -> Vec<Target> {
    let mut roots: Vec<String> = tree.rust().map(|file| file.path.clone()).filter(|path| is_root(tree, path)).collect();
    roots.sort();
    roots.dedup();
    roots.into_iter().map(|root| Target::read(tree, root)).collect()
}

/// Tells whether Cargo takes a file for the root of a target, by its place or because a manifest names it.
fn is_root(tree: &Tree, path: &str) -> bool {
    let package = tree.package_of(path);
    let inside = path.strip_prefix(package).unwrap_or(path).trim_start_matches('/');
    let parts: Vec<&str> = inside.split('/').collect();
    let by_place = matches!(
        parts.as_slice(),
        ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["tests" | "benches" | "examples", _]
            | ["tests" | "benches" | "examples", _, "main.rs"]
    );
    let manifest = tree.file(&join(package, "Cargo.toml")).map_or("", |file| &file.text);
    by_place || manifest.contains(&format!("path = \"{inside}\""))
}

impl Target {
    fn read(tree: &Tree, root: String) -> Self {
        let inside = root.strip_prefix(tree.package_of(&root)).unwrap_or(&root).trim_start_matches('/');
        let is_test = !inside.starts_with("src/");
        let mut target = Self {
            root: root.clone(),
            is_test,
            modules: BTreeMap::new(),
            brought: BTreeMap::new(),
            known: BTreeSet::new(),
        };
        let children = folder_of(&root).to_owned();
        target.add(tree, Vec::new(), &root, &children, false);
        target
    }

    /// Adds a module's file, and then its children, which are looked for in `children`.
    fn add(&mut self, tree: &Tree, path: ModulePath, file: &str, children: &str, is_test: bool) {
        let Some(source) = tree.file(file) else { return };
        let facts = syntax::facts(&source.text);
        self.known.insert(path.clone());
        for mention in &facts.mentions {
            if let Some(name) = &mention.brings {
                let scope = below(&path, &mention.within);
                self.brought.insert((scope, name.clone()), mention.path.clone());
            }
        }
        for item in &facts.modules {
            let child = below(&below(&path, &item.within), std::slice::from_ref(&item.name));
            let is_test = is_test || item.is_test;
            if item.is_inline {
                self.known.insert(child);
            } else if let Some(named) = &item.path {
                let folder = if item.within.is_empty() { folder_of(file) } else { children };
                let file = normal(&join(&join(folder, &item.within.join("/")), named));
                self.add(tree, child, &file, folder_of(&file), is_test);
            } else {
                let base = join(&join(children, &item.within.join("/")), &item.name);
                let flat = format!("{base}.rs");
                let file = if tree.file(&flat).is_some() { flat } else { format!("{base}/mod.rs") };
                self.add(tree, child, &file, &base, is_test);
            }
        }
        self.modules.insert(path, FileModule { file: file.to_owned(), is_test, facts });
    }

    /// Returns the module with a file that defines what a mention in `module` names, if it is of this crate.
    ///
    /// A path that a `use` item brings is followed to where it leads, so that a re-export hides no arrow.
    pub(crate) fn resolve(&self, module: &ModulePath, mention: &Mention) -> Option<ModulePath> {
        let scope = below(module, &mention.within);
        let mut found = self.lead(&scope, &mention.path, 0)?;
        while !self.modules.contains_key(&found) {
            found.pop()?;
        }
        Some(found)
    }

    /// Follows a path from a module; `depth` counts the `use` items on the way.
    fn lead(&self, scope: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let mut at = scope.clone();
        let mut rest = path;
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => break,
            }
            rest = others;
        }
        let is_relative = rest.len() == path.len();
        for (index, name) in rest.iter().enumerate() {
            let child = below(&at, std::slice::from_ref(name));
            if self.known.contains(&child) {
                at = child;
                continue;
            }
            let brought = self.brought.get(&(at.clone(), name.clone())).filter(|brought| brought.as_slice() != path);
            let further = brought.map(|brought| below(brought, &rest[index + 1..]));
            let beyond = further.filter(|_| depth < 16).and_then(|further| self.lead(&at, &further, depth + 1));
            // Else the name is defined here, or is another crate's.
            return beyond.or_else(|| (!is_relative || index > 0).then_some(at));
        }
        Some(at)
    }
}

fn below(path: &[String], names: &[String]) -> ModulePath {
    path.iter().chain(names).cloned().collect()
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn join(folder: &str, name: &str) -> String {
    [folder, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// Resolves `..` in a path.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
