//! A power of attorney for one act counts at every gateway, whichever registered it: for one act.

use super::*;
use federation::peer::changed;
use tongban::terms::Digest;

const NUMBER: &str = "990101199202290010";
/// Filings at each gateway at once.
const EACH: usize = 4;
const OWNER: &str = "419001";

/// An agent with a device.
struct Agent<'h> {
    house: &'h House<'h>,
    phone: Device,
    own: String,
    person: String,
}

impl<'h> Agent<'h> {
    fn new(house: &'h House<'h>) -> Self {
        let phone = Device::new();
        let own = phone.token(house, "lisi");
        Self { house, phone, own, person: house.federation.token("citizen") }
    }

    /// A paper for one act, registered at a gateway: its number, and as signed.
    async fn paper(&self, registrar: usize) -> (String, String) {
        let draft = json!({
            "kind": "attorney", "to": self.house.key_of("lisi"), "items": [ITEM], "acts": ["file", "read", "withdraw"],
            "once": true,
        });
        let draft = json_body(&draft);
        let answer =
            self.house.federation.anybody(registrar).send("POST", "/v1/papers", &bearer(&self.person), draft).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |name: &str| answer.json[name].as_str().expect("a text").to_owned();
        (text("id"), text("paper"))
    }

    /// A token of a gateway for what the paper allows.
    async fn token(&self, gateway: usize, paper: &str) -> String {
        let portal = self.house.federation.anybody(gateway);
        let proof = vec![("dpop", self.phone.proof(&portal, "POST", "/v1/token", None, None))];
        given(&exchange(&portal, &proof, (&self.person, &self.own), &[("paper", paper)]).await)
    }

    async fn file(&self, gateway: usize, token: &str, owner: &str) -> Answer {
        let portal = self.house.federation.anybody(gateway);
        let headers = self.phone.headers(&portal, "POST", "/v1/cases", token);
        self.house.federation.file_as(&portal, &headers, owner, "proxy").await
    }

    async fn withdraw(&self, token: &str, case: &str) -> Answer {
        let portal = self.house.federation.anybody(0);
        let path = format!("/v1/cases/{case}/withdraw");
        let headers = self.phone.headers(&portal, "POST", &path, token);
        portal.send("POST", &path, &headers, json_body(&json!({}))).await
    }
}

fn code(answer: &Answer) -> String {
    answer.json["code"].as_str().map_or_else(|| answer.status.to_string(), str::to_owned)
}

pub async fn all(house: &House<'_>) {
    raced(house).await;
    one_withdrawal(house).await;
    held_used_given_back(house).await;
}

/// Filed under one paper at both gateways at once, many times: one case, whoever owns it, and the registrar's log says once
/// that the paper was used.
async fn raced(house: &House<'_>) {
    let agent = Agent::new(house);
    // The registrar is the owner's gateway; then it is the other one.
    for registrar in [1, 0] {
        let (_, paper) = agent.paper(registrar).await;
        let tokens = [agent.token(0, &paper).await, agent.token(1, &paper).await];
        let tries = (0..2 * EACH).map(|n| agent.file(n % 2, &tokens[n % 2], OWNER));
        let got: Vec<_> = futures_util::future::join_all(tries).await.iter().map(code).collect();
        let count = |code: &str| got.iter().filter(|got| *got == code).count();
        assert_eq!((count("202"), count("TB-IDN-0105")), (1, 2 * EACH - 1), "{registrar}: {got:?}");
        for gateway in [0, 1] {
            let later = agent.file(gateway, &tokens[gateway], OWNER).await;
            assert_eq!(code(&later), "TB-IDN-0105", "{registrar}: {}", later.text());
        }
    }
    // One that is spent by the other gateway, with nobody else about; B's line names it.
    let (_, paper) = agent.paper(1).await;
    let token = agent.token(0, &paper).await;
    let refused = agent.file(0, &token, "330106").await;
    assert!(refused.status >= 400 && !code(&refused).starts_with("TB-IDN"), "refused: {}", refused.text());
    let filed = agent.file(0, &token, OWNER).await;
    assert_eq!(code(&filed), "202", "what was refused cost nothing: {}", filed.text());
    let named = Digest::of(paper.as_bytes()).to_string();
    let used =
        at_b(house, |line| line["behalf"]["mandate"] == named.as_str() && line["out"]["receipt"] == "paper-used");
    assert_eq!(used, 1, "the registrar has it on record, once");
    // Taken back before it was used.
    let (id, paper) = agent.paper(1).await;
    let token = agent.token(0, &paper).await;
    let path = format!("/v1/papers/{id}/revoke");
    assert_eq!(house.federation.anybody(1).send("POST", &path, &bearer(&agent.person), None).await.status, 200);
    assert_eq!(code(&agent.file(0, &token, OWNER).await), "TB-IDN-0104");
}

