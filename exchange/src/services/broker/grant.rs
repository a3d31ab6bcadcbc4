//! A grant as a broker dispatches it: names, endpoint, token and proof instead of numbers.
//!
//! The keys never leave it: a grant carries their signatures alone.

use merit_engine::{Engine, Grant, Provider};
use merit_proto::v1;
use merit_terms::is_url_target;

use crate::exchange::Exchange;
use crate::messages::lease_terms_to_proto;

/// A grant with its names, before it is signed: signing needs keys, and not the engine.
pub(super) struct Dispatchable {
    grant: v1::Grant,
    claims: v1::LeaseClaims,
    terms: v1::LeaseTerms,
}

impl Dispatchable {
    /// Looks up the names of a grant. Returns none if one is not registered, which is a bug.
    pub(super) fn of(engine: &Engine, grant: &Grant) -> Option<Dispatchable> {
        let terms = &grant.terms;
        let provider = engine.provider(terms.provider)?;
        let function = engine.function(terms.function)?;
        let revision = function.revision(terms.revision)?;
        let target = revision.code.deployments.get(&provider.name).map_or("", String::as_str);
        let claims = v1::LeaseClaims {
            provider: provider.name.to_string(),
            session: grant.session,
            lease: Some(terms.lease.into()),
            account: engine.account(terms.account).ok()?.name.clone(),
            function: function.name.to_string(),
            revision: terms.revision,
            module: revision.code.module.map(|digest| digest.to_vec()).unwrap_or_default(),
            memory_mb: terms.memory_mb,
            timeout_ms: terms.timeout_ms,
            attempt: terms.attempt,
            expires: grant.expires.micros(),
        };
        let told = v1::Grant {
            lease: Some(terms.lease.into()),
            invocation: Some(terms.invocation.into()),
            attempt: terms.attempt,
            provider: claims.provider.clone(),
            market: engine.market(terms.market)?.name.to_string(),
            endpoint: provider.endpoint.clone(),
            revision: terms.revision,
            memory_mb: terms.memory_mb,
            timeout_ms: terms.timeout_ms,
            tariff: Some((&terms.tariff).into()),
            price: terms.price.picodollars(),
            quoted_cost: grant.quoted_cost.picodollars(),
            token: String::new(),
            idempotent: function.settings.idempotent,
            proof: None,
            request: grant.request.map_or(0, |request| request.number),
            adapter: v1::Adapter::from(provider.adapter).into(),
            target: target.to_owned(),
            endpoint_trusted: provider.endpoint_trusted,
            logs_off: function.settings.logs_off,
            targets: if is_url_target(target) { patterns(provider) } else { Vec::new() },
        };
        Some(Dispatchable { grant: told, claims, terms: lease_terms_to_proto(terms) })
    }
}

fn patterns(provider: &Provider) -> Vec<String> {
    provider.targets.iter().map(ToString::to_string).collect()
}

impl Exchange {
    /// Signs a grant with the provider's token and the exchange's proof.
    pub(super) fn signed(&self, dispatchable: Dispatchable) -> v1::Grant {
        let Dispatchable { mut grant, claims, terms } = dispatchable;
        let key = self.0.key.session_key(&claims.provider, claims.session);
        grant.token = merit_proto::sign(&key, &claims);
        grant.proof = Some(merit_proto::prove(&self.0.lease_key, &terms));
        grant
    }
}
