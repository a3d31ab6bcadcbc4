//! Commands about functions.

use merit_terms::Refusal;

use crate::Engine;
use crate::command::PutFunction;
use crate::reply::Reply;

impl Engine {
    pub(super) fn put_function(&mut self, command: &PutFunction) -> Result<Reply, Refusal> {
        self.ledger.known(command.account)?;
        let (function, revision) = self.registry.put_function(command)?;
        self.wake_account(command.account);
        Ok(Reply::Function { function, revision })
    }
}
