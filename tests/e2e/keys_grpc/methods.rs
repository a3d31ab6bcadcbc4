//! Every method, called by every role with the names of another account: only entitled callers learn or change
//! anything.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use merit_proto::v1;
use merit_proto::v1::archive_client::ArchiveClient;
use merit_proto::v1::broker_message::Message as BrokerSaid;
use merit_proto::v1::brokerage_client::BrokerageClient;
use merit_proto::v1::keys_client::KeysClient;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::operator_client::OperatorClient;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as ProviderSaid;
use merit_proto::v1::registry_client::RegistryClient;
use merit_proto::{DESCRIPTORS, Transport};
use prost::Message;
use tokio_stream::StreamExt;
use tonic::{Code, Status, Streaming};

use super::Served;
use crate::market::sample;
use crate::raw_session::logon;

/// Names in the calls: another account's, or nobody's.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) account: String,
    pub(crate) function: String,
    pub(crate) provider: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) key: String,
    pub(crate) lease: v1::LeaseId,
}

impl Names {
    fn nowhere() -> Names {
        Names {
            account: "nobody".to_owned(),
            function: "nothing".to_owned(),
            provider: "nowhere".to_owned(),
            digest: vec![9; 32],
            key: "key-999999".to_owned(),
            lease: v1::LeaseId { run: 1, sequence: 999_999 },
        }
    }

    fn texts(&self) -> Vec<String> {
        let digest: String = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let lease = format!("{}-{}", self.lease.run, self.lease.sequence);
        vec![self.account.clone(), self.function.clone(), self.provider.clone(), digest, self.key.clone(), lease]
    }

    /// Returns a text without the names.
    fn hidden(&self, text: &str) -> String {
        self.texts().iter().fold(text.to_owned(), |text, name| text.replace(name.as_str(), "NAME"))
    }
}

/// A call's answer as text.
pub(crate) type Reply = Pin<Box<dyn Future<Output = Result<String, Status>>>>;

pub(crate) struct MethodRow {
    pub(crate) method: &'static str,
    pub(crate) call: fn(Transport, Names) -> Reply,
    /// Outcome without a key, and for a client, a provider, an operator and a broker: `u` is unauthenticated, `d`
    /// denied for the role, `n` answered as if there were no such thing, `o` answered without a word of the other
    /// account, `y` done, `x` not refused because of the caller.
    expected: &'static str,
}

async fn first<T: std::fmt::Debug>(stream: Result<tonic::Response<Streaming<T>>, Status>) -> Result<String, Status> {
    Ok(format!("{:?}", stream?.into_inner().message().await?))
}

macro_rules! rows {
    ($($method:literal $expected:literal $client:ident.$call:ident($names:ident) $request:expr;)*) => {
        vec![$(MethodRow {
            method: $method,
            expected: $expected,
            call: |transport, $names| Box::pin(async move {
                let answer = $client::new(transport).$call($request).await?;
                Ok(format!("{:?}", answer.into_inner()))
            }),
        }),*]
    };
}

macro_rules! streams {
    ($($method:literal $expected:literal $client:ident.$call:ident($names:ident) $request:expr;)*) => {
        vec![$(MethodRow {
            method: $method,
            expected: $expected,
            call: |transport, $names| Box::pin(async move {
                first($client::new(transport).$call($request).await).await
            }),
        }),*]
    };
}

fn code(digest: Vec<u8>) -> Option<v1::Code> {
    Some(v1::Code { memory_mb: 128, timeout_ms: 1_000, module: digest, ..v1::Code::default() })
}

fn settings() -> Option<v1::FunctionSettings> {
    Some(v1::FunctionSettings {
        audience: Some(v1::Audience { kind: v1::audience::Kind::Own.into(), providers: Vec::new() }),
        ..v1::FunctionSettings::default()
    })
}

