//! Commands about providers, apart from their sessions.

use std::collections::BTreeMap;

use merit_terms::{ProviderId, Refusal, TargetPattern};

use crate::Engine;
use crate::command::{ProviderLimits, RegisterProvider};
use crate::event::Event;
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    pub(super) fn register_provider(
        &mut self,
        turn: &mut Turn<'_>,
        command: &RegisterProvider,
    ) -> Result<Reply, Refusal> {
        self.ledger.known(command.account)?;
        let provider = self.registry.register_provider(command)?;
        self.shelf.add_seller(command.kind);
        turn.tell(Event::ProviderRegistered { provider, name: command.name.clone(), kind: command.kind });
        Ok(Reply::Provider(provider))
    }

    pub(super) fn set_provider_limits(&mut self, id: ProviderId, limits: ProviderLimits) -> Result<Reply, Refusal> {
        self.registry.known_provider_mut(id)?.set_limits(limits);
        self.wake_provider(id);
        Ok(Reply::Done)
    }

    pub(super) fn set_targets(&mut self, id: ProviderId, targets: &[TargetPattern]) -> Result<Reply, Refusal> {
        self.registry.set_targets(id, targets)?;
        self.wake_provider(id);
        Ok(Reply::Done)
    }

    pub(super) fn grant_labels(&mut self, id: ProviderId, labels: &BTreeMap<String, String>) -> Result<Reply, Refusal> {
        self.registry.grant_labels(id, labels)?;
        self.wake_provider(id);
        Ok(Reply::Done)
    }

    pub(super) fn revive(&mut self, id: ProviderId) -> Result<Reply, Refusal> {
        self.registry.known_provider_mut(id)?.revive();
        Ok(Reply::Done)
    }
}
