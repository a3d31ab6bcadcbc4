//! The elements of body shapes: amounts, times, names, objects of fields.

use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema as OpenApiSchema, SchemaFormat};

/// The schema of a value.
pub(super) type Schema = RefOr<OpenApiSchema>;

const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$";
const MARKET_PART: &str = "^[a-z0-9_-]{1,32}$";
const LEASE: &str = "^[0-9]{1,19}-[0-9]{1,19}$";
/// Pattern of an amount that is sent, in USD: decimal text down to a picodollar.
const AMOUNT: &str = r"^[0-9]{1,6}(\.[0-9]{1,12})?$";
const SIGNED_AMOUNT: &str = r"^-?[0-9]+(\.[0-9]{1,12})?$";

fn of(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn pattern(pattern: &str) -> Schema {
    of(Type::String).pattern(Some(pattern)).into()
}

/// Returns text of this pattern, with an example.
pub(super) fn like(regex: &str, example: &str) -> Schema {
    of(Type::String).pattern(Some(regex)).examples([example]).into()
}

pub(super) fn text() -> Schema {
    of(Type::String).into()
}

pub(super) fn flag() -> Schema {
    of(Type::Boolean).into()
}

/// Returns a whole number from 0.
pub(super) fn count() -> Schema {
    of(Type::Integer).minimum(Some(0)).into()
}

pub(super) fn range(low: i64, high: i64) -> Schema {
    of(Type::Integer).minimum(Some(low as f64)).maximum(Some(high as f64)).into()
}

/// Returns a whole number of 32 bits from 0.
pub(super) fn small_count() -> Schema {
    range(0, i64::from(u32::MAX))
}

/// Returns a name of a function, an account or a provider.
pub(super) fn name() -> Schema {
    pattern(NAME)
}

/// Returns a region or a class, the two parts of a market's name.
pub(super) fn market_part() -> Schema {
    pattern(MARKET_PART)
}

/// Returns the id of a lease or an invocation.
pub(super) fn lease() -> Schema {
    pattern(LEASE)
}

/// Returns an amount in USD that is sent.
pub(super) fn amount() -> Schema {
    pattern(AMOUNT)
}

/// Returns an amount in USD that is told.
pub(super) fn usd() -> Schema {
    pattern(SIGNED_AMOUNT)
}

/// Returns energy in GB-s, as exact decimal text.
pub(super) fn gb_seconds() -> Schema {
    pattern(r"^[0-9]+(\.[0-9]+)?$")
}

/// Returns a time in UTC, RFC 3339.
pub(super) fn time() -> Schema {
    of(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
}

/// Returns bytes of any content.
pub(super) fn bytes() -> Schema {
    of(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).into()
}

/// Returns any JSON.
pub(super) fn any() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

/// Returns one of these words.
pub(super) fn one_of<const N: usize>(words: [&str; N]) -> Schema {
    of(Type::String).enum_values(Some(words)).into()
}

pub(super) fn list(items: Schema) -> Schema {
    ArrayBuilder::new().items(items).into()
}

/// Returns an object of any names with such values.
pub(super) fn map(values: Schema) -> Schema {
    of(Type::Object).additional_properties(Some(AdditionalProperties::RefOr(values))).into()
}

pub(super) fn either<const N: usize>(shapes: [Schema; N]) -> Schema {
    shapes.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).into()
}

pub(super) fn nullable(shape: Schema) -> Schema {
    either([shape, of(Type::Null).into()])
}

/// Returns a shape of `components`.
pub(super) fn named(name: &str) -> Schema {
    Ref::from_schema_name(name).into()
}

/// Returns an object of exactly these fields: the required ones, and the optional ones.
pub(super) fn object<const R: usize, const O: usize>(
    required: [(&str, Schema); R],
    optional: [(&str, Schema); O],
) -> Schema {
    let mut object = of(Type::Object);
    for (name, shape) in required {
        object = object.property(name, shape).required(name);
    }
    for (name, shape) in optional {
        object = object.property(name, shape);
    }
    object.additional_properties(Some(AdditionalProperties::<OpenApiSchema>::FreeForm(false))).into()
}

/// Returns an object with at least these fields: clients of another system's API may be told more later.
pub(super) fn open_object<const R: usize>(required: [(&str, Schema); R]) -> Schema {
    let mut object = of(Type::Object);
    for (name, shape) in required {
        object = object.property(name, shape).required(name);
    }
    object.into()
}