fn public() -> Vec<MethodRow> {
    let mut rows = rows! {
        "MarketData/ListMarkets" "ooooo" MarketDataClient.list_markets(_names) v1::ListMarketsRequest {};
        "MarketData/GetBook" "ooooo" MarketDataClient.get_book(_names)
            v1::GetBookRequest { market: "local/wasm".to_owned() };
        "MarketData/ListTrades" "ooooo" MarketDataClient.list_trades(_names)
            v1::ListTradesRequest { market: "local/wasm".to_owned(), ..v1::ListTradesRequest::default() };
        "MarketData/ListTrades" "nnnny" MarketDataClient.list_trades(names)
            v1::ListTradesRequest {
                market: "local/wasm".to_owned(), account: names.account, ..v1::ListTradesRequest::default()
            };
        "MarketData/ListCandles" "ooooo" MarketDataClient.list_candles(_names)
            v1::ListCandlesRequest {
                market: "local/wasm".to_owned(), interval: v1::Interval::Day.into(), ..v1::ListCandlesRequest::default()
            };
    };
    rows.extend(streams! {
        "MarketData/Subscribe" "ooooo" MarketDataClient.subscribe(_names) v1::SubscribeRequest::default();
    });
    rows
}

fn of_accounts() -> Vec<MethodRow> {
    rows! {
        "Registry/GetFunction" "undyy" RegistryClient.get_function(names)
            v1::GetFunctionRequest { account: names.account, name: names.function };
        "Registry/GetFunction" "undnn" RegistryClient.get_function(names)
            v1::GetFunctionRequest { account: "ours".to_owned(), name: names.function };
        "Registry/ListFunctions" "undyy" RegistryClient.list_functions(names)
            v1::ListFunctionsRequest { account: names.account, ..v1::ListFunctionsRequest::default() };
        "Registry/ListFunctions" "uodyy" RegistryClient.list_functions(_names)
            v1::ListFunctionsRequest { account: "ours".to_owned(), ..v1::ListFunctionsRequest::default() };
        "Registry/ListProviders" "unnyy" RegistryClient.list_providers(names)
            v1::ListProvidersRequest { account: names.account, ..v1::ListProvidersRequest::default() };
        "Registry/ListProviders" "uooyy" RegistryClient.list_providers(_names)
            v1::ListProvidersRequest { account: "ours".to_owned(), ..v1::ListProvidersRequest::default() };
        "Registry/SetTargets" "udnny" RegistryClient.set_targets(names)
            v1::SetTargetsRequest {
                account: names.account, provider: names.provider, targets: Some(v1::Targets::default())
            };
        "Registry/SetTargets" "udnyy" RegistryClient.set_targets(names)
            v1::SetTargetsRequest {
                account: String::new(), provider: names.provider, targets: Some(v1::Targets::default())
            };
        "Registry/GetAccount" "unnyy" RegistryClient.get_account(names) v1::GetAccountRequest { id: names.account };
        "Registry/ListAccounts" "uddyy" RegistryClient.list_accounts(_names) v1::ListAccountsRequest {};
        "Registry/PutFunction" "undny" RegistryClient.put_function(names)
            v1::PutFunctionRequest {
                account: names.account, name: names.function, code: code(Vec::new()), settings: settings()
            };
        // Knowing the digest of a module gives no right to it.
        "Registry/PutFunction" "undnn" RegistryClient.put_function(names)
            v1::PutFunctionRequest {
                account: "ours".to_owned(), name: "copy".to_owned(), code: code(names.digest), settings: settings()
            };
        "Registry/PutAlias" "undny" RegistryClient.put_alias(names)
            v1::PutAliasRequest {
                account: names.account, name: names.function, alias: "canary".to_owned(), revision: 1, canary: None
            };
        "Archive/ListStatement" "unnyy" ArchiveClient.list_statement(names)
            v1::ListStatementRequest { account: names.account, ..v1::ListStatementRequest::default() };
        "Archive/ListStatement" "unnyy" ArchiveClient.list_statement(_names)
            v1::ListStatementRequest { account: "merit-fees".to_owned(), ..v1::ListStatementRequest::default() };
        "Archive/ListInvocations" "unddo" ArchiveClient.list_invocations(names)
            v1::ListInvocationsRequest { account: names.account, ..v1::ListInvocationsRequest::default() };
        "Archive/ListInvocations" "uoddo" ArchiveClient.list_invocations(_names)
            v1::ListInvocationsRequest { account: "ours".to_owned(), ..v1::ListInvocationsRequest::default() };
        "Archive/ListLogs" "unddo" ArchiveClient.list_logs(names)
            v1::ListLogsRequest { account: names.account, ..v1::ListLogsRequest::default() };
        "Archive/ListLogs" "uoddo" ArchiveClient.list_logs(_names)
            v1::ListLogsRequest { account: "ours".to_owned(), ..v1::ListLogsRequest::default() };
        "Brokerage/Quote" "unddy" BrokerageClient.quote(names)
            v1::QuoteRequest {
                account: names.account, function: names.function, ..v1::QuoteRequest::default()
            };
        "Brokerage/GetInvocation" "unddx" BrokerageClient.get_invocation(names)
            v1::GetInvocationRequest { account: names.account, id: Some(v1::LeaseId { run: 1, sequence: 777_777 }) };
        "Brokerage/GetInvocation" "unddn" BrokerageClient.get_invocation(names)
            v1::GetInvocationRequest { account: "ours".to_owned(), id: Some(names.lease) };
        "Modules/Put" "uoddo" ModulesClient.put(_names) v1::PutModuleRequest {
            module: sample("wordcount"), account: String::new()
        };
        "Modules/GetRevision" "undyy" ModulesClient.get_revision(names)
            v1::GetRevisionRequest {
                account: names.account, function: names.function, revision: 1, permit: None
            };
        "Modules/GetReadiness" "unddy" ModulesClient.get_readiness(names)
            v1::GetReadinessRequest { account: names.account, function: names.function, revision: 1, warm: true };
        "Keys/ListKeys" "uooyy" KeysClient.list_keys(_names) v1::ListKeysRequest {};
        "Registry/DeleteFunction" "undny" RegistryClient.delete_function(names)
            v1::DeleteFunctionRequest { account: names.account, name: names.function };
    }
}

