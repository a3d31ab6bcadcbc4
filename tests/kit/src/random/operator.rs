//! Random commands of the operator, which mostly mends soon what it has stopped.

use std::collections::BTreeMap;

use merit_engine::{
    AccountLimits, Command, Correction, CorrectionKind, Engine, MarketState, MarketTerms, ProviderLimits,
};
use merit_terms::{AccountId, KeyId, MarketId, Money, ProviderId, Role};
use rand::RngExt;

use super::World;
use super::definitions::price;

impl World {
    pub(super) fn operate(&mut self, engine: &Engine) -> Command {
        match self.chance.random_range(0..60) {
            0..17 => Command::Deposit { account: self.account(), amount: self.money(40_000_000) },
            17..20 => Command::Payout { account: self.account(), amount: self.money(600_000_000) },
            20..24 => self.correct(engine),
            24..29 => self.set_account_limits(),
            29..33 => self.freeze(engine),
            33..38 => self.set_market(engine),
            38..42 => self.kill(engine),
            42..46 => self.set_provider_limits(),
            46..48 => self.grant_labels(),
            54..58 => Command::SetTargets { provider: self.provider(), targets: self.targets() },
            48..52 => self.key(engine),
            _ => Command::SetFee { basis_points: self.one_of(&[0, 250, 10_000, 10_001]) },
        }
    }

    fn correct(&mut self, engine: &Engine) -> Command {
        let about = Some(self.lease(engine)).filter(|_| self.one_in(2));
        Command::Correct(Box::new(Correction {
            kind: self.one_of(&[CorrectionKind::Correction, CorrectionKind::Correction, CorrectionKind::Refund]),
            from: self.account(),
            to: self.account(),
            amount: self.money(20_000_000),
            about,
            reason: if self.one_in(20) { "x".repeat(257) } else { "goodwill".to_owned() },
        }))
    }

    fn set_account_limits(&mut self) -> Command {
        let account = self.account();
        let limits = AccountLimits {
            credit_limit: if self.one_in(3) { self.money(20_000_000) } else { Money::ZERO },
            rate_per_second: self.one_in(4).then_some(100),
            exposure: self.one_in(4).then(|| self.money(80_000_000)),
            max_concurrency: self.one_in(4).then(|| self.chance.random_range(0..20)),
            budgets: if self.one_in(3) { self.budgets() } else { Vec::new() },
        };
        let limits = if self.one_in(3) { AccountLimits::default() } else { limits };
        Command::SetAccountLimits { account, limits }
    }

    fn freeze(&mut self, engine: &Engine) -> Command {
        let is_frozen = |account: &(AccountId, &merit_engine::Account)| account.1.frozen;
        let frozen = engine.accounts().find(is_frozen).map(|(id, _)| id);
        match frozen.filter(|_| !self.one_in(4)) {
            Some(account) => Command::FreezeAccount { account, frozen: false },
            None => Command::FreezeAccount { account: self.account(), frozen: !self.one_in(2) },
        }
    }

    fn set_market(&mut self, engine: &Engine) -> Command {
        if self.one_in(16) {
            return Command::DeleteMarket { market: self.market() };
        }
        let is_set = |market: &(MarketId, &merit_engine::Market)| market.1.terms != MarketTerms::default();
        let set = engine.markets().find(is_set).map(|(id, _)| id);
        if let Some(market) = set.filter(|_| !self.one_in(3)) {
            return Command::SetMarket { market, terms: MarketTerms::default() };
        }
        let bands = self.one_of(&[(9_000_000, 13_000_000), (0, 40_000_000), (20, 10)]);
        let terms = MarketTerms {
            state: self.one_of(&[MarketState::Open, MarketState::CancelOnly, MarketState::Halted]),
            bands: self.one_in(2).then_some((price(bands.0), price(bands.1))),
            self_dealing: self.one_in(2),
        };
        Command::SetMarket { market: self.market(), terms }
    }

    fn kill(&mut self, engine: &Engine) -> Command {
        let is_killed = |provider: &(ProviderId, &merit_engine::Provider)| provider.1.killed.is_some();
        let killed = engine.providers().find(is_killed).map(|(id, _)| id);
        match killed.filter(|_| !self.one_in(4)) {
            Some(provider) => Command::Revive { provider },
            None if self.one_in(10) => Command::Revive { provider: self.provider() },
            None => {
                let reason = if self.one_in(10) { "x".repeat(257) } else { "fraud".to_owned() };
                Command::Kill { provider: self.provider(), reason }
            }
        }
    }

    fn set_provider_limits(&mut self) -> Command {
        let limits = ProviderLimits {
            offers: self.one_in(3).then(|| self.chance.random_range(0..12)),
            quotes_per_second: self.one_in(3).then(|| self.chance.random_range(0..3)),
            exposure: self.one_in(3).then(|| self.money(30_000_000)),
        };
        let limits = if self.one_in(2) { ProviderLimits::default() } else { limits };
        Command::SetProviderLimits { provider: self.provider(), limits }
    }

    /// Creates, rotates or revokes one of few keys, so that each of that happens to it.
    fn key(&mut self, engine: &Engine) -> Command {
        let ids: Vec<KeyId> = engine.keys().map(|key| key.id).collect();
        let until = |world: &mut World| world.one_in(2).then(|| world.soon(&[0, 1, 60, 3_600, 32 * 86_400]));
        let key = if ids.is_empty() || self.one_in(20) { KeyId(self.step) } else { self.one_of(&ids) };
        match self.chance.random_range(0..6) {
            0..3 => Command::CreateKey { role: self.one_of(&Role::ALL), account: self.account(), expires: until(self) },
            3 => Command::RevokeKey { key },
            _ => Command::RotateKey { key, previous_until: until(self) },
        }
    }

    fn grant_labels(&mut self) -> Command {
        let residency = self.one_of(&["eu", "eu", "us"]).to_owned();
        let name = if self.one_in(10) { String::new() } else { "residency".to_owned() };
        Command::GrantLabels { provider: self.provider(), labels: BTreeMap::from([(name, residency)]) }
    }
}
