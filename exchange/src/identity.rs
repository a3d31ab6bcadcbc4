//! Who calls: from the credential that a call shows, checked against the keys that the engine knows.
//!
//! Owns what an identity may be and how a credential is checked; which method takes whom is in `access`.

use merit_engine::{Engine, Key};
use merit_terms::{AccountId, Credential, KeyId, Role, Time};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::clock;
use crate::keys::MasterKey;
use crate::open::Exchange;

/// How often an open stream looks whether its key has expired.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The broker, or an agent, of this process.
    InProcess,
    /// Anybody on this machine, at an exchange without keys: every role.
    Keyless,
    /// Nobody that is known: may read what everybody may.
    Stranger,
    Key(Holder),
}

/// Who showed a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) key: KeyId,
    /// The version whose secret was shown.
    version: u32,
    role: Role,
    account: AccountId,
}

impl Identity {
    /// Whether it may do what is of a role. Without keys everybody has every role.
    pub(crate) fn has(&self, role: Role) -> bool {
        match self {
            Identity::InProcess | Identity::Keyless => true,
            Identity::Stranger => false,
            Identity::Key(holder) => holder.role == role,
        }
    }

    /// Whether the operator's own word is behind it.
    pub(crate) fn is_operator(&self) -> bool {
        self.has(Role::Operator)
    }

    /// The account that a key is of.
    pub(crate) fn account(&self) -> Option<AccountId> {
        match self {
            Identity::Key(holder) => Some(holder.account),
            Identity::InProcess | Identity::Keyless | Identity::Stranger => None,
        }
    }

    /// Whether it may do everything that the owner of an account may.
    pub(crate) fn acts_for(&self, account: AccountId) -> bool {
        self.has(Role::Broker) || self.account() == Some(account)
    }

    /// Whether it may see what the owner of an account sees.
    pub(crate) fn reads_of(&self, account: AccountId) -> bool {
        self.is_operator() || self.acts_for(account)
    }
}

/// Who sent a request. Fails only if the services were set up without the layer that finds it out.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    let identity = request.extensions().get::<Identity>();
    identity.copied().ok_or_else(|| Status::internal("the call came without an identity"))
}

/// What a call shows in `authorization`, if it shows anything.
pub(crate) fn shown(metadata: &MetadataMap) -> Result<Option<Credential>, Status> {
    let mut values = metadata.get_all("authorization").iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| more.is_none());
    let (scheme, credential) = text.and_then(|text| text.split_once(' ')).ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unreadable());
    }
    credential.parse().map(Some).map_err(|_| unreadable())
}

fn unreadable() -> Status {
    Status::unauthenticated("authorization: a key is shown as `Bearer ID.SECRET`")
}

/// Said of every key that is not accepted, whatever is wrong with it.
pub(crate) fn not_accepted() -> Status {
    Status::unauthenticated("the key is not known, its secret is wrong, or it is revoked or has expired")
}

/// The version of a key whose secret is shown, if it may be used at `at`.
fn version_of(master: &MasterKey, key: &Key, secret: &str, at: Time) -> Option<u32> {
    let usable = [key.is_live(at).then_some(key.version), key.previous_version(at)];
    usable.into_iter().flatten().find(|version| master.is_secret(key.id, *version, secret))
}

impl Exchange {
    /// Who shows a credential; refuses one that may not be used now.
    pub(crate) fn identify(&self, credential: &Credential) -> Result<Identity, Status> {
        let Some(key) = self.0.sequencer.read(|engine| engine.key(credential.id).cloned()) else {
            // As long as for a key that is known.
            self.0.key.is_secret(credential.id, 1, &credential.secret);
            return Err(not_accepted());
        };
        let version = version_of(&self.0.key, &key, &credential.secret, clock::now());
        let holder = version.map(|version| Holder { key: key.id, version, role: key.role, account: key.account });
        holder.map(Identity::Key).ok_or_else(not_accepted)
    }

    /// Whether what was shown before would be accepted now.
    fn is_accepted(&self, holder: &Holder) -> bool {
        let now = clock::now();
        let look = |engine: &Engine| {
            let key = engine.key(holder.key)?;
            Some(
                key.is_live(now)
                    && (key.version == holder.version || key.previous_version(now) == Some(holder.version)),
            )
        };
        self.0.sequencer.read(look).unwrap_or(false)
    }

    /// Returns when an open stream's key is not accepted any more, at most a second late. Without a key, never.
    pub(crate) async fn until_refused(&self, identity: Identity) -> Status {
        let Identity::Key(holder) = identity else { return std::future::pending().await };
        let mut changes = self.0.projections.key_changes.follow();
        while self.is_accepted(&holder) {
            // Whatever is heard, or missed, is looked at.
            drop(tokio::time::timeout(LOOK_EVERY, changes.recv()).await);
        }
        Status::unauthenticated(format!("{} was revoked, rotated or has expired; the stream ends", holder.key))
    }

    /// Whether there is a key that may be used with a role.
    pub fn has_key(&self, role: Role) -> bool {
        let now = clock::now();
        self.0.sequencer.read(|engine| engine.keys().any(|key| key.role == role && key.is_live(now)))
    }
}
