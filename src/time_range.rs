//! The part of the past that a command asks for.

use merit_terms::Time;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// From this time on, such as 2026-11-23T10:00:00Z
    #[arg(long)]
    from: Option<Time>,
    /// Before this time
    #[arg(long)]
    to: Option<Time>,
}

impl Arguments {
    /// Returns the query of a request for at most `limit`.
    pub(crate) fn query(&self, limit: u32) -> String {
        let bound = |name, time: Option<Time>| time.map_or_else(String::new, |time| format!("&{name}={time}"));
        format!("limit={limit}{}{}", bound("from", self.from), bound("to", self.to))
    }
}
