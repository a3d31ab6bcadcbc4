//! The source files of a work tree and the packages that they belong to.
//!
//! Reads every text file below the root but build output, vendored code and generated code; never writes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source: build output, other people's code, generated code, run-time data.
const SKIPPED_FOLDERS: [&str; 8] =
    [".git", "target", "node_modules", "dist", "generated", "__pycache__", "merit-data", ".venv"];

/// Endings of the files that are read.
const READ: [&str; 8] = ["rs", "ts", "svelte", "proto", "md", "toml", "sh", "mjs"];

/// One text file.
pub(crate) struct SourceFile {
    /// Path from the root, with `/`.
    pub path: String,
    pub text: String,
}

impl SourceFile {
    pub(crate) fn ends_with_one_of(&self, endings: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
    }

    /// Numbers the lines from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// A work tree as it was read.
#[derive(Default)]
pub(crate) struct Tree {
    pub files: Vec<SourceFile>,
    /// Paths of all files and folders, of those that are not read, too; folders without a slash at the end.
    pub all_paths: Vec<String>,
    /// Folders of packages, the deepest first; the root is the empty path.
    packages: Vec<String>,
    asked_for: Vec<String>,
}

impl Tree {
    /// Reads the work tree of `MERIT_TIDY_ROOT`, or else this one.
    pub(crate) fn read() -> Self {
        let root = env::var_os("MERIT_TIDY_ROOT").map_or_else(own_root, PathBuf::from);
        let only = env::var("MERIT_TIDY_ONLY").unwrap_or_default();
        let mut tree = Self {
            asked_for: only.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            ..Self::default()
        };
        tree.walk(&root, "");
        tree.finish()
    }

    /// Makes a tree of pairs of path and text, for the rules' own tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.files.push(SourceFile { path: (*path).to_owned(), text: (*text).to_owned() });
            for (end, _) in path.match_indices('/') {
                tree.all_paths.push(path[..end].to_owned());
            }
            tree.all_paths.push((*path).to_owned());
        }
        tree.finish()
    }

    fn walk(&mut self, folder: &Path, prefix: &str) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display()));
        for entry in entries.map(|entry| entry.unwrap()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                self.walk(&entry.path(), &format!("{path}/"));
            }
            if kind.is_file() && name.rsplit_once('.').is_some_and(|(_, ending)| READ.contains(&ending)) {
                let text = fs::read_to_string(entry.path()).unwrap_or_else(|error| panic!("read {path}: {error}"));
                self.files.push(SourceFile { path: path.clone(), text });
            }
            self.all_paths.push(path);
        }
    }

    fn finish(mut self) -> Self {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.all_paths.sort();
        self.all_paths.dedup();
        self.packages = self.all_paths.iter().filter_map(|path| path.strip_suffix("Cargo.toml")).map(folder).collect();
        self.packages.sort_by_key(|package| std::cmp::Reverse(package.len()));
        self
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.ends_with_one_of(&["rs"]))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|index| &self.files[index])
    }

    /// Returns the folder of the package that a path belongs to; the root's is the empty path.
    pub(crate) fn package_of(&self, path: &str) -> &str {
        let holds = |package: &&String| {
            path.strip_prefix(package.as_str()).is_some_and(|rest| package.is_empty() || rest.starts_with('/'))
        };
        self.packages.iter().find(holds).map_or("", String::as_str)
    }

    pub(crate) fn is_asked_for(&self, path: &str) -> bool {
        self.asked_for.is_empty() || self.asked_for.iter().any(|prefix| path.starts_with(prefix.as_str()))
    }
}

fn own_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder(prefix: &str) -> String {
    prefix.trim_end_matches('/').to_owned()
}

#[test]
fn a_path_belongs_to_the_nearest_package_above_it() {
    let tree = Tree::of(&[("Cargo.toml", ""), ("exchange/Cargo.toml", ""), ("exchange/engine/Cargo.toml", "")]);
    assert_eq!(tree.package_of("exchange/engine/src/lib.rs"), "exchange/engine");
    assert_eq!(tree.package_of("exchange/src/lib.rs"), "exchange");
    assert_eq!(tree.package_of("src/main.rs"), "");
}
