//! TLS: certificates that are for something else or not for now, and sessions that are taken up again.

use std::sync::RwLock;

use rustls::HandshakeKind;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tongban::app::demo::World;
use tongban::app::demo::pki::authority as demo_authority;
use tongban::app::demo::stamps;
use tongban::terms::UnixMillis;
use tongban::trust::issue::{Issuer, Subject, Use, certificate};
use tongban::trust::pem;
use tongban::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

use super::*;

const DAY_MS: i64 = 86_400_000;

fn new_key() -> (SigningKey, Vec<u8>) {
    let pkcs8 = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).expect("a key");
    (SigningKey::from_pkcs8(&pkcs8).expect("a key"), pkcs8.to_vec())
}

/// The handshake takes none of them: no answer, and a count for the operator.
pub async fn certificates_for_something_else(federation: &Federation) {
    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let own = world.gateway(0).join("authorities");
    let now = UnixMillis::now();
    let kept = stamps::certificate(&own.join("clients.pem")).expect("our authority");
    let name = kept.common_name().expect("a name");
    let ca = demo_authority(&own, "clients", SignatureAlgorithm::EcdsaP256Sha256, &Subject::named(&name, &name), now);
    let ca = ca.expect("our authority");
    let (strange, _) = new_key();
    let subject = Subject { uris: &["urn:tongban:outlet:bank-440305-01:t1"], ..Subject::named("t1", "bank") };
    let (of_ours, of_strange) =
        (Issuer::of(&ca.key, &ca.certificate), Issuer::root(&strange, &Subject::named(&name, &name)));
    let spell = |from: i64, to: i64| (UnixMillis(now.0 + from * DAY_MS), UnixMillis(now.0 + to * DAY_MS));
    let before = count(federation, "tongban_handshakes_refused");
    // What the handshake lets through is still nobody's certificate: its purpose is asked again where it would be somebody's.
    const TAKEN: Option<u16> = Some(200);
    const NOBODY: Option<u16> = Some(401);
    let all = [
        ("as it must be", &of_ours, Use::TlsClient, spell(-1, 1), TAKEN),
        ("for servers", &of_ours, Use::TlsServer, spell(-1, 1), None),
        ("for seals", &of_ours, Use::Signer, spell(-1, 1), NOBODY),
        ("for time-stamps", &of_ours, Use::TimeStamping, spell(-1, 1), None),
        ("for answers about revocation", &of_ours, Use::OcspSigning { no_check: true }, spell(-1, 1), None),
        ("an authority", &of_ours, Use::Intermediate(0), spell(-1, 1), None),
        ("out of date", &of_ours, Use::TlsClient, spell(-2, -1), None),
        ("not in force yet", &of_ours, Use::TlsClient, spell(1, 2), None),
        ("by another authority of this name", &of_strange, Use::TlsClient, spell(-1, 1), None),
    ];
    let own = authority(federation, 0);
    let employee = federation.token("E-9001");
    let head = format!(
        "GET /v1/cases HTTP/1.1\r\nHost: {own}\r\nAuthorization: Bearer {employee}\r\nConnection: close\r\n\r\n"
    );
    let (mut refused, mut rows) = (0, Vec::<Row>::new());
    for (what, issuer, purpose, (from, to), want) in all {
        let (key, pkcs8) = new_key();
        let der = certificate(issuer, &subject, &key.public_key().to_spki(), purpose, from, to).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let (crt, pk8) = (folder.path().join("c.pem"), folder.path().join("c.key"));
        std::fs::write(&crt, pem::encode("CERTIFICATE", &der)).expect("written");
        std::fs::write(&pk8, pem::encode("PRIVATE KEY", &pkcs8)).expect("written");
        let identity = Identity::read(&crt, &pk8).expect("an identity");
        let config = Arc::new(settings(federation, 0, Some(identity), &[b"http/1.1"]));
        let mut stream = connect(federation, 0, config).await;
        let text = said(&mut stream, head.as_bytes()).await;
        let answer = answers(&text).pop();
        assert_eq!(answer.as_ref().map(|(status, _)| *status), want, "{what}: {text}");
        match (answer, want) {
            (Some(answer), NOBODY) => rows.push((what.to_owned(), answer, (401, "TB-GW-0101"))),
            (None, _) => refused += 1,
            _ => {}
        }
    }
    judged(federation, &rows);
    assert!(count(federation, "tongban_handshakes_refused") >= before + refused, "each is counted");
}

