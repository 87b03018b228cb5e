//! The published schema says what reports are, member by member.

use serde_json::Value;

use super::make::{Paper, PaperKind};
use super::variations::kit::{Cms, Draft, World, at};
use super::*;

#[path = "../../tests/schema/mod.rs"]
mod checker;

fn mistakes(value: &Value) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdict.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    checker::mistakes(&schema, &schema, value)
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
