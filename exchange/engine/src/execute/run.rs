//! Runs of the exchange, and the rules of the market.

use merit_terms::{ProviderId, Refusal};

use crate::event::SessionEnding;
use crate::market::invalid;
use crate::reply::Reply;
use crate::turn::Turn;
use crate::{Engine, RULES};

impl Engine {
    /// Begins a run: the streams of the former one are gone, and every offer with its session.
    pub(super) fn start(&mut self, turn: &mut Turn<'_>, run: u32) -> Result<Reply, Refusal> {
        if run <= self.run {
            return Err(invalid("run", format!("{run} is not above the last run, {}", self.run)));
        }
        self.run = run;
        self.leases.begin_run(run, turn.sequence);
        self.lose_all_brokers();
        for id in (0..self.registry.providers().len() as u32).map(ProviderId::new) {
            if self.registry.provider(id).online {
                self.end_session(turn, id, SessionEnding::Restarted);
            }
        }
        Ok(Reply::Done)
    }

    pub(super) fn bind_master_key(&mut self, check: u64) -> Result<Reply, Refusal> {
        if check == 0 {
            return Err(invalid("check", "is 0, which stands for none"));
        }
        self.master_key_check = check;
        Ok(Reply::Done)
    }

    pub(super) fn activate_rules(&mut self, version: u32) -> Result<Reply, Refusal> {
        if version > RULES {
            return Err(Refusal::UnknownRules { version });
        }
        if version <= self.rules {
            return Err(invalid("version", format!("rules {} hold already", self.rules)));
        }
        self.rules = version;
        Ok(Reply::Done)
    }
}
