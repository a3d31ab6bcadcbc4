//! Brokers' sessions, and whether the stream of each is on.

use std::collections::BTreeMap;

use merit_terms::Refusal;
use serde::{Deserialize, Serialize};

/// Sessions by the sequence at which they began, and whether their stream is on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Brokers(BTreeMap<u64, bool>);

impl Brokers {
    pub(crate) fn is_online(&self, session: u64) -> bool {
        self.0.get(&session).copied().unwrap_or(false)
    }

    /// Refuses a session whose stream is off.
    pub(crate) fn online(&self, session: u64) -> Result<(), Refusal> {
        if self.is_online(session) { Ok(()) } else { Err(Refusal::NotInSession) }
    }

    /// Lists the sessions, and whether the stream of each is on.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, bool)> {
        self.0.iter().map(|(session, online)| (*session, *online))
    }

    /// Begins the stream of a session, of a new one or of one that is resumed.
    pub(super) fn log_on(&mut self, session: u64, resumes: bool) -> Result<(), Refusal> {
        if resumes && !self.0.contains_key(&session) {
            return Err(Refusal::Unknown { what: "broker session", name: session.to_string() });
        }
        self.0.insert(session, true);
        Ok(())
    }

    /// Ends the stream of a session. A session that answers for nothing is forgotten.
    pub(super) fn lose(&mut self, session: u64, answers_for_any: bool) {
        if answers_for_any {
            self.0.insert(session, false);
        } else {
            self.0.remove(&session);
        }
    }

    /// Ends all streams. Sessions that answer for nothing are forgotten.
    pub(super) fn lose_all(&mut self, answers_for_any: impl Fn(u64) -> bool) {
        self.0.retain(|session, online| {
            *online = false;
            answers_for_any(*session)
        });
    }
}
