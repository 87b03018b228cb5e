use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::*;
use crate::gateway::certificate_status::Asked;
use crate::licences::make::{Paper, PaperKind, SealSpec, make_seal, seal};
use crate::licences::{Indication, Profile, SubIndication, verify};
use crate::trust::crl::{Crl, Revoked};
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::ocsp::Answer;
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};
use crate::upstream::ClientTls;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// What a responder answers; 503 when it has nothing.
type Page = Arc<Mutex<Vec<u8>>>;

/// A responder on a real socket, which ends with the test's process.
fn responder() -> (String, Page) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (base, page) = (format!("http://{}/ocsp", listener.local_addr().unwrap()), Page::default());
    let told = page.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &told);
        }
    });
    (base, page)
}

fn answer(mut stream: impl Read + Write, told: &Page) {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut octet).is_ok() {
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    let page = told.lock().unwrap().clone();
    let status = if page.is_empty() { "503 Service Unavailable" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", page.len());
    let _ = stream.write_all(&[head.as_bytes(), &page].concat());
}

/// The same behind TLS; with the authority of its certificate.
fn secure_responder() -> (String, Page, Vec<u8>) {
    let now = UnixMillis::now(); // as TLS takes it
    let (from, to) = (now.plus_seconds(-3_600), now.plus_seconds(3_600));
    let key = || SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
    let (root_key, own_key) = (SigningKey::from_pkcs8(&key()).unwrap(), key());
    let (root, own) =
        (Subject::named("services", "test"), Subject { ips: &[[127, 0, 0, 1]], ..Subject::named("ocsp", "test") });
    let spki = |key: &SigningKey| key.public_key().to_spki();
    let by = Issuer::root(&root_key, &root);
    let root = issue::certificate(&by, &root, &spki(&root_key), Use::Root, from, to).unwrap();
    let authority = Certificate::parse(&root).unwrap();
    let by = Issuer::of(&root_key, &authority);
    let leaf =
        issue::certificate(&by, &own, &spki(&SigningKey::from_pkcs8(&own_key).unwrap()), Use::TlsServer, from, to)
            .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.into()], rustls_pki_types::PrivatePkcs8KeyDer::from(own_key.to_vec()).into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (base, page) = (format!("https://{}/ocsp", listener.local_addr().unwrap()), Page::default());
    let told = page.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            answer(rustls::StreamOwned::new(session, stream), &told);
        }
    });
    (base, page, root)
}

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

fn party(by: Option<&Party>, name: &str) -> Party {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
    let subject = Subject::named(name, "test");
    let (issuer, purpose) = match by {
        Some(by) => (Issuer::of(&by.key, &by.certificate), Use::Signer),
        None => (Issuer::root(&key, &subject), Use::Root),
    };
    let (from, to) = (NOW.plus_seconds(-86_400), NOW.plus_seconds(30 * 86_400));
    let der = issue::certificate(&issuer, &subject, &key.public_key().to_spki(), purpose, from, to).unwrap();
    Party { certificate: Certificate::parse(&der).unwrap(), key }
}

/// Two authorities, a maker and a signer under them, and a paper that they sealed.
struct World {
    makers: Party,
    signers: Party,
    signer: Party,
    paper: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let (makers, signers) = (party(None, "makers"), party(None, "signers"));
        let (maker, signer) = (party(Some(&makers), "maker"), party(Some(&signers), "signer"));
        let spec = SealSpec {
            id: "41900100000017",
            name: "专用章（测试）",
            kind: 4,
            signers: std::slice::from_ref(&signer.certificate),
            created: NOW.plus_seconds(-600),
            valid_from: NOW.plus_seconds(-600),
            valid_to: NOW.plus_seconds(86_400),
            picture: b"\x89PNG",
            size_mm: 40,
        };
        let stamp = make_seal(&spec, &maker.key, &maker.certificate).unwrap();
        let paper = Paper::new(PaperKind::Licence, "1");
        let at = NOW.plus_seconds(-300);
        let paper = seal(&paper, &stamp, &signer.key, &signer.certificate, at).unwrap();
        Self { makers, signers, signer, paper }
    }

    /// The makers' list: only signers have a responder.
    fn list(&self) -> Crl {
        let by = Issuer::of(&self.makers.key, &self.makers.certificate);
        Crl::parse(&issue::crl(&by, &[], 1, NOW, NOW.plus_seconds(86_400)).unwrap()).unwrap()
    }

    fn answer(&self, answer: &Answer, made: UnixMillis) -> Vec<u8> {
        let by: (&dyn Signer, &Certificate) = (&self.signers.key, &self.signers.certificate);
        ocsp::respond(by, self.signer.certificate.serial(), answer, made, made.plus_seconds(86_400)).unwrap()
    }

    /// As the gateway judges it, which notes whose status it needs.
    fn judge(&self, status: &CertificateStatus, now: UnixMillis) -> (Indication, Option<SubIndication>) {
        let mut profile = Profile::new(now).strict();
        profile.anchors.signers = vec![self.signers.certificate.clone()];
        profile.anchors.makers = vec![self.makers.certificate.clone()];
        profile.crls = vec![self.list()];
        status.inform(&mut profile);
        let report = verify("paper", self.paper.as_slice(), &profile);
        status.notice(&report, now);
        (report.indication, report.sub_indication)
    }
}

