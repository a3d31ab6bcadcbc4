//! Every kind of command comes back from its record as it was.

use std::collections::{BTreeMap, BTreeSet};

use merit_engine::{Adapter, *};
use merit_terms::*;

use super::*;
use crate::recorded::record as encoded;

const AT: Time = Time::from_micros(1_795_000_000_000_001);
const LEASE: LeaseId = LeaseId { run: 3, sequence: 4711 };
const USAGE: Usage = Usage { wall_us: 1, cpu_us: 2, cold_us: 3, egress_bytes: 4 };
const TARIFF: Tariff = Tariff {
    per_request: Price::from_picodollars(200_000),
    per_gb_second: Price::from_picodollars(16_666_700),
    per_cpu_ms: Price::from_picodollars(3),
    per_gb_egress: Price::from_picodollars(4),
    increment_ms: 100,
    minimum_ms: 200,
    memory_step_mb: 64,
    bills_cold_start: true,
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn money(picodollars: u64) -> Money {
    Money::from_picodollars(picodollars).unwrap()
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("residency".to_owned(), "eu".to_owned())])
}

fn budgets() -> Vec<Budget> {
    vec![Budget { period: Period::Day, amount: money(5) }, Budget { period: Period::Month, amount: money(6) }]
}

fn limits() -> Limits {
    Limits {
        max_cost: Some(money(7)),
        max_price: Some(Price::from_picodollars(8)),
        max_latency_ms: Some(9),
        only: vec![name("edge-1")],
        ignore: vec![name("edge-2")],
        markets: vec!["eu-*/wasm".parse().unwrap()],
        labels: labels().into_iter().collect(),
    }
}

fn bid() -> Bid {
    Bid {
        account: AccountId::new(2),
        function: FunctionId::new(3),
        qualifier: Qualifier::Alias(name("canary")),
        answer_limit_bytes: 6 << 20,
        limits: limits(),
        tried: vec![ProviderId::new(0), ProviderId::new(5)],
        invocation: Some(LEASE),
        request: Some(BrokerRequest { session: 900, number: 12 }),
    }
}

fn plain_bid() -> Bid {
    Bid {
        qualifier: Qualifier::Revision(4),
        limits: Limits::default(),
        tried: Vec::new(),
        invocation: None,
        request: None,
        ..bid()
    }
}

fn settle() -> Settle {
    Settle {
        lease: LEASE,
        execution: Execution::Unknown,
        outcome: Outcome::OutputLimit,
        reported: Some(USAGE),
        observed_us: 40_312,
        egress_bytes: 52,
        fault: true,
        server_error: true,
        given_up: true,
    }
}

fn lease_terms() -> LeaseTerms {
    LeaseTerms {
        lease: LEASE,
        invocation: LeaseId { run: 3, sequence: 4700 },
        attempt: 2,
        account: AccountId::new(1),
        function: FunctionId::new(2),
        revision: 3,
        provider: ProviderId::new(4),
        market: MarketId::new(5),
        price: TARIFF.reference_price(),
        tariff: TARIFF,
        vcpus_milli: 500,
        memory_mb: 128,
        timeout_ms: 3000,
        hold: money(6_450_013),
        matched_at: AT,
        settle_by: AT.after_millis(608_000),
        private: true,
    }
}

fn rung() -> Rung {
    Rung {
        id: 1,
        pool: 2,
        capacity_mb: 1024,
        tariff: TARIFF,
        vcpus_milli: 1000,
        memory_min_mb: 64,
        memory_max_mb: 512,
        longest_ms: 60_000,
        enforces_timeout: true,
        labels: BTreeMap::from([("claimed.disk".to_owned(), "ssd".to_owned())]),
        audience: vec![name("team-a"), name("team-b")],
        quota: Some(name("free")),
        expires: Some(AT),
    }
}

fn put_function(audience: Audience) -> Command {
    Command::PutFunction(Box::new(PutFunction {
        account: AccountId::new(2),
        name: name("thumb"),
        code: Code {
            memory_mb: 128,
            timeout_ms: 3000,
            environment: BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]),
            module: Some([7; 32]),
            deployments: BTreeMap::from([(name("aws-use1"), "arn:aws:lambda".to_owned())]),
        },
        settings: FunctionSettings {
            idempotent: true,
            audience,
            markets: vec!["local/wasm".parse().unwrap()],
            max_concurrency: Some(100),
            labels: labels(),
            limits: limits(),
            budgets: budgets(),
            public_per_second: Some(5),
            logs_off: true,
        },
    }))
}

