//! An issuer that is asked about tokens which only it can read (RFC 7662), and answers slowly, brokenly or with lies.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::issuers::{Issuers, Spoken};
use super::*;

/// Longest that anybody may wait for our own answer: three seconds for the issuer, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

pub async fn all(house: &House<'_>, issuers: &Issuers) {
    fs::write(house.home.join("second.secret"), "of the second issuer").expect("written");
    house.configured(&format!(
        "[[introspection]]\nissuer = {:?}\nclient_id = \"gateway\"\nclient_secret_file = \"second.secret\"\nbelieved_s = 1\n",
        issuers.names[0]
    ));
    let now = UnixMillis::now().seconds();
    let good = |change: Value| {
        let active = json!({"active": true, "token_type": "Bearer", "iat": now, "exp": now + 300, "auth_time": now});
        federation::peer::changed(
            federation::peer::changed(issuers.claims(house, 0, "lisi", json!({})), &active),
            &change,
        )
    };
    let says = |change: Value| Spoken::text(&good(change).to_string());
    let text = good(json!({})).to_string();
    let inactive_too = format!("{{\"active\":false,{}", &text[1..]);
    let silent = (503, "TB-IDN-0024");
    for (n, (what, spoken, want)) in [
        ("as it should", says(json!({})), (200, "")),
        ("not active", says(json!({"active": false})), (401, "TB-IDN-0013")),
        ("nothing of active", says(json!({"active": null})), (401, "TB-IDN-0013")),
        ("active in words", says(json!({"active": "true"})), (401, "TB-IDN-0013")),
        ("active and not", Spoken::text(&inactive_too), silent),
        ("in another issuer's name", says(json!({"iss": house.world.issuer()})), silent),
        ("in two issuers' names", says(json!({"iss": [issuers.names[0], house.world.issuer()]})), silent),
        ("for ever", says(json!({"exp": null})), (401, "TB-IDN-0002")),
        ("beyond what it may", says(json!({"exp": now + 864_000})), (401, "TB-IDN-0009")),
        ("over", says(json!({"iat": now - 600, "exp": now - 300})), (401, "TB-IDN-0007")),
        ("for another gateway", says(json!({"aud": "gw-419001"})), (401, "TB-IDN-0010")),
        ("for nobody", says(json!({"aud": null})), (401, "TB-IDN-0010")),
        ("of a refresh token", says(json!({"token_type": null})), (401, "TB-IDN-0012")),
        ("of a clerk, for whom it may not speak", says(json!({"kind": "clerk"})), (401, "TB-IDN-0011")),
        ("bound to a key that is not shown", says(json!({"cnf": {"jkt": B64.encode([7; 32])}})), (401, "TB-IDN-0014")),
        ("with a line end in the subject", says(json!({"sub": "li\r\nsi"})), (401, "TB-IDN-0002")),
        ("no JSON", Spoken::text("<html>active</html>"), silent),
        ("half of it", Spoken::text(&text[..text.len() / 2]), silent),
        ("a list", Spoken::text("[true]"), silent),
        ("a failure", Spoken { status: StatusCode::INTERNAL_SERVER_ERROR, ..says(json!({})) }, silent),
        ("go and ask somebody else", Spoken { status: StatusCode::FOUND, ..says(json!({})) }, silent),
        ("without an end", Spoken::text(&format!("{text}{}", " ".repeat(10 << 20))), silent),
        ("broken off", Spoken { breaks_off: true, ..says(json!({})) }, silent),
        ("after a minute", Spoken { after: Duration::from_secs(60), ..says(json!({})) }, silent),
    ]
    .into_iter()
    .enumerate()
    {
        issuers.speaks(spoken);
        // A client of its own each: one that hears 503 a few times in a row rests.
        let portal = house.federation.anybody(0);
        let (asked, since) = (issuers.introspections(), Instant::now());
        let answer = portal.get("/v1/cases", &bearer(&format!("opaque-{n}"))).await;
        assert!(since.elapsed() < PATIENCE, "{what}: waited {:?}", since.elapsed());
        assert!(issuers.introspections() > asked, "{what}: the issuer was not asked");
        let code = answer.json["code"].as_str().unwrap_or_default();
        assert_eq!((answer.status, code), want, "{what}: {}", answer.text());
        if want.0 != 200 {
            assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
            assert!(!answer.text().contains("opaque-"), "{what}: the token is told back");
        }
    }
    // What one issuer says of its tokens keeps nobody else's people waiting.
    let first = bearer(&house.federation.token("citizen"));
    assert_eq!(house.federation.anybody(0).get("/v1/cases", &first).await.status, 200);
    house.configured("");
}
