//! A connector that connects only to checked addresses: those of a resolved name, and literal ones in a URL, which no
//! resolver sees.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::{Forbidden, Policy, Trust};
use crate::provider::delivery::CountedStream;

type ConnectFailure = Box<dyn std::error::Error + Send + Sync>;
type Answering<T> = Pin<Box<dyn Future<Output = Result<T, ConnectFailure>> + Send>>;

/// Resolves names to addresses that the policy allows.
#[derive(Clone)]
pub(crate) struct Resolver<R> {
    names: R,
    policy: Arc<Policy>,
    trust: Trust,
}

/// Connects to URLs by a [`Resolver`].
#[derive(Clone)]
pub(crate) struct Connector<R = GaiResolver> {
    http: HttpConnector<Resolver<R>>,
    policy: Arc<Policy>,
    trust: Trust,
}

/// Makes a connector for endpoints of this trust; `settle` sets the other options.
pub(crate) fn connector(
    policy: Arc<Policy>,
    trust: Trust,
    settle: impl FnOnce(&mut HttpConnector<Resolver<GaiResolver>>),
) -> Connector {
    connector_of(GaiResolver::new(), policy, trust, settle)
}

fn connector_of<R>(
    names: R,
    policy: Arc<Policy>,
    trust: Trust,
    settle: impl FnOnce(&mut HttpConnector<Resolver<R>>),
) -> Connector<R> {
    let mut http = HttpConnector::new_with_resolver(Resolver { names, policy: policy.clone(), trust });
    settle(&mut http);
    Connector { http, policy, trust }
}

/// A name without an address that the policy allows.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` has no address that may be called")]
struct NoAddress {
    name: String,
    #[source]
    forbidden: Option<Forbidden>,
}

impl<R> Service<Name> for Resolver<R>
where
    R: Service<Name> + Clone + Send + 'static,
    R::Response: Iterator<Item = SocketAddr>,
    R::Error: Into<ConnectFailure>,
    R::Future: Send + 'static,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ConnectFailure;
    type Future = Answering<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        self.names.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (policy, trust) = (self.policy.clone(), self.trust);
        let asked = name.as_str().to_owned();
        let resolving = self.names.call(name);
        Box::pin(async move {
            let (mut passed, mut forbidden) = (Vec::new(), None);
            for address in resolving.await.map_err(Into::into)? {
                match policy.check(address.ip(), trust) {
                    Ok(()) => passed.push(address),
                    Err(refused) => forbidden = Some(refused),
                }
            }
            if passed.is_empty() {
                return Err(NoAddress { name: asked, forbidden }.into());
            }
            Ok(passed.into_iter())
        })
    }
}

impl<R> Service<Uri> for Connector<R>
where
    HttpConnector<Resolver<R>>:
        Service<Uri, Response = TokioIo<TcpStream>, Error: Into<ConnectFailure>, Future: Send + 'static>,
{
    type Response = TokioIo<CountedStream>;
    type Error = ConnectFailure;
    type Future = Answering<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let literal = url.host().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if let Some(Err(forbidden)) = literal.map(|address| self.policy.check(address, self.trust)) {
            return Box::pin(async move { Err(forbidden.into()) });
        }
        let connecting = self.http.call(url);
        Box::pin(async move {
            let connected = connecting.await.map_err(Into::into)?;
            Ok(TokioIo::new(CountedStream::new(connected.into_inner())))
        })
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/provider/addresses/connector.rs"]
mod tests;
