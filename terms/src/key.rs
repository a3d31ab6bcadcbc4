//! Keys: their ids and roles, and the credential that a caller shows. Never checks a secret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A key: the sequence of the command that made it. Text `key-4711`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub u64);

/// Text that is not the id of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a key, such as key-4711")]
pub struct KeyIdError(String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key-{}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;
    /// Parses the one text of an id: no sign, no leading zero.
    fn from_str(text: &str) -> Result<KeyId, KeyIdError> {
        let number = text.strip_prefix("key-").and_then(|number| number.parse().ok()).map(KeyId);
        number.filter(|id| id.to_string() == text).ok_or_else(|| KeyIdError(text.to_owned()))
    }
}

/// The rights of a key's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Defines and calls the functions of its account.
    Client,
    /// Sells for the providers of its account.
    Provider,
    /// Runs the market.
    Operator,
    /// Acts for every account, as a broker.
    Broker,
}

/// Text that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: client, provider, operator or broker")]
pub struct RoleError(String);

impl Role {
    pub const ALL: [Role; 4] = [Role::Client, Role::Provider, Role::Operator, Role::Broker];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Provider => "provider",
            Role::Operator => "operator",
            Role::Broker => "broker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Role, RoleError> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// The id and the secret of a key, as its holder shows them. Text `key-4711.SECRET`; debug output hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub id: KeyId,
    pub secret: String,
}

/// Text that is not a credential. The error does not repeat the text, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is given as ID.SECRET, such as key-4711.Zm9v, as it was printed when it was made")]
pub struct CredentialError;

/// Maximum length of a secret in bytes; the secrets that are given out have 43.
const SECRET_MAX_BYTES: usize = 128;

impl Credential {
    /// Writes the credential with its secret. Nothing else does.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}.*)", self.id)
    }
}

impl FromStr for Credential {
    type Err = CredentialError;
    fn from_str(text: &str) -> Result<Credential, CredentialError> {
        let (id, secret) = text.split_once('.').ok_or(CredentialError)?;
        let id = id.parse().map_err(|_| CredentialError)?;
        let is_secret = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let well_formed = (1..=SECRET_MAX_BYTES).contains(&secret.len()) && secret.bytes().all(is_secret);
        if well_formed { Ok(Credential { id, secret: secret.to_owned() }) } else { Err(CredentialError) }
    }
}
