//! The facts of one Rust file: its modules, types, tests, and the paths that it mentions.
//!
//! Reads tokens by their shape alone; never expands a macro or resolves a name.

use crate::lexer::{Token, tokens};

/// Words that may stand before an item's keyword.
const MODIFIERS: [&str; 7] = ["pub", "unsafe", "default", "extern", "async", "const", "crate"];
/// Keywords of items whose heads may hold commas.
const ITEMS: [&str; 8] = ["fn", "impl", "trait", "struct", "enum", "union", "type", "mod"];
/// Keywords of items that name a type.
const TYPES: [&str; 4] = ["struct", "enum", "trait", "type"];

/// A `mod` item.
pub(crate) struct ModuleItem {
    pub within: Vec<String>,
    pub name: String,
    /// The value of `#[path = "..."]`.
    pub path: Option<String>,
    pub is_inline: bool,
    pub is_test: bool,
}

/// The name of a type or a test.
pub(crate) struct NamedItem {
    pub within: Vec<String>,
    pub name: String,
    pub line: usize,
    pub is_test: bool,
}

/// A path in a `use` item, or one of two segments or more anywhere else.
#[derive(Debug)]
pub(crate) struct Mention {
    pub within: Vec<String>,
    pub path: Vec<String>,
    pub line: usize,
    pub is_test: bool,
    /// The name that a `use` item brings into its module; `*` of a glob.
    pub brings: Option<String>,
}

#[derive(Default)]
pub(crate) struct Facts {
    pub modules: Vec<ModuleItem>,
    pub types: Vec<NamedItem>,
    pub tests: Vec<NamedItem>,
    pub mentions: Vec<Mention>,
}

#[derive(Default)]
struct Block {
    is_brace: bool,
    module: Option<String>,
    /// Inside `impl` and `trait`, where `type` names an associated type.
    is_associated: bool,
    is_test: bool,
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    blocks: Vec<Block>,
    attributes: Vec<String>,
    /// First word of the statement behind its modifiers.
    keyword: Option<&'a str>,
    /// Name of the module whose brace comes next.
    opening: Option<String>,
    facts: Facts,
}

/// Reads the facts of a file.
pub(crate) fn facts(text: &str) -> Facts {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        blocks: Vec::new(),
        attributes: Vec::new(),
        keyword: None,
        opening: None,
        facts: Facts::default(),
    };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.facts
}

impl<'a> Reader<'a> {
    fn text(&self, offset: usize) -> &'a str {
        self.tokens.get(self.at + offset).map_or("", |token| token.text)
    }

    fn line(&self) -> usize {
        self.tokens[self.at].line
    }

    fn before(&self) -> &'a str {
        self.at.checked_sub(1).map_or("", |before| self.tokens[before].text)
    }

    fn within(&self) -> Vec<String> {
        self.blocks.iter().filter_map(|block| block.module.clone()).collect()
    }

    fn is_test(&self) -> bool {
        self.blocks.iter().any(|block| block.is_test) || self.has_test_attribute()
    }

    fn has_test_attribute(&self) -> bool {
        self.attributes.iter().any(|attribute| is_test_attribute(attribute) || attribute.starts_with("cfg ( test"))
    }

    fn step(&mut self) {
        let text = self.text(0);
        match text {
            "#" if self.text(1) == "[" || (self.text(1) == "!" && self.text(2) == "[") => return self.attribute(),
            "{" | "(" | "[" => self.open(),
            "}" | ")" | "]" => self.close(),
            ";" if self.at_statement() => self.end_statement(),
            "," if self.at_statement() && !self.keyword.is_some_and(|word| ITEMS.contains(&word)) => {
                self.end_statement();
            }
            _ if self.tokens[self.at].is_word() => return self.word(),
            _ => {}
        }
        self.at += 1;
    }

    fn at_statement(&self) -> bool {
        self.blocks.last().is_none_or(|block| block.is_brace)
    }

    fn end_statement(&mut self) {
        self.attributes.clear();
        self.keyword = None;
        self.opening = None;
    }

    fn open(&mut self) {
        if self.text(0) != "{" {
            return self.blocks.push(Block::default());
        }
        let block = Block {
            is_brace: true,
            module: self.opening.take(),
            is_associated: self.keyword.is_some_and(|word| word == "impl" || word == "trait"),
            is_test: self.has_test_attribute(),
        };
        self.blocks.push(block);
        self.end_statement();
    }

    fn close(&mut self) {
        self.blocks.pop();
        if self.text(0) == "}" {
            self.end_statement();
        }
    }

    /// Reads an attribute, and the paths in it.
    fn attribute(&mut self) {
        let is_inner = self.text(1) == "!";
        self.at += if is_inner { 3 } else { 2 };
        let from = self.at;
        let mut depth = 1;
        while depth > 0 && self.at < self.tokens.len() {
            match self.text(0) {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            self.inline_path();
            self.at += 1;
        }
        let words: Vec<&str> = self.tokens[from..self.at.max(from + 1) - 1].iter().map(|token| token.text).collect();
        if !is_inner {
            self.attributes.push(words.join(" "));
        }
    }

    fn word(&mut self) {
        let text = self.text(0);
        if self.keyword.is_none() && self.at_statement() && !MODIFIERS.contains(&text) {
            self.keyword = Some(text);
        }
        match text {
            "use" if self.keyword == Some("use") => return self.use_item(),
            "mod" if self.keyword == Some("mod") => self.module(),
            "fn" if self.attributes.iter().any(|attribute| is_test_attribute(attribute)) => {
                let test = self.item();
                self.facts.tests.push(test);
            }
            _ if TYPES.contains(&text) && self.names_a_type() => {
                let item = self.item();
                self.facts.types.push(item);
            }
            _ => self.inline_path(),
        }
        self.at += 1;
    }

    fn names_a_type(&self) -> bool {
        let is_associated = self.text(0) == "type" && self.blocks.last().is_some_and(|block| block.is_associated);
        !is_associated && self.tokens.get(self.at + 1).is_some_and(Token::is_word)
    }

    fn item(&self) -> NamedItem {
        let name = self.text(1).to_owned();
        NamedItem { within: self.within(), name, line: self.line(), is_test: self.is_test() }
    }

    fn module(&mut self) {
        let name = self.text(1).to_owned();
        let is_inline = self.text(2) == "{";
        if is_inline {
            self.opening = Some(name.clone());
        }
        let path = self.attributes.iter().find_map(|attribute| attribute.strip_prefix("path = "));
        self.facts.modules.push(ModuleItem {
            within: self.within(),
            name,
            path: path.map(|path| path.trim_matches('"').to_owned()),
            is_inline,
            is_test: self.is_test(),
        });
    }

    /// Records a path of two segments or more that begins here.
    fn inline_path(&mut self) {
        let is_visibility = self.before() == "in" && self.at > 2 && self.tokens[self.at - 2].text == "(";
        let begins = self.tokens[self.at].is_word() && !["::", "."].contains(&self.before()) && !is_visibility;
        if !begins || self.text(1) != "::" {
            return;
        }
        let mut path = vec![self.text(0).to_owned()];
        let mut offset = 1;
        while self.text(offset) == "::" && self.tokens.get(self.at + offset + 1).is_some_and(Token::is_word) {
            path.push(self.text(offset + 1).to_owned());
            offset += 2;
        }
        self.mention(path, None);
    }

    fn mention(&mut self, path: Vec<String>, brings: Option<String>) {
        let line = self.tokens[self.at.min(self.tokens.len() - 1)].line;
        let mention = Mention { within: self.within(), path, line, is_test: self.is_test(), brings };
        self.facts.mentions.push(mention);
    }

    fn use_item(&mut self) {
        self.at += 1;
        if self.text(0) == "::" {
            while !["", ";"].contains(&self.text(0)) {
                self.at += 1;
            }
        } else {
            self.use_tree(&[]);
        }
        self.end_statement();
    }

    /// Reads one branch of a `use` item, and stops at what ends it.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        loop {
            match self.text(0) {
                "" | ";" | "," | "}" => break,
                "::" => self.at += 1,
                "{" => return self.use_group(&path),
                "as" => {
                    let name = self.text(1).to_owned();
                    self.mention(path, Some(name));
                    self.at += 2;
                    return;
                }
                "self" if !path.is_empty() => self.at += 1,
                "*" => {
                    self.at += 1;
                    return self.mention(path, Some("*".to_owned()));
                }
                word => {
                    path.push(word.to_owned());
                    self.at += 1;
                }
            }
        }
        let name = path.last().cloned();
        self.mention(path, name);
    }

    fn use_group(&mut self, path: &[String]) {
        while self.text(0) == "{" || self.text(0) == "," {
            self.at += 1;
            if self.text(0) != "}" {
                self.use_tree(path);
            }
        }
        if self.text(0) == "}" {
            self.at += 1;
        }
    }
}

