//! The retry budget: further attempts in proportion to calls, so that failures at most double the load.

use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};

/// Further attempts for each call.
const RETRY_RATIO: f32 = 1.0;
/// Further attempts a second, whatever the calls.
const RETRIES_A_SECOND: u32 = 100;
/// Window over which calls and attempts are counted.
const WINDOW: Duration = Duration::from_secs(10);

pub(super) struct RetryBudget(TpsBudget);

impl RetryBudget {
    pub(super) fn new() -> RetryBudget {
        RetryBudget(TpsBudget::new(WINDOW, RETRIES_A_SECOND, RETRY_RATIO))
    }

    /// Counts a call, which earns further attempts.
    pub(super) fn earn(&self) {
        self.0.deposit();
    }

    /// Spends a further attempt. Returns false if the budget is used up.
    pub(super) fn spend(&self) -> bool {
        self.0.withdraw()
    }
}
