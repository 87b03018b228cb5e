//! A licence whose signer's authority has no list in the directory, only a responder (OCSP) at a configured address: what the
//! gateway answers at the window while the responder says good, is away, and says revoked, and after restarts. The answers are
//! OpenSSL's.
//!
//! ```text
//!  window ─▶ gateway ─▶ responder (127.0.0.1) ─▶ openssl ocsp ─▶ index of the authority
//! ```

mod tools;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tongban::app::demo::licence::{self, Holder, Under};
use tongban::app::demo::people::{Person, ZHANG};
use tongban::app::demo::token_for;
use tongban::app::demo::tokens::Options;
use tongban::app::demo::walk::{Asking, Window};
use tongban::app::demo::world::{A, POLICE_B, WINDOW, World};
use tongban::licences::make::{SealSpec, make_seal, round_seal};
use tongban::terms::UnixMillis;
use tongban::trust::certificate::Certificate;
use tongban::trust::issue::{self, Issuer, Subject, Use};
use tongban::trust::pem;
use tongban::trust::suite::{SignatureAlgorithm, Signer, SigningKey};
use tools::Running;

const WAIT: Duration = Duration::from_secs(120);
/// The gateway's ports, from the base on: the first gateway of the demonstration leaves them free.
const DOORS: u16 = 4;

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

/// A key and a certificate in files, `NAME.key` and `NAME.pem`.
fn party(folder: &Path, name: &str, by: Option<&Party>, algorithm: SignatureAlgorithm, purpose: Use) -> Party {
    let pkcs8 = SigningKey::generate(algorithm).unwrap();
    let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
    // Seals of licences are known by the credit code with which O begins.
    let organisation = format!("{POLICE_B}测试");
    let subject = Subject::named(name, &organisation);
    let issuer = by.map_or_else(|| Issuer::root(&key, &subject), |by| Issuer::of(&by.key, &by.certificate));
    let (from, to) = (UnixMillis::now().plus_seconds(-3_600), UnixMillis::now().plus_seconds(30 * 86_400));
    let der = issue::certificate(&issuer, &subject, &key.public_key().to_spki(), purpose, from, to).unwrap();
    fs::write(folder.join(format!("{name}.key")), pem::encode("PRIVATE KEY", &pkcs8)).unwrap();
    fs::write(folder.join(format!("{name}.pem")), pem::encode("CERTIFICATE", &der)).unwrap();
    Party { key, certificate: Certificate::parse(&der).unwrap() }
}

/// An authority with its index of certificates, and the responder it made for itself.
struct Authority {
    folder: PathBuf,
    serial: String,
    away: Arc<AtomicBool>,
    url: String,
}

impl Authority {
    fn start(folder: &Path, of: &Certificate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ocsp", listener.local_addr().unwrap());
        let serial: String = of.serial().iter().map(|octet| format!("{octet:02X}")).collect();
        let authority = Self { folder: folder.to_owned(), serial, away: Arc::default(), url };
        authority.says("V", "");
        let (away, folder) = (authority.away.clone(), folder.to_owned());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !away.load(Ordering::SeqCst) {
                    answer(stream, &folder);
                }
            }
        });
        authority
    }

    /// Writes the index: `V` for valid, `R` with a date and a reason.
    fn says(&self, word: &str, since: &str) {
        let line = format!("{word}\t391231235959Z\t{since}\t{}\tunknown\t/CN=signer\n", self.serial);
        fs::write(self.folder.join("index.txt"), line).unwrap();
    }

    /// Whether it hangs up on everybody.
    fn is_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

/// One question over HTTP, answered by OpenSSL from the index.
fn answer(mut stream: TcpStream, folder: &Path) {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut octet).is_ok() {
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut question = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut question).is_err() {
        return;
    }
    fs::write(folder.join("question"), question).unwrap();
    let line = "ocsp -index index.txt -CA authority.pem -rsigner responder.pem -rkey responder.key -nmin 60 -reqin question \
                -respout answer -noverify";
    let done =
        Command::new("openssl").args(line.split_whitespace()).current_dir(folder).output().expect("openssl runs");
    assert!(done.status.success(), "{}", tools::text(&done));
    let answer = fs::read(folder.join("answer")).unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/ocsp-response\r\nconnection: close\r\n";
    let _ = stream.write_all(&[format!("{head}content-length: {}\r\n\r\n", answer.len()).as_bytes(), &answer].concat());
}

