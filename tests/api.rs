//! The API as its clients see it: every route without rights, every answer held to the published description, cases
//! withdrawn on both sides, hosts, hostile requests. One federation for all of it.

mod federation;
mod schema;

use federation::{Answer, Federation, Headers};
use serde_json::{Value, json};
use tongban::app::demo::tokens::Options;
use tongban::app::demo::{World, token_for};

/// Holds an answer to what the description says of this operation.
fn holds(document: &Value, method: &str, template: &str, answer: &Answer) {
    let operation = &document["paths"][template][method.to_lowercase()];
    assert!(operation.is_object(), "{method} {template} is not described");
    let status = answer.status.to_string();
    let (response, media) = match operation["responses"].get(&status) {
        Some(response) if answer.status < 400 => (response, "application/json"),
        _ => {
            assert!(answer.status >= 400, "{method} {template}: {status} is not described");
            assert_eq!(answer.media, "application/problem+json", "{method} {template}: {}", answer.text());
            (&document["components"]["responses"]["Problem"], "application/problem+json")
        }
    };
    let Some(described) = response["content"][media].get("schema") else { return };
    let wrong = schema::mistakes(document, described, &answer.json);
    assert!(wrong.is_empty(), "{method} {template} {status}: {wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_interface_from_outside() {
    let federation = Federation::start(3).await;
    let document = federation.anybody(0).get("/v1/openapi.json", &Headers::new()).await.json;
    without_rights(&federation, &document).await;
    methods(&federation).await;
    answers_are_as_described(&federation, &document).await;
    one_window_for_all_items(&federation).await;
    withdrawn(&federation, &document).await;
    online_from_filing_to_result(&federation).await;
    nobody_sees_more_than_their_part(&federation).await;
    no_receipt_for_what_nobody_takes_up(&federation).await;
    signed_out(&federation).await;
    watched_until_signed_out(&federation).await;
    hosts(&federation).await;
    sent_twice(&federation).await;
    verdicts(&federation).await;
    outlets(&federation).await;
    filings_that_say_too_much(&federation).await;
    lookups_have_a_case_and_an_end(&federation).await;
    staff_at_other_desks(&federation).await;
}

/// Every operation, by everybody who has no right to it: never a 2xx, never a 5xx, always a code and a line in the log.
async fn without_rights(federation: &Federation, document: &Value) {
    let citizen = federation.token("citizen");
    let no = "4190010000002026112500010001A";
    let strangers = [
        ("nobody", federation.anybody(0), vec![]),
        ("a citizen without a case", federation.anybody(0), vec![("authorization", format!("Bearer {citizen}"))]),
        ("a token that is none", federation.anybody(0), vec![("authorization", "Bearer a.b.c".to_owned())]),
        ("a window without a clerk", federation.client("window", 0), vec![]),
    ];
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // What a logout token, a token request or an approval says needs no other credential: they are tried elsewhere.
            let in_body = ["/v1/backchannel-logout", "/v1/token", "/v1/revoke", "/v1/terminals"];
            let public = operation["security"] == json!([]) && !in_body.contains(&template.as_str());
            let path = template
                .replace("{no}", no)
                .replace("{code}", "002009901000")
                .replace("{path}", "papers/a.ofd")
                .replace("{rest}", "social-security/status")
                .replace("{id}", "x");
            // Described with an address of its own: the log's.
            let at_log = operation.get("servers").is_some();
            for (who, client, headers) in &strangers {
                let client = if at_log { &federation.at_log(client.clone(), 0) } else { client };
                let own = *who == "a citizen without a case";
                // What every citizen may do, the citizen may.
                let may = public
                    || (own
                        && ((template == "/v1/cases" || template == "/v1/papers") && method == "get"
                            || template.ends_with("/plan")
                            || template == "/v1/me/lookups"));
                let body = operation.get("requestBody").map(|_| ("application/json", b"{}".to_vec()));
                let answer = client.send(&method.to_uppercase(), &path, headers, body).await;
                if may {
                    assert!(answer.status < 300, "{who}: {method} {path}: {}", answer.text());
                    continue;
                }
                let what = format!("{who}: {method} {path}: {} {}", answer.status, answer.text());
                assert!((400..500).contains(&answer.status), "{what}");
                assert!(answer.json["code"].as_str().is_some_and(|c| c.starts_with("TB-")), "{what}");
                assert!(answer.json["leaf"].is_u64(), "not on record: {what}");
            }
        }
    }
}