fn of_the_operator() -> Vec<MethodRow> {
    rows! {
        "Operator/CreateMarket" "uddyy" OperatorClient.create_market(_names)
            v1::CreateMarketRequest { name: "eu-west/wasm".to_owned() };
        "Operator/SetMarket" "uddyy" OperatorClient.set_market(_names)
            v1::SetMarketRequest {
                name: "local/wasm".to_owned(),
                terms: Some(v1::MarketTerms { state: v1::MarketState::Open.into(), ..v1::MarketTerms::default() }),
            };
        "Operator/DeleteMarket" "uddyy" OperatorClient.delete_market(_names)
            v1::DeleteMarketRequest { name: "eu-west/wasm".to_owned() };
        "Operator/OpenAccount" "uddyy" OperatorClient.open_account(_names)
            v1::OpenAccountRequest { id: "newcomer".to_owned() };
        "Operator/Deposit" "uddyy" OperatorClient.deposit(names)
            v1::DepositRequest { account: names.account, amount: 5 };
        "Operator/Payout" "uddyy" OperatorClient.payout(names) v1::PayoutRequest { account: names.account, amount: 5 };
        "Operator/Correct" "uddyy" OperatorClient.correct(names)
            v1::CorrectRequest {
                from: names.account, to: "ours".to_owned(), amount: 5, ..v1::CorrectRequest::default()
            };
        "Operator/FreezeAccount" "uddyy" OperatorClient.freeze_account(names)
            v1::FreezeAccountRequest { account: names.account, frozen: false };
        "Operator/SetAccountLimits" "uddyy" OperatorClient.set_account_limits(names)
            v1::SetAccountLimitsRequest { account: names.account, limits: Some(v1::AccountLimits::default()) };
        "Operator/RegisterProvider" "uddyy" OperatorClient.register_provider(names)
            v1::RegisterProviderRequest {
                name: "another".to_owned(),
                account: names.account,
                kind: v1::ProviderKind::Own.into(),
                ..v1::RegisterProviderRequest::default()
            };
        "Operator/SetProviderLimits" "uddyy" OperatorClient.set_provider_limits(names)
            v1::SetProviderLimitsRequest { provider: names.provider, limits: Some(v1::ProviderLimits::default()) };
        "Operator/GrantLabels" "uddyy" OperatorClient.grant_labels(names)
            v1::GrantLabelsRequest { provider: names.provider, ..v1::GrantLabelsRequest::default() };
        "Operator/KillProvider" "uddyy" OperatorClient.kill_provider(names)
            v1::KillProviderRequest { provider: names.provider, reason: "fraud".to_owned() };
        "Operator/ReviveProvider" "uddyy" OperatorClient.revive_provider(names)
            v1::ReviveProviderRequest { provider: names.provider };
        "Operator/GetClock" "uddyy" OperatorClient.get_clock(_names) v1::GetClockRequest {};
        "Operator/AcceptClock" "uddyy" OperatorClient.accept_clock(_names) v1::AcceptClockRequest {};
        "Operator/GetDisk" "uddyy" OperatorClient.get_disk(_names) v1::GetDiskRequest {};
        "Operator/SetFee" "uddyy" OperatorClient.set_fee(_names) v1::SetFeeRequest { basis_points: 3 };
        "Operator/CloseLease" "uddxx" OperatorClient.close_lease(names)
            v1::CloseLeaseRequest { lease: Some(names.lease) };
        "Keys/FindKey" "udddy" KeysClient.find_key(names) v1::FindKeyRequest { id: names.key };
        "Keys/CreateKey" "uddyy" KeysClient.create_key(names)
            v1::CreateKeyRequest { role: v1::Role::Client.into(), account: names.account, expires: 0 };
        "Keys/RotateKey" "uddyy" KeysClient.rotate_key(names)
            v1::RotateKeyRequest { id: names.key, keep_previous_ms: 0 };
        "Keys/RevokeKey" "uddyy" KeysClient.revoke_key(names) v1::RevokeKeyRequest { id: names.key };
    }
}

