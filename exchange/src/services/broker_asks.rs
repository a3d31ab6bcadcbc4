//! What brokers ask over their streams, as commands, and what became of them as answers.

use merit_engine::{
    AtDeadline, Bid, BrokerRequest, Command, Deferred, Engine, Forgotten, LeaseTerms, NotSent, Qualifier, Reply, Settle,
};
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Asked;
use merit_proto::v1::brokerage_message::Message as Told;
use merit_proto::v1::refused::Asked as About;
use merit_proto::{FieldError, required};
use merit_terms::{Execution, LeaseId, Limits, Name, Outcome, Refusal, RefusalCode, Time};
use tonic::Status;

use super::dispatchable::Dispatchable;
use crate::codec::{at_deadline_from_proto, qualifier_from_proto};
use crate::open::Exchange;
use crate::sequencer::Turn;

/// More attempts than any broker makes.
const TRIED_MAX: usize = 64;

/// A message that was understood: what to do, and what its answer is about.
pub(super) struct Ask {
    what: What,
    about: About,
}

enum What {
    Acquire(Box<Call>),
    Defer {
        call: Box<Call>,
        deadline: Time,
        then: AtDeadline,
    },
    Settle(Settle),
    SettleForgotten(Box<LeaseTerms>, Settle),
    Release(LeaseId, NotSent),
    TakeUp(LeaseId),
    Cancel {
        account: String,
        bid: LeaseId,
    },
    /// It was not understood, or is not allowed.
    Refused(v1::Refusal),
}

/// A bid with names where the engine has numbers.
struct Call {
    account: String,
    function: Name,
    qualifier: Qualifier,
    answer_limit_bytes: u64,
    limits: Limits,
    tried: Vec<Name>,
    invocation: Option<LeaseId>,
    request: BrokerRequest,
}

/// What a broker is told, and when.
pub(super) enum Answer {
    Now(Told),
    Grant(u64, Box<Dispatchable>),
    /// Once it is durable.
    Durable(Told),
}

impl Exchange {
    /// Reads a message of a session. What it asks wrongly is refused; fails if it asks nothing.
    pub(super) fn read_ask(&self, session: u64, message: v1::BrokerMessage) -> Result<Ask, Status> {
        let (about, what) = match required("message", message.message)? {
            Asked::Hello(_) => return Err(Status::invalid_argument("this stream has a session already")),
            Asked::Acquire(acquire) => {
                (About::Number(acquire.number), call(session, acquire).map(|call| What::Acquire(Box::new(call))))
            }
            Asked::Defer(defer) => {
                (About::Number(defer.bid.as_ref().map_or(0, |bid| bid.number)), deferred(session, defer))
            }
            Asked::Settle(settle) => {
                (About::Settle(settle.lease.unwrap_or_default()), read_settle(settle).map(What::Settle))
            }
            Asked::SettleForgotten(forgotten) => {
                let settle = forgotten.settle.unwrap_or_default();
                (About::Settle(settle.lease.unwrap_or_default()), self.forgotten(forgotten.proof, settle))
            }
            Asked::Release(release) => (About::Release(release.lease.unwrap_or_default()), read_release(release)),
            Asked::TakeUp(take_up) => {
                (About::TakeUp(take_up.lease.unwrap_or_default()), lease(take_up.lease).map(What::TakeUp))
            }
            Asked::CancelBid(cancel) => {
                let about = About::CancelBid(cancel.bid.unwrap_or_default());
                (about, lease(cancel.bid).map(|bid| What::Cancel { account: cancel.account, bid }))
            }
        };
        let refused =
            |error: FieldError| What::Refused(refusal(Refusal::Invalid { field: error.field, message: error.message }));
        Ok(Ask { what: what.unwrap_or_else(refused), about })
    }

    fn forgotten(&self, proof: Option<v1::LeaseProof>, settle: v1::Settle) -> Result<What, FieldError> {
        let settle = read_settle(settle)?;
        Ok(match self.proven(&required("proof", proof)?) {
            Ok(terms) => What::SettleForgotten(Box::new(terms), settle),
            Err(status) => {
                let code = merit_proto::code_of(&status).unwrap_or(RefusalCode::Invalid).to_string();
                What::Refused(v1::Refusal { code, message: status.message().to_owned() })
            }
        })
    }
}

