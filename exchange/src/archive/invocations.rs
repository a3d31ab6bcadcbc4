//! Invocation records: each call, attempt by attempt, with its outcome.
//!
//! A record begins with the first match, or with the bid if it rests, and is written again as its attempts go on.
//! Never removes an unfinished one.

use std::collections::BTreeMap;

use merit_engine::{BidEnding, Ending, Engine, Event, Lease, Resting, Settlement};
use merit_proto::v1;
use merit_proto::v1::{AttemptState, DeferredState};
use merit_terms::{AccountId, FunctionId, LeaseId, Outcome, Time, Usage};
use prost::Message;
use redb::{Error, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::log::{Keep, Log, Page, Span};
use super::rows::{Rows, read_row};
use crate::sequencer::Happened;

/// Run and sequence of an invocation's first lease.
type InvocationKey = (u32, u64);

/// Retention of records: a month, to look back at a single call, and half a gigabyte.
const KEEP: Keep = Keep { days: 30, rows: 1_000_000 };

/// Records removed in one pass of retention at most, so that a commit stays short.
const REMOVED_MAX: usize = 100_000;

const INVOCATIONS: TableDefinition<InvocationKey, &[u8]> = TableDefinition::new("invocations");
/// The invocation of each lease that has another id than it.
const LATER_LEASES: TableDefinition<InvocationKey, InvocationKey> = TableDefinition::new("later_leases");

/// The invocations of each account, in the order in which their records begin.
pub(super) const OF_ACCOUNT: Log = Log::new("invocations_of", "invocations_of_lengths");
/// Invocations of an account that one query looks at.
const LOOKED_AT_MAX: usize = 10_000;

pub(super) struct Invocations {
    pending: BTreeMap<InvocationKey, RecordChanges>,
    of_account: Log,
    later: Vec<(InvocationKey, InvocationKey)>,
    /// Claims by lease, which may be of any invocation.
    claims: Vec<(InvocationKey, Usage)>,
}

/// The changes of an invocation since the last writing.
struct RecordChanges {
    /// Sequence, position and time of the first.
    began: (u64, u32, Time),
    all: Vec<Change>,
}

/// A change of an invocation.
enum Change {
    Rested(Box<Resting>),
    BidGone(Time, BidEnding),
    Granted(Box<Lease>),
    Settled(Box<Lease>, v1::SettlementRow),
    Ended(Box<Lease>, Time, AttemptState),
}

fn key(id: LeaseId) -> InvocationKey {
    (id.run, id.sequence)
}

impl Default for Invocations {
    fn default() -> Invocations {
        Invocations { pending: BTreeMap::new(), of_account: OF_ACCOUNT, later: Vec::new(), claims: Vec::new() }
    }
}

impl Invocations {
    /// Collects a change that came at this sequence, position and time.
    fn change(&mut self, began: (u64, u32, Time), invocation: LeaseId, change: Change) {
        let changes = self.pending.entry(key(invocation));
        changes.or_insert_with(|| RecordChanges { began, all: Vec::new() }).all.push(change);
    }

    fn granted(&mut self, began: (u64, u32, Time), lease: &Lease) {
        if lease.id != lease.invocation {
            self.later.push((key(lease.id), key(lease.invocation)));
        }
        self.change(began, lease.invocation, Change::Granted(Box::new(lease.clone())));
    }
}

impl Rows for Invocations {
    fn name(&self) -> &'static str {
        "invocations"
    }

    fn version(&self) -> u32 {
        2
    }

    /// Begins records of the resting bids and open leases of that state.
    fn begin(&mut self, engine: &Engine) {
        let (sequence, at) = (engine.sequence(), engine.last_at());
        let mut positions = 0..;
        let mut began = || (sequence, positions.next().unwrap_or(u32::MAX), at);
        for resting in engine.resting() {
            self.change(began(), resting.id, Change::Rested(Box::new(resting.clone())));
        }
        for lease in engine.open_leases() {
            self.granted(began(), lease);
        }
    }

    fn apply(&mut self, one: &Happened) {
        let at = one.at;
        for (position, event) in (0..).zip(&one.events) {
            let began = (one.sequence, position, at);
            match event {
                Event::BidRested(resting) => self.change(began, resting.id, Change::Rested(resting.clone())),
                Event::BidGone { resting, how } => self.change(began, resting.id, Change::BidGone(at, *how)),
                Event::Granted(lease) => self.granted(began, lease),
                Event::Settled { lease, outcome, settlement, .. } => {
                    let log = if one.log_of(lease.id).is_empty() { 0 } else { one.sequence };
                    let settled = v1::SettlementRow { log, ..settlement_row(at, *outcome, settlement) };
                    self.change(began, lease.invocation, Change::Settled(lease.clone(), settled));
                }
                Event::Ended { lease, how } => {
                    self.change(began, lease.invocation, Change::Ended(lease.clone(), at, state_of(*how)));
                }
                Event::Claimed { lease, usage, .. } => self.claims.push((key(*lease), *usage)),
                _ => {}
            }
        }
    }

    fn pending(&self) -> usize {
        self.pending.len() + self.claims.len()
    }

    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        let mut invocations = transaction.open_table(INVOCATIONS)?;
        let mut later = transaction.open_table(LATER_LEASES)?;
        for (id, changes) in std::mem::take(&mut self.pending) {
            let before: Option<v1::InvocationRow> =
                invocations.get(id)?.map(|row| read_row(row.value())).transpose()?;
            let is_new = before.is_none();
            let mut row = before.unwrap_or_default();
            let RecordChanges { began: (sequence, position, at), all } = changes;
            for change in all {
                apply(&mut row, change);
            }
            if is_new {
                let entry = v1::AccountInvocationRow {
                    id: Some(v1::LeaseId { run: id.0, sequence: id.1 }),
                    function: row.function,
                };
                self.of_account.push(row.account, sequence, position, at, entry.encode_to_vec());
            }
            invocations.insert(id, row.encode_to_vec().as_slice())?;
        }
        self.of_account.write(transaction)?;
        for (lease, invocation) in std::mem::take(&mut self.later) {
            later.insert(lease, invocation)?;
        }
        for (lease, usage) in std::mem::take(&mut self.claims) {
            let id = later.get(lease)?.map_or(lease, |invocation| invocation.value());
            let before: Option<v1::InvocationRow> =
                invocations.get(id)?.map(|row| read_row(row.value())).transpose()?;
            let Some(mut row) = before else { continue };
            let id_of = |attempt: &v1::AttemptRow| attempt.lease.map(|id| (id.run, id.sequence));
            if let Some(attempt) = row.attempts.iter_mut().find(|attempt| id_of(attempt) == Some(lease)) {
                attempt.claim = Some((&usage).into());
                invocations.insert(id, row.encode_to_vec().as_slice())?;
            }
        }
        Ok(())
    }

    /// Removes records past their age, and the oldest where there are too many; never one that is unfinished.
    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error> {
        self.of_account.retain(transaction, now, KEEP)?;
        let mut invocations = transaction.open_table(INVOCATIONS)?;
        let mut later = transaction.open_table(LATER_LEASES)?;
        let horizon = KEEP.horizon(now).micros();
        let excess = invocations.len()?.saturating_sub(KEEP.rows);
        let mut gone = Vec::new();
        for row in invocations.iter()? {
            let (id, row) = row?;
            let row: v1::InvocationRow = read_row(row.value())?;
            let is_old = row.submitted_at < horizon || (gone.len() as u64) < excess;
            if !is_old || gone.len() == REMOVED_MAX {
                break;
            }
            if !goes_on(&row) {
                let leases: Vec<v1::LeaseId> = row.attempts.iter().filter_map(|attempt| attempt.lease).collect();
                gone.push((id.value(), leases));
            }
        }
        for (id, leases) in gone {
            invocations.remove(id)?;
            for lease in leases {
                later.remove((lease.run, lease.sequence))?;
            }
        }
        Ok(())
    }

    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        *self = Invocations::default();
        transaction.delete_table(INVOCATIONS)?;
        transaction.delete_table(LATER_LEASES)?;
        self.of_account.clear(transaction)
    }
}

