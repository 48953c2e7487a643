//! ProtoJSON: the one dialect in which the gateway reads paths, queries and bodies and writes
//! answers. Strict where the specification leaves room: a key may come only once, unknown fields
//! are refused unless the caller says otherwise, and nesting is limited.
//!
//! The generated `Serialize` and `Deserialize` of every message are built on the [`Kind`]s of this
//! room. It knows nothing of URLs, of HTTP or of any service.
//!
//! # What a deserializer is asked
//!
//! There are no descriptors at run time: a deserializer learns from the call what is wanted.
//!
//! | Wanted | Call | Visitor takes |
//! |---|---|---|
//! | any singular, repeated or map field | `deserialize_option` | none: left unset; some |
//! | floating point number | `deserialize_any` | `i64`, `u64`, `f64`, or its text in `visit_str` |
//! | integer | `deserialize_newtype_struct(`[`INTEGER`]`)` | the same, or newtype; see [`INTEGER`] |
//! | bool | `deserialize_bool` | `bool` |
//! | string | `deserialize_string` | `str` |
//! | bytes | `deserialize_str` | base64 in `visit_str` |
//! | enum | `deserialize_newtype_struct(`[`ENUM`]`)` | name, number, newtype; see [`ENUM`] |
//! | message | `deserialize_struct` | map |
//! | repeated | `deserialize_seq` | seq |
//! | map, `Struct`, `Any` | `deserialize_map` | map; keys come by `deserialize_str` |
//! | `Value`, `ListValue` | `deserialize_newtype_struct(`[`VALUE`]`, `[`LIST_VALUE`]`)` | see there |
//! | `FieldMask` | `deserialize_newtype_struct(`[`FIELD_MASK`]`)` | see there |
//! | `Timestamp`, `Duration` | `deserialize_str` | its text |
//! | wrappers | as the type they wrap | |
//!
//! `google.protobuf.Value` and `NullValue` are asked for without `deserialize_option`, because
//! for them null is a value.

mod buffer;
mod collection;
mod enumeration;
mod kind;
mod number;
mod registry;
mod strict;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use buffer::Buffer;
pub use collection::{List, Map, MapKey};
pub use enumeration::{Enum, Null};
pub use kind::{Bytes, Field, Kind, Nullable, ONE_OF_SEVERAL, Plain, Written, member, once};
pub use number::{Number, Numeric};
pub use registry::{Entry, lookup, register};
pub use strict::{Strict, TextReader};

/// Newtype name under which an enum is asked for. Its visitor takes the name (`visit_str`) or the
/// number (`visit_i64`, `visit_u64`, `visit_f64`) of a value; given `visit_newtype_struct` it asks
/// the deserializer inside for one of these. Given `visit_some` it does the same, and passes over
/// a name that it does not know instead of refusing it.
pub const ENUM: &str = "google.protobuf.EnumValue";

/// Newtype name under which an integer is asked for. Who reads JSON text gives its visitor the value
/// exactly as it is written, `1e18` too. Given `visit_newtype_struct` the visitor asks the deserializer
/// inside for any value.
pub const INTEGER: &str = "google.protobuf.Integer";

/// Newtype name under which a `google.protobuf.FieldMask` is asked for. `visit_newtype_struct`
/// reads the ProtoJSON form, lowerCamelCase only; `visit_str` takes text from a URL, where
/// snake_case is accepted too; `visit_seq` takes paths in proto names as they are.
pub const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// Newtype name under which a `google.protobuf.Value` is asked for. Its visitor takes any JSON
/// value, or `visit_newtype_struct`, and then asks the deserializer inside for any value.
pub const VALUE: &str = "google.protobuf.Value";

/// Newtype name under which a `google.protobuf.ListValue` is asked for. Its visitor takes a
/// sequence, or `visit_newtype_struct`, and then asks the deserializer inside for a sequence.
pub const LIST_VALUE: &str = "google.protobuf.ListValue";

/// Arrays and objects that may be open at once; one more is an error.
pub const MAXIMUM_DEPTH: usize = 100;

/// What a reader of JSON may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Pass over fields and names of enum values that this build does not know, instead of
    /// refusing them.
    pub ignore_unknown: bool,
}

/// Reads one value from the whole of `bytes`.
///
/// # Errors
///
/// When the text is no JSON or not what `T` wants. The error says line and column.
pub fn from_slice<T: DeserializeOwned>(
    bytes: &[u8],
    options: Options,
) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict::of_text(&mut deserializer, bytes, options))?;
    deserializer.end()?;
    Ok(value)
}

/// Writes a value as JSON text without white space.
///
/// # Errors
///
/// When the value has no JSON form: a timestamp or duration out of its range, a field mask that
/// does not survive the way to lowerCamelCase and back, a `Value` that is not a finite number.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(value)
}

/// As [`to_vec`], into a writer.
///
/// # Errors
///
/// As [`to_vec`], and those of the writer.
pub fn to_writer<W: io::Write, T: Serialize + ?Sized>(
    writer: W,
    value: &T,
) -> Result<(), serde_json::Error> {
    serde_json::to_writer(writer, value)
}
