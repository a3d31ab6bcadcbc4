//! The table of commands: the name of each kind, its record, and the command again.
//!
//! One entry a command, and one place to add the next: the compiler refuses a command or a record without an entry.

use merit_engine as engine;
use merit_engine::{Command, CorrectionKind, NotSent};
use merit_proto::v1;
use merit_proto::v1::journal_record as record;
use merit_proto::{FieldError, required};
use merit_terms::{AccountId, FunctionId, KeyId, LeaseId, MarketId, PoolSize, ProviderId, Time};

use super::bids::{acquire, bid, settle, settled};
use crate::messages::*;

/// Writes the three functions of the table. An entry is `"kind" Variant { command => record, record => command }`.
macro_rules! commands {
    ($($kind:literal $variant:ident { $command:pat => $encoded:expr, $record:pat => $decoded:expr, })*) => {
        /// All kinds of commands, by name.
        #[cfg(test)]
        pub(super) const KINDS: &[&str] = &[$($kind),*];

        /// Names the kind of a command, as in the journal's protocol.
        pub fn kind(command: &Command) -> &'static str {
            match command {
                $(Command::$variant { .. } => $kind,)*
            }
        }

        /// Encodes a command as a record.
        pub(super) fn record(command: &Command) -> record::Command {
            match command {
                $($command => record::Command::$variant($encoded),)*
            }
        }

        /// Decodes a record. Refuses a field that no command can have.
        pub(super) fn command(record: record::Command) -> Result<Command, FieldError> {
            Ok(match record {
                $(record::Command::$variant($record) => $decoded,)*
            })
        }
    };
}

