//! What crosses gateways about a person. Consents: the gateway where the data are takes nobody's word that a person agreed
//! (data about a household need consent here, and are asked anew each time). Attributes: what the item asks for.

#[path = "consents/at_home.rs"]
mod at_home;
#[path = "consents/attributes.rs"]
mod attributes;
mod federation;
#[path = "consents/for_what.rs"]
mod for_what;
mod tools;

use std::fs;
use std::path::PathBuf;

use federation::peer::changed;
use federation::{Answer, Federation, Headers, Window};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tongban::app::demo::World;
use tongban::catalogue;
use tongban::identity::issue::{SigningKey, random_id};
use tongban::terms::{CaseNo, Digest, UnixMillis};
use tongban::trust::pem;

const ITEM: &str = "002009901000";
const POLICE_B: &str = "11419001DT00001826";
const NUMBER: &str = "990101199202290010";
const STANDING: &str = "tongban-standing+jwt";
const FIELDS: [&str; 3] = ["household_address", "household_no", "relation"];
/// Tries until the office did not decide a case in between.
const TRIES: usize = 20;
const HOMES: [&str; 2] = ["gw-440305", "gw-419001"];

struct House<'f> {
    federation: &'f Federation,
    world: World,
    folder: PathBuf,
}

impl<'f> House<'f> {
    /// Both gateways work by a catalogue in which household data need the person's consent.
    fn new(federation: &'f Federation) -> Self {
        let folder = federation.folder.path().to_owned();
        let own = folder.join("catalogue");
        fs::create_dir(&own).expect("a folder");
        for home in HOMES {
            let file = folder.join(home).join("tongban.toml");
            let text = fs::read_to_string(&file).expect("a configuration");
            fs::write(&file, format!("catalogue = {:?}\n{text}", own.display().to_string())).expect("written");
        }
        let world = World::open(&folder).expect("the demonstration's folder");
        let house = Self { federation, world, folder };
        house.works_by(catalogue::EMBEDDED.items);
        house
    }

    /// Both gateways take this list of items.
    fn works_by(&self, items: &str) {
        let own = self.folder.join("catalogue");
        let shipped = catalogue::EMBEDDED;
        let resources: String = shipped
            .data_resources
            .lines()
            .enumerate()
            .map(|(n, line)| match (n, line.starts_with("DR-HH,")) {
                (0, _) => format!("{line},fields,fresh_s,stale_s,consent\n"),
                (_, true) => format!("{line},{},0,0,yes\n", FIELDS.join("|")),
                _ => format!("{line},,,,\n"),
            })
            .collect();
        let texts = [
            shipped.divisions,
            shipped.divisions_historic,
            shipped.divisions_demo,
            items,
            shipped.licence_types,
            &resources,
            shipped.authorities,
            shipped.calendar,
        ];
        for (name, text) in catalogue::FILE_NAMES.iter().zip(texts) {
            fs::write(own.join(name), text).expect("written");
        }
        for home in HOMES {
            let file = self.folder.join(home).join("tongban.toml");
            let done = tools::tongban(&["reload", "--config", &file.display().to_string()]);
            assert!(done.status.success(), "{}", tools::text(&done));
        }
    }

    fn home(&self, gateway: usize) -> PathBuf {
        self.folder.join(HOMES[gateway])
    }

    /// The key under which a gateway speaks.
    fn voice(&self, gateway: usize) -> SigningKey {
        let text = fs::read(self.home(gateway).join("certs/assertion.key")).expect("a key");
        SigningKey::from_pkcs8(Algorithm::ES256, &pem::decode(&text).expect("PEM")[0].octets).expect("P-256")
    }

