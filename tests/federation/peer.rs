//! A member of the federation with all its keys, as a test bends what it says.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tongban::app::demo::pki;
use tongban::exchange::message::MESSAGE_FILE;
use tongban::formats::zip::Limits;
use tongban::terms::UnixMillis;
use tongban::trust::asic::{self, Part};
use tongban::trust::certificate::Certificate;
use tongban::trust::pem;
use tongban::trust::suite::SignatureAlgorithm;

use super::{Answer, Federation, Headers};

const ASICE: &str = "application/vnd.etsi.asic-e+zip";

/// The same with some members changed; one that is null is left out.
pub fn changed(mut base: Value, change: &Value) -> Value {
    let members = base.as_object_mut().expect("an object");
    for (name, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    base
}

/// The message in a case file.
pub fn message(container: &[u8]) -> Value {
    let open = asic::open(container.to_vec(), &Limits::default()).expect("sealed");
    serde_json::from_slice(&open.archive.read(MESSAGE_FILE, 1 << 20).expect("a message")).expect("JSON")
}

/// A case file with this message, sealed by the member that lives in `home`; with the files of another, where one is given.
pub fn sealed(home: &Path, message: &Value, files_of: Option<&[u8]>, at: UnixMillis) -> Vec<u8> {
    let text = message.to_string();
    let open = files_of.map(|octets| asic::open(octets.to_vec(), &Limits::default()).expect("sealed"));
    let mut others = Vec::new();
    for file in open.iter().flat_map(|open| &open.files).filter(|file| file.name != MESSAGE_FILE) {
        let content = open.as_ref().map(|open| open.archive.read(&file.name, 16 << 20).expect("a file"));
        others.push((file, content.unwrap_or_default()));
    }
    let mut parts = vec![Part::whole(MESSAGE_FILE, "application/json", text.as_bytes())];
    parts.extend(others.iter().map(|(file, content)| Part::whole(&file.name, &file.media, content)));
    let certs = home.join("certs");
    let key = pki::key(&certs.join("envelope.key"), SignatureAlgorithm::EcdsaP256Sha256).expect("a key");
    let chain: Vec<_> = pem::certificates(&std::fs::read(certs.join("envelope.pem")).expect("a file"))
        .expect("PEM")
        .iter()
        .map(|der| Certificate::parse(der).expect("a certificate"))
        .collect();
    asic::seal(Vec::new(), parts, &key, &chain, at).expect("sealed")
}

/// Sends a case file to another gateway, as the member that lives in `home`.
pub async fn send(federation: &Federation, home: &Path, to: usize, sealed: Vec<u8>) -> Answer {
    let file = |name: &str| -> PathBuf { home.join("certs").join(name) };
    let peer = federation.with(to, &file("tls.pem"), &file("tls.key"));
    peer.send("POST", "/peer/v1/messages", &Headers::new(), Some((ASICE, sealed))).await
}

/// The offices take no case while this lives: what happens to a case, happens without them.
pub struct Closed(PathBuf);

impl Closed {
    pub fn new(federation: &Federation) -> Self {
        let door = federation.folder.path().join("office/incoming");
        std::fs::rename(&door, door.with_extension("away")).expect("the office's door");
        Self(door)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let _ = std::fs::rename(self.0.with_extension("away"), &self.0);
    }
}
