//! JSON read strictly: no member twice at any level, bounded depth.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting accepted; real tokens need four (claims, cnf, key, list).
pub const MAX_DEPTH: usize = 12;

/// Memory that values may take, in octets: a few characters can stand for some hundred.
pub struct Room(Cell<usize>);

impl Room {
    pub fn of(octets: usize) -> Self {
        Self(Cell::new(octets))
    }

    fn take<E: Error>(&self, octets: usize) -> Result<(), E> {
        self.0.set(self.0.get().checked_sub(octets).ok_or_else(|| E::custom("too much"))?);
        Ok(())
    }
}

/// Memory of a value in a list, of what is kept apart beside its own octets, and of a few members of an object.
const VALUE: usize = size_of::<Value>();
const APART: usize = 32;
const MEMBERS: usize = 11 * (size_of::<String>() + VALUE) + 24;
/// So many members at least share that memory.
const TOGETHER: usize = 5;

/// Why bytes are not the object they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON of the kind expected, a member twice, or too deep")]
pub struct StrictError;

/// Reads one JSON object; nothing may follow it.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, StrictError> {
    object_within(bytes, &Room::of(usize::MAX))
}

/// As [`object`], in the memory that is left.
pub fn object_within(bytes: &[u8], room: &Room) -> Result<Map<String, Value>, StrictError> {
    match value_within(bytes, room)? {
        Value::Object(map) => Ok(map),
        _ => Err(StrictError),
    }
}

/// Reads one JSON value of any kind; nothing may follow it.
pub fn value(bytes: &[u8]) -> Result<Value, StrictError> {
    value_within(bytes, &Room::of(usize::MAX))
}

/// As [`value`], in the memory that is left.
pub fn value_within(bytes: &[u8], room: &Room) -> Result<Value, StrictError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node(MAX_DEPTH, room).deserialize(&mut reader).map_err(|_| StrictError)?;
    reader.end().map_err(|_| StrictError)?;
    Ok(value)
}

/// A value that may still nest this deep, and take this much.
struct Node<'r>(usize, &'r Room);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.1.take(VALUE)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.1.take(APART + value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth = self.0.checked_sub(1).ok_or_else(|| A::Error::custom("too deep"))?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Node(depth, self.1))? {
            items.push(item);
        }
        items.shrink_to_fit();
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.0.checked_sub(1).ok_or_else(|| A::Error::custom("too deep"))?;
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let shared = if map.len().is_multiple_of(TOGETHER) { MEMBERS } else { 0 };
            self.1.take(shared + APART + name.len())?;
            let value = access.next_value_seed(Node(depth, self.1))?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("member twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_an_object() {
        for (text, good) in [
            (r#"{"a":1,"b":{"a":2}}"#, true), // the same name at another level is another member
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false), // the same name, spelt with an escape
            (r#"{"x":{"a":1,"a":2}}"#, false),
            (r#"{"x":[{"a":1,"a":2}]}"#, false),
            (r#"["iss","sub"]"#, false), // an array is no set of claims
            (r#"{"a":1} {"b":2}"#, false),
            (r#"{"a":1,}"#, false),
            ("", false),
            ("null", false),
        ] {
            assert_eq!(object(text.as_bytes()).is_ok(), good, "{text}");
        }
        assert!(value(br#"["salt","name",{"a":1}]"#).is_ok() && value(br#"[{"a":1,"a":2}]"#).is_err());
        let fits = |text: &str, room| value_within(text.as_bytes(), &Room::of(room)).is_ok();
        for (text, most) in [
            (r#""abc""#, VALUE + APART + 3),
            ("[0,0]", 3 * VALUE),
            (r#"{"a":1,"b":2}"#, 3 * VALUE + MEMBERS + 2 * (APART + 1)),
            (r#"[{},{"a":1}]"#, 4 * VALUE + MEMBERS + APART + 1),
        ] {
            assert!(fits(text, most) && !fits(text, most - 1), "{text}");
        }
        let deep = |n: usize| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
        assert!(object(deep(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(object(deep(MAX_DEPTH).as_bytes()).is_err());
        assert!(object(deep(100_000).as_bytes()).is_err());
    }
}
