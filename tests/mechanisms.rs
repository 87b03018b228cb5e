//! Mechanisms of the business at running gateways: what `docs/mechanisms.md` says of windows, terminals, duties and contacts.
//! One federation for all of it.

#[path = "mechanisms/basis.rs"]
mod basis;
#[path = "mechanisms/beyond.rs"]
mod beyond;
mod federation;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use federation::{Answer, Federation, Headers, Window};
use serde_json::{Value, json};

const HOUSEHOLD: &str = "002009901000";
const SOCIAL_SECURITY: &str = "002014901000";
const SENIOR: &str = "002011901000";
const FUND: &str = "002017901000";

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default())
}

fn alone(federation: &Federation, who: &str) -> Headers {
    vec![("authorization", format!("Bearer {}", federation.token(who)))]
}

fn beside(federation: &Federation, clerk: &str) -> Headers {
    [alone(federation, clerk), vec![("tongban-subject-token", federation.token("citizen"))]].concat()
}

fn body(value: &Value) -> Option<(&'static str, Vec<u8>)> {
    Some(("application/json", value.to_string().into_bytes()))
}

/// The household certificate at the counter, with some members changed.
fn household(change: &Value) -> Value {
    let mut request = json!({
        "item": HOUSEHOLD, "places": {"household": "419001"}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    });
    for (name, value) in change.as_object().expect("members") {
        request[name] = value.clone();
    }
    request
}

async fn file(federation: &Federation, window: &Window, headers: &Headers, request: &Value) -> Answer {
    federation.send_filing(window, headers, request, &[("id.ofd", federation.licence())]).await
}

fn number(filed: &Answer) -> String {
    assert_eq!(filed.status, 202, "{}", filed.text());
    filed.json["case"].as_str().expect("a case").to_owned()
}

/// Lines of a gateway's log, newest last.
fn lines(federation: &Federation, gateway: &str, kind: &str) -> Vec<Value> {
    let log = federation.folder.path().join(gateway).join("data/log");
    let shown = tools::tongban(&["audit", "show", &log.display().to_string()]);
    assert!(shown.status.success(), "{}", tools::text(&shown));
    let all = String::from_utf8_lossy(&shown.stdout).into_owned();
    all.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).filter(|l| l["kind"] == kind).collect()
}

/// The line of a refusal. The newest may be of something else: what is under way between gateways goes on.
fn denied(federation: &Federation, gateway: &str, answer: &Answer) -> Value {
    let found = lines(federation, gateway, "deny").into_iter().rfind(|line| line["trace"] == answer.json["trace"]);
    found.unwrap_or_else(|| panic!("no line: {}", answer.text()))
}

/// A gateway's files, changed while it runs.
struct Files(PathBuf);

impl Files {
    fn new(federation: &Federation) -> Self {
        Self::of(federation, "gw-440305")
    }

    fn of(federation: &Federation, gateway: &str) -> Self {
        Self(federation.folder.path().join(gateway))
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap_or_else(|e| panic!("{file}: {e}"));
    }

    /// Whether the reload was taken, and what it said.
    fn reload(&self) -> (bool, String) {
        let done = tools::tongban(&["reload", "--config", &self.0.join("tongban.toml").display().to_string()]);
        (done.status.success(), tools::text(&done))
    }