    /// Lines of a gateway's log, oldest first.
    fn lines(&self, gateway: usize) -> Vec<Value> {
        let log = self.home(gateway).join("data/log");
        let shown = tools::tongban(&["audit", "show", &log.display().to_string()]);
        assert!(shown.status.success(), "{}", tools::text(&shown));
        let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Digests of the consents under which data were read, of these lines.
    fn read_under(lines: &[Value]) -> Vec<String> {
        let read = lines.iter().filter(|line| line["kind"] == "data.read" && line["ev"][0]["type"] == "DR-HH");
        read.filter_map(|line| line["why"]["consent"].as_str()).map(str::to_owned).collect()
    }

    /// Gives a consent at a gateway's portal: its number and the paper.
    async fn give(&self, gateway: usize, change: Value) -> (String, String) {
        let mut draft = json!({"kind": "consent", "to": POLICE_B, "resources": ["DR-HH"], "purpose": "case"});
        for (name, value) in change.as_object().unwrap() {
            draft[name] = value.clone();
        }
        let portal = self.federation.anybody(gateway);
        let answer = portal.send("POST", "/v1/papers", &self.own(), body(&draft)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |name: &str| answer.json[name].as_str().expect("a text").to_owned();
        (text("id"), text("paper"))
    }

    async fn revoke(&self, gateway: usize, id: &str) {
        let path = format!("/v1/papers/{id}/revoke");
        assert_eq!(self.federation.anybody(gateway).send("POST", &path, &self.own(), None).await.status, 200);
    }

    fn own(&self) -> Headers {
        vec![("authorization", format!("Bearer {}", self.federation.token("citizen")))]
    }

    /// A window with its clerk's and the citizen's tokens.
    fn counter(&self, gateway: usize) -> (Window, Headers) {
        let (window, clerk) = [("window", "clerk"), ("W-419001-02", "C-0002")][gateway];
        let clerk = self.federation.token(clerk);
        let both = vec![
            ("authorization", format!("Bearer {clerk}")),
            ("tongban-subject-token", self.federation.token("citizen")),
        ];
        (self.federation.client(window, gateway), both)
    }

    /// A gateway as a member of the federation, at another.
    fn as_member(&self, who: usize, at: usize) -> Window {
        let home = self.home(who);
        self.federation.with(at, &home.join("certs/tls.pem"), &home.join("certs/tls.key"))
    }
}

fn body(value: &Value) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", value.to_string().into_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consents_that_cross_gateways() {
    let federation = Federation::start(5).await;
    let house = House::new(&federation);
    filed_with_consent(&house).await;
    papers_of_either_gateway(&house).await;
    one_use_for_two_gateways(&house).await;
    what_is_shown_to_b(&house).await;
    at_home::at_home(&house).await;
    attributes::attributes_per_item(&house).await;
    for_what::purposes_and_fields(&house).await;
    for_what::what_was_agreed_to_is_basis_enough(&house).await;
    for_what::how_old_a_proof_may_be(&house).await;
}

/// Who agrees at the counter gives a paper there and then; both logs name it. Who does not is not looked up.
async fn filed_with_consent(house: &House<'_>) {
    let (window, both) = house.counter(0);
    let filing = json!({
        "item": ITEM, "places": {"household": "419001"}, "present": true, "form": {"use": "入学"},
        "materials": [{"no": 1, "file": "id.ofd"}],
    });
    let file = async |change: Value| {
        let files = [("id.ofd", house.federation.licence())];
        house.federation.send_filing(&window, &both, &changed(filing.clone(), &change), &files).await
    };
    let answer = file(json!({})).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (403, Some("TB-POL-0505")), "{}", answer.text());
    let answer = file(json!({"consent": true})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let (_, before) = house.give(0, json!({"once": true, "items": [ITEM]})).await;
    let answer = file(json!({"consent_paper": before})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let again = file(json!({"consent_paper": before, "form": {"use": "落户"}})).await;
    assert_eq!(again.json["code"], "TB-IDN-0105", "{}", again.text());
    let (_, wrong) = house.give(0, json!({"to": "11419001DT0000211H"})).await;
    let answer = file(json!({"consent_paper": wrong, "form": {"use": "补办"}})).await;
    assert_eq!(answer.json["code"], "TB-IDN-0106", "{}", answer.text());

    let [a, b] = [0, 1].map(|n| House::read_under(&house.lines(n)));
    let before = Digest::of(before.as_bytes()).to_string();
    assert_eq!(a.len(), 2, "{a:?}");
    assert_eq!(a, b, "both logs name the papers");
    assert!(a.contains(&before), "{a:?}");
}

/// A consent counts at the gateway that registered it and at any other, for what it says and until it is taken back.
async fn papers_of_either_gateway(house: &House<'_>) {
    for registrar in [0, 1] {
        let mut done = false;
        for _ in 0..TRIES {
            done = looked_up_under(house, registrar).await;
            if done {
                break;
            }
        }
        assert!(done, "every case was decided at once");
    }
}

/// Tries in a case of its own what a consent registered there is good for. `false` when the office decided it in between.
async fn looked_up_under(house: &House<'_>, registrar: usize) -> bool {
    let (window, both) = house.counter(0);
    let case = open_case(house, 0).await;
    let look = async |change: Value| {
        let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true});
        window.send("POST", "/v1/lookups", &both, body(&changed(ask, &change))).await
    };
    let give = async |change: Value| house.give(registrar, change).await.1;
    let narrow = give(json!({"fields": ["relation"]})).await;
    let (id, many) = house.give(registrar, json!({"case": case})).await;
    let first = look(json!({"consent_paper": many})).await;
    let one = look(json!({"consent_paper": narrow, "fields": ["relation"]})).await;
    if decided(&first) || decided(&one) {
        return false;
    }
    for (answer, fields) in [(first, 3), (one, 1)] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json["fields"].as_object().map(|f| f.len()), Some(fields), "{}", answer.text());
    }
    // The clerk's own word, without the citizen's token beside it.
    let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true});
    let bare = window.send("POST", "/v1/lookups", &both[..1].to_vec(), body(&ask)).await;
    house.revoke(registrar, &id).await;
    let gone = look(json!({"consent_paper": many})).await;
    // Papers are judged before the rules: that the case was decided by now changes nothing.
    assert_eq!((gone.status, gone.json["code"].as_str()), (403, Some("TB-IDN-0104")), "{}", gone.text());
    assert!(decided(&bare) || bare.json["code"] == "TB-POL-0505", "{}", bare.text());
    for (what, paper, code) in [
        ("for another department", give(json!({"to": "11419001DT0000211H"})).await, "TB-IDN-0106"),
        ("for other data", give(json!({"resources": ["DR-POP"]})).await, "TB-IDN-0107"),
        ("for one field of three", narrow, "TB-IDN-0107"),
        ("for another purpose", give(json!({"purpose": "statistics"})).await, "TB-IDN-0107"),
        ("for another item", give(json!({"items": ["002014901000"]})).await, "TB-IDN-0107"),
    ] {
        let answer = look(json!({"consent_paper": paper})).await;
        assert_eq!(answer.json["code"], code, "{what} at {registrar}: {}", answer.text());
    }
    for gateway in [0, 1] {
        let read = House::read_under(&house.lines(gateway));
        assert!(read.contains(&Digest::of(many.as_bytes()).to_string()), "{gateway}: {read:?}");
    }
    true
}

