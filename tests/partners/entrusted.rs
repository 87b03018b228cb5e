//! An outlet acts for a department: under its signed mandate, which is judged when contracts are read and at every act.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tongban::identity::delegation::{Paper, PowerOfAttorney, Uses, WindowMandate, Wording, sign};
use tongban::identity::issue::SigningKey;
use tongban::terms::{Digest, UnixMillis};
use tongban::trust::pem;

use super::federation::{Answer, Federation, Headers};
use super::{Counter, Operator, code, tools};

const BANK: &str = "bank-440305-01";
const BUREAU: &str = "11440305DT0000350E";
const POLICE_OF_B: &str = "11419001DT00001826";
const ITEMS: [&str; 2] = ["002009901000", "002014901000"];
const ACTS: [&str; 9] =
    ["guide", "fill_in", "check_identity", "scan", "receive", "read_own", "print_receipt", "print_result", "hand_out"];

pub async fn all(federation: &Federation) {
    let operator = Operator::new(federation);
    let good = operator.read("partners.toml");
    given_and_named(federation, &operator, &good).await;
    not_taken(federation, &operator, &good).await;
    run_out(federation, &operator, &good).await;
    taken_back(federation, &operator, &good).await;
    operator.write("partners.toml", &good);
    operator.reload();
    assert_eq!(code(&bank(federation).file(federation).await).0, 202, "as before");
}

fn bank(federation: &Federation) -> Counter {
    Counter::of(federation, BANK, "E-9001")
}

/// The contracts with another mandate for the bank: what stands in its line.
pub fn with(contracts: &str, mandate: &str) -> String {
    let line = contracts.lines().find(|line| line.starts_with("mandate = ")).expect("a mandate");
    contracts.replacen(line, &format!("mandate = \"{mandate}\""), 1)
}

fn voice(home: &Path) -> SigningKey {
    let blocks = pem::decode(&fs::read(home.join("certs/assertion.key")).expect("a key")).expect("PEM");
    SigningKey::from_pkcs8(Algorithm::ES256, &blocks[0].octets).expect("P-256")
}

/// A mandate for the bank that gateway A signed, or what `change` makes of it.
fn signed<P: Paper>(kind: P, home: &Path, id: &str, change: impl FnOnce(&mut Wording)) -> String {
    let now = UnixMillis::now().seconds();
    let mut wording = Wording {
        iss: "gw-440305".into(),
        jti: id.into(),
        iat: now - 5,
        nbf: now - 5,
        exp: now + 3_600,
        from: BUREAU.into(),
        to: BANK.into(),
        items: ITEMS.iter().map(|item| item.parse().unwrap()).collect(),
        acts: ACTS.map(str::to_owned).to_vec(),
        places: vec!["440305".parse().unwrap()],
        resources: vec![],
        fields: vec![],
        purpose: None,
        case: None,
        uses: Uses::Many,
        issuer: None,
    };
    change(&mut wording);
    sign(kind, &wording, &voice(home)).expect("a paper")
}

/// The bureau gives the bank a mandate, with some members changed.
pub async fn given(federation: &Federation, change: Value) -> Answer {
    let mut draft = json!({"kind": "mandate", "to": BANK, "items": ITEMS, "acts": ACTS, "days": 400});
    draft.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let body = Some(("application/json", draft.to_string().into_bytes()));
    federation.client("bureau-440305", 0).send("POST", "/office/v1/papers", &Headers::new(), body).await
}

/// Takes a mandate that was [`given`] back.
pub async fn end(federation: &Federation, paper: &Answer) {
    let path = format!("/office/v1/papers/{}/revoke", paper.json["id"].as_str().expect("a number"));
    let done = federation.client("bureau-440305", 0).send("POST", &path, &Headers::new(), None).await;
    assert_eq!(done.status, 200, "{}", done.text());
}

