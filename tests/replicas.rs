//! Two processes of one gateway on one PostgreSQL: nothing is done twice, and quotas hold for the sum.
//!
//! ```text
//!  window ─▶ replica 1 ─┐                       ┌─▶ log 1
//!                       ├─ one PostgreSQL, one ─┤
//!  window ─▶ replica 2 ─┘  vault, same keys     └─▶ log 2
//! ```

mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, Row};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tongban::app::demo::licence::{self, Holder, Under};
use tongban::app::demo::people::{LI, Person, ZHANG};
use tongban::app::demo::token_for;
use tongban::app::demo::tokens::Options;
use tongban::app::demo::walk::Window;
use tongban::app::demo::world::{A, B, OFFICE, OUTLET, POLICE_B, SMALL_OUTLET, TOWN_WINDOW, WINDOW, World};
use tongban::identity::issue::SigningKey as DeviceKey;
use tongban::terms::UnixMillis;
use tongban::trust::pem;
use tongban::trust::suite::{SignatureAlgorithm, SigningKey};
use tongban::upstream::tls::{certificates, roots};
use tools::Running;

/// Cases filed through each replica, and by the outlet whose contract allows two a day.
const CASES: usize = 20;
const OUTLET_TRIES: usize = 6;
const OUTLET_DAILY: usize = 2;
/// Filings sent at once by another outlet, how many of them its quota lets through, and how often one filing is sent at once.
const RACE: usize = 100;
const RACE_DAILY: usize = 15;
const SAME: usize = 20;
const WAIT: Duration = Duration::from_secs(120);
/// The second replica's ports, from the base on: the first gateway of the demonstration leaves them free.
const SECOND: u16 = 4;
/// The owner's ports, from the base on; its second replica's come [`SECOND`] after them, as those of the first gateway.
const OWNER: u16 = 10;
/// Cases at each replica of the owner in which a window acts at once under one mandate, and how often that is tried until the
/// department's own system was not first in all of them.
const MANDATED: usize = 4;
const TRIES: usize = 20;

