//! The published schema says what reports are, member by member.

use serde_json::{Map, Value};

use super::make::{Paper, PaperKind};
use super::variations::kit::{Cms, Draft, World, at};
use super::*;

/// Checks a value against the part of JSON Schema that the published file uses; any other word is a mistake in it.
fn check(root: &Value, schema: &Map<String, Value>, value: &Value, place: &str, wrong: &mut Vec<String>) {
    for (word, what) in schema {
        let good = match word.as_str() {
            "$schema" | "title" | "description" | "$defs" | "properties" => true,
            "$ref" => {
                let name = what.as_str().unwrap().strip_prefix("#").unwrap();
                check(root, root.pointer(name).unwrap().as_object().unwrap(), value, place, wrong);
                true
            }
            "type" => match what {
                Value::Array(all) => all.iter().any(|t| is(value, t.as_str().unwrap())),
                one => is(value, one.as_str().unwrap()),
            },
            "enum" => what.as_array().unwrap().contains(value),
            "anyOf" => what.as_array().unwrap().iter().any(|one| {
                let mut inside = Vec::new();
                check(root, one.as_object().unwrap(), value, place, &mut inside);
                inside.is_empty()
            }),
            "required" => what.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                let members = value.as_object().into_iter().flatten();
                for (name, member) in members {
                    match known.get(name) {
                        None => wrong.push(format!("{place}/{name}: not in the schema")),
                        Some(inner) => {
                            check(root, inner.as_object().unwrap(), member, &format!("{place}/{name}"), wrong)
                        }
                    }
                }
                what == &Value::Bool(false)
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, what.as_object().unwrap(), item, &format!("{place}/{n}"), wrong);
                }
                true
            }
            _ => false,
        };
        if !good {
            wrong.push(format!("{place}: {word} {what} does not hold for {value}"));
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

fn mistakes(value: &Value) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdict.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    check(&schema, schema.as_object().unwrap(), value, "", &mut wrong);
    wrong
}

#[test]
fn reports_are_what_the_schema_says() {
    let world = World::new();
    let profile = world.profile();
    let seal = Draft::default().seal(&world);
    let plain = Cms { attributes: true, ..Cms::default() };
    let paper =
        Paper::new(PaperKind::Licence, "1").data(serde_json::json!({ "certificateHolderCode": "990101199202290010" }));
    let licence = make::seal(&paper, &seal, &world.signer.key, &world.signer.cert, at("2026-02-13T02:00:00Z")).unwrap();
    let bent = Draft { uncovered: vec!["Doc_0/Document.xml"], ..Draft::default() };
    let mut foreign = profile.clone();
    foreign.anchors = Anchors::default();
    foreign.revocation = Revocation::Require;
    let value = Draft::default().value(&world, &seal, b"x", "/a");
    for (name, file) in [
        ("licence", licence),
        ("sign", Draft { cms: Some(plain), ..Draft::default() }.package(&world)),
        ("uncovered", bent.package(&world)),
        ("seal", seal),
        ("value", value),
        ("pdf", b"%PDF-1.7 and no more than that".to_vec()),
        ("nothing", Vec::new()),
    ] {
        for profile in [&profile, &foreign] {
            let json = verify(name, file.clone(), profile).to_json();
            assert_eq!(mistakes(&json), Vec::<String>::new(), "{json:#}");
        }
    }
}

#[test]
fn a_report_of_another_shape_is_noticed() {
    let json = verify("f", Vec::new(), &Profile::new(at("2026-03-01T00:00:00Z"))).to_json();
    for (member, value) in [
        ("indication", Value::from("PASSED")),
        ("findings", Value::from("none")),
        ("more", Value::Null),
        ("signatures", serde_json::json!([{}])),
    ] {
        let mut other = json.clone();
        other[member] = value;
        assert!(!mistakes(&other).is_empty(), "{member}");
    }
    let mut less = json.clone();
    less.as_object_mut().unwrap().remove("coverage");
    assert!(!mistakes(&less).is_empty());
}