fn market_commands() -> Vec<Command> {
    let market = MarketId::new(1);
    let open = MarketTerms::default();
    let banded = (Price::from_picodollars(1), Price::from_picodollars(2));
    let halted = MarketTerms { state: MarketState::Halted, bands: Some(banded), self_dealing: true };
    let cancel_only = MarketTerms { state: MarketState::CancelOnly, ..open };
    vec![
        Command::Start { run: 3 },
        Command::BindMasterKey { check: u64::MAX },
        Command::Tick,
        Command::ActivateRules { version: 2 },
        Command::CreateMarket { name: "eu-west/wasm".parse().unwrap() },
        Command::SetMarket { market, terms: open },
        Command::SetMarket { market, terms: halted },
        Command::SetMarket { market, terms: cancel_only },
        Command::DeleteMarket { market },
        Command::SetFee { basis_points: 250 },
    ]
}

fn account_commands() -> Vec<Command> {
    let account = AccountId::new(2);
    let limits = AccountLimits {
        credit_limit: money(1),
        rate_per_second: Some(2),
        exposure: Some(money(3)),
        max_concurrency: Some(4),
        budgets: budgets(),
    };
    let correction = Correction {
        kind: CorrectionKind::Refund,
        from: AccountId::new(3),
        to: account,
        amount: money(4),
        about: Some(LEASE),
        reason: "the function was down".to_owned(),
    };
    let unexplained = Correction { kind: CorrectionKind::Correction, about: None, ..correction.clone() };
    vec![
        Command::OpenAccount { name: name("dev") },
        Command::CreateKey { role: Role::Client, account, expires: None },
        Command::CreateKey { role: Role::Provider, account, expires: Some(AT) },
        Command::CreateKey { role: Role::Operator, account, expires: Some(Time::default()) },
        Command::CreateKey { role: Role::Broker, account, expires: None },
        Command::RevokeKey { key: KeyId(7) },
        Command::RotateKey { key: KeyId(7), previous_until: None },
        Command::RotateKey { key: KeyId(7), previous_until: Some(AT) },
        Command::Deposit { account, amount: Money::MAX },
        Command::Payout { account, amount: money(1) },
        Command::Correct(Box::new(correction)),
        Command::Correct(Box::new(unexplained)),
        Command::FreezeAccount { account, frozen: true },
        Command::FreezeAccount { account, frozen: false },
        Command::SetAccountLimits { account, limits },
        Command::SetAccountLimits { account, limits: AccountLimits::default() },
        put_function(Audience::Own),
        put_function(Audience::Any),
        put_function(Audience::Listed(vec![name("edge-1")])),
        Command::DeleteFunction { function: FunctionId::new(3) },
        Command::PutAlias { function: FunctionId::new(3), alias: name("live"), revision: 2, canary: None },
        Command::PutAlias {
            function: FunctionId::new(3),
            alias: name("live"),
            revision: 2,
            canary: Some(Canary { revision: 1, weight: 100 }),
        },
    ]
}

fn provider_commands() -> Vec<Command> {
    let (provider, session, pools) = (ProviderId::new(4), 9, vec![PoolSize { memory_mb: 2048, slots: 16 }]);
    let register = RegisterProvider {
        name: name("edge-1"),
        account: AccountId::new(2),
        kind: ProviderKind::Own,
        labels: labels(),
    };
    let market_provider = RegisterProvider { kind: ProviderKind::Market, ..register.clone() };
    let limits = ProviderLimits { offers: Some(1), quotes_per_second: Some(2), exposure: Some(money(3)) };
    let quota =
        Quota { name: name("free"), requests: Some(1_000_000), energy_mb_ms: Some(0), renews: Some(Period::Month) };
    let commitment = Quota { requests: None, energy_mb_ms: None, renews: None, ..quota.clone() };
    let targets: Vec<TargetPattern> = vec!["https://fn.example/*".parse().unwrap()];
    let logon = Logon {
        provider,
        endpoint: "http://127.0.0.1:9000".to_owned(),
        pools: pools.clone(),
        quotas: vec![quota, commitment],
        protection: Some(Protection { leases: 10, within_ms: 100 }),
        adapter: Adapter::Http,
        endpoint_trusted: true,
        targets: Some(targets.clone()),
    };
    let adapter = Adapter::Agent;
    let quotas = Vec::new();
    let bare = Logon { adapter, endpoint_trusted: false, quotas, protection: None, targets: None, ..logon.clone() };
    let cleared = Logon { targets: Some(Vec::new()), ..logon.clone() };
    let plain = Rung { labels: BTreeMap::new(), audience: Vec::new(), quota: None, expires: None, ..rung() };
    let rungs = vec![rung(), plain];
    vec![
        Command::RegisterProvider(register),
        Command::RegisterProvider(market_provider),
        Command::SetProviderLimits { provider, limits },
        Command::SetProviderLimits { provider, limits: ProviderLimits::default() },
        Command::SetTargets { provider, targets },
        Command::SetTargets { provider, targets: Vec::new() },
        Command::GrantLabels { provider, labels: labels() },
        Command::Kill { provider, reason: "it forges reports".to_owned() },
        Command::Revive { provider },
        Command::Logon(Box::new(logon)),
        Command::Logon(Box::new(bare)),
        Command::Logon(Box::new(cleared)),
        Command::StatePools { provider, session, pools },
        Command::Busy { provider, session, pool: 1 },
        Command::Quote(Quote { provider, session, market: MarketId::new(1), number: 77, rungs }),
        Command::CancelAll { provider, session },
        Command::Logout { provider, session },
        Command::Disconnect { provider, session },
        Command::Claim { lease: LEASE, usage: USAGE },
    ]
}

