//! Names found in the engine, commands applied, and the refusals that all services share.
//!
//! Another account's object is answered exactly like one that does not exist.

use merit_engine::{Command, Engine, LeaseTerms, Reply};
use merit_proto::{FieldError, TokenError, refusal_status, v1};
use merit_terms::{AccountId, FunctionId, MarketId, Name, ProviderId, Refusal};
use tonic::Status;

use crate::access::Identity;
use crate::exchange::Exchange;
use crate::messages::lease_terms_from_proto;
use crate::sequencer::SubmitError;

impl Exchange {
    /// Applies a command and waits until it is durable. Returns its reply and sequence, 0 if it changed nothing.
    pub(super) async fn command(&self, command: &Command) -> Result<(Reply, u64), Status> {
        let submitted = self.0.sequencer.submit(command).map_err(unavailable)?;
        let reply = submitted.applied.reply.map_err(|refusal| refusal_status(&refusal))?;
        submitted.durable.wait().await.map_err(unavailable)?;
        Ok((reply, submitted.applied.sequence.unwrap_or(0)))
    }

    pub(super) fn account_id(&self, name: &str) -> Result<AccountId, Status> {
        // The exchange's own accounts sell and buy nothing.
        let find = |engine: &Engine| {
            let id = engine.find_account(name)?;
            engine.account(id).is_ok_and(|account| !account.is_system()).then_some(id)
        };
        self.0.sequencer.read(find).ok_or_else(|| unknown("account", name))
    }

    /// Finds an account that the caller acts for.
    pub(super) fn own_account(&self, caller: Identity, name: &str) -> Result<AccountId, Status> {
        let id = self.account_id(name)?;
        if caller.acts_for(id) { Ok(id) } else { Err(unknown("account", name)) }
    }

    /// Finds an account that the caller may see.
    pub(super) fn readable_account(&self, caller: Identity, name: &str) -> Result<AccountId, Status> {
        let id = self.account_id(name)?;
        if caller.reads_of(id) { Ok(id) } else { Err(unknown("account", name)) }
    }

    /// Checks a lease's proof. Returns its terms.
    pub(super) fn proven(&self, proof: &v1::LeaseProof) -> Result<LeaseTerms, Status> {
        let forged = |error: TokenError| refusal_status(&Refusal::Forbidden { message: format!("proof: {error}") });
        let terms = merit_proto::check_proof(&self.0.lease_key, proof).map_err(forged)?;
        Ok(lease_terms_from_proto(&terms)?)
    }

    pub(super) fn provider_id(&self, name: &str) -> Result<ProviderId, Status> {
        let parsed: Name = parse("provider", name)?;
        self.0.sequencer.read(|engine| engine.find_provider(&parsed)).ok_or_else(|| unknown("provider", name))
    }

    pub(super) fn function_id(&self, account: AccountId, name: &str) -> Result<FunctionId, Status> {
        let parsed: Name = parse("function", name)?;
        let found = self.0.sequencer.read(|engine| engine.find_function(account, &parsed));
        found.ok_or_else(|| unknown("function", name))
    }

    pub(super) fn market_id(&self, name: &str) -> Result<MarketId, Status> {
        let parsed = parse("market", name)?;
        self.0.sequencer.read(|engine| engine.find_market(&parsed)).ok_or_else(|| unknown("market", name))
    }
}

pub(super) fn unavailable(error: SubmitError) -> Status {
    Status::unavailable(error.to_string())
}

pub(super) fn unknown(what: &'static str, name: &str) -> Status {
    refusal_status(&Refusal::Unknown { what, name: name.to_owned() })
}

pub(super) fn parse<T: std::str::FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|error: T::Err| FieldError::new(field, error.to_string()).into())
}

pub(super) fn provider_name(engine: &Engine, id: ProviderId) -> String {
    engine.provider(id).map_or_else(String::new, |provider| provider.name.to_string())
}