/// A gateway beside the demonstration's first: its certificates and partners, its own data and log, and trust of its own.
fn lay(world: &World, folder: &Path, base: u16, responder: &str) -> PathBuf {
    let (one, own) = (world.gateway(A), folder.join("gw-statuses"));
    fs::create_dir_all(own.join("data")).unwrap();
    for same in ["certs", "authorities", "partners.toml", "witnesses.txt"] {
        symlink(one.join(same), own.join(same)).unwrap();
    }
    let key = SigningKey::generate(SignatureAlgorithm::Ed25519).unwrap();
    fs::write(own.join("log.key"), pem::encode("PRIVATE KEY", &key)).unwrap();
    let mut config = fs::read_to_string(world.config(A)).unwrap();
    for door in 0..4 {
        let (from, to) = (format!("127.0.0.1:{}\"", base + door), format!("127.0.0.1:{}\"", base + DOORS + door));
        config = config.replace(&from, &to);
    }
    for (from, to) in [("certs/log.key", "log.key"), ("example/gw-440305\"", "example/gw-440305/3\"")] {
        assert!(config.contains(from), "{from}");
        config = config.replace(from, to);
    }
    config += &format!(
        "\n[trust]\nlist = \"../pki\"\n\n[statuses]\nmax_age_h = 1\n\n\
         [[responder]]\nurl = {responder:?}\nissuer = \"../pki/authority.pem\"\n"
    );
    fs::write(own.join("tongban.toml"), config).unwrap();
    own
}

