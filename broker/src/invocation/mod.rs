//! An invocation from a parsed request to its settled answer: the one internal call behind every door.
//!
//! Never knows a door but by its label, and no price. The pure [`dispatch`] machine decides about attempts; [`run`]
//! does what it says.

pub(crate) mod dispatch;
pub(crate) mod failure;
pub(crate) mod preferences;
mod recipient;
pub(crate) mod repeats;
mod retry_budget;
mod run;
mod settle;
pub(crate) mod stream;
pub(crate) mod via;

use std::sync::Arc;
use std::time::{Duration, Instant};

use merit_terms::{LeaseId, Outcome};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::door_names::Door;
use crate::error::ApiError;
use crate::exchange::clients::Exchange;
use crate::exchange::leases::Leases;
use crate::exchange::leases::lease::{Grant, Paid, Qualifier};
use crate::metrics::Metrics;
use crate::provider::answer::FunctionAnswer;
use crate::provider::attempt::Providers;
use crate::provider::call::FunctionCall;
use crate::quota::admission::Admission;
use preferences::Preferences;
use retry_budget::RetryBudget;
use stream::Rest;
use via::ViaKey;

/// A parsed request of any door.
pub(crate) struct Invocation {
    pub(crate) door: Door,
    pub(crate) call: FunctionCall,
    pub(crate) qualifier: Option<Qualifier>,
    pub(crate) preferences: Preferences,
    pub(crate) received: Instant,
    pub(crate) when_gone: WhenGone,
}

/// The meaning of a caller that goes away before its answer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenGone {
    /// The provider is told, and what ran is charged.
    Cancel,
    /// The call goes on to its end.
    GoOn,
}

/// A call that executed, for its door to answer.
pub(crate) struct Answered {
    pub(crate) receipt: Receipt,
    pub(crate) outcome: Outcome,
    pub(crate) answer: FunctionAnswer,
    /// Set for an answer that streams: the rest after the answer's body.
    pub(crate) rest: Option<Rest>,
}

/// The facts about a call that its caller is told.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) invocation: LeaseId,
    pub(crate) grant: Arc<Grant>,
    pub(crate) attempts: usize,
    /// None while an answer streams.
    pub(crate) paid: Option<Paid>,
    /// Time that Merit added to that of the providers.
    pub(crate) overhead: Duration,
    /// Set where the caller asks for the end of the function's log.
    pub(crate) with_log: bool,
}

/// An answer for a door, or an error.
pub(crate) type Told = Result<Answered, ApiError>;

/// The invocations of this broker, and the parts that they need.
pub(crate) struct Invocations {
    exchange: Exchange,
    leases: Leases,
    providers: Providers,
    metrics: Arc<Metrics>,
    admission: Arc<Admission>,
    retry_budget: RetryBudget,
    under_way: TaskTracker,
}

impl Invocations {
    pub(crate) fn new(
        exchange: Exchange,
        leases: Leases,
        providers: Providers,
        metrics: Arc<Metrics>,
        admission: Arc<Admission>,
    ) -> Invocations {
        let (retry_budget, under_way) = (RetryBudget::new(), TaskTracker::new());
        Invocations { exchange, leases, providers, metrics, admission, retry_budget, under_way }
    }

    /// Runs an invocation. Returns its answer, or the beginning of an answer that streams.
    pub(crate) async fn run(self: &Arc<Self>, mut invocation: Invocation) -> Told {
        let call = &mut invocation.call;
        call.via = match self.leases.via_key() {
            Some(key) => Some(ViaKey::new(key).next(call.via.as_deref(), &call.account)?),
            None => None,
        };
        let admitted = self.admission.invocation(&invocation.call.account)?;
        let (answers, told) = oneshot::channel();
        self.under_way.spawn(run::run(self.clone(), invocation, answers, admitted));
        told.await.unwrap_or_else(|_| {
            tracing::error!("an invocation's task failed");
            Err(ApiError::internal("the broker failed; its log says why"))
        })
    }

    /// Runs a task that a drain waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.under_way.spawn(task);
    }

    /// Waits until everything under way has ended. Callers may be gone: a lease is settled all the same.
    pub(crate) async fn finish(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Returns true if the stream of leases stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.leases.is_connected()
    }
}
