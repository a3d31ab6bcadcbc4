//! Fields that are read from a text or a number, with the name of the field in the error.

use merit_proto::FieldError;
use merit_terms::Money;

pub(crate) fn parse<T: std::str::FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error: T::Err| FieldError::new(field, error.to_string()))
}

pub(crate) fn money(field: &str, picodollars: u64) -> Result<Money, FieldError> {
    Money::from_picodollars(picodollars).ok_or_else(|| FieldError::new(field, format!("more than {}", Money::MAX)))
}
