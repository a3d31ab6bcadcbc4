//! The asks of brokers over their streams as commands, and the replies as answers.
//!
//! Owns the moment of each answer: now, or once it is durable. Never sends one.

use merit_engine::{
    AtDeadline, Bid, BrokerRequest, Command, Deferred, Engine, Forgotten, LeaseTerms, NotSent, Qualifier, Reply, Settle,
};
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Asked;
use merit_proto::v1::brokerage_message::Message as Told;
use merit_proto::v1::refused::Asked as About;
use merit_proto::{FieldError, required};
use merit_terms::{
    Execution, LOG_MAX_BYTES, LeaseId, Limits, Name, Outcome, Refusal, RefusalCode, Time, WARMING_MAX_S,
};
use tonic::Status;

use super::grant::Dispatchable;
use crate::disk_space::Growth;
use crate::exchange::Exchange;
use crate::messages::{at_deadline_from_proto, qualifier_from_proto};
use crate::sequencer::{CallLog, Turn};

/// Limit of tried providers in a bid: more attempts than any broker makes.
const TRIED_MAX: usize = 64;

/// A decoded message: the wanted action, and the subject of its answer.
pub(super) struct Ask {
    what: Wanted,
    about: About,
}

enum Wanted {
    Acquire(Box<NamedBid>),
    Defer {
        call: Box<NamedBid>,
        deadline: Time,
        then: AtDeadline,
    },
    Settle(Settle, Option<CallLog>),
    SettleForgotten(Box<LeaseTerms>, Settle, Option<CallLog>),
    Release(LeaseId, NotSent),
    TakeUp(LeaseId),
    Cancel {
        account: String,
        bid: LeaseId,
    },
    /// The message is invalid or not allowed.
    Refused(v1::Refusal),
}

/// A bid with names where the engine has numbers.
struct NamedBid {
    account: String,
    function: Name,
    qualifier: Qualifier,
    answer_limit_bytes: u64,
    limits: Limits,
    tried: Vec<Name>,
    invocation: Option<LeaseId>,
    request: BrokerRequest,
}

/// The answer to a broker, and its moment.
pub(super) enum Answer {
    Now(Told),
    Grant(u64, Box<Dispatchable>),
    /// Sent once it is durable.
    Durable(Told),
}

impl Exchange {
    /// Decodes a message of a session. An invalid field becomes a refusal; a message without an ask is an error.
    pub(super) fn read_ask(&self, session: u64, message: v1::BrokerMessage) -> Result<Ask, Status> {
        let (about, what) = match required("message", message.message)? {
            Asked::Hello(_) => return Err(Status::invalid_argument("this stream has a session already")),
            Asked::Acquire(acquire) => {
                (About::Number(acquire.number), call(session, acquire).map(|call| Wanted::Acquire(Box::new(call))))
            }
            Asked::Defer(defer) => {
                (About::Number(defer.bid.as_ref().map_or(0, |bid| bid.number)), deferred(session, defer))
            }
            Asked::Settle(settle) => (
                About::Settle(settle.lease.unwrap_or_default()),
                read_settle(settle).map(|(settle, log)| Wanted::Settle(settle, log)),
            ),
            Asked::SettleForgotten(forgotten) => {
                let settle = forgotten.settle.unwrap_or_default();
                (About::Settle(settle.lease.unwrap_or_default()), self.forgotten(forgotten.proof, settle))
            }
            Asked::Release(release) => (About::Release(release.lease.unwrap_or_default()), read_release(release)),
            Asked::TakeUp(take_up) => {
                (About::TakeUp(take_up.lease.unwrap_or_default()), lease(take_up.lease).map(Wanted::TakeUp))
            }
            Asked::CancelBid(cancel) => {
                let about = About::CancelBid(cancel.bid.unwrap_or_default());
                (about, lease(cancel.bid).map(|bid| Wanted::Cancel { account: cancel.account, bid }))
            }
        };
        let refused = |error: FieldError| {
            Wanted::Refused(refusal(Refusal::Invalid { field: error.field, message: error.message }))
        };
        let mut what = what.unwrap_or_else(refused);
        if matches!(what, Wanted::Acquire(_) | Wanted::Defer { .. })
            && let Err(low) = self.0.disk.check(Growth::Calls)
        {
            what = Wanted::Refused(refusal(low));
        }
        Ok(Ask { what, about })
    }