fn by_streams() -> Vec<MethodRow> {
    streams! {
        "Modules/Get" "undyy" ModulesClient.get(names) v1::GetModuleRequest { digest: names.digest, permit: None };
        "Brokerage/Stream" "udddy" BrokerageClient.stream(_names) tokio_stream::once(v1::BrokerMessage {
            message: Some(BrokerSaid::Hello(v1::BrokerHello { resumes: None }))
        }).chain(tokio_stream::pending());
        "ProviderGateway/Session" "udnyd" ProviderGatewayClient.session(names) tokio_stream::once(v1::ProviderMessage {
            message: Some(ProviderSaid::Logon(logon(&names.provider)))
        }).chain(tokio_stream::pending());
        "Keys/WatchKeys" "udddy" KeysClient.watch_keys(_names) v1::WatchKeysRequest {};
    }
}

/// Returns the row of each method; the caller's own account is `ours`.
pub(crate) fn table() -> Vec<MethodRow> {
    public().into_iter().chain(of_accounts()).chain(of_the_operator()).chain(by_streams()).collect()
}

/// Opens another account with one of everything.
async fn theirs(served: &Served) -> Names {
    served.account("theirs").await;
    served.provider("their-edge", "theirs").await;
    let trusted = served.trusted().await;
    let deposit = v1::DepositRequest { account: "theirs".to_owned(), amount: 1_000_000_000 };
    OperatorClient::new(trusted.clone()).deposit(deposit).await.unwrap();
    let module = v1::PutModuleRequest { module: sample("echo"), account: "theirs".to_owned() };
    let digest = ModulesClient::new(trusted.clone()).put(module).await.unwrap().into_inner().digest;
    let put = v1::PutFunctionRequest {
        account: "theirs".to_owned(),
        name: "their-thumb".to_owned(),
        code: code(digest.clone()),
        settings: settings(),
    };
    let sequence = RegistryClient::new(trusted).put_function(put).await.unwrap().into_inner().sequence;
    let key = served.key("theirs", v1::Role::Client).await.split_once('.').unwrap().0.to_owned();
    Names {
        account: "theirs".to_owned(),
        function: "their-thumb".to_owned(),
        provider: "their-edge".to_owned(),
        digest,
        key,
        lease: v1::LeaseId { run: 1, sequence },
    }
}

