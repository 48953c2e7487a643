//! Only in tests: a field of any kind, read from and written as JSON text.

use serde::de::DeserializeSeed;

use super::{Field, Kind, Options, Strict, Written, to_vec};

/// Reads a field; the error as text.
pub fn read<K: Kind<T>, T>(json: &str) -> Result<Option<T>, String> {
    read_with::<K, T>(json, Options::default())
}

/// As [`read`], with options.
pub fn read_with<K: Kind<T>, T>(json: &str, options: Options) -> Result<Option<T>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json.as_bytes());
    let value = Field::<K, T>::new()
        .deserialize(Strict::of_text(&mut deserializer, json.as_bytes(), options))
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Writes a value.
pub fn write<K: Kind<T>, T>(value: &T) -> String {
    String::from_utf8(to_vec(&Written::<K, T>::new(value)).unwrap()).unwrap()
}
