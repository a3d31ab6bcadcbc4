//! The turn of one command: its time and sequence, the events that it tells, and the deadlines that it sets.

use merit_terms::Time;

use crate::deadlines::Deadlines;
use crate::event::Event;

/// The turn of one command. Everything that executes a command is given it.
pub(crate) struct Turn<'a> {
    /// Time of the command: never before that of the command before it.
    pub(crate) at: Time,
    /// Sequence of the command, if it changes anything.
    pub(crate) sequence: u64,
    /// The engine's deadlines, for the length of the turn.
    pub(crate) deadlines: Deadlines,
    events: &'a mut Vec<Event>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(at: Time, sequence: u64, deadlines: Deadlines, events: &'a mut Vec<Event>) -> Turn<'a> {
        Turn { at, sequence, deadlines, events }
    }

    /// Tells an event.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }
}