/// 405 says what would do, and HEAD goes where GET goes, without a body (RFC 9110).
async fn methods(federation: &Federation) {
    let (api, log) = (federation.anybody(0), federation.at_log(federation.anybody(0), 0));
    for (window, method, path, status, allow) in [
        (&api, "PUT", "/v1/items", 405, "GET, HEAD"),
        (&api, "DELETE", "/v1/cases", 405, "POST, GET, HEAD"),
        (&api, "HEAD", "/v1/items", 200, ""),
        (&api, "HEAD", "/v1/token", 405, "POST"),
        (&api, "POST", "/v1/openapi.json", 405, "GET, HEAD"),
        (&log, "HEAD", "/checkpoint", 200, ""),
        (&log, "POST", "/checkpoint", 405, "GET, HEAD"),
        (&log, "GET", "/search", 405, "POST"),
        (&log, "HEAD", "/add-checkpoint", 405, "POST"),
        (&log, "PUT", "/search", 405, "POST"),
    ] {
        let answer = window.send(method, path, &Headers::new(), None).await;
        let told = answer.headers.get("allow").and_then(|v| v.to_str().ok()).unwrap_or_default();
        assert_eq!((answer.status, told), (status, allow), "{method} {path}");
        assert!(method != "HEAD" || answer.bytes.is_empty(), "{method} {path}: a body");
    }
}

async fn answers_are_as_described(federation: &Federation, document: &Value) {
    let (clerk, citizen) = (federation.token("clerk"), federation.token("citizen"));
    let window = federation.client("window", 0);
    let both = vec![("authorization", format!("Bearer {clerk}")), ("tongban-subject-token", citizen.clone())];
    let case = federation.file(&window, &both, "419001", Some("api-1")).await;
    holds(document, "post", "/v1/cases", &case);
    let again = federation.file(&window, &both, "419001", Some("api-1")).await;
    assert_eq!((again.status, &again.json["case"]), (200, &case.json["case"]));
    holds(document, "post", "/v1/cases", &again);
    let no = case.json["case"].as_str().expect("a case").to_owned();
    federation.until(&window, &both, &no, "closed").await;
    let json = |value: Value| Some(("application/json", value.to_string().into_bytes()));
    let licence = federation.licence();
    for (method, template, path, body) in [
        ("GET", "/v1/items", "/v1/items?q=%E6%88%B7%E7%B1%8D".to_owned(), None),
        ("GET", "/v1/items/{code}", "/v1/items/002009901000?lang=en".into(), None),
        ("GET", "/v1/items/{code}", "/v1/items/999999999999".into(), None),
        ("GET", "/v1/items/{code}", "/v1/items/nonsense".into(), None),
        ("POST", "/v1/items/{code}/plan", "/v1/items/002009901000/plan".into(), json(json!({}))),
        ("POST", "/v1/items/{code}/plan", "/v1/items/002009901000/plan".into(), json(json!({"x": 1}))),
        ("GET", "/v1/cases", "/v1/cases".into(), None),
        ("GET", "/v1/cases", "/v1/cases?before=yesterday".into(), None),
        ("GET", "/v1/cases/{no}", format!("/v1/cases/{no}"), None),
        ("GET", "/v1/cases/{no}/events", format!("/v1/cases/{no}/events"), None),
        ("GET", "/v1/cases/{no}/documents/{path}", case.json["receipt"].as_str().unwrap().to_owned(), None),
        ("GET", "/v1/cases/{no}/documents/{path}", format!("/v1/cases/{no}/documents/none"), None),
        ("POST", "/v1/cases/{no}/withdraw", format!("/v1/cases/{no}/withdraw"), None),
        (
            "POST",
            "/v1/verify",
            "/v1/verify?purpose=counter&consent=true".into(),
            Some(("application/ofd", licence.clone())),
        ),
        ("POST", "/v1/verify", "/v1/verify?consent=true".into(), Some(("application/ofd", licence))),
        (
            "POST",
            "/v1/verify",
            "/v1/verify?purpose=counter&consent=true".into(),
            Some(("application/ofd", b"not one".to_vec())),
        ),
        ("POST", "/v1/lookups", "/v1/lookups".into(), json(json!({"resource": "DR-HH"}))),
        ("POST", "/v1/lookups", "/v1/lookups".into(), Some(("application/json", b"{".to_vec()))),
        ("GET", "/v1/errors", "/v1/errors".into(), None),
        ("GET", "/pass/{rest}", "/pass/no-such-system/x".into(), None),
    ] {
        let answer = window.send(method, &path, &both, body).await;
        holds(document, method, template, &answer);
    }
    // The desk hands out what was decided; the owner keeps the delivery receipt, and so does the desk.
    let path = format!("/v1/cases/{no}/delivery");
    let wrong = window.send("POST", &path, &both, json(json!({"way": "pigeon"}))).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    let handed = window.send("POST", &path, &both, json(json!({"way": "window", "remark": "本人签收"}))).await;
    assert_eq!(handed.status, 202, "{}", handed.text());
    holds(document, "post", "/v1/cases/{no}/delivery", &handed);
    let clicked_again = window.send("POST", &path, &both, json(json!({"way": "window"}))).await;
    assert!(clicked_again.status == 202 || clicked_again.json["code"] == "TB-EXC-0001", "{}", clicked_again.text());
    let seen = federation.until(&window, &both, &no, "delivered").await;
    let papers = seen.json["documents"].as_array().unwrap();
    assert!(papers.iter().any(|d| d["path"].as_str().unwrap().contains("DELIVERY-RECEIPT")), "{}", seen.text());
    let twice = window.send("POST", &path, &both, json(json!({"way": "window"}))).await;
    assert!((400..500).contains(&twice.status), "{}", twice.text());
}

