//! Which account put which module lately: until a function of its own has it, nobody else could tell whose it is.
//!
//! Bounded, and forgotten at a restart: a module that is forgotten is put again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_terms::AccountId;

const KEPT_MAX: usize = 4096;
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
mod tests {
    use super::*;

    #[test]
    fn an_account_that_puts_many_forgets_its_own_oldest() {
        let (uploads, one, other) = (Uploads::default(), AccountId::new(2), AccountId::new(3));
        uploads.note(other, [0; 32]);
        (0..=OF_ACCOUNT_MAX as u8).for_each(|number| uploads.note(one, [number; 32]));
        assert!(uploads.has(other, &[0; 32]) && !uploads.has(one, &[0; 32]));
        assert!(uploads.has(one, &[1; 32]) && !uploads.has(other, &[1; 32]));
    }
}
