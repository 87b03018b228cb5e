//! Holds a value to the part of JSON Schema that our published descriptions use; any other word is a mistake in them.

use serde_json::Value;

/// Everything in which `value` is not as `schema` says; `root` is where references point into.
pub fn mistakes(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    check(root, schema, value, "", &mut wrong);
    wrong
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    for (word, what) in schema.as_object().into_iter().flatten() {
        let good = match word.as_str() {
            "$schema" | "title" | "description" | "format" | "pattern" | "$defs" | "properties" => true,
            "$ref" => {
                let there = root.pointer(what.as_str().unwrap().trim_start_matches('#')).expect("a reference");
                check(root, there, value, place, wrong);
                true
            }
            "type" => match what {
                Value::Array(kinds) => kinds.iter().any(|kind| is(value, kind.as_str().unwrap())),
                kind => is(value, kind.as_str().unwrap()),
            },
            "enum" => what.as_array().unwrap().contains(value),
            "anyOf" => what.as_array().unwrap().iter().any(|one| mistakes(root, one, value).is_empty()),
            "required" => what.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" => what == false || what.is_object(),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, what, item, &format!("{place}/{n}"), wrong);
                }
                true
            }
            _ => false,
        };
        if !good {
            wrong.push(format!("{place}: {word} {what} does not hold for {value}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(inner) => check(root, inner, member, &format!("{place}/{name}"), wrong),
            None if schema["additionalProperties"] == false => wrong.push(format!("{place}/{name}: not described")),
            None => {}
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}
