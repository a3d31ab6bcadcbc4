//! The permits by which providers read code: the proof of a lease, or a warming order.
//!
//! Both are MACs by keys that no provider has. (A lease's token would not do: its key is that of the provider's own
//! session.) Each is for one provider and one revision, for a time.

use merit_engine::{Engine, Provider};
use merit_proto::v1::read_permit::Permit;
use merit_proto::{TokenError, refusal_status, required, v1};
use merit_terms::{FunctionId, Name, ProviderId, Refusal, Role, Time, WARMING_MAX_S};
use tonic::Status;

use crate::access::Identity;
use crate::exchange::Exchange;

/// A revision that a permit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PermittedRevision {
    provider: ProviderId,
    pub(super) function: FunctionId,
    pub(super) revision: u32,
}

impl Exchange {
    /// Makes the order by which a provider in this session reads the revision that it is asked to load.
    pub(super) fn warming_order(&self, provider: &str, session: u32, request: &v1::WarmModule) -> v1::WarmingOrder {
        let terms = v1::WarmingTerms {
            provider: provider.to_owned(),
            session,
            account: request.account.clone(),
            function: request.function.clone(),
            revision: request.revision,
            module: request.module.clone(),
            expires: self.0.sequencer.now().after_millis(u64::from(WARMING_MAX_S) * 1_000).micros(),
        };
        merit_proto::order_warming(&self.0.warming_key, &terms)
    }

    /// Checks a permit. Refuses one that is forged, over, or for a provider that the caller does not sell as.
    pub(super) fn permitted(&self, caller: Identity, permit: v1::ReadPermit) -> Result<PermittedRevision, Status> {
        let permitted = match required("permit", permit.permit)? {
            Permit::Lease(proof) => {
                let terms = self.proven(&proof)?;
                in_time(self.0.sequencer.now(), terms.settle_by, "the lease's time to be settled is over")?;
                PermittedRevision { provider: terms.provider, function: terms.function, revision: terms.revision }
            }
            Permit::Warming(order) => self.ordered(&order)?,
        };
        let sells = |provider: &Provider| {
            caller.is_operator() || (caller.has(Role::Provider) && caller.account() == Some(provider.account))
        };
        match self.0.sequencer.read(|engine| engine.provider(permitted.provider).is_some_and(sells)) {
            true => Ok(permitted),
            false => Err(forbidden("permit: it is another provider's")),
        }
    }

    fn ordered(&self, order: &v1::WarmingOrder) -> Result<PermittedRevision, Status> {
        let forged = |error: TokenError| forbidden(&format!("permit: {error}"));
        let terms = merit_proto::check_order(&self.0.warming_key, order).map_err(forged)?;
        in_time(self.0.sequencer.now(), Time::from_micros(terms.expires), "the warming order has expired")?;
        let find = |engine: &Engine| {
            let name: Name = terms.provider.parse().ok()?;
            let provider = engine.find_provider(&name)?;
            let is_on = engine.provider(provider).is_some_and(|known| known.online && known.session == terms.session);
            let account = engine.find_account(&terms.account)?;
            let function = engine.find_function(account, &terms.function.parse().ok()?)?;
            let may_run = engine.may_run(provider, function, terms.revision);
            let permitted = PermittedRevision { provider, function, revision: terms.revision };
            (is_on && may_run && permitted.module(engine)? == terms.module.as_slice()).then_some(permitted)
        };
        let message = "permit: its session is over, or the function no longer lets this provider run the revision";
        self.0.sequencer.read(find).ok_or_else(|| forbidden(message))
    }
}

impl PermittedRevision {
    /// Returns whether it is the revision of these names.
    pub(super) fn is(&self, engine: &Engine, asked: &v1::GetRevisionRequest) -> bool {
        let named = |function: &merit_engine::Function| {
            let account = engine.account(function.account).is_ok_and(|account| account.name == asked.account);
            account && function.name.as_str() == asked.function
        };
        self.revision == asked.revision && engine.function(self.function).is_some_and(named)
    }

    /// Returns the digest of its module.
    pub(super) fn module(&self, engine: &Engine) -> Option<[u8; 32]> {
        engine.function(self.function)?.revision(self.revision)?.code.module
    }
}

fn in_time(now: Time, until: Time, message: &str) -> Result<(), Status> {
    if now < until { Ok(()) } else { Err(forbidden(&format!("permit: {message}"))) }
}

pub(super) fn forbidden(message: &str) -> Status {
    refusal_status(&Refusal::Forbidden { message: message.to_owned() })
}
