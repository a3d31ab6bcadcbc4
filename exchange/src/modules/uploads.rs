//! Recent uploads: the accounts that put a module, until a function of theirs has it.
//!
//! Bounded, and forgotten at a restart: a forgotten module is put again.
//! It never says who may run a module.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_terms::AccountId;

/// Uploads kept in all.
const KEPT_MAX: usize = 4096;
/// Uploads kept of one account.
const OF_ACCOUNT_MAX: usize = 64;

#[derive(Default)]
pub(crate) struct Uploads(Mutex<VecDeque<(AccountId, [u8; 32])>>);

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(AccountId, [u8; 32])>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, account: AccountId, digest: [u8; 32]) {
        let mut kept = self.lock();
        kept.retain(|one| *one != (account, digest));
        let of_account = kept.iter().filter(|(owner, _)| *owner == account).count();
        if of_account == OF_ACCOUNT_MAX
            && let Some(oldest) = kept.iter().position(|(owner, _)| *owner == account)
        {
            kept.remove(oldest);
        }
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((account, digest));
    }

    pub(crate) fn has(&self, account: AccountId, digest: &[u8; 32]) -> bool {
        self.lock().iter().any(|(owner, kept)| *owner == account && kept == digest)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/modules/uploads.rs"]
mod tests;
