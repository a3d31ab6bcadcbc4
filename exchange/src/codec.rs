//! Engine commands as journal records and back.
//!
//! A record that this binary cannot read is a failure with the reason, never skipped: every later record
//! depends on it.

use std::collections::BTreeMap;

use merit_engine as engine;
use merit_engine::Command;
use merit_proto::v1;
use merit_proto::v1::journal_record as record;
use merit_proto::{FieldError, required};
use merit_terms::{AccountId, FunctionId, Limits, MarketId, Money, Name, ProviderId, Time};
use prost::Message;

/// Why a record of the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("the record is not a command")]
    Encoding(#[from] prost::DecodeError),
    #[error("the record is of a kind that this version does not know; use the version that wrote it")]
    UnknownCommand,
    #[error("the record's {0}")]
    Field(#[from] FieldError),
}

/// Appends the record of a command applied at `at` to `buffer`.
pub(crate) fn encode(at: Time, command: &Command, buffer: &mut Vec<u8>) {
    let record = v1::JournalRecord { at: at.micros(), command: Some(to_record(command)) };
    buffer.reserve(record.encoded_len());
    record.encode_raw(buffer);
}

/// What [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<(Time, Command), CodecError> {
    let record = v1::JournalRecord::decode(bytes)?;
    let command = record.command.ok_or(CodecError::UnknownCommand)?;
    Ok((Time::from_micros(record.at), from_record(command)?))
}

fn to_record(command: &Command) -> record::Command {
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
        Command::PutAlias { function, alias, revision } => {
            R::PutAlias(record::PutAlias { function: function.number(), alias: alias.to_string(), revision: *revision })
        }
        Command::Logon { provider, endpoint, pools } => R::Logon(record::Logon {
            provider: provider.number(),
            endpoint: endpoint.clone(),
            pools: pools.iter().map(Into::into).collect(),
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
        Command::Acquire(bid) => R::Acquire(record::Acquire {
            account: bid.account.number(),
            function: bid.function.number(),
            qualifier: qualifier_to_proto(&bid.qualifier),
            answer_limit_bytes: bid.answer_limit_bytes,
            limits: (bid.limits != Limits::default()).then(|| (&bid.limits).into()),
            tried: bid.tried.iter().map(|provider| provider.number()).collect(),
            invocation: bid.invocation.map(Into::into),
        }),
        Command::Settle(settle) => R::Settle(record::Settle {
            lease: Some(settle.lease.into()),
            execution: v1::Execution::from(settle.execution).into(),
            outcome: v1::Outcome::from(settle.outcome).into(),
            reported: settle.reported.as_ref().map(Into::into),
            observed_us: settle.observed_us,
            egress_bytes: settle.egress_bytes,
        }),
        Command::Release { lease, busy } => R::Release(record::Release { lease: Some((*lease).into()), busy: *busy }),
    }
}

fn from_record(command: record::Command) -> Result<Command, FieldError> {
    use record::Command as R;
    let pools = |pools: Vec<v1::PoolSize>| pools.iter().map(Into::into).collect();
    Ok(match command {
        R::Start(r) => Command::Start { run: r.run },
        R::Tick(_) => Command::Tick,
        R::CreateMarket(r) => Command::CreateMarket { name: parse("name", &r.name)? },
        R::OpenAccount(r) => Command::OpenAccount { name: parse("name", &r.name)? },
        R::Deposit(r) => Command::Deposit { account: AccountId::new(r.account), amount: amount("amount", r.amount)? },
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
        },
        R::Logon(r) => {
            Command::Logon { provider: ProviderId::new(r.provider), endpoint: r.endpoint, pools: pools(r.pools) }
        }
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
        R::Acquire(r) => Command::Acquire(Box::new(engine::Bid {
            account: AccountId::new(r.account),
            function: FunctionId::new(r.function),
            qualifier: qualifier_from_proto(r.qualifier)?,
            answer_limit_bytes: r.answer_limit_bytes,
            limits: r.limits.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
            tried: r.tried.into_iter().map(ProviderId::new).collect(),
            invocation: r.invocation.map(Into::into),
        })),
        R::Settle(r) => Command::Settle(engine::Settle {
            lease: required("lease", r.lease)?.into(),
            execution: r.execution().try_into()?,
            outcome: r.outcome().try_into()?,
            reported: r.reported.as_ref().map(Into::into),
            observed_us: r.observed_us,
            egress_bytes: r.egress_bytes,
        }),
        R::Release(r) => Command::Release { lease: required("lease", r.lease)?.into(), busy: r.busy },
    })
}

fn parse<T: std::str::FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error: T::Err| FieldError::new(field, error.to_string()))
}

fn amount(field: &str, picodollars: u64) -> Result<Money, FieldError> {
    Money::from_picodollars(picodollars).ok_or_else(|| FieldError::new(field, format!("more than {}", Money::MAX)))
}