async fn wait_for(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + WAIT;
    while !look().await {
        assert!(Instant::now() < until, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn end(child: &mut Running) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    // Waiting closes what it reads from; under `--with-parent` that would end it before it has put things in order.
    let held = child.stdin.take();
    kill_process(pid, Signal::TERM).expect("it runs");
    assert!(child.wait().expect("it ends").success());
    drop(held);
}

/// A database of our own on the test server.
async fn database(server: &str) -> String {
    sqlx::any::install_default_drivers();
    let name = format!("replicas_{}", std::process::id());
    let mut connection = sqlx::AnyConnection::connect(server).await.expect("the server");
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database");
    let (host, _) = server.rsplit_once('/').expect("an address with a database");
    format!("{host}/{name}")
}

/// Lays a second replica beside the first: its own ports and its own log with a key and an origin of its own; the vault,
/// the keys and everything else are the first one's.
fn second_replica(folder: &Path, gateway: &str, base: u16) -> std::path::PathBuf {
    let (one, two) = (folder.join(gateway), folder.join(format!("{gateway}-2")));
    fs::create_dir_all(two.join("data")).unwrap();
    for same in ["certs", "authorities", "partners.toml", "witnesses.txt"] {
        symlink(one.join(same), two.join(same)).unwrap();
    }
    let key = SigningKey::generate(SignatureAlgorithm::Ed25519).unwrap();
    fs::write(two.join("log.key"), pem::encode("PRIVATE KEY", &key)).unwrap();
    let mut config = fs::read_to_string(one.join("tongban.toml")).unwrap();
    for door in 0..4 {
        let (from, to) = (format!("127.0.0.1:{}\"", base + door), format!("127.0.0.1:{}\"", base + SECOND + door));
        assert!(config.contains(&from));
        config = config.replace(&from, &to);
    }
    let shared = format!("[gateway]\nshared = {:?}\n", one.join("data"));
    config = config.replace("[gateway]\n", &shared);
    let (from, to) = (format!("example/{gateway}\""), format!("example/{gateway}/2\""));
    for (from, to) in [("certs/log.key", "log.key"), (from.as_str(), to.as_str())] {
        assert!(config.contains(from), "{from}");
        config = config.replace(from, to);
    }
    fs::write(two.join("tongban.toml"), config).unwrap();
    two
}

/// Runs a replica that was laid, and waits until it is ready. `metrics` is its port for that question.
async fn run_replica(home: &Path, metrics: u16) -> Running {
    let output = || File::options().create(true).append(true).open(home.join("gateway.log")).unwrap();
    let mut replica = tools::program();
    replica.arg("serve").arg("--config").arg(home.join("tongban.toml")).arg("--with-parent");
    let replica = replica.stdin(Stdio::piped()).stdout(output()).stderr(output()).spawn();
    let mut replica = Running(replica.expect("it starts"));
    wait_for("the second replica", async || {
        let ended = replica.try_wait().expect("a child of ours");
        let said = || fs::read_to_string(home.join("gateway.log")).unwrap_or_default();
        assert!(ended.is_none(), "{ended:?}: {}", said());
        is_ready(metrics)
    })
    .await;
    replica
}

fn is_ready(port: u16) -> bool {
    let Ok(mut socket) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    let asked = socket.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    asked.and_then(|()| socket.read_to_string(&mut answer)).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// One filing under its own key.
async fn file_as(world: World, client: &'static str, clerk: &'static str, base: u16, key: String) -> (u16, String) {
    let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
    let card = licence::issue(&world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
    let token = |user: &str| token_for(&world, user, &Options::default()).unwrap();
    let headers = vec![("authorization", format!("Bearer {}", token(clerk))), ("tongban-subject-token", token(ZHANG))];
    let request = json!({
        "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    });
    let window = Window::new(&World { port_base: base, ..world.clone() }, client, A).unwrap();
    let answer = window.file(&headers, &key, &request, &[("id.ofd", &card)]).await.unwrap();
    (answer.status.as_u16(), answer.json["case"].as_str().unwrap_or_default().to_owned())
}

/// Files the same kind of case again and again, at one replica; gives status and case number of each.
async fn file(world: World, client: &'static str, clerk: &'static str, base: u16, times: usize) -> Vec<(u16, String)> {
    let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
    let card = licence::issue(&world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
    let token = |user: &str| token_for(&world, user, &Options::default()).unwrap();
    let headers = vec![("authorization", format!("Bearer {}", token(clerk))), ("tongban-subject-token", token(ZHANG))];
    let request = json!({
        "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    });
    // The same federation, seen through the other replica's door.
    let window = Window::new(&World { port_base: base, ..world.clone() }, client, A).unwrap();
    let mut all = Vec::new();
    for n in 0..times {
        let key = format!("replicas-{client}-{base}-{n}");
        let answer = window.file(&headers, &key, &request, &[("id.ofd", &card)]).await.unwrap();
        all.push((answer.status.as_u16(), answer.json["case"].as_str().unwrap_or_default().to_owned()));
    }
    all
}

/// A hundred filings at once, half at each replica, for an outlet that may take [`RACE_DAILY`] a day; before that one and the
/// same filing, sent many times at once to both. Exactly the quota is taken, and each unit once. Gives the cases.
async fn race(world: &World, base: u16, homes: [&Path; 2], store: &mut sqlx::AnyConnection) -> BTreeSet<String> {
    let contracts = homes[0].join("partners.toml");
    let text = fs::read_to_string(&contracts).unwrap();
    let quota = format!(
        "[contract.quota]\noutlet = {RACE_DAILY}\nterminal = {RACE_DAILY}\nclerk = 90\nitem = 90\ncitizen = 200\n"
    );
    let (first, rest) = text.split_once("[contract.quota]").expect("a quota");
    let rest = rest.split_once("\n\n").expect("an end").1;
    fs::write(&contracts, format!("{first}{quota}\n{rest}")).unwrap();
    // Both replicas take the same contracts while they run.
    for home in homes {
        let done = tools::tongban(&["reload", "--config", &home.join("tongban.toml").display().to_string()]);
        assert!(done.status.success(), "{}", tools::text(&done));
    }
    let outlet = "key LIKE '%/bank-440305-01%' OR key LIKE 'citizen/%'";
    let sql = format!("DELETE FROM gw_440305.counter WHERE {outlet}");
    store.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();

    let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
    let card = licence::issue(world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
    let token = |user: &str| token_for(world, user, &Options::default()).unwrap();
    let headers =
        vec![("authorization", format!("Bearer {}", token("E-9001"))), ("tongban-subject-token", token(ZHANG))];
    let request = json!({
        "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    });
    let at_once = async |keys: Vec<String>| {
        let tasks = keys.into_iter().enumerate().map(|(n, key)| {
            let port_base = if n % 2 == 0 { base } else { base + SECOND };
            let (world, headers) = (World { port_base, ..world.clone() }, headers.clone());
            let (request, card) = (request.clone(), card.clone());
            tokio::spawn(async move {
                let window = Window::new(&world, OUTLET, A).unwrap();
                let answer = window.file(&headers, &key, &request, &[("id.ofd", &card)]).await.unwrap();
                let text = |member: &str| answer.json[member].as_str().unwrap_or_default().to_owned();
                (answer.status.as_u16(), text("case"), text("code"))
            })
        });
        let mut answers = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            answers.push(task.await.unwrap());
        }
        answers
    };
    let same = at_once(vec!["race-same".to_owned(); SAME]).await;
    let taken: BTreeSet<String> =
        same.iter().filter(|(status, ..)| *status < 300).map(|(_, case, _)| case.clone()).collect();
    assert_eq!(taken.len(), 1, "one filing is one case: {same:?}");
    assert_eq!(same.iter().filter(|(status, ..)| *status == 202).count(), 1, "{same:?}");
    assert!(same.iter().all(|(status, ..)| *status < 300), "{same:?}");

    let raced = at_once((0..RACE).map(|n| format!("race-{n}")).collect()).await;
    let cases: BTreeSet<String> =
        raced.iter().filter(|(status, ..)| *status == 202).map(|(_, case, _)| case.clone()).collect();
    assert_eq!(cases.len(), RACE_DAILY - 1, "exactly what the quota leaves: {raced:?}");
    let refused: Vec<_> = raced.iter().filter(|(status, ..)| *status != 202).collect();
    assert_eq!(refused.len(), RACE - (RACE_DAILY - 1));
    assert!(refused.iter().all(|(status, _, code)| *status == 429 && code == "TB-PAR-0301"), "{refused:?}");
    let sql = format!("SELECT key, used FROM gw_440305.counter WHERE {outlet}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *store).await.unwrap();
    let counters: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(counters.len(), 5, "outlet, clerk, terminal, item, citizen: {counters:?}");
    assert!(counters.iter().all(|(_, used)| *used == RACE_DAILY as i64), "each unit is charged once: {counters:?}");
    taken.into_iter().chain(cases).collect()
}

/// A consent for one use, sent with many lookups at once to both replicas: one of them has it, all others are told that it
/// was used. Gives the cases.
async fn used_once(world: &World, base: u16) -> Vec<String> {
    let mut cases = Vec::new();
    for n in 0..10 {
        let (case, answers) = look_at_once(world, base, format!("used-once-{n}")).await;
        cases.push(case);
        // The office may decide the case in between: the rules refuse whoever holds the paper, and another is tried.
        let closed = answers.iter().any(|(_, code)| code == "TB-POL-0502");
        if closed && answers.iter().all(|(status, _)| *status == 403) {
            continue;
        }
        let used = answers.iter().filter(|(status, code)| *status == 403 && code == "TB-IDN-0105").count();
        assert_eq!(used, SAME - 1, "a paper for one use is used once: {answers:?}");
        assert!(answers.iter().any(|(status, _)| *status == 200), "and the one is answered: {answers:?}");
        return cases;
    }
    panic!("every case was decided at once");
}

/// Files a case, has a consent for it, and looks up under it many times at once at both replicas.
async fn look_at_once(world: &World, base: u16, key: String) -> (String, Vec<(u16, String)>) {
    let (status, case) = file_as(world.clone(), WINDOW, "C-0001", base, key).await;
    assert_eq!(status, 202, "{case}");
    let token = |user: &str| token_for(world, user, &Options::default()).unwrap();
    let (citizen, clerk) = (token(ZHANG), token("C-0001"));
    let own = vec![("authorization", format!("Bearer {citizen}"))];
    let both = vec![("authorization", format!("Bearer {clerk}")), ("tongban-subject-token", citizen)];
    let json = |value: &Value| Some(("application/json", value.to_string().into_bytes()));
    let draft = json!({
        "kind": "consent", "to": POLICE_B, "resources": ["DR-HH"], "purpose": "case", "case": case, "once": true,
    });
    let given = Window::stranger(world, A).unwrap().call("/v1/papers", &own, json(&draft)).await.unwrap();
    assert_eq!(given.status.as_u16(), 200, "{}", given.json);
    let look = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent_paper": given.json["paper"]});
    // What the rules refuse uses nothing up, whichever replica is asked.
    for n in 0..2 {
        let at = World { port_base: base + n * SECOND, ..world.clone() };
        let mut strange = look.clone();
        strange["fields"] = json!(["no-such-field"]);
        let refused = Window::new(&at, WINDOW, A).unwrap().call("/v1/lookups", &both, json(&strange)).await.unwrap();
        let code = refused.json["code"].as_str().unwrap_or_default();
        assert!(code.starts_with("TB-POL"), "the rules' no: {}", refused.json);
    }
    let tasks = (0..SAME).map(|n| {
        let port_base = if n % 2 == 0 { base } else { base + SECOND };
        let (world, both, look) = (World { port_base, ..world.clone() }, both.clone(), look.clone());
        tokio::spawn(async move {
            let body = Some(("application/json", look.to_string().into_bytes()));
            let answer = Window::new(&world, WINDOW, A).unwrap().call("/v1/lookups", &both, body).await.unwrap();
            (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default().to_owned())
        })
    });
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    (case, answers)
}

/// A power of attorney for one act. A filing that is refused leaves it good; then many filings under it at once at both
/// replicas are one case. Gives the case.
async fn acted_once(world: &World, base: u16) -> String {
    let device = DeviceKey::generate(Algorithm::ES256).unwrap();
    let bound = Options { jkt: Some(device.jkt().unwrap()), ..Options::default() };
    let (citizen, agent) =
        (token_for(world, ZHANG, &Options::default()).unwrap(), token_for(world, LI, &bound).unwrap());
    let portal = Window::stranger(world, A).unwrap();
    let draft = json!({
        "kind": "attorney", "to": format!("{}#{LI}", world.issuer()), "items": ["002009901000"], "acts": ["file"],
        "once": true,
    });
    let own = vec![("authorization", format!("Bearer {citizen}"))];
    let body = Some(("application/json", draft.to_string().into_bytes()));
    let given = portal.call("/v1/papers", &own, body).await.unwrap();
    assert_eq!(given.status.as_u16(), 200, "{}", given.json);
    let paper = given.json["paper"].as_str().unwrap();
    // None of these has a character that a form writes otherwise.
    let (grant, token) =
        ("urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:token-type:access_token");
    let form = format!(
        "grant_type={grant}&subject_token={citizen}&subject_token_type={token}&actor_token={agent}\
         &actor_token_type={token}&item=002009901000&paper={paper}"
    );
    let proof = |window: &Window, path: &str, token: Option<&str>| {
        device.dpop_proof("POST", &window.url(path), token, None, UnixMillis::now()).unwrap()
    };
    let headers = vec![("dpop", proof(&portal, "/v1/token", None))];
    let body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
    let exchanged = portal.call("/v1/token", &headers, body).await.unwrap();
    assert_eq!(exchanged.status.as_u16(), 200, "{}", exchanged.json);
    let token = exchanged.json["access_token"].as_str().unwrap().to_owned();

    let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
    let card = licence::issue(world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
    let file = |n: usize, card: Vec<u8>| {
        let port_base = [base, base + SECOND][n % 2];
        let window = Window::stranger(&World { port_base, ..world.clone() }, A).unwrap();
        let proof = proof(&window, "/v1/cases", Some(&token));
        let headers = vec![("authorization", format!("DPoP {token}")), ("dpop", proof)];
        let request = json!({
            "item": "002009901000", "places": {"household": "419001"}, "mode": "proxy", "consent": true,
            "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
        });
        tokio::spawn(async move {
            let key = format!("acted-once-{n}");
            let answer = window.file(&headers, &key, &request, &[("id.ofd", &card)]).await.unwrap();
            let text = |member: &str| answer.json[member].as_str().unwrap_or_default().to_owned();
            (answer.status.as_u16(), text("case"), text("code"))
        })
    };
    let (status, _, code) = file(SAME, b"no licence".to_vec()).await.unwrap();
    assert!(status >= 400 && !code.starts_with("TB-IDN"), "refused for its material: {status} {code}");
    let mut tasks = Vec::new();
    for n in 0..SAME {
        tasks.push(file(n, card.clone()));
    }
    let (mut cases, mut used) = (Vec::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            (202, case, _) => cases.push(case),
            (403, _, code) if code == "TB-IDN-0105" => used += 1,
            other => panic!("neither taken nor told that it was used: {other:?}"),
        }
    }
    assert_eq!((cases.len(), used), (1, SAME - 1), "a paper for one act is acted under once");
    cases.remove(0)
}

/// One request of a device, sent to a replica's door under the federation's name for the gateway: status and code.
async fn ask_at(world: &World, port: u16, headers: &str) -> (u16, String) {
    let anchors = certificates(&world.gateway(A).join("authorities/tls.pem")).expect("an authority");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(&anchors).expect("roots"))
        .with_no_client_auth();
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let name = "127.0.0.1".try_into().expect("a name");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(name, socket).await.expect("TLS");
    let head = format!("GET /v1/cases HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets).await;
    let text = String::from_utf8_lossy(&octets).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    (status, json["code"].as_str().unwrap_or_default().to_owned())
}

/// Proofs of a device, each good for one request wherever it is sent. Gives what was used, to be tried again.
async fn proven_once(world: &World, base: u16) -> Vec<String> {
    let device = DeviceKey::generate(Algorithm::ES256).unwrap();
    let bound = Options { jkt: Some(device.jkt().unwrap()), ..Options::default() };
    let token = token_for(world, ZHANG, &bound).unwrap();
    let mut used = Vec::new();
    for first in [0, SECOND] {
        let url = format!("https://127.0.0.1:{base}/v1/cases");
        let proof = device.dpop_proof("GET", &url, Some(&token), None, UnixMillis::now()).unwrap();
        let headers = format!("Host: 127.0.0.1:{base}\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n");
        assert_eq!(ask_at(world, base + first, &headers).await, (200, String::new()), "replica {first} takes it");
        used.push(headers);
    }
    used
}

/// Neither replica takes what was used at either.
async fn never_again(world: &World, base: u16, used: &[String], when: &str) {
    for (n, headers) in used.iter().enumerate() {
        for replica in [0, SECOND] {
            let told = ask_at(world, base + replica, headers).await;
            assert_eq!(told, (401, "TB-IDN-0017".to_owned()), "proof {n} at replica {replica} {when}");
        }
    }
}

/// A window mandate for one act, acted under at once at both replicas of the owner, each time in a case of its own: one case
/// is accepted under it, and afterwards none at either replica.
async fn mandated_once(world: &World, base: u16) {
    let json = |value: &Value| Some(("application/json", value.to_string().into_bytes()));
    let office = Window::new(world, OFFICE, B).unwrap();
    for round in 0..TRIES {
        let draft = json!({
            "kind": "mandate", "to": TOWN_WINDOW, "items": ["002009901000"], "acts": ["accept"], "once": true,
        });
        let given = office.call("/office/v1/papers", &[], json(&draft)).await.unwrap();
        assert_eq!(given.status.as_u16(), 200, "{}", given.json);
        let mandate = given.json["paper"].as_str().unwrap().to_owned();
        let act = |n: usize| {
            let port_base = [base, base + SECOND][n % 2];
            let (world, at) = (world.clone(), World { port_base, ..world.clone() });
            let mandate = mandate.clone();
            tokio::spawn(async move {
                let token = |user: &str| token_for(&world, user, &Options::default()).unwrap();
                let clerk = ("authorization", format!("Bearer {}", token("C-0002")));
                let window = Window::new(&at, TOWN_WINDOW, B).unwrap();
                let both = [clerk.clone(), ("tongban-subject-token", token(ZHANG))];
                let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
                let card = licence::issue(&world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
                let request = json!({
                    "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
                    "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
                });
                let key = format!("mandated-{round}-{n}");
                let filed = window.file(&both, &key, &request, &[("id.ofd", &card)]).await.unwrap();
                let case = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.json)).to_owned();
                let order = json!({"act": "accept", "mandate": mandate}).to_string().into_bytes();
                let path = format!("/v1/cases/{case}/acts");
                let answer = window.call(&path, &[clerk], Some(("application/json", order))).await.unwrap();
                (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default().to_owned())
            })
        };
        let mut answers = Vec::new();
        for task in (0..2 * MANDATED).map(act).collect::<Vec<_>>() {
            answers.push(task.await.unwrap());
        }
        let accepted = answers.iter().filter(|(status, _)| *status == 200).count();
        assert!(accepted <= 1, "a mandate for one act is acted under once: {answers:?}");
        if accepted == 0 || !answers.iter().any(|(_, code)| code == "TB-IDN-0105") {
            continue; // The department's own system was first: another mandate.
        }
        for replica in [0, 1] {
            let mut told = String::new();
            for n in 1..=TRIES {
                let (status, code) = act(2 * (MANDATED + n) + replica).await.unwrap();
                assert_ne!(status, 200, "replica {replica} lets it count again");
                told = code;
                if told == "TB-IDN-0105" {
                    break;
                }
            }
            assert_eq!(told, "TB-IDN-0105", "at replica {replica}");
        }
        return;
    }
    panic!("the window was never first");
}

/// The provider says to its own gateway that a person's data changed; that gateway tells ours, at one address; both replicas
/// forget. Gives the cases that showed it.
async fn forget_everywhere(world: &World, base: u16, logs: [&Path; 2]) -> Vec<String> {
    let household = |log: &Path| -> Vec<String> {
        let lines =
            lines(log).into_iter().filter(|line| line["kind"] == "data.read" && line["ev"][0]["type"] == "DR-HH");
        lines.map(|line| line["ev"][0]["age"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut cases = Vec::new();
    let mut filed = 0;
    // Files at one replica, and tells whether the household was asked anew for it.
    let mut age = async |replica: usize| {
        let port = if replica == 0 { base } else { base + SECOND };
        filed += 1;
        let done = file_as(world.clone(), WINDOW, "C-0001", port, format!("heard-{filed}")).await;
        assert_eq!(done.0, 202, "{done:?}");
        cases.push(done.1);
        household(logs[replica]).last().cloned().unwrap_or_default()
    };
    for replica in [0, 1] {
        age(replica).await;
        assert_eq!(age(replica).await, "cached", "replica {replica} keeps it");
    }
    let (certificate, key) = world.client("household-register");
    assert!(certificate.exists());
    let provider = Window::new(world, "household-register", B).unwrap();
    let change = tools::change(&key, &tools::change_claims("DR-HH", Some("990101199202290010"), "replicas"));
    let body = json!({ "change": change }).to_string().into_bytes();
    let told = provider.call("/provider/v1/changes", &[], Some(("application/json", body))).await.unwrap();
    assert_eq!(told.status.as_u16(), 200, "{}", told.json);
    for replica in [0, 1] {
        let mut last = String::new();
        for _ in 0..50 {
            last = age(replica).await;
            if last == "fresh" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(last, "fresh", "replica {replica} has heard");
    }
    cases
}

/// The provider's word comes to that replica of the owner which answered nobody: who asked the other is told all the same.
async fn told_by_the_other(world: &World, base: u16, log: &Path) {
    let mut filed = 0;
    let mut age = async || {
        filed += 1;
        let done = file_as(world.clone(), WINDOW, "C-0001", base, format!("other-{filed}")).await;
        assert_eq!(done.0, 202, "{done:?}");
        let read = lines(log).into_iter().rfind(|l| l["kind"] == "data.read" && l["ev"][0]["type"] == "DR-HH");
        read.map_or(Value::Null, |line| line["ev"][0]["age"].clone())
    };
    age().await;
    assert_eq!(age().await, "cached");
    let (_, key) = world.client("household-register");
    let provider = Window::new(&World { port_base: base + SECOND, ..world.clone() }, "household-register", B).unwrap();
    let change = tools::change(&key, &tools::change_claims("DR-HH", Some("990101199202290010"), "other"));
    let body = json!({ "change": change }).to_string().into_bytes();
    let told = provider.call("/provider/v1/changes", &[], Some(("application/json", body))).await.unwrap();
    assert_eq!(told.status.as_u16(), 200, "{}", told.json);
    wait_for("the other replica's word", async || age().await == "fresh").await;
}

/// Lines of a log, as the auditor reads them.
fn lines(log: &Path) -> Vec<Value> {
    let shown = tools::tongban(&["audit", "show", &log.display().to_string()]);
    assert!(shown.status.success(), "{}", tools::text(&shown));
    String::from_utf8_lossy(&shown.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn key(log: &Path) -> String {
    let key = tools::tongban(&["audit", "key", &log.display().to_string()]);
    String::from_utf8_lossy(&key.stdout).trim().to_owned()
}

/// The evidence of a case that replica `filed` took, exported at the other one while both run: proven with both logs, and with one
/// of them alone it says what is missing.
fn evidence_of_both(folder: &Path, homes: [&Path; 2], filed: usize, case: &str) {
    let (here, there) = (homes[1 - filed], homes[filed].join("data").display().to_string());
    let (config, peer) = (here.join("tongban.toml").display().to_string(), folder.join("gw-419001/data"));
    let keys = [&here.join("data/log"), &homes[filed].join("data/log"), &peer.join("log")].map(|log| key(log));
    let peer = peer.display().to_string();
    let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
    let mut entries = Vec::new();
    for (what, replica, exit) in [("both", &["--replica", &there][..], 0), ("one", &[], 2)] {
        let out = folder.join(format!("{filed}-{what}.asice")).display().to_string();
        let line = ["audit", "export", case, "--config", &config, "--peer", &peer, "--by", "A-1", "-o", &out];
        let done = tools::tongban(&[&line[..], &["--ground", "SJ-2026-17"], &keys, replica].concat());
        assert!(done.status.success(), "{what}: {}", tools::text(&done));
        let judged = tools::tongban(&[&["audit", "verify", &out, "--json"][..], &keys].concat());
        let report: Value =
            serde_json::from_slice(&judged.stdout).unwrap_or_else(|_| panic!("{}", tools::text(&judged)));
        assert_eq!(judged.status.code(), Some(exit), "{filed} {what}: {report:#}");
        // The export is on record here; what the other replica did is in the other log.
        assert!(report["kinds"]["audit.export"].as_u64() > Some(0), "{filed} {what}: {report:#}");
        entries.push(report["entries"].as_u64().expect("a number"));
        let complete = if exit == 0 { "proven" } else { "undecided" };
        for (question, want) in [("integrity", "proven"), ("complete", complete)] {
            assert_eq!(report["verdicts"][question], want, "{filed} {what}: {report:#}");
        }
        assert_eq!(report["faults"].to_string().contains("--replica"), exit == 2, "{filed} {what}: {report:#}");
    }
    assert!(entries[0] > entries[1], "{filed}: {entries:?}");
}

/// How often each case file was on its way to the other gateway.
fn sent(logs: &[&[Value]]) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for line in logs.iter().flat_map(|log| log.iter()) {
        if line["kind"] == "case.intent" && line["up"]["name"] == "gw-419001" {
            let digest = line["ev"][0]["digest"].as_str().expect("a case file").to_owned();
            *count.entry(digest).or_default() += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_never_do_a_thing_twice() {
    let Ok(server) = std::env::var("TONGBAN_TEST_POSTGRES") else {
        println!("TONGBAN_TEST_POSTGRES is not set: replicas need a common PostgreSQL");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (folder, base, url) = (folder.path(), tools::ports(2), database(&server).await);
    let said = File::create(folder.join("said.txt")).unwrap();
    let mut demo = tools::demo(folder, base);
    let demo = demo.args(["--store", &url]).stdin(Stdio::null()).stdout(said).spawn();
    let mut demo = Running(demo.expect("the binary runs"));
    let told = || fs::read_to_string(folder.join("said.txt")).unwrap();
    wait_for("the end of the walk", async || told().contains("全部") || told().contains("不符合预期")).await;
    assert!(told().contains("全部"), "{}", told());

    let two = second_replica(folder, "gw-440305", base);
    let mut second = run_replica(&two, base + SECOND + 2).await;
    // The walk used the small outlet's quota up: a new day for it.
    let mut store = sqlx::AnyConnection::connect(&url).await.unwrap();
    store.execute("DELETE FROM gw_440305.counter WHERE key LIKE '%bank-440305-02%'").await.unwrap();

    let world = World::open(folder).unwrap();
    let at = |client, clerk, base, times| tokio::spawn(file(world.clone(), client, clerk, base, times));
    let filings = [
        at(WINDOW, "C-0001", base, CASES),
        at(WINDOW, "C-0001", base + SECOND, CASES),
        at(SMALL_OUTLET, "E-9002", base, OUTLET_TRIES),
        at(SMALL_OUTLET, "E-9002", base + SECOND, OUTLET_TRIES),
    ];
    let mut answers = Vec::new();
    for filing in filings {
        answers.push(filing.await.unwrap());
    }
    let taken = |answers: &[(u16, String)]| answers.iter().filter(|(status, _)| *status == 202).count();
    assert_eq!((taken(&answers[0]), taken(&answers[1])), (CASES, CASES), "{answers:?}");
    assert_eq!(taken(&answers[2]) + taken(&answers[3]), OUTLET_DAILY, "the quota of the sum: {answers:?}");
    let outlet = answers[2].iter().chain(&answers[3]).filter(|(status, _)| *status != 202);
    assert!(outlet.clone().all(|(status, _)| *status == 429), "{answers:?}");
    let cases: Vec<_> = answers.iter().flatten().filter(|(status, _)| *status == 202).map(|(_, no)| no).collect();
    let distinct: BTreeSet<_> = cases.iter().copied().cloned().collect();
    assert_eq!(distinct.len(), cases.len(), "every number is given once");

    let used = proven_once(&world, base).await;
    never_again(&world, base, &used, "while both run").await;
    end(&mut second);
    second = run_replica(&two, base + SECOND + 2).await;
    never_again(&world, base, &used, "after a restart").await;
    let replays = lines(&two.join("data/log")).into_iter().filter(|line| line["dec"]["reason"] == "TB-IDN-0017");
    assert_eq!(replays.count(), 4, "each is on record where it was refused");
    let raced = race(&world, base, [&folder.join("gw-440305"), &two], &mut store).await;
    let heard = forget_everywhere(&world, base, [&folder.join("gw-440305/data/log"), &two.join("data/log")]).await;
    let consented = used_once(&world, base).await;
    let acted = acted_once(&world, base).await;
    let distinct: BTreeSet<_> =
        distinct.into_iter().chain(raced).chain(heard).chain(consented).chain([acted]).collect();
    let cases: Vec<_> = distinct.iter().collect();

    let open = "SELECT id FROM gw_440305.outbox WHERE done_at IS NULL UNION SELECT id FROM gw_419001.outbox WHERE done_at IS NULL";
    wait_for("the last delivery", async || {
        sqlx::query(open).fetch_all(&mut store).await.unwrap().is_empty()
            && tools::files(&folder.join("office/cases")).len() >= cases.len()
    })
    .await;
    let rows = sqlx::query("SELECT no FROM gw_419001.case_record").fetch_all(&mut store).await.unwrap();
    let owned: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(distinct.iter().all(|no| owned.contains(no)), "every case arrived");
    assert_eq!(tools::files(&folder.join("office/cases")).len(), owned.len(), "and came to the office");
    assert_eq!(tools::files(&folder.join("office/messages")).len(), owned.len(), "once");
    // What each filed, exported at the other one: the case has lines in both logs by then.
    for (which, case) in [(0, &answers[0][0].1), (1, &answers[1][0].1)] {
        evidence_of_both(folder, [&folder.join("gw-440305"), &two], which, case);
    }
    end(&mut second);
    let other = second_replica(folder, "gw-419001", base + OWNER);
    let mut owners = run_replica(&other, base + OWNER + SECOND + 2).await;
    mandated_once(&world, base).await;
    told_by_the_other(&world, base, &folder.join("gw-440305/data/log")).await;
    end(&mut owners);
    end(&mut demo);

    let logs = [folder.join("gw-440305/data/log"), two.join("data/log")];
    let (first, other) = (lines(&logs[0]), lines(&logs[1]));
    let once = sent(&[&first, &other]);
    assert!(once.len() >= cases.len());
    assert!(once.values().all(|times| *times == 1), "a case file was sent twice: {once:?}");
    assert!(!sent(&[&first]).is_empty() && !sent(&[&other]).is_empty(), "both replicas deliver");
    let names = logs.each_ref().map(|log| log.display().to_string());
    let keys = logs.each_ref().map(|log| key(log));
    for (log, key) in names.iter().zip(&keys) {
        let proven = tools::tongban(&["audit", "verify", log, "--key", key]);
        assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
        assert!(tools::text(&proven).contains("other logs of this gateway"), "{}", tools::text(&proven));
    }
    // Both logs are one set: each names the other, as far as it had come, and a case is found in whichever has it.
    let both =
        tools::tongban(&["audit", "verify", &names[0], &names[1], "--key", &keys[0], "--key", &keys[1], "--json"]);
    assert_eq!(both.status.code(), Some(0), "{}", tools::text(&both));
    let report: Value = serde_json::from_slice(&both.stdout).expect("JSON");
    assert_eq!((&report["set"], report["logs"].as_array().map(Vec::len)), (&json!("proven"), Some(2)), "{report:#}");
    let alone = tools::tongban(&["audit", "verify", &names[0], &names[0], "--key", &keys[0]]);
    assert_eq!(alone.status.code(), Some(2), "{}", tools::text(&alone));
}
