//! Bids as messages and back: qualifier, the broker's request, and the end at a deadline.

use merit_engine as engine;
use merit_proto::{FieldError, v1};

use super::field::parse;

pub(crate) fn qualifier_to_proto(qualifier: &engine::Qualifier) -> Option<v1::Qualifier> {
    use v1::qualifier::Revision;
    let revision = match qualifier {
        engine::Qualifier::Live => return None,
        engine::Qualifier::Revision(number) => Revision::Number(*number),
        engine::Qualifier::Alias(alias) => Revision::Alias(alias.to_string()),
    };
    Some(v1::Qualifier { revision: Some(revision) })
}

pub(crate) fn qualifier_from_proto(qualifier: Option<v1::Qualifier>) -> Result<engine::Qualifier, FieldError> {
    use v1::qualifier::Revision;
    match qualifier.and_then(|qualifier| qualifier.revision) {
        None => Ok(engine::Qualifier::Live),
        Some(Revision::Number(number)) => Ok(engine::Qualifier::Revision(number)),
        Some(Revision::Alias(alias)) => Ok(engine::Qualifier::Alias(parse("alias", &alias)?)),
    }
}

pub(crate) fn request_to_proto(request: engine::BrokerRequest) -> v1::BrokerRequest {
    v1::BrokerRequest { session: request.session, number: request.number }
}

pub(crate) fn request_from_proto(request: v1::BrokerRequest) -> engine::BrokerRequest {
    engine::BrokerRequest { session: request.session, number: request.number }
}

pub(crate) fn at_deadline_to_proto(then: engine::AtDeadline) -> v1::AtDeadline {
    match then {
        engine::AtDeadline::Expire => v1::AtDeadline::Expire,
        engine::AtDeadline::Market => v1::AtDeadline::Market,
    }
}

pub(crate) fn at_deadline_from_proto(then: v1::AtDeadline) -> Result<engine::AtDeadline, FieldError> {
    match then {
        v1::AtDeadline::Unspecified => Err(FieldError::new("then", "is missing")),
        v1::AtDeadline::Expire => Ok(engine::AtDeadline::Expire),
        v1::AtDeadline::Market => Ok(engine::AtDeadline::Market),
    }
}