/// A citizen alone, without window or clerk: files, watches, and has the result (全程网办). Presence is not for the citizen to
/// state.
async fn online_from_filing_to_result(federation: &Federation) {
    let headers = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    let portal = federation.anybody(0);
    let filed = federation.file(&portal, &headers, "419001", None).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let no = filed.json["case"].as_str().unwrap().to_owned();
    let seen = federation.until(&portal, &headers, &no, "closed").await;
    let result =
        seen.json["documents"].as_array().unwrap().iter().find(|d| d["path"].as_str().unwrap().contains("result"));
    let path = format!("/v1/cases/{no}/documents/{}", result.expect("a result")["path"].as_str().unwrap());
    let paper = portal.get(&path, &headers).await;
    assert_eq!(paper.status, 200);
    assert!(paper.bytes.starts_with(b"PK"), "an OFD");
    let other = vec![("authorization", format!("Bearer {}", federation.token("lisi")))];
    assert_eq!(portal.get(&path, &other).await.status, 404, "somebody else's case is not there");
    assert_eq!(portal.get(&format!("/v1/cases/{no}"), &other).await.status, 404);
}

/// A case that its owner has not decided yet goes back to the applicant, whichever side collected it. The office decides
/// within a moment, so that either may be first; both sides always end in the same state.
async fn withdrawn(federation: &Federation, document: &Value) {
    const TRIES: usize = 8;
    let citizen = federation.token("citizen");
    let mut back = 0;
    for (gateway, client, clerk) in [(0, "W-440305-01", "C-0001"), (1, "W-419001-02", "C-0002")] {
        let window = federation.client(client, gateway);
        let both = vec![
            ("authorization", format!("Bearer {}", federation.token(clerk))),
            ("tongban-subject-token", citizen.clone()),
        ];
        for _ in 0..TRIES {
            let filed = federation.file(&window, &both, "419001", None).await;
            let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
            let asked = window.send("POST", &format!("/v1/cases/{no}/withdraw"), &both, None).await;
            holds(document, "post", "/v1/cases/{no}/withdraw", &asked);
            let late = ["TB-EXC-0001", "TB-POL-0306", "TB-STO-0002"].iter().any(|code| asked.json["code"] == *code);
            assert!(asked.status < 300 || late, "{}", asked.text());
            let seen = federation.until_over(&window, &both, &no).await;
            let papers = seen.json["documents"].as_array().unwrap();
            let confirmed = papers.iter().any(|d| d["path"].as_str().unwrap().contains("WITHDRAWAL"));
            assert_eq!(seen.json["state"] == "withdrawn", confirmed, "{}", seen.text());
            back += usize::from(confirmed);
            if confirmed {
                break;
            }
        }
    }
    assert!(back > 0, "no case could be withdrawn in time");
}

