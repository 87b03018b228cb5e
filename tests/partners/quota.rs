//! A unit of an outlet's quota is for a case that is kept: whatever is refused after the counter was looked at, however late,
//! costs the outlet, its terminal and its employee nothing.

use serde_json::{Value, json};

use super::federation::{Answer, Federation, Headers};
use super::{Counter, Operator, code};

const DAILY: usize = 5;

/// Files the household certificate at the bank, with some members changed, under a key where one is given.
async fn file(federation: &Federation, counter: &Counter, change: &Value, key: Option<&str>) -> Answer {
    let mut request = json!({
        "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    });
    for (name, value) in change.as_object().expect("members") {
        request[name] = value.clone();
    }
    let key: Headers = key.map(|key| ("idempotency-key", key.to_owned())).into_iter().collect();
    let headers = [counter.headers.clone(), key].concat();
    let files = match change["licence"] {
        Value::Null => vec![("id.ofd", federation.licence())],
        _ => vec![("id.ofd", b"PK\x03\x04 no licence".to_vec())],
    };
    if let Some(members) = request.as_object_mut() {
        members.remove("licence");
    }
    federation.send_filing(&counter.terminal, &headers, &request, &files).await
}

pub async fn given_back(federation: &Federation) {
    let operator = Operator::new(federation);
    let contracts = operator.read("partners.toml");
    // Neither terminal nor employee was counted before: no contract limited them.
    let limit = |clerk: usize| {
        let (first, rest) = contracts.split_once("[contract.quota]\n").expect("a quota");
        operator
            .write("partners.toml", &format!("{first}[contract.quota]\nterminal = {DAILY}\nclerk = {clerk}\n{rest}"));
        operator.reload();
    };
    limit(1);
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    let same = async || federation.file(&counter.terminal, &counter.headers, "419001", Some("quota-1")).await;
    let first = same().await;
    assert_eq!(first.status, 202, "{}", first.text());
    // The employee's own limit is reached: the counters of the outlet and of the terminal were taken, and are given back.
    for n in 0..DAILY {
        let refused = file(federation, &counter, &json!({"form": {"use": format!("no {n}")}}), None).await;
        assert_eq!(code(&refused), (429, "TB-PAR-0301"), "{}", refused.text());
    }
    limit(90);
    for (what, change, key, want) in [
        ("by the rules", json!({"present": false}), None, 403),
        ("by the contract", json!({"item": "002011901000"}), None, 403),
        ("by what is no licence", json!({"licence": "none"}), None, 422),
        ("for a material that is not there", json!({"materials": []}), None, 422),
        ("for another content under a key", json!({"form": {"use": "出国"}}), Some("quota-1"), 422),
    ] {
        for _ in 0..DAILY {
            let refused = file(federation, &counter, &change, key).await;
            assert!((400..429).contains(&refused.status), "{what}: {}", refused.text());
            assert_eq!(refused.status, want, "{what}: {}", refused.text());
        }
    }
    // At the last moment: of two contents under one key at once, one is kept, and the other is refused in the very
    // transaction in which its unit was taken.
    let (one, other) = (json!({"form": {"use": "入学"}}), json!({"form": {"use": "出国"}}));
    let both = tokio::join!(
        file(federation, &counter, &one, Some("quota-2")),
        file(federation, &counter, &other, Some("quota-2"))
    );
    let mut got = [code(&both.0), code(&both.1)];
    got.sort_unstable();
    assert_eq!(got, [(202, ""), (422, "TB-EXC-0004")], "{} {}", both.0.text(), both.1.text());
    // The same filing sent again is the same case, and costs no second unit.
    let again = same().await;
    assert_eq!((again.status, &again.json["case"]), (200, &first.json["case"]), "{}", again.text());
    let mut kept = 2;
    loop {
        let next = file(federation, &counter, &json!({"form": {"use": format!("yes {kept}")}}), None).await;
        match code(&next) {
            (202, _) => kept += 1,
            want => {
                assert_eq!(want, (429, "TB-PAR-0301"), "{}", next.text());
                break;
            }
        }
    }
    assert_eq!(kept, DAILY, "exactly the quota is kept, whatever was refused in between");
    operator.write("partners.toml", &contracts);
    operator.reload();
}
