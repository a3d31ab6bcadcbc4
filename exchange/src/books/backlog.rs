//! The latest changes, kept for readers that are behind and for those who come back.
//!
//! One group holds what one durable batch changed, so that a reader who has a whole group knows everything up to its
//! sequence. The oldest groups go when there are too many; who had not read them has missed them.

use std::collections::VecDeque;
use std::sync::Arc;

use merit_proto::v1::market_event::Event as Sent;
use merit_terms::MarketId;

/// What may be kept: events, and offers and levels in them. Some 20 MB.
const WEIGHT_MAX: usize = 1 << 17;
/// How many groups are still made when nobody follows: a page that comes back within some seconds goes on.
pub(super) const UNREAD_MAX: usize = 4096;

/// What one durable batch changed.
pub(crate) struct Group {
    /// The sequence before the batch.
    pub(super) after: u64,
    /// Everything up to here is told with it.
    pub(crate) sequence: u64,
    /// In order, each of one market.
    pub(crate) events: Vec<(MarketId, Sent)>,
}

/// What a reader had not read is no longer kept.
#[derive(Debug)]
pub(crate) struct Missed;

#[derive(Default)]
pub(super) struct Backlog {
    groups: VecDeque<Arc<Group>>,
    /// The number of the oldest group that is kept.
    first: u64,
    /// Every change after this sequence is in a group that is kept.
    since: u64,
    /// Up to where the groups tell all.
    latest: u64,
    weight: usize,
}

impl Backlog {
    /// Nothing kept; groups get numbers from `first` on, for what comes after `sequence`.
    pub(super) fn starting(first: u64, sequence: u64) -> Backlog {
        Backlog { first, since: sequence, latest: sequence, ..Backlog::default() }
    }

    /// Keeps what a batch changed that ends at `sequence`; whether it changed anything.
    pub(super) fn push(&mut self, sequence: u64, events: Vec<(MarketId, Sent)>) -> bool {
        let group = Group { after: std::mem::replace(&mut self.latest, sequence), sequence, events };
        if group.events.is_empty() {
            return false;
        }
        self.weight += weight(&group);
        self.groups.push_back(Arc::new(group));
        while self.weight > WEIGHT_MAX
            && self.groups.len() > 1
            && let Some(oldest) = self.groups.pop_front()
        {
            self.weight -= weight(&oldest);
            self.since = oldest.sequence;
            self.first += 1;
        }
        true
    }

    /// The number of the group to come.
    pub(super) fn end(&self) -> u64 {
        self.first + self.groups.len() as u64
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// None if it is still to come.
    pub(super) fn group(&self, number: u64) -> Result<Option<Arc<Group>>, Missed> {
        let index = number.checked_sub(self.first).ok_or(Missed)?;
        Ok(self.groups.get(index as usize).cloned())
    }

    /// The number of the first group after `sequence`, if nothing after it has gone, and no group holds changes on both
    /// sides of it.
    pub(super) fn group_after(&self, sequence: u64) -> Option<u64> {
        let index = self.groups.partition_point(|group| group.sequence <= sequence);
        let kept = (self.since..=self.latest).contains(&sequence);
        let whole = self.groups.get(index).is_none_or(|group| sequence <= group.after);
        (kept && whole).then_some(self.first + index as u64)
    }
}

fn weight(group: &Group) -> usize {
    let of = |event: &Sent| match event {
        Sent::Snapshot(snapshot) => snapshot.offers.len() + snapshot.bids.len(),
        Sent::Delta(delta) => delta.offers.len() + delta.bids.len(),
        Sent::Trade(_) | Sent::Heartbeat(_) | Sent::State(_) => 0,
    };
    group.events.iter().map(|(_, event)| 1 + of(event)).sum()
}
