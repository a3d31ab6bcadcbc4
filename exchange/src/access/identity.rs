//! The identity of a caller: from the credential of the call, checked against the keys that the engine knows.
//!
//! Owns the kinds of identities and the check of a credential. It knows no method: `methods` has their roles.

use std::net::SocketAddr;

use merit_engine::{Engine, Key};
use merit_terms::{AccountId, Credential, KeyId, Role, Time};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::clock;
use crate::exchange::Exchange;
use crate::keys::MasterKey;
use crate::quota;

/// Interval at which an open stream checks its key for expiry, 1 s.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// The identity of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The broker, or an agent, of this process.
    InProcess,
    /// Anybody on this machine, at an exchange without keys: every role.
    Keyless,
    /// A caller without a key at an exchange with keys: may read public data.
    Stranger,
    Key(Holder),
}

/// The holder of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) key: KeyId,
    /// The version whose secret was shown.
    version: u32,
    role: Role,
    account: AccountId,
}

impl Identity {
    /// Returns true if it has a role. Without keys everybody has every role.
    pub(crate) fn has(&self, role: Role) -> bool {
        match self {
            Identity::InProcess | Identity::Keyless => true,
            Identity::Stranger => false,
            Identity::Key(holder) => holder.role == role,
        }
    }

    /// Returns true if it has the operator's role.
    pub(crate) fn is_operator(&self) -> bool {
        self.has(Role::Operator)
    }

    /// Returns true if it may see everything: it is an operator, or a broker, which knows whom it asks for.
    pub(crate) fn sees_all(&self) -> bool {
        self.is_operator() || self.has(Role::Broker)
    }

    /// Returns true if it shows the key of an operator: it sees everything without asking for it.
    pub(crate) fn is_operators_key(&self) -> bool {
        matches!(self, Identity::Key(_)) && self.is_operator()
    }

    /// Returns the account of a key.
    pub(crate) fn account(&self) -> Option<AccountId> {
        match self {
            Identity::Key(holder) => Some(holder.account),
            Identity::InProcess | Identity::Keyless | Identity::Stranger => None,
        }
    }

    /// Returns true if it may act as the owner of an account.
    pub(crate) fn acts_for(&self, account: AccountId) -> bool {
        self.has(Role::Broker) || self.account() == Some(account)
    }

    /// Returns true if it may see everything that the owner of an account sees.
    pub(crate) fn reads_of(&self, account: AccountId) -> bool {
        self.is_operator() || self.acts_for(account)
    }
}

/// Returns the identity behind a request. Fails only if the services were set up without the guard.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    let identity = request.extensions().get::<Identity>();
    identity.copied().ok_or_else(|| Status::internal("the call came without an identity"))
}

/// Reads the credential in `authorization`, if there is one.
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

/// Makes the one refusal of a key, whatever is wrong with it.
pub(crate) fn not_accepted() -> Status {
    Status::unauthenticated("the key is not known, its secret is wrong, or it is revoked or has expired")
}

/// Finds the version of a key that a secret belongs to, if it is valid at `at`.
fn version_of(master: &MasterKey, key: &Key, secret: &str, at: Time) -> Option<u32> {
    let usable = [key.is_live(at).then_some(key.version), key.previous_version(at)];
    usable.into_iter().flatten().find(|version| master.is_secret(key.id, *version, secret))
}

impl Exchange {
    /// Returns the holder of what a request opens: its account, or the address of a caller without a key. None for a
    /// caller in this process.
    pub(crate) fn holder<T>(&self, request: &Request<T>) -> Result<Option<quota::Holder>, Status> {
        Ok(match caller(request)? {
            Identity::InProcess => None,
            Identity::Keyless | Identity::Stranger => {
                Some(quota::Holder::Peer(request.extensions().get::<SocketAddr>().map(SocketAddr::ip)))
            }
            Identity::Key(holder) => {
                let name = |engine: &Engine| engine.account(holder.account).map(|account| account.name.clone()).ok();
                let name = self.0.sequencer.read(name);
                Some(name.map_or(quota::Holder::Peer(None), |name| quota::Holder::Account(name.into())))
            }
        })
    }

    /// Finds the identity behind a credential. Refuses one that is not valid now.
    pub(crate) fn identify(&self, credential: &Credential) -> Result<Identity, Status> {
        let Some(key) = self.0.sequencer.read(|engine| engine.key(credential.id).cloned()) else {
            // Takes as long as for a known key.
            self.0.key.is_secret(credential.id, 1, &credential.secret);
            return Err(not_accepted());
        };
        let version = version_of(&self.0.key, &key, &credential.secret, clock::now());
        let holder = version.map(|version| Holder { key: key.id, version, role: key.role, account: key.account });
        holder.map(Identity::Key).ok_or_else(not_accepted)
    }

    /// Returns true if the credential of an open stream would be accepted now.
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

    /// Waits until an open stream's key is no longer accepted, at most a second late. Without a key it waits for ever.
    pub(crate) async fn until_refused(&self, identity: Identity) -> Status {
        let Identity::Key(holder) = identity else { return std::future::pending().await };
        let mut changes = self.0.projections.key_changes.follow();
        while self.is_accepted(&holder) {
            // Any change, also a missed one, leads to another look.
            drop(tokio::time::timeout(LOOK_EVERY, changes.recv()).await);
        }
        Status::unauthenticated(format!("{} was revoked, rotated or has expired; the stream ends", holder.key))
    }

    /// Returns true if there is a valid key with a role.
    pub fn has_key(&self, role: Role) -> bool {
        let now = clock::now();
        self.0.sequencer.read(|engine| engine.keys().any(|key| key.role == role && key.is_live(now)))
    }
}
