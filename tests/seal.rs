//! `tongban seal` through the real binary: keys under a password, keys in a token (SoftHSM2), seals, containers; each result
//! is verified by `tongban verify`, and by OpenSSL where that can.

mod tools;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tongban::app::demo::licence::{self, Holder, Under};
use tongban::app::demo::people::{Person, ZHANG};
use tongban::app::demo::token_for;
use tongban::app::demo::tokens::Options;
use tongban::app::demo::walk::Window;
use tongban::app::demo::world::{A, WINDOW, World};
use tongban::formats::zip::{self, Archive, DosTime, Limits, Packing};
use tongban::licences::make::{Paper, PaperKind, unsealed};
use tongban::terms::UnixMillis;
use tongban::trust::certificate::Certificate;
use tongban::trust::issue::{Issuer, Subject, Use, certificate};
use tongban::trust::suite::{PublicKey, SignatureAlgorithm, Signer, SigningKey};
use tongban::trust::{pem, timestamp};

struct Place {
    folder: tempfile::TempDir,
}

fn tongban(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tongban")).args(args).output().expect("the binary runs")
}

/// Runs and wants success; gives what was printed.
fn good(args: &[&str]) -> String {
    let output = tongban(args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out.into_owned()
}

fn bad(args: &[&str], why: &str) {
    let output = tongban(args);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains(why), "{args:?}: {err}");
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, octets: &[u8]) -> String {
        std::fs::write(self.path(name), octets).expect("written");
        self.text(name)
    }

    /// A key with a certificate of its own: `NAME.key`, `NAME.pem`.
    fn party(&self, name: &str, algorithm: SignatureAlgorithm) {
        let pkcs8 = SigningKey::generate(algorithm).expect("a key");
        self.write(&format!("{name}.key"), pem::encode("PRIVATE KEY", &pkcs8).as_bytes());
        let key = SigningKey::from_pkcs8(&pkcs8).expect("a key");
        self.certify(name, &key, &key.public_key());
    }

    fn certify(&self, name: &str, by: &dyn Signer, key: &PublicKey) {
        let subject = Subject::named(name, "测试");
        let (from, to) = (UnixMillis::now().plus_seconds(-60), UnixMillis::now().plus_seconds(86_400));
        let issuer = Issuer::root(by, &subject);
        let der = certificate(&issuer, &subject, &key.to_spki(), Use::Signer, from, to).expect("a certificate");
        self.write(&format!("{name}.pem"), pem::encode("CERTIFICATE", &der).as_bytes());
    }

    fn paper(&self, name: &str) -> String {
        let paper = Paper::new(PaperKind::Licence, "1").field("证照名称", "测试证照");
        self.write(name, &unsealed(&paper, UnixMillis::now()).expect("a paper"))
    }
}

#[test]
fn an_ofd_is_signed_and_sealed_and_locked() {
    let place = Place::new();
    place.party("signer", SignatureAlgorithm::Sm2Sm3);
    place.party("maker", SignatureAlgorithm::Sm2Sm3);
    let by = |name: &str| (place.text(&format!("{name}.key")), place.text(&format!("{name}.pem")));
    let ((maker_key, maker), (key, cert)) = (by("maker"), by("signer"));
    let (esl, paper, journal) = (place.text("seal.esl"), place.paper("paper.ofd"), place.text("journal"));
    good(&[
        "seal",
        "esl",
        "--id",
        "41900100000017",
        "--name",
        "测试专用章",
        "--signer",
        &cert,
        "--key",
        &maker_key,
        "--cert",
        &maker,
        "-o",
        &esl,
    ]);
    let (signed, sealed) = (place.text("signed.ofd"), place.text("sealed.ofd"));
    let common = ["--key", &key, "--cert", &cert, "--journal", &journal];
    good(&[&["seal", "ofd", &paper, "--open", "-o", &signed], &common[..]].concat());
    good(&[&["seal", "ofd", &signed, "--seal", &esl, "-o", &sealed], &common[..]].concat());
    let said = good(&["verify", &sealed, "--signer-anchor", &cert, "--maker-anchor", &maker, "--coverage", "strict"]);
    assert!(said.contains("Sign 1 CMS: TOTAL-PASSED") && said.contains("Seal 2 V4: TOTAL-PASSED"), "{said}");
    good(&["verify", &signed, "--signer-anchor", &cert]);
    good(&["verify", &esl, "--maker-anchor", &maker]);
    // The seal covers the list of signatures: nothing may follow.
    bad(&[&["seal", "ofd", &sealed, "-o", &place.text("more.ofd")], &common[..]].concat(), "nothing may follow");
    bad(&[&["seal", "ofd", &paper, "-o", &sealed], &common[..]].concat(), "sealed.ofd");
    let other = place.text("other.ofd");
    bad(
        &["seal", "ofd", &paper, "--seal", &esl, "--key", &maker_key, "--cert", &maker, "-o", &other],
        "not in the seal",
    );
    bad(&["seal", "ofd", &paper, "--key", &key, "--cert", &maker, "-o", &other], "for another key");
    // Each use left a line that names the one before.
    let journal = std::fs::read_to_string(journal).expect("a journal");
    let lines: Vec<&str> = journal.lines().collect();
    assert!(lines.len() >= 2 && lines[0].contains("\"before\":null") && !lines[1].contains("\"before\":null"));
}

