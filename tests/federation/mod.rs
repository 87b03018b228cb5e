//! A federation that runs while a test does: the demonstration as a process, and clients as their software would be.

#![allow(dead_code)] // each test uses a part of it

pub mod peer;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use http::{Request, header};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tongban::upstream::body::{empty, full};
use tongban::upstream::tls::{Identity, certificates, roots};
use tongban::upstream::{Client, ClientTls};

const WAIT: Duration = Duration::from_secs(30);
const ANSWER_MAX: usize = 16 << 20;

pub struct Federation {
    pub folder: Folder,
    pub told: Value,
    /// None where somebody else started it, and ends it.
    process: Option<Child>,
}

/// Where it lies; removed with the test that made it.
pub struct Folder(PathBuf, Option<tempfile::TempDir>);

impl Folder {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// An answer, read whole.
pub struct Answer {
    pub status: u16,
    pub media: String,
    pub headers: http::HeaderMap,
    pub json: Value,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).chars().take(600).collect()
    }
}

/// A refusal that named its line in the log of a gateway.
struct Refused {
    by: String,
    leaf: u64,
    code: String,
    trace: Value,
    text: String,
}

static REFUSED: Mutex<Vec<Refused>> = Mutex::new(Vec::new());

/// One client of one gateway.
#[derive(Clone)]
pub struct Window {
    client: Client,
    base: String,
    ca: PathBuf,
    pub authority: String,
}

