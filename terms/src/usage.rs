//! The usage of an invocation, and the rule that chooses the measurement to bill. Never computes a cost.

use serde::{Deserialize, Serialize};

/// Maximum length in bytes of the end of a function's log that is kept of a call.
pub const LOG_MAX_BYTES: usize = 4096;

/// The usage of one invocation. Wall time excludes the cold start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub wall_us: u64,
    pub cpu_us: u64,
    pub cold_us: u64,
    pub egress_bytes: u64,
}

/// Usage as it is billed; `estimated` if the provider did not report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metered {
    pub usage: Usage,
    pub estimated: bool,
}

impl Usage {
    /// Chooses the billed usage. Time is the minimum of the provider's report, the broker's observation and the lease's
    /// timeout; egress is the broker's count. Without a report the observed time counts, with `learned_cpu_us` of CPU
    /// time, marked estimated.
    pub fn metered(
        reported: Option<Usage>,
        observed_us: u64,
        timeout_ms: u32,
        egress_bytes: u64,
        learned_cpu_us: u64,
    ) -> Metered {
        let most_us = observed_us.min(u64::from(timeout_ms) * 1000);
        let usage = match reported {
            None => Usage { wall_us: most_us, cpu_us: learned_cpu_us, cold_us: 0, egress_bytes },
            Some(report) => {
                let wall_us = report.wall_us.min(most_us);
                let cold_us = report.cold_us.min(most_us - wall_us);
                Usage { wall_us, cpu_us: report.cpu_us, cold_us, egress_bytes }
            }
        };
        Metered { usage, estimated: reported.is_none() }
    }
}
