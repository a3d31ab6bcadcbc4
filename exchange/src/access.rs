//! Which method takes whom, and the layer that finds out who calls before a method is reached.
//!
//! One table for all methods: one that is not in it takes nobody. Whose objects a caller may name is each method's own check.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use merit_terms::Role;
use tonic::codegen::http::{Request, Response};
use tonic::metadata::MetadataMap;
use tonic::{Status, service::Routes};
use tower::{Layer, Service};

use crate::identity::{Identity, shown};
use crate::open::Exchange;

/// Who may call a method at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Also without a key.
    Anybody,
    /// Whoever shows a key.
    Holders,
    /// Clients, and brokers for them.
    Clients,
    /// Who owns functions, or sees all: everybody with a key but providers.
    Owners,
    /// Operators, and brokers for them.
    Operators,
    Brokers,
}

const TABLE: [(&str, Access); 42] = [
    ("/merit.v1.MarketData/Subscribe", Access::Anybody),
    ("/merit.v1.MarketData/ListMarkets", Access::Anybody),
    ("/merit.v1.MarketData/GetBook", Access::Anybody),
    ("/merit.v1.MarketData/ListTrades", Access::Anybody),
    ("/merit.v1.MarketData/ListCandles", Access::Anybody),
    ("/merit.v1.Registry/PutFunction", Access::Owners),
    ("/merit.v1.Registry/GetFunction", Access::Owners),
    ("/merit.v1.Registry/ListFunctions", Access::Owners),
    ("/merit.v1.Registry/DeleteFunction", Access::Owners),
    ("/merit.v1.Registry/PutAlias", Access::Owners),
    ("/merit.v1.Registry/ListProviders", Access::Holders),
    ("/merit.v1.Registry/GetAccount", Access::Holders),
    ("/merit.v1.Registry/ListAccounts", Access::Operators),
    ("/merit.v1.Brokerage/Stream", Access::Brokers),
    ("/merit.v1.Brokerage/Quote", Access::Clients),
    ("/merit.v1.Brokerage/GetInvocation", Access::Clients),
    ("/merit.v1.Archive/ListStatement", Access::Holders),
    ("/merit.v1.Operator/CreateMarket", Access::Operators),
    ("/merit.v1.Operator/SetMarket", Access::Operators),
    ("/merit.v1.Operator/OpenAccount", Access::Operators),
    ("/merit.v1.Operator/Deposit", Access::Operators),
    ("/merit.v1.Operator/Payout", Access::Operators),
    ("/merit.v1.Operator/Correct", Access::Operators),
    ("/merit.v1.Operator/FreezeAccount", Access::Operators),
    ("/merit.v1.Operator/SetAccountLimits", Access::Operators),
    ("/merit.v1.Operator/RegisterProvider", Access::Operators),
    ("/merit.v1.Operator/SetProviderLimits", Access::Operators),
    ("/merit.v1.Operator/GrantLabels", Access::Operators),
    ("/merit.v1.Operator/KillProvider", Access::Operators),
    ("/merit.v1.Operator/ReviveProvider", Access::Operators),
    ("/merit.v1.Operator/SetFee", Access::Operators),
    ("/merit.v1.Operator/CloseLease", Access::Operators),
    // The key may come with the logon, which checks it.
    ("/merit.v1.ProviderGateway/Session", Access::Anybody),
    ("/merit.v1.Modules/Put", Access::Clients),
    ("/merit.v1.Modules/Get", Access::Holders),
    ("/merit.v1.Modules/GetRevision", Access::Holders),
    ("/merit.v1.Keys/CreateKey", Access::Operators),
    ("/merit.v1.Keys/ListKeys", Access::Holders),
    ("/merit.v1.Keys/RevokeKey", Access::Operators),
    ("/merit.v1.Keys/RotateKey", Access::Operators),
    ("/merit.v1.Keys/FindKey", Access::Brokers),
    ("/merit.v1.Keys/WatchKeys", Access::Brokers),
];