/// What we seal is judged by programs that share nothing with us.
#[test]
fn sealed_papers_open_elsewhere_and_openssl_finds_their_signatures_good() {
    let place = Place::new();
    for name in ["signer", "maker", "other"] {
        place.party(name, SignatureAlgorithm::Sm2Sm3);
    }
    let (cert, key, esl) = (place.text("signer.pem"), place.text("signer.key"), place.text("seal.esl"));
    let (maker, maker_key) = (place.text("maker.pem"), place.text("maker.key"));
    let made = ["seal", "esl", "--id", "41900100000017", "--name", "测试专用章", "--signer", &cert];
    good(&[&made[..], &["--key", &maker_key, "--cert", &maker, "-o", &esl]].concat());
    let (paper, by) = (place.paper("paper.ofd"), ["--key", &*key, "--cert", &*cert]);
    let sign = |from: &str, to: &str, more: &[&str]| {
        let to = place.text(to);
        good(&[&["seal", "ofd", from], more, &["-o", &to], &by[..]].concat());
        to
    };
    let sealed = sign(&paper, "sealed.ofd", &["--seal", &esl]);
    let signed = sign(&paper, "signed.ofd", &[]);
    let open = sign(&paper, "open.ofd", &["--open"]);
    let both = sign(&open, "both.ofd", &["--seal", &esl]);
    let licences = place.text("licences");
    good(&["licence", "make", "--out", &licences, "--format", "ofd"]);
    let licence = format!("{licences}/ofd/good.ofd");
    let all = [&*sealed, &signed, &both, &licence];
    for (file, want) in all.iter().zip([&["Seal"][..], &["Sign"], &["Sign", "Seal"], &["Seal"]]) {
        assert_eq!(tools::sealed::verified_by_openssl(Path::new(file)), want, "{file}");
    }
    verified_by_another_reader(&place, &[&sealed, &both, &licence]);
    let found = tools::sealed::read_elsewhere(&all.map(Path::new));
    for (file, found) in all.iter().zip(&found) {
        if *file == signed {
            assert!(found["pages"] == 1 && found["seals"].as_array().is_some_and(Vec::is_empty), "{found}");
        } else {
            tools::sealed::assert_seal_is_drawn(found);
        }
    }
    let texts = found[0]["texts"].as_array().expect("texts");
    assert!(texts.iter().any(|text| text == "测试证照"), "{texts:?}");
}

