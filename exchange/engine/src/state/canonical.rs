//! The canonical encoding of a part of the state: its saved fields as bytes, without names and without handles.
//!
//! Numbers are little-endian with their own width; texts, lists and maps begin with their length; an enum begins with
//! the index of its variant. Handles (offer and pool slots) are left out: they are no part of the state's meaning.

use std::fmt;

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// Names of the types that are handles.
const HANDLES: [&str; 2] = ["OfferSlot", "PoolSlot"];

/// Writes the canonical encoding of a value after `bytes`.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    let written = value.serialize(Canonical(bytes));
    assert!(written.is_ok(), "every part of the state has a canonical encoding: {written:?}");
}

/// The encoder of one value.
struct Canonical<'a>(&'a mut Vec<u8>);

/// A value without a canonical encoding. Never happens to the state.
#[derive(Debug)]
struct NotCanonical(String);

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotCanonical {}

impl serde::ser::Error for NotCanonical {
    fn custom<T: fmt::Display>(message: T) -> NotCanonical {
        NotCanonical(message.to_string())
    }
}

type Written = Result<(), NotCanonical>;

impl<'a> Canonical<'a> {
    fn put(self, bytes: &[u8]) -> Written {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Begins a list of known length.
    fn list(self, len: Option<usize>) -> Result<Canonical<'a>, NotCanonical> {
        let len = len.ok_or_else(|| NotCanonical("a list of unknown length".to_owned()))?;
        self.0.extend_from_slice(&(len as u64).to_le_bytes());
        Ok(self)
    }

    /// Begins a variant of an enum.
    fn variant(self, index: u32) -> Canonical<'a> {
        self.0.extend_from_slice(&index.to_le_bytes());
        self
    }

    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(Canonical(self.0))
    }
}

/// Implements the fixed-width numbers.
macro_rules! numbers {
    ($($method:ident: $number:ty,)*) => {
        $(fn $method(self, value: $number) -> Written {
            self.put(&value.to_le_bytes())
        })*
    };
}

impl<'a> Serializer for Canonical<'a> {
    type Ok = ();
    type Error = NotCanonical;
    type SerializeSeq = Canonical<'a>;
    type SerializeTuple = Canonical<'a>;
    type SerializeTupleStruct = Canonical<'a>;
    type SerializeTupleVariant = Canonical<'a>;
    type SerializeMap = Canonical<'a>;
    type SerializeStruct = Canonical<'a>;
    type SerializeStructVariant = Canonical<'a>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Written {
        self.put(&[u8::from(value)])
    }

    #[allow(clippy::disallowed_types, reason = "the trait has it; no part of the state is a float")]
    fn serialize_f32(self, _: f32) -> Written {
        Err(NotCanonical("a float".to_owned()))
    }

    #[allow(clippy::disallowed_types, reason = "the trait has it; no part of the state is a float")]
    fn serialize_f64(self, _: f64) -> Written {
        Err(NotCanonical("a float".to_owned()))
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_u32(value.into())
    }

    fn serialize_str(self, text: &str) -> Written {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        self.list(Some(bytes.len()))?.put(bytes)
    }

    fn serialize_none(self) -> Written {
        self.put(&[0])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        self.0.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Written {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        if HANDLES.contains(&name) { Ok(()) } else { value.serialize(self) }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self.variant(index))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Canonical<'a>, NotCanonical> {
        self.list(len)
    }

    fn serialize_tuple(self, _: usize) -> Result<Canonical<'a>, NotCanonical> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Canonical<'a>, NotCanonical> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Canonical<'a>, NotCanonical> {
        Ok(self.variant(index))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Canonical<'a>, NotCanonical> {
        self.list(len)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Canonical<'a>, NotCanonical> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Canonical<'a>, NotCanonical> {
        Ok(self.variant(index))
    }
}

/// Implements the parts of a compound value, one after the other.
macro_rules! compounds {
    ($($compound:ident: $method:ident($($name:ty)?),)*) => {
        $(impl $compound for Canonical<'_> {
            type Ok = ();
            type Error = NotCanonical;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Written {
                self.next(value)
            }

            fn end(self) -> Written {
                Ok(())
            }
        })*
    };
}

compounds! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str),
}

impl SerializeMap for Canonical<'_> {
    type Ok = ();
    type Error = NotCanonical;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.next(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.next(value)
    }

    fn end(self) -> Written {
        Ok(())
    }
}
