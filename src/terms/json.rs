//! Canonical JSON: keys sorted, no insignificant blanks, no floats, integers below 2^53.

use serde::Serialize;
use serde_json::Value;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    #[error("a number that is not an integer below 2^53")]
    Number,
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The canonical bytes of `value`; the same value always gives the same bytes.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut value = serde_json::to_value(value)?;
    check_numbers(&value)?;
    value.sort_all_objects(); // whether maps keep insertion order is a feature other crates may switch on
    Ok(serde_json::to_vec(&value)?)
}

fn check_numbers(value: &Value) -> Result<(), CanonicalError> {
    const LIMIT: u64 = 1 << 53;
    match value {
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) if n < LIMIT => Ok(()),
            (None, Some(n)) if n.unsigned_abs() < LIMIT => Ok(()),
            _ => Err(CanonicalError::Number),
        },
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(map) => map.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}

/// Serialises a type by its `Display` and reads it by its `FromStr`.
macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        $crate::terms::json::from_text!($name);
    )+};
}
pub(crate) use as_text;

/// Reads a type by its `FromStr`.
macro_rules! from_text {
    ($name:ident) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use from_text;

#[cfg(test)]
mod tests {
    use super::canonical;
    use serde_json::json;

    #[test]
    fn one_value_has_one_spelling() {
        let bytes = canonical(&json!({"b": [1, {"d": null, "c": "办"}], "a": -1})).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"a":-1,"b":[1,{"c":"办","d":null}]}"#);
        assert!(canonical(&json!({"x": 1.5})).is_err());
        assert!(canonical(&json!(9_007_199_254_740_992u64)).is_err());
    }
}
