//! What a lookup rests on is what the item's entry states. On nothing it is refused, and so is an item that rests on nothing; what
//! rests on the person's consent is in `tests/consents/for_what.rs`.

use super::federation::peer::Closed;
use super::*;

const HOMES: [&str; 2] = ["gw-440305", "gw-419001"];
const STATED: &str = "basis = \"hukou\"\n";
const DATA: &str = "ref = \"DR-HH\", required = true";

/// Both gateways work by this list of items from now on.
fn works_by(files: &[Files; 2], items: &str) {
    for files in files {
        files.write("based/items.toml", items);
        files.taken();
    }
}

pub async fn on_what_it_rests(federation: &Federation) {
    let files = HOMES.map(|home| Files::of(federation, home));
    let configs = [0, 1].map(|n: usize| files[n].read("tongban.toml"));
    for (files, config) in files.iter().zip(&configs) {
        fs::create_dir(files.0.join("based")).expect("a folder");
        files.write("tongban.toml", &config.replacen("partners =", "catalogue = \"based\"\npartners =", 1));
    }
    let shipped = tongban::catalogue::EMBEDDED.items;
    works_by(&files, shipped);
    let closed = Closed::new(federation); // the cases stay open
    let (window, both) = (federation.client("window", 0), beside(federation, "C-0001"));
    let no = number(&file(federation, &window, &both, &household(&json!({}))).await);
    let guide = window.get(&format!("/v1/items/{HOUSEHOLD}"), &Headers::new()).await;
    assert_eq!(guide.json["basis"], "《中华人民共和国户口登记条例》", "{}", guide.text());

    let none = shipped.replacen(STATED, "", 1);
    let own = |items: &str| items.replacen(DATA, &format!("{DATA}, basis = \"id-card\""), 1);
    let asked = async || {
        let ask = json!({"resource": "DR-HH", "case": no, "purpose": "case"});
        window.send("POST", "/v1/lookups", &both, body(&ask)).await
    };
    for (what, items, want) in [
        ("what the item states", shipped.to_owned(), Some("hukou")),
        ("what its entry for the data states", own(shipped), Some("id-card")),
        ("that alone", own(&none), Some("id-card")),
        ("nothing", none.clone(), None),
    ] {
        works_by(&files, &items);
        let answer = asked().await;
        let Some(basis) = want else {
            assert_eq!(code(&answer), (403, "TB-POL-0506"), "{what}: {}", answer.text());
            let line = denied(federation, HOMES[0], &answer);
            assert_eq!(line["dec"]["rules"][0], "lookup-item-lists-resource", "{line}");
            assert!(line["why"]["basis"].is_null(), "{line}");
            continue;
        };
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        for home in HOMES {
            let lines = lines(federation, home, "data.read");
            let line = lines.iter().rfind(|line| line["ev"][0]["type"] == "DR-HH").expect("a line");
            assert_eq!(line["why"]["basis"], basis, "{what}, at {home}: {line}");
        }
    }
    // A refusal names what it was about: the basis of the entry, not that of the whole item.
    works_by(&files, &own(shipped));
    let more = json!({"resource": "DR-HH", "case": no, "purpose": "case", "fields": ["household_no", "status"]});
    let refused = window.send("POST", "/v1/lookups", &both, body(&more)).await;
    assert_eq!(code(&refused), (403, "TB-POL-0504"), "{}", refused.text());
    assert_eq!(denied(federation, HOMES[0], &refused)["why"]["basis"], "id-card");
    // Where the data are, nothing is stated: whoever asks has it otherwise, and gets nothing.
    works_by(&files, shipped);
    files[1].write("based/items.toml", &none);
    files[1].taken();
    let there = asked().await;
    assert_eq!(there.status, 503, "{}", there.text());
    let refused = lines(federation, HOMES[1], "deny").into_iter().rfind(|line| line["dec"]["reason"] == "TB-POL-0506");
    assert_eq!(refused.expect("a refusal")["actor"]["terminal"], "peer:gw-440305");

    // The person is told in words.
    works_by(&files, shipped);
    let view = federation.anybody(0).get("/v1/me/lookups", &alone(federation, "citizen")).await;
    let line = view.json["lookups"].as_array().into_iter().flatten().find(|line| line["why"]["basis"] == "hukou");
    let line = line.unwrap_or_else(|| panic!("{}", view.text()));
    assert_eq!(line["why"]["basis_text"], "《中华人民共和国户口登记条例》", "{line}");

    // And an item without a basis is not filed, here or at its owner's.
    drop(closed);
    files[0].write("based/items.toml", &none);
    files[0].taken();
    let filed = file(federation, &window, &both, &household(&json!({}))).await;
    assert_eq!(code(&filed), (403, "TB-POL-0208"), "{}", filed.text());
    assert_eq!(denied(federation, HOMES[0], &filed)["dec"]["rules"][0], "item-needs-basis");
    works_by(&files, shipped);
    let filed = file(federation, &window, &both, &household(&json!({}))).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    for (files, config) in files.iter().zip(&configs) {
        files.write("tongban.toml", config);
        files.taken();
    }
}
