//! A window of gateway A accepts for an authority behind gateway B, under that authority's mandate, in cases that it collected.

use std::time::{Duration, Instant};

use super::*;
use federation::peer::Closed;
use tongban::identity::delegation::WindowMandate;
use tongban::identity::issue::random_id;
use tongban::terms::Digest;

const WINDOW: &str = "gw-440305/W-440305-01";
const POLICE_B: &str = "11419001DT00001826";
const WAIT: Duration = Duration::from_secs(60);

pub async fn all(house: &House<'_>) {
    let federation = house.federation;
    let closed = Closed::new(house.federation);
    let office = federation.client("office-419001", 1);
    let give = async |change: Value| {
        let mut draft = json!({"kind": "mandate", "to": WINDOW, "items": [ITEM], "acts": ["accept"]});
        for (name, value) in change.as_object().unwrap() {
            draft[name] = value.clone();
        }
        let answer = office.send("POST", "/office/v1/papers", &Headers::new(), json_body(&draft)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.json["id"].as_str().unwrap().to_owned(), answer.json["paper"].as_str().unwrap().to_owned())
    };
    let desk = Desk::new(house);
    let (id, mandate) = give(json!({})).await;
    let case = desk.collected().await;
    let asked = desk.accept(&case, &mandate).await;
    assert_eq!((asked.status, &asked.json["state"]), (202, &json!("received")), "{}", asked.text());
    let seen = federation.until(&desk.window, &desk.both, &case, "accepted").await;
    assert!(seen.json["documents"].to_string().contains("ACCEPTANCE"), "the voucher is there: {}", seen.text());
    for gateway in ["gw-440305", "gw-419001"] {
        let log = federation.folder.path().join(gateway).join("data/log");
        let shown = tools::tongban(&["audit", "show", &log.display().to_string()]);
        let named = Digest::of(mandate.as_bytes()).to_string();
        let mut lines = String::from_utf8_lossy(&shown.stdout).into_owned();
        lines.retain(|c| c != ' ');
        assert!(lines.contains(&format!("\"mandate\":\"{named}\"")), "the log of {gateway} names the mandate");
    }

    // One for one act: the second case is not accepted under it, and the desk is told why.
    let once = give(json!({"once": true})).await.1;
    let (first, second) = (desk.collected().await, desk.collected().await);
    assert_eq!(desk.accept(&first, &once).await.status, 202);
    federation.until(&desk.window, &desk.both, &first, "accepted").await;
    assert_eq!(desk.accept(&second, &once).await.status, 202);
    desk.refused(&second, "TB-IDN-0105").await;

    // What can be seen here is refused here, with its code.
    let poa = house.paper("poa-20", "zhangsan", "lisi", |_| {});
    for (what, paper, code) in [
        ("for another item", give(json!({"items": [OTHER_ITEM]})).await.1, "TB-IDN-0107"),
        ("for another act", give(json!({"acts": ["request_supplement"]})).await.1, "TB-IDN-0107"),
        ("to another window of A's", give(json!({"to": "gw-440305/W-440305-09"})).await.1, "TB-EXC-0005"),
        ("to a window of B's of this name", give(json!({"to": "W-440305-01"})).await.1, "TB-EXC-0005"),
        ("a power of attorney", poa, "TB-IDN-0101"),
        ("made up by A in its own name", made_up(house, "gw-440305"), "TB-IDN-0101"),
        ("made up by A in B's name", made_up(house, "gw-419001"), "TB-IDN-0101"),
    ] {
        let answer = desk.accept(&second, &paper).await;
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
    }

    // What A might send all the same.
    let revoked = give(json!({})).await;
    let revoke = format!("/office/v1/papers/{}/revoke", revoked.0);
    assert_eq!(office.send("POST", &revoke, &Headers::new(), None).await.status, 200);
    let other = give(json!({"to": "gw-440305/W-440305-09"})).await.1;
    let item = give(json!({"items": [OTHER_ITEM]})).await.1;
    let own = house.paper("poa-21", "zhangsan", "lisi", |w| w.iss = "gw-419001".into());
    for (what, said, mandate, act, code) in [
        ("no mandate", json!({}), None, "accept", "TB-EXC-0006"),
        ("a veto", json!({}), Some(mandate.clone()), "not_accept", "TB-EXC-0006"),
        ("a withdrawal under a mandate", json!({}), Some(mandate.clone()), "withdraw", "TB-EXC-0006"),
        ("made up in its own name", json!({}), Some(made_up(house, "gw-440305")), "accept", "TB-IDN-0101"),
        ("made up in B's name", json!({}), Some(made_up(house, "gw-419001")), "accept", "TB-IDN-0101"),
        ("a power of attorney", json!({}), Some(own), "accept", "TB-IDN-0102"),
        ("to another window", json!({}), Some(other), "accept", "TB-EXC-0005"),
        ("for another item", json!({}), Some(item), "accept", "TB-IDN-0107"),
        ("revoked", json!({}), Some(revoked.1), "accept", "TB-IDN-0104"),
        ("used", json!({}), Some(once), "accept", "TB-IDN-0105"),
        (
            "by a window that did not collect",
            json!({"terminal": "window:W-440305-09"}),
            Some(mandate.clone()),
            "accept",
            "TB-EXC-0005",
        ),
        ("by a citizen", json!({"actor_kind": "citizen"}), Some(mandate.clone()), "accept", "TB-EXC-0005"),
        ("by nobody", Value::Null, Some(mandate.clone()), "accept", "TB-GW-0201"),
    ] {
        let answer = send(house, &second, &said, mandate, act).await;
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
    }
    // Taken back by its authority: the desk learns it with the answer, and the case stays as it was.
    let path = format!("/office/v1/papers/{id}/revoke");
    assert_eq!(office.send("POST", &path, &Headers::new(), None).await.status, 200);
    assert_eq!(desk.accept(&second, &mandate).await.status, 202);
    desk.refused(&second, "TB-IDN-0104").await;
    let seen = desk.window.get(&format!("/v1/cases/{second}"), &desk.both).await;
    assert_eq!(seen.json["state"], "received", "{}", seen.text());
    drop(closed);
}