pub type Headers = Vec<(&'static str, String)>;

impl Federation {
    /// Starts the demonstration and waits until it has walked and stays up. `nth` keeps the ports of tests apart.
    pub async fn start(nth: u16) -> Self {
        let told = tempfile::NamedTempFile::new().expect("a file");
        let stdout = told.reopen().expect("the file");
        let federation = Self::start_as(tempfile::tempdir().expect("a folder"), nth, |command| {
            command.stdout(stdout);
        });
        let federation = federation.await;
        for _ in 0..1_200 {
            // What it says when it has walked, and how to go on by hand: from now on it files nothing of its own.
            if std::fs::read_to_string(told.path()).is_ok_and(|told| told.contains("Try it by hand")) {
                return federation;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the demonstration did not come to its end");
    }

    /// One in this folder, which is empty; it may still be walking.
    pub async fn start_in(folder: tempfile::TempDir, nth: u16) -> Self {
        Self::start_as(folder, nth, |_| {}).await
    }

    /// One that runs in this folder, as far as it has told where.
    pub fn running(folder: &Path) -> Option<Self> {
        let told = serde_json::from_slice(&std::fs::read(folder.join("federation.json")).ok()?).ok()?;
        Some(Self { folder: Folder(folder.to_owned(), None), told, process: None })
    }

    /// The same, with a word on how the demonstration is started: its gateways inherit what it has.
    pub async fn start_as(folder: tempfile::TempDir, nth: u16, how: impl FnOnce(&mut Command)) -> Self {
        // Below 32,768, where the system takes ports for connections that go out; those of the second lane (`tests/tools/in-two-lanes`), below them.
        let first = if matches!(nth, 4 | 5) { 1_000 } else { 13_000 };
        let base = first + (std::process::id() % 60) as u16 * 30 + nth * 1_800;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tongban"));
        command.args(["demo", "--port-base", &base.to_string(), "--data"]).arg(folder.path());
        command.stdout(Stdio::null()).stdin(Stdio::null());
        how(&mut command);
        let process = Some(command.spawn().expect("the binary runs"));
        let folder = Folder(folder.path().to_owned(), Some(folder));
        let mut federation = Self { folder, told: Value::Null, process };
        for _ in 0..1_200 {
            if let Ok(bytes) = std::fs::read(federation.folder.path().join("federation.json")) {
                federation.told = serde_json::from_slice(&bytes).expect("federation.json is JSON");
                return federation;
            }
            let ended = federation.process.as_mut().map(|own| own.try_wait().expect("a child of ours"));
            let ended = ended.flatten();
            assert!(ended.is_none(), "the demonstration ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("federation.json did not come");
    }

    /// Ends it as an operator does, and waits until it has put things in order.
    pub fn stop(&mut self) {
        let process = self.process.as_mut().expect("a child of ours");
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).expect("it runs");
        // Its walk through the main job may have been cut short; what counts is that it was not killed.
        assert!(process.wait().expect("it ends").code().is_some());
    }

    /// Each refusal's line is where the answer said, and says the same of the same request. Gives their number.
    pub fn refusals_are_on_record(&self) -> usize {
        let refused = std::mem::take(&mut *REFUSED.lock().expect("whole"));
        let mut found = 0;
        for gateway in self.told["gateways"].as_array().expect("gateways") {
            let api = gateway["api"].as_str().expect("an address").trim_start_matches("https://");
            let name = gateway["name"].as_str().expect("a name");
            let log = self.folder.path().join(name).join("data/log");
            let mut show = Command::new(env!("CARGO_BIN_EXE_tongban"));
            let shown = show.args(["audit", "show"]).arg(log).output().expect("the binary runs");
            let lines: Vec<&[u8]> = shown.stdout.split(|octet| *octet == b'\n').collect();
            for refused in refused.iter().filter(|refused| refused.by == api) {
                let line =
                    lines.get(refused.leaf as usize).unwrap_or_else(|| panic!("{name}: no line: {}", refused.text));
                let line: Value = serde_json::from_slice(line).expect("a line of JSON");
                let (reason, trace) = (&line["dec"]["reason"], &line["trace"]);
                assert_eq!((reason, trace), (&json!(refused.code), &refused.trace), "{name}: {}\n{line}", refused.text);
                found += 1;
            }
        }
        found
    }

    fn text<'t>(&'t self, path: &[&str]) -> &'t str {
        let found = path.iter().fold(&self.told, |value, name| match name.parse::<usize>() {
            Ok(n) => &value[n],
            Err(_) => &value[*name],
        });
        found.as_str().unwrap_or_else(|| panic!("no {path:?} in federation.json"))
    }

    fn window(&self, gateway: usize, identity: Option<Identity>) -> Window {
        let n = gateway.to_string();
        let (base, ca) = (self.text(&["gateways", &n, "api"]), Path::new(self.text(&["gateways", &n, "ca"])));
        let tls = ClientTls::new(&certificates(ca).expect("a CA"), identity).expect("TLS settings");
        let authority = base.trim_start_matches("https://").to_owned();
        Window { client: Client::new(&tls), base: base.to_owned(), ca: ca.to_owned(), authority }
    }

    /// Without a certificate.
    pub fn anybody(&self, gateway: usize) -> Window {
        self.window(gateway, None)
    }

    /// A client of a gateway, by name, or the first of a kind (`window`, `outlet`, …).
    pub fn client(&self, kind: &str, gateway: usize) -> Window {
        let name = self.text(&["gateways", &gateway.to_string(), "name"]);
        let clients = self.told["clients"].as_array().expect("clients");
        let client = clients.iter().find(|c| (c["kind"] == kind || c["name"] == kind) && c["gateway"] == name);
        let client = client.unwrap_or_else(|| panic!("{name} has no client {kind}"));
        let file = |member: &str| PathBuf::from(client[member].as_str().expect("a file"));
        self.window(gateway, Some(Identity::read(&file("cert"), &file("key")).expect("an identity")))
    }

    /// A client of a gateway's log, by name.
    pub fn log_reader(&self, name: &str, gateway: usize) -> Window {
        self.at_log(self.client(name, gateway), gateway)
    }

    /// The same client, at the address of a gateway's log.
    pub fn at_log(&self, window: Window, gateway: usize) -> Window {
        let log = self.text(&["gateways", &gateway.to_string(), "log"]).to_owned();
        Window { authority: log.trim_start_matches("https://").to_owned(), base: log, ..window }
    }

    /// A client under some other certificate.
    pub fn with(&self, gateway: usize, certificate: &Path, key: &Path) -> Window {
        self.window(gateway, Some(Identity::read(certificate, key).expect("an identity")))
    }

    /// A fresh token, by kind of person or user, as scripts have it.
    pub fn token(&self, who: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tongban"));
        let output = command.args(["demo", "token", "--as", who, "--data"]).arg(self.folder.path()).output();
        let output = output.expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// The applicant's identity card as a sealed licence.
    pub fn licence(&self) -> Vec<u8> {
        use tongban::app::demo::licence::{Holder, Under, issue};
        use tongban::app::demo::{World, people::Person};
        let world = World::open(self.folder.path()).expect("the demonstration's folder");
        let holder = Person::find("citizen").and_then(Holder::of).expect("a person");
        issue(&world, Under::Good, "LT-ID", holder, tongban::terms::UnixMillis::now()).expect("a licence")
    }

    /// Files the household certificate for the citizen at the counter.
    pub async fn file(&self, window: &Window, headers: &Headers, owner: &str, key: Option<&str>) -> Answer {
        let request = json!({
            "item": "002009901000", "places": {"household": owner}, "present": true, "consent": true,
            "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
        });
        let licence = if key.is_some() { self.same_licence() } else { self.licence() };
        let mut headers = headers.clone();
        headers.extend(key.map(|key| ("idempotency-key", key.to_owned())));
        self.send_filing(window, &headers, &request, &[("id.ofd", licence)]).await
    }

    /// Files the household certificate without a counter, in this mode.
    pub async fn file_as(&self, window: &Window, headers: &Headers, owner: &str, mode: &str) -> Answer {
        let request = json!({
            "item": "002009901000", "places": {"household": owner}, "mode": mode, "consent": true,
            "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
        });
        self.send_filing(window, headers, &request, &[("id.ofd", self.licence())]).await
    }

    /// Sends a filing as `multipart/form-data`.
    pub async fn send_filing(
        &self,
        window: &Window,
        headers: &Headers,
        request: &Value,
        files: &[(&str, Vec<u8>)],
    ) -> Answer {
        self.try_filing(window, headers, request, files).await.unwrap_or_else(|e| panic!("filing: {e}"))
    }

    /// The same, of a gateway that may go away meanwhile.
    pub async fn try_filing(
        &self,
        window: &Window,
        headers: &Headers,
        request: &Value,
        files: &[(&str, Vec<u8>)],
    ) -> Result<Answer, String> {
        const BOUNDARY: &str = "tongban-test";
        let part = |name: &str, media: &str| {
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: {media}\r\n\r\n"
            )
        };
        let mut body = part("request", "application/json").into_bytes();
        body.extend(request.to_string().bytes());
        for (name, file) in files {
            body.extend(b"\r\n");
            body.extend(part(name, "application/ofd").bytes());
            body.extend_from_slice(file);
        }
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let media = format!("multipart/form-data; boundary={BOUNDARY}");
        window.ask("POST", "/v1/cases", headers, Some((&media, body))).await
    }

    /// One and the same file each time: a filing sent again has the same octets.
    fn same_licence(&self) -> Vec<u8> {
        let file = self.folder.path().join("test-licence.ofd");
        if !file.exists() {
            std::fs::write(&file, self.licence()).expect("a file");
        }
        std::fs::read(file).expect("the file")
    }

    /// Reads a case until it is in this state.
    pub async fn until(&self, window: &Window, headers: &Headers, no: &str, state: &str) -> Answer {
        self.wait(window, headers, no, |now| now == state).await
    }

    /// Reads a case until nothing more happens to it here.
    pub async fn until_over(&self, window: &Window, headers: &Headers, no: &str) -> Answer {
        self.wait(window, headers, no, |now| matches!(now, "closed" | "withdrawn")).await
    }

    /// Waits until the result has been handed out.
    pub async fn until_delivered(&self, window: &Window, headers: &Headers, no: &str) -> Answer {
        self.wait(window, headers, no, |now| now == "delivered").await
    }

    async fn wait(&self, window: &Window, headers: &Headers, no: &str, done: impl Fn(&str) -> bool) -> Answer {
        let mut last = String::new();
        for _ in 0..600 {
            let seen = window.get(&format!("/v1/cases/{no}"), headers).await;
            last = seen.text();
            if done(seen.json["state"].as_str().unwrap_or_default()) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("case {no} stays: {last}");
    }
}

impl Window {
    pub async fn get(&self, path: &str, headers: &Headers) -> Answer {
        self.send("GET", path, headers, None).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &Headers, body: Option<(&str, Vec<u8>)>) -> Answer {
        self.ask(method, path, headers, body).await.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// The same, of a gateway that may go away meanwhile.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &Headers,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = match body {
            Some((media, bytes)) => request.header(header::CONTENT_TYPE, media).body(full(bytes)),
            None => request.body(empty()),
        };
        let response = self.client.fetch(request.expect("a request"), WAIT, ANSWER_MAX).await;
        let response = response.map_err(|e| e.to_string())?;
        let media = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let answer = Answer {
            status: response.status().as_u16(),
            media: media.to_owned(),
            headers: response.headers().clone(),
            json: serde_json::from_slice(response.body()).unwrap_or_default(),
            bytes: response.body().to_vec(),
        };
        self.remember(&answer);
        Ok(answer)
    }

    /// What a refusal says of its line in the log, until [`Federation::refusals_are_on_record`].
    fn remember(&self, answer: &Answer) {
        if let (Some(leaf), Some(code)) = (answer.json["leaf"].as_u64(), answer.json["code"].as_str()) {
            let (by, trace) = (self.authority.clone(), answer.json["trace"].clone());
            let refused = Refused { by, leaf, code: code.to_owned(), trace, text: answer.text() };
            REFUSED.lock().expect("whole").push(refused);
        }
    }

    /// Sends octets as they are over TLS without ALPN and reads the answer to its end.
    pub async fn raw(&self, octets: &str) -> Answer {
        let roots = roots(&certificates(&self.ca).expect("a CA")).expect("roots");
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = tokio::net::TcpStream::connect(&self.authority).await.expect("a connection");
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let name = "127.0.0.1".try_into().expect("a name");
        let mut stream = connector.connect(name, socket).await.expect("TLS");
        stream.write_all(octets.as_bytes()).await.expect("sent");
        let mut bytes = Vec::new();
        // A peer that closes without saying goodbye is fine once it has answered.
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = body.find('{').map_or("", |at| &body[at..]);
        let end = body.rfind('}').map_or(0, |at| at + 1);
        let answer = Answer {
            status,
            media: String::new(),
            headers: http::HeaderMap::new(),
            json: serde_json::from_str(&body[..end]).unwrap_or_default(),
            bytes,
        };
        self.remember(&answer);
        answer
    }
}
