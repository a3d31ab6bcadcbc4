//! Amounts of money and prices, in integers of picodollars (1e-12 USD).
//!
//! Owns their bounds and their decimal text; never computes a cost (see [`crate::Tariff`]) and never
//! uses a float.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SCALE: u32 = 12;

/// A sum of money that is not negative: a cost, a hold, a deposit. At most [`Money::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

/// The balance of an account in picodollars; system accounts may be below zero. Sums of balances cannot overflow: 2^63
/// deposits of [`Money::MAX`] fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Balance(i128);

/// A reference price: picodollars per GB-s, everything included (see [`crate::Tariff::reference_price`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u64);

/// Text that is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("`{0}` is not a decimal amount in USD, such as 0.0005")]
    NotDecimal(String),
    #[error("`{0}` is negative; an amount of money is 0 or more")]
    Negative(String),
    #[error("`{0}` is finer than a picodollar: at most 12 decimal places")]
    TooFine(String),
    #[error("`{0}` is more than the most one amount may be, {1} USD")]
    TooLarge(String, Money),
}

impl Money {
    pub const ZERO: Money = Money(0);
    /// Maximum amount of one entry: nine million USD. Every worst-case cost is far below it.
    pub const MAX: Money = Money(9_000_000_000_000_000_000);

    /// Returns `picodollars` as money, or `None` above [`Money::MAX`].
    pub const fn from_picodollars(picodollars: u64) -> Option<Money> {
        if picodollars <= Money::MAX.0 { Some(Money(picodollars)) } else { None }
    }

    pub const fn picodollars(self) -> u64 {
        self.0
    }

    pub const fn saturating_sub(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }

    /// Returns `floor(self x basis_points / 10_000)`: the operator's fee on a cost. At most 10,000 basis points count.
    pub fn share(self, basis_points: u32) -> Money {
        let part = u128::from(self.0) * u128::from(basis_points.min(10_000)) / 10_000;
        Money(part as u64) // at most self
    }

    /// Returns `ceil(self x eighths / 8)`, at most [`Money::MAX`].
    pub fn times_eighths(self, eighths: u32) -> Money {
        let product = (u128::from(self.0) * u128::from(eighths)).div_ceil(8);
        u64::try_from(product).ok().and_then(Money::from_picodollars).unwrap_or(Money::MAX)
    }
}

impl Balance {
    pub const ZERO: Balance = Balance(0);

    pub const fn from_picodollars(picodollars: i128) -> Balance {
        Balance(picodollars)
    }

    pub const fn picodollars(self) -> i128 {
        self.0
    }

    pub fn credit(&mut self, amount: Money) {
        self.0 += i128::from(amount.0);
    }

    pub fn debit(&mut self, amount: Money) {
        self.0 -= i128::from(amount.0);
    }
}

impl Price {
    pub const ZERO: Price = Price(0);

    pub const fn from_picodollars(picodollars: u64) -> Price {
        Price(picodollars)
    }

    pub const fn picodollars(self) -> u64 {
        self.0
    }
}

fn decimal(picodollars: i128) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(picodollars, SCALE).ok().map(|d| d.normalize())
}

fn write_decimal(f: &mut fmt::Formatter<'_>, picodollars: i128) -> fmt::Result {
    match decimal(picodollars) {
        Some(d) => write!(f, "{d}"),
        // Beyond 96 bits, 79 quadrillion USD. The digits are still exact.
        None => {
            let (whole, part) = (picodollars / 1_000_000_000_000, picodollars.unsigned_abs() % 1_000_000_000_000);
            write!(f, "{whole}.{part:012}")
        }
    }
}

fn parse(text: &str, max: Money) -> Result<u64, MoneyError> {
    let not_decimal = || MoneyError::NotDecimal(text.to_owned());
    let d = Decimal::from_str_exact(text.trim()).map_err(|_| not_decimal())?.normalize();
    if d.is_sign_negative() && !d.is_zero() {
        return Err(MoneyError::Negative(text.to_owned()));
    }
    if d.scale() > SCALE {
        return Err(MoneyError::TooFine(text.to_owned()));
    }
    let too_large = || MoneyError::TooLarge(text.to_owned(), max);
    let factor = 10_i128.pow(SCALE - d.scale());
    let picodollars = d.mantissa().checked_mul(factor).ok_or_else(too_large)?;
    u64::try_from(picodollars).ok().filter(|p| *p <= max.0).ok_or_else(too_large)
}

impl FromStr for Money {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Money, MoneyError> {
        parse(text, Money::MAX).map(Money)
    }
}

impl FromStr for Price {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Price, MoneyError> {
        parse(text, Money::MAX).map(Price)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.0))
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.0))
    }
}

/// Decimal text where people read, integers of picodollars where machines do.
macro_rules! amount_serde {
    ($amount:ident) => {
        impl Serialize for $amount {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }
        impl<'de> Deserialize<'de> for $amount {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    return String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom);
                }
                u64::deserialize(deserializer).map($amount)
            }
        }
    };
}
amount_serde!(Money);
amount_serde!(Price);

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        ((self.0 >> 64) as i64, self.0 as u64).serialize(serializer)
    }
}

/// Reads the form for machines only: people write amounts, never balances.
impl<'de> Deserialize<'de> for Balance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (high, low) = <(i64, u64)>::deserialize(deserializer)?;
        Ok(Balance((i128::from(high) << 64) | i128::from(low)))
    }
}
