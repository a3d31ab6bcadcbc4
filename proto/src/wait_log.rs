//! The log of an exchange that is waited for. Never decides about another attempt.

/// The log of an exchange that is waited for: each reason once, until another or until it answers.
#[derive(Debug, Default)]
pub struct WaitLog {
    reason: Option<String>,
}

impl WaitLog {
    /// Logs that the exchange at a place is waited for, unless the last reason was the same.
    pub fn waits(&mut self, place: &str, reason: &str) {
        if self.reason.as_deref() != Some(reason) {
            tracing::warn!("waiting for the exchange {place}: {reason}");
            self.reason = Some(reason.to_owned());
        }
    }

    /// Notes that the exchange answers.
    pub fn answers(&mut self) {
        self.reason = None;
    }
}