/// A case that the office has not decided yet, collected at a gateway for Jiyuan.
async fn open_case(house: &House<'_>, gateway: usize) -> String {
    let (window, both) = house.counter(gateway);
    let filed = house.federation.file(&window, &both, "419001", None).await;
    filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned()
}

/// Whether the office decided the case in between: our rules say so, or the owner, who knows first.
fn decided(answer: &Answer) -> bool {
    let said = |text: &str| answer.json["reason"].as_str().is_some_and(|reason| reason.contains(text));
    answer.json["code"] == "TB-POL-0502" || said("TB-FED-0003") || said("TB-POL-0502")
}

/// One consent for one use, looked up under at both gateways at once, each in a case of its own: one has it.
async fn one_use_for_two_gateways(house: &House<'_>) {
    const EACH: usize = 6;
    for registrar in [0, 1] {
        let mut done = false;
        for _ in 0..TRIES {
            let (_, once) = house.give(registrar, json!({"once": true})).await;
            let mut tasks = Vec::new();
            for gateway in [0, 1] {
                let case = open_case(house, gateway).await;
                let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent_paper": once});
                for _ in 0..EACH {
                    let ((window, both), ask) = (house.counter(gateway), ask.clone());
                    tasks
                        .push(tokio::spawn(async move { window.send("POST", "/v1/lookups", &both, body(&ask)).await }));
                }
            }
            let (mut codes, mut late) = (Vec::new(), false);
            for task in tasks {
                let answer = task.await.expect("an answer");
                late |= decided(&answer);
                codes.push(answer.json["code"].as_str().unwrap_or("given").to_owned());
            }
            let count = |code: &str| codes.iter().filter(|c| *c == code).count();
            assert!(count("given") <= 1, "a paper for one use is used once: {codes:?}");
            // Where a case was decided in between, whoever held the paper was refused for that: another try.
            done = !late;
            if done {
                assert_eq!((count("given"), count("TB-IDN-0105")), (1, 2 * EACH - 1), "{codes:?}");
                break;
            }
        }
        assert!(done, "every case was decided at once");
    }
}