/// Seals that hold there, and no longer when a covered file or the signed value is another.
fn verified_by_another_reader(place: &Place, sealed: &[&str]) {
    let with_bent = |from: &str, name: &str| {
        let package = std::fs::read(from).expect("a package");
        let archive = Archive::open(package, &Limits::default()).expect("an archive");
        let mut out = zip::Writer::new(Vec::new(), DosTime::EPOCH);
        for entry in archive.files() {
            let mut octets = archive.read(&entry.name, 1 << 20).expect("an entry");
            // Near the end of a signed value lies its signature.
            let at = octets.len().saturating_sub(20);
            octets[at] ^= u8::from(entry.name.ends_with(name));
            out.add(&entry.name, Packing::Deflated, &octets).expect("written");
        }
        place.write(&format!("bent-{name}"), &out.finish().expect("written"))
    };
    let (page, value) = (with_bent(sealed[0], "data.json"), with_bent(sealed[0], "SignedValue.dat"));
    let all: Vec<&Path> = sealed.iter().copied().chain([&*page, &*value]).map(Path::new).collect();
    let found = tools::sealed::verified_elsewhere(&all);
    let told = |found: &serde_json::Value| (found["signature"].clone(), found["digests"].clone());
    for (nth, found) in found.iter().enumerate() {
        let seals = found["seals"].as_array().expect("seals");
        assert!(found["pages"] == 1 && seals.len() == 1 && seals[0]["files"].as_u64() >= Some(8), "{found}");
        let want = (nth != sealed.len() + 1, nth != sealed.len());
        assert_eq!(told(&seals[0]), (want.0.into(), want.1.into()), "{found}");
    }
}

