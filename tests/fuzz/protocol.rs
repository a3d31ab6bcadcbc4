//! The protocol's messages, tokens and proofs, the journal's records, and the text of terms.
//!
//! The first byte chooses what the rest is. Promises: whatever decodes encodes to a message that decodes to the same;
//! whatever becomes a term goes back to a message that becomes the same term; only a token that its key made is
//! accepted; a name that is parsed is written as it was read.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use merit_proto::{check_proof, prove, read_proof, sign, v1, verify, write_proof};
use merit_terms as terms;
use prost::Message;

const KEY: [u8; 32] = [7; 32];

/// Runs the target.
pub fn protocol(input: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    match choice % 12 {
        0 => drop(message::<v1::BrokerMessage>(rest)),
        1 => drop(message::<v1::BrokerageMessage>(rest)),
        2 => drop(message::<v1::ProviderMessage>(rest)),
        3 => drop(message::<v1::ExchangeMessage>(rest)),
        4 => term::<v1::Rung, terms::Rung>(rest),
        5 => term::<v1::Limits, terms::Limits>(rest),
        6 => term::<v1::Quota, terms::Quota>(rest),
        7 => term::<v1::Budget, terms::Budget>(rest),
        8 => token(rest),
        9 => proof(rest),
        10 => drop(merit_exchange::decode(rest)),
        _ => text(rest),
    }
}

fn message<M: Message + Default + PartialEq + Debug>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let again = M::decode(message.encode_to_vec().as_slice());
    // NaN is not equal to itself: no message has a float that matters.
    assert_eq!(again.as_ref(), Ok(&message));
    Some(message)
}

fn term<M, T>(bytes: &[u8])
where
    M: Message + Default + PartialEq + Debug + for<'a> From<&'a T>,
    T: for<'a> TryFrom<&'a M> + Debug + PartialEq,
{
    let Some(message) = message::<M>(bytes) else { return };
    let Ok(term) = T::try_from(&message) else { return };
    assert_eq!(T::try_from(&M::from(&term)).ok().as_ref(), Some(&term));
}

/// Nobody without the key makes a token; one that is made says what it was made of.
fn token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(verify(&KEY, text).is_err(), "{text}");
    }
    if let Ok(claims) = v1::LeaseClaims::decode(bytes) {
        let token = sign(&KEY, &claims);
        assert_eq!(verify(&KEY, &token).as_ref(), Ok(&claims));
        assert!(verify(&[8; 32], &token).is_err());
    }
}

fn proof(bytes: &[u8]) {
    if let Some(proof) = std::str::from_utf8(bytes).ok().and_then(|text| read_proof(text).ok()) {
        assert!(check_proof(&KEY, &proof).is_err());
        assert_eq!(read_proof(&write_proof(&proof)), Ok(proof));
    }
    if let Ok(terms) = v1::LeaseTerms::decode(bytes) {
        let proof = read_proof(&write_proof(&prove(&KEY, &terms))).unwrap();
        assert_eq!(check_proof(&KEY, &proof).as_ref(), Ok(&terms));
    }
}

fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    parsed::<terms::Money>(text);
    parsed::<terms::Price>(text);
    parsed::<terms::Time>(text);
    parsed::<terms::LeaseId>(text);
    parsed::<terms::KeyId>(text);
    parsed::<terms::Role>(text);
    parsed::<terms::Name>(text);
    parsed::<terms::MarketName>(text);
    drop(text.parse::<terms::Credential>());
}

fn parsed<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert_eq!(written.parse::<T>().ok().as_ref(), Some(&value), "{text} is written {written}");
    }
}
