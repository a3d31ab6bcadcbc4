//! The identity of a caller: from the credential of the call, checked against the keys that the engine knows.
//!
//! Owns the kinds of identities and the check of a credential. It knows no method: `methods` has their roles.

use merit_engine::{Engine, Key};
use merit_terms::{AccountId, Credential, KeyId, Role, Time};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::exchange::Exchange;
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

/// Returns the versions of a key whose secrets are valid at `at`.
fn usable_versions(key: &Key, at: Time) -> impl Iterator<Item = u32> {
    [key.is_live(at).then_some(key.version), key.previous_version(at)].into_iter().flatten()
}

impl Exchange {
    /// Returns the holder of what a request opens: its account, or the address of a caller without a key. None for a
    /// caller in this process.
    pub(crate) fn holder<T>(&self, request: &Request<T>) -> Result<Option<quota::Holder>, Status> {
        Ok(match caller(request)? {
            Identity::InProcess => None,
            Identity::Keyless | Identity::Stranger => Some(quota::Holder::peer(request.extensions().get())),
            Identity::Key(holder) => Some(self.account_holder(holder.account)),
        })
    }

    /// Returns the account behind an identity as the holder of what it opens. None if it has no account.
    pub(crate) fn holder_of(&self, identity: Identity) -> Option<quota::Holder> {
        identity.account().map(|account| self.account_holder(account))
    }

    fn account_holder(&self, account: AccountId) -> quota::Holder {
        let name = |engine: &Engine| engine.account(account).map(|account| account.name.clone()).ok();
        self.0.sequencer.read(name).map_or(quota::Holder::Peer(None), |name| quota::Holder::Account(name.into()))
    }

    /// Finds the identity behind a credential. Refuses one that is not valid now.
    pub(crate) fn identify(&self, credential: &Credential) -> Result<Identity, Status> {
        let key = self.0.sequencer.read(|engine| engine.key(credential.id).cloned());
        let mut versions: Vec<u32> = key.iter().flat_map(|key| usable_versions(key, self.0.sequencer.now())).collect();
        let key = key.filter(|_| !versions.is_empty());
        if versions.is_empty() {
            // A key that is unknown, revoked or expired takes as long as one whose secret is wrong.
            versions.push(1);
        }
        let is_of = |version: &u32| self.0.key.is_secret(credential.id, *version, &credential.secret);
        match (versions.into_iter().find(is_of), key) {
            (Some(version), Some(key)) => {
                Ok(Identity::Key(Holder { key: key.id, version, role: key.role, account: key.account }))
            }
            _ => Err(not_accepted()),
        }
    }

    /// Returns true if the credential of an open stream would be accepted now.
    fn is_accepted(&self, holder: &Holder) -> bool {
        let now = self.0.sequencer.now();
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
        let now = self.0.sequencer.now();
        self.0.sequencer.read(|engine| engine.keys().any(|key| key.role == role && key.is_live(now)))
    }
}