/// Requests for other hosts are sent away; those for a department's own host go to that department.
async fn hosts(federation: &Federation) {
    let anybody = federation.anybody(0);
    for (host, status, code) in [
        ("evil.example", 421, "TB-HTTP-0008"),
        ("127.0.0.1:1", 421, "TB-HTTP-0008"),
        ("root@127.0.0.1", 400, "TB-HTTP-0001"),
    ] {
        let answer = anybody.raw(&format!("GET /v1/items HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{host}: {}", answer.text());
    }
    // A department's own host: the path is the department's, the identity ours, whatever the client says of itself.
    let (jiyuan, citizen) = (federation.anybody(1), federation.token("citizen"));
    for (host, token, status) in [
        ("social-security.jiyuan.example", Some(&citizen), 200),
        ("social-security.jiyuan.example:8443", Some(&citizen), 200),
        ("social-security.jiyuan.example", None, 401),
        ("social-security.jiyuan.example.evil.example", Some(&citizen), 421),
    ] {
        let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let forged = "Tongban-Identity: a.b.c\r\nX-Remote-User: root\r\nX-Forwarded-User: root\r\n";
        let head = format!("GET /status HTTP/1.1\r\nHost: {host}\r\n{authorization}{forged}Connection: close\r\n\r\n");
        let answer = jiyuan.raw(&head).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.json["system"], "social-security");
            assert_eq!(answer.json["vouched"], true, "{}", answer.text());
            assert_eq!(answer.json["identity"]["kind"], "citizen");
            assert_eq!(answer.json["identity_headers_of_client"], json!([]));
        }
    }
    let own = anybody.authority.clone();
    for (lines, status) in [
        (format!("Host: {own}\r\nContent-Length: 3\r\nContent-Length: 5"), 400),
        (format!("Host: {own}\r\nTransfer-Encoding: chunked, chunked"), 400),
        (format!("Host: {own}\r\nHost: {own}"), 400),
        (format!("Host: {own}\r\nTransfer-Encoding: gzip, chunked"), 400),
    ] {
        let answer =
            anybody.raw(&format!("POST /v1/lookups HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n0\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{lines}: {}", answer.text());
    }
}

/// A filing sent twice is one case, with a key and without; another content is another case, or a key used twice.
async fn sent_twice(federation: &Federation) {
    let window = federation.client("window", 0);
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let keyed = |key: &str| [both.clone(), vec![("idempotency-key", key.to_owned())]].concat();
    let licence = federation.licence();
    let request = |used: &str| {
        json!({
            "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
            "form": {"use": used}, "materials": [{"no": 1, "file": "id.ofd"}],
        })
    };
    let mut cases = Vec::new();
    for (headers, used) in [
        (both.clone(), "入学"),
        (both.clone(), "入学"),
        (both.clone(), "就业"),
        (keyed("first-key-0001"), "入学"),
        (keyed("first-key-0001"), "入学"),
    ] {
        let filed = federation.send_filing(&window, &headers, &request(used), &[("id.ofd", licence.clone())]).await;
        assert!(filed.status < 300, "{}", filed.text());
        cases.push(filed.json["case"].as_str().unwrap().to_owned());
    }
    let same = |a: usize, b: usize| cases[a] == cases[b];
    assert_eq!((same(0, 1), same(0, 2), same(0, 3), same(3, 4)), (true, false, false, true), "{cases:?}");
    let headers = keyed("first-key-0001");
    let other = federation.send_filing(&window, &headers, &request("就业"), &[("id.ofd", licence)]).await;
    assert_eq!((other.status, &other.json["code"]), (422, &json!("TB-EXC-0004")), "{}", other.text());
}

