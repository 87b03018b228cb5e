//! A gateway whose operator has nothing begun that no witness sees (`log.fail_closed_after_s`): without its witnesses it says so to
//! clerks, lets pass what leaves no line, loses nothing, and goes on by itself when they are back. A restart is no way round.

mod federation;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use federation::{Answer, Federation, Headers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sqlx::{Connection, Row};

const BOUND_S: u64 = 10;
/// Longest wait for anything that must happen.
const WAIT: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(200);
/// Longer than the outbox is left alone.
const DELIVERIES: Duration = Duration::from_secs(3);

struct Gateway {
    federation: Federation,
    home: PathBuf,
    metrics: String,
    both: Headers,
}

impl Gateway {
    fn gauge(&self, name: &str) -> Option<u64> {
        let metrics = tools::plain(&self.metrics, "/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    fn ready(&self) -> String {
        tools::plain(&self.metrics, "/ready")
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + WAIT;
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}: {}", self.ready());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Killed; the demonstration starts it again, with its settings as they are by then.
    async fn again(&self) {
        let pid =
            || tools::announced(self.federation.folder.path()).and_then(|told| told["gateways"][0]["pid"].as_i64());
        let before = pid().expect("a process");
        let process = i32::try_from(before).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(process, Signal::KILL).expect("it runs");
        self.until("another process", |_| pid().is_some_and(|now| now != before)).await;
        self.until("ready", |own| own.ready().starts_with("HTTP/1.1 200")).await;
    }

    async fn file(&self, key: &str) -> Answer {
        // A client that was refused five times in a row would rest.
        let window = self.federation.client("window", 0);
        self.federation.file(&window, &self.both, "419001", Some(key)).await
    }

    /// Deliveries to the other gateway that are done, and that wait.
    async fn outbox(&self, sql: &'static str) -> (i64, i64) {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}", self.home.join("data/store.db").display());
        let mut store = sqlx::AnyConnection::connect(&url).await.expect("the store opens beside the gateway");
        sqlx::query(sql).execute(&mut store).await.expect("done");
        let counted = "SELECT COUNT(done_at), COUNT(*) - COUNT(done_at) FROM outbox WHERE way = 'peer'";
        let row = sqlx::query(counted).fetch_one(&mut store).await.expect("a row");
        store.close().await.expect("closed");
        (row.get(0), row.get(1))
    }
}

fn number(filed: &Answer) -> String {
    assert!(matches!(filed.status, 200 | 202), "{}", filed.text());
    filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_witnesses_nothing_new_is_begun_and_with_them_all_goes_on() {
    let federation = Federation::start(3).await;
    let home = federation.folder.path().join("gw-440305");
    let both = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let metrics = federation.told["gateways"][0]["metrics"].as_str().expect("an address").to_owned();
    let mut own = Gateway { federation, home, metrics, both };
    let file = own.home.join("tongban.toml");
    let text = fs::read_to_string(&file).expect("settings");
    let named = "witnesses = \"witnesses.txt\"\n";
    assert!(text.contains(named), "{text}");
    fs::write(&file, text.replacen(named, &format!("{named}fail_closed_after_s = {BOUND_S}\n"), 1)).expect("written");
    own.again().await;
    own.until("the quorum", |own| own.gauge("tongban_log_witnessed") == Some(1)).await;
    let first = number(&own.file("first").await);
    let window = own.federation.client("window", 0);
    own.federation.until_over(&window, &own.both, &first).await;

    // The other gateway is there, and cosigns nothing: it cannot keep what it cosigned.
    let memory = own.federation.folder.path().join("gw-419001/data/witness");
    let away = memory.with_extension("away");
    fs::rename(&memory, &away).expect("moved");
    let since = Instant::now();
    let meanwhile = number(&own.file("meanwhile").await);
    own.until("the bound", |own| own.gauge("tongban_log_fail_closed") == Some(1)).await;
    assert!(since.elapsed() >= Duration::from_secs(BOUND_S), "not before the bound: {:?}", since.elapsed());
    let ready = own.ready();
    assert!(ready.starts_with("HTTP/1.1 200"), "witnesses reach each other's logs through the same balancers: {ready}");
    assert!(ready.contains("alarm: nothing new is begun until the witnesses' quorum is back"), "{ready}");

    refused(&own, &first).await;
    passed(&own).await;

    // A delivery that comes due meanwhile waits, and a new life of the gateway changes nothing.
    let again = "UPDATE outbox SET done_at = NULL, next_at = 0 WHERE way = 'peer'";
    let due = own.outbox(again).await;
    assert!(due.0 == 0 && due.1 > 0, "{due:?}");
    tokio::time::sleep(DELIVERIES).await;
    assert_eq!(own.outbox("SELECT 1").await, due, "what is handed over begins with a line, too");
    own.again().await;
    assert_eq!(told(&own.file("held").await), (503, "TB-AUD-0105".into()));
    assert_eq!(own.outbox("SELECT 1").await, due);

    fs::rename(&away, &memory).expect("moved back");
    let until = Instant::now() + WAIT;
    let held = loop {
        let filed = own.file("held").await;
        if filed.status != 503 {
            break number(&filed);
        }
        assert!(Instant::now() < until, "{}", filed.text());
        tokio::time::sleep(LOOK).await;
    };
    assert_eq!(number(&own.file("held").await), held, "one case");
    assert!(!own.ready().contains("nothing new"), "{}", own.ready());
    let window = own.federation.client("window", 0);
    for case in [&meanwhile, &held] {
        own.federation.until_over(&window, &own.both, case).await;
    }
    let until = Instant::now() + WAIT;
    while own.outbox("SELECT 1").await.1 > 0 {
        assert!(Instant::now() < until, "what waited is delivered");
        tokio::time::sleep(LOOK).await;
    }
    own.federation.stop();
    for gateway in [0, 1] {
        let proven = tools::audit(own.federation.folder.path(), gateway);
        assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
    }
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default().to_owned())
}

/// Whatever must be on record, whoever asks: by a sentence for the window, and on record itself.
async fn refused(own: &Gateway, case: &str) {
    let federation = &own.federation;
    let json = |value: serde_json::Value| Some(("application/json", value.to_string().into_bytes()));
    let lookup = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true});
    let window = || federation.client("window", 0);
    let file = |name: &str| federation.folder.path().join("gw-419001/certs").join(name);
    let peer = || federation.with(0, &file("tls.pem"), &file("tls.key"));
    let citizen = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    let sealed = Some(("application/vnd.etsi.asic-e+zip", b"PK".to_vec()));
    let case = format!("/v1/cases/{case}");
    let answers = [
        own.file("held").await,
        window().send("POST", "/v1/lookups", &own.both, json(lookup)).await,
        window().get(&case, &own.both).await,
        window().send("POST", &format!("{case}/withdraw"), &own.both, None).await,
        federation.anybody(0).get("/v1/me/lookups", &citizen).await,
        peer().send("POST", "/peer/v1/messages", &Headers::new(), sealed).await,
    ];
    for (nth, answer) in answers.iter().enumerate() {
        assert_eq!(told(answer), (503, "TB-AUD-0105".into()), "{nth}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), "30", "{nth}");
        let sentence = answer.json["title"].as_str().unwrap_or_default();
        assert!(sentence.contains("暂停办理新业务") && sentence.contains("登记申请人联系方式"), "{nth}: {sentence}");
        assert!(
            answer.json["detail"].is_string() && answer.json["next"]["step"] == "try_later",
            "{nth}: {}",
            answer.text()
        );
        assert!(answer.json["leaf"].is_u64(), "{nth}: a no is kept like a yes: {}", answer.text());
    }
    let page = federation.anybody(0).get("/me", &Headers::new()).await;
    let shown = String::from_utf8_lossy(&page.bytes).into_owned();
    assert!(page.status == 503 && shown.contains("TB-AUD-0105"), "{shown}");
    // Whoever may not come this way at all is told that, and nothing of the log.
    let stranger = federation.anybody(0).get(&case, &Headers::new()).await;
    assert_eq!(stranger.status, 401, "{}", stranger.text());
}

/// What leaves no line goes on, the log's own address too, and what takes something back.
async fn passed(own: &Gateway) {
    let federation = &own.federation;
    let window = federation.client("window", 0);
    let before = own.gauge("tongban_log_size");
    let plan = Some(("application/json", b"{}".to_vec()));
    let planned = window.send("POST", "/v1/items/002009901000/plan", &own.both, plan).await;
    assert_eq!(planned.status, 200, "{}", planned.text());
    for path in [
        "/v1/items",
        "/v1/items/002009901000",
        "/v1/openapi.json",
        "/v1/errors",
        "/v1/jwks",
        "/.well-known/oauth-authorization-server",
        "/v1/cases",
        "/signed-out",
    ] {
        let answer = window.get(path, &own.both).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    assert_eq!(own.gauge("tongban_log_size"), before, "none of them has a line");
    let token = Some(("application/x-www-form-urlencoded", b"logout_token=a.b.c".to_vec()));
    let logout = federation.anybody(0).send("POST", "/v1/backchannel-logout", &Headers::new(), token).await;
    assert!(logout.status < 500, "an issuer says once that a session is over: {}", logout.text());
    let auditor = federation.log_reader("audit-440305", 0);
    let note = auditor.get("/checkpoint", &Headers::new()).await;
    assert_eq!(note.status, 200, "{}", note.text());
    let size: u64 = note.text().lines().nth(1).and_then(|line| line.parse().ok()).expect("a size");
    let entries = match size {
        0..256 => format!("/tile/entries/000.p/{size}"),
        _ => "/tile/entries/000".to_owned(),
    };
    assert_eq!(auditor.get(&entries, &Headers::new()).await.status, 200, "a mirror's word may be what is missing");
    assert!(Path::new(&own.home.join("data/unwitnessed")).is_file());
}
