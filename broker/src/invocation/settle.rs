//! Billing a lease at the exchange, also one that was forgotten or closed meanwhile.

use merit_proto::v1;
use merit_terms::{LeaseId, Usage};

use crate::exchange::clients::answer;
use crate::exchange::leases::Answer;
use crate::invocation::dispatch::{Bill, Input};
use crate::server::State;

/// Bills a lease; by its proof, if a crash of the exchange forgot it.
pub(super) async fn settle(
    state: &State,
    account: &str,
    invocation: LeaseId,
    lease: LeaseId,
    bill: Bill,
    proof: Option<v1::LeaseProof>,
) -> Input {
    let executed = matches!(bill, Bill::Executed { .. });
    let settle = settle_message(lease, bill);
    let mut answer = state.stream.settle(settle).await;
    if let (Answer::Refused(refusal), Some(proof)) = (&answer, proof)
        && refusal.code == "forgotten"
    {
        answer = state.stream.settle_forgotten(proof, settle).await;
    }
    match answer {
        _ if !executed => Input::Released,
        Answer::Settled { cost, billed_ms } => Input::Settled { cost, billed_ms },
        // Settled by a message whose answer was lost, or closed meanwhile: its record says.
        Answer::Refused(refusal) if refusal.code == "closed" => settled_before(state, account, invocation, lease).await,
        Answer::Refused(refusal) => Input::Unsettled { reason: refusal.message },
        Answer::Granted(_) | Answer::Unavailable => {
            Input::Unsettled { reason: "the exchange does not answer".to_owned() }
        }
    }
}

fn settle_message(lease: LeaseId, bill: Bill) -> v1::Settle {
    let mut settle = v1::Settle { lease: Some(lease.into()), ..v1::Settle::default() };
    match bill {
        Bill::Executed { outcome, usage, observed_us, egress_bytes } => {
            settle.set_execution(v1::Execution::Executed);
            settle.set_outcome(outcome.into());
            settle.reported = usage.as_ref().map(|usage: &Usage| usage.into());
            settle.observed_us = observed_us;
            settle.egress_bytes = egress_bytes;
        }
        Bill::Unknown { fault } => {
            settle.set_execution(v1::Execution::Unknown);
            settle.fault = fault;
        }
    }
    settle
}

async fn settled_before(state: &State, account: &str, invocation: LeaseId, lease: LeaseId) -> Input {
    let mut client = state.exchange.brokerage.clone();
    let request = v1::GetInvocationRequest { account: account.to_owned(), id: Some(invocation.into()) };
    let record = answer(client.get_invocation(request)).await;
    let paid = |record: &v1::Invocation| {
        let paid = |attempt: &v1::Attempt| attempt.lease == Some(lease.into()) && attempt.outcome == "executed";
        record.attempts.iter().any(paid)
    };
    match record {
        Ok(record) if paid(&record) => Input::Settled { cost: record.cost, billed_ms: record.billed_ms },
        _ => Input::Unsettled {
            reason: "its lease was closed before, by the operator or by its deadline; it is not charged".to_owned(),
        },
    }
}
