//! Journal records as commands.

use merit_engine as engine;
use merit_engine::{Command, CorrectionKind, NotSent};
use merit_proto::v1;
use merit_proto::v1::journal_record as record;
use merit_proto::{FieldError, required};
use merit_terms::{AccountId, FunctionId, KeyId, LeaseId, MarketId, ProviderId, Time};

use super::values::*;

pub(super) fn command(record: record::Command) -> Result<Command, FieldError> {
    use record::Command as R;
    let pools = |pools: Vec<v1::PoolSize>| pools.iter().map(Into::into).collect();
    Ok(match record {
        R::Start(r) => Command::Start { run: r.run },
        R::Tick(_) => Command::Tick,
        R::CreateMarket(r) => Command::CreateMarket { name: parse("name", &r.name)? },
        R::OpenAccount(r) => Command::OpenAccount { name: parse("name", &r.name)? },
        R::Deposit(r) => Command::Deposit { account: AccountId::new(r.account), amount: money("amount", r.amount)? },
        R::SetFee(r) => Command::SetFee { basis_points: r.basis_points },
        R::RegisterProvider(r) => Command::RegisterProvider(engine::RegisterProvider {
            name: parse("name", &r.name)?,
            account: AccountId::new(r.account),
            kind: kind_from_proto(r.kind())?,
            labels: r.labels,
        }),
        R::PutFunction(r) => Command::PutFunction(Box::new(engine::PutFunction {
            account: AccountId::new(r.account),
            name: parse("name", &r.name)?,
            code: code_from_proto(required("code", r.code)?)?,
            settings: settings_from_proto(required("settings", r.settings)?)?,
        })),
        R::DeleteFunction(r) => Command::DeleteFunction { function: FunctionId::new(r.function) },
        R::PutAlias(r) => Command::PutAlias {
            function: FunctionId::new(r.function),
            alias: parse("alias", &r.alias)?,
            revision: r.revision,
            canary: r.canary.map(canary_from_proto),
        },
        R::Logon(r) => Command::Logon(Box::new(engine::Logon {
            provider: ProviderId::new(r.provider),
            endpoint: r.endpoint,
            pools: pools(r.pools),
            quotas: r.quotas.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            adapter: adapter_from_proto(r.adapter)?,
            endpoint_trusted: r.endpoint_trusted,
            protection: r.protection.map(Into::into),
        })),
        R::StatePools(r) => {
            Command::StatePools { provider: ProviderId::new(r.provider), session: r.session, pools: pools(r.pools) }
        }
        R::Busy(r) => Command::Busy { provider: ProviderId::new(r.provider), session: r.session, pool: r.pool },
        R::Quote(r) => Command::Quote(engine::Quote {
            provider: ProviderId::new(r.provider),
            session: r.session,
            market: MarketId::new(r.market),
            number: r.number,
            rungs: r.rungs.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        }),
        R::CancelAll(r) => Command::CancelAll { provider: ProviderId::new(r.provider), session: r.session },
        R::Disconnect(r) => Command::Disconnect { provider: ProviderId::new(r.provider), session: r.session },
        R::Acquire(r) => Command::Acquire(Box::new(bid(r)?)),
        R::Settle(r) => Command::Settle(settle(r)?),
        R::Release(r) => {
            let why = match (r.busy, r.failed) {
                (false, false) => NotSent::Withdrawn,
                (true, false) => NotSent::Busy,
                (false, true) => NotSent::Failed,
                (true, true) => return Err(FieldError::new("busy", "and failed at once")),
            };
            Command::Release { lease: lease(r.lease)?, why }
        }
        R::ActivateRules(r) => Command::ActivateRules { version: r.version },
        R::SetMarket(r) => Command::SetMarket {
            market: MarketId::new(r.market),
            terms: market_terms_from_proto(&required("terms", r.terms)?)?,
        },
        R::Payout(r) => Command::Payout { account: AccountId::new(r.account), amount: money("amount", r.amount)? },
        R::Correct(r) => Command::Correct(Box::new(engine::Correction {
            kind: if r.refund { CorrectionKind::Refund } else { CorrectionKind::Correction },
            from: AccountId::new(r.from),
            to: AccountId::new(r.to),
            amount: money("amount", r.amount)?,
            about: r.about.map(Into::into),
            reason: r.reason,
        })),
        R::FreezeAccount(r) => Command::FreezeAccount { account: AccountId::new(r.account), frozen: r.frozen },
        R::SetAccountLimits(r) => Command::SetAccountLimits {
            account: AccountId::new(r.account),
            limits: account_limits_from_proto(&required("limits", r.limits)?)?,
        },
        R::SetProviderLimits(r) => Command::SetProviderLimits {
            provider: ProviderId::new(r.provider),
            limits: provider_limits_from_proto(&required("limits", r.limits)?)?,
        },
        R::GrantLabels(r) => Command::GrantLabels { provider: ProviderId::new(r.provider), labels: r.labels },
        R::Kill(r) => Command::Kill { provider: ProviderId::new(r.provider), reason: r.reason },
        R::Revive(r) => Command::Revive { provider: ProviderId::new(r.provider) },
        R::Logout(r) => Command::Logout { provider: ProviderId::new(r.provider), session: r.session },
        R::Claim(r) => Command::Claim { lease: lease(r.lease)?, usage: required("usage", r.usage.as_ref())?.into() },
        R::BrokerLogon(r) => Command::BrokerLogon { resumes: r.resumes },
        R::BrokerLost(r) => Command::BrokerLost { session: r.session },
        R::Defer(r) => Command::Defer(Box::new(engine::Deferred {
            then: at_deadline_from_proto(r.then())?,
            deadline: Time::from_micros(r.deadline),
            bid: bid(required("bid", r.bid)?)?,
        })),
        R::TakeUp(r) => Command::TakeUp { lease: lease(r.lease)? },
        R::CancelBid(r) => {
            Command::CancelBid { account: AccountId::new(r.account), bid: required("bid", r.bid)?.into() }
        }
        R::SettleForgotten(r) => Command::SettleForgotten(Box::new(engine::Forgotten {
            terms: lease_terms_from_proto(&required("terms", r.terms)?)?,
            settle: settle(required("settle", r.settle)?)?,
        })),
        R::CloseLease(r) => Command::CloseLease { lease: lease(r.lease)? },
        R::CreateKey(r) => Command::CreateKey {
            role: r.role().try_into()?,
            account: AccountId::new(r.account),
            expires: r.expires.map(Time::from_micros),
        },
        R::RevokeKey(r) => Command::RevokeKey { key: KeyId(r.key) },
        R::RotateKey(r) => {
            Command::RotateKey { key: KeyId(r.key), previous_until: r.previous_until.map(Time::from_micros) }
        }
    })
}

fn lease(id: Option<v1::LeaseId>) -> Result<LeaseId, FieldError> {
    Ok(required("lease", id)?.into())
}

fn bid(r: record::Acquire) -> Result<engine::Bid, FieldError> {
    Ok(engine::Bid {
        account: AccountId::new(r.account),
        function: FunctionId::new(r.function),
        qualifier: qualifier_from_proto(r.qualifier)?,
        answer_limit_bytes: r.answer_limit_bytes,
        limits: r.limits.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
        tried: r.tried.into_iter().map(ProviderId::new).collect(),
        invocation: r.invocation.map(Into::into),
        request: r.request.map(request_from_proto),
    })
}

fn settle(r: record::Settle) -> Result<engine::Settle, FieldError> {
    Ok(engine::Settle {
        lease: lease(r.lease)?,
        execution: r.execution().try_into()?,
        outcome: r.outcome().try_into()?,
        reported: r.reported.as_ref().map(Into::into),
        observed_us: r.observed_us,
        egress_bytes: r.egress_bytes,
        fault: r.fault,
    })
}