fn apply(row: &mut v1::InvocationRow, change: Change) {
    match change {
        Change::Rested(resting) => {
            row.account = resting.deferred.bid.account.number();
            row.function = resting.deferred.bid.function.number();
            row.revision = resting.revision;
            row.memory_mb = resting.memory_mb;
            if row.submitted_at == 0 {
                row.submitted_at = resting.rested_at.micros();
            }
            row.ended_at = 0;
            row.deferred = Some(v1::DeferredRow {
                deadline: resting.deferred.deadline.micros(),
                limit: resting.limit.picodollars(),
                hold: resting.hold.picodollars(),
                state: DeferredState::Resting.into(),
            });
        }
        Change::BidGone(at, how) => {
            let state = match how {
                BidEnding::Matched => DeferredState::Matched,
                BidEnding::Cancelled => DeferredState::Cancelled,
                BidEnding::Expired => DeferredState::Expired,
            };
            if let Some(deferred) = &mut row.deferred {
                deferred.state = state.into();
            }
            if how != BidEnding::Matched {
                row.ended_at = at.micros();
            }
        }
        Change::Granted(lease) => {
            row.ended_at = 0;
            attempt_mut(row, &lease);
        }
        Change::Settled(lease, settlement) => {
            row.ended_at = settlement.at;
            let attempt = attempt_mut(row, &lease);
            attempt.state = AttemptState::Executed.into();
            attempt.settlement = Some(settlement);
        }
        Change::Ended(lease, at, state) => {
            row.ended_at = at.micros();
            attempt_mut(row, &lease).state = state.into();
        }
    }
}

