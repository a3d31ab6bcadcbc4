//! The execution of commands: one arm each, which calls the wing that it is about.
//!
//! Definitions and the operator's commands are executed in the files here; sessions in `supply`, bids in `demand`,
//! leases in `leases`.

mod account;
pub(crate) mod expire;
mod function;
mod key;
mod market;
mod provider;
mod run;

use merit_terms::Refusal;

use crate::Engine;
use crate::command::Command;
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    pub(crate) fn execute(&mut self, turn: &mut Turn<'_>, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Start { run } => self.start(turn, *run),
            Command::BindMasterKey { check } => self.bind_master_key(*check),
            Command::Tick => Ok(Reply::Done),
            Command::ActivateRules { version } => self.activate_rules(*version),
            Command::CreateMarket { name } => self.create_market(turn, name),
            Command::SetMarket { market, terms } => self.set_market(turn, *market, *terms),
            Command::DeleteMarket { market } => self.delete_market(turn, *market),
            Command::OpenAccount { name } => self.open_account(turn, name),
            Command::Deposit { account, amount } => self.deposit(turn, *account, *amount),
            Command::Payout { account, amount } => self.payout(turn, *account, *amount),
            Command::Correct(correction) => self.correct(turn, correction),
            Command::FreezeAccount { account, frozen } => self.freeze(*account, *frozen),
            Command::SetAccountLimits { account, limits } => self.set_account_limits(*account, limits),
            Command::SetFee { basis_points } => self.set_fee(*basis_points),
            Command::RegisterProvider(command) => self.register_provider(turn, command),
            Command::SetProviderLimits { provider, limits } => self.set_provider_limits(*provider, *limits),
            Command::SetTargets { provider, targets } => self.set_targets(*provider, targets),
            Command::GrantLabels { provider, labels } => self.grant_labels(*provider, labels),
            Command::Kill { provider, reason } => self.kill(turn, *provider, reason),
            Command::Revive { provider } => self.revive(*provider),
            Command::PutFunction(command) => self.put_function(command),
            Command::DeleteFunction { function } => self.registry.delete_function(*function).map(|()| Reply::Done),
            Command::PutAlias { function, alias, revision, canary } => {
                self.registry.put_alias(*function, alias, *revision, *canary).map(|()| Reply::Done)
            }
            Command::Logon(logon) => self.logon(turn, logon),
            Command::StatePools { provider, session, pools } => self.state_pools(turn, *provider, *session, pools),
            Command::Busy { provider, session, pool } => self.busy(turn, *provider, *session, *pool),
            Command::Quote(quote) => self.quote_ladder(turn, quote),
            Command::CancelAll { provider, session } => self.cancel_all(turn, *provider, *session),
            Command::Logout { provider, session } => self.logout(turn, *provider, *session),
            Command::Disconnect { provider, session } => self.disconnect(turn, *provider, *session),
            Command::Claim { lease, usage } => self.claim(turn, *lease, *usage),
            Command::BrokerLogon { resumes } => self.broker_logon(turn, *resumes),
            Command::BrokerLost { session } => self.broker_lost(*session),
            Command::Acquire(bid) => self.acquire(turn, bid),
            Command::Defer(deferred) => self.defer(turn, deferred),
            Command::TakeUp { lease } => self.take_up(turn, *lease),
            Command::CancelBid { account, bid } => self.cancel_bid(turn, *account, *bid),
            Command::Settle(settle) => self.settle(turn, settle),
            Command::SettleForgotten(forgotten) => self.settle_forgotten(turn, forgotten),
            Command::Release { lease, why } => self.release(turn, *lease, *why),
            Command::CloseLease { lease } => self.close_lease(turn, *lease),
            Command::CreateKey { role, account, expires } => self.create_key(turn, *role, *account, *expires),
            Command::RevokeKey { key } => self.revoke_key(turn, *key),
            Command::RotateKey { key, previous_until } => self.rotate_key(turn, *key, *previous_until),
        }
    }
}
