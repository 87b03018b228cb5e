//! What gateway A says of an agent when it files with gateway B; and the keys under which it says anything.

use std::time::{Duration, Instant};

use super::*;
use federation::peer::{changed, message, sealed, send};
use serde_json::Map;
use tongban::app::demo::{directory, jws, pki};
use tongban::federation::{Member, signed};
use tongban::identity::issue::random_id;
use tongban::terms::{CaseNo, Digest};
use tongban::trust::suite::SignatureAlgorithm;

const NUMBER: &str = "990101199202290010";
const ASSERTION: &str = "tongban-assertion+jwt";
const STANDING: &str = "tongban-standing+jwt";
const WAIT: Duration = Duration::from_secs(60);
/// A stream asks again whether it may go on at least this often.
const LOOKS: Duration = Duration::from_secs(5);

/// Lines of gateway B's log, oldest first.
fn owners_lines(house: &House<'_>) -> Vec<Value> {
    let log = house.federation.folder.path().join("gw-419001/data/log");
    let shown = tools::tongban(&["audit", "show", &log.display().to_string()]);
    assert!(shown.status.success(), "{}", tools::text(&shown));
    let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// An agent files at A for B under a paper given at A: B's line names the paper. Then what A might say of an agent instead.
pub async fn all(house: &House<'_>) {
    let federation = house.federation;
    let (portal, person) = (federation.anybody(0), federation.token("citizen"));
    let draft =
        json!({"kind": "attorney", "to": house.key_of("lisi"), "items": [ITEM], "acts": ["file"], "once": true});
    let given_paper = portal.send("POST", "/v1/papers", &bearer(&person), json_body(&draft)).await;
    assert_eq!(given_paper.status, 200, "{}", given_paper.text());
    let (id, paper) = (given_paper.json["id"].as_str().unwrap(), given_paper.json["paper"].as_str().unwrap());
    let named = Digest::of(paper.as_bytes()).to_string();
    let phone = Device::new();
    let agent = phone.token(house, "lisi");
    let proof = vec![("dpop", phone.proof(&portal, "POST", "/v1/token", None, None))];
    let token = given(&exchange(&portal, &proof, (&person, &agent), &[("paper", paper)]).await);
    let headers = phone.headers(&portal, "POST", "/v1/cases", &token);
    let filed = federation.file_as(&portal, &headers, "419001", "proxy").await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let until = Instant::now() + WAIT;
    let line = loop {
        let found = owners_lines(house).into_iter().find(|line| line["behalf"]["mandate"] == named.as_str());
        match found {
            Some(line) => break line,
            None => assert!(Instant::now() < until, "the owner's log does not name the paper"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!((&line["kind"], &line["behalf"]["relation"]), (&json!("case.event"), &json!("agent")), "{line}");
    assert!(!line.to_string().contains("lisi"), "B knows the agent by another name: {line}");

    let forge = Forge::new(house, &named, id).await;
    let rows = forge.rows();
    let mut got = Vec::new();
    for (what, said, shown, code) in rows {
        got.push((what, forge.send(house, &said, shown).await, code));
    }
    let lines = owners_lines(house);
    let mut wrong = Vec::new();
    for (what, answer, code) in &got {
        let line = lines.iter().find(|line| line["trace"] == answer.json["trace"]);
        let reason = line.map_or("no line", |line| line["dec"]["reason"].as_str().unwrap_or_default());
        if answer.json["code"] != *code || reason != *code {
            wrong.push(format!("{what}: wants {code}, line {reason}: {}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), got.len(), wrong.join("\n"));
    println!("{} filings of agents sent to the owner, each answered as it must be", got.len());
}

/// A power of attorney registered at B, under which an agent acts at A: until it is taken back there.
pub async fn registered_elsewhere(house: &House<'_>) {
    let federation = house.federation;
    let (portal, registrar, person) = (federation.anybody(0), federation.anybody(1), federation.token("citizen"));
    let give = async |change: Value| {
        let draft = json!({"kind": "attorney", "to": house.key_of("lisi"), "items": [ITEM], "acts": ["file", "read"]});
        let draft = changed(draft, &change);
        let answer = registrar.send("POST", "/v1/papers", &bearer(&person), json_body(&draft)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.json["id"].as_str().unwrap().to_owned(), answer.json["paper"].as_str().unwrap().to_owned())
    };
    let phone = Device::new();
    let agent = phone.token(house, "lisi");
    let ask = async |paper: &str| {
        let proof = vec![("dpop", phone.proof(&portal, "POST", "/v1/token", None, None))];
        exchange(&portal, &proof, (&person, &agent), &[("paper", paper)]).await
    };
    let (id, paper) = give(json!({})).await;
    let token = given(&ask(&paper).await);
    let file = async || {
        let headers = phone.headers(&portal, "POST", "/v1/cases", &token);
        federation.file_as(&portal, &headers, "419001", "proxy").await
    };
    let filed = file().await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let named = Digest::of(paper.as_bytes()).to_string();
    let until = Instant::now() + WAIT;
    let arrived = |line: &Value| line["behalf"]["mandate"] == named.as_str() && line["behalf"]["relation"] == "agent";
    while !owners_lines(house).iter().any(arrived) {
        assert!(Instant::now() < until, "the owner's log does not name the paper");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // One that B would have signed, but never registered, and one that A signs in B's name.
    let key = fs::read(federation.folder.path().join("gw-419001/certs/assertion.key")).expect("a key");
    let voice = SigningKey::from_pkcs8(Algorithm::ES256, &pem::decode(&key).expect("PEM")[0].octets).expect("P-256");
    let mut wording: Wording = serde_json::from_value(claims(&paper)).expect("a wording");
    wording.jti = "never-registered".into();
    let unregistered = sign(PowerOfAttorney, &wording, &voice).expect("a paper");
    let borrowed = sign(PowerOfAttorney, &wording, &house.voice()).expect("a paper");
    for (what, paper, code) in [
        ("for another item", give(json!({"items": [OTHER_ITEM]})).await.1, "TB-IDN-0107"),
        ("to another agent", give(json!({"to": house.key_of("wangwu")})).await.1, "TB-IDN-0106"),
        ("for places of B's alone", give(json!({"places": ["419001"]})).await.1, "TB-IDN-0107"),
        ("never registered", unregistered, "TB-IDN-0101"),
        ("in another's name", borrowed, "TB-IDN-0101"),
    ] {
        let answer = ask(&paper).await;
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
    }
    // Who watches a case under it is told nothing more within a minute, though only B knows.
    let closed = federation::peer::Closed::new(federation);
    let open = file().await;
    let path = format!("/v1/cases/{}/events", open.json["case"].as_str().unwrap_or_else(|| panic!("{}", open.text())));
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n", portal.authority);
    for (name, value) in phone.headers(&portal, "GET", &path, &token) {
        head += &format!("{name}: {value}\r\n");
    }
    let begun = Instant::now();
    head += "connection: close\r\n\r\n";
    let watched = portal.raw(&head);
    let takes_back = async {
        tokio::time::sleep(LOOKS).await;
        let revoked = registrar.send("POST", &format!("/v1/papers/{id}/revoke"), &bearer(&person), None).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
    };
    let (watched, ()) = tokio::join!(tokio::time::timeout(WAIT + LOOKS, watched), takes_back);
    drop(closed);
    let watched = watched.expect("the stream ends within a minute of it");
    assert_eq!(watched.status, 200, "{}", watched.text());
    assert!(begun.elapsed() > 2 * LOOKS && watched.text().contains("still here"), "{}", watched.text());
    for answer in [file().await, ask(&paper).await] {
        assert_eq!(answer.json["code"], "TB-IDN-0104", "at once: {}", answer.text());
    }
}

/// Gateway A with all its keys, saying whatever it likes.
struct Forge {
    voice: SigningKey,
    foreign: SigningKey,
    container: Vec<u8>,
    case: CaseNo,
    paper: String,
    id: String,
    issuer: String,
    now: i64,
}

/// What it is, what A's word says, what is shown of the paper, and the code.
type Row = (&'static str, Value, Option<String>, &'static str);

impl Forge {
    async fn new(house: &House<'_>, paper: &str, id: &str) -> Self {
        let messages = house.federation.folder.path().join("office/messages");
        let by_agent = |file: &PathBuf| {
            let octets = fs::read(file).expect("a container");
            message(&octets)["delegation"].is_string().then_some(octets)
        };
        let until = Instant::now() + WAIT;
        let container = loop {
            match tools::files(&messages).iter().find_map(by_agent) {
                Some(container) => break container,
                None => assert!(Instant::now() < until, "the office has no case of an agent's"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let voice = house.voice();
        let foreign = SigningKey::generate(Algorithm::ES256).unwrap().named(voice.kid());
        let now = UnixMillis::now();
        // A number of A's that no case has.
        let case = CaseNo::new("419001".parse().unwrap(), now.day(), 19_998).expect("a number");
        let (paper, id, issuer) = (paper.to_owned(), id.to_owned(), house.world.issuer());
        Self { voice, foreign, container, case, paper, id, issuer, now: now.seconds() }
    }

    fn standing(&self, change: Value) -> Map<String, Value> {
        let holder = |number: &str| Digest::of(format!("salt\n{number}").as_bytes());
        let good = json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": self.now, "exp": self.now + 60, "jti": random_id().unwrap(),
            "kind": "attorney", "paper": self.paper, "id": self.id, "place": "440305000000", "issuer": self.issuer,
            "requester": "gw-440305", "salt": "salt", "holder": holder(NUMBER), "to": "the-agent-for-b", "act": "file",
            "item": ITEM, "case": self.case, "until": UnixMillis::from_seconds(self.now + 3_600),
        });
        changed(good, &change).as_object().unwrap().clone()
    }

    fn rows(&self) -> Vec<Row> {
        let word = |change: Value| Some(self.voice.sign(STANDING, &self.standing(change)).unwrap());
        let named = json!({ "paper": self.paper });
        let other = |number: &str| json!({ "holder": Digest::of(format!("salt\n{number}").as_bytes()) });
        let mut rows = vec![
            // Nothing is wrong with it but that its receipt is another case's: so far it came.
            ("a paper that holds", named.clone(), word(json!({})), "TB-EXC-0006"),
            ("no paper at all", json!({}), None, "TB-GW-0203"),
            ("a paper that is only named", named.clone(), None, "TB-GW-0203"),
            ("a paper that is only shown", json!({}), word(json!({})), "TB-GW-0203"),
            ("another paper than the one named", json!({"paper": Digest::of(b"x")}), word(json!({})), "TB-GW-0203"),
            (
                "another agent than the one named",
                json!({"paper": self.paper, "actor": "x"}),
                word(json!({})),
                "TB-IDN-0106",
            ),
        ];
        for (what, change, code) in [
            ("of another person", other("990101198505050028"), "TB-IDN-0106"),
            ("of nobody", json!({"holder": null}), "TB-IDN-0106"),
            ("to another agent", json!({"to": "somebody"}), "TB-IDN-0106"),
            ("for another case", json!({"case": "4190010000002026021300000017S"}), "TB-IDN-0107"),
            ("for another item", json!({"item": OTHER_ITEM}), "TB-IDN-0107"),
            ("for another act", json!({"act": "read"}), "TB-IDN-0107"),
            ("a consent", json!({"kind": "consent"}), "TB-IDN-0102"),
            ("that ran out before", json!({"until": UnixMillis::from_seconds(self.now - 1)}), "TB-IDN-0103"),
            ("said before it was revoked", json!({"iat": self.now - 300, "exp": self.now - 240}), "TB-GW-0203"),
            ("good for a day", json!({"exp": self.now + 86_400}), "TB-GW-0203"),
            ("for another gateway", json!({"aud": "gw-440305"}), "TB-GW-0203"),
            ("of a registrar that did not sign it", json!({"iss": "gw-419001"}), "TB-GW-0203"),
            ("shown by another", json!({"requester": "gw-419001"}), "TB-GW-0203"),
            ("registered outside A's divisions", json!({"place": "419001000000"}), "TB-GW-0203"),
            ("of a giver proven by a stranger", json!({"issuer": "https://id.example"}), "TB-GW-0203"),
        ] {
            rows.push((what, named.clone(), word(change), code));
        }
        let foreign = self.foreign.sign(STANDING, &self.standing(json!({}))).unwrap();
        rows.push(("under a foreign key", named, Some(foreign), "TB-GW-0203"));
        rows
    }

    /// Sends the agent's filing as a case of its own, with another word of A about who filed and under which paper.
    async fn send(&self, house: &House<'_>, said: &Value, shown: Option<String>) -> Answer {
        let message = message(&self.container);
        let (at, seq) = (UnixMillis::from_seconds(self.now), message["seq"].as_u64().expect("a number"));
        let id = format!("{}/gw-440305/{seq}", self.case);
        let word = json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": self.now, "exp": self.now + 60, "jti": random_id().unwrap(),
            "digest": Digest::of(id.as_bytes()), "place": "440305000000", "actor": "the-agent-for-b",
            "actor_kind": "citizen", "level": 3, "level_at": at, "terminal": "portal:gw-440305",
        });
        let word = self.voice.sign(ASSERTION, changed(word, said).as_object().unwrap()).unwrap();
        let change = json!({"id": id, "case": self.case, "at": at, "assertion": word, "delegation": shown});
        let bent = changed(message, &change);
        let octets = sealed(&house.home, &bent, Some(&self.container), at);
        send(house.federation, &house.home, 1, octets).await
    }
}

/// A's key counts at B between the dates that the directory gives it, and no more once the directory calls it revoked or
/// leaves it out: as soon as B has that version.
pub async fn keys_of_gateways(house: &House<'_>) {
    let world = &house.world;
    let b = house.federation.with(1, &house.home.join("certs/tls.pem"), &house.home.join("certs/tls.key"));
    let path = "/social-security/status";
    let ask = async || {
        let now = UnixMillis::now();
        let word = json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": now.seconds(), "exp": now.seconds() + 60,
            "jti": random_id().unwrap(), "digest": Digest::of(format!("GET {path}").as_bytes()), "place": "440305000000",
            "actor": "C-0001", "actor_kind": "staff", "level": 3, "level_at": now, "terminal": "window:W-440305-01",
        });
        let word = house.voice().sign(ASSERTION, word.as_object().unwrap()).unwrap();
        b.get(&format!("/peer/v1/pass{path}"), &vec![("tongban-assertion", word)]).await
    };
    let file = world.directory();
    let plain = directory::read(world, UnixMillis::now()).expect("a directory");
    let operator =
        pki::key(&world.federation().join("operator.key"), SignatureAlgorithm::EcdsaP256Sha256).expect("a key");
    let mut version = plain.version;
    let mut publish = |change: &dyn Fn(&mut Member)| {
        let mut listed = plain.clone();
        version += 1;
        listed.version = version;
        change(listed.members.iter_mut().find(|member| member.id == "gw-440305").expect("A"));
        let input = signed::signing_input(&serde_json::to_vec(&listed).expect("JSON"));
        let signature = jws::sign(&operator, input.as_bytes()).expect("signed");
        fs::write(&file, signed::assemble(&input, &signature)).expect("written");
        let config = house.federation.folder.path().join("gw-419001/tongban.toml");
        tools::tongban(&["reload", "--config", &config.display().to_string()])
    };
    let now = UnixMillis::now().seconds();
    for (what, member, value, good) in [
        ("in force for an hour", "exp", json!(now + 3_600), true),
        ("over", "exp", json!(now - 60), false),
        ("in force since yesterday", "nbf", json!(now - 86_400), true),
        ("in force from tomorrow", "nbf", json!(now + 86_400), false),
        ("revoked", "revoked", json!({"revoked_at": now}), false),
        ("in force again", "exp", json!(now + 7_200), true),
        ("not listed", "keys", Value::Null, false),
    ] {
        let done = publish(&|listed| match member {
            "keys" => listed.assertion_keys["keys"] = json!([]),
            _ => listed.assertion_keys["keys"][0][member] = value.clone(),
        });
        assert!(done.status.success(), "{what}: {}", tools::text(&done));
        let answer = ask().await;
        let want = if good { (200, None) } else { (401, Some("TB-GW-0201")) };
        assert_eq!((answer.status, answer.json["code"].as_str()), want, "{what}: {}", answer.text());
    }
    let refused = publish(&|listed| listed.assertion_keys["keys"][0]["exp"] = json!("tomorrow"));
    assert!(!refused.status.success(), "a date that is none: {}", tools::text(&refused));
    let done = publish(&|_| {});
    assert!(done.status.success(), "{}", tools::text(&done));
    assert_eq!(ask().await.status, 200, "and as it was");
}
