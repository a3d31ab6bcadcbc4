//! Commands about accounts and money.

use merit_terms::{AccountId, Balance, Money, Name, Refusal};

use crate::Engine;
use crate::command::{AccountLimits, Correction, CorrectionKind};
use crate::event::{Event, Why};
use crate::market::{check_budgets, check_reason, invalid};
use crate::money::ledger::OUTSIDE;
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    pub(super) fn open_account(&mut self, turn: &mut Turn<'_>, name: &Name) -> Result<Reply, Refusal> {
        let account = self.ledger.open(name)?;
        turn.tell(Event::AccountOpened { account, name: name.to_string() });
        Ok(Reply::Account(account))
    }

    pub(super) fn deposit(&mut self, turn: &mut Turn<'_>, id: AccountId, amount: Money) -> Result<Reply, Refusal> {
        self.ledger.known(id)?;
        self.ledger.transfer(OUTSIDE, id, amount);
        self.wake_account(id);
        turn.tell(Event::Moved { from: OUTSIDE, to: id, amount, why: Why::Deposit });
        Ok(Reply::Done)
    }

    pub(super) fn payout(&mut self, turn: &mut Turn<'_>, id: AccountId, amount: Money) -> Result<Reply, Refusal> {
        let unheld = self.ledger.unfrozen(id)?.unheld();
        if id == OUTSIDE {
            return Err(invalid("account", "nothing is paid out of the account that payouts go to"));
        }
        if unheld < i128::from(amount.picodollars()) {
            return Err(Refusal::InsufficientFunds { available: Balance::from_picodollars(unheld).to_string() });
        }
        self.ledger.transfer(id, OUTSIDE, amount);
        turn.tell(Event::Moved { from: id, to: OUTSIDE, amount, why: Why::Payout });
        Ok(Reply::Done)
    }

    pub(super) fn correct(&mut self, turn: &mut Turn<'_>, correction: &Correction) -> Result<Reply, Refusal> {
        let Correction { kind, from, to, amount, about, reason } = correction;
        check_reason(reason)?;
        if from == to {
            return Err(invalid("to", "the account that it comes from"));
        }
        self.ledger.known(*from)?;
        self.ledger.known(*to)?;
        let (about, reason) = (*about, reason.clone());
        let why = match kind {
            CorrectionKind::Refund if about.is_none() => {
                return Err(invalid("about", "a refund is of an invocation"));
            }
            CorrectionKind::Refund => Why::Refund { about, reason },
            CorrectionKind::Correction => Why::Correction { about, reason },
        };
        self.ledger.transfer(*from, *to, *amount);
        self.wake_account(*to);
        turn.tell(Event::Moved { from: *from, to: *to, amount: *amount, why });
        Ok(Reply::Done)
    }

    pub(super) fn freeze(&mut self, id: AccountId, frozen: bool) -> Result<Reply, Refusal> {
        let was_frozen = std::mem::replace(&mut self.ledger.known_mut(id)?.frozen, frozen);
        if was_frozen && !frozen {
            self.wake_all_markets();
        }
        Ok(Reply::Done)
    }

    pub(super) fn set_account_limits(&mut self, id: AccountId, limits: &AccountLimits) -> Result<Reply, Refusal> {
        let account = self.ledger.known_mut(id)?;
        check_budgets(&limits.budgets)?;
        account.limits = limits.clone();
        self.wake_account(id);
        Ok(Reply::Done)
    }

    pub(super) fn set_fee(&mut self, basis_points: u32) -> Result<Reply, Refusal> {
        if basis_points > 10_000 {
            return Err(invalid("fee", format!("{basis_points} basis points; at most 10000")));
        }
        self.fee_basis_points = basis_points;
        Ok(Reply::Done)
    }
}
