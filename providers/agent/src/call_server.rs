//! The invocation server of a provider and the calls that run there, from start to drain.

use std::sync::Arc;
use std::time::Duration;

use merit_proto::Transport;
use merit_wasm::{Host, HostError, HostSettings, Runtime};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::invocations::Invocations;
use crate::revisions::Revisions;
use crate::server::InvocationServer;
use crate::session::{ModuleReports, RunEvent, Trusted, WARM_REQUESTS_MAX, WarmRequests};
use crate::settings::ProviderSettings;

pub(crate) struct CallServer {
    invocations: Arc<Invocations>,
    server: InvocationServer,
}

impl CallServer {
    /// Starts the host's threads and takes calls on `listener`. Tells the session by `runs` which calls ran, by
    /// `reports` which modules are loaded, and takes requests to load some.
    pub(crate) fn start(
        settings: &ProviderSettings,
        transport: Transport,
        listener: TcpListener,
        runtime: Arc<Runtime>,
        trusted: watch::Receiver<Option<Trusted>>,
        (runs, reports): (mpsc::Sender<RunEvent>, ModuleReports),
    ) -> Result<(CallServer, WarmRequests), HostError> {
        let host_settings = HostSettings { threads: settings.pool.slots, cpu_share: settings.cpu_share };
        let host = Host::new(Arc::clone(&runtime), host_settings)?;
        let revisions = Revisions::new(transport, runtime, reports);
        let (warm_requests, requested) = mpsc::channel(WARM_REQUESTS_MAX);
        tokio::spawn(revisions.clone().take_warm_requests(requested));
        let invocations = Arc::new(Invocations::new(settings.name.clone(), trusted, host, revisions, runs));
        let server = InvocationServer::start(listener, Arc::clone(&invocations).router(), settings.pool.slots);
        Ok((CallServer { invocations, server }, warm_requests))
    }

    /// Drains the running calls for at most `within`. Returns false if some were cut off.
    pub(crate) async fn stop(self, within: Duration) -> bool {
        self.invocations.drain();
        self.server.stop(within).await
    }
}