/// How many lines of B's log are like this.
fn at_b(house: &House<'_>, like: impl Fn(&Value) -> bool) -> usize {
    let log = house.federation.folder.path().join("gw-419001/data/log");
    let shown = tools::tongban(&["audit", "show", &log.display().to_string()]);
    assert!(shown.status.success(), "{}", tools::text(&shown));
    let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
    lines.lines().filter(|line| like(&serde_json::from_str(line).expect("JSON"))).count()
}

/// Withdrawing is one act as well; a withdrawal that the case does not allow costs nobody the paper.
async fn one_withdrawal(house: &House<'_>) {
    let closed = federation::peer::Closed::new(house.federation);
    let agent = Agent::new(house);
    let mut cases = Vec::new();
    for _ in 0..2 {
        let (portal, own) = (house.federation.anybody(0), bearer(&agent.person));
        let filed = house.federation.file_as(&portal, &own, OWNER, "online").await;
        cases.push(filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned());
    }
    let (_, first) = agent.paper(1).await;
    let (_, second) = agent.paper(1).await;
    let (first, second) = (agent.token(0, &first).await, agent.token(0, &second).await);
    let done = agent.withdraw(&first, &cases[0]).await;
    assert!(matches!(done.status, 200 | 202), "{}", done.text());
    let again = agent.withdraw(&first, &cases[1]).await;
    assert_eq!(code(&again), "TB-IDN-0105", "{}", again.text());
    // Asked for already: the second paper is not needed, and stays good.
    let twice = agent.withdraw(&second, &cases[0]).await;
    assert!(!code(&twice).starts_with("TB-IDN"), "{}", twice.text());
    let done = agent.withdraw(&second, &cases[1]).await;
    assert!(matches!(done.status, 200 | 202), "{}", done.text());
    drop(closed);
}

/// What the registrar is told of one use: held for one act; used; and free again where the gateway that said so could not do
/// the act. Nobody else gives it back.
async fn held_used_given_back(house: &House<'_>) {
    let agent = Agent::new(house);
    let (_, paper) = agent.paper(1).await;
    let home = |gateway: &str| house.federation.folder.path().join(gateway).join("certs");
    let member = |who: &str| {
        let certs = home(who);
        house.federation.with(1, &certs.join("tls.pem"), &certs.join("tls.key"))
    };
    let (a, b) = (member("gw-440305"), member("gw-419001"));
    let wanted = json!({
        "kind": "attorney", "paper": paper, "audience": "gw-440305", "subject": NUMBER, "to": house.key_of("lisi"),
        "act": "file", "item": ITEM, "place": "440305000000",
    });
    let ask = async |change: Value| {
        a.send("POST", "/peer/v1/papers", &Headers::new(), json_body(&changed(wanted.clone(), &change))).await
    };
    let tell = async |by: &Window, standing: &str, end: &str| {
        let ending = json!({ "standing": standing, "end": end });
        let answer = by.send("POST", "/peer/v1/papers/uses", &Headers::new(), json_body(&ending)).await;
        if answer.status < 300 { "done".to_owned() } else { code(&answer) }
    };
    let standing =
        |answer: &Answer| answer.json["standing"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    let look = ask(json!({"look": true})).await;
    assert_eq!(look.json["held"], false, "{}", look.text());
    let for_another = ask(json!({"look": true, "audience": "gw-419001"})).await;
    assert_eq!(code(&for_another), "TB-GW-0203", "what is only looked at is shown to nobody: {}", for_another.text());
    let first = standing(&ask(json!({})).await);
    assert_eq!(code(&ask(json!({})).await), "TB-IDN-0105", "held for one act");
    let looked = standing(&look);
    for (what, by, word, end, want) in [
        ("not B's to end", &b, &first, "back", "TB-GW-0203"),
        ("used", &a, &first, "used", "done"),
        ("and it is one use, however often it is said", &a, &first, "used", "done"),
        ("not B's to give back", &b, &first, "back", "TB-GW-0203"),
        ("nor by a word that held nothing", &a, &looked, "back", "done"),
    ] {
        assert_eq!(tell(by, word, end).await, want, "{what}");
    }
    assert_eq!(code(&ask(json!({})).await), "TB-IDN-0105", "used is used");
    assert_eq!(tell(&a, &first, "back").await, "done", "the act could not be kept");
    let second = standing(&ask(json!({})).await);
    for (what, word, end, want) in [
        ("the first word gives nothing back that is another's", &first, "back", "done"),
        ("nor uses it", &first, "used", "TB-IDN-0105"),
        ("the second word does", &second, "used", "done"),
    ] {
        assert_eq!(tell(&a, word, end).await, want, "{what}");
    }
    assert_eq!(code(&ask(json!({})).await), "TB-IDN-0105", "used");
}
