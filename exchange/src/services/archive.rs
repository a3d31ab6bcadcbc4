//! `merit.v1.Archive`: statements, invocations and logs; and the record of one invocation, for `merit.v1.Brokerage`.

use merit_engine::Engine;
use merit_proto::v1::archive_server::Archive;
use merit_proto::v1::{AttemptState, DeferredState, EntryKind};
use merit_proto::{FieldError, v1};
use merit_terms::{AccountId, FunctionId, InvocationState, LeaseId, MarketId, ProviderId};
use tonic::{Request, Response, Status};

use super::lookup::{provider_name, unknown};
use super::paging::{limit, past, stretch};
use crate::access::caller;
use crate::archive::{FunctionLog, Line, Span};
use crate::exchange::Exchange;

const LINES_DEFAULT: usize = 100;
const LINES_MAX: usize = 1_000;
const RECORDS_DEFAULT: usize = 100;
const RECORDS_MAX: usize = 1_000;

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
        let span = Span { from, to, before: sequence(request.before), after: None };
        let limit = limit(request.limit, LINES_DEFAULT, LINES_MAX)?;
        let lines = self.0.projections.archive.lines(account, span, limit).await.map_err(past)?;
        let lines = self.0.sequencer.read(|engine| lines.iter().map(|line| line_to_proto(engine, line)).collect());
        Ok(Response::new(v1::ListStatementResponse { lines }))
    }

    async fn list_invocations(
        &self,
        request: Request<v1::ListInvocationsRequest>,
    ) -> Result<Response<v1::ListInvocationsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.own_account(caller, &request.account)?;
        let function = self.named_function(account, &request.function)?;
        let (from, to) = stretch(request.from, request.to)?;
        let span = Span { from, to, before: sequence(request.before), after: None };
        let limit = limit(request.limit, RECORDS_DEFAULT, RECORDS_MAX)?;
        let outcome = request.outcome();
        let wanted_state = named_state(&request.state)?;
        let wanted = move |row: &v1::InvocationRow| {
            (outcome == v1::Outcome::Unspecified || outcome_of(row) == Some(outcome))
                && wanted_state.is_none_or(|wanted| state(row) == wanted)
        };
        let page =
            self.0.projections.archive.invocations(account, function, span, limit, wanted).await.map_err(past)?;
        let invocations = self.0.sequencer.read(|engine| {
            let record = |(id, row): &(LeaseId, v1::InvocationRow)| invocation_to_proto(engine, *id, row);
            page.rows.iter().map(record).collect()
        });
        Ok(Response::new(v1::ListInvocationsResponse { invocations, next: page.next.unwrap_or(0) }))
    }

    async fn list_logs(&self, request: Request<v1::ListLogsRequest>) -> Result<Response<v1::ListLogsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.own_account(caller, &request.account)?;
        let function = self.named_function(account, &request.function)?;
        let (from, to) = stretch(request.from, request.to)?;
        let span = Span { from, to, before: sequence(request.before), after: sequence(request.after) };
        let limit = limit(request.limit, RECORDS_DEFAULT, RECORDS_MAX)?;
        let page = self.0.projections.archive.logs(account, function, span, limit).await.map_err(past)?;
        let logs = self.0.sequencer.read(|engine| page.rows.iter().map(|log| log_to_proto(engine, log)).collect());
        Ok(Response::new(v1::ListLogsResponse { logs, next: page.next.unwrap_or(0) }))
    }
}

impl Exchange {
    /// Reads the record of an invocation of an account.
    pub(super) async fn invocation(&self, account: AccountId, id: LeaseId) -> Result<v1::Invocation, Status> {
        let found = self.0.projections.archive.invocation(id).await.map_err(past)?;
        let own = found.filter(|(row, _)| row.account == account.number());
        let (row, log) = own.ok_or_else(|| unknown("invocation", &id.to_string()))?;
        let record = self.0.sequencer.read(|engine| invocation_to_proto(engine, id, &row));
        Ok(v1::Invocation { log, ..record })
    }

    /// Finds a function by name; none for an empty name.
    fn named_function(&self, account: AccountId, name: &str) -> Result<Option<FunctionId>, Status> {
        if name.is_empty() { Ok(None) } else { self.function_id(account, name).map(Some) }
    }
}

/// Reads the sequence that bounds a query; none for 0.
fn sequence(sequence: u64) -> Option<u64> {
    (sequence > 0).then_some(sequence)
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
        state: state(row).as_str().to_owned(),
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

fn log_to_proto(engine: &Engine, log: &FunctionLog) -> v1::FunctionLog {
    let FunctionLog { sequence, at, row } = log;
    let function = engine.function(FunctionId::new(row.function));
    v1::FunctionLog {
        sequence: *sequence,
        at: at.micros(),
        function: function.map_or_else(String::new, |function| function.name.to_string()),
        invocation: row.invocation,
        provider: provider_name(engine, ProviderId::new(row.provider)),
        outcome: row.outcome,
        log: row.log.clone(),
    }
}

/// Returns the outcome of the attempt that executed, if one did.
fn outcome_of(row: &v1::InvocationRow) -> Option<v1::Outcome> {
    row.attempts.iter().find_map(|attempt| attempt.settlement.as_ref()).map(v1::SettlementRow::outcome)
}

/// Parses the name of a state; none for an empty one.
fn named_state(name: &str) -> Result<Option<InvocationState>, FieldError> {
    let states = InvocationState::ALL.map(InvocationState::as_str);
    let unknown = || FieldError::new("state", format!("`{name}` is not one of {}", states.join(", ")));
    (!name.is_empty()).then(|| InvocationState::parse(name).ok_or_else(unknown)).transpose()
}

fn state(row: &v1::InvocationRow) -> InvocationState {
    let any = |state| row.attempts.iter().any(|attempt| attempt.state() == state);
    let deferred = row.deferred.as_ref().map(v1::DeferredRow::state);
    let last = row.attempts.last().map(v1::AttemptRow::state);
    match (deferred, last) {
        _ if any(AttemptState::Executed) => InvocationState::Settled,
        (Some(DeferredState::Resting), _) => InvocationState::Waiting,
        _ if any(AttemptState::Running) => InvocationState::Running,
        (Some(DeferredState::Cancelled), _) => InvocationState::Cancelled,
        (Some(DeferredState::Expired), _) | (_, Some(AttemptState::Expired)) => InvocationState::Expired,
        _ => InvocationState::Failed,
    }
}
