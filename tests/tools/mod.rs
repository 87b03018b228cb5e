//! What the tests of the whole system share.

#![allow(dead_code)] // each test uses a part of it

pub mod acknowledged;
pub mod alone;
pub mod sealed;

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use serde_json::Value;

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tongban"))
}

pub fn tongban(args: &[&str]) -> Output {
    program().args(args).output().expect("the binary runs")
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Says of a program that nobody here wrote that it is there.
///
/// # Panics
/// Where it is not: a test that passes without it tests nothing.
pub fn needs(program: &str) {
    let there = Command::new(program).arg("--version").output();
    assert!(there.is_ok(), "{program} is not installed: `make test` installs it");
}

/// A base for 25 free ports, one for each of the first five; below the ports that the system gives to outgoing
/// connections.
pub fn ports(nth: u16) -> u16 {
    assert!(nth < 5);
    12_000 + (std::process::id() % 150) as u16 * 130 + nth * 26
}

/// A process that ends with its test, also when the test fails.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for Running {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

/// `tongban demo` in a folder.
pub fn demo(folder: &Path, base: u16) -> Command {
    let mut command = program();
    command.args(["demo", "--port-base", &base.to_string(), "--data"]).arg(folder);
    command
}

/// What the running demonstration says of itself, while it is ready.
pub fn announced(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join("federation.json")).ok()?).ok()
}

/// The arguments of the command that verifies a gateway's log, with the key that `federation.json` names.
pub fn audit(folder: &Path, gateway: usize) -> Output {
    let told = announced(folder).expect("federation.json");
    let gateway = &told["gateways"][gateway];
    let log = folder.join(gateway["name"].as_str().expect("name")).join("data/log");
    tongban(&["audit", "verify", &log.display().to_string(), "--key", gateway["log_key"].as_str().expect("log_key")])
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// Unpacks a container with the reader that we test elsewhere; what other programs say of it is said of the octets.
pub fn unpack(container: &Path, to: &Path) {
    let file = fs::File::open(container).expect("a container");
    let limits = tongban::formats::zip::Limits::default();
    let archive = tongban::formats::zip::Archive::open(&file, &limits).expect("an archive");
    for entry in archive.files() {
        let path = to.join(&entry.name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, archive.read(&entry.name, 1 << 30).expect("read")).expect("written");
    }
}

/// A small generator: the same numbers for the same seed.
pub struct Dice(u64);

impl Dice {
    /// A new seed at every run, or the one that `TONGBAN_SEED` gives; printed, so that a failure can be had again.
    pub fn new(what: &str) -> Self {
        let given = std::env::var("TONGBAN_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        let seed = given.unwrap_or(clock);
        println!("{what}: TONGBAN_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A data provider's signed word that its data changed: about one person, or everybody.
pub fn change(key: &Path, claims: &Value) -> String {
    use base64::Engine;
    let b64 = |octets: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets);
    let key = tongban::trust::suite::load_key(key).expect("a key");
    let head = b64(br#"{"alg":"ES256","typ":"tongban-change+jwt"}"#);
    let input = format!("{head}.{}", b64(claims.to_string().as_bytes()));
    let signature = key.sign_jose(input.as_bytes()).expect("a signature");
    format!("{input}.{}", b64(&signature))
}

/// Claims of such a word, to gateway B, as of now.
pub fn change_claims(resource: &str, subject: Option<&str>, jti: &str) -> Value {
    let now = tongban::terms::UnixMillis::now().seconds();
    let mut claims = serde_json::json!({ "iss": "household-register", "aud": "gw-419001", "iat": now, "exp": now + 120,
        "jti": jti, "resource": resource });
    if let Some(subject) = subject {
        claims["subject"] = subject.into();
    }
    claims
}

/// What a plain address of this machine answers, head and all; nothing where nobody listens any more.
pub fn plain(url: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let Ok(mut socket) = std::net::TcpStream::connect(address) else { return String::new() };
    let mut answer = String::new();
    let asked = write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let _ = asked.and_then(|()| socket.read_to_string(&mut answer));
    answer
}
