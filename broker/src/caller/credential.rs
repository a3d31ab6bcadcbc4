//! The reasons for which credentials are refused.

use serde_json::json;

use super::sigv4::SignatureError;
use crate::error::ApiError;

/// The reason for which credentials are refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error(
        "credentials are needed: a key by `Authorization: Bearer ID.SECRET`, Basic or an AWS signature, or by Merit-Key"
    )]
    Missing,
    #[error("the credentials cannot be read: {0}")]
    Malformed(String),
    /// Unknown, expired and revoked keys, and wrong secrets, get the same answer.
    #[error("the key is not known, its secret is wrong, or it is revoked or has expired")]
    NotAccepted,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The exchange could not be asked.
    #[error("the credentials could not be checked")]
    Unchecked(Box<ApiError>),
    /// The signed payload could not be read.
    #[error("the signed payload could not be read")]
    Payload(Box<ApiError>),
}

impl CredentialError {
    /// Returns the reason for machines, of which an SDK makes its exception.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            CredentialError::Missing => "missing",
            CredentialError::Malformed(_) | CredentialError::Signature(SignatureError::Malformed(_)) => "malformed",
            CredentialError::NotAccepted => "not_accepted",
            CredentialError::Signature(_) => "invalid_signature",
            CredentialError::Unchecked(_) | CredentialError::Payload(_) => "unchecked",
        }
    }
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> ApiError {
        let reason = error.reason();
        match error {
            CredentialError::Unchecked(error) | CredentialError::Payload(error) => *error,
            error => ApiError::unauthorized(error.to_string()).with(json!({"reason": reason})),
        }
    }
}
