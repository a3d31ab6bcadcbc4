//! The bounds on remembered uploads.

use super::*;

#[test]
fn an_account_that_puts_many_forgets_its_own_oldest() {
    let (uploads, one, other) = (Uploads::default(), AccountId::new(2), AccountId::new(3));
    uploads.note(other, [0; 32]);
    (0..=OF_ACCOUNT_MAX as u8).for_each(|number| uploads.note(one, [number; 32]));
    assert!(uploads.has(other, &[0; 32]) && !uploads.has(one, &[0; 32]));
    assert!(uploads.has(one, &[1; 32]) && !uploads.has(other, &[1; 32]));
}