/// Finds the attempt of a lease, or adds it, and updates it from the lease.
fn attempt_mut<'a>(row: &'a mut v1::InvocationRow, lease: &Lease) -> &'a mut v1::AttemptRow {
    if row.attempts.is_empty() {
        row.account = lease.account.number();
        row.function = lease.function.number();
        row.revision = lease.revision;
        row.memory_mb = lease.memory_mb;
        if row.submitted_at == 0 {
            row.submitted_at = lease.matched_at.micros();
        }
    }
    let id: v1::LeaseId = lease.id.into();
    let index = match row.attempts.iter().position(|attempt| attempt.lease == Some(id)) {
        Some(index) => index,
        None => {
            row.attempts.push(attempt(lease));
            row.attempts.len() - 1
        }
    };
    let attempt = &mut row.attempts[index];
    attempt.hold = lease.hold.picodollars();
    attempt.claim = lease.claim.as_ref().map(Into::into).or(attempt.claim);
    attempt
}

fn attempt(lease: &Lease) -> v1::AttemptRow {
    v1::AttemptRow {
        lease: Some(lease.id.into()),
        provider: lease.provider.number(),
        market: lease.market.number(),
        price: lease.price.picodollars(),
        tariff: Some((&lease.tariff).into()),
        vcpus_milli: lease.vcpus_milli,
        timeout_ms: lease.timeout_ms,
        quoted_cost: lease.quoted_cost.picodollars(),
        worst_cost: lease.worst_cost.picodollars(),
        hold: lease.hold.picodollars(),
        matched_at: lease.matched_at.micros(),
        runner_up: lease.runner_up.map(|(provider, _)| provider.number()),
        runner_up_cost: lease.runner_up.map_or(0, |(_, cost)| cost.picodollars()),
        on_prior: lease.on_prior,
        state: AttemptState::Running.into(),
        claim: None,
        settlement: None,
    }
}

fn settlement_row(at: Time, outcome: Outcome, settlement: &Settlement) -> v1::SettlementRow {
    v1::SettlementRow {
        outcome: v1::Outcome::from(outcome).into(),
        cost: settlement.cost.picodollars(),
        fee: settlement.fee.picodollars(),
        billed_ms: settlement.billed_ms,
        usage: Some((&settlement.usage).into()),
        estimated: settlement.estimated,
        at: at.micros(),
        log: 0,
    }
}

fn state_of(how: Ending) -> AttemptState {
    match how {
        Ending::NotSent => AttemptState::NotSent,
        Ending::Unknown => AttemptState::Unknown,
        Ending::Expired => AttemptState::Expired,
        Ending::NotTakenUp => AttemptState::NotTakenUp,
        Ending::Closed => AttemptState::Closed,
    }
}

/// Returns true for an unfinished invocation: it rests or runs.
fn goes_on(row: &v1::InvocationRow) -> bool {
    row.attempts.iter().any(|attempt| attempt.state() == AttemptState::Running)
        || row.deferred.as_ref().is_some_and(|deferred| deferred.state() == DeferredState::Resting)
}

/// Reads the record of an invocation, if it is kept.
pub(super) fn invocation(transaction: &ReadTransaction, id: LeaseId) -> Result<Option<v1::InvocationRow>, Error> {
    let table = transaction.open_table(INVOCATIONS)?;
    table.get(key(id))?.map(|row| read_row(row.value())).transpose()
}

/// Reads the latest records of an account within `span`, or of one function, that are wanted, newest first. Those that
/// are no longer kept are left out.
pub(super) fn invocations(
    transaction: &ReadTransaction,
    (account, function): (AccountId, Option<FunctionId>),
    span: Span,
    limit: usize,
    wanted: impl Fn(&v1::InvocationRow) -> bool,
) -> Result<Page<(LeaseId, v1::InvocationRow)>, Error> {
    let records = transaction.open_table(INVOCATIONS)?;
    OF_ACCOUNT.select(transaction, account.number(), (span, LOOKED_AT_MAX), limit, |row| {
        let entry: v1::AccountInvocationRow = read_row(row.bytes)?;
        let is_of = function.is_none_or(|function| function.number() == entry.function);
        let Some(id) = entry.id.filter(|_| is_of) else { return Ok(None) };
        let record = records.get((id.run, id.sequence))?.map(|row| read_row(row.value())).transpose()?;
        Ok(record.filter(&wanted).map(|record| (id.into(), record)))
    })
}
