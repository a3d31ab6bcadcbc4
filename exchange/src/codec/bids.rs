//! Bids and settles as records and back: several commands share them.

use merit_engine::{Bid, Settle};
use merit_proto::v1;
use merit_proto::v1::journal_record as record;
use merit_proto::{FieldError, required};
use merit_terms::{AccountId, FunctionId, Limits, ProviderId};

use crate::messages::*;

pub(super) fn acquire(bid: &Bid) -> record::Acquire {
    record::Acquire {
        account: bid.account.number(),
        function: bid.function.number(),
        qualifier: qualifier_to_proto(&bid.qualifier),
        answer_limit_bytes: bid.answer_limit_bytes,
        limits: (bid.limits != Limits::default()).then(|| (&bid.limits).into()),
        tried: bid.tried.iter().map(|provider| provider.number()).collect(),
        invocation: bid.invocation.map(Into::into),
        request: bid.request.map(request_to_proto),
    }
}

pub(super) fn settled(settle: &Settle) -> record::Settle {
    record::Settle {
        lease: Some(settle.lease.into()),
        execution: v1::Execution::from(settle.execution).into(),
        outcome: v1::Outcome::from(settle.outcome).into(),
        reported: settle.reported.as_ref().map(Into::into),
        observed_us: settle.observed_us,
        egress_bytes: settle.egress_bytes,
        fault: settle.fault,
        server_error: settle.server_error,
        given_up: settle.given_up,
    }
}

pub(super) fn bid(r: record::Acquire) -> Result<Bid, FieldError> {
    Ok(Bid {
        account: AccountId::new(r.account),
        function: FunctionId::new(r.function),
        qualifier: qualifier_from_proto(r.qualifier)?,
        answer_limit_bytes: r.answer_limit_bytes,
        limits: r.limits.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
        tried: r.tried.into_iter().map(ProviderId::new).collect(),
        invocation: r.invocation.map(Into::into),
        request: r.request.map(request_from_proto),
    })
}

pub(super) fn settle(r: record::Settle) -> Result<Settle, FieldError> {
    Ok(Settle {
        lease: required("lease", r.lease)?.into(),
        execution: r.execution().try_into()?,
        outcome: r.outcome().try_into()?,
        reported: r.reported.as_ref().map(Into::into),
        observed_us: r.observed_us,
        egress_bytes: r.egress_bytes,
        fault: r.fault,
        server_error: r.server_error,
        given_up: r.given_up,
    })
}
