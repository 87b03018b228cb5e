//! Finding entries, as an auditor does it: on a live gateway's folder, on a mirror, over the network; by an index and by
//! reading everything; and what is said of a log that was changed. One federation for all of it.

mod federation;
mod schema;
mod tools;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use federation::{Federation, Headers, Window};
use serde_json::{Value, json};

/// The first gateway's log, and who may read it.
struct Auditor {
    folder: PathBuf,
    url: String,
    key: String,
    ca: String,
    cert: String,
    cert_key: String,
}

impl Auditor {
    fn of(federation: &Federation) -> Self {
        let gateway = &federation.told["gateways"][0];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let clients = federation.told["clients"].as_array().expect("clients");
        let own = clients.iter().find(|client| client["name"] == "audit-440305").expect("an auditor");
        Self {
            folder: federation.folder.path().join(text(&gateway["name"])).join("data"),
            url: text(&gateway["log"]),
            key: text(&gateway["log_key"]),
            ca: text(&gateway["ca"]),
            cert: text(&own["cert"]),
            cert_key: text(&own["key"]),
        }
    }

    fn network(&self) -> [&str; 6] {
        ["--ca", &self.ca, "--cert", &self.cert, "--client-key", &self.cert_key]
    }

    fn search(&self, logs: &[&str], more: &[&str]) -> Output {
        tools::tongban(&[&["audit", "search", "--key", &self.key], logs, more].concat())
    }
}