    fn taken(&self) {
        let (done, told) = self.reload();
        assert!(done, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_terminals_duties_and_contacts() {
    let federation = Federation::start(9).await;
    departments_at_one_window(&federation).await;
    priority_loosens_nothing(&federation).await;
    duties_are_separate(&federation).await;
    nothing_is_asked_for_needlessly(&federation).await;
    sealed_by_its_issuer(&federation).await;
    decided_on_the_spot(&federation).await;
    contacts_are_on_record(&federation).await;
    items_at_a_window(&federation).await;
    basis::on_what_it_rests(&federation).await;
    beyond::the_common_way(&federation).await;
    alone_at_a_terminal(&federation).await;
}

/// One clerk, one sign-in of the applicant, cases of several departments (一窗受理, 无差别受理).
async fn departments_at_one_window(federation: &Federation) {
    let (window, both) = (federation.client("window", 0), beside(federation, "C-0001"));
    let mut authorities = std::collections::BTreeSet::new();
    for request in [
        household(&json!({})),
        household(&json!({
            "item": SOCIAL_SECURITY, "places": {"residence": "419001"}, "form": {},
            "materials": [{"no": 1, "file": "id.ofd"}, {"no": 2, "file": "photo"}],
        })),
    ] {
        let photo = [("photo", b"\xff\xd8\xff\xe0 a photograph".to_vec())];
        let files = [("id.ofd", federation.licence())].into_iter().chain(photo);
        let files: Vec<_> = files.take(request["materials"].as_array().expect("materials").len()).collect();
        let no = number(&federation.send_filing(&window, &both, &request, &files).await);
        let seen = window.get(&format!("/v1/cases/{no}"), &both).await;
        authorities.insert(seen.json["authority"].as_str().expect("an authority").to_owned());
    }
    assert_eq!(authorities.len(), 2, "{authorities:?}");
}

/// Whoever is to be served first is checked like everybody (绿色通道); the owner sees it, and who was asked first (首问负责).
async fn priority_loosens_nothing(federation: &Federation) {
    let window = federation.client("window", 0);
    let both = beside(federation, "C-0001");
    for (what, change, headers) in [
        ("who is not there", json!({"present": false}), both.clone()),
        ("an item that goes no further than its city", json!({"item": SENIOR}), both.clone()),
        ("nobody signed in", json!({}), alone(federation, "C-0001")),
        ("another clerk's desk", json!({}), beside(federation, "C-0002")),
        ("a mode that is not offered", json!({"mode": "joint"}), both.clone()),
        ("a field that is not asked for", json!({"form": {"phone": "1"}}), both.clone()),
    ] {
        let mut hurried = change.clone();
        hurried["priority"] = true.into();
        let plain = file(federation, &window, &headers, &household(&change)).await;
        let first = file(federation, &window, &headers, &household(&hurried)).await;
        assert!((400..500).contains(&plain.status), "{what}: {}", plain.text());
        assert_eq!(code(&first), code(&plain), "{what}: {}", first.text());
    }
    let no = number(&file(federation, &window, &both, &household(&json!({"priority": true}))).await);
    let path = format!("/v1/cases/{no}");
    let closed = federation.until(&window, &both, &no, "closed").await;
    let owner = federation.anybody(1).get(&path, &alone(federation, "citizen")).await;
    for seen in [&closed, &owner] {
        let first = json!({"at": "window:W-440305-01", "name": "南山区政务服务中心跨省通办窗口", "staff": "C-0001"});
        assert_eq!((&seen.json["priority"], &seen.json["first_handler"]), (&json!(true), &first), "{}", seen.text());
    }
    let line = lines(federation, "gw-440305", "case.event").into_iter().rev().find(|l| l["facts"]["priority"] == "yes");
    assert_eq!(line.expect("it is on record")["actor"]["staff"], "C-0001");
    // Nobody says it of themselves.
    let (portal, own) = (federation.anybody(0), alone(federation, "citizen"));
    let online = household(&json!({"mode": "online", "priority": true, "present": false}));
    let no = number(&file(federation, &portal, &own, &online).await);
    let seen = portal.get(&format!("/v1/cases/{no}"), &own).await;
    assert_eq!(seen.json["priority"], false, "{}", seen.text());
    assert_eq!(seen.json["first_handler"]["staff"], Value::Null, "{}", seen.text());
}

/// Who received a case neither examines nor decides it, whatever the department's system says; each try is on record (受审分离).
async fn duties_are_separate(federation: &Federation) {
    let (window, office) = (federation.client("W-419001-02", 1), federation.client("office-419001", 1));
    let both = beside(federation, "C-0002");
    let no = number(&file(federation, &window, &both, &household(&json!({}))).await);
    for (act, by, want) in [
        ("begin_review", "C-0002", "TB-POL-0302"),
        ("grant", "C-0002", "TB-POL-0302"),
        ("refuse", "C-0002", "TB-POL-0302"),
    ] {
        let order = json!({"act": act, "by": by, "note": "理由"});
        let path = format!("/office/v1/cases/{no}/acts");
        let answer = office.send("POST", &path, &Headers::new(), body(&order)).await;
        assert_eq!(code(&answer), (403, want), "{act}: {}", answer.text());
        let line = denied(federation, "gw-419001", &answer);
        assert_eq!(line["dec"]["reason"], want, "{act}: {line}");
    }
    // The window itself has no word for a no.
    let veto = json!({"act": "not_accept", "mandate": "a.b.c", "note": "理由"});
    let answer = window.send("POST", &format!("/v1/cases/{no}/acts"), &alone(federation, "C-0002"), body(&veto)).await;
    assert_eq!(code(&answer), (403, "TB-GW-0103"), "{}", answer.text());
}

/// What sharing gives is not taken from the applicant, nor asked for in a notice; nor is what was handed in, what an electronic
/// licence replaces, or what the guide does not list (不得要求企业群众提供, 不得要求重复提交).
async fn nothing_is_asked_for_needlessly(federation: &Federation) {
    let (window, office) = (federation.client("W-419001-02", 1), federation.client("office-419001", 1));
    let both = beside(federation, "C-0002");
    let two = json!({"materials": [{"no": 1, "file": "id.ofd"}, {"no": 2, "file": "book.jpg"}]});
    let with_book = [("id.ofd", federation.licence()), ("book.jpg", b"\xff\xd8\xff\xe0 a household register".to_vec())];
    let taken = federation.send_filing(&window, &both, &household(&two), &with_book).await;
    assert_eq!(code(&taken), (422, "TB-POL-0401"), "{}", taken.text());
    assert_eq!(taken.json["rules"], json!(["shared-never-demanded"]), "{}", taken.text());
    let line = denied(federation, "gw-419001", &taken);
    assert_eq!(line["dec"]["rules"], json!(["shared-never-demanded"]), "{line}");
    // What somebody hands in of their own accord, nobody demanded.
    let mut own = household(&two);
    own["mode"] = "online".into();
    own["form"] = json!({"use": "自愿"});
    let portal = federation.anybody(1);
    let volunteered = federation.send_filing(&portal, &alone(federation, "citizen"), &own, &with_book).await;
    assert_eq!(volunteered.status, 202, "{}", volunteered.text());

    let closed = federation::peer::Closed::new(federation);
    let filed = file(federation, &window, &both, &household(&json!({"form": {"use": "补正"}}))).await;
    let path = format!("/office/v1/cases/{}/acts", number(&filed));
    let notice = async |materials: Value| {
        let order =
            json!({"act": "request_supplement", "by": "O-0001", "note": "请于5日内补正", "materials": materials});
        office.send("POST", &path, &Headers::new(), body(&order)).await
    };
    for (what, materials, want, rule) in [
        ("nothing", json!([]), (422, "TB-GW-0304"), Value::Null),
        ("one twice", json!([{"no": 1}, {"no": 1}]), (422, "TB-GW-0304"), Value::Null),
        ("what sharing gives", json!([{"no": 2}]), (422, "TB-POL-0401"), json!(["shared-never-demanded"])),
        (
            "a paper instead of the licence",
            json!([{"no": 1, "wrong": "请交原件", "paper": true}]),
            (422, "TB-POL-0401"),
            json!(["licence-instead-of-paper"]),
        ),
        ("what was handed in", json!([{"no": 1}]), (422, "TB-POL-0402"), json!(["never-twice"])),
        (
            "what the guide does not list",
            json!([{"no": 9, "wrong": "其他材料"}]),
            (422, "TB-POL-0402"),
            json!(["nothing-beyond-guide"]),
        ),
    ] {
        let answer = notice(materials).await;
        assert_eq!((code(&answer), &answer.json["rules"]), (want, &rule), "{what}: {}", answer.text());
    }
    let order = json!({"act": "accept", "by": "O-0001", "materials": [{"no": 1}]});
    let other = office.send("POST", &path, &Headers::new(), body(&order)).await;
    assert_eq!(code(&other), (422, "TB-GW-0304"), "another act asks for nothing: {}", other.text());
    let good = notice(json!([{"no": 1, "wrong": "有效期不清晰"}])).await;
    assert_eq!((good.status, &good.json["state"]), (200, &json!("supplement_pending")), "{}", good.text());
    drop(closed);
}

/// A licence under a good seal of a body that did not issue it is none, at either gateway.
async fn sealed_by_its_issuer(federation: &Federation) {
    use tongban::app::demo::licence::{Holder, Under, issue};
    let world = tongban::app::demo::World::open(federation.folder.path()).expect("the demonstration's folder");
    let holder = tongban::app::demo::people::Person::find("citizen").and_then(Holder::of).expect("a person");
    let card = issue(&world, Under::Another, "LT-ID", holder, tongban::terms::UnixMillis::now()).expect("a licence");
    let (window, both) = (federation.client("window", 0), beside(federation, "C-0001"));
    let request = household(&json!({"form": {"use": "印章"}}));
    let filed = federation.send_filing(&window, &both, &request, &[("id.ofd", card.clone())]).await;
    assert_eq!(code(&filed), (422, "TB-LIC-0205"), "{}", filed.text());
    assert_eq!(denied(federation, "gw-440305", &filed)["dec"]["reason"], "TB-LIC-0205");
    // Where certificates do not name bodies, the operator says so: then its register must know the licence, as it does.
    let files = Files::new(federation);
    let config = files.read("tongban.toml");
    files.write("tongban.toml", &format!("{config}\n[trust]\nsealed_by_issuer = false\n"));
    files.taken();
    let taken = federation.send_filing(&window, &both, &request, &[("id.ofd", card)]).await;
    assert_eq!(taken.status, 202, "{}", taken.text());
    // The owner has its own say: it does not take what another would.
    let no = number(&taken);
    let mut state = Value::Null;
    for _ in 0..100 {
        state = window.get(&format!("/v1/cases/{no}"), &both).await.json["deliveries"][0].clone();
        if state["state"] == "refused" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!((&state["state"], &state["code"]), (&json!("refused"), &json!("TB-LIC-0205")), "{state}");
    files.write("tongban.toml", &config);
    files.taken();
}

/// A clerk's token that names other roles.
fn with_roles(federation: &Federation, clerk: &str, roles: &[&str]) -> Headers {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    use tongban::app::demo::{World, jws, tokens};
    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let key = tongban::trust::suite::load_key(&world.federation().join(format!("{}.key", tokens::STAFF)));
    let token = federation.token(clerk);
    let claims = B64.decode(token.split('.').nth(1).expect("claims")).expect("base64url");
    let mut claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["roles"] = json!(roles);
    claims["jti"] = format!("{}-{}", claims["jti"], roles.join("-")).into();
    let token = jws::token(&key.expect("a key"), "at+jwt", json!({"kid": tokens::STAFF}), &claims).expect("a token");
    vec![("authorization", format!("Bearer {token}"))]
}

/// A chief representative (首席事务代表) receives, examines and grants an immediate item on the spot, within the department's
/// mandate; nobody else does two of it.
async fn decided_on_the_spot(federation: &Federation) {
    // The department's system is away, so that the window is the only one who acts.
    let files = Files::of(federation, "gw-419001");
    let config = files.read("tongban.toml");
    let at = config.find("id = \"office-419001\"").expect("an office");
    let url = config[at..].lines().find(|line| line.starts_with("url = ")).expect("an address");
    files.write("tongban.toml", &config.replacen(url, "url = \"https://127.0.0.1:1\"", 1));
    files.taken();
    let (window, office) = (federation.client("W-419001-02", 1), federation.client("office-419001", 1));
    let give = async |to: &str, acts: &[&str]| {
        let draft = json!({"kind": "mandate", "to": to, "items": [HOUSEHOLD], "acts": acts});
        let answer = office.send("POST", "/office/v1/papers", &Headers::new(), body(&draft)).await;
        answer.json["paper"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    };
    let narrow = give("W-419001-02", &["accept"]).await;
    let wide = give("W-419001-02", &["accept", "begin_review", "grant"]).await;
    let both = beside(federation, "C-0002");
    let no = number(&file(federation, &window, &both, &household(&json!({}))).await);
    let (clerk, chief) =
        (alone(federation, "C-0002"), with_roles(federation, "C-0002", &["receive", "issue", "chief"]));
    for (what, who, act, mandate, want) in [
        ("a decision before acceptance", &chief, "grant", &wide, (409, "TB-POL-0306")),
        ("accepting", &clerk, "accept", &wide, (200, "")),
        ("a clerk's own case", &clerk, "begin_review", &wide, (403, "TB-POL-0302")),
        ("beyond the mandate", &chief, "begin_review", &narrow, (403, "TB-IDN-0107")),
        ("examining", &chief, "begin_review", &wide, (200, "")),
        ("a clerk's decision", &clerk, "grant", &wide, (403, "TB-POL-0302")),
        ("a no", &chief, "refuse", &wide, (403, "TB-GW-0103")),
        ("granting", &chief, "grant", &wide, (200, "")),
    ] {
        let order = json!({"act": act, "mandate": mandate});
        let answer = window.send("POST", &format!("/v1/cases/{no}/acts"), who, body(&order)).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
    }
    let seen = window.get(&format!("/v1/cases/{no}"), &both).await;
    assert_eq!(seen.json["state"], "decided_granted", "{}", seen.text());
    assert!(seen.json["documents"].to_string().contains("GRANT"), "the decision is there: {}", seen.text());
    // A case that another gateway owns is decided there.
    let (far, both) = (federation.client("window", 0), beside(federation, "C-0001"));
    let no = number(&file(federation, &far, &both, &household(&json!({}))).await);
    let mandate = give("gw-440305/W-440305-01", &["accept", "begin_review", "grant"]).await;
    let order = json!({"act": "grant", "mandate": mandate});
    let chief = with_roles(federation, "C-0001", &["receive", "chief"]);
    let answer = far.send("POST", &format!("/v1/cases/{no}/acts"), &chief, body(&order)).await;
    assert_eq!(code(&answer), (403, "TB-GW-0103"), "{}", answer.text());
    files.write("tongban.toml", &config);
    files.taken();
}

/// A contact is put on record by whoever had it; the person sees it, and nobody else is told (不得单独接触).
async fn contacts_are_on_record(federation: &Federation) {
    const SAID: &str = "补拍一页材料的电话";
    let (window, both, clerk) =
        (federation.client("window", 0), beside(federation, "C-0001"), alone(federation, "C-0001"));
    let office = federation.client("office-419001", 1);
    let no = number(&file(federation, &window, &both, &household(&json!({}))).await);
    federation.until(&window, &both, &no, "closed").await;
    let (path, at_office) = (format!("/v1/cases/{no}/contacts"), format!("/office/v1/cases/{no}/contacts"));
    let call = json!({"way": "telephone", "alone": true, "note": SAID});
    let with = |change: Value| {
        let mut contact = call.clone();
        contact.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        contact
    };
    let (portal, bank) = (federation.anybody(0), federation.client("bank-440305-01", 0));
    let town = federation.client("W-419001-02", 1);
    let none = Headers::new();
    for (what, client, path, headers, contact, want) in [
        ("of a citizen", &portal, &path, alone(federation, "citizen"), with(json!({})), (403, "TB-GW-0103")),
        ("of an outlet", &bank, &path, alone(federation, "E-9001"), with(json!({})), (403, "TB-GW-0103")),
        ("of another window", &town, &path, alone(federation, "C-0002"), with(json!({})), (404, "TB-EXC-0005")),
        ("of no kind", &window, &path, clerk.clone(), with(json!({"way": "dinner"})), (422, "TB-HTTP-0009")),
        (
            "other, unexplained",
            &window,
            &path,
            clerk.clone(),
            json!({"way": "other", "alone": true}),
            (422, "TB-GW-0001"),
        ),
        ("in another's name", &window, &path, clerk.clone(), with(json!({"by": "C-0003"})), (422, "TB-GW-0001")),
        ("of nobody", &office, &at_office, none.clone(), with(json!({})), (422, "TB-GW-0001")),
        ("at a window", &window, &path, clerk.clone(), with(json!({})), (200, "")),
        (
            "of an official",
            &office,
            &at_office,
            none.clone(),
            json!({"way": "site_check", "alone": false, "by": "O-0002"}),
            (200, ""),
        ),
    ] {
        let answer = client.send("POST", path, &headers, body(&contact)).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
    }
    for (gateway, at, staff, way, is_alone) in [
        (0, "window:W-440305-01", "C-0001", "telephone", true),
        (1, "system:office-419001", "O-0002", "site_check", false),
    ] {
        let portal = federation.anybody(gateway);
        let contacts = |answer: Answer| -> Vec<Value> {
            let all = answer.json["lookups"].as_array().unwrap_or_else(|| panic!("{}", answer.text()));
            all.iter().filter(|line| line["what"] == "contact").cloned().collect()
        };
        let mine = contacts(portal.get("/v1/me/lookups", &alone(federation, "citizen")).await);
        let [contact] = &mine[..] else { panic!("one contact: {mine:#?}") };
        assert_eq!((&contact["who"]["at"], &contact["who"]["staff"]), (&json!(at), &json!(staff)), "{contact}");
        assert_eq!((&contact["contact"]["way"], &contact["contact"]["alone"]), (&json!(way), &json!(is_alone)));
        assert!(contacts(portal.get("/v1/me/lookups", &alone(federation, "lisi")).await).is_empty());
    }
    let line =
        lines(federation, "gw-440305", "case.event").into_iter().rev().find(|l| l["facts"]["contact"].is_string());
    let line = line.expect("a line");
    assert!(line["enc"].is_object() && !line.to_string().contains(SAID), "what was said is sealed: {line}");
}

/// A window takes the items that are stationed there, on their days (进驻); one without a list takes all.
async fn items_at_a_window(federation: &Federation) {
    let (files, window) = (Files::new(federation), federation.client("window", 0));
    let both = beside(federation, "C-0001");
    let config = files.read("tongban.toml");
    let at = config.find("[[window]]").expect("a window");
    let end = config[at..].find("\n\n").map_or(config.len(), |end| at + end);
    let with = |items: &str| format!("{}\n{items}\n{}", &config[..end], &config[end..]);
    let today = tongban::terms::UnixMillis::now().day();
    let mut weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    weekdays.rotate_left(usize::from(today.weekday() - 1));
    let hours = |day: &str, from: &str, to: &str| {
        format!("[[window.hours]]\ndays = [\"{day}\"]\nfrom = \"{from}\"\nto = \"{to}\"\n")
    };
    let open = |closed: &str| format!("{closed}{}", hours(weekdays[0], "00:00", "24:00"));
    let item = |code: &str, days: &str| format!("[[window.item]]\ncode = \"{code}\"\n{days}");
    for (what, items, want) in [
        ("the item", item(HOUSEHOLD, ""), (202, "")),
        ("another item", item(SOCIAL_SECURITY, ""), (403, "TB-GW-0303")),
        ("not any more", item(HOUSEHOLD, "to = \"2026-01-01\""), (403, "TB-GW-0303")),
        ("not yet", item(HOUSEHOLD, "from = \"2099-01-01\""), (403, "TB-GW-0303")),
        ("nothing at all", "item = []".to_owned(), (403, "TB-GW-0303")),
        ("in its hours", open(""), (202, "")),
        ("on a day off", open(&format!("closed = [\"{today}\"]\n")), (403, "TB-GW-0305")),
        ("on another day of the week", hours(weekdays[1], "00:00", "24:00"), (403, "TB-GW-0305")),
    ] {
        files.write("tongban.toml", &with(&items));
        files.taken();
        let filed = file(federation, &window, &both, &household(&json!({}))).await;
        assert_eq!(code(&filed), want, "{what}: {}", filed.text());
        let other = federation.client("bank-440305-01", 0);
        let filed = file(federation, &other, &beside(federation, "E-9001"), &household(&json!({}))).await;
        assert_eq!(filed.status, 202, "{what}, at an outlet: {}", filed.text());
    }
    for (items, field) in [
        (item("002009999000", ""), "is not in the catalogue"),
        (item(HOUSEHOLD, "from = \"2026-02-01\"\nto = \"2026-01-01\""), "before the first day"),
        (item(HOUSEHOLD, "until = \"2026-01-01\""), "until"),
        (hours("mon", "17:00", "09:00"), "is not after"),
        ("closed = [\"2026-10-01\"]\n".to_owned(), "there are none"),
    ] {
        files.write("tongban.toml", &with(&items));
        let (done, told) = files.reload();
        assert!(!done && told.contains(field) && told.contains("tongban.toml:"), "{field}: {told}");
    }
    files.write("tongban.toml", &config);
    files.taken();
    assert_eq!(file(federation, &window, &both, &household(&json!({}))).await.status, 202);
}

/// Nobody sits at a self-service terminal (自助终端): the person files alone there, what the terminal's own list allows, and
/// at an outlet with a counter they do not; the catalogue of a place opens items, and excludes them.
async fn alone_at_a_terminal(federation: &Federation) {
    let (files, terminal) = (Files::new(federation), federation.client("bank-440305-01", 0));
    let own = alone(federation, "citizen");
    let online = household(&json!({"mode": "online", "present": false}));
    let at_bank = file(federation, &terminal, &own, &online).await;
    assert_eq!(code(&at_bank), (401, "TB-GW-0102"), "{}", at_bank.text());

    // The shipped catalogue opens nothing to terminals: one of our own does.
    let (config, contracts) = (files.read("tongban.toml"), files.read("partners.toml"));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue/data");
    let catalogue = files.0.join("catalogue");
    fs::create_dir(&catalogue).expect("a folder");
    for entry in fs::read_dir(shipped).expect("the shipped catalogue").flatten() {
        fs::copy(entry.path(), catalogue.join(entry.file_name())).expect("a copy");
    }
    let items = files
        .read("catalogue/items.toml")
        .replace("outlet_kinds = [\"bank\"", "outlet_kinds = [\"terminal\", \"bank\"");
    let listed = format!("code = \"{SOCIAL_SECURITY}\"\n");
    let items = items.replacen(&listed, &format!("{listed}excluded = \"由市局集中办理\"\n"), 1);
    files.write("catalogue/items.toml", &items);
    files.write("tongban.toml", &config.replacen("partners =", "catalogue = \"catalogue\"\npartners =", 1));
    files.write("partners.toml", &contracts.replacen("kind = \"bank\"", "kind = \"terminal\"", 1));
    files.taken();
    let filed = file(federation, &terminal, &own, &online).await;
    let no = number(&filed);
    let seen = federation.until(&terminal, &own, &no, "closed").await;
    assert_eq!(seen.json["first_handler"]["at"], "terminal:bank-440305-01", "{}", seen.text());
    assert_eq!(seen.json["first_handler"]["staff"], Value::Null, "{}", seen.text());
    let line = lines(federation, "gw-440305", "case.event");
    let line = line.iter().rev().find(|l| l["item"]["channel"] == "outlet").expect("a filing");
    assert_eq!(
        (&line["actor"]["kind"], &line["actor"]["terminal"]),
        (&json!("citizen"), &json!("outlet:bank-440305-01"))
    );
    for (what, change, headers, want) in [
        ("off its list", json!({"item": FUND, "places": {"fund_at": "419001"}}), own.clone(), (403, "TB-PAR-0207")),
        ("through somebody else", json!({"mode": "proxy"}), own.clone(), (403, "TB-GW-0103")),
        ("not signed in", json!({}), Headers::new(), (401, "TB-IDN-0001")),
    ] {
        let mut request = online.clone();
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = file(federation, &terminal, &headers, &request).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
    }
    // And keeps one out of the hall (负面清单): whoever asks for it is told why.
    let window = federation.client("window", 0);
    let request = household(&json!({"item": SOCIAL_SECURITY, "places": {"residence": "419001"}, "form": {}}));
    let excluded = file(federation, &window, &beside(federation, "C-0001"), &request).await;
    assert_eq!((code(&excluded), &excluded.json["excluded"]), ((403, "TB-POL-0208"), &json!("由市局集中办理")));
    files.write("partners.toml", &contracts);
    files.write("tongban.toml", &config);
    files.taken();
}
