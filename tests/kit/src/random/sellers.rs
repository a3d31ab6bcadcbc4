//! Random sessions, pools, quotas and ladders of providers.

use std::collections::BTreeMap;

use merit_engine::{Adapter, Command, Engine, Logon, Quote};
use merit_terms::{Name, Period, PoolSize, Protection, ProviderId, Quota, Rung, TARGETS_MAX, TargetPattern, Tariff};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

use super::World;
use super::definitions::price;
use crate::numbered;

impl World {
    pub(super) fn sell(&mut self, engine: &Engine) -> Command {
        let (provider, session) = self.session(engine);
        match self.chance.random_range(0..195) {
            0..110 => Command::Quote(self.quote(engine)),
            110..140 => Command::StatePools { provider, session, pools: self.pools() },
            140..155 => Command::Busy { provider, session, pool: self.chance.random_range(0..4) },
            155..159 => Command::CancelAll { provider, session },
            159..163 => Command::Disconnect { provider, session },
            163..169 => Command::Logout { provider, session },
            _ => self.logon_again(engine),
        }
    }

    /// Logs a provider on; mostly one that is off.
    pub(super) fn logon_again(&mut self, engine: &Engine) -> Command {
        let is_off = |(id, provider): (ProviderId, &merit_engine::Provider)| (!provider.online).then_some(id);
        let off: Vec<ProviderId> = engine.providers().filter_map(is_off).collect();
        let any = self.provider();
        let provider = off.choose(&mut self.chance).copied().filter(|_| !self.one_in(3));
        self.logon(provider.unwrap_or(any))
    }

    pub(super) fn logon(&mut self, provider: ProviderId) -> Command {
        let protection = Protection {
            leases: self.one_of(&[2, 5, 12, 12, 12, 40, 1_000, 0, 1_001]),
            within_ms: self.one_of(&[10, 50, 50, 1_000, 1_000, 10_000, 0]),
        };
        Command::Logon(Box::new(Logon {
            provider,
            endpoint: self.one_of(&["http://provider", "http://provider", "http://provider/moved"]).to_owned(),
            pools: self.pools(),
            quotas: self.quotas(),
            protection: self.one_in(4).then_some(protection),
            adapter: if self.one_in(6) { Adapter::Http } else { Adapter::Agent },
            endpoint_trusted: self.one_in(6),
            targets: self.one_in(4).then(|| self.targets()),
        }))
    }

    /// Draws patterns of targets, seldom too many.
    pub(super) fn targets(&mut self) -> Vec<TargetPattern> {
        let pattern = self.one_of(&["http://elsewhere/*", "http://elsewhere/f", "https://elsewhere/*"]);
        let count = if self.one_in(20) { TARGETS_MAX + 1 } else { self.chance.random_range(0..2) };
        vec![pattern.parse().unwrap(); count]
    }

    /// Draws a free tier and a commitment, seldom with another period than before.
    fn quotas(&mut self) -> Vec<Quota> {
        if self.one_in(40) {
            let unlimited = |number| quota(numbered("quota", number), None, None, None);
            return (0..self.one_of(&[2, 17])).map(unlimited).collect();
        }
        let free = self.quota("free", Period::Day);
        let committed = self.quota("committed", Period::Month);
        match self.chance.random_range(0..30) {
            0 => vec![free.clone(), free],
            1..8 => Vec::new(),
            8..16 => vec![free],
            _ => vec![committed, free],
        }
    }

    fn quota(&mut self, text: &str, usually: Period) -> Quota {
        let renews = self.one_of(&[Some(usually), Some(usually), Some(usually), Some(usually), None]);
        let requests = self.one_of(&[Some(4), Some(4), Some(4), Some(4), Some(40), None, Some(0)]);
        let energy_mb_ms = self.one_of(&[None, Some(200_000), Some(20_000_000)]);
        quota(text.parse().unwrap(), requests, energy_mb_ms, renews)
    }

    /// Draws pools, often smaller than their leases.
    fn pools(&mut self) -> Vec<PoolSize> {
        let count = if self.one_in(100) { 0 } else { self.chance.random_range(1..4) };
        (0..count)
            .map(|_| PoolSize {
                memory_mb: match self.chance.random_range(0..60) {
                    0 => PoolSize::MAX_MEMORY_MB + 1,
                    1..4 => 0,
                    _ => self.chance.random_range(256..12_000),
                },
                slots: match self.chance.random_range(0..60) {
                    0 => PoolSize::MAX_SLOTS + 1,
                    1..4 => 0,
                    _ => self.chance.random_range(1..64),
                },
            })
            .collect()
    }

