//! Data that are kept at the very gateway where they are asked for: a flag is nobody's signature there either.

use super::*;
use federation::peer::Closed;
use tongban::app::demo::token_for;
use tongban::app::demo::tokens::Options;

/// Everything here happens at B, whose register has the data; its office waits, so that the case stays open.
pub async fn at_home(house: &House<'_>) {
    let closed = Closed::new(house.federation);
    let (window, both) = house.counter(1);
    let filing = |change: Value| {
        let plain = json!({
            "item": ITEM, "places": {"household": "419001"}, "present": true, "form": {"use": "落户"},
            "materials": [{"no": 1, "file": "id.ofd"}],
        });
        changed(plain, &change)
    };
    let file = async |change: Value| {
        let files = [("id.ofd", house.federation.licence())];
        house.federation.send_filing(&window, &both, &filing(change), &files).await
    };
    let before = House::read_under(&house.lines(1)).len();
    let answer = file(json!({})).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (403, Some("TB-POL-0505")), "{}", answer.text());
    let filed = file(json!({"consent": true})).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    assert_eq!(House::read_under(&house.lines(1)).len(), before + 1, "the line names the paper that was made");
    let (id, given) = house.give(1, json!({"once": true})).await;
    let answer = file(json!({"consent_paper": given})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());

    let case = filed.json["case"].as_str().expect("a number");
    let clerk: Headers = both[..1].to_vec();
    let beside = |token: String| -> Headers { [clerk.clone(), vec![("tongban-subject-token", token)]].concat() };
    let token = |user: &str, level: u8| {
        let options = Options { level: Some(level), ..Options::default() };
        token_for(&house.world, user, &options).expect("a token")
    };
    let (_, good) = house.give(1, json!({"case": case})).await;
    let (gone_id, gone) = house.give(1, json!({"case": case})).await;
    house.revoke(1, &gone_id).await;
    let yes = json!({"consent": true});
    let rows = [
        ("the clerk says so", &clerk, yes.clone(), Err("TB-POL-0505")),
        ("nobody says so", &both, json!({}), Err("TB-POL-0505")),
        ("the citizen's token is there, and the flag says no", &both, json!({"consent": false}), Err("TB-POL-0505")),
        ("the citizen is there and agrees", &both, yes.clone(), Ok(3)),
        ("to one field", &both, changed(yes.clone(), &json!({"fields": ["relation"]})), Ok(1)),
        ("to a field that is none", &both, changed(yes.clone(), &json!({"fields": ["income"]})), Err("TB-POL-")),
        ("for no purpose", &both, json!({"consent": true, "purpose": null}), Err("TB-POL-")),
        ("somebody else is there", &beside(token("lisi", 3)), yes.clone(), Err("TB-GW-0103")),
        ("whoever is there is hardly proven", &beside(token("zhangsan", 2)), yes.clone(), Err("TB-GW-0132")),
        ("the citizen alone, online", &house.own(), yes, Ok(3)),
        ("under a paper", &clerk, json!({"consent_paper": good}), Ok(3)),
        ("under one for one use that is used", &clerk, json!({"consent_paper": given}), Err("TB-IDN-0105")),
        ("under one that was taken back", &clerk, json!({"consent_paper": gone}), Err("TB-IDN-0104")),
        ("under one that is none", &clerk, json!({"consent_paper": "yes"}), Err("TB-IDN-0101")),
    ];
    for (what, headers, change, want) in rows {
        let ask = changed(json!({"resource": "DR-HH", "case": case, "purpose": "case"}), &change);
        let desk =
            if headers.len() == 1 && headers[0] != clerk[0] { house.federation.anybody(1) } else { window.clone() };
        let read = House::read_under(&house.lines(1)).len();
        let answer = desk.send("POST", "/v1/lookups", headers, body(&ask)).await;
        let code = answer.json["code"].as_str().unwrap_or_default();
        match want {
            Ok(fields) => {
                let got = (answer.status, answer.json["fields"].as_object().map_or(0, |fields| fields.len()));
                assert_eq!(got, (200, fields), "{what}: {}", answer.text());
                assert_eq!(House::read_under(&house.lines(1)).len(), read + 1, "{what}: under a paper");
            }
            Err(want) => assert!(answer.status >= 400 && code.starts_with(want), "{what}: {}", answer.text()),
        }
    }
    // What was agreed to at the counter is among the person's papers, like any other.
    let papers = house.federation.anybody(1).get("/v1/papers", &house.own()).await;
    let all = papers.json["papers"].as_array().expect("papers");
    assert!(all.iter().any(|paper| paper["id"] == id.as_str()) && all.len() > 4, "{}", papers.text());
    drop(closed);
}