fn broker_commands() -> Vec<Command> {
    let defer = |then| Command::Defer(Box::new(Deferred { bid: bid(), deadline: AT, then }));
    let executed = Settle { execution: Execution::Executed, reported: None, fault: false, ..settle() };
    vec![
        Command::BrokerLogon { resumes: None },
        Command::BrokerLogon { resumes: Some(0) },
        Command::BrokerLost { session: 900 },
        Command::Acquire(Box::new(bid())),
        Command::Acquire(Box::new(plain_bid())),
        defer(AtDeadline::Expire),
        defer(AtDeadline::Market),
        Command::TakeUp { lease: LEASE },
        Command::CancelBid { account: AccountId::new(2), bid: LEASE },
        Command::Settle(settle()),
        Command::Settle(executed),
        Command::SettleForgotten(Box::new(Forgotten { terms: lease_terms(), settle: settle() })),
        Command::Release { lease: LEASE, why: NotSent::Withdrawn },
        Command::Release { lease: LEASE, why: NotSent::Busy },
        Command::Release { lease: LEASE, why: NotSent::Failed },
        Command::Release { lease: LEASE, why: NotSent::Replaced },
        Command::Release { lease: LEASE, why: NotSent::Warming { retry_after_s: 40 } },
        Command::CloseLease { lease: LEASE },
    ]
}

fn every_kind() -> Vec<Command> {
    [market_commands(), account_commands(), provider_commands(), broker_commands()].concat()
}

#[test]
fn every_command_comes_back_from_its_record() {
    for command in every_kind() {
        assert_eq!(decode(&encoded(AT, &command)).unwrap(), (AT, command));
    }
}

/// The protocol's fields of a record, by number: 1 is the time, which is left out at 0, and each other a kind.
fn fields() -> BTreeMap<u32, String> {
    let files = prost_types::FileDescriptorSet::decode(merit_proto::DESCRIPTORS).unwrap().file;
    let message = files.iter().flat_map(|file| &file.message_type).find(|message| message.name() == "JournalRecord");
    let fields = message.unwrap().field.iter().filter(|field| field.oneof_index.is_some());
    fields.map(|field| (field.number() as u32, field.name().to_owned())).collect()
}

#[test]
fn every_kind_is_tried_under_the_protocols_name() {
    let field = |command: &Command| prost::encoding::decode_key(&mut &encoded(Time::default(), command)[..]).unwrap().0;
    let tried: BTreeMap<u32, String> =
        every_kind().iter().map(|command| (field(command), kind(command).to_owned())).collect();
    assert_eq!(tried, fields());
    let kinds: BTreeSet<&str> = tried.values().map(String::as_str).collect();
    assert_eq!(kinds, commands::KINDS.iter().copied().collect());
}

#[test]
fn a_call_is_written_in_few_bytes() {
    let acquire = Bid { request: bid().request, ..plain_bid() };
    for command in [Command::Acquire(Box::new(acquire)), Command::Settle(settle())] {
        let bytes = encoded(AT, &command).len();
        assert!(bytes <= 128, "{bytes} bytes: {command:?}");
    }
}

#[test]
fn a_record_of_an_unknown_kind_is_refused() {
    let mut bytes = encoded(AT, &Command::Tick);
    let tick = bytes.len() - 2;
    bytes.splice(tick.., [0xc2, 0x3e, 0]); // field 1000
    assert!(matches!(decode(&bytes), Err(CodecError::UnknownCommand)));
}
