//! The check before every service: finds the identity of a caller, and refuses one whom the method does not admit.
//!
//! It never reads a message: the method itself checks the objects that it names.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use tonic::codegen::http::{Request, Response};
use tonic::metadata::MetadataMap;
use tonic::{Status, service::Routes};
use tower::{Layer, Service};

use super::identity::{Identity, shown};
use super::methods::admit;
use crate::exchange::Exchange;

/// The way by which a call comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// From this process.
    InProcess,
    Network,
}

impl Exchange {
    /// Puts the services behind the layer, for callers in this process.
    pub(crate) fn guard_in_process(&self, routes: Routes) -> Routes {
        Routes::from(routes.into_axum_router().layer(GuardLayer { exchange: self.clone() }))
    }

    /// Finds the identity of a caller, and leaves it in the request. Refuses a caller that the method does not admit. A
    /// credential in the call is always checked.
    pub(crate) fn admit<B>(&self, entrance: Entrance, request: Request<B>) -> Result<(Identity, Request<B>), Status> {
        let (mut parts, body) = request.into_parts();
        let metadata = MetadataMap::from_headers(std::mem::take(&mut parts.headers));
        let identity = match (shown(&metadata)?, entrance) {
            (Some(credential), _) => self.identify(&credential)?,
            (None, Entrance::InProcess) => Identity::InProcess,
            (None, Entrance::Network) if self.is_keyless() => Identity::Keyless,
            (None, Entrance::Network) => Identity::Stranger,
        };
        admit(parts.uri.path(), &identity)?;
        parts.headers = metadata.into_headers();
        parts.extensions.insert(identity);
        Ok((identity, Request::from_parts(parts, body)))
    }
}

#[derive(Clone)]
struct GuardLayer {
    exchange: Exchange,
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
        match self.layer.exchange.admit(Entrance::InProcess, request) {
            Ok((_, request)) => Either::Left(self.inner.call(request)),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}
