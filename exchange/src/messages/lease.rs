//! Leases as messages and back: their terms.

use merit_engine as engine;
use merit_proto::{FieldError, required, v1};
use merit_terms::{AccountId, FunctionId, MarketId, Price, ProviderId, Time};

use super::field::money;

pub(crate) fn lease_terms_to_proto(terms: &engine::LeaseTerms) -> v1::LeaseTerms {
    v1::LeaseTerms {
        lease: Some(terms.lease.into()),
        invocation: Some(terms.invocation.into()),
        attempt: terms.attempt,
        account: terms.account.number(),
        function: terms.function.number(),
        revision: terms.revision,
        provider: terms.provider.number(),
        market: terms.market.number(),
        price: terms.price.picodollars(),
        tariff: Some((&terms.tariff).into()),
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        hold: terms.hold.picodollars(),
        matched_at: terms.matched_at.micros(),
        settle_by: terms.settle_by.micros(),
        private: terms.private,
    }
}

pub(crate) fn lease_terms_from_proto(terms: &v1::LeaseTerms) -> Result<engine::LeaseTerms, FieldError> {
    Ok(engine::LeaseTerms {
        lease: required("lease", terms.lease)?.into(),
        invocation: required("invocation", terms.invocation)?.into(),
        attempt: terms.attempt,
        account: AccountId::new(terms.account),
        function: FunctionId::new(terms.function),
        revision: terms.revision,
        provider: ProviderId::new(terms.provider),
        market: MarketId::new(terms.market),
        price: Price::from_picodollars(terms.price),
        tariff: required("tariff", terms.tariff.as_ref())?.into(),
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        hold: money("hold", terms.hold)?,
        matched_at: Time::from_micros(terms.matched_at),
        settle_by: Time::from_micros(terms.settle_by),
        private: terms.private,
    })
}
