//! A and B posts: who stands in, who says so, and what the log tells.

use serde_json::{Value, json};
use tongban::app::demo::token_for;
use tongban::app::demo::tokens::Options;
use tongban::identity::issue::random_id;

use super::attacks::Forge;
use super::federation::peer::changed;
use super::federation::{Headers, Window};
use super::{House, bearer, claims, exchange, given, json_body};

/// A deputy acts while the first post is away, at no other time; the first or a head of their organisation says so.
pub async fn deputies(house: &House<'_>) {
    let federation = house.federation;
    let window = federation.client("window", 0);
    let bank = federation.client("bank-440305-01", 0);
    let (first, deputy) = (house.key_of("C-0001"), house.key_of("C-0003"));
    let (citizen, clerk, other) = (federation.token("citizen"), federation.token("clerk"), federation.token("C-0003"));
    let ask = async || exchange(&window, &Headers::new(), (&citizen, &other), &[]).await;
    let both = || vec![("authorization", format!("Bearer {other}")), ("tongban-subject-token", citizen.clone())];
    let verify = async || {
        let licence = Some(("application/ofd", federation.licence()));
        window.send("POST", "/v1/verify?purpose=dispute&consent=true", &both(), licence).await
    };
    let forge = Forge::new(house);
    let head = |user: &str, change: Value| {
        let claims = claims(&token_for(&house.world, user, &Options::default()).expect("a token"));
        let claims = changed(claims, &json!({"roles": ["receive", "head"], "jti": random_id().expect("random")}));
        bearer(&forge.key.sign_with(&forge.header(), &changed(claims, &change)).expect("signed"))
    };
    let third = || head("C-0003", json!({"sub": "C-0009", "staff_no": "C-0009"}));
    let mark = async |rows: Vec<(&str, &Window, Headers, Value, u16)>| {
        for (what, client, headers, body, want) in rows {
            let answer = client.send("POST", "/v1/duty", &headers, json_body(&body)).await;
            assert_eq!(answer.status, want, "{what}: {}", answer.text());
        }
    };
    let away = || json!({"away": true, "hours": 1, "of": first});
    let back = || json!({"away": false, "of": first});
    let pair = format!("[[post]]\nfirst = {first:?}\ndeputy = {deputy:?}\n");

    house.configured(&pair);
    mark(vec![("a head, where the post names no organisation", &window, third(), away(), 403)]).await;
    house.configured(&format!("{pair}org = \"W-440305-01\"\n"));
    assert_eq!(ask().await.json["code"], "TB-IDN-0109", "the first is there");
    for (what, answer) in
        [("a filing", federation.file(&window, &both(), "419001", None).await), ("a licence", verify().await)]
    {
        let got = (answer.status, answer.json["code"].as_str());
        assert_eq!(got, (403, Some("TB-POL-0307")), "{what} with two tokens: {}", answer.text());
    }
    mark(vec![
        ("a citizen", &window, bearer(&citizen), json!({"away": true}), 403),
        ("the deputy, who is no head", &window, bearer(&other), away(), 403),
        ("the deputy, who has no first post", &window, bearer(&other), json!({"away": true}), 403),
        ("the deputy, who is a head", &window, head("C-0003", json!({})), away(), 403),
        ("a bank's head", &bank, head("E-9001", json!({})), away(), 403),
        ("no word that is known", &window, bearer(&clerk), json!({"away": "yes"}), 422),
        ("a head of the same organisation", &window, third(), away(), 200),
        ("who takes it back", &window, third(), back(), 200),
        ("the first", &window, bearer(&clerk), json!({"away": true, "hours": 1}), 200),
    ])
    .await;
    let token = given(&ask().await);
    assert_eq!(claims(&token)["stands_in_for"], first.as_str());
    assert_eq!(federation.file(&window, &bearer(&token), "419001", None).await.status, 202);
    assert_eq!(federation.file(&window, &both(), "419001", None).await.status, 202);
    assert_eq!(verify().await.status, 200);
    for kind in ["login", "case.event", "licence.check"] {
        let lines = house.lines(kind);
        let last = lines.iter().rev().find(|line| line["actor"].to_string().contains("C-0003"));
        let last = last.unwrap_or_else(|| panic!("no {kind} of the deputy"));
        assert!(last["facts"].to_string().contains("C-0001"), "both names go on record: {last}");
    }
    mark(vec![("the first is back", &window, bearer(&clerk), json!({"away": false}), 200)]).await;
    assert_eq!(ask().await.json["code"], "TB-IDN-0109", "the first is back");
    let late = window.get("/v1/cases", &bearer(&token)).await;
    assert_eq!(late.json["code"], "TB-IDN-0109", "nor with a token from before: {}", late.text());
}