fn call(session: u64, acquire: v1::Acquire) -> Result<Call, FieldError> {
    if acquire.tried.len() > TRIED_MAX {
        return Err(FieldError::new("tried", format!("{}; at most {TRIED_MAX}", acquire.tried.len())));
    }
    // A name that no provider can have was not tried.
    let tried = acquire.tried.iter().filter_map(|name| name.parse().ok());
    Ok(Call {
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

fn deferred(session: u64, defer: v1::Defer) -> Result<What, FieldError> {
    let then = at_deadline_from_proto(defer.then())?;
    let call = Box::new(call(session, required("bid", defer.bid)?)?);
    Ok(What::Defer { call, deadline: Time::from_micros(defer.deadline), then })
}

fn read_settle(settle: v1::Settle) -> Result<Settle, FieldError> {
    let execution: Execution = settle.execution().try_into()?;
    Ok(Settle {
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
    })
}

fn read_release(release: v1::Release) -> Result<What, FieldError> {
    let why = match release.why() {
        v1::NotSent::Unspecified => return Err(FieldError::new("why", "is missing")),
        v1::NotSent::Withdrawn => NotSent::Withdrawn,
        v1::NotSent::Busy => NotSent::Busy,
        v1::NotSent::Failed => NotSent::Failed,
    };
    Ok(What::Release(lease(release.lease)?, why))
}

fn lease(id: Option<v1::LeaseId>) -> Result<LeaseId, FieldError> {
    Ok(required("lease", id)?.into())
}

fn refusal(refusal: Refusal) -> v1::Refusal {
    v1::Refusal { code: refusal.code().to_string(), message: refusal.to_string() }
}

impl Call {
    /// The bid with the engine's numbers.
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
    /// Does what is asked.
    pub(super) fn answer(self, turn: &mut Turn<'_>) -> Result<Answer, Status> {
        let Ask { what, about } = self;
        let command = match what {
            What::Refused(refusal) => {
                let (asked, refusal) = (Some(about), Some(refusal));
                return Ok(Answer::Now(Told::Refused(v1::Refused { asked, refusal })));
            }
            What::Acquire(call) => call.resolve(turn.engine()).map(Command::Acquire),
            What::Defer { call, deadline, then } => {
                call.resolve(turn.engine()).map(|bid| Command::Defer(Box::new(Deferred { bid: *bid, deadline, then })))
            }
            What::Settle(settle) => Ok(Command::Settle(settle)),
            What::SettleForgotten(terms, settle) => {
                Ok(Command::SettleForgotten(Box::new(Forgotten { terms: *terms, settle })))
            }
            What::Release(lease, why) => Ok(Command::Release { lease, why }),
            What::TakeUp(lease) => Ok(Command::TakeUp { lease }),
            What::Cancel { account, bid } => match turn.engine().find_account(&account) {
                Some(account) => Ok(Command::CancelBid { account, bid }),
                None => Err(Refusal::Unknown { what: "account", name: account }),
            },
        };
        let reply = command.and_then(|command| turn.apply(&command).reply);
        answer(turn.engine(), about, reply)
    }
}

/// What is told of a reply, and when. What a broker holds a proof of, and what changed nothing, is told at once; on all
/// else it relies, also after a crash.
fn answer(engine: &Engine, about: About, reply: Result<Reply, Refusal>) -> Result<Answer, Status> {
    let refused = |why| Told::Refused(v1::Refused { asked: Some(about), refusal: Some(refusal(why)) });
    match (about, reply) {
        (_, Ok(reply)) => done(engine, about, reply),
        // A lease that is closed is given back as well.
        (About::Release(_), Err(Refusal::Closed)) => done(engine, about, Reply::Done),
        // What closed it may not be durable yet.
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
mod tests {
    use super::*;

    const LEASE: v1::LeaseId = v1::LeaseId { run: 1, sequence: 5 };

    #[test]
    fn only_refusals_of_what_changed_nothing_are_told_before_all_is_durable() {
        let waits = |about, reply| match answer(&Engine::new(), about, reply).unwrap() {
            Answer::Now(_) | Answer::Grant(..) => false,
            Answer::Durable(_) => true,
        };
        for about in [About::Settle, About::Release, About::TakeUp, About::CancelBid].map(|about| about(LEASE)) {
            assert!(waits(about, Ok(Reply::Done)), "{about:?} is done");
            assert!(waits(about, Err(Refusal::Closed)), "{about:?} of what is closed");
        }
        assert!(waits(About::Number(7), Ok(Reply::Resting(LEASE.into()))));
        assert!(!waits(About::Settle(LEASE), Err(Refusal::Forgotten)));
        assert!(!waits(About::Number(7), Err(Refusal::NotInSession)));
    }
}