commands! {
    "start" Start {
        Command::Start { run } => record::Start { run: *run },
        r => Command::Start { run: r.run },
    }

    "bind_master_key" BindMasterKey {
        Command::BindMasterKey { check } => record::BindMasterKey { check: *check },
        r => Command::BindMasterKey { check: r.check },
    }

    "tick" Tick {
        Command::Tick => record::Tick {},
        _ => Command::Tick,
    }

    "activate_rules" ActivateRules {
        Command::ActivateRules { version } => record::ActivateRules { version: *version },
        r => Command::ActivateRules { version: r.version },
    }

    "create_market" CreateMarket {
        Command::CreateMarket { name } => record::CreateMarket { name: name.to_string() },
        r => Command::CreateMarket { name: parse("name", &r.name)? },
    }

    "set_market" SetMarket {
        Command::SetMarket { market, terms } => record::SetMarket {
            market: market.number(),
            terms: Some(market_terms_to_proto(terms)),
        },
        r => Command::SetMarket {
            market: MarketId::new(r.market),
            terms: market_terms_from_proto(&required("terms", r.terms)?)?,
        },
    }

    "delete_market" DeleteMarket {
        Command::DeleteMarket { market } => record::DeleteMarket { market: market.number() },
        r => Command::DeleteMarket { market: MarketId::new(r.market) },
    }

    "open_account" OpenAccount {
        Command::OpenAccount { name } => record::OpenAccount { name: name.to_string() },
        r => Command::OpenAccount { name: parse("name", &r.name)? },
    }

    "deposit" Deposit {
        Command::Deposit { account, amount } => record::Deposit {
            account: account.number(),
            amount: amount.picodollars(),
        },
        r => Command::Deposit { account: AccountId::new(r.account), amount: money("amount", r.amount)? },
    }

    "payout" Payout {
        Command::Payout { account, amount } => record::Payout {
            account: account.number(),
            amount: amount.picodollars(),
        },
        r => Command::Payout { account: AccountId::new(r.account), amount: money("amount", r.amount)? },
    }

    "correct" Correct {
        Command::Correct(correction) => record::Correct {
            refund: correction.kind == CorrectionKind::Refund,
            from: correction.from.number(),
            to: correction.to.number(),
            amount: correction.amount.picodollars(),
            about: correction.about.map(Into::into),
            reason: correction.reason.clone(),
        },
        r => Command::Correct(Box::new(engine::Correction {
            kind: if r.refund { CorrectionKind::Refund } else { CorrectionKind::Correction },
            from: AccountId::new(r.from),
            to: AccountId::new(r.to),
            amount: money("amount", r.amount)?,
            about: r.about.map(Into::into),
            reason: r.reason,
        })),
    }

    "freeze_account" FreezeAccount {
        Command::FreezeAccount { account, frozen } => record::FreezeAccount {
            account: account.number(),
            frozen: *frozen,
        },
        r => Command::FreezeAccount { account: AccountId::new(r.account), frozen: r.frozen },
    }

    "set_account_limits" SetAccountLimits {
        Command::SetAccountLimits { account, limits } => record::SetAccountLimits {
            account: account.number(),
            limits: Some(account_limits_to_proto(limits)),
        },
        r => Command::SetAccountLimits {
            account: AccountId::new(r.account),
            limits: account_limits_from_proto(&required("limits", r.limits)?)?,
        },
    }

    "set_fee" SetFee {
        Command::SetFee { basis_points } => record::SetFee { basis_points: *basis_points },
        r => Command::SetFee { basis_points: r.basis_points },
    }

    "register_provider" RegisterProvider {
        Command::RegisterProvider(command) => record::RegisterProvider {
            name: command.name.to_string(),
            account: command.account.number(),
            kind: kind_to_proto(command.kind).into(),
            labels: command.labels.clone(),
        },
        r => Command::RegisterProvider(engine::RegisterProvider {
            name: parse("name", &r.name)?,
            account: AccountId::new(r.account),
            kind: kind_from_proto(r.kind())?,
            labels: r.labels,
        }),
    }

    "set_provider_limits" SetProviderLimits {
        Command::SetProviderLimits { provider, limits } => record::SetProviderLimits {
            provider: provider.number(),
            limits: Some(provider_limits_to_proto(limits)),
        },
        r => Command::SetProviderLimits {
            provider: ProviderId::new(r.provider),
            limits: provider_limits_from_proto(&required("limits", r.limits)?)?,
        },
    }

    "grant_labels" GrantLabels {
        Command::GrantLabels { provider, labels } => record::GrantLabels {
            provider: provider.number(),
            labels: labels.clone(),
        },
        r => Command::GrantLabels { provider: ProviderId::new(r.provider), labels: r.labels },
    }

    "set_targets" SetTargets {
        Command::SetTargets { provider, targets } => record::SetTargets {
            provider: provider.number(),
            targets: Some(targets_to_proto(targets)),
        },
        r => Command::SetTargets {
            provider: ProviderId::new(r.provider),
            targets: targets_from_proto(&required("targets", r.targets)?)?,
        },
    }

    "kill" Kill {
        Command::Kill { provider, reason } => record::Kill { provider: provider.number(), reason: reason.clone() },
        r => Command::Kill { provider: ProviderId::new(r.provider), reason: r.reason },
    }

    "revive" Revive {
        Command::Revive { provider } => record::Revive { provider: provider.number() },
        r => Command::Revive { provider: ProviderId::new(r.provider) },
    }

    "put_function" PutFunction {
        Command::PutFunction(command) => record::PutFunction {
            account: command.account.number(),
            name: command.name.to_string(),
            code: Some(code_to_proto(&command.code)),
            settings: Some(settings_to_proto(&command.settings)),
        },
        r => Command::PutFunction(Box::new(engine::PutFunction {
            account: AccountId::new(r.account),
            name: parse("name", &r.name)?,
            code: code_from_proto(required("code", r.code)?)?,
            settings: settings_from_proto(required("settings", r.settings)?)?,
        })),
    }

    "delete_function" DeleteFunction {
        Command::DeleteFunction { function } => record::DeleteFunction { function: function.number() },
        r => Command::DeleteFunction { function: FunctionId::new(r.function) },
    }

    "put_alias" PutAlias {
        Command::PutAlias { function, alias, revision, canary } => record::PutAlias {
            function: function.number(),
            alias: alias.to_string(),
            revision: *revision,
            canary: canary.map(canary_to_proto),
        },
        r => Command::PutAlias {
            function: FunctionId::new(r.function),
            alias: parse("alias", &r.alias)?,
            revision: r.revision,
            canary: r.canary.map(canary_from_proto),
        },
    }

    "logon" Logon {
        Command::Logon(logon) => record::Logon {
            provider: logon.provider.number(),
            endpoint: logon.endpoint.clone(),
            pools: logon.pools.iter().map(Into::into).collect(),
            quotas: logon.quotas.iter().map(Into::into).collect(),
            protection: logon.protection.map(Into::into),
            adapter: v1::Adapter::from(logon.adapter).into(),
            endpoint_trusted: logon.endpoint_trusted,
            targets: logon.targets.as_deref().map(targets_to_proto),
        },
        r => Command::Logon(Box::new(engine::Logon {
            provider: ProviderId::new(r.provider),
            endpoint: r.endpoint,
            pools: pools(r.pools),
            quotas: r.quotas.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            adapter: adapter_from_proto(r.adapter)?,
            endpoint_trusted: r.endpoint_trusted,
            targets: r.targets.as_ref().map(targets_from_proto).transpose()?,
            protection: r.protection.map(Into::into),
        })),
    }

    "state_pools" StatePools {
        Command::StatePools { provider, session, pools } => record::StatePools {
            provider: provider.number(),
            session: *session,
            pools: pools.iter().map(Into::into).collect(),
        },
        r => Command::StatePools { provider: ProviderId::new(r.provider), session: r.session, pools: pools(r.pools) },
    }

    "busy" Busy {
        Command::Busy { provider, session, pool } => record::Busy {
            provider: provider.number(),
            session: *session,
            pool: *pool,
        },
        r => Command::Busy { provider: ProviderId::new(r.provider), session: r.session, pool: r.pool },
    }

    "quote" Quote {
        Command::Quote(quote) => record::Quote {
            provider: quote.provider.number(),
            session: quote.session,
            market: quote.market.number(),
            number: quote.number,
            rungs: quote.rungs.iter().map(Into::into).collect(),
        },
        r => Command::Quote(engine::Quote {
            provider: ProviderId::new(r.provider),
            session: r.session,
            market: MarketId::new(r.market),
            number: r.number,
            rungs: r.rungs.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        }),
    }

    "cancel_all" CancelAll {
        Command::CancelAll { provider, session } => record::CancelAll {
            provider: provider.number(),
            session: *session,
        },
        r => Command::CancelAll { provider: ProviderId::new(r.provider), session: r.session },
    }

    "logout" Logout {
        Command::Logout { provider, session } => record::Logout { provider: provider.number(), session: *session },
        r => Command::Logout { provider: ProviderId::new(r.provider), session: r.session },
    }

    "disconnect" Disconnect {
        Command::Disconnect { provider, session } => record::Disconnect {
            provider: provider.number(),
            session: *session,
        },
        r => Command::Disconnect { provider: ProviderId::new(r.provider), session: r.session },
    }

    "claim" Claim {
        Command::Claim { lease, usage } => record::Claim { lease: Some((*lease).into()), usage: Some(usage.into()) },
        r => Command::Claim { lease: lease(r.lease)?, usage: required("usage", r.usage.as_ref())?.into() },
    }

    "broker_logon" BrokerLogon {
        Command::BrokerLogon { resumes } => record::BrokerLogon { resumes: *resumes },
        r => Command::BrokerLogon { resumes: r.resumes },
    }

    "broker_lost" BrokerLost {
        Command::BrokerLost { session } => record::BrokerLost { session: *session },
        r => Command::BrokerLost { session: r.session },
    }

    "acquire" Acquire {
        Command::Acquire(bid) => acquire(bid),
        r => Command::Acquire(Box::new(bid(r)?)),
    }

    "defer" Defer {
        Command::Defer(deferred) => record::Defer {
            bid: Some(acquire(&deferred.bid)),
            deadline: deferred.deadline.micros(),
            then: at_deadline_to_proto(deferred.then).into(),
        },
        r => Command::Defer(Box::new(engine::Deferred {
            then: at_deadline_from_proto(r.then())?,
            deadline: Time::from_micros(r.deadline),
            bid: bid(required("bid", r.bid)?)?,
        })),
    }

    "take_up" TakeUp {
        Command::TakeUp { lease } => record::TakeUp { lease: Some((*lease).into()) },
        r => Command::TakeUp { lease: lease(r.lease)? },
    }

    "cancel_bid" CancelBid {
        Command::CancelBid { account, bid } => record::CancelBid {
            account: account.number(),
            bid: Some((*bid).into()),
        },
        r => Command::CancelBid { account: AccountId::new(r.account), bid: required("bid", r.bid)?.into() },
    }

    "settle" Settle {
        Command::Settle(settle) => settled(settle),
        r => Command::Settle(settle(r)?),
    }

    "settle_forgotten" SettleForgotten {
        Command::SettleForgotten(forgotten) => record::SettleForgotten {
            terms: Some(lease_terms_to_proto(&forgotten.terms)),
            settle: Some(settled(&forgotten.settle)),
        },
        r => Command::SettleForgotten(Box::new(engine::Forgotten {
            terms: lease_terms_from_proto(&required("terms", r.terms)?)?,
            settle: settle(required("settle", r.settle)?)?,
        })),
    }

    "release" Release {
        Command::Release { lease, why } => record::Release {
            lease: Some((*lease).into()),
            busy: *why == NotSent::Busy,
            failed: *why == NotSent::Failed,
            replaced: *why == NotSent::Replaced,
            warming_s: match why {
                NotSent::Warming { retry_after_s } => (*retry_after_s).max(1),
                _ => 0,
            },
        },
        r => {
            let why = match (r.busy, r.failed, r.replaced, r.warming_s) {
                (false, false, false, 0) => NotSent::Withdrawn,
                (true, false, false, 0) => NotSent::Busy,
                (false, true, false, 0) => NotSent::Failed,
                (false, false, true, 0) => NotSent::Replaced,
                (false, false, false, retry_after_s) => NotSent::Warming { retry_after_s },
                _ => return Err(FieldError::new("busy", "failed, replaced or warming: more than one at once")),
            };
            Command::Release { lease: lease(r.lease)?, why }
        },
    }

    "close_lease" CloseLease {
        Command::CloseLease { lease } => record::CloseLease { lease: Some((*lease).into()) },
        r => Command::CloseLease { lease: lease(r.lease)? },
    }

    "create_key" CreateKey {
        Command::CreateKey { role, account, expires } => record::CreateKey {
            role: v1::Role::from(*role).into(),
            account: account.number(),
            expires: expires.map(Time::micros),
        },
        r => Command::CreateKey {
            role: r.role().try_into()?,
            account: AccountId::new(r.account),
            expires: r.expires.map(Time::from_micros),
        },
    }

    "revoke_key" RevokeKey {
        Command::RevokeKey { key } => record::RevokeKey { key: key.0 },
        r => Command::RevokeKey { key: KeyId(r.key) },
    }

    "rotate_key" RotateKey {
        Command::RotateKey { key, previous_until } => record::RotateKey {
            key: key.0,
            previous_until: previous_until.map(Time::micros),
        },
        r => Command::RotateKey { key: KeyId(r.key), previous_until: r.previous_until.map(Time::from_micros) },
    }
}

fn lease(id: Option<v1::LeaseId>) -> Result<LeaseId, FieldError> {
    Ok(required("lease", id)?.into())
}

fn pools(pools: Vec<v1::PoolSize>) -> Vec<PoolSize> {
    pools.iter().map(Into::into).collect()
}
