//! What the owner's gateway gets to know of an applicant: what the item asks for, whatever the applicant's token says.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;

use super::*;
use federation::peer::{message, sealed, send};

const ASSERTION: &str = "tongban-assertion+jwt";
const WAIT: Duration = Duration::from_secs(60);
/// What the demonstration's tokens say besides, as it would stand in a message.
const CONTACT: [(&str, &str); 3] = [("phone", "0000 0000"), ("email", "example.com"), ("address", "演示路")];

/// Files with these lines in the item's entry, at A for B.
async fn filed(house: &House<'_>, lines: &str, change: Value) -> Answer {
    let items = catalogue::EMBEDDED.items.replacen("fee = false", &format!("{lines}\nfee = false"), 1);
    house.works_by(&items);
    let (window, both) = house.counter(0);
    let filing = json!({
        "item": ITEM, "places": {"household": "419001"}, "present": true, "consent": true,
        "materials": [{"no": 1, "file": "id.ofd"}],
    });
    let files = [("id.ofd", house.federation.licence())];
    house.federation.send_filing(&window, &both, &changed(filing, &change), &files).await
}

/// The case file as the office behind B has it.
async fn arrived(house: &House<'_>, case: &Value) -> Vec<u8> {
    let until = Instant::now() + WAIT;
    loop {
        let files = tools::files(&house.folder.join("office/messages"));
        let all = files.iter().filter_map(|file| fs::read(file).ok());
        let ours = |octets: &Vec<u8>| {
            let message = message(octets);
            message["case"] == *case && message["dossier"].is_object()
        };
        if let Some(octets) = all.into_iter().find(ours) {
            return octets;
        }
        assert!(Instant::now() < until, "case {case} did not come to the office");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub async fn attributes_per_item(house: &House<'_>) {
    let mut last = None;
    for (lines, travels) in [
        ("", vec!["code", "code_type", "level", "level_at", "name"]),
        ("attributes = [\"number\", \"phone\"]", vec!["code", "code_type", "level", "level_at", "phone"]),
        (
            "attributes = [\"name\", \"number\", \"email\", \"address\"]",
            vec!["address", "code", "code_type", "email", "level", "level_at", "name"],
        ),
        ("attributes = [\"name\", \"number\"]", vec!["code", "code_type", "level", "level_at", "name"]),
    ] {
        let answer = filed(house, lines, json!({"form": {"use": lines}})).await;
        assert_eq!(answer.status, 202, "{lines}: {}", answer.text());
        let octets = arrived(house, &answer.json["case"]).await;
        let message = message(&octets);
        let applicant = message["dossier"]["applicant"].as_object().expect("an applicant");
        let mut told: Vec<_> = applicant.keys().map(String::as_str).collect();
        told.sort_unstable();
        assert_eq!(told, travels, "{lines}");
        let mut rest = message.clone();
        rest["dossier"]["form"] = Value::Null;
        for (word, value) in CONTACT {
            assert_eq!(rest.to_string().contains(value), travels.contains(&word), "{lines}: {word}");
        }
        last = Some(octets);
    }
    for (lines, form, named) in [
        ("", json!({"use": "入学", "phone": "1"}), json!(["phone"])),
        ("form = [\"use\"]", json!({"use": "入学", "why": "1"}), json!(["why"])),
    ] {
        let answer = filed(house, lines, json!({ "form": form })).await;
        let got = (answer.status, &answer.json["code"], &answer.json["fields"]);
        assert_eq!(got, (422, &json!("TB-GW-0006"), &named), "{}", answer.text());
    }
    house.works_by(catalogue::EMBEDDED.items);
    account_stays_at_home(house).await;
    told_more(house, &last.expect("a case file")).await;
}

/// Who files alone is told by a name for the owner alone: what their account is called, nobody there needs to know.
async fn account_stays_at_home(house: &House<'_>) {
    let token = house.federation.token("citizen");
    let own = vec![("authorization", format!("Bearer {token}"))];
    let filed = house.federation.file_as(&house.federation.anybody(0), &own, "419001", "online").await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let octets = arrived(house, &filed.json["case"]).await;
    let message = message(&octets);
    assert_eq!(message["dossier"]["collector"]["clerk"], "", "{message}");
    let claims = |token: &str| -> Value {
        let part = B64.decode(token.split('.').nth(1).expect("claims")).expect("base64url");
        serde_json::from_slice(&part).expect("JSON")
    };
    let (account, word) = (claims(&token), claims(message["assertion"].as_str().expect("an assertion")));
    let account = account["sub"].as_str().expect("a subject");
    assert_ne!(word["actor"], account);
    assert!(!message.to_string().contains(account) && !word.to_string().contains(account), "{message} {word}");
}

/// What A might tell of an applicant all the same: B takes none of it, and its log does not repeat it.
async fn told_more(house: &House<'_>, container: &[u8]) {
    let voice = house.voice(0);
    let at = UnixMillis::now();
    let case = CaseNo::new("419001".parse().unwrap(), at.day(), 19_997).expect("a number");
    let plain = message(container);
    let id = format!("{case}/gw-440305/{}", plain["seq"]);
    let mut got = Vec::new();
    for (what, applicant, form, code) in [
        // Nothing is wrong with it but that its receipt is another case's: so far it came.
        ("what the item asks for", json!({}), json!({"use": "入学"}), "TB-EXC-0006"),
        ("a telephone number", json!({"phone": "+86 100 0000 0000"}), Value::Null, "TB-GW-0205"),
        ("an address", json!({"address": "演示路1号"}), Value::Null, "TB-GW-0205"),
        ("a telephone number in the form", json!({}), json!({"联系电话": "+86 100 0000 0000"}), "TB-GW-0205"),
        ("what nobody knows", json!({"age": "34"}), Value::Null, "TB-EXC-0006"),
        ("no number", json!({"code": null}), Value::Null, "TB-EXC-0006"),
    ] {
        let word = json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": at.seconds(), "exp": at.seconds() + 60,
            "jti": random_id().unwrap(), "digest": Digest::of(id.as_bytes()), "place": "440305000000",
            "actor": "C-0001", "actor_kind": "staff", "level": 3, "level_at": at, "terminal": "window:W-440305-01",
        });
        let word = voice.sign(ASSERTION, word.as_object().unwrap()).unwrap();
        let mut bent = changed(plain.clone(), &json!({"id": id, "case": case, "at": at, "assertion": word}));
        bent["dossier"]["applicant"] = changed(bent["dossier"]["applicant"].clone(), &applicant);
        bent["dossier"]["form"] = form;
        let octets = sealed(&house.home(0), &bent, Some(container), at);
        got.push((what, send(house.federation, &house.home(0), 1, octets).await, code));
    }
    let lines = house.lines(1);
    for (what, answer, code) in got {
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
        let line = lines.iter().find(|line| line["trace"] == answer.json["trace"]);
        let line = line.unwrap_or_else(|| panic!("{what} is not on record")).to_string();
        assert!(line.contains(code), "{what}: {line}");
        assert!(CONTACT.iter().all(|(_, value)| !line.contains(value) && !answer.text().contains(value)), "{what}");
    }
}