    fn forgotten(&self, proof: Option<v1::LeaseProof>, settle: v1::Settle) -> Result<Wanted, FieldError> {
        let (settle, log) = read_settle(settle)?;
        Ok(match self.proven(&required("proof", proof)?) {
            Ok(terms) => Wanted::SettleForgotten(Box::new(terms), settle, log),
            Err(status) => {
                let code = merit_proto::code_of(&status).unwrap_or(RefusalCode::Invalid).to_string();
                Wanted::Refused(v1::Refusal { code, message: status.message().to_owned(), retry_after_ms: 0 })
            }
        })
    }
}

fn call(session: u64, acquire: v1::Acquire) -> Result<NamedBid, FieldError> {
    if acquire.tried.len() > TRIED_MAX {
        return Err(FieldError::new("tried", format!("{}; at most {TRIED_MAX}", acquire.tried.len())));
    }
    // No provider can have an invalid name, so it was not tried.
    let tried = acquire.tried.iter().filter_map(|name| name.parse().ok());
    Ok(NamedBid {
        account: acquire.account,
        function: acquire.function.parse().map_err(|error| FieldError::new("function", error))?,
        qualifier: qualifier_from_proto(acquire.qualifier)?,
        answer_limit_bytes: acquire.answer_limit_bytes,
        limits: acquire.limits.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
        tried: tried.collect(),
        invocation: acquire.invocation.map(Into::into),
        request: BrokerRequest { session, number: acquire.number },
    })
}

fn deferred(session: u64, defer: v1::Defer) -> Result<Wanted, FieldError> {
    let then = at_deadline_from_proto(defer.then())?;
    let call = Box::new(call(session, required("bid", defer.bid)?)?);
    Ok(Wanted::Defer { call, deadline: Time::from_micros(defer.deadline), then })
}

fn read_settle(mut settle: v1::Settle) -> Result<(Settle, Option<CallLog>), FieldError> {
    let execution: Execution = settle.execution().try_into()?;
    // A longer log must not keep a call from being settled.
    let mut log = std::mem::take(&mut settle.log);
    let text = log.split_off(log.len().saturating_sub(LOG_MAX_BYTES));
    let settled = Settle {
        lease: lease(settle.lease)?,
        execution,
        outcome: match execution {
            Execution::Executed => settle.outcome().try_into()?,
            _ => Outcome::Ok,
        },
        reported: settle.reported.as_ref().map(Into::into),
        observed_us: settle.observed_us,
        egress_bytes: settle.egress_bytes,
        fault: settle.fault,
        server_error: settle.server_error,
        given_up: settle.given_up,
    };
    let log = (!text.is_empty()).then_some(CallLog { lease: settled.lease, text });
    Ok((settled, log))
}

fn read_release(release: v1::Release) -> Result<Wanted, FieldError> {
    let why = match release.why() {
        v1::NotSent::Unspecified => return Err(FieldError::new("why", "is missing")),
        v1::NotSent::Withdrawn => NotSent::Withdrawn,
        v1::NotSent::Busy => NotSent::Busy,
        v1::NotSent::Failed => NotSent::Failed,
        v1::NotSent::Replaced => NotSent::Replaced,
        v1::NotSent::Warming => match release.retry_after_s {
            retry_after_s @ 1..=WARMING_MAX_S => NotSent::Warming { retry_after_s },
            other => return Err(FieldError::new("retry_after_s", format!("{other}; 1 to {WARMING_MAX_S}"))),
        },
    };
    Ok(Wanted::Release(lease(release.lease)?, why))
}

fn lease(id: Option<v1::LeaseId>) -> Result<LeaseId, FieldError> {
    Ok(required("lease", id)?.into())
}

fn refusal(refusal: Refusal) -> v1::Refusal {
    let retry_after_ms = match &refusal {
        Refusal::NoOffer { retry_after_ms, .. } => retry_after_ms.unwrap_or_default(),
        _ => 0,
    };
    v1::Refusal { code: refusal.code().to_string(), message: refusal.to_string(), retry_after_ms }
}

impl NamedBid {
    /// Resolves the names to the engine's numbers.
    fn resolve(self, engine: &Engine) -> Result<Box<Bid>, Refusal> {
        let unknown = |what, name: &str| Refusal::Unknown { what, name: name.to_owned() };
        let account = engine.find_account(&self.account).ok_or_else(|| unknown("account", &self.account))?;
        let function = engine.find_function(account, &self.function);
        Ok(Box::new(Bid {
            account,
            function: function.ok_or_else(|| unknown("function", self.function.as_str()))?,
            qualifier: self.qualifier,
            answer_limit_bytes: self.answer_limit_bytes,
            limits: self.limits,
            tried: self.tried.iter().filter_map(|name| engine.find_provider(name)).collect(),
            invocation: self.invocation,
            request: Some(self.request),
        }))
    }
}