#[test]
fn a_key_under_a_password_and_a_container_that_openssl_takes() {
    let place = Place::new();
    place.party("clerk", SignatureAlgorithm::EcdsaP256Sha256);
    let (key, cert) = (place.text("clerk.key"), place.text("clerk.pem"));
    let (sealed, password) = (place.text("sealed.key"), place.write("password", "correct horse\n".as_bytes()));
    let openssl = |args: &[&str]| Command::new("openssl").args(args).output().expect("openssl is there");
    let made = openssl(&["pkcs8", "-topk8", "-in", &key, "-out", &sealed, "-passout", &format!("file:{password}")]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let document = place.write("statement.txt", "我声明".as_bytes());
    let (container, signature) = (place.text("case.asice"), place.text("statement.p7s"));
    let common = ["--key", &sealed, "--password", &password, "--cert", &cert];
    good(&[&["seal", "asic", &document, &cert, "-o", &container], &common[..]].concat());
    good(&["verify", &container, "--anchor", &cert]);
    good(&[&["seal", "cms", &document, "-o", &signature], &common[..]].concat());
    good(&["verify", &signature, "--content", &document, "--anchor", &cert]);
    let checked = openssl(&[
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-in",
        &signature,
        "-content",
        &document,
        "-CAfile",
        &cert,
        "-purpose",
        "any",
        "-out",
        "/dev/null",
    ]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let wrong = place.write("wrong", b"incorrect horse\n");
    let out = place.text("no");
    bad(
        &["seal", "cms", &document, "--key", &sealed, "--password", &wrong, "--cert", &cert, "-o", &out],
        "does not open",
    );
    bad(&["seal", "cms", &document, "--key", &sealed, "--cert", &cert, "-o", &out], "under a password");
}

/// What another reader says of the signatures of a file.
fn pdfsig(file: &str) -> String {
    let output = Command::new("pdfsig").arg("-nocert").arg(file).output();
    let output =
        output.unwrap_or_else(|e| panic!("pdfsig of poppler-utils does not run ({e}): `make test` installs it"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A PDF of one page, as simple as they come.
fn page(place: &Place, name: &str) -> String {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>/Contents 4 0 R>>",
        "<</Length 22>>stream\n100 100 200 200 re S  \nendstream",
    ];
    let (mut pdf, mut table) = ("%PDF-1.7\n".to_owned(), "0000000000 65535 f\r\n".to_owned());
    for (n, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n\r\n", pdf.len());
        pdf += &format!("{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let at = pdf.len();
    pdf += &format!("xref\n0 5\n{table}trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n");
    place.write(name, pdf.as_bytes())
}

#[test]
fn a_pdf_is_signed_twice_and_another_reader_agrees() {
    let place = Place::new();
    let (seal, verify) = (["seal", "pdf"], |file: &str, more: &[&str]| {
        let args = [&["verify", "--json", "--revocation", "ignore", file][..], more].concat();
        let output = tongban(&args);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    });
    for name in ["ec", "sm2", "rsa"] {
        match name {
            "ec" => place.party(name, SignatureAlgorithm::EcdsaP256Sha256),
            "sm2" => place.party(name, SignatureAlgorithm::Sm2Sm3),
            _ => {
                let (key, cert) = (place.text("rsa.key"), place.text("rsa.pem"));
                let words = format!(
                    "req -x509 -newkey rsa:2048 -nodes -sha256 -days 30 -subj /CN=seal -keyout {key} -out {cert}"
                );
                let words = words.split(' ').chain(["-addext", "keyUsage=critical,digitalSignature"]);
                let done = Command::new("openssl").args(words).output().expect("openssl runs");
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
        }
        let (key, cert) = (place.text(&format!("{name}.key")), place.text(&format!("{name}.pem")));
        let plain = page(&place, &format!("{name}.pdf"));
        let (once, twice) = (place.text(&format!("{name}-1.pdf")), place.text(&format!("{name}-2.pdf")));
        good(&[&seal[..], &[&plain, "--key", &key, "--cert", &cert, "--out", &once, "--reason", "准予登记"]].concat());
        good(&[&seal[..], &[&once, "--key", &key, "--cert", &cert, "--out", &twice]].concat());
        let report = verify(&twice, &["--signer-anchor", &cert]);
        assert_eq!(report["indication"], "TOTAL-PASSED", "{report:#}");
        assert_eq!(report["signatures"].as_array().map(Vec::len), Some(2), "{report:#}");
        // Readers outside of China do not know SM2.
        if name == "sm2" {
            continue;
        }
        let said = pdfsig(&twice);
        assert_eq!(said.matches("Signature is Valid").count(), 2, "{said}");
        assert_eq!(said.matches("ETSI.CAdES.detached").count(), 2, "{said}");
        let mut bent = std::fs::read(&twice).unwrap();
        bent[20] ^= 1;
        let said = pdfsig(&place.write("bent.pdf", &bent));
        assert_eq!(said.matches("Signature is Valid").count(), 0, "{said}");
    }
    bad(
        &[
            "seal",
            "pdf",
            &place.text("ec.key"),
            "--key",
            &place.text("ec.key"),
            "--cert",
            &place.text("ec.pem"),
            "--out",
            &place.text("x"),
        ],
        "PDF_SYNTAX",
    );
}

/// SoftHSM2 as `make test` installs it.
fn softhsm() -> &'static str {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    ];
    let found = places.into_iter().find(|file| Path::new(file).exists());
    found.expect("SoftHSM2 is not installed: `make test` installs it")
}

/// A token `seals` of its own in the place, with its PIN in a file; gives its configuration.
fn token(place: &Place) -> String {
    std::fs::create_dir(place.path("tokens")).expect("a folder");
    let config = place.write("softhsm2.conf", format!("directories.tokendir = {}\n", place.text("tokens")).as_bytes());
    token_tool(&config, &["--init-token", "--free", "--label", "seals", "--pin", "1234", "--so-pin", "5678"]);
    place.write("pin", b"1234\n");
    config
}

fn token_tool(config: &str, args: &[&str]) {
    let done = Command::new("softhsm2-util").args(args).env("SOFTHSM2_CONF", config).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_key_stays_in_its_token() {
    let module = softhsm();
    let place = Place::new();
    let config = token(&place);
    let pin = place.text("pin");
    let seal = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_tongban")).args(args).env("SOFTHSM2_CONF", &config).output();
        let run = run.expect("the binary runs");
        (run.status.success(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let document = place.write("statement.txt", b"statement");
    let rsa =
        Command::new("openssl").args(["genrsa", "-out", &place.text("rsa.key"), "2048"]).output().expect("openssl");
    assert!(rsa.status.success());
    place.party("ec", SignatureAlgorithm::EcdsaP256Sha256);
    let pkcs8 = pem::decode(&std::fs::read(place.path("rsa.key")).expect("a key")).expect("PEM");
    let key = SigningKey::from_pkcs8(&pkcs8[0].octets).expect("an RSA key");
    place.certify("rsa", &key, &key.public_key());
    for (id, name) in [("01", "ec"), ("02", "rsa")] {
        let file = place.text(&format!("{name}.key"));
        token_tool(&config, &["--import", &file, "--token", "seals", "--label", name, "--id", id, "--pin", "1234"]);
        let uri = format!("pkcs11:token=seals;object={name}?module-path={module}&pin-source={pin}");
        let (cert, out, journal) =
            (place.text(&format!("{name}.pem")), place.text(&format!("{name}.p7s")), place.text("journal"));
        let line = ["seal", "cms", &document, "--key", &uri, "--cert", &cert, "-o", &out];
        let (done, why) = seal(&line);
        assert!(!done && why.contains("--journal"), "no use without a line: {why}");
        let (done, why) = seal(&[&line[..], &["--journal", &journal]].concat());
        assert!(done, "{why}");
        good(&["verify", &out, "--content", &document, "--anchor", &cert]);
        let lines = std::fs::read_to_string(&journal).expect("a journal");
        assert!(lines.lines().any(|line| line.contains("\"subject\"") && line.contains(name)), "{lines}");
        let no = uri.replace("object=", "object=no");
        let (done, why) = seal(&[
            "seal",
            "cms",
            &document,
            "--key",
            &no,
            "--cert",
            &cert,
            "--journal",
            &journal,
            "-o",
            &place.text("no"),
        ]);
        assert!(!done && why.contains("no private key of that name"), "{why}");
    }
    // The certificate of one key with the other key.
    let uri = format!("pkcs11:token=seals;object=ec?module-path={module}&pin-source={pin}");
    let (done, why) = seal(&[
        "seal",
        "cms",
        &document,
        "--key",
        &uri,
        "--cert",
        &place.text("rsa.pem"),
        "--journal",
        &place.text("j"),
        "-o",
        &place.text("no"),
    ]);
    assert!(!done && why.contains("of another kind than the certificate's"), "{why}");
    let wrong = place.write("wrong", b"4321\n");
    let uri = format!("pkcs11:token=seals;object=ec?module-path={module}&pin-source={wrong}");
    let (done, why) = seal(&[
        "seal",
        "cms",
        &document,
        "--key",
        &uri,
        "--cert",
        &place.text("ec.pem"),
        "--journal",
        &place.text("j"),
        "-o",
        &place.text("no"),
    ]);
    assert!(!done && why.contains("refuses the PIN") && !why.contains("4321"), "{why}");
}

/// A running gateway takes its envelope key from a token, and the file goes: the next case files are sealed there, and the
/// other gateway takes them.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_seals_with_a_key_in_a_token() {
    let module = softhsm();
    let place = Place::new();
    let softhsm_config = token(&place);
    let folder = place.path("demo");
    std::fs::create_dir(&folder).expect("a folder");
    let base = tools::ports(3);
    let mut demo = tools::demo(&folder, base);
    demo.env("SOFTHSM2_CONF", &softhsm_config).stdin(Stdio::null()).stdout(Stdio::null());
    let demo = tools::Running(demo.spawn().expect("the binary runs"));
    let until = Instant::now() + Duration::from_secs(120);
    while tools::announced(&folder).is_none() {
        assert!(Instant::now() < until, "the demonstration did not come up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let home = folder.join("gw-440305");
    let (config, key) = (home.join("tongban.toml"), home.join("certs/envelope.key"));
    let import = key.display().to_string();
    token_tool(
        &softhsm_config,
        &["--import", &import, "--token", "seals", "--label", "envelope", "--id", "0a", "--pin", "1234"],
    );
    std::fs::remove_file(&key).expect("it was there");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let uri = format!("pkcs11:token=seals;object=envelope?module-path={module}&pin-source={}", place.text("pin"));
    let (from, reload) =
        ("key = \"certs/envelope.key\"", ["reload", "--config", &config.display().to_string()].map(str::to_owned));
    assert!(text.contains(from));
    let reloads = || Command::new(env!("CARGO_BIN_EXE_tongban")).args(&reload).output().expect("it runs");
    // A name that the token does not know is refused, and nothing changes.
    std::fs::write(&config, text.replace(from, &format!("key = {:?}", uri.replace("object=", "object=no")))).unwrap();
    let refused = reloads();
    assert!(
        !refused.status.success() && tools::text(&refused).contains("no private key of that name"),
        "{}",
        tools::text(&refused)
    );
    std::fs::write(&config, text.replace(from, &format!("key = {uri:?}"))).unwrap();
    let taken = reloads();
    assert!(taken.status.success(), "{}", tools::text(&taken));

    let world = World::open(&folder).expect("a world");
    let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
    let card = licence::issue(&world, Under::Good, "LT-ID", holder, UnixMillis::now()).unwrap();
    let bearer = |who: &str| token_for(&world, who, &Options::default()).unwrap();
    let headers =
        vec![("authorization", format!("Bearer {}", bearer("C-0001"))), ("tongban-subject-token", bearer(ZHANG))];
    let request = serde_json::json!({
        "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    });
    let window = Window::new(&world, WINDOW, A).unwrap();
    let answer = window.file(&headers, "sealed-in-a-token", &request, &[("id.ofd", &card)]).await.unwrap();
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.json);
    let path = format!("/v1/cases/{}", answer.json["case"].as_str().expect("a number"));
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let seen = window.call(&path, &headers, None).await.unwrap();
        // The owner took the case file: its seal held.
        if seen.json["state"].as_str().is_some_and(|state| !["filed", "forwarded"].contains(&state)) {
            break;
        }
        assert!(Instant::now() < until, "{}", seen.json);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(demo);
}

/// A time-stamp authority that answers one question over HTTP.
fn authority(key: SigningKey, cert: Certificate) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/tsa", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a call");
        let (mut read, mut buf) = (Vec::new(), [0; 4096]);
        let request = loop {
            let n = stream.read(&mut buf).expect("a request");
            read.extend(&buf[..n]);
            let head = read.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(request) = head.and_then(|at| timestamp::Request::parse(&read[at + 4..]).ok()) {
                break request;
            }
        };
        let answer = timestamp::respond(&request, &key, &[cert], "1.2.3", 1, UnixMillis::now()).expect("an answer");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        stream.write_all(&[head.as_bytes(), &answer].concat()).expect("sent");
    });
    address
}

#[test]
fn a_time_stamp_proves_when() {
    let place = Place::new();
    place.party("signer", SignatureAlgorithm::Sm2Sm3);
    place.party("maker", SignatureAlgorithm::Sm2Sm3);
    let (maker, maker_cert) = (place.text("maker.key"), place.text("maker.pem"));
    let (paper, key, cert) = (place.paper("paper.ofd"), place.text("signer.key"), place.text("signer.pem"));
    let pkcs8 = SigningKey::generate(SignatureAlgorithm::Sm2Sm3).expect("a key");
    let tsa = SigningKey::from_pkcs8(&pkcs8).expect("a key");
    let subject = Subject::named("tsa", "测试");
    let (from, to) = (UnixMillis::now().plus_seconds(-60), UnixMillis::now().plus_seconds(86_400));
    let spki = tsa.public_key().to_spki();
    let der = certificate(&Issuer::root(&tsa, &subject), &subject, &spki, Use::TimeStamping, from, to).expect("made");
    let tsa_cert = place.write("tsa.cer", &der);
    let (esl, sealed) = (place.text("seal.esl"), place.text("sealed.ofd"));
    let made = ["seal", "esl", "--id", "1", "--name", "章", "--signer", &cert, "--key", &maker, "--cert", &maker_cert];
    good(&[&made[..], &["-o", &esl]].concat());
    let url = authority(tsa, Certificate::parse(&der).expect("a certificate"));
    good(&["seal", "ofd", &paper, "--seal", &esl, "--key", &key, "--cert", &cert, "--tsa", &url, "-o", &sealed]);
    let trusted = ["--signer-anchor", &cert, "--maker-anchor", &maker_cert, "--tsa-anchor", &tsa_cert];
    let said = good(&[&["verify", &sealed, "--time-basis", "timestamp"][..], &trusted].concat());
    assert!(said.contains("proven") && said.contains("(timestamp)"), "{said}");
    let nobody = place.text("no.ofd");
    let line = ["seal", "ofd", &paper, "--key", &key, "--cert", &cert, "--tsa", "http://127.0.0.1:1/", "-o", &nobody];
    bad(&line, "127.0.0.1:1");
    assert!(!Path::new(&nobody).exists(), "no stamp, no result");
}
