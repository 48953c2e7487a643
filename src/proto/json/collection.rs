//! Repeated fields and maps of any kind of value. Knows no message.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::{self, Debug};
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Kind, Numeric, Written};

/// A repeated field of the kind `K`.
pub struct List<K>(PhantomData<K>);

impl<T, K: Kind<T>> Kind<Vec<T>> for List<K> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
        struct ListVisitor<K, T>(PhantomData<(K, T)>);

        impl<'de, T, K: Kind<T>> Visitor<'de> for ListVisitor<K, T> {
            type Value = Vec<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element_seed(Element::<K, T>::new())? {
                    list.extend(element);
                }
                Ok(list)
            }
        }

        deserializer
            .deserialize_seq(ListVisitor::<K, T>(PhantomData))
            .map(Some)
    }

    fn write<S: Serializer>(list: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(list.len()))?;
        for element in list {
            sequence.serialize_element(&Written::<K, T>::new(element))?;
        }
        sequence.end()
    }
}

/// A map field with values of the kind `K`. A key may come only once.
pub struct Map<K>(PhantomData<K>);

impl<Key: MapKey, T, K: Kind<T>> Kind<BTreeMap<Key, T>> for Map<K> {
    fn read<'de, D>(deserializer: D) -> Result<Option<BTreeMap<Key, T>>, D::Error>
    where
        D: Deserializer<'de>,
    {
        struct MapVisitor<Key, K, T>(PhantomData<(Key, K, T)>);

        impl<'de, Key: MapKey, T, K: Kind<T>> Visitor<'de> for MapVisitor<Key, K, T> {
            type Value = BTreeMap<Key, T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
                let mut map = BTreeMap::new();
                while let Some(key) = pairs.next_key_seed(KeyText(PhantomData))? {
                    let value = pairs.next_value_seed(Element::<K, T>::new())?;
                    match (map.entry(key), value) {
                        (Entry::Occupied(place), _) => return Err(key_twice(place.key())),
                        (Entry::Vacant(place), Some(value)) => {
                            place.insert(value);
                        }
                        (Entry::Vacant(_), None) => {}
                    }
                }
                Ok(map)
            }
        }

        let visitor = MapVisitor::<Key, K, T>(PhantomData);
        deserializer.deserialize_map(visitor).map(Some)
    }

    fn write<S: Serializer>(map: &BTreeMap<Key, T>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(map.len()))?;
        for (key, value) in map {
            object.serialize_entry(key, &Written::<K, T>::new(value))?;
        }
        object.end()
    }
}

/// What is said of an object's key that comes a second time.
pub fn key_twice<E: de::Error>(key: &impl Debug) -> E {
    E::custom(format_args!("the key {key:?} is given more than once"))
}

/// A Rust type that protobuf allows as the key of a map; in JSON its text.
pub trait MapKey: Debug + Ord + Serialize {
    /// What its text has to be, for people.
    const WHAT: &'static str;

    /// The key that the text stands for.
    fn parse(text: &str) -> Option<Self>
    where
        Self: Sized;
}

impl MapKey for String {
    const WHAT: &'static str = "a string";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl MapKey for bool {
    const WHAT: &'static str = "`true` or `false`";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

macro_rules! integer_keys {
    ($($integer:ty: $what:literal)*) => { $(
        impl MapKey for $integer {
            const WHAT: &'static str = $what;

            fn parse(text: &str) -> Option<Self> {
                Numeric::parse(text)
            }
        }
    )* };
}

integer_keys! {
    i32: "a 32-bit integer"
    i64: "a 64-bit integer"
    u32: "an unsigned 32-bit integer"
    u64: "an unsigned 64-bit integer"
}

struct KeyText<Key>(PhantomData<Key>);

impl<'de, Key: MapKey> DeserializeSeed<'de> for KeyText<Key> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<Key: MapKey> Visitor<'_> for KeyText<Key> {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} as the key", Key::WHAT)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
        Key::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Reads a value where null is not allowed unless it is a value: inside arrays and objects.
struct Element<K, T>(PhantomData<(K, T)>);

impl<K, T> Element<K, T> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T, K: Kind<T>> DeserializeSeed<'de> for Element<K, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        K::read(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{read, write};
    use super::super::{Bytes, Nullable, Number, Plain};
    use super::*;
    use crate::proto::wkt;

