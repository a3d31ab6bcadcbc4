//! The settlement of a lease, also of one that a crash of the exchange lost or that was closed before.

use merit_terms::RefusalCode;

use super::Invocations;
use super::dispatch::{Input, Leased};
use crate::exchange::leases::lease::Bill;
use crate::exchange::leases::machine::LeaseReply;

impl Invocations {
    /// Settles a lease; by its proof, if a crash lost it. A lease of an attempt without an answer counts as closed
    /// whatever the exchange says: its deadline does the same.
    pub(super) async fn settle(&self, account: &str, leased: &Leased, bill: &Bill) -> Input {
        let lease = leased.grant.lease;
        let mut reply = self.leases.settle(lease, bill).await;
        if let (LeaseReply::Refused { code: RefusalCode::Forgotten, .. }, Some(proof)) = (&reply, &leased.grant.proof) {
            reply = self.leases.settle_forgotten(proof.clone(), lease, bill).await;
        }
        if let Bill::Unknown { .. } = bill {
            return Input::Released;
        }
        match reply {
            LeaseReply::Settled(paid) => Input::Settled(paid),
            // Closed meanwhile, or settled by a request whose answer was lost: the record tells.
            LeaseReply::Refused { code: RefusalCode::Closed, .. } => self.settled_before(account, leased).await,
            LeaseReply::Refused { message, .. } => Input::Unsettled { reason: message },
            LeaseReply::Granted(_) | LeaseReply::Unavailable => {
                Input::Unsettled { reason: "the exchange does not answer".to_owned() }
            }
        }
    }

    async fn settled_before(&self, account: &str, leased: &Leased) -> Input {
        match self.exchange.paid(account, leased.invocation, leased.grant.lease).await {
            Some(paid) => Input::Settled(paid),
            None => Input::Unsettled {
                reason: "its lease was closed before, by the operator or by its deadline; it is not charged".to_owned(),
            },
        }
    }
}