pub(crate) fn kind_to_proto(kind: engine::ProviderKind) -> v1::ProviderKind {
    match kind {
        engine::ProviderKind::Own => v1::ProviderKind::Own,
        engine::ProviderKind::Market => v1::ProviderKind::Market,
    }
}

pub(crate) fn kind_from_proto(kind: v1::ProviderKind) -> Result<engine::ProviderKind, FieldError> {
    match kind {
        v1::ProviderKind::Own => Ok(engine::ProviderKind::Own),
        v1::ProviderKind::Market => Ok(engine::ProviderKind::Market),
        v1::ProviderKind::Unspecified => Err(FieldError::new("kind", "is missing")),
    }
}

pub(crate) fn code_to_proto(code: &engine::Code) -> v1::Code {
    v1::Code {
        memory_mb: code.memory_mb,
        timeout_ms: code.timeout_ms,
        environment: code.environment.clone(),
        module: code.module.map(|digest| digest.to_vec()).unwrap_or_default(),
        deployments: code.deployments.iter().map(|(name, target)| (name.to_string(), target.clone())).collect(),
    }
}

pub(crate) fn code_from_proto(code: v1::Code) -> Result<engine::Code, FieldError> {
    let deployments = code.deployments.into_iter().map(|(name, target)| Ok((parse("deployments", &name)?, target)));
    Ok(engine::Code {
        memory_mb: code.memory_mb,
        timeout_ms: code.timeout_ms,
        environment: code.environment,
        module: digest_from_proto(&code.module)?,
        deployments: deployments.collect::<Result<BTreeMap<Name, String>, FieldError>>()?,
    })
}

/// The digest of a module; empty bytes: none.
pub(crate) fn digest_from_proto(bytes: &[u8]) -> Result<Option<[u8; 32]>, FieldError> {
    match bytes.len() {
        0 => Ok(None),
        _ => bytes.try_into().map(Some).map_err(|_| FieldError::new("module", "a SHA-256 digest has 32 bytes")),
    }
}

pub(crate) fn settings_to_proto(settings: &engine::FunctionSettings) -> v1::FunctionSettings {
    use v1::audience::Kind;
    let (kind, providers) = match &settings.audience {
        engine::Audience::Own => (Kind::Own, Vec::new()),
        engine::Audience::Any => (Kind::Any, Vec::new()),
        engine::Audience::Listed(names) => (Kind::Listed, names.iter().map(ToString::to_string).collect()),
    };
    v1::FunctionSettings {
        idempotent: settings.idempotent,
        audience: Some(v1::Audience { kind: kind.into(), providers }),
        markets: settings.markets.iter().map(ToString::to_string).collect(),
        max_concurrency: settings.max_concurrency,
        labels: settings.labels.clone(),
        limits: Some((&settings.limits).into()),
    }
}

pub(crate) fn settings_from_proto(settings: v1::FunctionSettings) -> Result<engine::FunctionSettings, FieldError> {
    use v1::audience::Kind;
    let audience = settings.audience.unwrap_or_default();
    let names = |texts: &[String]| texts.iter().map(|text| parse("providers", text)).collect::<Result<_, _>>();
    Ok(engine::FunctionSettings {
        idempotent: settings.idempotent,
        audience: match audience.kind() {
            Kind::Unspecified | Kind::Own => engine::Audience::Own,
            Kind::Any => engine::Audience::Any,
            Kind::Listed => engine::Audience::Listed(names(&audience.providers)?),
        },
        markets: settings.markets.iter().map(|text| parse("markets", text)).collect::<Result<_, _>>()?,
        max_concurrency: settings.max_concurrency,
        labels: settings.labels,
        limits: settings.limits.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
    })
}

pub(crate) fn qualifier_to_proto(qualifier: &engine::Qualifier) -> Option<v1::Qualifier> {
    use v1::qualifier::Revision;
    let revision = match qualifier {
        engine::Qualifier::Live => return None,
        engine::Qualifier::Revision(number) => Revision::Number(*number),
        engine::Qualifier::Alias(alias) => Revision::Alias(alias.to_string()),
    };
    Some(v1::Qualifier { revision: Some(revision) })
}

pub(crate) fn qualifier_from_proto(qualifier: Option<v1::Qualifier>) -> Result<engine::Qualifier, FieldError> {
    use v1::qualifier::Revision;
    match qualifier.and_then(|qualifier| qualifier.revision) {
        None => Ok(engine::Qualifier::Live),
        Some(Revision::Number(number)) => Ok(engine::Qualifier::Revision(number)),
        Some(Revision::Alias(alias)) => Ok(engine::Qualifier::Alias(parse("alias", &alias)?)),
    }
}
