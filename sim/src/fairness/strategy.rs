//! Sellers that misbehave: the deed of each strategy with a call that comes to it. Never touches the market.

use merit_engine::NotSent;
use merit_terms::{Outcome, Usage};

/// Time of a call that fails at once or is not taken, in microseconds.
const AT_ONCE_US: u64 = 1_000;
/// Time on the network between broker and seller, in microseconds.
const NETWORK_US: u64 = 1_000;
/// Calls of which a bait holds the last one, and of which a seller that throttles takes the last one.
const IN_TEN: u64 = 10;
/// A held call ends so long before its timeout, in microseconds.
const BEFORE_TIMEOUT_US: u64 = 100_000;
/// Time for which a seller that flaps is on, and then off, in microseconds.
pub(crate) const FLAP_US: u64 = 5_000_000;
/// Calls of the market of which a seller fails each that it gets, before it becomes honest.
pub(crate) const FAILING_CALLS: u64 = 100;

/// A strategy of the seller under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    Honest,
    /// Exits at once.
    FailsFast,
    /// Reports a tenth of its time.
    LiesShort,
    /// Runs three times as long.
    RunsLong,
    /// Runs three times as long, and reports nothing.
    ReportsNothing,
    /// Answers nine calls quickly, and holds the tenth.
    Baits,
    /// Bills egress alone, at 20 times the bill of an honest seller.
    BillsEgress,
    /// Is busy for nine of ten calls, and states its whole room again at once.
    Throttles,
    /// Takes calls and never answers.
    Freezes,
    /// Never answers, and claims the whole timeout at the end of the lease.
    FreezesAndClaims,
    /// Does so with two of three calls, and answers the third.
    FreezesTwoOfThree,
    /// Loses its session every ten seconds, and its offers with it.
    FlapsByLoss,
    /// Logs out every ten seconds, and leaves its offers.
    FlapsByLogout,
    /// Fails, and then is honest.
    FailsThenStays,
    /// Fails, is away for an hour, and then is honest.
    FailsThenLeaves,
}

/// The true usage of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) wall_us: u64,
    pub(crate) cpu_us: u64,
    pub(crate) answer_bytes: u64,
}

/// The circumstances of a call at the seller under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Number of the call at this seller, from 0.
    pub(crate) own: u64,
    /// Number of the call in the market, from 0, since the strategy began.
    pub(crate) call: u64,
    /// Time since the strategy began, in microseconds.
    pub(crate) since_us: u64,
    pub(crate) timeout_us: u64,
}

/// The end of an attempt as the broker sees it, so many microseconds after its dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deed {
    pub(crate) after_us: u64,
    pub(crate) end: DeedEnd,
    /// True if the seller claims the whole timeout at the end of the lease.
    pub(crate) claims: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeedEnd {
    Answered {
        outcome: Outcome,
        reported: Option<Usage>,
        bytes: u64,
    },
    NotSent(NotSent),
    /// Sent, no answer.
    Broken,
}

impl Work {
    /// Returns the usage of its run at an honest seller.
    pub(crate) fn usage(self) -> Usage {
        Usage { wall_us: self.wall_us, cpu_us: self.cpu_us, cold_us: 0, egress_bytes: self.answer_bytes }
    }

    fn lasting(self, wall_us: u64) -> Work {
        Work { wall_us, ..self }
    }

    /// Answers and reports the truth.
    pub(crate) fn answered(self) -> Deed {
        self.reporting(Some(self.usage()))
    }

    /// Answers after the true time, with this report.
    fn reporting(self, reported: Option<Usage>) -> Deed {
        let end = DeedEnd::Answered { outcome: Outcome::Ok, reported, bytes: self.answer_bytes };
        Deed { after_us: self.wall_us + NETWORK_US, end, claims: false }
    }
}

impl Deed {
    fn exit() -> Deed {
        let end = DeedEnd::Answered { outcome: Outcome::Exit, reported: Some(Usage::default()), bytes: 0 };
        Deed { after_us: AT_ONCE_US, end, claims: false }
    }

