//! `merit.v1.Archive`: statements; and the record of an invocation, for `merit.v1.Brokerage`.

use merit_engine::Engine;
use merit_proto::v1;
use merit_proto::v1::archive_server::Archive;
use merit_proto::v1::{AttemptState, DeferredState, EntryKind};
use merit_terms::{AccountId, FunctionId, LeaseId, MarketId, ProviderId};
use tonic::{Request, Response, Status};

use super::lookup::{provider_name, unknown};
use super::paging::{limit, past, stretch};
use crate::access::caller;
use crate::archive::{Line, Span};
use crate::exchange::Exchange;

const LINES_DEFAULT: usize = 100;
const LINES_MAX: usize = 1_000;

#[tonic::async_trait]
impl Archive for Exchange {
    async fn list_statement(
        &self,
        request: Request<v1::ListStatementRequest>,
    ) -> Result<Response<v1::ListStatementResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        // Includes the exchange's own accounts, for callers that see them.
        let find = |engine: &Engine| engine.find_account(&request.account).filter(|id| caller.reads_of(*id));
        let account = self.0.sequencer.read(find).ok_or_else(|| unknown("account", &request.account))?;
        let (from, to) = stretch(request.from, request.to)?;
        let span = Span { from, to, before: (request.before > 0).then_some(request.before) };
        let limit = limit(request.limit, LINES_DEFAULT, LINES_MAX)?;
        let lines = self.0.projections.archive.lines(account, span, limit).await.map_err(past)?;
        let lines = self.0.sequencer.read(|engine| lines.iter().map(|line| line_to_proto(engine, line)).collect());
        Ok(Response::new(v1::ListStatementResponse { lines }))
    }
}

impl Exchange {
    /// Reads the record of an invocation of an account.
    pub(super) async fn invocation(&self, account: AccountId, id: LeaseId) -> Result<v1::Invocation, Status> {
        let row = self.0.projections.archive.invocation(id).await.map_err(past)?;
        let own = row.filter(|row| row.account == account.number());
        let row = own.ok_or_else(|| unknown("invocation", &id.to_string()))?;
        Ok(self.0.sequencer.read(|engine| invocation_to_proto(engine, id, &row)))
    }
}

fn account_name(engine: &Engine, number: u32) -> String {
    engine.account(AccountId::new(number)).map_or_else(|_| String::new(), |account| account.name.clone())
}

fn line_to_proto(engine: &Engine, line: &Line) -> v1::StatementLine {
    let why = match line.row.why() {
        EntryKind::Unspecified => "",
        EntryKind::Deposit => "deposit",
        EntryKind::Payout => "payout",
        EntryKind::Correction => "correction",
        EntryKind::Refund => "refund",
        EntryKind::Cost => "cost",
        EntryKind::Fee => "fee",
        EntryKind::Loss => "loss",
    };
    v1::StatementLine {
        sequence: line.sequence,
        at: line.at.micros(),
        counter_account: account_name(engine, line.row.counter_account),
        amount: line.amount().to_string(),
        balance: line.balance().to_string(),
        why: why.to_owned(),
        lease: line.row.lease,
        invocation: line.row.invocation,
        reason: line.row.reason.clone(),
    }
}

fn invocation_to_proto(engine: &Engine, id: LeaseId, row: &v1::InvocationRow) -> v1::Invocation {
    let function = engine.function(FunctionId::new(row.function));
    let mut answer = v1::Invocation {
        id: Some(id.into()),
        account: account_name(engine, row.account),
        function: function.map_or_else(String::new, |function| function.name.to_string()),
        revision: row.revision,
        state: state(row).to_owned(),
        submitted_at: row.submitted_at,
        attempts: row.attempts.iter().map(|attempt| attempt_to_proto(engine, attempt)).collect(),
        memory_mb: row.memory_mb,
        deadline: row.deferred.map_or(0, |deferred| deferred.deadline),
        ..v1::Invocation::default()
    };
    // The executed attempt decides; else the last.
    let executed = row.attempts.iter().find(|attempt| attempt.settlement.is_some());
    if let Some(attempt) = executed.or(row.attempts.last()) {
        answer.vcpus_milli = attempt.vcpus_milli;
        answer.tariff = attempt.tariff;
        answer.quoted_cost = attempt.quoted_cost;
        if let Some(runner_up) = attempt.runner_up {
            answer.runner_up = provider_name(engine, ProviderId::new(runner_up));
            answer.runner_up_cost = attempt.runner_up_cost;
        }
        if let Some(settlement) = &attempt.settlement {
            answer.settled_at = settlement.at;
            answer.usage = settlement.usage;
            answer.billed_ms = settlement.billed_ms;
            answer.estimated = settlement.estimated;
            answer.outcome = settlement.outcome;
        }
    }
    // A claim may be paid beside the answered attempt.
    let settlements = || row.attempts.iter().filter_map(|attempt| attempt.settlement.as_ref());
    answer.cost = settlements().map(|settlement| settlement.cost).sum();
    answer.fee = settlements().map(|settlement| settlement.fee).sum();
    answer
}

fn attempt_to_proto(engine: &Engine, attempt: &v1::AttemptRow) -> v1::Attempt {
    let outcome = match attempt.state() {
        AttemptState::Unspecified | AttemptState::Running => "running",
        AttemptState::Executed => "executed",
        AttemptState::NotSent => "not_sent",
        AttemptState::Unknown => "unknown",
        AttemptState::Expired => "expired",
        AttemptState::NotTakenUp => "not_taken_up",
        AttemptState::Closed => "closed",
    };
    let settlement = attempt.settlement.as_ref();
    v1::Attempt {
        provider: provider_name(engine, ProviderId::new(attempt.provider)),
        lease: attempt.lease,
        outcome: outcome.to_owned(),
        wall_us: settlement.and_then(|settlement| settlement.usage).map_or(0, |usage| usage.wall_us),
        market: engine.market(MarketId::new(attempt.market)).map_or_else(String::new, |market| market.name.to_string()),
        claim: attempt.claim,
        cost: settlement.map(|settlement| settlement.cost),
        quoted_cost: attempt.quoted_cost,
        matched_at: attempt.matched_at,
        prior: attempt.on_prior,
    }
}

/// Names the state: waiting, running, settled, failed, expired or cancelled.
fn state(row: &v1::InvocationRow) -> &'static str {
    let any = |state| row.attempts.iter().any(|attempt| attempt.state() == state);
    let deferred = row.deferred.as_ref().map(v1::DeferredRow::state);
    let last = row.attempts.last().map(v1::AttemptRow::state);
    match (deferred, last) {
        _ if any(AttemptState::Executed) => "settled",
        (Some(DeferredState::Resting), _) => "waiting",
        _ if any(AttemptState::Running) => "running",
        (Some(DeferredState::Cancelled), _) => "cancelled",
        (Some(DeferredState::Expired), _) | (_, Some(AttemptState::Expired)) => "expired",
        _ => "failed",
    }
}