fn responders(world: &World, url: &str, max_age_s: Option<i64>, file: &Path) -> (Responders, Arc<CertificateStatus>) {
    let issuer = world.signers.certificate.clone();
    let known = kept(file, std::slice::from_ref(&issuer), NOW);
    let asked = Asked::new(vec![(url.to_owned(), issuer)], max_age_s);
    let status = Arc::new(CertificateStatus::new(asked, known));
    let client = Client::new(&ClientTls::new(&[], None).unwrap());
    (Responders::new(move || client.clone(), status.clone(), file.to_owned()), status)
}

#[tokio::test]
async fn unknown_is_not_valid_until_the_responder_has_told() {
    use Indication::{Indeterminate, TotalPassed};
    const LATER: (Indication, Option<SubIndication>) = (Indeterminate, Some(SubIndication::TryLater));
    const PASSED: (Indication, Option<SubIndication>) = (TotalPassed, None);
    let (world, (url, page)) = (World::new(), responder());
    let folder = tempfile::tempdir().unwrap();
    let (responders, status) = responders(&world, &url, None, &file(folder.path()));
    let gone = || Revoked { serial: world.signer.certificate.serial().to_vec(), at: NOW, reason: Some(1) };
    let half = NOW.plus_seconds(43_300); // of the answer's life
    let mut now = NOW;
    for (name, answer, at, want) in [
        ("nobody is there", vec![], None, LATER),
        ("it does not know", world.answer(&Answer::Unknown, NOW), None, LATER),
        ("another says so", World::new().answer(&Answer::Good, NOW), None, LATER),
        ("good", world.answer(&Answer::Good, NOW), None, PASSED),
        ("not asked again yet", world.answer(&Answer::Revoked(gone()), NOW), None, PASSED),
        ("half of its life later", vec![], Some(half), PASSED),
        ("too long", vec![0x30; ANSWER_MAX + 1], None, PASSED),
        ("an older answer", world.answer(&Answer::Revoked(gone()), NOW.plus_seconds(-60)), None, PASSED),
        (
            "revoked",
            world.answer(&Answer::Revoked(gone()), half),
            None,
            (Indeterminate, Some(SubIndication::RevokedNoPoe)),
        ),
    ] {
        now = at.unwrap_or(now.plus_seconds(AGAIN_S));
        world.judge(&status, now);
        *page.lock().unwrap() = answer;
        responders.round(now).await;
        assert_eq!(world.judge(&status, now), want, "{name}");
    }
}