impl Ask {
    /// Carries the ask out. Returns its answer.
    pub(super) fn answer(self, turn: &mut Turn<'_>) -> Result<Answer, Status> {
        let Ask { what, about } = self;
        let mut log = None;
        let command = match what {
            Wanted::Refused(refusal) => {
                let (asked, refusal) = (Some(about), Some(refusal));
                return Ok(Answer::Now(Told::Refused(v1::Refused { asked, refusal })));
            }
            Wanted::Acquire(call) => call.resolve(turn.engine()).map(Command::Acquire),
            Wanted::Defer { call, deadline, then } => {
                call.resolve(turn.engine()).map(|bid| Command::Defer(Box::new(Deferred { bid: *bid, deadline, then })))
            }
            Wanted::Settle(settle, called) => {
                log = called;
                Ok(Command::Settle(settle))
            }
            Wanted::SettleForgotten(terms, settle, called) => {
                log = called;
                Ok(Command::SettleForgotten(Box::new(Forgotten { terms: *terms, settle })))
            }
            Wanted::Release(lease, why) => Ok(Command::Release { lease, why }),
            Wanted::TakeUp(lease) => Ok(Command::TakeUp { lease }),
            Wanted::Cancel { account, bid } => match turn.engine().find_account(&account) {
                Some(account) => Ok(Command::CancelBid { account, bid }),
                None => Err(Refusal::Unknown { what: "account", name: account }),
            },
        };
        let reply = command.and_then(|command| turn.apply_with_log(&command, log).reply);
        answer(turn.engine(), about, reply)
    }
}

/// Makes the answer of a reply. Grants, which carry a proof, and refusals that changed nothing are sent at once; a
/// broker relies on all else, also after a crash.
fn answer(engine: &Engine, about: About, reply: Result<Reply, Refusal>) -> Result<Answer, Status> {
    let refused = |why| Told::Refused(v1::Refused { asked: Some(about), refusal: Some(refusal(why)) });
    match (about, reply) {
        (_, Ok(reply)) => done(engine, about, reply),
        // A closed lease counts as released.
        (About::Release(_), Err(Refusal::Closed)) => done(engine, about, Reply::Done),
        // The command that closed it may not be durable yet.
        (_, Err(Refusal::Closed)) => Ok(Answer::Durable(refused(Refusal::Closed))),
        (_, Err(other)) => Ok(Answer::Now(refused(other))),
    }
}

fn done(engine: &Engine, about: About, reply: Reply) -> Result<Answer, Status> {
    Ok(match (about, reply) {
        (About::Number(number), Reply::Granted(grant)) => {
            let unregistered = || Status::internal("a granted lease names something that is not registered");
            Answer::Grant(number, Box::new(Dispatchable::of(engine, &grant).ok_or_else(unregistered)?))
        }
        (About::Number(number), Reply::Resting(bid)) => {
            Answer::Durable(Told::Resting(v1::Resting { number, bid: Some(bid.into()) }))
        }
        (About::Settle(lease), Reply::Settled(settlement)) => {
            let (cost, billed_ms) = (settlement.cost.picodollars(), settlement.billed_ms);
            Answer::Durable(Told::Settled(v1::Settled { lease: Some(lease), cost, billed_ms }))
        }
        (About::Settle(lease), Reply::Done) => {
            Answer::Durable(Told::Settled(v1::Settled { lease: Some(lease), ..v1::Settled::default() }))
        }
        (About::Release(lease), Reply::Done) => Answer::Durable(Told::Released(v1::Released { lease: Some(lease) })),
        (About::TakeUp(lease), Reply::Done) => Answer::Durable(Told::TakenUp(v1::TakenUp { lease: Some(lease) })),
        (About::CancelBid(bid), Reply::Done) => Answer::Durable(Told::Cancelled(v1::Cancelled { bid: Some(bid) })),
        _ => return Err(Status::internal("the engine answered something else than was asked")),
    })
}

#[cfg(test)]
#[path = "../../../tests/unit/services/asks.rs"]
mod tests;