/// Knows `#[test]`, and those of runtimes: `#[tokio::test(...)]`.
fn is_test_attribute(attribute: &str) -> bool {
    let name = attribute.split(" (").next().unwrap_or_default();
    name == "test" || name.ends_with(":: test")
}

#[cfg(test)]
fn check_mentions(text: &str, expected: &[&str]) {
    let facts = facts(text);
    let show = |mention: &Mention| match &mention.brings {
        Some(name) => format!("{} as {name}", mention.path.join("::")),
        None => mention.path.join("::"),
    };
    assert_eq!(facts.mentions.iter().map(show).collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn every_branch_of_a_use_item_is_a_mention() {
    check_mentions("use crate::{a::{self, B as C}, d::*};", &["crate::a as a", "crate::a::B as C", "crate::d as *"]);
    check_mentions("pub(crate) use super::a::B;", &["super::a::B as B"]);
    check_mentions("use ::std::fs;", &[]);
}

#[test]
fn paths_in_code_and_attributes_are_mentions() {
    check_mentions("fn f() { crate::a::b(x.c::<D>()) }", &["crate::a::b"]);
    check_mentions("#[arg(parse = crate::a::b)] struct A;", &["crate::a::b"]);
    check_mentions("pub(in crate::a) fn f() {}", &[]);
}

#[test]
fn associated_types_are_not_named_types() {
    let facts =
        facts("pub struct A<B>(B); impl C for A<u8> { type Item = u8; } enum D { E { f: u8 } } type G = A<u8>;");
    assert_eq!(facts.types.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["A", "D", "G"]);
}

#[test]
fn modules_have_their_paths_and_know_tests() {
    let facts = facts("#[cfg(test)] #[path = \"../t.rs\"] mod tests; pub mod a { mod b; use super::C; }");
    let modules: Vec<_> = facts.modules.iter().map(|item| (item.name.as_str(), item.is_test, item.is_inline)).collect();
    assert_eq!(modules, [("tests", true, false), ("a", false, true), ("b", false, false)]);
    assert_eq!(facts.modules[0].path.as_deref(), Some("../t.rs"));
    assert_eq!(facts.modules[2].within, ["a"]);
    assert_eq!(facts.mentions[0].within, ["a"]);
}

#[test]
fn tests_of_every_runtime_are_found() {
    let facts = facts("#[test] fn a() {} #[tokio::test(start_paused = true)] async fn b() {} fn c() {}");
    assert_eq!(facts.tests.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
