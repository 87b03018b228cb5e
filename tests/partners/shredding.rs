//! The end of a case's personal data: two persons order it, a hold forbids it, and afterwards neither the number nor the
//! key is anywhere below the data folder, while the log verifies as before.

use std::fs;
use std::path::PathBuf;

use memchr::memmem;
use sqlx::{Connection, Row};

use super::federation::{Federation, Headers};
use super::{Operator, code, tools};

/// The demonstration's applicant.
const NUMBER: &str = "990101199202290010";

/// Files below the data folder that hold these octets.
fn holding(operator: &Operator<'_>, what: &[u8]) -> Vec<PathBuf> {
    let holds = |file: &PathBuf| fs::read(file).is_ok_and(|bytes| memmem::find(&bytes, what).is_some());
    tools::files(&operator.home.join("data")).into_iter().filter(holds).collect()
}

fn vault(operator: &Operator<'_>) -> usize {
    tools::files(&operator.home.join("data/vault")).len()
}

async fn wrapped(operator: &Operator<'_>, no: &str) -> Vec<u8> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", operator.home.join("data/store.db").display());
    let mut store = sqlx::AnyConnection::connect(&url).await.expect("the store opens beside the gateway");
    let row = sqlx::query("SELECT wrapped FROM case_key WHERE no = $1").bind(no).fetch_one(&mut store).await;
    let key = row.expect("a key").get(0);
    store.close().await.expect("closed");
    key
}

pub async fn shredding(federation: &Federation) {
    let operator = Operator::new(federation);
    let window = federation.client("W-440305-01", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let filed = federation.file(&window, &both, "419001", None).await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    let two = |words: &[&str]| {
        let order = operator.signed("op-1", words);
        let approval = operator.signed("op-2", &["approve", &order]);
        operator.send(&order, Some(&approval))
    };
    let one = |words: &[&str]| operator.send(&operator.signed("op-1", words), None);
    let (done, text) = two(&["sign", "shred", &no]);
    assert!(!done && text.contains("TB-EXC-0001"), "a case that is not over: {text}");
    federation.until_over(&window, &both, &no).await;
    let way = Some(("application/json", br#"{"way":"window"}"#.to_vec()));
    let handed = window.send("POST", &format!("/v1/cases/{no}/delivery"), &both, way).await;
    assert_eq!(handed.status, 202, "{}", handed.text());
    federation.until_delivered(&window, &both, &no).await;

    let key = wrapped(&operator, &no).await;
    assert!(!holding(&operator, &key).is_empty(), "the key is there before");
    let files = vault(&operator);
    for (what, (done, text), want) in [
        ("one person", one(&["sign", "shred", &no]), "TB-POL-0804"),
        ("no such case", two(&["sign", "shred", "4190010000002026021300000017S"]), "TB-EXC-0005"),
        ("hold", one(&["sign", "hold", &no, "FY-2026-17"]), "ok"),
        ("shred on hold", two(&["sign", "shred", &no]), "TB-EXC-0011"),
        ("one releases", one(&["sign", "release", &no]), "TB-POL-0804"),
        ("still on hold", two(&["sign", "shred", &no]), "TB-EXC-0011"),
        ("two release", two(&["sign", "release", &no]), "ok"),
        ("two shred", two(&["sign", "shred", &no]), "ok"),
        ("again", two(&["sign", "shred", &no]), "TB-EXC-0010"),
        ("hold too late", one(&["sign", "hold", &no, "late"]), "TB-EXC-0010"),
    ] {
        assert_eq!(done, want == "ok", "{what}: {text}");
        assert!(done || text.contains(want), "{what}: {text}");
    }
    // What was refused names who wanted it and the case, in its chain, like what was done.
    let of_case = |kind: &str| {
        let lines = operator.lines(kind).into_iter().filter(|line| line["case"].is_object());
        let lines = lines.filter(|line| line["actor"]["staff"] == "op-1" && line["facts"]["order"].is_string());
        let told = |line: serde_json::Value| {
            assert!(line["subj"]["pid"].is_string() && line["item"]["code"].is_string(), "{line}");
            let reason = line["dec"]["reason"].as_str().unwrap_or_default();
            format!("{} {reason}", line["facts"]["order"].as_str().unwrap_or_default())
        };
        lines.map(told).collect::<Vec<_>>()
    };
    assert_eq!(of_case("key.shred"), ["hold ", "release ", "shred "]);
    let refused = of_case("deny");
    for want in
        ["shred TB-EXC-0001", "shred TB-POL-0804", "shred TB-EXC-0011", "release TB-POL-0804", "hold TB-EXC-0010"]
    {
        assert!(refused.iter().any(|told| told == want), "{want}: {refused:?}");
    }
    assert_eq!(code(&window.get(&format!("/v1/cases/{no}"), &both).await), (410, "TB-EXC-0010"));
    assert_eq!(window.get("/v1/cases", &both).await.status, 200);
    assert!(vault(&operator) < files, "its files are gone");
    assert_eq!(holding(&operator, &key), Vec::<PathBuf>::new(), "the key");
    assert_eq!(holding(&operator, NUMBER.as_bytes()), Vec::<PathBuf>::new(), "the number");

    let lines = operator.lines("key.shred");
    let said: Vec<_> = lines.iter().map(|line| line["facts"]["order"].as_str().unwrap_or_default()).collect();
    assert_eq!(said, ["hold", "release", "shred"], "{lines:#?}");
    assert_eq!(lines[0]["facts"]["ground"], "FY-2026-17");
    let all = lines.iter().map(|line| line["case"]["id"].as_str());
    assert!(all.clone().all(|id| id.is_some() && id == all.clone().next().flatten()), "{lines:#?}");
    // What the lines told of people is noise now, in every copy; the entries and their proofs stand.
    let (bundle, config) = (operator.home.join("shredded.asice"), operator.home.join("tongban.toml"));
    let (bundle, config) = (bundle.display().to_string(), config.display().to_string());
    let line = ["audit", "export", &no, "--config", &config, "--by", "A-1", "--ground", "SJ-17", "-o", &bundle];
    let exported = tools::tongban(&line);
    assert!(exported.status.success(), "{}", tools::text(&exported));
    let key = federation.told["gateways"][0]["log_key"].as_str().expect("a key");
    let judged = tools::tongban(&["audit", "verify", &bundle, "--key", key]);
    assert!(tools::text(&judged).contains("stay closed"), "{}", tools::text(&judged));
    assert!(!tools::text(&judged).contains("DISPROVEN"), "{}", tools::text(&judged));
    let proven = tools::audit(federation.folder.path(), 0);
    assert!(proven.status.success(), "{}", tools::text(&proven));
}
