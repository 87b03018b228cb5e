//! A thousand equal lookups at once over a cold cache: the provider is asked once, and each of them leaves its line. Who may
//! not ask gets nothing of what lies there.

use std::time::Duration;

use serde_json::{Value, json};

use super::federation::peer::Closed;
use super::federation::{Federation, Headers};
use super::provider::{Mood, Provider};
use super::{Operator, code};

/// Connections, and questions on each.
const CLIENTS: usize = 40;
const EACH: usize = 25;

pub async fn a_thousand(federation: &Federation) {
    let (here, there) = (Operator::new(federation), Operator::at(federation, 1));
    let theirs = there.read("tongban.toml");
    let provider = Provider::start();
    there.write("tongban.toml", &Provider::in_place_of("household-register", &theirs, &provider.url));
    there.reload();
    // The office takes nothing meanwhile: the case stays open.
    let closed = Closed::new(federation);
    let headers: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let filed = federation.file(&federation.client("W-440305-01", 0), &headers, "419001", None).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    // What the filing looked up is forgotten, at both gateways.
    there.reload();
    here.reload();
    provider.is(Mood::Slow);
    let (calls, lines) = (provider.calls(), here.lines("data.read").len());
    let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "case"}).to_string().into_bytes();
    let mut asked = Vec::new();
    for _ in 0..CLIENTS {
        let window = federation.client("W-440305-01", 0);
        for _ in 0..EACH {
            let (window, headers, ask) = (window.clone(), headers.clone(), ask.clone());
            asked.push(tokio::spawn(async move {
                window.send("POST", "/v1/lookups", &headers, Some(("application/json", ask))).await
            }));
        }
    }
    let mut versions = std::collections::BTreeSet::new();
    for one in asked {
        let answer = one.await.expect("an answer");
        assert_eq!(code(&answer), (200, ""), "{}", answer.text());
        versions.insert(answer.json["fields"].to_string());
    }
    assert_eq!(versions.len(), 1, "all are told the same: {versions:?}");
    assert_eq!(provider.calls() - calls, 1, "a thousand questions, one call");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let lines = &here.lines("data.read")[lines..];
    let of_age = |age: &str| lines.iter().filter(|line| line["ev"][0]["age"] == age).count();
    assert_eq!((of_age("fresh"), of_age("cached")), (1, CLIENTS * EACH - 1), "each has its line");
    nobody_else(federation, &filed.json["case"], &headers).await;
    assert_eq!(provider.calls() - calls, 1, "nor was it asked for them");
    let other = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "dispute"}).to_string().into_bytes();
    let window = federation.client("W-440305-01", 0);
    let anew = window.send("POST", "/v1/lookups", &headers, Some(("application/json", other))).await;
    assert_eq!((code(&anew), &anew.json["cached"]), ((200, ""), &json!(false)), "{}", anew.text());
    assert_eq!(provider.calls() - calls, 2, "another purpose is another lookup");
    drop(closed);
    there.write("tongban.toml", &theirs);
    there.reload();
    here.reload();
}

/// What was answered a moment ago lies in the cache, and is told to nobody else.
async fn nobody_else(federation: &Federation, case: &Value, good: &Headers) {
    let window = federation.client("W-440305-01", 0);
    let with = |who: &str| ("authorization", format!("Bearer {}", federation.token(who)));
    let beside = |who: &str| ("tongban-subject-token", federation.token(who));
    for (what, client, headers, want) in [
        ("without a token", &window, vec![], (401, "TB-IDN-0001")),
        ("another person beside", &window, vec![good[0].clone(), beside("lisi")], (403, "TB-GW-0103")),
        ("another person, of this case", &federation.anybody(0), vec![with("lisi")], (404, "TB-EXC-0005")),
        ("a clerk of another hall", &window, vec![with("C-0002"), beside("citizen")], (403, "TB-GW-0104")),
        ("an auditor", &federation.anybody(0), vec![with("auditor")], (403, "TB-POL-0502")),
    ] {
        let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case"}).to_string().into_bytes();
        let answer = client.send("POST", "/v1/lookups", &headers, Some(("application/json", ask))).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
        assert!(answer.json["fields"].is_null(), "{what}: {}", answer.text());
    }
}