/// One terminal, one clerk, one sign-in of the applicant: the guide of every item is read there and its materials are planned,
/// whatever department owns it.
async fn one_window_for_all_items(federation: &Federation) {
    let window = federation.client("window", 0);
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let listed = window.get("/v1/items", &both).await;
    let items = listed.json["items"].as_array().expect("items");
    let sectors: std::collections::BTreeSet<_> = items.iter().map(|item| item["sector"].to_string()).collect();
    assert!(items.len() >= 70 && sectors.len() > 10, "{} items of {sectors:?}", items.len());
    for item in items {
        let code = item["code"].as_str().expect("a code");
        let guide = window.get(&format!("/v1/items/{code}"), &both).await;
        assert_eq!((guide.status, &guide.json["code"]), (200, &json!(code)), "{}", guide.text());
        let ask = Some(("application/json", b"{}".to_vec()));
        let plan = window.send("POST", &format!("/v1/items/{code}/plan"), &both, ask).await;
        assert_eq!(plan.status, 200, "{code}: {}", plan.text());
    }
}

/// A clerk's token is good at the clerk's own desk only.
async fn staff_at_other_desks(federation: &Federation) {
    for (client, gateway, clerk, code) in [
        ("window", 0, "C-0002", "TB-GW-0104"),
        ("outlet", 0, "C-0001", "TB-GW-0104"),
        ("window", 1, "C-0001", "TB-GW-0104"),
    ] {
        let token = federation.token(clerk);
        let headers = vec![("authorization", format!("Bearer {token}"))];
        let answer = federation.client(client, gateway).get("/v1/cases", &headers).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (403, Some(code)), "{clerk}: {}", answer.text());
    }
    let anybody = federation.anybody(0);
    let headers = vec![("authorization", format!("Bearer {}", federation.token("clerk")))];
    assert_eq!(anybody.get("/v1/cases", &headers).await.json["code"], "TB-GW-0101");
}

