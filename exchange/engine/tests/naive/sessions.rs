//! Runs of the exchange, versions of the rules, and sessions of providers.

use merit_engine::{Event, Logon, RULES, Reply, SessionEnding};
use merit_terms::{ProviderId, Refusal};

use super::providers::{Provider, check_targets};
use super::{Twin, invalid, pools, quotas};

impl Twin {
    /// Begins a run, which ends every session. Offers of providers that logged out before stand until they expire.
    pub(super) fn start(&mut self, sequence: u64, run: u32) -> Result<(), Refusal> {
        if run <= self.run {
            return Err(invalid("run"));
        }
        self.run = run;
        self.starts.push((run, sequence));
        self.lose_all_brokers();
        for id in (0..self.providers.len() as u32).map(ProviderId::new) {
            if self.providers[id.index()].online {
                self.cancel_all(id);
                self.end_session(id, SessionEnding::Restarted);
            }
        }
        Ok(())
    }

    pub(super) fn activate_rules(&mut self, version: u32) -> Result<(), Refusal> {
        if version > RULES {
            return Err(Refusal::UnknownRules { version });
        }
        if version <= self.rules {
            return Err(invalid("version"));
        }
        self.rules = version;
        Ok(())
    }

    pub(super) fn logon(&mut self, logon: &Logon) -> Result<Reply, Refusal> {
        let id = logon.provider;
        let provider = self.provider_mut(id)?;
        if let Some(reason) = &provider.killed {
            return Err(Refusal::Killed { reason: reason.clone() });
        }
        pools::check(&logon.pools)?;
        quotas::check(&provider.quotas, &logon.quotas)?;
        let is_wrong = |of: merit_terms::Protection| !(1..=1000).contains(&of.leases) || of.within_ms == 0;
        if logon.protection.is_some_and(is_wrong) {
            return Err(invalid("protection"));
        }
        check_targets(logon.targets.as_deref().unwrap_or(&[]))?;
        if provider.online {
            self.cancel_all(id);
            self.end_session(id, SessionEnding::Fenced);
        }
        let provider = &mut self.providers[id.index()];
        provider.session += 1;
        provider.online = true;
        provider.last_quote = 0;
        provider.endpoint = logon.endpoint.clone();
        provider.protection = logon.protection;
        (provider.adapter, provider.endpoint_trusted) = (logon.adapter, logon.endpoint_trusted);
        provider.targets = logon.targets.clone().unwrap_or(std::mem::take(&mut provider.targets));
        let (session, name) = (provider.session, provider.name.clone());
        logon.quotas.iter().for_each(|quota| self.put_quota(id, quota));
        self.events.push(Event::SessionBegan { provider: id, name, session });
        self.state_pools(id, &logon.pools);
        self.wake_provider(id, "woken by a logon");
        Ok(Reply::Session(session))
    }

    /// Returns the provider, if it is in this very session.
    pub(super) fn in_session(&self, id: ProviderId, session: u32) -> Result<&Provider, Refusal> {
        match self.providers.get(id.index()) {
            Some(provider) if provider.online && provider.session == session => Ok(provider),
            _ => Err(Refusal::NotInSession),
        }
    }

    /// Logs a provider out. Its offers that expire stand until then.
    pub(super) fn logout(&mut self, id: ProviderId, session: u32) -> Result<(), Refusal> {
        self.in_session(id, session)?;
        self.offers.retain(|offer| offer.provider != id || offer.rung.expires.is_some());
        self.end_session(id, SessionEnding::Logout);
        Ok(())
    }

    pub(super) fn disconnect(&mut self, id: ProviderId, session: u32) -> Result<(), Refusal> {
        self.in_session(id, session)?;
        self.cancel_all(id);
        self.end_session(id, SessionEnding::Lost);
        Ok(())
    }

    pub(super) fn end_session(&mut self, id: ProviderId, why: SessionEnding) {
        let provider = &mut self.providers[id.index()];
        if std::mem::replace(&mut provider.online, false) {
            self.events.push(Event::SessionEnded { provider: id, session: provider.session, why });
        }
    }

    pub(super) fn cancel_all(&mut self, id: ProviderId) {
        self.offers.retain(|offer| offer.provider != id);
    }
}
