//! A thousand equal lookups at once over a cold cache: the provider is asked once, and each of them leaves its line.

use std::time::Duration;

use serde_json::json;

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
    drop(closed);
    there.write("tongban.toml", &theirs);
    there.reload();
    here.reload();
}
