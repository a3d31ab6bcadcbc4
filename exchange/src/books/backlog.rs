//! The latest changes, kept for readers that are behind and for those that come back.
//!
//! One group holds the changes of one durable batch, so a reader of a whole group knows everything up to its sequence.
//! The oldest groups go when there are too many; a reader that had not read them has missed them.

use std::collections::VecDeque;
use std::sync::Arc;

use merit_proto::v1::market_event::Event as Sent;
use merit_terms::MarketId;

/// Buffer limit in events, offers and levels: some 20 MB.
const WEIGHT_MAX: usize = 1 << 17;
/// Groups that are still made without a follower: a page that comes back within some seconds goes on.
pub(super) const UNREAD_MAX: usize = 4096;

/// The changes of one durable batch.
pub(crate) struct Group {
    /// The sequence before the batch.
    pub(super) after: u64,
    /// The last sequence of the batch.
    pub(crate) sequence: u64,
    /// The events in order, each of one market.
    pub(crate) events: Vec<(MarketId, Sent)>,
}

/// Groups that the reader had not read are no longer kept.
#[derive(Debug)]
pub(crate) struct Missed;

#[derive(Default)]
pub(super) struct Backlog {
    groups: VecDeque<Arc<Group>>,
    /// The number of the oldest group that is kept.
    first: u64,
    /// Every change after this sequence is in a group that is kept.
    since: u64,
    /// The sequence up to which the groups are complete.
    latest: u64,
    weight: usize,
}

impl Backlog {
    /// Makes an empty backlog: groups get numbers from `first` on, for changes after `sequence`.
    pub(super) fn starting(first: u64, sequence: u64) -> Backlog {
        Backlog { first, since: sequence, latest: sequence, ..Backlog::default() }
    }

    /// Keeps the changes of a batch that ends at `sequence`. Returns true if there are any.
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

    /// Returns the number of the next group.
    pub(super) fn end(&self) -> u64 {
        self.first + self.groups.len() as u64
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// Finds a group by its number. Returns none for one that is still to come.
    pub(super) fn group(&self, number: u64) -> Result<Option<Arc<Group>>, Missed> {
        let index = number.checked_sub(self.first).ok_or(Missed)?;
        Ok(self.groups.get(index as usize).cloned())
    }

    /// Finds the first group after `sequence`. Returns its number, if no later change has gone, and no group holds
    /// changes on both sides of `sequence`.
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
