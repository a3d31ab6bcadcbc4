//! The tokens of a Rust file: words, `::`, plain strings with their quotes and single characters, each with its line.
//!
//! Leaves out comments, raw strings, characters, lifetimes and numbers, so that no rule about code reads prose.

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

impl Token<'_> {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'a>>,
}

/// Splits a file into tokens.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.tokens
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes on by so many bytes and counts their lines.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let end = (self.at + bytes).min(self.text.len());
        let skipped = &self.text[self.at..end];
        self.line += skipped.matches('\n').count();
        self.at = end;
        skipped
    }

    /// Goes on to the end of a mark, or of the file.
    fn skip_past(&mut self, mark: &str) {
        let bytes = self.rest().find(mark).map_or(self.rest().len(), |found| found + mark.len());
        self.skip(bytes);
    }

    fn step(&mut self) {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or_default();
        if rest.starts_with("//") {
            self.skip(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.block_comment();
        } else if let Some(hashes) = raw_string(rest) {
            self.skip_past("\"");
            self.skip_past(&format!("\"{}", "#".repeat(hashes)));
        } else if rest.starts_with('"') || rest.starts_with("b\"") || rest.starts_with("c\"") {
            self.string();
        } else if rest.starts_with("b'") {
            self.skip(1);
            self.quote();
        } else if first == '\'' {
            self.quote();
        } else if first.is_ascii_digit() {
            self.skip(rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len()));
        } else if first == '_' || first.is_alphabetic() {
            self.word();
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            let line = self.line;
            let text = self.skip(if rest.starts_with("::") { 2 } else { first.len_utf8() });
            self.tokens.push(Token { text, line });
        }
    }

    fn word(&mut self) {
        let line = self.line;
        let raw = if self.rest().starts_with("r#") { 2 } else { 0 };
        let word = &self.rest()[raw..];
        let length = word.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(word.len());
        let text = self.skip(raw + length);
        self.tokens.push(Token { text, line });
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.skip(2);
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.skip(2);
                if depth == 0 {
                    return;
                }
            } else {
                self.skip(rest.chars().next().map_or(1, char::len_utf8));
            }
        }
    }

    fn string(&mut self) {
        let (from, line) = (self.at, self.line);
        self.skip_past("\"");
        while let Some(found) = self.rest().find(['"', '\\']) {
            let is_end = self.rest()[found..].starts_with('"');
            self.skip(found + 1);
            if is_end {
                break;
            }
            self.skip(self.rest().chars().next().map_or(0, char::len_utf8));
        }
        self.tokens.push(Token { text: &self.text[from..self.at], line });
    }

    /// Skips a character or a lifetime.
    fn quote(&mut self) {
        let rest = &self.rest()[1..];
        let mut letters = rest.chars();
        let first = letters.next().unwrap_or_default();
        if first == '\\' {
            self.skip(3);
            self.skip_past("'");
        } else if letters.next() == Some('\'') {
            self.skip(2 + first.len_utf8());
        } else {
            let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            self.skip(1 + length);
        }
    }
}

/// Returns the number of `#` before the quote if a raw string begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

#[cfg(test)]
fn check(text: &str, expected: &[&str]) {
    let words: Vec<&str> = tokens(text).iter().map(|token| token.text).collect();
    assert_eq!(words, expected, "{text}");
}

#[test]
fn comments_characters_and_lifetimes_are_no_tokens() {
    check("a::b // c", &["a", "::", "b"]);
    check("a /* b /* c */ d */ e", &["a", "e"]);
    check(
        r##"f("a\"b", 'c', '\'', '"', b'x', r#"d"e"#, &'g h)"##,
        &["f", "(", r#""a\"b""#, ",", ",", ",", ",", ",", ",", "&", "h", ")"],
    );
    check("1_000u64 + r#type", &["+", "r#type"]);
}

#[test]
fn a_token_has_its_line() {
    let last = tokens("\"a\nb\"\n/* c\n */ d").last().copied();
    assert_eq!(last, Some(Token { text: "d", line: 4 }));
}