    #[test]
    fn lists_and_maps_convert_every_element() {
        let list = vec![i64::MAX, 0];
        assert_eq!(
            write::<List<Number>, _>(&list),
            "[\"9223372036854775807\",\"0\"]"
        );
        assert_eq!(
            read::<List<Number>, _>("[\"9223372036854775807\", 0e3]"),
            Ok(Some(list))
        );
        let map = BTreeMap::from([(-1_i64, vec![255_u8]), (2, vec![])]);
        assert_eq!(write::<Map<Bytes>, _>(&map), "{\"-1\":\"/w==\",\"2\":\"\"}");
        assert_eq!(
            read::<Map<Bytes>, _>("{\"-1\":\"_w\",\"2\":\"\"}"),
            Ok(Some(map))
        );
        let map = BTreeMap::from([(false, f32::NAN), (true, 0.1)]);
        assert_eq!(
            write::<Map<Number>, _>(&map),
            "{\"false\":\"NaN\",\"true\":0.1}"
        );
    }

    #[test]
    fn null_is_no_element_unless_it_is_a_value() {
        assert!(read::<List<Plain>, Vec<String>>("[null]").is_err());
        assert!(read::<List<Number>, Vec<i32>>("[1, null]").is_err());
        assert!(read::<Map<Plain>, BTreeMap<String, bool>>("{\"a\": null}").is_err());
        let list = read::<List<Nullable>, Vec<wkt::Value>>("[null, 1]")
            .unwrap()
            .unwrap();
        assert_eq!(write::<List<Nullable>, _>(&list), "[null,1.0]");
    }

    #[test]
    fn null_and_the_empty_are_told_apart() {
        assert_eq!(read::<List<Plain>, Vec<String>>("null"), Ok(None));
        assert_eq!(read::<List<Plain>, Vec<String>>("[]"), Ok(Some(vec![])));
        assert_eq!(read::<Map<Plain>, BTreeMap<String, bool>>("null"), Ok(None));
        assert_eq!(
            read::<Map<Plain>, BTreeMap<String, bool>>("{}"),
            Ok(Some(BTreeMap::new()))
        );
    }

    #[test]
    fn a_key_comes_once_and_in_its_own_type() {
        let twice = read::<Map<Number>, BTreeMap<String, i32>>("{\"a\": 1, \"a\": 1}");
        let told = "the key \"a\" is given more than once";
        assert!(twice.unwrap_err().starts_with(told));
        // Two texts for one number are one key.
        assert!(read::<Map<Number>, BTreeMap<i32, i32>>("{\"1\": 1, \"1.0\": 1}").is_err());
        for json in [
            "{\"\": true}",
            "{\"x\": true}",
            "{\"4294967296\": true}",
            "{\" 1\": true}",
        ] {
            assert!(
                read::<Map<Plain>, BTreeMap<u32, bool>>(json).is_err(),
                "{json}"
            );
        }
        for json in ["{\"True\": true}", "{\"1\": true}"] {
            let error = read::<Map<Plain>, BTreeMap<bool, bool>>(json).unwrap_err();
            assert!(
                error.contains("expected `true` or `false` as the key"),
                "{error}"
            );
        }
    }

    #[test]
    fn arrays_and_objects_are_not_taken_for_each_other() {
        for json in ["{}", "\"\"", "1"] {
            assert!(read::<List<Plain>, Vec<String>>(json).is_err(), "{json}");
        }
        for json in ["[]", "\"\"", "1", "[[\"a\", true]]"] {
            assert!(
                read::<Map<Plain>, BTreeMap<String, bool>>(json).is_err(),
                "{json}"
            );
        }
    }
}
