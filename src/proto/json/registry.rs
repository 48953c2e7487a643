//! The message types that a `google.protobuf.Any` can show as JSON: process-wide, by full name.
//! The well-known types and the details of errors are in it from the start; others can be added.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use prost::{Message, Name};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::{Options, Strict};
use crate::proto::google::rpc;
use crate::proto::wkt;

/// How a registered type gets from its bytes to JSON and back.
#[derive(Clone, Copy)]
pub struct Entry {
    /// True for the types whose JSON is not an object of their fields: an `Any` holds it under
    /// the key `value`.
    pub special: bool,
    /// The JSON text of a message given by its bytes; `None` where they are not such a message,
    /// or where it has no JSON form.
    pub to_json: fn(&[u8]) -> Option<String>,
    /// The bytes of a message given as JSON.
    pub from_json: fn(Value) -> Result<Vec<u8>, serde_json::Error>,
}

/// Makes a type known. Registering it again changes nothing.
pub fn register<T: Message + Name + Default + Serialize + DeserializeOwned>() {
    let mut entries = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    entries
        .entry(T::full_name())
        .or_insert_with(|| Entry::of::<T>(false));
}

/// The entry of the type that a type URL names: what follows its last slash.
pub fn lookup(type_url: &str) -> Option<Entry> {
    let (_, name) = type_url.rsplit_once('/')?;
    let entries = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    entries.get(name).copied()
}

static REGISTRY: LazyLock<RwLock<HashMap<String, Entry>>> = LazyLock::new(|| {
    let mut entries = HashMap::new();
    macro_rules! known {
        ($special:literal $package:ident: $($message:ident)*) => { $(
            entries.insert($package::$message::full_name(), Entry::of::<$package::$message>($special));
        )* };
    }
    known! { true wkt:
        Any Timestamp Duration FieldMask Struct Value ListValue
        BoolValue BytesValue DoubleValue FloatValue
        Int32Value Int64Value StringValue UInt32Value UInt64Value
    }
    known! { false wkt: Empty }
    known! { false rpc:
        BadRequest DebugInfo ErrorInfo Help LocalizedMessage PreconditionFailure QuotaFailure
        RequestInfo ResourceInfo RetryInfo Status
    }
    RwLock::new(entries)
});

impl Entry {
    fn of<T: Message + Default + Serialize + DeserializeOwned>(special: bool) -> Self {
        Self {
            special,
            to_json: |bytes| serde_json::to_string(&T::decode(bytes).ok()?).ok(),
            from_json: |value| {
                let message = T::deserialize(Strict::new(value, Options::default()))?;
                let bytes = message.encode_to_vec();
                // prost reads fewer levels than it writes. What it cannot read is never shown again.
                T::decode(&*bytes).map_err(serde_json::Error::custom)?;
                Ok(bytes)
            },
        }
    }
}