impl Access {
    fn of(path: &str) -> Option<Access> {
        TABLE.iter().find(|(method, _)| *method == path).map(|(_, access)| *access)
    }

    fn allows(self, identity: &Identity) -> bool {
        match self {
            Access::Anybody => true,
            Access::Holders => *identity != Identity::Stranger,
            Access::Clients => identity.has(Role::Client) || identity.has(Role::Broker),
            Access::Owners => identity.is_operator() || identity.has(Role::Client) || identity.has(Role::Broker),
            Access::Operators => identity.is_operator() || identity.has(Role::Broker),
            Access::Brokers => identity.has(Role::Broker),
        }
    }

    const fn whom(self) -> &'static str {
        match self {
            Access::Anybody => "anybody",
            Access::Holders => "whoever shows a key",
            Access::Clients => "clients and brokers",
            Access::Owners => "clients, operators and brokers",
            Access::Operators => "operators and brokers",
            Access::Brokers => "brokers",
        }
    }
}

/// Refuses a caller whom a method does not take. Reflection and health take everybody.
fn admit(path: &str, identity: &Identity) -> Result<(), Status> {
    if !path.starts_with("/merit.") {
        return Ok(());
    }
    let access = Access::of(path).ok_or_else(|| Status::unimplemented("there is no such method"))?;
    match (access.allows(identity), identity) {
        (true, _) => Ok(()),
        (false, Identity::Stranger) => Err(Status::unauthenticated(
            "a key is needed: `authorization: Bearer ID.SECRET`, as `merit keys create` prints it",
        )),
        (false, _) => {
            Err(Status::permission_denied(format!("this is for {}; the key has another role", access.whom())))
        }
    }
}

/// By which way calls come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// From this process.
    InProcess,
    Network,
}

impl Exchange {
    /// The services behind the layer that finds out who calls.
    pub(crate) fn guard(&self, routes: Routes, entrance: Entrance) -> Routes {
        Routes::from(routes.into_axum_router().layer(GuardLayer { exchange: self.clone(), entrance }))
    }

    /// Who calls. A credential that is shown is always checked.
    fn find_out(&self, entrance: Entrance, metadata: &MetadataMap) -> Result<Identity, Status> {
        match (shown(metadata)?, entrance) {
            (Some(credential), _) => self.identify(&credential),
            (None, Entrance::InProcess) => Ok(Identity::InProcess),
            (None, Entrance::Network) if self.is_keyless() => Ok(Identity::Keyless),
            (None, Entrance::Network) => Ok(Identity::Stranger),
        }
    }
}

#[derive(Clone)]
struct GuardLayer {
    exchange: Exchange,
    entrance: Entrance,
}

#[derive(Clone)]
struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;
    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, layer: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<R>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let metadata = MetadataMap::from_headers(std::mem::take(&mut parts.headers));
        let GuardLayer { exchange, entrance } = &self.layer;
        let found = exchange.find_out(*entrance, &metadata);
        parts.headers = metadata.into_headers();
        let admitted = found.and_then(|identity| admit(parts.uri.path(), &identity).map(|()| identity));
        match admitted {
            Ok(identity) => {
                parts.extensions.insert(identity);
                Either::Left(self.inner.call(Request::from_parts(parts, body)))
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    #[test]
    fn the_table_has_every_method_of_the_protocol_and_no_other() {
        let files = prost_types::FileDescriptorSet::decode(merit_proto::DESCRIPTORS).unwrap().file;
        let mut methods = BTreeSet::new();
        for file in &files {
            for service in &file.service {
                let of = format!("/{}.{}/", file.package(), service.name());
                methods.extend(service.method.iter().map(|method| format!("{of}{}", method.name())));
            }
        }
        let table: BTreeSet<String> = TABLE.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(table, methods);
        assert_eq!(table.len(), TABLE.len());
    }

    #[test]
    fn a_method_that_is_not_in_the_table_takes_nobody() {
        let refused = admit("/merit.v1.Registry/Burn", &Identity::InProcess).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
        admit("/grpc.health.v1.Health/Check", &Identity::Stranger).unwrap();
    }
}