/// The department gives it, the contract names it, and every line about what the bank does names it, too.
async fn given_and_named(federation: &Federation, operator: &Operator<'_>, good: &str) {
    for (what, change) in [
        ("acts of a window beside those of an outlet", json!({"acts": ["receive", "accept"]})),
        ("for one act", json!({"once": true})),
        ("for four years", json!({"days": 1_461})),
        ("no items", json!({"items": []})),
        ("a place of somebody else's", json!({"places": ["419001"]})),
    ] {
        let answer = given(federation, change).await;
        assert_eq!(code(&answer), (422, "TB-GW-0130"), "{what}: {}", answer.text());
    }
    let answer = given(federation, json!({})).await;
    let paper = answer.json["paper"].as_str().unwrap_or_else(|| panic!("{}", answer.text()));
    operator.write("partners.toml", &with(good, paper));
    operator.reload();
    let counter = bank(federation);
    let filed = counter.file(federation).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let case = format!("/v1/cases/{}", filed.json["case"].as_str().expect("a number"));
    assert_eq!(counter.terminal.get(&case, &counter.headers).await.status, 200);
    let digest = Digest::of(paper.as_bytes()).to_string();
    let lines = operator.lines("case.event");
    for method in ["POST", "GET"] {
        let by_bank = |line: &&Value| line["actor"]["terminal"] == "outlet:bank-440305-01";
        let line = lines.iter().rev().filter(by_bank).find(|line| line["req"]["method"] == method);
        let line = line.unwrap_or_else(|| panic!("no {method} of the bank"));
        assert_eq!(line["behalf"]["mandate"], *digest, "{line}");
        assert_eq!(line["behalf"]["relation"], "proxy-point", "{line}");
    }
}