/// What another member may show to the gateway where the data are, and what comes of it; each no is in the log with the
/// paper it was about.
async fn what_is_shown_to_b(house: &House<'_>) {
    let now = UnixMillis::now().seconds();
    let voice = house.voice(0);
    let b = house.as_member(0, 1);
    // A number of A's that no case has.
    let case = CaseNo::new("419001".parse().unwrap(), UnixMillis::now().day(), 1_0000 + 9_999).expect("a number");
    let (id, paper) = house.give(0, json!({"case": case})).await;
    let (gone_id, gone) = house.give(0, json!({"case": case})).await;
    let (spent_id, spent) = house.give(0, json!({"case": case, "once": true})).await;
    house.revoke(0, &gone_id).await;
    let holder = |salt: &str, number: &str| Digest::of(format!("{salt}\n{number}").as_bytes());
    let good = || {
        json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": now, "exp": now + 60, "jti": random_id().unwrap(),
            "kind": "consent", "paper": Digest::of(paper.as_bytes()), "id": id, "place": "440305000000",
            "issuer": house.world.issuer(), "requester": "gw-440305", "salt": "salt", "holder": holder("salt", NUMBER),
            "to": POLICE_B, "act": "use", "item": ITEM, "case": case, "resource": "DR-HH", "fields": FIELDS,
            "purpose": "case", "until": UnixMillis::from_seconds(now + 3_600),
        })
    };
    let claims = |change: &Value| changed(good(), change).as_object().unwrap().clone();
    let word = |change: Value| json!(voice.sign(STANDING, &claims(&change)).unwrap());
    let ask_for = async |consent: Value, change: Value| {
        let remote = changed(
            json!({
                "resource": "DR-HH", "subject": NUMBER, "fields": FIELDS, "purpose": "case", "item": ITEM, "case": case,
                "authority": POLICE_B, "place": "419001000000", "requester": "440305000000",
            }),
            &json!({ "consent": consent }),
        );
        let remote = changed(remote, &change);
        let text = remote.to_string();
        let at = UnixMillis::now();
        let vouched = json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": at.seconds(), "exp": at.seconds() + 60,
            "jti": random_id().unwrap(), "digest": Digest::of(text.as_bytes()), "place": "440305000000",
            "actor": "C-0001", "actor_kind": "staff", "level": 3, "level_at": at, "terminal": "window:W-440305-01",
        });
        let assertion = voice.sign("tongban-assertion+jwt", vouched.as_object().unwrap()).unwrap();
        let headers = vec![("tongban-assertion", assertion)];
        b.send("POST", "/peer/v1/lookups", &headers, Some(("application/json", text.into_bytes()))).await
    };
    let ask = async |consent: Value| ask_for(consent, json!({})).await;
    let fine = word(json!({}));
    let answer = ask(fine.clone()).await;
    assert_eq!(answer.status, 200, "what is not bent is good: {}", answer.text());
    let foreign = SigningKey::generate(Algorithm::ES256).unwrap().named(voice.kid());
    let of_spent = json!({"id": spent_id, "paper": Digest::of(spent.as_bytes()), "held": UnixMillis(1)});
    let rows = [
        ("no consent", Value::Null, "TB-POL-0505"),
        ("a bare flag", json!(true), "TB-HTTP-0009"),
        ("a word that is none", json!("true"), "TB-GW-0203"),
        ("the paper alone", json!(paper), "TB-GW-0203"),
        ("the same word again", fine, "TB-GW-0203"),
        ("a foreign key", json!(foreign.sign(STANDING, &claims(&json!({}))).unwrap()), "TB-GW-0203"),
        ("another kind of word", json!(voice.sign("at+jwt", &claims(&json!({}))).unwrap()), "TB-GW-0203"),
        ("of another registrar under A's key", word(json!({"iss": "gw-419001"})), "TB-GW-0203"),
        ("of a registrar that is no member", word(json!({"iss": "gw-999999"})), "TB-GW-0203"),
        ("for another gateway", word(json!({"aud": "gw-440305"})), "TB-GW-0203"),
        ("shown by another", word(json!({"requester": "gw-419001"})), "TB-GW-0203"),
        ("registered outside A's divisions", word(json!({"place": "419001000000"})), "TB-GW-0203"),
        ("registered for the whole province", word(json!({"place": "440000000000"})), "TB-GW-0203"),
        ("of a giver whom nobody proved", word(json!({"issuer": null})), "TB-GW-0203"),
        ("of a giver proven by a stranger", word(json!({"issuer": "https://id.example"})), "TB-GW-0203"),
        ("said long ago", word(json!({"iat": now - 300, "exp": now - 240})), "TB-GW-0203"),
        ("said tomorrow", word(json!({"iat": now + 86_400, "exp": now + 86_460})), "TB-GW-0203"),
        ("good for an hour", word(json!({"exp": now + 3_600})), "TB-GW-0203"),
        ("over before it began", word(json!({"exp": now - 1})), "TB-GW-0203"),
        ("with a member nobody knows", word(json!({"admin": true})), "TB-GW-0203"),
        ("another kind of paper", word(json!({"kind": "attorney"})), "TB-IDN-0102"),
        ("a paper that ran out", word(json!({"until": UnixMillis::from_seconds(now - 1)})), "TB-IDN-0103"),
        ("of another person", word(json!({"holder": holder("salt", "990101198505050028")})), "TB-IDN-0106"),
        ("under another salt", word(json!({"salt": "other"})), "TB-IDN-0106"),
        ("of nobody", word(json!({"holder": null})), "TB-IDN-0106"),
        ("of a department", word(json!({"from": POLICE_B})), "TB-IDN-0106"),
        ("to another department", word(json!({"to": "11419001DT0000211H"})), "TB-IDN-0106"),
        ("for another act", word(json!({"act": "file"})), "TB-IDN-0107"),
        ("for another item", word(json!({"item": "002014901000"})), "TB-IDN-0107"),
        ("for no item", word(json!({"item": null})), "TB-IDN-0107"),
        ("for another case", word(json!({"case": "4190010000002026021300000017S"})), "TB-IDN-0107"),
        ("for whatever case", word(json!({"case": null})), "TB-IDN-0107"),
        ("for other data", word(json!({"resource": "DR-POP"})), "TB-IDN-0107"),
        ("for fewer fields", word(json!({"fields": ["relation"]})), "TB-IDN-0107"),
        ("for another purpose", word(json!({"purpose": "statistics"})), "TB-IDN-0107"),
        ("revoked a moment ago", word(json!({"id": gone_id, "paper": Digest::of(gone.as_bytes())})), "TB-IDN-0104"),
        ("for one use that nobody holds", word(of_spent), "TB-IDN-0105"),
    ];
    let mut got = Vec::new();
    for (what, consent, code) in rows {
        let named = consent.as_str().and_then(paper_of);
        got.push((what, ask(consent).await, code, named));
    }
    let lines = house.lines(1);
    let mut wrong = Vec::new();
    for (what, answer, code, named) in &got {
        let line = lines.iter().find(|line| line["trace"] == answer.json["trace"]);
        let reason = line.map_or("no line", |line| line["dec"]["reason"].as_str().unwrap_or_default());
        // Once it is read, the line names the paper.
        let paper = line.and_then(|line| line["why"]["consent"].as_str());
        let unread = matches!(*code, "TB-POL-0505" | "TB-HTTP-0009" | "TB-GW-0203");
        if answer.json["code"] != *code || reason != *code || (!unread && paper != named.as_deref()) {
            wrong.push(format!("{what}: wants {code}, line {reason} {paper:?}: {}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), got.len(), wrong.join("\n"));
    println!("{} shown consents refused, each with its code and its line", got.len());

    // In whose name it is asked: the one authority that has this case by B's own register, whatever A says and whoever agreed.
    let mut got = Vec::new();
    for (what, change) in [
        ("another department of the place", json!({"authority": "11419001DT0000211H"})),
        ("the same department of another place", json!({"authority": "深圳市南山区公安部门"})),
        ("an authority that is none", json!({"authority": "91310000MA1FL0000X"})),
        ("nobody", json!({"authority": ""})),
        ("nobody, for a department's item", json!({"authority": "", "item": "002014901000"})),
        ("from a place that is not A's", json!({"requester": "419001000000"})),
        ("from the whole country", json!({"requester": "000000000000"})),
    ] {
        let to = change["authority"].as_str().unwrap_or(POLICE_B).to_owned();
        got.push((what, ask_for(word(json!({ "to": to })), change).await));
    }
    let lines = house.lines(1);
    for (what, answer) in got {
        let line = lines.iter().find(|line| line["trace"] == answer.json["trace"]);
        let code = if what.contains("country") { "TB-HTTP-0009" } else { "TB-FED-0003" };
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
        assert_eq!(line.map(|line| &line["dec"]["reason"]), Some(&json!(code)), "{what}");
    }

    // Nor is a peer's word about a purpose or a field what B's own catalogue names for the item.
    for (what, change, code) in [
        ("for a purpose that the item does not name", json!({"purpose": "marketing"}), "TB-POL-0507"),
        ("for no purpose", json!({"purpose": ""}), "TB-POL-0003"),
        ("for a field that the register does not list", json!({"fields": ["income"]}), "TB-POL-0504"),
    ] {
        let answer = ask_for(word(change.clone()), change).await;
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
        let line = house.lines(1).into_iter().find(|line| line["trace"] == answer.json["trace"]);
        assert_eq!(line.map(|line| line["dec"]["reason"].clone()), Some(json!(code)), "{what}");
    }

    // What a registrar is asked, and by whom.
    let wanted = json!({
        "kind": "consent", "paper": paper, "audience": "gw-419001", "subject": NUMBER, "to": POLICE_B, "act": "use",
        "item": ITEM, "place": "419001000000", "case": case, "resource": "DR-HH", "fields": FIELDS, "purpose": "case",
    });
    let a = house.as_member(1, 0);
    let state = async |change: Value| {
        a.send("POST", "/peer/v1/papers", &Headers::new(), body(&changed(wanted.clone(), &change))).await
    };
    let shown = state(json!({})).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert!(!shown.text().contains(NUMBER));
    for (what, change, code) in [
        ("about another person", json!({"subject": "990101198505050028"}), "TB-IDN-0106"),
        ("about nobody", json!({"subject": null}), "TB-GW-0203"),
        ("outside its divisions", json!({"place": "440305000000"}), "TB-FED-0003"),
        ("for a gateway that is none", json!({"audience": "gw-999999"}), "TB-FED-0003"),
        ("for another case", json!({"case": null}), "TB-IDN-0107"),
        ("a revoked one", json!({"paper": gone}), "TB-IDN-0104"),
        ("bent", json!({"paper": format!("{paper}A")}), "TB-IDN-0101"),
    ] {
        let answer = state(change).await;
        assert_eq!(answer.json["code"], code, "{what}: {}", answer.text());
    }
    // A word of A's for itself is not B's to end, nor one that A never said.
    let uses = async |standing: &Value| {
        let ending = json!({"standing": standing, "end": "back"});
        a.send("POST", "/peer/v1/papers/uses", &Headers::new(), body(&ending)).await
    };
    for (what, standing) in [
        ("shown by A alone", word(json!({}))),
        ("under a foreign key", json!(foreign.sign(STANDING, &claims(&json!({}))).unwrap())),
        ("under B's key", json!(house.voice(1).sign(STANDING, &claims(&json!({}))).unwrap())),
    ] {
        let answer = uses(&standing).await;
        assert_eq!(answer.json["code"], "TB-GW-0203", "{what}: {}", answer.text());
    }
    let window = house.federation.client("window", 0);
    let answer = window.send("POST", "/peer/v1/papers", &Headers::new(), body(&wanted)).await;
    assert_eq!(answer.json["code"], "TB-GW-0101", "a window is no gateway: {}", answer.text());
}

/// The paper that a word is about.
fn paper_of(word: &str) -> Option<String> {
    use base64::Engine;
    let part = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(word.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&part).ok()?["paper"].as_str().map(str::to_owned)
}