/// Searches over the network: who may not, what is wrong, and what stands on record of it.
async fn over_the_network(federation: &Federation, auditor: &Auditor, intents: &[(u64, String)], end: u64) {
    let document = federation.anybody(0).get("/v1/openapi.json", &Headers::new()).await.json;
    let described = &document["paths"]["/search"]["post"];
    let answered = &described["responses"]["200"]["content"]["application/json"]["schema"];
    let reader = federation.log_reader("audit-440305", 0);
    let ask = async |window: &Window, body: &Value| {
        window.send("POST", "/search", &Headers::new(), Some(("application/json", body.to_string().into_bytes()))).await
    };
    let ground = "complaint-2026-17";
    // Page by page, each proven, and each on record with what was asked.
    let (mut got, mut from, mut records) = (Vec::new(), Some(0), Vec::new());
    while let Some(at) = from {
        let request = json!({ "ground": ground, "kind": "case.intent", "from": at, "limit": 1, "proof": true });
        let answer = ask(&reader, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let wrong = schema::mistakes(&document, answered, &answer.json);
        assert!(wrong.is_empty(), "{wrong:#?}");
        let key = auditor.key.parse().expect("a key");
        for hit in answer.json["results"].as_array().expect("results") {
            let proof =
                tongban::audit::proof::TlogProof::parse(hit["proof"].as_str().expect("a proof")).expect("a proof");
            let bytes = hit["bytes"].as_str().expect("the entry").as_bytes();
            assert!(proof.verify(bytes, &key).is_ok(), "{hit}");
            got.push(place(hit));
        }
        records.push(answer.json["record"]["index"].as_u64().expect("a line of its own"));
        from = answer.json["next"].as_u64();
    }
    got.retain(|(index, _)| *index < end);
    assert_eq!(got, intents);
    // A person by number: the number is nowhere, the pseudonym finds what is about them.
    let number = "11010519491231002X";
    let by_number =
        json!({ "ground": ground, "person": { "kind": "resident", "number": number }, "case": "00".repeat(16) });
    let answer = ask(&reader, &by_number).await;
    assert_eq!((answer.status, answer.json["matched"].as_u64()), (200, Some(0)), "{}", answer.text());
    records.push(answer.json["record"]["index"].as_u64().expect("a line of its own"));
    let shown = tools::tongban(&["audit", "show", path(&auditor.folder)]);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&shown.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(!tools::text(&shown).contains(number), "a number in the log");
    for (n, index) in records.iter().enumerate() {
        let line = &lines[*index as usize];
        let facts = &line["facts"];
        assert_eq!((&line["kind"], &facts["ground"]), (&json!("audit.read"), &json!(ground)), "{line}");
        assert_eq!(line["actor"]["staff"], "audit-440305", "{line}");
        match n + 1 == records.len() {
            false => {
                assert_eq!((&facts["find.kind"], &facts["results"]), (&json!("case.intent"), &json!("1")), "{line}")
            }
            true => assert!(facts["find.person"].is_string() && facts["results"] == "0", "{line}"),
        }
    }
    // Without rights, and without sense.
    let ok = json!({ "ground": ground });
    let of_other = federation.at_log(federation.client("window", 0), 0);
    let nobody = federation.at_log(federation.anybody(0), 0);
    for (name, window, body, status, code) in [
        ("nobody", &nobody, ok.clone(), 403, "TB-AUD-0302"),
        ("a window", &of_other, ok.clone(), 403, "TB-AUD-0302"),
        ("no ground", &reader, json!({ "kind": "deny" }), 422, "TB-HTTP-0009"),
        ("an empty ground", &reader, json!({ "ground": "" }), 422, "TB-HTTP-0009"),
        ("a number as ground", &reader, json!({ "ground": number }), 422, "TB-HTTP-0009"),
        ("a number as actor", &reader, json!({ "ground": ground, "actor": number }), 422, "TB-HTTP-0009"),
        (
            "no number",
            &reader,
            json!({ "ground": ground, "person": { "kind": "resident", "number": "1" } }),
            422,
            "TB-HTTP-0009",
        ),
        ("too many", &reader, json!({ "ground": ground, "limit": 201 }), 422, "TB-HTTP-0009"),
        ("a member too many", &reader, json!({ "ground": ground, "fullname": number }), 422, "TB-HTTP-0009"),
        ("too long", &reader, json!({ "ground": ground, "actor": "x".repeat(9_000) }), 413, "TB-HTTP-0004"),
    ] {
        let answer = ask(window, &body).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{name}: {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{name}: not on record");
        assert!(!answer.text().contains(number), "{name}: a number in a refusal");
    }
    // One auditor does not keep the gateway busy.
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(ask(&reader, &ok).await.json["code"].as_str().map(str::to_owned));
    }
    assert!(codes.iter().flatten().any(|code| code == "TB-AUD-0305"), "{codes:?}");
    one_address_each(&reader).await;
    refused_by_the_rules(federation, auditor, &reader).await;
}

/// An auditor of other places: what was sought, and on what ground, stands in the refusal.
async fn refused_by_the_rules(federation: &Federation, auditor: &Auditor, reader: &Window) {
    let config = PathBuf::from(federation.told["gateways"][0]["config"].as_str().expect("a file"));
    let own = std::fs::read_to_string(&config).expect("the configuration");
    let (head, tail) = own.split_once("[[auditor]]").expect("an auditor");
    let reload = |text: &str| {
        std::fs::write(&config, text).expect("written");
        let done = tools::tongban(&["reload", "--config", path(&config)]);
        assert!(done.status.success(), "{}", tools::text(&done));
    };
    let elsewhere = tail.replacen("places = [\"440000\"]", "places = [\"530102\"]", 1);
    assert_ne!(elsewhere, tail);
    reload(&format!("{head}[[auditor]]{elsewhere}"));
    let wanted = json!({ "ground": "SJ-2026-17", "kind": "deny" });
    let mut answer = None;
    for _ in 0..50 {
        let body = Some(("application/json", wanted.to_string().into_bytes()));
        let told = reader.send("POST", "/search", &Headers::new(), body).await;
        if told.status != 429 {
            answer = Some(told);
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.json["code"].as_str()), (404, Some("TB-POL-0601")), "{}", answer.text());
    let at = usize::try_from(answer.json["leaf"].as_u64().expect("on record")).expect("an index");
    let shown = tools::tongban(&["audit", "show", path(&auditor.folder)]);
    let line = String::from_utf8_lossy(&shown.stdout).lines().nth(at).map(str::to_owned).expect("the line");
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&line["facts"]["ground"], &line["facts"]["find.kind"]),
        (&json!("SJ-2026-17"), &json!("deny")),
        "{line}"
    );
    reload(&own);
}

