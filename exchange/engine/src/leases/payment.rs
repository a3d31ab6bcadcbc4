//! The bill of a lease, and the entries that pay it.

use merit_terms::{Metered, Money, Outcome};

use crate::Engine;
use crate::command::ProviderKind;
use crate::event::{Event, Lease, Why};
use crate::money::ledger::{FEES, LOSSES};
use crate::reply::Settlement;
use crate::turn::Turn;

impl Engine {
    /// Returns the bill of a lease by its tariff, at most `most`, with the operator's fee on it, which own providers do
    /// not pay.
    pub(super) fn bill(&self, lease: &Lease, metered: &Metered, most: Money) -> Settlement {
        let cost = lease.tariff.cost(lease.memory_mb, lease.vcpus_milli, &metered.usage).min(most);
        let fee = match self.kind_of(lease.provider) {
            ProviderKind::Market => cost.share(self.fee_basis_points),
            ProviderKind::Own => Money::ZERO,
        };
        let billed_ms = lease.tariff.billed_ms(&metered.usage);
        Settlement { cost, fee, billed_ms, usage: metered.usage, estimated: metered.estimated }
    }

    /// Pays a bill, and makes it a trade: `from_buyer` of the cost comes from the buyer, the rest from the operator,
    /// the fee out of the seller's revenue. A private trade is not counted in its market and makes no price.
    pub(super) fn pay(
        &mut self,
        turn: &mut Turn<'_>,
        lease: Lease,
        outcome: Outcome,
        settlement: Settlement,
        from_buyer: Money,
    ) {
        let provider = self.registry.provider(lease.provider);
        let seller = provider.account;
        let (id, invocation) = (lease.id, lease.invocation);
        if provider.kind == ProviderKind::Market {
            let loss = settlement.cost.saturating_sub(from_buyer);
            let entries = [
                (lease.account, seller, from_buyer, Why::Cost { lease: id, invocation }),
                (LOSSES, seller, loss, Why::Loss { lease: id, invocation }),
                (seller, FEES, settlement.fee, Why::Fee { lease: id, invocation }),
            ];
            for (from, to, amount, why) in entries {
                if amount > Money::ZERO {
                    self.ledger.transfer(from, to, amount);
                    turn.tell(Event::Moved { from, to, amount, why });
                }
            }
        }
        self.count_spending(&lease, |spending, calendar| spending.spend(from_buyer, lease.matched_at, calendar));
        let makes_price = settlement.cost > Money::ZERO && seller != lease.account;
        let market = self.registry.market_mut(lease.market);
        if !lease.private {
            market.trade(makes_price.then_some(lease.price));
        }
        let last_price = market.last_price;
        turn.tell(Event::Settled { lease: Box::new(lease), outcome, settlement, last_price, seller });
    }
}
