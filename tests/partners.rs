//! Partners, policies and shared data of a running gateway: what operators change takes effect at once and is on record.
//! One federation for all of it.

#[path = "partners/aged.rs"]
mod aged;
#[path = "partners/alone.rs"]
mod alone;
#[path = "partners/at_length.rs"]
mod at_length;
#[path = "partners/entrusted.rs"]
mod entrusted;
mod federation;
#[path = "partners/meanwhile.rs"]
mod meanwhile;
#[path = "partners/one_call.rs"]
mod one_call;
#[path = "partners/passed.rs"]
mod passed;
#[path = "partners/provider.rs"]
mod provider;
#[path = "partners/quota.rs"]
mod quota;
#[path = "partners/settings.rs"]
mod settings;
#[path = "partners/shredding.rs"]
mod shredding;
mod tools;
#[path = "partners/withdrawn.rs"]
mod withdrawn;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use federation::{Answer, Federation, Headers, Window};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// What the tests do to a gateway: its files, its reload, its log.
struct Operator<'f> {
    federation: &'f Federation,
    gateway: usize,
    home: PathBuf,
}

impl<'f> Operator<'f> {
    /// At gateway A.
    fn new(federation: &'f Federation) -> Self {
        Self::at(federation, 0)
    }

    fn at(federation: &'f Federation, gateway: usize) -> Self {
        let name = ["gw-440305", "gw-419001"][gateway];
        Self { federation, gateway, home: federation.folder.path().join(name) }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.home.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.home.join(file), text).unwrap_or_else(|e| panic!("{file}: {e}"));
    }

    fn config(&self) -> String {
        self.home.join("tongban.toml").display().to_string()
    }

    fn command(&self, words: &[&str]) -> Output {
        tools::tongban(&[words, &["--config", &self.config()]].concat())
    }

    fn reload(&self) -> String {
        let done = self.command(&["reload"]);
        assert!(done.status.success(), "{}", tools::text(&done));
        tools::text(&done)
    }

    /// Lines of one kind in the log, newest last.
    fn lines(&self, kind: &str) -> Vec<Value> {
        let shown = tools::tongban(&["audit", "show", &self.home.join("data/log").display().to_string()]);
        assert!(shown.status.success(), "{}", tools::text(&shown));
        let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
        let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        all.filter(|line| line["kind"] == kind).collect()
    }

    fn pid(&self) -> Pid {
        let told = tools::announced(self.federation.folder.path()).expect("federation.json");
        let pid = told["gateways"][self.gateway]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).expect("a process")
    }
}

/// The bank's counter: its terminal, its employee, a citizen.
struct Counter {
    terminal: Window,
    headers: Headers,
}

impl Counter {
    fn of(federation: &Federation, outlet: &str, employee: &str) -> Self {
        let headers = vec![
            ("authorization", format!("Bearer {}", federation.token(employee))),
            ("tongban-subject-token", federation.token("citizen")),
        ];
        Self { terminal: federation.client(outlet, 0), headers }
    }