/// A responder that is moved in the configuration is asked at its new address at once: neither the pause after a failure nor
/// an answer that never comes is waited for.
#[tokio::test]
async fn another_responder_is_asked_at_once() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let good = |page: &Page| *page.lock().unwrap() = world.answer(&Answer::Good, NOW);
    let passes = |status: &CertificateStatus| world.judge(status, NOW).0 == Indication::TotalPassed;
    let issuer = || world.signers.certificate.clone();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // takes connections and says nothing
    let silent = format!("http://{}/ocsp", silent.local_addr().unwrap());
    for (name, old) in [("away", responder().0), ("silent", silent)] {
        let (responders, status) = responders(&world, &old, None, &file(&folder.path().join(name)));
        let (new, page) = responder();
        good(&page);
        assert!(!passes(&status), "{name}: nobody has told yet");
        let begun = std::time::Instant::now();
        let change = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            status.ask(Asked::new(vec![(old.clone(), issuer())], None), NOW); // the same: nothing is asked anew
            assert!(status.known().due(NOW, AGAIN_S).is_empty(), "{name}");
            status.ask(Asked::new(vec![(new, issuer())], None), NOW);
        };
        tokio::join!(responders.turn(NOW), change);
        responders.turn(NOW).await;
        assert!(passes(&status), "{name}");
        assert!(begun.elapsed() < WAIT / 2, "{name}: {:?}", begun.elapsed());
        // Whoever nobody answers for any more is forgotten.
        status.ask(Asked::new(Vec::new(), None), NOW);
        assert!(!passes(&status) && status.known().all().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn answers_grow_old_before_they_end_where_the_policy_says_so() {
    let (world, (url, page)) = (World::new(), responder());
    let folder = tempfile::tempdir().unwrap();
    let (responders, status) = responders(&world, &url, Some(7_200), &file(folder.path()));
    *page.lock().unwrap() = world.answer(&Answer::Good, NOW);
    world.judge(&status, NOW);
    responders.round(NOW).await;
    for (age_s, want) in [(0, true), (7_200, true), (7_201, false)] {
        let (indication, sub) = world.judge(&status, NOW.plus_seconds(age_s));
        assert_eq!(indication == Indication::TotalPassed, want, "{age_s}");
        assert!(want || sub == Some(SubIndication::TryLater));
    }
}

#[tokio::test]
async fn answers_outlive_a_restart_and_nothing_else_in_their_file_counts() {
    let (world, (url, page)) = (World::new(), responder());
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder.path().join("statuses"));
    let passes = |status: &CertificateStatus, now| world.judge(status, now).0 == Indication::TotalPassed;
    let (first, status) = responders(&world, &url, None, &file);
    *page.lock().unwrap() = world.answer(&Answer::Good, NOW);
    assert!(!passes(&status, NOW), "nobody has told yet");
    first.round(NOW).await;
    assert!(passes(&status, NOW));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Nobody answers any more.
    page.lock().unwrap().clear();
    let octets = std::fs::read(&file).unwrap();
    let mut bent = octets.clone();
    let last = bent.len() - 1;
    bent[last] ^= 1;
    for (name, octets, want) in [
        ("as it was written", octets.clone(), true),
        ("a forged answer", bent, false),
        ("cut off", octets[..octets.len() / 2].to_vec(), false),
        ("empty", Vec::new(), false),
        ("something else", b"<html>".to_vec(), false),
    ] {
        std::fs::write(&file, octets).unwrap();
        let (_, status) = responders(&world, &url, None, &file);
        assert_eq!(passes(&status, NOW), want, "{name}");
    }
    std::fs::write(&file, &octets).unwrap();
    let (_, status) = responders(&world, &url, None, &file);
    assert!(!passes(&status, NOW.plus_seconds(86_401)), "it is past its end");
    let other = World::new();
    let (_, status) = responders(&other, &url, None, &file);
    assert_eq!(status.known().all().len(), 0, "its issuer has no responder any more");
}

/// The authority that vouches for a responder's address may come with a later version of the directory.
#[tokio::test]
async fn a_responder_is_asked_under_the_anchors_in_force() {
    let (world, (url, page, authority)) = (World::new(), secure_responder());
    let folder = tempfile::tempdir().unwrap();
    let status = {
        let asked = Asked::new(vec![(url, world.signers.certificate.clone())], None);
        Arc::new(CertificateStatus::new(asked, Answers::default()))
    };
    let client = |anchors: &[Vec<u8>]| {
        let anchors: Vec<_> = anchors.iter().map(|der| der.clone().into()).collect();
        Client::new(&ClientTls::new(&anchors, None).unwrap())
    };
    let in_force = Arc::new(Mutex::new(client(&[])));
    let own = in_force.clone();
    let responders = Responders::new(move || own.lock().unwrap().clone(), status.clone(), file(folder.path()));
    *page.lock().unwrap() = world.answer(&Answer::Good, NOW);
    let mut now = NOW;
    for (name, anchors, want) in
        [("a stranger's address", vec![], false), ("an address of ours", vec![authority], true)]
    {
        *in_force.lock().unwrap() = client(&anchors);
        now = now.plus_seconds(AGAIN_S);
        world.judge(&status, now);
        responders.round(now).await;
        assert_eq!(world.judge(&status, now).0 == Indication::TotalPassed, want, "{name}");
    }
}