/// A tile has one address: with a query it is another one, which is not there.
async fn one_address_each(reader: &Window) {
    let checkpoint = reader.get("/checkpoint", &Headers::new()).await.text();
    let size: u64 = checkpoint.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size");
    let last = if size >= 256 { String::new() } else { format!(".p/{size}") };
    for (path, status) in [
        (format!("/tile/0/000{last}"), 200),
        (format!("/tile/0/000{last}?x=1"), 404),
        (format!("/tile/0/000{last}?"), 404),
        (format!("/tile/entries/000{last}"), 200),
        (format!("/tile/entries/000{last}?x=1"), 404),
        (format!("/tile/0/0{last}"), 404),
        (format!("/tile/00/000{last}"), 404),
    ] {
        assert_eq!(reader.get(&path, &Headers::new()).await.status, status, "{path}");
    }
    // Entries shrink to a third on the way to whoever takes gzip; hashes would not.
    for (path, is_packed) in [(format!("/tile/entries/000{last}"), true), (format!("/tile/0/000{last}"), false)] {
        let whole = reader.get(&path, &Headers::new()).await;
        let packed = reader.get(&path, &vec![("accept-encoding", "gzip, identity".to_owned())]).await;
        assert_eq!(packed.header("content-encoding"), if is_packed { "gzip" } else { "" }, "{path}");
        let mut octets = packed.bytes.clone();
        if is_packed {
            octets.clear();
            flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut octets).expect("gzip");
            assert!(packed.bytes.len() < whole.bytes.len() / 2, "{} of {}", packed.bytes.len(), whole.bytes.len());
        }
        assert!(octets == whole.bytes && whole.header("content-encoding").is_empty(), "{path}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Indexes and leaf hashes of what was found below `end`: the gateway is at work, and its log grows meanwhile.
fn found(output: &Output, end: u64) -> Vec<(u64, String)> {
    let all = lines(output);
    let hits = all.iter().filter(|line| line["index"].is_u64());
    hits.map(place).filter(|(index, _)| *index < end).collect()
}

fn place(hit: &Value) -> (u64, String) {
    (hit["index"].as_u64().expect("a number"), hit["leaf"].as_str().expect("a hash").to_owned())
}

fn log(output: &Output) -> Value {
    lines(output).into_iter().find_map(|line| line.get("log").cloned()).expect("a line about the log")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_found_wherever_the_log_lies() {
    let federation = Federation::start(2).await;
    let auditor = Auditor::of(&federation);
    let data = path(&auditor.folder);
    // The gateway keeps the index itself; it is beside the log's folder, not in it.
    let mut indexed = 0;
    for _ in 0..100 {
        indexed = log(&auditor.search(&[data], &["--kind", "case.intent", "--json"]))["indexed"].as_u64().unwrap_or(0);
        if indexed > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(indexed > 0 && auditor.folder.join("log-index.db").is_file());
    let by_all = auditor.search(&[data], &["--kind", "case.intent", "--json", "--full", "--proof"]);
    let by_index = auditor.search(&[data], &["--kind", "case.intent", "--json"]);
    let end = log(&by_all)["size"].as_u64().expect("a number");
    let found = |output: &Output| found(output, end);
    assert_eq!((by_index.status.code(), by_all.status.code()), (Some(0), Some(0)), "{}", tools::text(&by_index));
    let want = found(&by_all);
    assert!(!want.is_empty() && found(&by_index) == want, "{}", tools::text(&by_index));
    assert!(
        tools::text(&by_index).contains("--full") && log(&by_all)["indexed"] == 0,
        "what an index can hide is told"
    );
    let proofs = lines(&by_all);
    assert!(proofs.iter().filter(|hit| hit["index"].is_u64()).all(|hit| hit["proof"].is_string()));

    // A mirror, with an index and without; and the network, with a certificate and without.
    let folder = tempfile::tempdir().expect("a folder");
    let mirror = folder.path().join("mirror");
    let copied = tools::tongban(
        &[&["audit", "mirror", &auditor.url, path(&mirror), "--key", &auditor.key], &auditor.network()[..]].concat(),
    );
    assert!(copied.status.success(), "{}", tools::text(&copied));
    let plain = auditor.search(&[path(&mirror)], &["--kind", "case.intent", "--json"]);
    let made = tools::tongban(&["audit", "index", path(&mirror), "--key", &auditor.key]);
    assert!(made.status.success() && folder.path().join("mirror-index.db").is_file(), "{}", tools::text(&made));
    let indexed = auditor.search(&[path(&mirror)], &["--kind", "case.intent", "--json"]);
    let network =
        auditor.search(&[&auditor.url], &[&["--kind", "case.intent", "--json"], &auditor.network()[..]].concat());
    for (name, output, by_index) in [("mirror", &plain, false), ("index", &indexed, true), ("URL", &network, false)] {
        assert_eq!(output.status.code(), Some(0), "{name}: {}", tools::text(output));
        assert_eq!(found(output), want, "{name}");
        assert_eq!(log(output)["indexed"].as_u64() > Some(0), by_index, "{name}");
    }
    let stranger = auditor.search(&[&auditor.url], &["--kind", "case.intent", "--json", "--ca", &auditor.ca]);
    assert_eq!((stranger.status.code(), found(&stranger).len()), (Some(2), 0), "{}", tools::text(&stranger));

    over_the_network(&federation, &auditor, &want, end).await;
    // One octet of a bundle changed: this log is disproven, the other is still searched.
    let bundle = tools::files(&mirror.join("tile/entries")).into_iter().next().expect("a bundle");
    let mut bytes = std::fs::read(&bundle).expect("a bundle");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bundle, bytes).expect("a bundle");
    let both = auditor.search(&[path(&mirror), data], &["--kind", "case.intent", "--json", "--full"]);
    assert_eq!((both.status.code(), found(&both)), (Some(1), want.clone()), "{}", tools::text(&both));
    assert_eq!(log(&both)["verdict"], "disproven");
    // A folder that is none, and a log whose key is not pinned: undecided, and the other is still searched.
    let missing = folder.path().join("nothing");
    let none = auditor.search(&[path(&missing), data], &["--kind", "case.intent", "--json"]);
    assert_eq!((none.status.code(), found(&none)), (Some(2), want.clone()), "{}", tools::text(&none));
    // For people: a table, with a head and a foot in both languages.
    let table =
        auditor.search(&[data], &["--kind", "case.intent", "--since", "2020-01-01", "--until", "2099-01-01 00:00"]);
    let text = tools::text(&table);
    assert!(table.status.success() && text.contains("叶哈希 leaf") && text.contains("found"), "{text}");
    for (bad, told) in [
        (["--since", "yesterday"], "2026-02-13"),
        (["--kind", "case"], "case.intent"),
        (["--item", "12"], "基本编码"),
        (["--person", "00000000000000000000000000000000"], "--ground"),
    ] {
        let output = auditor.search(&[data], &bad);
        assert!(output.status.code() == Some(2) && tools::text(&output).contains(told), "{}", tools::text(&output));
    }
    a_clean_stop(&federation);
}

/// Told to stop, a gateway says so at `/ready` before it closes its doors, and answers there until it is done.
fn a_clean_stop(federation: &Federation) {
    use rustix::process::{Pid, Signal, kill_process};
    let gateway = &federation.told["gateways"][1];
    let admin = gateway["admin"].as_str().expect("an address");
    assert!(tools::plain(admin, "/ready").starts_with("HTTP/1.1 200"), "{}", tools::plain(admin, "/ready"));
    let pid = gateway["pid"].as_i64().and_then(|pid| Pid::from_raw(pid as i32)).expect("a process");
    kill_process(pid, Signal::TERM).expect("a signal");
    let ask = |_| {
        std::thread::sleep(Duration::from_millis(20));
        tools::plain(admin, "/ready")
    };
    let leaving = (0..1_000).map(ask).find(|told| !told.starts_with("HTTP/1.1 200"));
    let told = leaving.expect("it leaves");
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("leaving"), "{told}");
}
