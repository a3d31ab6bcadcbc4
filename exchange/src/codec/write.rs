//! Commands as journal records.

use merit_engine::{Bid, Command, CorrectionKind, NotSent, Settle};
use merit_proto::v1;
use merit_proto::v1::journal_record as record;
use merit_terms::{Limits, Time};

use super::values::*;

pub(super) fn record(command: &Command) -> record::Command {
    use record::Command as R;
    match command {
        Command::Start { run } => R::Start(record::Start { run: *run }),
        Command::Tick => R::Tick(record::Tick {}),
        Command::CreateMarket { name } => R::CreateMarket(record::CreateMarket { name: name.to_string() }),
        Command::OpenAccount { name } => R::OpenAccount(record::OpenAccount { name: name.to_string() }),
        Command::Deposit { account, amount } => {
            R::Deposit(record::Deposit { account: account.number(), amount: amount.picodollars() })
        }
        Command::SetFee { basis_points } => R::SetFee(record::SetFee { basis_points: *basis_points }),
        Command::RegisterProvider(command) => R::RegisterProvider(record::RegisterProvider {
            name: command.name.to_string(),
            account: command.account.number(),
            kind: kind_to_proto(command.kind).into(),
            labels: command.labels.clone(),
        }),
        Command::PutFunction(command) => R::PutFunction(record::PutFunction {
            account: command.account.number(),
            name: command.name.to_string(),
            code: Some(code_to_proto(&command.code)),
            settings: Some(settings_to_proto(&command.settings)),
        }),
        Command::DeleteFunction { function } => {
            R::DeleteFunction(record::DeleteFunction { function: function.number() })
        }
        Command::PutAlias { function, alias, revision, canary } => R::PutAlias(record::PutAlias {
            function: function.number(),
            alias: alias.to_string(),
            revision: *revision,
            canary: canary.map(canary_to_proto),
        }),
        Command::Logon(logon) => R::Logon(record::Logon {
            provider: logon.provider.number(),
            endpoint: logon.endpoint.clone(),
            pools: logon.pools.iter().map(Into::into).collect(),
            quotas: logon.quotas.iter().map(Into::into).collect(),
            protection: logon.protection.map(Into::into),
            adapter: adapter_to_proto(logon.adapter).into(),
            endpoint_trusted: logon.endpoint_trusted,
        }),
        Command::StatePools { provider, session, pools } => R::StatePools(record::StatePools {
            provider: provider.number(),
            session: *session,
            pools: pools.iter().map(Into::into).collect(),
        }),
        Command::Busy { provider, session, pool } => {
            R::Busy(record::Busy { provider: provider.number(), session: *session, pool: *pool })
        }
        Command::Quote(quote) => R::Quote(record::Quote {
            provider: quote.provider.number(),
            session: quote.session,
            market: quote.market.number(),
            number: quote.number,
            rungs: quote.rungs.iter().map(Into::into).collect(),
        }),
        Command::CancelAll { provider, session } => {
            R::CancelAll(record::CancelAll { provider: provider.number(), session: *session })
        }
        Command::Disconnect { provider, session } => {
            R::Disconnect(record::Disconnect { provider: provider.number(), session: *session })
        }
        Command::Acquire(bid) => R::Acquire(acquire(bid)),
        Command::Settle(settle) => R::Settle(settled(settle)),
        Command::Release { lease, why } => R::Release(record::Release {
            lease: Some((*lease).into()),
            busy: *why == NotSent::Busy,
            failed: *why == NotSent::Failed,
        }),
        Command::ActivateRules { version } => R::ActivateRules(record::ActivateRules { version: *version }),
        Command::SetMarket { market, terms } => {
            R::SetMarket(record::SetMarket { market: market.number(), terms: Some(market_terms_to_proto(terms)) })
        }
        Command::Payout { account, amount } => {
            R::Payout(record::Payout { account: account.number(), amount: amount.picodollars() })
        }
        Command::Correct(correction) => R::Correct(record::Correct {
            refund: correction.kind == CorrectionKind::Refund,
            from: correction.from.number(),
            to: correction.to.number(),
            amount: correction.amount.picodollars(),
            about: correction.about.map(Into::into),
            reason: correction.reason.clone(),
        }),
        Command::FreezeAccount { account, frozen } => {
            R::FreezeAccount(record::FreezeAccount { account: account.number(), frozen: *frozen })
        }
        Command::SetAccountLimits { account, limits } => R::SetAccountLimits(record::SetAccountLimits {
            account: account.number(),
            limits: Some(account_limits_to_proto(limits)),
        }),
        Command::SetProviderLimits { provider, limits } => R::SetProviderLimits(record::SetProviderLimits {
            provider: provider.number(),
            limits: Some(provider_limits_to_proto(limits)),
        }),
        Command::GrantLabels { provider, labels } => {
            R::GrantLabels(record::GrantLabels { provider: provider.number(), labels: labels.clone() })
        }
        Command::Kill { provider, reason } => {
            R::Kill(record::Kill { provider: provider.number(), reason: reason.clone() })
        }
        Command::Revive { provider } => R::Revive(record::Revive { provider: provider.number() }),
        Command::Logout { provider, session } => {
            R::Logout(record::Logout { provider: provider.number(), session: *session })
        }
        Command::Claim { lease, usage } => {
            R::Claim(record::Claim { lease: Some((*lease).into()), usage: Some(usage.into()) })
        }
        Command::BrokerLogon { resumes } => R::BrokerLogon(record::BrokerLogon { resumes: *resumes }),
        Command::BrokerLost { session } => R::BrokerLost(record::BrokerLost { session: *session }),
        Command::Defer(deferred) => R::Defer(record::Defer {
            bid: Some(acquire(&deferred.bid)),
            deadline: deferred.deadline.micros(),
            then: at_deadline_to_proto(deferred.then).into(),
        }),
        Command::TakeUp { lease } => R::TakeUp(record::TakeUp { lease: Some((*lease).into()) }),
        Command::CancelBid { account, bid } => {
            R::CancelBid(record::CancelBid { account: account.number(), bid: Some((*bid).into()) })
        }
        Command::SettleForgotten(forgotten) => R::SettleForgotten(record::SettleForgotten {
            terms: Some(lease_terms_to_proto(&forgotten.terms)),
            settle: Some(settled(&forgotten.settle)),
        }),
        Command::CloseLease { lease } => R::CloseLease(record::CloseLease { lease: Some((*lease).into()) }),
        Command::CreateKey { role, account, expires } => R::CreateKey(record::CreateKey {
            role: v1::Role::from(*role).into(),
            account: account.number(),
            expires: expires.map(Time::micros),
        }),
        Command::RevokeKey { key } => R::RevokeKey(record::RevokeKey { key: key.0 }),
        Command::RotateKey { key, previous_until } => {
            R::RotateKey(record::RotateKey { key: key.0, previous_until: previous_until.map(Time::micros) })
        }
    }
}

fn acquire(bid: &Bid) -> record::Acquire {
    record::Acquire {
        account: bid.account.number(),
        function: bid.function.number(),
        qualifier: qualifier_to_proto(&bid.qualifier),
        answer_limit_bytes: bid.answer_limit_bytes,
        limits: (bid.limits != Limits::default()).then(|| (&bid.limits).into()),
        tried: bid.tried.iter().map(|provider| provider.number()).collect(),
        invocation: bid.invocation.map(Into::into),
        request: bid.request.map(request_to_proto),
    }
}

fn settled(settle: &Settle) -> record::Settle {
    record::Settle {
        lease: Some(settle.lease.into()),
        execution: v1::Execution::from(settle.execution).into(),
        outcome: v1::Outcome::from(settle.outcome).into(),
        reported: settle.reported.as_ref().map(Into::into),
        observed_us: settle.observed_us,
        egress_bytes: settle.egress_bytes,
        fault: settle.fault,
    }
}