    fn not_sent(why: NotSent) -> Deed {
        Deed { after_us: AT_ONCE_US, end: DeedEnd::NotSent(why), claims: false }
    }

    fn broken(after_us: u64, claims: bool) -> Deed {
        Deed { after_us, end: DeedEnd::Broken, claims }
    }
}

impl Strategy {
    /// All strategies, each with the name of its row. Of those that flap, the worse makes the row.
    pub(crate) const ALL: [(Strategy, &'static str); 15] = [
        (Strategy::Honest, "honest"),
        (Strategy::FailsFast, "fails fast"),
        (Strategy::LiesShort, "lies short"),
        (Strategy::RunsLong, "lies long"),
        (Strategy::ReportsNothing, "reports nothing"),
        (Strategy::Baits, "baits"),
        (Strategy::BillsEgress, "bills egress"),
        (Strategy::Throttles, "throttles"),
        (Strategy::Freezes, "freezes"),
        (Strategy::FreezesAndClaims, "freezes and claims"),
        (Strategy::FreezesTwoOfThree, "freezes 2 of 3, claims"),
        (Strategy::FlapsByLoss, "flaps"),
        (Strategy::FlapsByLogout, "flaps"),
        (Strategy::FailsThenStays, "fails 100, stays"),
        (Strategy::FailsThenLeaves, "fails 100, leaves"),
    ];

    pub(crate) fn flaps(self) -> bool {
        matches!(self, Strategy::FlapsByLoss | Strategy::FlapsByLogout)
    }

    /// Returns whether it becomes honest again.
    pub(crate) fn reforms(self) -> bool {
        matches!(self, Strategy::FailsThenStays | Strategy::FailsThenLeaves)
    }

    /// Returns the end of a call that it gets.
    pub(crate) fn deed(self, work: Work, arrival: Arrival) -> Deed {
        let is_tenth = arrival.own % IN_TEN == IN_TEN - 1;
        match self {
            Strategy::Honest | Strategy::BillsEgress => work.answered(),
            Strategy::FailsFast => Deed::exit(),
            Strategy::LiesShort => {
                let Usage { wall_us, cpu_us, .. } = work.usage();
                work.reporting(Some(Usage { wall_us: wall_us / 10, cpu_us: cpu_us / 10, ..work.usage() }))
            }
            Strategy::RunsLong => work.lasting(work.wall_us * 3).answered(),
            Strategy::ReportsNothing => work.lasting(work.wall_us * 3).reporting(None),
            Strategy::Baits if is_tenth => work.lasting(arrival.timeout_us - BEFORE_TIMEOUT_US).answered(),
            Strategy::Baits => work.lasting(work.wall_us / 10).answered(),
            Strategy::Throttles if is_tenth => work.answered(),
            Strategy::Throttles => Deed::not_sent(NotSent::Busy),
            Strategy::Freezes => Deed::broken(arrival.timeout_us, false),
            Strategy::FreezesTwoOfThree if arrival.own % 3 == 2 => work.answered(),
            Strategy::FreezesAndClaims | Strategy::FreezesTwoOfThree => Deed::broken(arrival.timeout_us, true),
            Strategy::FlapsByLoss | Strategy::FlapsByLogout => flapping(work, arrival.since_us),
            Strategy::FailsThenStays | Strategy::FailsThenLeaves if arrival.call < FAILING_CALLS => Deed::exit(),
            Strategy::FailsThenStays | Strategy::FailsThenLeaves => work.answered(),
        }
    }
}

/// Answers a call that ends while the seller is on, and breaks one that does not.
fn flapping(work: Work, since_us: u64) -> Deed {
    let is_off = (since_us / FLAP_US) % 2 == 1;
    let left_us = FLAP_US - since_us % FLAP_US;
    let deed = work.answered();
    match (is_off, deed.after_us > left_us) {
        (true, _) => Deed::not_sent(NotSent::Failed),
        (false, true) => Deed::broken(left_us, false),
        (false, false) => deed,
    }
}