/// What an issuer ends is over at once, at this gateway; a later sign-in counts again.
async fn signed_out(federation: &Federation) {
    let anybody = federation.anybody(0);
    let citizen = vec![("authorization", format!("Bearer {}", federation.token("lisi")))];
    assert_eq!(anybody.get("/v1/cases", &citizen).await.status, 200);
    let claims = |aud: &str| logout_claims(federation, "lisi", aud);
    let mut endless = claims("gw-440305");
    endless.as_object_mut().unwrap().remove("exp");
    let good = claims("gw-440305");
    for (claims, status) in [(&claims("gw-419001"), 400), (&endless, 400), (&good, 200), (&good, 200)] {
        let answer = log_out(federation, claims).await;
        assert_eq!(answer.status, status, "{claims}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let refused = anybody.get("/v1/cases", &citizen).await;
    assert_eq!((refused.status, refused.json["code"].as_str()), (401, Some("TB-IDN-0013")), "{}", refused.text());
    // Tokens count whole seconds: one made later is of a later second.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let again = vec![("authorization", format!("Bearer {}", federation.token("lisi")))];
    assert_eq!(anybody.get("/v1/cases", &again).await.status, 200);
}

fn logout_claims(federation: &Federation, subject: &str, aud: &str) -> Value {
    let now = tongban::terms::UnixMillis::now().seconds();
    let issuer = federation.told["issuers"][0]["issuer"].as_str().expect("an issuer");
    json!({
        "iss": issuer, "aud": aud, "iat": now, "exp": now + 60, "jti": format!("test-{now}-{subject}-{aud}"), "sub": subject,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

/// The issuer's notice that somebody signed out there.
async fn log_out(federation: &Federation, claims: &Value) -> Answer {
    use tongban::app::demo::{jws, tokens};
    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let key = tongban::trust::suite::load_key(&world.federation().join(format!("{}.key", tokens::CITIZENS)));
    let key = key.expect("the issuer's key");
    let token = jws::token(&key, "logout+jwt", json!({"kid": tokens::CITIZENS}), claims).unwrap();
    let form = ("application/x-www-form-urlencoded", format!("logout_token={token}").into_bytes());
    federation.anybody(0).send("POST", "/v1/backchannel-logout", &Headers::new(), Some(form)).await
}

/// Who watches a case sees no more of it once they have signed out, and goes on seeing it until then.
async fn watched_until_signed_out(federation: &Federation) {
    use std::time::{Duration, Instant};
    const LOOKS: Duration = Duration::from_secs(5);
    let _closed = federation::peer::Closed::new(federation);
    let token = federation.token("citizen");
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", token.clone()),
    ];
    let filed = federation.file(&federation.client("window", 0), &both, "419001", None).await;
    let path = format!("/v1/cases/{}/events", filed.json["case"].as_str().expect("a case"));
    let watching = vec![("authorization", format!("Bearer {token}")), ("accept", "text/event-stream".into())];
    let begun = Instant::now();
    let portal = federation.anybody(0);
    let watched = tokio::time::timeout(4 * LOOKS, portal.get(&path, &watching));
    let signs_out = async {
        tokio::time::sleep(LOOKS + Duration::from_secs(1)).await;
        let answer = log_out(federation, &logout_claims(federation, "zhangsan", "gw-440305")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let (watched, ()) = tokio::join!(watched, signs_out);
    let watched = watched.expect("the stream ends");
    assert_eq!(watched.status, 200, "{}", watched.text());
    assert!(watched.text().contains("still here"), "{}", watched.text());
    assert!(begun.elapsed() > LOOKS, "it went on until then");
    // A token made later is of a later second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}

/// What one may do at one's own place is no way into what others keep.
async fn nobody_sees_more_than_their_part(federation: &Federation) {
    let citizen = federation.token("citizen");
    let (window, outlet, portal) =
        (federation.client("window", 0), federation.client("bank-440305-01", 0), federation.anybody(0));
    let at_counter = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", citizen.clone()),
    ];
    let alone = |who: &str| vec![("authorization", format!("Bearer {}", federation.token(who)))];
    let at_level = |level| {
        let world = World::open(federation.folder.path()).expect("the demonstration's folder");
        let options = Options { level: Some(level), ..Options::default() };
        let token = token_for(&world, "zhangsan", &options).expect("a token");
        vec![at_counter[0].clone(), ("tongban-subject-token", token)]
    };
    let case = federation.file(&window, &at_counter, "419001", None).await;
    let no = case.json["case"].as_str().unwrap_or_else(|| panic!("{}", case.text())).to_owned();
    let material = format!("/v1/cases/{no}/documents/materials/id.ofd");
    let receipt = case.json["receipt"].as_str().unwrap().to_owned();
    for (who, path, status) in [
        ("clerk", &material, 200),
        ("A-0001", &format!("/v1/cases/{no}"), 200),
        ("A-0001", &receipt, 200),
        ("A-0001", &material, 404), // an auditor sees the digest of what was handed in, not the card itself
    ] {
        let client = if who == "clerk" { &window } else { &portal };
        let answer = client.get(path, &alone(who)).await;
        assert_eq!(answer.status, status, "{who} {path}: {}", answer.text());
    }
    // An outlet collects; it takes nothing back.
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("E-9001"))),
        ("tongban-subject-token", citizen.clone()),
    ];
    let answer = outlet.send("POST", &format!("/v1/cases/{no}/withdraw"), &both, None).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (403, Some("TB-GW-0103")), "{}", answer.text());
    // Consent is the holder's, who stands there: not somebody's word, and not another clerk's.
    let card = || Some(("application/ofd", federation.licence()));
    let consent = "/v1/verify?purpose=counter&consent=true";
    for (who, client, headers, status) in [
        ("the holder at the counter", &window, at_counter.clone(), 200),
        ("the holder, never verified, at the counter", &window, at_level(1), 403),
        ("the holder, verified against the register, at the counter", &window, at_level(2), 200),
        ("the holder alone", &portal, alone("citizen"), 200),
        ("a clerk without the holder", &window, alone("clerk"), 403),
        ("somebody else", &portal, alone("lisi"), 403),
    ] {
        let answer = client.send("POST", consent, &headers, card()).await;
        assert_eq!(answer.status, status, "{who}: {}", answer.text());
        let challenge = answer.headers.get("www-authenticate").map(|line| line.to_str().expect("ASCII").to_owned());
        let step_up = challenge.is_some_and(|line| line.contains("insufficient_user_authentication"));
        assert_eq!(step_up, who.contains("never verified"), "{who}: {}", answer.text());
    }
}

/// What is no genuine licence gets a verdict like any other file.
async fn verdicts(federation: &Federation) {
    let portal = federation.anybody(0);
    let headers = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    let whole = federation.licence();
    let (mut bent, half) = (whole.clone(), whole[..whole.len() / 2].to_vec());
    bent[whole.len() / 2] ^= 1;
    for (what, bytes, want) in [
        ("the licence", whole, "TOTAL-PASSED"),
        ("one octet changed", bent, "TOTAL-FAILED"),
        ("half of it", half, "TOTAL-FAILED"),
        ("no OFD at all", b"hello".to_vec(), "TOTAL-FAILED"),
    ] {
        let body = Some(("application/ofd", bytes));
        let answer = portal.send("POST", "/v1/verify?purpose=counter&consent=true", &headers, body).await;
        assert_eq!((answer.status, &answer.json["indication"]), (200, &json!(want)), "{what}: {}", answer.text());
    }
}

/// What no material names, or no description knows, is told and not swallowed.
async fn filings_that_say_too_much(federation: &Federation) {
    let window = federation.client("window", 0);
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let card = federation.licence();
    let request = |file: &str| {
        json!({"item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
            "materials": [{"no": 1, "file": file}]})
    };
    let array = json!(["002009901000", "proxy", {"household": "419001"}, null, true, {"a": 1}, [], true]);
    for (what, request, parts) in [
        ("a part that no material names", request("id.ofd"), vec!["id.ofd", "extra"]),
        ("a part named ..", request(".."), vec![".."]),
        ("an array in the order of the members", array, vec![]),
    ] {
        let files: Vec<_> = parts.into_iter().map(|name| (name, card.clone())).collect();
        let answer = federation.send_filing(&window, &both, &request, &files).await;
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!("TB-GW-0001")), "{what}: {}", answer.text());
    }
}