const ROLES: [Option<v1::Role>; 5] =
    [None, Some(v1::Role::Client), Some(v1::Role::Provider), Some(v1::Role::Operator), Some(v1::Role::Broker)];

/// Calls every method in one role, at a market of its own.
async fn check(column: usize) {
    let served = Served::start(false).await;
    served.account("ours").await;
    served.provider("our-edge", "ours").await;
    let theirs = theirs(&served).await;
    let key = match ROLES[column] {
        None => None,
        Some(role) => Some(served.key("ours", role).await),
    };
    let mut began = false;
    let transport = || served.network(key.as_deref());
    for row in table() {
        let what = format!("{} in the role {:?}", row.method, ROLES[column]);
        let before = served.exchange.digest();
        let answer = (row.call)(transport(), theirs.clone()).await;
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        let expected = row.expected.as_bytes()[column];
        match expected {
            b'u' => assert_eq!(code, Code::Unauthenticated, "{what}: {answer:?}"),
            b'd' => assert_eq!(code, Code::PermissionDenied, "{what}: {answer:?}"),
            b'n' => {
                assert_eq!(code, Code::NotFound, "{what}: {answer:?}");
                let nowhere = Names::nowhere();
                let said = |names: &Names, answer: &Result<String, Status>| {
                    let status = answer.as_ref().unwrap_err();
                    (status.code(), names.hidden(status.message()), status.metadata().clone().into_headers())
                };
                let unknown = (row.call)(transport(), nowhere.clone()).await;
                let (mut told, mut untold) = (said(&theirs, &answer), said(&nowhere, &unknown));
                told.2.remove("date");
                untold.2.remove("date");
                assert_eq!(told, untold, "{what}");
            }
            b'o' => {
                let text = answer.unwrap_or_else(|status| panic!("{what}: {status:?}"));
                let told = theirs.texts().into_iter().find(|name| text.contains(name.as_str()));
                assert_eq!(told, None, "{what}: {text}");
            }
            b'x' => assert!(!matches!(code, Code::Unauthenticated | Code::PermissionDenied), "{what}: {answer:?}"),
            _ => assert_eq!(code, Code::Ok, "{what}: {answer:?}"),
        }
        // The end of a session changes the market, too, and comes in its own time.
        began |= expected == b'y' && matches!(row.method, "Brokerage/Stream" | "ProviderGateway/Session");
        if !matches!(expected, b'y' | b'x') && !began {
            assert_eq!(served.exchange.digest(), before, "{what} changed something");
        }
    }
}

#[tokio::test]
async fn nobody_known_may_read_the_market_alone() {
    check(0).await;
}

#[tokio::test]
async fn a_client_learns_and_changes_nothing_of_another_account() {
    check(1).await;
}

#[tokio::test]
async fn a_provider_learns_and_changes_nothing_of_another_account() {
    check(2).await;
}

#[tokio::test]
async fn an_operator_reads_all_and_changes_nobodys_functions() {
    check(3).await;
}

#[tokio::test]
async fn a_broker_acts_for_all_and_sells_for_none() {
    check(4).await;
}

/// Checks that the table has every method; a new one is decided about there, for every role.
#[test]
fn the_table_tries_every_method_of_the_protocol() {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
    let services = files.iter().flat_map(|file| &file.service);
    let methods =
        services.flat_map(|service| service.method.iter().map(|m| format!("{}/{}", service.name(), m.name())));
    let tried: BTreeSet<String> = table().iter().map(|row| row.method.to_owned()).collect();
    assert_eq!(tried, methods.collect());
}
