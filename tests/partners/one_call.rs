//! A thousand equal lookups at once over a cold cache: the provider is asked once, and each of them leaves its line. Who may
//! not ask gets nothing of what lies there, nor who may not ask any more, nor who asks for another purpose.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::federation::peer::Closed;
use super::federation::{Federation, Headers};
use super::provider::{Mood, Provider};
use super::{Operator, code};

/// A rule that a place may make overnight.
const NOTHING_TODAY: &str = r#"
@id("nothing-today")
@zh("今日不查询共享数据。")
@en("Nothing is looked up today.")
@code("TB-POL-0502")
forbid (principal, action == Tongban::Action::"lookUp", resource);
"#;

/// Connections, and questions on each.
const CLIENTS: usize = 40;
const EACH: usize = 25;
/// How often the store was late.
static LATE: AtomicUsize = AtomicUsize::new(0);

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
    let (calls, lines) = (provider.asked_about("DR-HH"), here.lines("data.read").len());
    let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "case"}).to_string().into_bytes();
    let mut asked = Vec::new();
    for _ in 0..CLIENTS {
        let window = federation.client("W-440305-01", 0);
        for _ in 0..EACH {
            let (window, headers, ask) = (window.clone(), headers.clone(), ask.clone());
            asked.push(tokio::spawn(async move {
                // A busy machine's store may be late: that is told, and asking again is what the answer says.
                for _ in 0..5 {
                    let body = Some(("application/json", ask.clone()));
                    let answer = window.send("POST", "/v1/lookups", &headers, body).await;
                    if code(&answer) != (503, "TB-STO-0001") {
                        return answer;
                    }
                    LATE.fetch_add(1, Ordering::Relaxed);
                }
                panic!("the store stays late");
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
    assert_eq!(provider.asked_about("DR-HH") - calls, 1, "a thousand questions, one call");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let lines = &here.lines("data.read")[lines..];
    let of_age = |age: &str| lines.iter().filter(|line| line["ev"][0]["age"] == age).count();
    assert_eq!(of_age("fresh"), 1);
    // Where the store was late, the line may have been first.
    let (least, late) = (CLIENTS * EACH - 1, LATE.load(Ordering::Relaxed));
    assert!((least..=least + late).contains(&of_age("cached")), "each has its line");
    nobody_else(federation, &filed.json["case"], &headers).await;
    assert_eq!(provider.asked_about("DR-HH") - calls, 1, "nor was it asked for them");
    let window = federation.client("W-440305-01", 0);
    let look = async |purpose: &str| {
        let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": purpose}).to_string().into_bytes();
        window.send("POST", "/v1/lookups", &headers, Some(("application/json", ask))).await
    };
    let anew = look("dispute").await;
    assert_eq!(code(&anew), (403, "TB-POL-0507"), "the item names no such purpose: {}", anew.text());
    // What lies there was allowed by the rules of yesterday: those of today are asked, and nothing is left of it.
    let ours = here.read("tongban.toml");
    let (rules, own) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), here.home.join("strict-policies"));
    fs::create_dir(&own).expect("a folder");
    for entry in fs::read_dir(rules).expect("the shipped rules").flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), own.join(entry.file_name())).expect("a copy");
    }
    fs::write(own.join("90-today.cedar"), NOTHING_TODAY).expect("written");
    assert_eq!(look("case").await.json["cached"], json!(true));
    let asked = provider.asked_about("DR-HH");
    here.write("tongban.toml", &format!("policies = {:?}\n{ours}", own.display().to_string()));
    here.reload();
    let refused = look("case").await;
    assert_eq!((code(&refused), &refused.json["fields"]), ((403, "TB-POL-0502"), &Value::Null), "{}", refused.text());
    assert_eq!(provider.asked_about("DR-HH"), asked, "nor was anybody asked");
    here.write("tongban.toml", &ours);
    here.reload();
    let again = look("case").await;
    assert_eq!((code(&again), &again.json["cached"]), ((200, ""), &json!(false)), "{}", again.text());
    assert_eq!(provider.asked_about("DR-HH"), asked + 1);
    // Another purpose that the item names is another lookup.
    for gateway in [&here, &there] {
        let text = tongban::catalogue::EMBEDDED.items;
        let folder = gateway.home.join("for-two-purposes");
        fs::create_dir(&folder).expect("a folder");
        let entry = "ref = \"DR-HH\", purposes = [\"dispute\"]";
        fs::write(folder.join("items.toml"), text.replacen("ref = \"DR-HH\"", entry, 1)).expect("written");
        let config = gateway.read("tongban.toml");
        gateway.write("tongban.toml", &format!("catalogue = {:?}\n{config}", folder.display().to_string()));
        gateway.reload();
    }
    for (purpose, cached, calls) in [("case", false, 1), ("dispute", false, 2), ("case", true, 2), ("dispute", true, 2)]
    {
        let answer = look(purpose).await;
        assert_eq!(
            (code(&answer), &answer.json["cached"]),
            ((200, ""), &json!(cached)),
            "{purpose}: {}",
            answer.text()
        );
        assert_eq!(provider.asked_about("DR-HH"), asked + 1 + calls, "{purpose}");
    }
    drop(closed);
    here.write("tongban.toml", &ours);
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