/// A client that changes its certificate between connections.
#[derive(Debug)]
struct Turncoat(RwLock<Arc<CertifiedKey>>);

impl ResolvesClientCert for Turncoat {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().expect("whole").clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A session taken up again is its first certificate's, whatever the client would show now: a token bound to the other is
/// refused on it; and a reload ends all sessions, so that whose certificate counts no more is asked for it anew.
pub async fn resumed(federation: &Federation) {
    let key = |name: &str| {
        let clients = federation.told["clients"].as_array().expect("clients");
        let client = clients.iter().find(|c| c["name"] == name).expect("a client");
        let file = |member: &str| std::path::PathBuf::from(client[member].as_str().expect("a file"));
        let own = Identity::read(&file("cert"), &file("key")).expect("an identity");
        let signer = rustls::crypto::ring::sign::any_supported_type(&own.key).expect("a key");
        Arc::new(CertifiedKey::new(own.chain, signer))
    };
    let (window, bank) = (key("W-440305-01"), key("bank-440305-01"));
    let turncoat = Arc::new(Turncoat(RwLock::new(window.clone())));
    let mut config = settings(federation, 0, None, &[b"http/1.1"]);
    config.client_auth_cert_resolver = turncoat.clone();
    let config = Arc::new(config);
    let own = authority(federation, 0);
    // Each is bound to the certificate of the terminal at which it was exchanged.
    let exchange = async |terminal: &str, clerk: &str| {
        let (citizen, clerk) = (federation.token("citizen"), federation.token(clerk));
        let token = "urn:ietf:params:oauth:token-type:access_token";
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={citizen}&subject_token_type={token}\
             &actor_token={clerk}&actor_token_type={token}&item=002009901000&present=true"
        );
        let body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
        let answer = federation.client(terminal, 0).send("POST", "/v1/token", &Headers::new(), body).await;
        answer.json["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    };
    let (of_window, of_bank) = (exchange("W-440305-01", "C-0001").await, exchange("bank-440305-01", "E-9001").await);
    let ask = async |token: &str| {
        let mut stream = connect(federation, 0, config.clone()).await;
        let head = format!(
            "GET /v1/cases HTTP/1.1\r\nHost: {own}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let text = said(&mut stream, head.as_bytes()).await;
        (stream.get_ref().1.handshake_kind(), answers(&text).remove(0))
    };
    let (kind, first) = ask(&of_window).await;
    assert_eq!((kind, first.0), (Some(HandshakeKind::Full), 200), "{first:?}");
    *turncoat.0.write().expect("whole") = bank;
    let mut rows: Vec<Row> = Vec::new();
    for (what, token, want) in [
        ("the session's own token", &of_window, None),
        ("the token of the certificate that it would show now", &of_bank, Some((401, "TB-IDN-0014"))),
    ] {
        let (kind, answer) = ask(token).await;
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{what}");
        match want {
            None => assert_eq!(answer.0, 200, "{what}: {answer:?}"),
            Some(want) => rows.push((what.to_owned(), answer, want)),
        }
    }
    // The window is taken out of the configuration: its session is not taken up again, and its certificate is nobody's.
    *turncoat.0.write().expect("whole") = window;
    let home = federation.folder.path().join("gw-440305");
    let file = home.join("tongban.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let from = text.find("[[window]]\nid = \"W-440305-01\"").expect("the window");
    let to = text[from + 1..].find("\n[").map_or(text.len(), |at| from + 1 + at + 1);
    std::fs::write(&file, format!("{}{}", &text[..from], &text[to..])).expect("written");
    let reload = || {
        let done = tools::tongban(&["reload", "--config", &file.display().to_string()]);
        assert!(done.status.success(), "{}", tools::text(&done));
    };
    reload();
    let clerk = federation.token("C-0001");
    let (kind, answer) = ask(&clerk).await;
    assert_eq!(kind, Some(HandshakeKind::Full));
    rows.push(("a session whose certificate is nobody's any more".into(), answer, (401, "TB-GW-0101")));
    std::fs::write(&file, text).expect("written");
    reload();
    judged(federation, &rows);
}
