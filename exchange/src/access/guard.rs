//! The layer before every service: finds the identity of a caller, and refuses one whom the method does not admit.
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
    /// Puts the services behind the layer.
    pub(crate) fn guard(&self, routes: Routes, entrance: Entrance) -> Routes {
        Routes::from(routes.into_axum_router().layer(GuardLayer { exchange: self.clone(), entrance }))
    }

    /// Finds the identity of a caller. A credential in the call is always checked.
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