async fn wait_for(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + WAIT;
    while !look().await {
        assert!(Instant::now() < until, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The gateway of a folder, once it is ready.
async fn serve(own: &Path, base: u16) -> Running {
    let output = || File::options().create(true).append(true).open(own.join("gateway.log")).unwrap();
    let mut command = tools::program();
    command.arg("serve").arg("--config").arg(own.join("tongban.toml")).arg("--with-parent");
    let mut gateway = Running(command.stdin(Stdio::piped()).stdout(output()).stderr(output()).spawn().unwrap());
    let admin = format!("http://127.0.0.1:{}", base + DOORS + 2);
    wait_for("the gateway", async || {
        let ended = gateway.try_wait().expect("a child of ours");
        assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(own.join("gateway.log")).unwrap_or_default());
        tools::plain(&admin, "/ready").starts_with("HTTP/1.1 200")
    })
    .await;
    gateway
}

/// A window that files one and the same licence, each time in another filing.
struct Desk {
    world: World,
    /// Where the window's gateway is.
    gateway: World,
    licence: Vec<u8>,
    filed: u32,
}

impl Desk {
    /// `202`, or the code of the refusal.
    async fn file(&mut self) -> String {
        self.filed += 1;
        let token = |user: &str| token_for(&self.world, user, &Options::default()).unwrap();
        let headers =
            [("authorization", format!("Bearer {}", token("C-0001"))), ("tongban-subject-token", token(ZHANG))];
        let request = json!({
            "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
            "form": {"use": format!("入学 {}", self.filed)}, "materials": [{"no": 1, "file": "id.ofd"}],
        });
        let headers = [&headers[..], &[("idempotency-key", format!("statuses-{}", self.filed))]].concat();
        let part = |name: &str, media: &str| {
            format!(
                "--seal\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: {media}\r\n\r\n"
            )
        };
        let mut body =
            format!("{}{request}\r\n{}", part("request", "application/json"), part("id.ofd", "application/ofd"))
                .into_bytes();
        body.extend_from_slice(&self.licence);
        body.extend(b"\r\n--seal--\r\n");
        // Once: the demonstration's own window asks again by itself where it is told to.
        let body = Some(("multipart/form-data; boundary=seal", body.into()));
        // A client of its own: after a few answers of 503 one would leave the gateway alone for a while.
        let window = Window::new(&self.gateway, WINDOW, A).unwrap();
        let answer = window.once(&Asking { path: "/v1/cases", headers: &headers, body }).await.unwrap();
        match answer.status.as_u16() {
            202 => "202".to_owned(),
            _ => answer.json["code"].as_str().unwrap_or("no code").to_owned(),
        }
    }
}

const TAKEN: &str = "202";
const TRY_LATER: &str = "TB-LIC-0103";
const REVOKED: &str = "TB-LIC-0106";
const NOT_STRONG: &str = "TB-LIC-0107";

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_counts_while_the_responder_of_its_signer_vouches_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, base) = (folder.path(), tools::ports(4));
    let mut demo = tools::demo(folder, base);
    let demo = Running(demo.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the binary runs"));
    wait_for("the demonstration", async || tools::announced(folder).is_some()).await;

    let world = World::open(folder).unwrap();
    let pki = folder.join("pki");
    fs::create_dir(&pki).unwrap();
    let (p256, sm2) = (SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3);
    let authority = party(&pki, "authority", None, p256, Use::Root);
    party(&pki, "responder", Some(&authority), p256, Use::OcspSigning { no_check: true });
    let (maker, signer) = (party(&pki, "maker", None, sm2, Use::Signer), {
        // Where the demonstration's licence issuer has its seal.
        party(&world.federation(), "licence-issuer", Some(&authority), sm2, Use::Signer)
    });
    let picture = round_seal();
    let spec = SealSpec {
        id: "41900109009",
        name: "证照专用章（测试）",
        kind: 99,
        signers: std::slice::from_ref(&signer.certificate),
        created: UnixMillis::now(),
        valid_from: signer.certificate.not_before(),
        valid_to: signer.certificate.not_after(),
        picture: &picture,
        size_mm: 42,
    };
    let seal = make_seal(&spec, &maker.key, &maker.certificate).unwrap();
    fs::write(world.federation().join("licence-issuer.esl"), seal).unwrap();
    fs::write(
        pki.join("trust.toml"),
        "[[anchor]]\nfile = \"authority.pem\"\npurposes = [\"licence_issuer\"]\n\n\
         [[anchor]]\nfile = \"maker.pem\"\npurposes = [\"seal_maker\"]\n",
    )
    .unwrap();
    let responder = Authority::start(&pki, &signer.certificate);
    let own = lay(&world, folder, base, &responder.url);
    let gateway = World { port_base: base + DOORS, ..world.clone() };
    let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
    let licence = licence::issue(&world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
    let mut desk = Desk { world, gateway, licence, filed: 0 };
    let kept = own.join("data/statuses/answers");

    let gateway = serve(&own, base).await;
    assert_eq!(desk.file().await, TRY_LATER, "nobody has said anything yet");
    wait_for("the responder's word", async || desk.file().await == TAKEN).await;
    responder.is_away(true);
    assert_eq!(desk.file().await, TAKEN, "away, and what it said still lasts");
    drop(gateway);

    let gateway = serve(&own, base).await;
    assert_eq!(desk.file().await, TAKEN, "what it said is known after a restart");
    drop(gateway);

    // Minimum strengths are the gateway's: an algorithm that the operator takes off counts no longer, whoever vouches for it.
    let config = fs::read_to_string(own.join("tongban.toml")).unwrap();
    let narrow = |line: &str| config.replace("[trust]\n", &format!("[trust]\n{line}\n"));
    for (line, want) in [
        ("curves = [\"p256\"]", NOT_STRONG),
        ("digests = [\"sm3 until 2020-12-31\", \"sha256\"]", NOT_STRONG),
        ("curves = [\"sm2\", \"p256\"]\ndigests = [\"sm3\", \"sha256\"]", TAKEN),
    ] {
        fs::write(own.join("tongban.toml"), narrow(line)).unwrap();
        let gateway = serve(&own, base).await;
        assert_eq!(desk.file().await, want, "{line}");
        drop(gateway);
    }
    for line in ["digests = [\"md5\"]", "rsa = [\"1024\"]", "curves = []"] {
        fs::write(own.join("tongban.toml"), narrow(line)).unwrap();
        let refused = tools::program().args(["serve", "--config"]).arg(own.join("tongban.toml")).output();
        let refused = refused.expect("the binary runs");
        assert!(
            !refused.status.success() && tools::text(&refused).contains("trust."),
            "{line}: {}",
            tools::text(&refused)
        );
    }
    fs::write(own.join("tongban.toml"), &config).unwrap();

    fs::remove_file(&kept).unwrap();
    let gateway = serve(&own, base).await;
    for _ in 0..3 {
        assert_eq!(desk.file().await, TRY_LATER, "unknown is not valid, however often it is asked");
    }
    drop(gateway);

    responder.is_away(false);
    // Sealed before, revoked meanwhile: with the key somebody else could have claimed that time as well.
    let now: String = UnixMillis::now().to_string().chars().filter(char::is_ascii_digit).collect();
    responder.says("R", &format!("{}Z,keyCompromise", &now[2..14]));
    let gateway = serve(&own, base).await;
    assert_eq!(desk.file().await, TRY_LATER, "nobody has said anything yet");
    wait_for("the revocation", async || match &*desk.file().await {
        TRY_LATER => false,
        other => {
            assert_eq!(other, REVOKED);
            true
        }
    })
    .await;
    responder.is_away(true);
    drop(gateway);

    let gateway = serve(&own, base).await;
    assert_eq!(desk.file().await, REVOKED, "revoked is revoked, also after a restart");
    drop((gateway, demo));
}
