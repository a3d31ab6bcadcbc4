//! Names that people give: of accounts, functions, providers, markets.
//!
//! Parsed once at the edge; a value of these types is always well formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name of 1 to 64 characters: letters, digits, `-` and `_`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A market: a region and a class, such as `eu-west/wasm`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarketName(String);

/// A pattern over markets, such as `us-*/x86_64`; `*` stands for any run of characters but `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarketPattern(String);

/// Text that is not a name, a market or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("`{0}` is not a name: 1 to 64 letters, digits, `-` or `_`, beginning with a letter or digit")]
    Name(String),
    #[error("`{0}` is not a market: region/class, such as eu-west/wasm, each 1 to 32 of a-z, 0-9, `-`, `_`")]
    Market(String),
    #[error("`{0}` is not a pattern over markets: region/class, such as us-*/wasm")]
    Pattern(String),
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_market(text: &str, star: bool) -> bool {
    let part = |p: &str| {
        (1..=32).contains(&p.len())
            && p.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_' || (star && b == b'*'))
    };
    text.split_once('/').is_some_and(|(region, class)| part(region) && part(class))
}

impl MarketName {
    pub fn region(&self) -> &str {
        self.0.split_once('/').map_or("", |(region, _)| region)
    }

    pub fn class(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, class)| class)
    }
}

impl MarketPattern {
    pub fn matches(&self, market: &MarketName) -> bool {
        self.0
            .split_once('/')
            .is_some_and(|(region, class)| glob(region, market.region()) && glob(class, market.class()))
    }
}

/// Returns true if `text` fits `pattern`, in which `*` stands for any run of characters. Takes at most as many steps as
/// the product of the lengths: only the latest `*` is ever tried again.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, eaten)) = star {
            star = Some((at, eaten + 1));
            p = at + 1;
            t = eaten + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

macro_rules! checked_text {
    ($type:ident, $check:expr, $error:path) => {
        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                if $check(&text) { Ok($type(text)) } else { Err($error(text)) }
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
checked_text!(Name, is_name, NameError::Name);
checked_text!(MarketName, |t: &str| is_market(t, false), NameError::Market);
checked_text!(MarketPattern, |t: &str| is_market(t, true), NameError::Pattern);
