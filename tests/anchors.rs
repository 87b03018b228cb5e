//! Time-stamps over the log by an authority that nobody here wrote: OpenSSL's. One that is away stops nobody.

mod federation;
mod tools;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use federation::{Federation, Headers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tools::{plain, text, tongban};

const GATEWAYS: [&str; 2] = ["gw-440305", "gw-419001"];

fn openssl(folder: &Path, line: &str) {
    let done = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().expect("openssl runs");
    assert!(done.status.success(), "openssl {line}: {}", text(&done));
}

/// The authority's folder: a root `ca.pem`, and under it who stamps.
fn authority() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = "[req]\nprompt = no\ndistinguished_name = dn\n[dn]\nCN = stamps\n\
        [ca]\nbasicConstraints = critical,CA:true\nkeyUsage = critical,keyCertSign\nsubjectKeyIdentifier = hash\n\
        [stamps]\nbasicConstraints = CA:false\nkeyUsage = critical,digitalSignature\n\
        extendedKeyUsage = critical,timeStamping\n\
        [tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\ncerts = tsa.pem\n\
        signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\nordering = yes\ntsa_name = no\n\
        ess_cert_id_chain = no\ness_cert_id_alg = sha256\naccuracy = secs:1\n";
    fs::write(folder.path().join("tsa.cnf"), settings).expect("written");
    fs::write(folder.path().join("serial"), "01\n").expect("written");
    for line in [
        "ecparam -name prime256v1 -genkey -noout -out ca.key",
        "req -x509 -new -key ca.key -subj /CN=root -days 30 -config tsa.cnf -extensions ca -out ca.pem",
        "genrsa -out tsa.key 2048",
        "req -new -key tsa.key -subj /CN=stamps -config tsa.cnf -out tsa.csr",
        "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile tsa.cnf -extensions stamps -out tsa.pem",
    ] {
        openssl(folder.path(), line);
    }
    folder
}

/// Serves it; gives its address.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/tsa", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some(question) = body(&mut stream) else { continue };
            fs::write(folder.join("question.tsq"), question).expect("written");
            openssl(&folder, "ts -reply -config tsa.cnf -section one -queryfile question.tsq -out answer.tsr");
            let answer = fs::read(folder.join("answer.tsr")).expect("an answer");
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &answer].concat());
        }
    });
    address
}

/// The body of a request that tells its length.
fn body(stream: &mut impl Read) -> Option<Vec<u8>> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let got = stream.read(&mut buffer).ok().filter(|got| *got > 0)?;
        read.extend(&buffer[..got]);
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
        if read.len() >= end + 4 + length {
            return Some(read.split_off(end + 4));
        }
    }
}

fn lines(log: &str, kind: &str) -> Vec<Value> {
    let shown = tongban(&["audit", "show", log]);
    let all = String::from_utf8_lossy(&shown.stdout).into_owned();
    let all = all.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    all.filter(|line| line["kind"] == kind).collect()
}

/// Starts a gateway anew with these settings of its log.
async fn with_tsa(federation: &Federation, gateway: usize, url: &str, trusted: &Path) {
    let file = federation.folder.path().join(GATEWAYS[gateway]).join("tongban.toml");
    let settings = fs::read_to_string(&file).expect("the configuration");
    let tsa = format!("[log]\ntsa = {url:?}\ntsa_anchors = {:?}\n", trusted.display().to_string());
    fs::write(&file, settings.replacen("[log]\n", &tsa, 1)).expect("written");
    let pid = || {
        let told = tools::announced(federation.folder.path())?;
        Pid::from_raw(i32::try_from(told["gateways"][gateway]["pid"].as_i64()?).ok()?)
    };
    let before = pid().expect("a process");
    kill_process(before, Signal::TERM).expect("it runs");
    let admin = federation.told["gateways"][gateway]["metrics"].as_str().expect("an address");
    for _ in 0..600 {
        if pid().is_some_and(|now| now != before) && plain(admin, "/ready").starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} did not come again", GATEWAYS[gateway]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_stamps_the_log_and_one_that_is_away_stops_nobody() {
    let federation = Federation::start(9).await;
    let stamps = authority();
    let trusted = stamps.path().join("ca.pem");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    with_tsa(&federation, 1, &format!("http://{closed}/tsa"), &trusted).await;
    with_tsa(&federation, 0, &serve(stamps.path().to_owned()), &trusted).await;

    // Both serve, the one whose authority is away like the other: a case crosses and is decided there.
    let window = federation.client("window", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let filed = federation.file(&window, &both, "419001", None).await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    federation.until_over(&window, &both, &no).await;

    let [log, away] = GATEWAYS.map(|id| federation.folder.path().join(id).join("data/log").display().to_string());
    let mut anchored = Vec::new();
    for _ in 0..300 {
        anchored = lines(&log, "anchor");
        if !anchored.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let line = anchored.first().expect("a time-stamp on record");
    let (stamp, size) = (&line["ev"][0], line["facts"]["size"].as_str().expect("a size"));
    assert_eq!(stamp["type"], "time-stamp");
    let (at, now) = (stamp["at"].as_i64().expect("a time"), tongban::terms::UnixMillis::now().0);
    assert!((now - 120_000..=now + 1_000).contains(&at), "{line}");

    // OpenSSL itself: the token over the text of the checkpoint.
    let file = fs::read_to_string(Path::new(&log).join(format!("anchors/{size:0>20}"))).expect("the anchor");
    let (head, note) = file.split_once("\n\n").expect("an anchor");
    let token = head.lines().nth(1).expect("a token");
    let checkpoint = note.split_inclusive('\n').take(3).collect::<String>();
    fs::write(stamps.path().join("token.b64"), format!("{token}\n")).expect("written");
    fs::write(stamps.path().join("checkpoint"), checkpoint).expect("written");
    openssl(stamps.path(), "base64 -d -A -in token.b64 -out token.der");
    openssl(stamps.path(), "ts -verify -token_in -in token.der -data checkpoint -CAfile ca.pem -untrusted tsa.pem");
    let digest = tongban::terms::Digest::of(&fs::read(stamps.path().join("token.der")).expect("a token"));
    assert_eq!(stamp["digest"], digest.to_string(), "the line names the token");

    // And ours: anchored here, undecided where no stamp could be had.
    for (gateway, log, code) in [(0, &log, 0), (1, &away, 2)] {
        let key = federation.told["gateways"][gateway]["log_key"].as_str().expect("a key");
        let asked = ["audit", "verify", log, "--key", key, "--tsa", &trusted.display().to_string(), "--json"];
        let verified = tongban(&asked);
        assert_eq!(verified.status.code(), Some(code), "{}", text(&verified));
    }
    let metrics = |gateway: usize| {
        let admin = federation.told["gateways"][gateway]["metrics"].as_str().expect("an address");
        plain(admin, "/metrics")
    };
    assert!(metrics(1).contains("tongban_log_unstamped_seconds"), "{}", metrics(1));
}