/// No contracts are taken with a mandate that is none, is somebody else's or covers less.
async fn not_taken(federation: &Federation, operator: &Operator<'_>, good: &str) {
    let home = &operator.home;
    let mandate = |change: fn(&mut Wording)| with(good, &signed(WindowMandate, home, "m", change));
    let other_home = federation.folder.path().join("gw-419001");
    let whole = signed(WindowMandate, home, "m", |_| {});
    let (text, signature) = whole.rsplit_once('.').expect("a signature");
    let bent = format!("{text}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let line = good.lines().find(|line| line.starts_with("mandate = ")).expect("a mandate");
    for (what, text, want) in [
        ("none at all", good.replacen(&format!("{line}\n"), "", 1), "missing"),
        ("its number only", good.replacen(line, "mandate = \"深南政数委字〔2026〕1号\"", 1), "not valid"),
        ("bent", with(good, &bent), "signature"),
        ("of another department", mandate(|w| w.from = POLICE_OF_B.into()), "another department"),
        ("for another outlet", mandate(|w| w.to = "bank-440305-02".into()), "another outlet"),
        ("for other items", mandate(|w| w.items.truncate(1)), "item 002014901000"),
        ("for fewer acts", mandate(|w| w.acts.retain(|act| act != "receive")), "act receive"),
        ("for a part of the place", mandate(|w| w.places = vec!["440305007".parse().unwrap()]), "reach 440305"),
        ("for a place of nobody here", mandate(|w| w.places = vec!["419001".parse().unwrap()]), "speak for"),
        ("for one act", mandate(|w| w.uses = Uses::Once), "one act"),
        ("for ten years", mandate(|w| w.exp = w.nbf + 3_700 * 86_400), "period"),
        ("a power of attorney", with(good, &signed(PowerOfAttorney, home, "m", |_| {})), "another kind"),
        (
            "of another gateway's register",
            with(good, &signed(WindowMandate, &other_home, "m", |w| w.iss = "gw-419001".into())),
            "registered at gw-419001",
        ),
    ] {
        operator.write("partners.toml", &text);
        for command in ["check", "reload"] {
            let told = operator.command(&[command]);
            let text = tools::text(&told);
            assert_eq!(told.status.code(), Some(1), "{what}, {command}: {text}");
            assert!(text.contains("contract[1].mandate") && text.contains(want), "{what}, {command}: {text}");
        }
    }
    let filed = bank(federation).file(federation).await;
    assert_eq!(filed.status, 202, "what was in force stays: {}", filed.text());
}

/// One that has run out, or is not in force yet, does not keep the contracts from being taken: the outlet is refused.
async fn run_out(federation: &Federation, operator: &Operator<'_>, good: &str) {
    const LASTS_S: i64 = 4;
    let home = &operator.home;
    let counter = bank(federation);
    let put = |change: fn(&mut Wording)| {
        operator.write("partners.toml", &with(good, &signed(WindowMandate, home, "m-2", change)));
        operator.reload();
    };
    // A key of nobody here, as one that was taken off the directory.
    let other_home = federation.folder.path().join("gw-419001");
    operator.write("partners.toml", &with(good, &signed(WindowMandate, &other_home, "m-2", |_| {})));
    operator.reload();
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0212"), "under another gateway's key");
    put(|w| w.nbf += 600);
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0213"), "not in force yet");
    put(|w| w.exp = UnixMillis::now().seconds() + LASTS_S);
    let listed = counter.terminal.get("/v1/cases", &counter.headers).await;
    assert_eq!(listed.status, 200, "while it lasts: {}", listed.text());
    tokio::time::sleep(Duration::from_secs(LASTS_S as u64 + 1)).await;
    for answer in [counter.file(federation).await, counter.terminal.get("/v1/cases", &counter.headers).await] {
        assert_eq!(code(&answer), (403, "TB-PAR-0213"), "{}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "on record");
    }
}

/// Its department takes it back in mid-day: the next act is refused, and no terminal gets a certificate any more.
async fn taken_back(federation: &Federation, operator: &Operator<'_>, good: &str) {
    // The register of a store that was put back from a copy has no line of it.
    let unknown = signed(WindowMandate, &operator.home, "m-3", |_| {});
    let answer = given(federation, json!({})).await;
    let registered = answer.json["paper"].as_str().expect("a paper").to_owned();
    let id = answer.json["id"].as_str().expect("a number").to_owned();
    for (id, paper) in [(id.as_str(), registered.as_str()), ("m-3", unknown.as_str())] {
        operator.write("partners.toml", &with(good, paper));
        operator.reload();
        let counter = bank(federation);
        assert_eq!(counter.file(federation).await.status, 202, "{id}");
        let revoke = format!("/office/v1/papers/{id}/revoke");
        let none = Headers::new();
        let by_bank = counter.terminal.send("POST", &revoke, &none, None).await;
        assert_eq!(code(&by_bank), (401, "TB-GW-0101"), "{}", by_bank.text());
        let by_others = federation.client("office-419001", 1).send("POST", &revoke, &none, None).await;
        assert_eq!(code(&by_others), (404, "TB-GW-0131"), "{}", by_others.text());
        assert_eq!(counter.terminal.get("/v1/cases", &counter.headers).await.status, 200, "{id}");
        let bureau = federation.client("bureau-440305", 0);
        let revoked = bureau.send("POST", &revoke, &none, None).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        for answer in [counter.file(federation).await, counter.terminal.get("/v1/cases", &counter.headers).await] {
            assert_eq!(code(&answer), (403, "TB-PAR-0214"), "{id}: {}", answer.text());
        }
        let denied = operator.lines("deny");
        let denied = denied.iter().rev().find(|line| line["dec"]["reason"] == "TB-PAR-0214").expect("a refusal");
        assert_eq!(denied["behalf"]["mandate"], *Digest::of(paper.as_bytes()).to_string(), "{denied}");
        let approval = operator.signed("op-1", &["sign", "enrol", BANK, "urn:tongban:outlet:bank-440305-01:t1"]);
        let gateway = &federation.told["gateways"][0];
        let out = operator.home.join("never").display().to_string();
        let enrolled = tools::tongban(&[
            "terminal",
            "enrol",
            "--url",
            gateway["api"].as_str().expect("an address"),
            "--ca",
            gateway["ca"].as_str().expect("a file"),
            "--out",
            &out,
            "--approval",
            &approval,
        ]);
        assert!(tools::text(&enrolled).contains("TB-PAR-0214"), "{}", tools::text(&enrolled));
        let other = Counter::of(federation, "bank-440305-02", "E-9002");
        let listed = other.terminal.get("/v1/cases", &other.headers).await;
        assert_eq!(listed.status, 200, "another outlet has its own: {}", listed.text());
    }
}
