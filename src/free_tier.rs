//! The free tier of `merit provider`: a quota at price 0, used up before anybody pays.

use anyhow::{Context, bail};
use clap::ValueEnum;
use merit_terms::{Period, Quota};

/// Energy of a GB-s in MB-ms; 1 GB is 1024 MB.
const MB_MS_PER_GB_SECOND: u64 = 1_024_000;

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Number of calls to give away before anybody pays
    #[arg(long = "free-requests", value_name = "CALLS")]
    requests: Option<u64>,
    /// Number of GB-s to give away before anybody pays
    #[arg(long = "free-gb-seconds", value_name = "GB-S")]
    gb_seconds: Option<u64>,
    /// Renewal of the free tier, at midnight UTC; never by default
    #[arg(long = "free-renews", value_enum, value_name = "PERIOD")]
    renews: Option<Renewal>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Renewal {
    Day,
    Month,
}

impl Arguments {
    pub(crate) fn quota(&self) -> anyhow::Result<Option<Quota>> {
        if (self.requests, self.gb_seconds) == (None, None) {
            return match self.renews {
                None => Ok(None),
                Some(_) => bail!("--free-renews goes with --free-requests or --free-gb-seconds"),
            };
        }
        let mb_ms =
            |gb_seconds: u64| gb_seconds.checked_mul(MB_MS_PER_GB_SECOND).context("--free-gb-seconds: too many");
        Ok(Some(Quota {
            name: "free".parse()?,
            requests: self.requests,
            energy_mb_ms: self.gb_seconds.map(mb_ms).transpose()?,
            renews: self.renews.map(|renews| match renews {
                Renewal::Day => Period::Day,
                Renewal::Month => Period::Month,
            }),
        }))
    }
}
