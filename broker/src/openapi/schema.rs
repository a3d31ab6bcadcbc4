//! The words of which the shapes of bodies are made: amounts, times, names, objects of fields.

use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, SchemaFormat};

/// What a value may be.
pub(super) type Shape = RefOr<Schema>;

const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$";
const MARKET_PART: &str = "^[a-z0-9_-]{1,32}$";
const LEASE: &str = "^[0-9]{1,19}-[0-9]{1,19}$";
/// Decimal text of at most nine million USD and at least a picodollar, as an amount that is sent.
const AMOUNT: &str = r"^[0-9]{1,6}(\.[0-9]{1,12})?$";
const SIGNED_AMOUNT: &str = r"^-?[0-9]+(\.[0-9]{1,12})?$";

fn of(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn pattern(pattern: &str) -> Shape {
    of(Type::String).pattern(Some(pattern)).into()
}

/// Text of this pattern, and one by which a reader understands it.
pub(super) fn like(regex: &str, example: &str) -> Shape {
    of(Type::String).pattern(Some(regex)).examples([example]).into()
}

pub(super) fn text() -> Shape {
    of(Type::String).into()
}

pub(super) fn flag() -> Shape {
    of(Type::Boolean).into()
}

/// A whole number from 0.
pub(super) fn count() -> Shape {
    of(Type::Integer).minimum(Some(0)).into()
}

pub(super) fn range(low: i64, high: i64) -> Shape {
    of(Type::Integer).minimum(Some(low as f64)).maximum(Some(high as f64)).into()
}

/// A whole number of 32 bits from 0.
pub(super) fn small_count() -> Shape {
    range(0, i64::from(u32::MAX))
}

/// A name of a function, an account, a provider.
pub(super) fn name() -> Shape {
    pattern(NAME)
}

/// A region or a class, the two parts of a market's name.
pub(super) fn market_part() -> Shape {
    pattern(MARKET_PART)
}

/// The id of a lease or an invocation.
pub(super) fn lease() -> Shape {
    pattern(LEASE)
}

/// An amount in USD that is sent.
pub(super) fn amount() -> Shape {
    pattern(AMOUNT)
}

/// An amount in USD that is told.
pub(super) fn usd() -> Shape {
    pattern(SIGNED_AMOUNT)
}

/// Energy in GB-s, exact decimal text.
pub(super) fn gb_seconds() -> Shape {
    pattern(r"^[0-9]+(\.[0-9]+)?$")
}

/// A time in UTC, RFC 3339.
pub(super) fn time() -> Shape {
    of(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
}

/// Bytes of any content.
pub(super) fn bytes() -> Shape {
    of(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).into()
}

/// Any JSON.
pub(super) fn any() -> Shape {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

/// One of these words.
pub(super) fn one_of<const N: usize>(words: [&str; N]) -> Shape {
    of(Type::String).enum_values(Some(words)).into()
}

pub(super) fn list(items: Shape) -> Shape {
    ArrayBuilder::new().items(items).into()
}

/// An object of any names with such values.
pub(super) fn map(values: Shape) -> Shape {
    of(Type::Object).additional_properties(Some(AdditionalProperties::RefOr(values))).into()
}

pub(super) fn either<const N: usize>(shapes: [Shape; N]) -> Shape {
    shapes.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).into()
}

pub(super) fn nullable(shape: Shape) -> Shape {
    either([shape, of(Type::Null).into()])
}

/// A shape of `components`.
pub(super) fn named(name: &str) -> Shape {
    Ref::from_schema_name(name).into()
}

/// An object of exactly these fields: the first always there, the others perhaps.
pub(super) fn object<const R: usize, const O: usize>(
    required: [(&str, Shape); R],
    optional: [(&str, Shape); O],
) -> Shape {
    let mut object = of(Type::Object);
    for (name, shape) in required {
        object = object.property(name, shape).required(name);
    }
    for (name, shape) in optional {
        object = object.property(name, shape);
    }
    object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false))).into()
}

/// An object that has at least these fields: clients of another system's API may be told more later.
pub(super) fn open_object<const R: usize>(required: [(&str, Shape); R]) -> Shape {
    let mut object = of(Type::Object);
    for (name, shape) in required {
        object = object.property(name, shape).required(name);
    }
    object.into()
}