/// The desk of gateway A.
struct Desk<'h> {
    house: &'h House<'h>,
    window: Window,
    clerk: Headers,
    both: Headers,
}

impl<'h> Desk<'h> {
    fn new(house: &'h House<'h>) -> Self {
        let federation = house.federation;
        let clerk = vec![("authorization", format!("Bearer {}", federation.token("clerk")))];
        let citizen = ("tongban-subject-token", federation.token("citizen"));
        let both = [clerk.clone(), vec![citizen]].concat();
        Self { house, window: federation.client("window", 0), clerk, both }
    }

    /// A case of B's that has arrived there.
    async fn collected(&self) -> String {
        let filed = self.house.federation.file(&self.window, &self.both, "419001", None).await;
        let case = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
        self.delivery(&case, |line| line["to"] == "gw-419001" && line["state"] == "delivered").await;
        case
    }

    async fn accept(&self, case: &str, mandate: &str) -> Answer {
        let path = format!("/v1/cases/{case}/acts");
        self.window.send("POST", &path, &self.clerk, json_body(&json!({"act": "accept", "mandate": mandate}))).await
    }

    /// Waits until the owner has said no to what was asked, for this reason.
    async fn refused(&self, case: &str, code: &str) {
        self.delivery(case, |line| line["asks"] == true && line["state"] == "refused" && line["code"] == code).await;
    }

    async fn delivery(&self, case: &str, fits: impl Fn(&Value) -> bool) {
        let until = Instant::now() + WAIT;
        loop {
            let seen = self.window.get(&format!("/v1/cases/{case}"), &self.both).await;
            if seen.json["deliveries"].as_array().is_some_and(|lines| lines.iter().any(&fits)) {
                return;
            }
            assert!(Instant::now() < until, "not so: {} {}", seen.json["state"], seen.json["deliveries"]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A mandate that A signs, whoever is said to have registered it.
fn made_up(house: &House<'_>, registrar: &str) -> String {
    let now = UnixMillis::now().seconds();
    let wording = Wording {
        iss: registrar.into(),
        jti: random_id().unwrap(),
        iat: now - 5,
        nbf: now - 5,
        exp: now + 3_600,
        from: POLICE_B.into(),
        to: WINDOW.into(),
        items: vec![ITEM.parse().unwrap()],
        acts: vec!["accept".into()],
        places: vec!["419001".parse().unwrap()],
        resources: vec![],
        fields: vec![],
        purpose: None,
        case: None,
        uses: Uses::Many,
        issuer: None,
    };
    sign(WindowMandate, &wording, &house.voice()).expect("a paper")
}

/// Asks B for an act, as A can with all its keys.
async fn send(house: &House<'_>, case: &str, said: &Value, mandate: Option<String>, act: &str) -> Answer {
    let at = UnixMillis::now();
    let id = format!("{case}/gw-440305/ask/{act}/7");
    let mut word = json!({
        "iss": "gw-440305", "aud": "gw-419001", "iat": at.seconds(), "exp": at.seconds() + 60,
        "jti": random_id().unwrap(), "digest": Digest::of(id.as_bytes()), "place": "440305000000", "actor": "C-0001",
        "actor_kind": "staff", "level": 3, "level_at": at, "terminal": "window:W-440305-01",
    });
    for (name, value) in said.as_object().into_iter().flatten() {
        word[name] = value.clone();
    }
    let word = match said {
        Value::Null => String::new(),
        _ => house.voice().sign("tongban-assertion+jwt", word.as_object().unwrap()).unwrap(),
    };
    let mut message = json!({
        "v": 1, "id": id, "from": "gw-440305", "to": "gw-419001", "at": at, "case": case, "act": act, "ask": true,
        "state": "received", "seq": 2, "assertion": word, "papers": [],
    });
    if let Some(mandate) = mandate {
        message["delegation"] = json!(mandate);
    }
    federation::peer::send(house.federation, &house.home, 1, federation::peer::sealed(&house.home, &message, None, at))
        .await
}