    async fn file(&self, federation: &Federation) -> Answer {
        federation.file(&self.terminal, &self.headers, "419001", None).await
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_and_partners() {
    let federation = Federation::start(4).await;
    shared_data(&federation).await;
    masks(&federation).await;
    hours_and_places(&federation).await;
    entrusted::all(&federation).await;
    alone::without_the_customer(&federation).await;
    who_looked_me_up(&federation).await;
    orders(&federation).await;
    shredding::shredding(&federation).await;
    enrolment(&federation).await;
    lists(&federation).await;
    reloads(&federation).await;
    settings::all(&federation).await;
    passed::all(&federation).await;
    provider::down(&federation).await;
    one_call::a_thousand(&federation).await;
    withdrawn::in_mid_request(&federation).await;
    meanwhile::judged_again(&federation).await;
    at_length::judged_again(&federation).await;
    quota::given_back(&federation).await;
    aged::proofs(&federation).await;
    assert!(federation.refusals_are_on_record() > 50);
}

/// Changes a table of a gateway's store beside it.
async fn alter(store: &Path, table: &str) {
    use sqlx::Connection;
    sqlx::any::install_default_drivers();
    let mut store = sqlx::AnyConnection::connect(&format!("sqlite:{}", store.display())).await.expect("the store");
    let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {table}"));
    sqlx::query(sql).execute(&mut store).await.expect("changed");
}

/// Shared data are asked once, used again while they may be, and forgotten when their provider says so.
async fn shared_data(federation: &Federation) {
    const ZHANG: &str = "990101199202290010";
    let operator = Operator::new(federation);
    let window = federation.client("W-440305-01", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    // Each filing looks the household up, for the same purpose: the log says whether it was asked anew.
    let ages = || -> Vec<String> {
        let lines = operator.lines("data.read");
        let of_household = lines.iter().filter(|line| line["ev"][0]["type"] == "DR-HH");
        of_household.map(|line| line["ev"][0]["age"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let filed_with = async |want: &str, what: &str| {
        let filed = federation.file(&window, &both, "419001", None).await;
        assert_eq!(filed.status, 202, "{}", filed.text());
        let age = ages().last().cloned().unwrap_or_default();
        (age == want).then_some(()).ok_or_else(|| format!("{what}: {age}"))
    };
    let _first = filed_with("", "whatever was before").await;
    filed_with("cached", "asked a moment ago").await.unwrap();

    let world = tongban::app::demo::World::open(federation.folder.path()).expect("the demonstration's folder");
    let (certificate, key) = world.client("household-register");
    let provider = federation.with(1, &certificate, &key);
    let push = async |client: &Window, key: &Path, claims: &Value| {
        let body = json!({ "change": tools::change(key, claims) }).to_string().into_bytes();
        client.send("POST", "/provider/v1/changes", &Headers::new(), Some(("application/json", body))).await
    };
    let claims = |jti: &str| tools::change_claims("DR-HH", Some(ZHANG), jti);
    let with = |jti: &str, member: &str, value: Value| {
        let mut claims = claims(jti);
        claims[member] = value;
        claims
    };
    let mut forever = with("k-1", "exp", json!(i64::MAX - 10));
    forever["iat"] = json!(-100);
    let other_key = world.client("office-419001").1;
    let office = federation.client("office-419001", 1);
    for (what, client, key, claims, want) in [
        ("another key", &provider, &other_key, claims("a"), (401, "TB-GW-0621")),
        ("another system", &office, &other_key, with("b", "iss", json!("office-419001")), (401, "TB-GW-0621")),
        ("in another's name", &office, &other_key, claims("c"), (401, "TB-GW-0621")),
        ("no system at all", &federation.client("W-419001-01", 1), &key, claims("d"), (401, "TB-GW-0101")),
        ("another gateway", &provider, &key, with("e", "aud", json!("gw-440305")), (401, "TB-GW-0621")),
        ("not its data", &provider, &key, with("f", "resource", json!("DR-TAX")), (401, "TB-GW-0621")),
        ("out of time", &provider, &key, with("g", "exp", json!(1)), (401, "TB-GW-0621")),
        ("for too long", &provider, &key, with("h", "exp", json!(9_999_999_999_u64)), (401, "TB-GW-0621")),
        ("for longer than numbers go", &provider, &key, forever, (401, "TB-GW-0621")),
        ("nobody's number", &provider, &key, with("i", "subject", json!("12")), (401, "TB-GW-0621")),
    ] {
        let answer = push(client, key, &claims).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
    }
    filed_with("cached", "none of that counts").await.unwrap();
    let somebody = tools::change_claims("DR-HH", Some("990101198506150020"), "j");
    assert_eq!(push(&provider, &key, &somebody).await.status, 200);
    filed_with("cached", "somebody else's data changed").await.unwrap();
    // Where the store cannot say who asked, the word is not taken either; the same word counts when it can.
    let word = claims("k");
    let store = Operator::at(federation, 1).home.join("data/store.db");
    for (rename, want) in [("asker RENAME TO asker_away", 503), ("asker_away RENAME TO asker", 200)] {
        alter(&store, rename).await;
        let told = push(&provider, &key, &word).await;
        assert_eq!(told.status, want, "{rename}: {}", told.text());
    }
    let mut last = Ok(());
    for _ in 0..40 {
        // The word goes on to the gateway that asked, in the background.
        last = filed_with("fresh", "the provider's word").await;
        if last.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    last.unwrap();
    filed_with("cached", "and kept again").await.unwrap();
    assert_eq!(code(&push(&provider, &key, &claims("k")).await), (401, "TB-GW-0621"), "the same word again");
    let lines = operator.lines("snapshot.load");
    let heard = lines.iter().filter(|l| l["facts"]["part"] == "data" && l["actor"]["terminal"] == "peer:gw-419001");
    assert_eq!(heard.count(), 1, "who did not ask is not told: {lines:#?}");

    // Fewer fields than there are, and more than the item allows. The office may decide in between: then once more.
    for (fields, want) in [
        (json!(["household_no"]), (200, "")),
        (json!(["household_no", "status"]), (403, "TB-POL-0504")),
        (json!([]), (422, "TB-HTTP-0009")),
    ] {
        let mut answer = None;
        for _ in 0..10 {
            let filed = federation.file(&window, &both, "419001", None).await;
            let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "case", "fields": fields});
            let got = window
                .send("POST", "/v1/lookups", &both, Some(("application/json", ask.to_string().into_bytes())))
                .await;
            if got.json["code"] != "TB-POL-0502" {
                answer = Some(got);
                break;
            }
        }
        let answer = answer.expect("an open case");
        if want.0 == 200 {
            let keys: Vec<_> = answer.json["fields"].as_object().unwrap().keys().collect();
            assert_eq!(keys, ["household_no"], "{}", answer.text());
        } else {
            assert_eq!(code(&answer), want, "{}", answer.text());
        }
    }
}

/// What an outlet sees of a person is masked as its contract says; a government window sees what it must.
async fn masks(federation: &Federation) {
    let operator = Operator::new(federation);
    let contracts = operator.read("partners.toml");
    let strict = contracts.replacen("id_number = \"3-2\"", "id_number = \"0-2\"", 1);
    operator.write("partners.toml", &strict);
    operator.reload();
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    // What has ended an outlet sees no more, and the office may be quick: then once more.
    let mut looked = None;
    for _ in 0..10 {
        let filed = counter.file(federation).await;
        let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
        let seen = counter.terminal.get(&format!("/v1/cases/{no}"), &counter.headers).await;
        if seen.status == 200 {
            looked = Some((no, seen));
            break;
        }
        assert_eq!(code(&seen), (404, "TB-EXC-0005"), "{}", seen.text());
    }
    let (no, seen) = looked.expect("an open case");
    let path = format!("/v1/cases/{no}");
    assert_eq!(seen.json["applicant"], json!({"name": "张*", "code": "****************10"}), "{}", seen.text());
    assert_eq!(seen.json["case"], no.as_str(), "a case number is no resident number");
    let licence = Some(("application/ofd", federation.licence()));
    let verified =
        counter.terminal.send("POST", "/v1/verify?purpose=counter&consent=true", &counter.headers, licence).await;
    assert_eq!(verified.json["indication"], "TOTAL-PASSED", "{}", verified.text());
    for whole in ["张三", "990101199202290010"] {
        assert!(!String::from_utf8_lossy(&verified.bytes).contains(whole), "{whole} in {}", verified.text());
        assert!(!String::from_utf8_lossy(&seen.bytes).contains(whole), "{whole} in {}", seen.text());
    }
    assert!(String::from_utf8_lossy(&verified.bytes).contains("****************10"), "{}", verified.text());
    let citizen: Headers = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    let own = federation.anybody(0).get(&path, &citizen).await;
    assert_eq!(own.json["applicant"], json!({"name": "张三", "code": "990*************10"}), "{}", own.text());
    operator.write("partners.toml", &contracts);
    operator.reload();
}

/// Outside its hours and outside its places an outlet does nothing, whatever it asks for.
async fn hours_and_places(federation: &Federation) {
    let operator = Operator::new(federation);
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    let contracts = operator.read("partners.toml");
    let hours = "from = \"00:00\"\nto = \"24:00\"";
    // A span that is not now: the other half of the day.
    let now = tongban::terms::UnixMillis::now();
    let noon = now.0 - now.day().start().0 >= 12 * 3_600_000;
    let closed = if noon { "from = \"00:00\"\nto = \"11:00\"" } else { "from = \"13:00\"\nto = \"24:00\"" };
    let day = now.day();
    let t1 = "[[contract.terminal]]\nid = \"urn:tongban:outlet:bank-440305-01:t1\"\n";
    let moves = contracts.replacen(t1, &format!("{t1}moves = true\n"), 1);
    let place = |place: &str| [counter.headers.clone(), vec![("tongban-place", place.to_owned())]].concat();
    for (what, text, headers, want) in [
        (
            "the wrong half of the day",
            contracts.replacen(hours, closed, 1),
            counter.headers.clone(),
            (403, "TB-PAR-0210"),
        ),
        (
            "a closed day",
            contracts.replacen("from = \"2", &format!("closed = [\"{day}\"]\nfrom = \"2"), 1),
            counter.headers.clone(),
            (403, "TB-PAR-0210"),
        ),
        ("a terminal that is somewhere else", contracts.clone(), place("440304"), (403, "TB-PAR-0209")),
        ("a place that is none", contracts.clone(), place("here"), (403, "TB-PAR-0211")),
        ("one that moves and does not tell", moves.clone(), counter.headers.clone(), (403, "TB-PAR-0211")),
        ("one that moves within its places", moves.clone(), place("440305007003"), (202, "")),
        ("one that moves out of them", moves, place("440306"), (403, "TB-PAR-0209")),
        ("as the contract says", contracts.clone(), place("440305"), (202, "")),
    ] {
        operator.write("partners.toml", &text);
        operator.reload();
        let filed = federation.file(&counter.terminal, &headers, "419001", None).await;
        assert_eq!(code(&filed), want, "{what}: {}", filed.text());
        if want.0 == 403 {
            let listed = counter.terminal.get("/v1/cases", &headers).await;
            assert_eq!(code(&listed), want, "{what}, listing");
        }
    }
}

/// The person sees who looked them up, when and why; another person sees nothing of it, and nobody sees it for them.
async fn who_looked_me_up(federation: &Federation) {
    let window = federation.client("W-440305-01", 0);
    let clerk = ("authorization", format!("Bearer {}", federation.token("C-0001")));
    let both: Headers = vec![clerk.clone(), ("tongban-subject-token", federation.token("citizen"))];
    let portal = [federation.anybody(0), federation.anybody(1)];
    let own = |user: &str| -> Headers { vec![("authorization", format!("Bearer {}", federation.token(user)))] };
    let others_before = portal[0].get("/v1/me/lookups", &own("lisi")).await;
    assert_eq!(others_before.status, 200, "{}", others_before.text());
    let filed = federation.file(&window, &both, "419001", None).await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    assert_eq!(window.get(&format!("/v1/cases/{no}"), &both).await.status, 200);

    let mine = portal[0].get("/v1/me/lookups", &own("citizen")).await;
    assert_eq!(mine.status, 200, "{}", mine.text());
    let lines = mine.json["lookups"].as_array().unwrap();
    let by_window = |line: &&Value| line["who"]["at"] == "window:W-440305-01" && line["who"]["staff"] == "C-0001";
    let household = lines.iter().filter(by_window).find(|line| line["resource"] == "DR-HH");
    let household = household.unwrap_or_else(|| panic!("{}", mine.json));
    assert_eq!((&household["what"], &household["name"]), (&json!("data"), &json!("户籍成员与迁移信息")));
    assert_eq!(household["why"]["item"], "002009901000");
    assert_eq!(household["why"]["purpose"], "case");
    // One from the cache is a look like any other, and so is one that was refused.
    let again = federation.file(&window, &both, "419001", None).await;
    let no = again.json["case"].as_str().unwrap_or_else(|| panic!("{}", again.text())).to_owned();
    let ask = json!({"resource": "DR-HH", "case": no}).to_string().into_bytes();
    let refused = window.send("POST", "/v1/lookups", &both, Some(("application/json", ask))).await;
    assert_eq!(code(&refused), (403, "TB-POL-0501"), "{}", refused.text());
    let newer = portal[0].get("/v1/me/lookups", &own("citizen")).await;
    let newer = newer.json["lookups"].as_array().unwrap().clone();
    for (member, want) in [("from", "cached"), ("result", "refused")] {
        let found = newer.iter().filter(by_window).any(|line| line["resource"] == "DR-HH" && line[member] == want);
        assert!(found, "{want}: {newer:#?}");
    }
    for what in ["licence", "case"] {
        assert!(lines.iter().filter(by_window).any(|line| line["what"] == what), "{what}: {}", mine.json);
    }
    // A licence of theirs that was verified by hand, with their consent, and one that was to be without. What strangers
    // try fills nobody's view.
    let verify = async |query: &str, headers: &Headers| {
        let licence = Some(("application/ofd", federation.licence()));
        window.send("POST", &format!("/v1/verify?purpose={query}"), headers, licence).await
    };
    let agreed = verify("counter&consent=true", &both).await;
    assert_eq!(agreed.json["indication"], "TOTAL-PASSED", "{}", agreed.text());
    let not_agreed = verify("curiosity", &vec![clerk.clone()]).await;
    assert_eq!(code(&not_agreed), (403, "TB-POL-0505"), "{}", not_agreed.text());
    let not_theirs = portal[0].get(&format!("/v1/cases/{no}"), &own("lisi")).await;
    assert_eq!(code(&not_theirs), (404, "TB-EXC-0005"), "{}", not_theirs.text());
    let newest = portal[0].get("/v1/me/lookups", &own("citizen")).await;
    let newest = newest.json["lookups"].as_array().unwrap().clone();
    for (what, purpose, result, kind) in [
        ("licence", json!("counter"), Value::Null, "clerk"),
        ("licence", json!("curiosity"), json!("refused"), "clerk"),
    ] {
        let found = newest.iter().take(5).filter(|line| line["what"] == what && line["who"]["kind"] == kind);
        let mut found = found.filter(|line| line["why"]["purpose"] == purpose && line["result"] == result);
        assert!(found.next().is_some(), "{what} {purpose} {result}: {newest:#?}");
    }
    let strangers = newest.iter().filter(|line| line["who"]["kind"] == "citizen" && line["result"] == "refused");
    assert_eq!(strangers.count(), 0, "{newest:#?}");
    // Each line can be found in the log.
    let operator = Operator::new(federation);
    let read = operator.lines("data.read");
    assert!(read.iter().any(|line| line["ev"][0]["type"] == "DR-HH" && household["at"].as_str() == Some(&at(line))));
    let times: Vec<_> = lines.iter().map(|line| line["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    // The other gateway, which gave the data, tells the same person the same.
    let there = portal[1].get("/v1/me/lookups?lang=en", &own("citizen")).await;
    let there_lines = there.json["lookups"].as_array().unwrap();
    let served = there_lines.iter().find(|l| l["resource"] == "DR-HH" && l["who"]["at"] == "peer:gw-440305");
    assert!(served.is_some_and(|l| l["name"] == "Household members and moves"), "{}", there.json);

    // Nobody else.
    let others = portal[0].get("/v1/me/lookups", &own("lisi")).await;
    assert_eq!(others.json["lookups"], others_before.json["lookups"], "another person sees nothing of it");
    for (who, client, headers, want) in [
        ("a clerk", &window, vec![clerk.clone()], (403, "TB-GW-0103")),
        ("a clerk with the person's token beside", &window, both.clone(), (403, "TB-GW-0103")),
        ("an auditor", &portal[0], own("auditor"), (403, "TB-GW-0103")),
        ("an operator, made up by the issuer of clerks", &portal[0], operator_token(federation), (401, "TB-IDN-0011")),
        ("nobody", &portal[0], Headers::new(), (401, "TB-IDN-0001")),
    ] {
        let answer = client.get("/v1/me/lookups", &headers).await;
        assert_eq!(code(&answer), want, "{who}: {}", answer.text());
    }
    let earlier = format!("/v1/me/lookups?before={}", household["at"].as_str().unwrap());
    let earlier = portal[0].get(&earlier, &own("citizen")).await;
    let older = |line: &Value| line["at"].as_str() < household["at"].as_str();
    assert!(earlier.json["lookups"].as_array().unwrap().iter().all(older), "{}", earlier.json);
}

/// A token of an operator: a clerk's, changed and signed by the issuer of staff.
fn operator_token(federation: &Federation) -> Headers {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    use tongban::app::demo::{World, jws, tokens};
    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let key = tongban::trust::suite::load_key(&world.federation().join(format!("{}.key", tokens::STAFF)));
    let clerk = federation.token("C-0001");
    let claims = B64.decode(clerk.split('.').nth(1).expect("claims")).expect("base64url");
    let mut claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["kind"] = "operator".into();
    claims["sub"] = "op-1".into();
    let token = jws::token(&key.expect("a key"), "at+jwt", json!({"kid": tokens::STAFF}), &claims).expect("a token");
    vec![("authorization", format!("Bearer {token}"))]
}

/// The time of an entry, as the API writes times.
fn at(entry: &Value) -> String {
    tongban::terms::UnixMillis(entry["ts"].as_i64().expect("a time")).to_string()
}

/// Operators of gateway A, who sign.
impl Operator<'_> {
    /// A signed order or approval in a file; gives its path.
    fn signed(&self, by: &str, words: &[&str]) -> String {
        let key = self.home.join(format!("authorities/{by}.key")).display().to_string();
        let own = self.home.file_name().and_then(|name| name.to_str()).expect("a name");
        let signing = ["--by", by, "--key", &key, "--gateway", own];
        let all = [&["order", words[0]], &signing[..], &words[1..]].concat();
        let made = tools::tongban(&all);
        assert!(made.status.success(), "{all:?}: {}", tools::text(&made));
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let file = self.home.join(format!("{}.jws", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::write(&file, &made.stdout).unwrap();
        file.display().to_string()
    }

    fn send(&self, order: &str, approval: Option<&str>) -> (bool, String) {
        let mut words = vec!["order", "send", order];
        words.extend(approval.iter().flat_map(|file| ["--approval", file]));
        let done = self.command(&words);
        (done.status.success(), tools::text(&done))
    }
}

/// The switch of one operator works at once; on again takes two.
async fn orders(federation: &Federation) {
    let operator = Operator::new(federation);
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    assert_eq!(code(&counter.file(federation).await).0, 202);
    let before = operator.lines("partner.change").len();
    let off = operator.signed("op-1", &["sign", "suspend", "bank-440305-01"]);
    assert!(operator.send(&off, None).0);
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0203"));
    let again = operator.send(&off, None);
    assert!(!again.0 && again.1.contains("TB-GW-0602"), "{}", again.1);

    let on = operator.signed("op-1", &["sign", "resume", "bank-440305-01"]);
    let own = operator.signed("op-1", &["approve", &on]);
    let second = operator.signed("op-2", &["approve", &on]);
    let of_another = operator.signed("op-2", &["approve", &off]);
    for (approval, want) in [
        (None, "TB-POL-0804"),
        (Some(&own), "TB-POL-0804"),
        (Some(&of_another), "TB-GW-0601"),
        (Some(&on), "TB-GW-0601"),
    ] {
        let (done, text) = operator.send(&on, approval.map(String::as_str));
        assert!(!done && text.contains(want), "{approval:?}: {text}");
        assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0203"));
    }
    assert!(operator.send(&on, Some(&second)).0);
    assert_eq!(code(&counter.file(federation).await).0, 202);

    // Somebody who is no operator, another gateway's order, an order that was bent, an outlet that nobody knows.
    let key = operator.home.join("certs/assertion.key").display().to_string();
    let sign = |by: &str, key: &str, gateway: &str, outlet: &str| {
        let words = ["order", "sign", "--by", by, "--key", key, "--gateway", gateway, "suspend", outlet];
        let file = operator.home.join("bad.jws");
        fs::write(&file, tools::tongban(&words).stdout).unwrap();
        operator.send(&file.display().to_string(), None)
    };
    let good = operator.home.join("authorities/op-1.key").display().to_string();
    for (by, key, gateway, outlet, want) in [
        ("op-1", &key, "gw-440305", "bank-440305-01", "TB-GW-0601"),
        ("op-9", &good, "gw-440305", "bank-440305-01", "TB-GW-0601"),
        ("op-1", &good, "gw-419001", "bank-440305-01", "TB-GW-0601"),
        ("op-1", &good, "gw-440305", "bank-440305-99", "TB-PAR-0101"),
    ] {
        let (done, text) = sign(by, key, gateway, outlet);
        assert!(!done && text.contains(want), "{by} {gateway} {outlet}: {text}");
    }
    assert_eq!(code(&counter.file(federation).await).0, 202);
    let lines = operator.lines("partner.change");
    let said: Vec<_> = lines[before..]
        .iter()
        .map(|line| (line["facts"]["order"].as_str(), line["facts"]["approved-by"].as_str()))
        .collect();
    assert_eq!(said, [(Some("suspend"), None), (Some("resume"), Some("op-2"))], "{lines:#?}");
    assert!(
        lines[before..]
            .iter()
            .all(|line| line["actor"]["staff"] == "op-1" && line["facts"]["outlet"] == "bank-440305-01")
    );
    let refused: Vec<_> =
        operator.lines("deny").into_iter().filter(|line| line["facts"]["order"] == "resume").collect();
    assert_eq!(refused.len(), 4, "{refused:#?}");
    for line in &refused {
        assert_eq!((&line["actor"]["staff"], &line["facts"]["outlet"]), (&json!("op-1"), &json!("bank-440305-01")));
    }

    // A window's certificate, by its fingerprint.
    let window = federation.client("W-440305-01", 0);
    let clerk: Headers = vec![("authorization", format!("Bearer {}", federation.token("C-0001")))];
    assert_eq!(window.get("/v1/cases", &clerk).await.status, 200);
    let config = operator.read("tongban.toml");
    let at = config.find("[[window]]").expect("a window");
    let print = config[at..].split("certificate = \"").nth(1).and_then(|rest| rest.get(..64)).expect("a fingerprint");
    assert!(operator.send(&operator.signed("op-2", &["sign", "revoke", print]), None).0);
    assert_eq!(code(&window.get("/v1/cases", &clerk).await), (403, "TB-PAR-0102"));
    let back = operator.signed("op-1", &["sign", "reinstate", print]);
    assert!(operator.send(&back, Some(&operator.signed("op-2", &["approve", &back]))).0);
    assert_eq!(window.get("/v1/cases", &clerk).await.status, 200);
}

/// A terminal gets in with one command and one approval, renews by itself, and is out within a moment.
async fn enrolment(federation: &Federation) {
    let operator = Operator::new(federation);
    let uri = "urn:tongban:outlet:bank-440305-01:t2";
    let contracts = operator.read("partners.toml");
    let t1 = "[[contract.terminal]]\nid = \"urn:tongban:outlet:bank-440305-01:t1\"\n";
    let listed = contracts.replacen(t1, &format!("{t1}\n[[contract.terminal]]\nid = \"{uri}\"\n"), 1);
    let (url, ca) = {
        let told = &federation.told["gateways"][0];
        (told["api"].as_str().unwrap().to_owned(), told["ca"].as_str().unwrap().to_owned())
    };
    let run = |command: &str, folder: &str, approval: Option<&str>| {
        let out = operator.home.join(folder).display().to_string();
        let mut words = vec!["terminal", command, "--url", &url, "--ca", &ca, "--out", &out];
        words.extend(approval.iter().flat_map(|file| ["--approval", file]));
        let done = tools::tongban(&words);
        (done.status.success(), tools::text(&done))
    };
    let enrol = |by: &str| operator.signed(by, &["sign", "enrol", "bank-440305-01", uri]);
    // The contract does not list it yet; the order is not used up by the no.
    let approval = enrol("op-1");
    let (done, text) = run("enrol", "t2", Some(&approval));
    assert!(!done && text.contains("TB-PAR-0101"), "{text}");
    operator.write("partners.toml", &listed);
    operator.reload();
    let (done, text) = run("enrol", "t2", Some(&approval));
    assert!(done && text.contains("valid until"), "{text}");
    let (done, text) = run("enrol", "t3", Some(&approval));
    assert!(!done && text.contains("TB-GW-0602"), "an approval is for one certificate: {text}");
    let wrong = operator.signed("op-1", &["sign", "suspend", "bank-440305-01"]);
    let (done, text) = run("enrol", "t3", Some(&wrong));
    assert!(!done && text.contains("TB-GW-0601"), "an order for something else: {text}");
    let key = "0".repeat(64);
    let bound = operator.signed("op-1", &["sign", "enrol", "bank-440305-01", uri, "--for-key", &key]);
    let (done, text) = run("enrol", "t3", Some(&bound));
    assert!(!done && text.contains("TB-GW-0601"), "an approval for another key: {text}");

    let terminal = |folder: &str| {
        let home = operator.home.join(folder);
        federation.with(0, &home.join("terminal.pem"), &home.join("terminal.key"))
    };
    let headers: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("E-9001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let first = terminal("t2");
    let filed = federation.file(&first, &headers, "419001", None).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let (done, text) = run("renew", "t2", None);
    assert!(done, "{text}");
    let renewed = terminal("t2");
    assert_eq!(federation.file(&renewed, &headers, "419001", None).await.status, 202);
    // Without approval and without a certificate there is nothing to renew.
    let request = tongban::trust::request::make(&key_of(&operator.home.join("t2/terminal.key"))).unwrap();
    let body = json!({"request": tongban::trust::pem::encode("CERTIFICATE REQUEST", &request)});
    for (client, want) in
        [(federation.anybody(0), (401, "TB-GW-0601")), (federation.client("window", 0), (401, "TB-GW-0601"))]
    {
        let body = Some(("application/json", body.to_string().into_bytes()));
        assert_eq!(code(&client.send("POST", "/v1/terminals", &Headers::new(), body).await), want);
    }

    // Revoked: every certificate of the name, also on connections that are open; one that is enrolled anew works.
    assert!(operator.send(&operator.signed("op-2", &["sign", "revoke", uri]), None).0);
    for (name, client) in
        [("the first", &first), ("the renewed one", &renewed), ("on a new connection", &terminal("t2"))]
    {
        assert_eq!(code(&federation.file(client, &headers, "419001", None).await), (403, "TB-PAR-0102"), "{name}");
    }
    let (done, text) = run("renew", "t2", None);
    assert!(!done && text.contains("TB-PAR-0102"), "{text}");
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await; // certificates count in seconds
    let (done, text) = run("enrol", "t4", Some(&enrol("op-2")));
    assert!(done, "{text}");
    assert_eq!(federation.file(&terminal("t4"), &headers, "419001", None).await.status, 202);
    let lines = operator.lines("partner.change");
    let enrolled = lines.iter().filter(|l| l["facts"]["order"] == "enrol" && l["facts"]["terminal"] == uri);
    assert_eq!(enrolled.count(), 2, "{lines:#?}");
    assert_eq!(lines.iter().filter(|l| l["facts"]["order"] == "renew").count(), 1);
    operator.write("partners.toml", &contracts);
    operator.reload();
    assert_eq!(code(&federation.file(&terminal("t4"), &headers, "419001", None).await), (401, "TB-GW-0101"));
}

fn key_of(file: &Path) -> tongban::trust::suite::SigningKey {
    tongban::trust::suite::load_key(file).expect("a key")
}

/// Our authority's own revocation list counts for windows and auditors, too.
async fn lists(federation: &Federation) {
    use tongban::terms::UnixMillis;
    use tongban::trust::issue::{Issuer, crl};
    let operator = Operator::new(federation);
    let world = tongban::app::demo::World::open(federation.folder.path()).expect("the demonstration's folder");
    let certificate = |file: &Path| tongban::app::demo::stamps::certificate(file).expect("a certificate");
    let (window, auditor) = (certificate(&world.client("W-440305-01").0), certificate(&world.client("audit-440305").0));
    let now = UnixMillis::now();
    let list = |authority: &str, good_for_s: i64| {
        let own = operator.home.join("authorities");
        let ca = certificate(&own.join(format!("{authority}.pem")));
        let key = key_of(&own.join(format!("{authority}.key")));
        let dead = [&window, &auditor].map(|dead| (dead.serial().to_vec(), now.plus_seconds(-60)));
        let der =
            crl(&Issuer::of(&key, &ca), &dead, 1, now.plus_seconds(-7_200), now.plus_seconds(good_for_s)).unwrap();
        operator.write("clients.crl", &tongban::trust::pem::encode("X509 CRL", &der));
    };
    let config = operator.read("tongban.toml");
    let with = config.replacen("client_anchors =", "client_lists = [\"clients.crl\"]\nclient_anchors =", 1);
    // A list of somebody else's is none.
    list("tls", 86_400);
    operator.write("tongban.toml", &with);
    let told = operator.command(&["reload"]);
    assert!(!told.status.success() && tools::text(&told).contains("tls.client_lists"), "{}", tools::text(&told));
    list("clients", 86_400);
    operator.reload();
    let lists = || {
        let metrics = tools::plain(federation.told["gateways"][0]["metrics"].as_str().expect("an address"), "/metrics");
        ["ending", "overdue"].map(|state| {
            let name = format!("tongban_client_lists_{state} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
            line.unwrap_or_else(|| panic!("{metrics}"))
        })
    };
    assert_eq!(lists(), ["0", "0"]);
    let clerk: Headers = vec![("authorization", format!("Bearer {}", federation.token("C-0001")))];
    assert_eq!(code(&federation.client("W-440305-01", 0).get("/v1/cases", &clerk).await), (403, "TB-PAR-0102"));
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    assert_eq!(code(&counter.file(federation).await).0, 202, "others are as they were");
    let reading = federation.log_reader("audit-440305", 0);
    assert_eq!(code(&reading.get("/tile/entries/000.p/1", &Headers::new()).await), (403, "TB-PAR-0102"));
    // Before its date there is a warning.
    list("clients", 1_800);
    operator.reload();
    assert_eq!(lists(), ["1", "0"]);
    // Past its date it still counts for what it names, and raises an alarm.
    list("clients", -30);
    operator.reload();
    assert_eq!(lists(), ["0", "1"]);
    assert_eq!(code(&federation.client("W-440305-01", 0).get("/v1/cases", &clerk).await), (403, "TB-PAR-0102"));
    // Where lists are required, one that is past its date, or not there, lets nobody in of that authority.
    let required = |text: &str| text.replacen("client_anchors =", "client_lists_required = true\nclient_anchors =", 1);
    let lacking = || {
        let metrics = tools::plain(federation.told["gateways"][0]["metrics"].as_str().expect("an address"), "/metrics");
        metrics.lines().any(|line| line == "tongban_required_lists_lacking 1")
    };
    for (what, text, good_for_s, want) in [
        ("past its date", required(&with), -30, (503, "TB-GW-0106")),
        ("in date", required(&with), 86_400, (202, "")),
        ("not there", required(&config), 86_400, (503, "TB-GW-0106")),
        ("not there, and not required", config.clone(), 86_400, (202, "")),
    ] {
        list("clients", good_for_s);
        operator.write("tongban.toml", &text);
        operator.reload();
        assert_eq!(code(&counter.file(federation).await), want, "{what}");
        assert_eq!(lacking(), want.0 == 503, "{what}");
        let stranger = federation.anybody(0).get("/v1/items", &Headers::new()).await;
        assert_eq!(stranger.status, 200, "{what}: who shows no certificate is nobody's client: {}", stranger.text());
    }
    assert_eq!(federation.client("W-440305-01", 0).get("/v1/cases", &clerk).await.status, 200);
}

/// Contracts, rules and clients change while the gateway runs; a file with a mistake changes nothing.
async fn reloads(federation: &Federation) {
    let operator = Operator::new(federation);
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    let good = operator.read("partners.toml");
    let line = |text: &str, want: &str| 1 + text.lines().position(|line| line.contains(want)).expect("a line");
    assert!(operator.reload().contains("0 处变更"), "nothing has changed");
    assert_eq!(code(&counter.file(federation).await).0, 202);

    // The kill switch, by command.
    let first = "outlet = \"bank-440305-01\"\n";
    operator.write("partners.toml", &good.replace(first, &format!("{first}suspended = \"检查\"\n")));
    assert!(operator.reload().contains("contracts"));
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0203"));

    // A mistake, and another one elsewhere: both are told with their lines, and the switch stays on.
    let bad = good.replacen("kind = \"bank\"", "kind = \"bnak\"", 1).replace("per_second = 50", "per_second = 0");
    operator.write("partners.toml", &bad);
    for command in [["reload"], ["check"]] {
        let told = operator.command(&command);
        assert_eq!(told.status.code(), Some(1), "{command:?}");
        let text = tools::text(&told);
        for want in ["kind = \"bnak\"", "per_second = 0"] {
            let place = format!("partners.toml:{}: ", line(&bad, want));
            assert!(text.contains(&place), "{command:?}: {place} in {text}");
        }
    }
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0203"));

    // The switch off again, by signal.
    operator.write("partners.toml", &good);
    let changes = operator.lines("partner.change").len();
    kill_process(operator.pid(), Signal::HUP).expect("it runs");
    for _ in 0..200 {
        if operator.lines("partner.change").len() > changes {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut answer = counter.file(federation).await;
    for _ in 0..100 {
        if answer.status == 202 {
            break; // the line comes before the change
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        answer = counter.file(federation).await;
    }
    assert_eq!(code(&answer).0, 202, "{}", answer.text());
    let lines = operator.lines("partner.change");
    let causes: Vec<_> = lines.iter().map(|l| (l["facts"]["cause"].as_str(), l["dec"]["verdict"].as_str())).collect();
    let (start, by_hand, by_signal) = (Some("start"), Some("operator"), Some("signal"));
    let (yes, no) = (Some("allow"), Some("deny"));
    let causes: Vec<_> = causes.into_iter().filter(|(cause, _)| cause.is_some()).collect();
    let last = &causes[causes.len() - 3..];
    assert_eq!((causes[0], last), ((start, yes), &[(by_hand, yes), (by_hand, no), (by_signal, yes)][..]), "{lines:#?}");
    let by_reload: Vec<_> = lines.iter().filter(|line| line["facts"]["cause"].is_string()).collect();
    let [suspended, _, on] = by_reload[by_reload.len() - 3..] else { panic!("three lines") };
    assert_eq!(suspended["facts"]["before"], lines[0]["facts"]["version"]);
    assert_eq!(on["facts"]["version"], lines[0]["facts"]["version"]);

    // A contract that has run out.
    let year = good.lines().find_map(|line| line.strip_prefix("to = \"")).and_then(|to| to.get(..4)).expect("a year");
    let over = good.replacen(&format!("to = \"{year}-12-31\""), &format!("to = \"{year}-01-01\""), 1);
    operator.write("partners.toml", &over);
    operator.reload();
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0202"));
    operator.write("partners.toml", &good);
    operator.reload();

    policies(federation, &operator, &counter).await;
    clients(federation, &operator).await;
}

/// Rules of one's own, with a mistake first.
async fn policies(federation: &Federation, operator: &Operator<'_>, counter: &Counter) {
    let config = operator.read("tongban.toml");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let own = operator.home.join("policies");
    fs::create_dir(&own).unwrap();
    for entry in fs::read_dir(shipped).unwrap().flatten().filter(|e| e.path().is_file()) {
        fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
    }
    operator.write("tongban.toml", &config.replacen("partners =", "policies = \"policies\"\npartners =", 1));
    operator.reload();
    assert_eq!(code(&counter.file(federation).await).0, 202, "the same rules from a folder");
    let rule = "@id(\"outlets-rest\")\n@zh(\"今日网点盘点。\")\n@en(\"Outlets take stock today.\")\n@code(\"TB-POL-0203\")\n\
                forbid (principal is Tongban::Outlet, action == Tongban::Action::\"file\", resource);\n";
    operator.write("policies/90-own.cedar", &rule.replace("@zh(\"今日网点盘点。\")\n", ""));
    let told = operator.command(&["reload"]);
    assert!(tools::text(&told).contains("90-own.cedar:1: "), "{}", tools::text(&told));
    assert_eq!(code(&counter.file(federation).await).0, 202);
    operator.write("policies/90-own.cedar", rule);
    operator.reload();
    let refused = counter.file(federation).await;
    assert_eq!(code(&refused), (403, "TB-POL-0203"));
    assert_eq!(refused.json["rules"], json!(["outlets-rest"]), "{}", refused.text());
    let loads = operator.lines("policy.load");
    let verdicts: Vec<_> = loads.iter().map(|l| l["dec"]["verdict"].as_str().unwrap_or_default()).collect();
    // A folder with the shipped rules is the shipped set: no change, no line.
    assert_eq!(verdicts, ["allow", "deny", "allow"], "{loads:#?}");
    let own = own.display().to_string();
    replayed(operator, &own);
    operator.write("tongban.toml", &config);
    operator.reload();
    assert_eq!(code(&counter.file(federation).await).0, 202);
}

/// Past decisions under the rule that came last: what it would have refused. Under the rules of then all say the same.
fn replayed(operator: &Operator<'_>, own: &str) {
    let data = operator.home.join("data");
    let replay = |policies: &[&str]| {
        let place = data.display().to_string();
        let done = tools::tongban(&[&["policy", "replay", &place], policies].concat());
        (done.status.code(), tools::text(&done))
    };
    let (exit, text) = replay(&["--policies", own]);
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("would be denied") && text.contains("→ outlets-rest"), "{text}");
    assert!(!text.contains("not what the rules"), "{text}");
    let denied: usize =
        text.split("now denied ").nth(1).and_then(|n| n.split(' ').next()?.parse().ok()).expect("a count");
    assert!(denied >= 5, "{text}");
    // The shipped rules know nothing of the stock-taking: only that refusal turns.
    let (exit, text) = replay(&[]);
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("now permitted 1 ") && text.contains("now denied 0 "), "{text}");
    // A question that somebody changes answers to no line any more; a set that was changed is none.
    let version =
        operator.lines("policy.load").first().map(|l| l["dec"]["policy"].as_str().unwrap().to_owned()).unwrap();
    let archived = data.join("policies").join(version).join("20-outlets.cedar");
    let good = fs::read_to_string(&archived).unwrap();
    fs::write(&archived, format!("{good}// \n")).unwrap();
    let (exit, text) = replay(&[]);
    assert!(exit == Some(1) && text.contains("was changed"), "{text}");
    fs::write(&archived, good).unwrap();
    for entry in fs::read_dir(data.join("decisions")).unwrap().flatten() {
        let kept = fs::read_to_string(entry.path()).unwrap();
        fs::write(entry.path(), kept.replace("\"Outlet\"", "\"Clerk\"")).unwrap();
        let (exit, text) = replay(&["--policies", own]);
        assert_eq!(exit, Some(2), "{text}");
        assert!(text.contains("now denied 0 ") && text.contains("not kept"), "{text}");
        assert!(text.contains("cannot be decided"), "{text}");
        // The same of a question that is gone, and of all of them.
        fs::write(entry.path(), "").unwrap();
        let (exit, text) = replay(&["--policies", own]);
        assert!(exit == Some(2) && text.contains("unchanged 0 ") && text.contains("cannot be decided"), "{text}");
        fs::write(entry.path(), kept).unwrap();
    }
    let (exit, text) = replay(&["--policies", own]);
    assert!(exit == Some(1) && !text.contains("cannot be decided"), "{text}");
}

/// A window that the configuration does not name any more is nobody.
async fn clients(federation: &Federation, operator: &Operator<'_>) {
    let config = operator.read("tongban.toml");
    let window = federation.client("W-440305-01", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    assert_eq!(federation.file(&window, &both, "419001", None).await.status, 202);
    let at = config.find("[[window]]").expect("a window");
    let end = config[at..].find("\n\n").map_or(config.len(), |end| at + end);
    operator.write("tongban.toml", &format!("{}{}", &config[..at], &config[end..]));
    let told = operator.reload();
    assert!(told.contains("config"), "{told}");
    assert_eq!(code(&federation.file(&window, &both, "419001", None).await), (401, "TB-GW-0101"));
    operator.write("tongban.toml", &config);
    operator.reload();
    assert_eq!(federation.file(&window, &both, "419001", None).await.status, 202);
    assert!(!operator.lines("admin.config").is_empty());
}