    /// Quotes a ladder; sometimes the standing one, perhaps with other claims and another expiry.
    fn quote(&mut self, engine: &Engine) -> Quote {
        let (provider, session) = self.session(engine);
        self.quote_number += 1;
        let number = if self.one_in(40) { 1 } else { self.quote_number };
        let market = self.market();
        let standing = self.ladders.get(&(provider, market)).filter(|ladder| !ladder.is_empty()).cloned();
        let rungs = match standing.filter(|_| self.one_in(2)) {
            Some(ladder) => self.altered(ladder),
            None => {
                let count = if self.one_in(200) { 65 } else { self.chance.random_range(0..6) };
                (0..count).map(|id| self.rung(id)).collect()
            }
        };
        Quote { provider, session, market, number, rungs }
    }

    /// Alters one thing in a ladder.
    fn altered(&mut self, mut ladder: Vec<Rung>) -> Vec<Rung> {
        let place = self.chance.random_range(0..ladder.len());
        let other = self.rung(ladder[place].id);
        let rung = &mut ladder[place];
        match self.chance.random_range(0..12) {
            0 | 1 => rung.expires = other.expires,
            2 | 3 => rung.labels = other.labels,
            4 => rung.capacity_mb = other.capacity_mb,
            5 => rung.memory_max_mb = other.memory_max_mb,
            6 => (rung.quota, rung.audience) = (other.quota, other.audience),
            7 => rung.pool = other.pool,
            8 => ladder.truncate(place),
            9 => ladder.push(self.rung(6)),
            10 => ladder.shuffle(&mut self.chance),
            _ => {}
        }
        ladder
    }

    fn rung(&mut self, id: u32) -> Rung {
        let labels = BTreeMap::from([("claimed.residency".to_owned(), "moon".to_owned())]);
        let audience = vec![self.account_name(), self.account_name(), self.account_name()];
        let quota: Name = self.one_of(&["free", "free", "committed"]).parse().unwrap();
        let mut rung = Rung {
            id,
            pool: if self.one_in(60) { 3 } else { self.chance.random_range(0..2) },
            capacity_mb: self.one_of(&[256, 2_048, 8_192]),
            tariff: self.tariff(),
            vcpus_milli: self.one_of(&[500, 1_000, 2_000]),
            memory_min_mb: self.one_of(&[1, 1, 1, 128]),
            memory_max_mb: self.one_of(&[256, 2_048, 2_048]),
            longest_ms: self.one_of(&[1_000, 30_000, 30_000]),
            enforces_timeout: self.chance.random_ratio(3, 4),
            labels: if self.one_in(8) { labels } else { BTreeMap::new() },
            audience: if self.one_in(20) { audience } else { Vec::new() },
            quota: self.one_in(8).then_some(quota),
            expires: self.one_in(6).then(|| self.soon(&[0, 1, 5, 20, 40])),
        };
        match self.chance.random_range(0..300) {
            0 => rung.capacity_mb = 0,
            1 => rung.memory_max_mb = 0,
            2 => rung.vcpus_milli = u32::MAX,
            3 => rung.tariff.increment_ms = 0,
            4 => rung.tariff.per_gb_second = price(u64::MAX),
            5 => rung.id = 0,
            6 => rung.labels = BTreeMap::from([("residency".to_owned(), "eu".to_owned())]),
            7 => rung.audience = vec!["nobody".parse().unwrap()],
            8 => rung.quota = Some("unheard-of".parse().unwrap()),
            _ => {}
        }
        rung
    }

    /// Draws a tariff from few rates, so that offers tie and ladders are often quoted again unchanged.
    fn tariff(&mut self) -> Tariff {
        let mut rate = |rates: &[u64]| price(self.one_of(rates));
        let per_gb_second = rate(&[0, 8_000_000, 10_000_000, 12_000_000, 16_666_700]);
        Tariff {
            per_gb_second,
            per_request: rate(&[0, 0, 200_000]),
            per_cpu_ms: rate(&[0, 0, 0, 9_000]),
            per_gb_egress: rate(&[0, 0, 0, 90_000_000_000]),
            increment_ms: self.one_of(&[1, 1, 100]),
            minimum_ms: self.one_of(&[0, 0, 100]),
            memory_step_mb: self.one_of(&[1, 1, 128]),
            bills_cold_start: self.one_in(2),
        }
    }

    pub(super) fn provider_name(&mut self) -> Name {
        numbered("provider", self.chance.random_range(0..self.size.providers))
    }
}

fn quota(name: Name, requests: Option<u64>, energy_mb_ms: Option<u64>, renews: Option<Period>) -> Quota {
    Quota { name, requests, energy_mb_ms, renews }
}
