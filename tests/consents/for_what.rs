//! What an item's entry says of a lookup: for what, and which fields; how old the proof of who files may be.

use super::*;
use federation::peer::Closed;
use tongban::app::demo::token_for;
use tongban::app::demo::tokens::Options;

/// In an open case, under the person's consent for just that: a purpose or a field that the item's entry does not name is
/// nobody's, whether the data are here or at another gateway.
pub async fn purposes_and_fields(house: &House<'_>) {
    let entry = "ref = \"DR-HH\", fields = [\"relation\", \"household_no\"], purposes = [\"dispute\"]";
    house.works_by(&catalogue::EMBEDDED.items.replacen("ref = \"DR-HH\"", entry, 1));
    let closed = Closed::new(house.federation);
    for gateway in [0, 1] {
        let case = open_case(house, gateway).await;
        let (window, both) = house.counter(gateway);
        let look = async |change: Value| {
            let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true});
            window.send("POST", "/v1/lookups", &both, body(&changed(ask, &change))).await
        };
        for (what, change, want) in [
            ("what the item may have", json!({}), Ok(2)),
            ("one of it", json!({"fields": ["relation"]}), Ok(1)),
            ("for a purpose that it names besides", json!({"purpose": "dispute"}), Ok(2)),
            ("for one that it does not name", json!({"purpose": "marketing"}), Err("TB-POL-0507")),
            ("for one spelt otherwise", json!({"purpose": "Case"}), Err("TB-POL-0507")),
            ("for a part of one", json!({"purpose": "disput"}), Err("TB-POL-0507")),
            ("for two at once", json!({"purpose": "case/dispute"}), Err("TB-POL-0507")),
            ("for one in free text", json!({"purpose": "查户口"}), Err("TB-POL-0507")),
            ("for none", json!({"purpose": null}), Err("TB-POL-0501")),
            (
                "a field of the register that is not the item's",
                json!({"fields": ["household_address"]}),
                Err("TB-POL-0504"),
            ),
            ("that one among others", json!({"fields": ["relation", "household_address"]}), Err("TB-POL-0504")),
        ] {
            let answer = look(change.clone()).await;
            match want {
                Ok(fields) => {
                    let got = (answer.status, answer.json["fields"].as_object().map_or(0, |fields| fields.len()));
                    assert_eq!(got, (200, fields), "{what} at {gateway}: {}", answer.text());
                }
                Err(code) => {
                    assert_eq!(answer.json["code"], code, "{what} at {gateway}: {}", answer.text());
                    assert!(answer.json["fields"].is_null(), "{what} at {gateway}: {}", answer.text());
                    let lines = house.lines(gateway);
                    let of_it = |line: &&Value| line["trace"] == answer.json["trace"] && line["kind"] == "deny";
                    let line = lines.iter().find(of_it).expect("a line");
                    assert_eq!(line["dec"]["reason"], code, "{what} at {gateway}: {line}");
                }
            }
        }
        // A consent for another purpose is a good paper; it makes no purpose of the item's.
        let (_, paper) = house.give(gateway, json!({"purpose": "marketing", "case": case})).await;
        let answer = look(json!({"purpose": "marketing", "consent_paper": paper})).await;
        assert_eq!(answer.json["code"], "TB-POL-0507", "{gateway}: {}", answer.text());
    }
    drop(closed);
    house.works_by(catalogue::EMBEDDED.items);
}

/// What the person agreed to rests on that, whatever the item's entry states; without it nothing is looked up.
pub async fn what_was_agreed_to_is_basis_enough(house: &House<'_>) {
    let closed = Closed::new(house.federation);
    let case = open_case(house, 0).await;
    let (window, both) = house.counter(0);
    for items in
        [catalogue::EMBEDDED.items.to_owned(), catalogue::EMBEDDED.items.replacen("basis = \"hukou\"\n", "", 1)]
    {
        house.works_by(&items);
        let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true});
        let answer = window.send("POST", "/v1/lookups", &both, body(&ask)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for gateway in [0, 1] {
            let lines = house.lines(gateway);
            let line = lines.iter().rfind(|line| line["kind"] == "data.read").expect("a line");
            assert_eq!(line["why"]["basis"], "consent", "at {gateway}: {line}");
            assert!(line["why"]["consent"].is_string(), "at {gateway}: {line}");
        }
    }
    drop(closed);
    house.works_by(catalogue::EMBEDDED.items);
}

/// The level of whoever files is strong enough, and was proven too long ago for this item: the answer says how to mend it.
pub async fn how_old_a_proof_may_be(house: &House<'_>) {
    let now = UnixMillis::now();
    let proven = |minutes: i64| {
        let options = Options { issued: Some(now.plus_seconds(-60 * minutes)), ..Options::default() };
        vec![("authorization", format!("Bearer {}", token_for(&house.world, "zhangsan", &options).expect("a token")))]
    };
    let portal = house.federation.anybody(0);
    for (minutes, lines, want) in [
        (4, "max_identity_age_min = 2", (403, "TB-POL-0202")),
        (0, "max_identity_age_min = 2", (202, "")),
        (4, "", (202, "")),
    ] {
        let items = catalogue::EMBEDDED.items.replacen("fee = false", &format!("{lines}\nfee = false"), 1);
        house.works_by(&items);
        let answer = house.federation.file_as(&portal, &proven(minutes), "419001", "online").await;
        let code = answer.json["code"].as_str().unwrap_or_default();
        assert_eq!((answer.status, code), want, "{minutes} min, {lines:?}: {}", answer.text());
        if want.0 != 202 {
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
            assert!(challenge.contains("max_age=\"120\"") || challenge.contains("max_age=120"), "{challenge}");
        }
        let guide = portal.get(&format!("/v1/items/{ITEM}"), &Headers::new()).await;
        let want = if lines.is_empty() { 720 } else { 2 };
        assert_eq!(guide.json["max_identity_age_min"], want, "{}", guide.text());
    }
    house.works_by(catalogue::EMBEDDED.items);
}