/// Shared data are for a case that is being decided, and about its applicant; who watches a case that is over is not
/// kept waiting.
async fn lookups_have_a_case_and_an_end(federation: &Federation) {
    let window = federation.client("window", 0);
    let clerk = ("authorization", format!("Bearer {}", federation.token("clerk")));
    let both = vec![clerk.clone(), ("tongban-subject-token", federation.token("citizen"))];
    let filed = federation.file(&window, &both, "419001", None).await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    let ask = |more: Value| {
        let mut ask = json!({"resource": "DR-HH", "case": no, "purpose": "case", "consent": true});
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Some(("application/json", ask.to_string().into_bytes()))
    };
    let beside = vec![clerk.clone(), ("tongban-subject-token", federation.token("lisi"))];
    let other = window.send("POST", "/v1/lookups", &beside, ask(json!({}))).await;
    assert_eq!((other.status, &other.json["code"]), (403, &json!("TB-GW-0103")), "{}", other.text());
    let strange = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U";
    let licence = ask(json!({"resource": "LT-ID", "licence": strange}));
    let other = window.send("POST", "/v1/lookups", &both, licence).await;
    assert_eq!((other.status, &other.json["code"]), (422, &json!("TB-HTTP-0009")), "{}", other.text());
    // A licence verified for the case, too: whether it is still in force its issuer's register says, while the case is open.
    let status = async |path: String| {
        let card = Some(("application/ofd", federation.licence()));
        let answer = window.send("POST", &path, &both, card).await;
        assert_eq!((answer.status, &answer.json["indication"]), (200, &json!("TOTAL-PASSED")), "{}", answer.text());
        answer.json["status"].clone()
    };
    let for_case = format!("/v1/verify?purpose=case&consent=true&case={no}");
    let valid = json!({"word": "valid", "zh": "有效", "en": "valid", "why": null, "sentence": null});
    assert_eq!(status(for_case.clone()).await, valid);
    let counter = status("/v1/verify?purpose=counter&consent=true".into()).await;
    assert_eq!((&counter["word"], &counter["why"]), (&json!("not_asked"), &json!("NO_CASE")), "{counter}");
    federation.until_over(&window, &both, &no).await;
    let over = status(for_case).await;
    assert_eq!((&over["word"], &over["why"]), (&json!("not_asked"), &json!("TB-POL-0502")), "{over}");
    let late = window.send("POST", "/v1/lookups", &both, ask(json!({}))).await;
    assert_eq!((late.status, &late.json["code"]), (403, &json!("TB-POL-0502")), "{}", late.text());

    let way = Some(("application/json", br#"{"way":"window"}"#.to_vec()));
    let handed = window.send("POST", &format!("/v1/cases/{no}/delivery"), &both, way).await;
    assert!(handed.status < 300, "{}", handed.text());
    let seen = federation.until_delivered(&window, &both, &no).await;
    let last = seen.json["seq"].to_string();
    let stream = [both.clone(), vec![("accept", "text/event-stream".into()), ("last-event-id", last)]].concat();
    let ended = window.get(&format!("/v1/cases/{no}/events"), &stream).await;
    assert_eq!((ended.status, ended.bytes.len()), (200, 0), "{}", ended.text());
}

/// An outlet lists what it has under way; its terminal is named by our own authority, not by another member's.
async fn outlets(federation: &Federation) {
    use tongban::app::demo::World;
    use tongban::app::demo::pki::{authority, issued};
    use tongban::trust::issue::{Subject, Use};
    use tongban::trust::suite::SignatureAlgorithm;
    let outlet = federation.client("bank-440305-01", 0);
    let employee = vec![("authorization", format!("Bearer {}", federation.token("E-9001")))];
    let both = [employee.clone(), vec![("tongban-subject-token", federation.token("citizen"))]].concat();
    // What has ended is not in an outlet's list, and the office may be quick: then once more.
    let mut is_listed = false;
    for _ in 0..10 {
        let filed = federation.file(&outlet, &both, "419001", None).await;
        let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text()));
        let listed = outlet.get("/v1/cases", &employee).await;
        assert_eq!(listed.status, 200, "{}", listed.text());
        is_listed |= listed.text().contains(no);
        if is_listed {
            break;
        }
    }
    assert!(is_listed, "a case that has not ended is listed");

    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let theirs = world.gateway(1).join("authorities");
    let (now, algorithm) = (tongban::terms::UnixMillis::now(), SignatureAlgorithm::EcdsaP256Sha256);
    let own = tongban::app::demo::stamps::certificate(&theirs.join("tls.pem")).expect("their authority");
    let name = own.common_name().unwrap();
    let ca = authority(&theirs, "tls", algorithm, &Subject::named(&name, &name), now).expect("their authority");
    assert_eq!(ca.certificate.fingerprint(), own.fingerprint(), "it is the one that the directory names");
    let uris = ["urn:tongban:outlet:bank-440305-01:t1"];
    let subject = Subject { uris: &uris, ..Subject::named("bank", "bank") };
    let forged = issued(&theirs, "forged", &ca, &subject, Use::TlsClient, now).expect("a certificate");
    let forged = federation.with(0, &forged.certificate_file, &forged.key_file);
    let answer = federation.file(&forged, &both, "419001", None).await;
    assert_eq!((answer.status, &answer.json["code"]), (401, &json!("TB-GW-0101")), "{}", answer.text());
}

/// An authority without a system of its own here would never learn of the case: no receipt is given for it.
async fn no_receipt_for_what_nobody_takes_up(federation: &Federation) {
    let window = federation.client("W-419001-02", 1);
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0002"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let request = json!({"item": "002011901000", "places": {"household": "419001", "residence": "419001"}, "present": true,
        "consent": true});
    let answer = federation.send_filing(&window, &both, &request, &[]).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (422, Some("TB-GW-0302")), "{}", answer.text());
}
