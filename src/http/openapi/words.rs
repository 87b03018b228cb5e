//! The few words of JSON Schema (2020-12) that the interface is described with.

use serde_json::{Map, Value, json};

pub fn text() -> Value {
    json!({ "type": "string" })
}

pub fn number() -> Value {
    json!({ "type": "integer" })
}

pub fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// The value or null.
pub fn or_null(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}

/// Any JSON.
pub fn any() -> Value {
    json!({})
}

/// One of these words.
pub fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

/// SHA-256 in hexadecimal digits.
pub fn digest() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
}

/// RFC 3339.
pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// An object of exactly these members; a name that ends in `?` may be missing.
pub fn closed(members: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in members {
        let plain = name.trim_end_matches('?');
        properties.insert(plain.to_owned(), schema.clone());
        if plain == *name {
            required.push(plain);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}
