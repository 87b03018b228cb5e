//! Writes a seed corpus: for each target a few inputs that its parser takes, made here with keys made here.
//!
//! Usage: `cargo run --example fuzz-seeds [FOLDER]`, `fuzz/corpus` by default.

#[path = "seeds/texts.rs"]
mod texts;

use std::error::Error;
use std::path::PathBuf;

use tongban::formats::der::{self, write};
use tongban::formats::zip::{DosTime, Packing, Writer};
use tongban::licences::make::specimen::{Form, Kind, Making, Pki};
use tongban::licences::make::{Paper, PaperKind, SealSpec, make_seal, seal};
use tongban::terms::UnixMillis;
use tongban::trust::asic::{self, Part};
use tongban::trust::certificate::Certificate;
use tongban::trust::cms::{self, Spelling};
use tongban::trust::issue::{self, Issuer, Subject, Use};
use tongban::trust::suite::{SignatureAlgorithm, Signer, SigningKey};
use tongban::trust::{jose, ocsp, pem, request, timestamp};

const AT: UnixMillis = UnixMillis(1_790_000_000_000);
const YEAR_MS: i64 = 365 * 86_400_000;

type Done<T> = Result<T, Box<dyn Error>>;

/// Keeps a seed: target, name, octets.
type Keep<'a> = &'a dyn Fn(&str, &str, &[u8]) -> Done<()>;

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

fn party(algorithm: SignatureAlgorithm, purpose: Use) -> Done<Party> {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm)?)?;
    let subject = Subject { dns: &["localhost"], uris: &["urn:seed"], ..Subject::named("seed", "测试") };
    let (from, to) = (UnixMillis(AT.0 - YEAR_MS), UnixMillis(AT.0 + YEAR_MS));
    let spki = key.public_key().to_spki();
    let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, purpose, from, to)?;
    Ok(Party { key, certificate: Certificate::parse(&der)? })
}

fn main() -> Done<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus".to_owned()));
    let keep: Keep<'_> = &|target, name, octets| {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join(name), octets)?)
    };
    for (suite, algorithm) in [("sm2", SignatureAlgorithm::Sm2Sm3), ("p256", SignatureAlgorithm::EcdsaP256Sha256)] {
        let (root, signer) = (party(algorithm, Use::Root)?, party(algorithm, Use::Signer)?);
        let tsa = party(algorithm, Use::TimeStamping)?;
        let chain = std::slice::from_ref(&signer.certificate);
        for (name, who) in [("root", &root), ("signer", &signer), ("tsa", &tsa)] {
            keep("certificate", &format!("{suite}-{name}"), who.certificate.der())?;
            keep("der", &format!("{suite}-{name}"), who.certificate.der())?;
            keep("pem", &format!("{suite}-{name}"), pem::encode("CERTIFICATE", who.certificate.der()).as_bytes())?;
        }
        let issuer = Issuer::of(&root.key, &root.certificate);
        let revoked = [(signer.certificate.serial().to_vec(), AT)];
        let list = issue::crl(&issuer, &revoked, 1, AT, UnixMillis(AT.0 + YEAR_MS))?;
        keep("crl", suite, &list)?;
        let by: (&dyn Signer, &Certificate) = (&root.key, &root.certificate);
        let answer =
            ocsp::respond(by, signer.certificate.serial(), &ocsp::Answer::Good, AT, UnixMillis(AT.0 + YEAR_MS))?;
        keep("ocsp", suite, &answer)?;
        // Signed by itself, and the answer by it: what is taken, without anybody else.
        let by: (&dyn Signer, &Certificate) = (&signer.key, &signer.certificate);
        let own = ocsp::respond(by, signer.certificate.serial(), &ocsp::Answer::Good, AT, UnixMillis(AT.0 + YEAR_MS))?;
        let pair = write::sequence(&[signer.certificate.der(), &own]);
        keep("answers", suite, &write::sequence(&[pair]))?;
        keep("request", suite, &request::make(&signer.key)?)?;
        trust_list(keep, suite, &root.certificate, &list)?;
        let request = timestamp::Request::over(algorithm.digest(), b"message", [7; 8]);
        let stamps = std::slice::from_ref(&tsa.certificate);
        let response = timestamp::respond(&request, &tsa.key, stamps, "1.2.3", 1, AT)?;
        keep("timestamp", &format!("{suite}-request"), &request.to_der())?;
        keep("timestamp", &format!("{suite}-response"), &response)?;
        keep("timestamp", &format!("{suite}-token"), timestamp::token_of(&response, &request)?.der())?;
        let digest = algorithm.digest().of(b"content");
        for (name, spelling) in [("rfc", Spelling::International), ("gb", Spelling::National)] {
            let signed = cms::sign_detached_with(&signer.key, chain, &digest, Some(AT), spelling, None)?;
            keep("cms", &format!("{suite}-{name}"), &signed)?;
            keep("ofd", &format!("{suite}-{name}-p7s"), &signed)?;
            keep("pdf", &format!("{suite}-{name}"), &pdf(&signed, &[]))?;
            let store = [("CRLs", &list[..]), ("OCSPs", &answer), ("Certs", root.certificate.der())];
            keep("pdf", &format!("{suite}-{name}-dss"), &pdf(&signed, &store))?;
            keep("ber", &format!("{suite}-{name}"), &streamed(&signed))?;
        }
        let parts = vec![Part::whole("a.json", "application/json", b"{}")];
        keep("asic", suite, &asic::seal(Vec::new(), parts, &signer.key, chain, AT)?)?;
    }
    sealed(keep)?;
    credential(keep)?;
    specimens(keep)?;
    texts::all(keep)
}

/// Test material of every form and variation.
fn specimens(keep: Keep<'_>) -> Done<()> {
    let pki = Pki::new(AT)?;
    let kind = Kind { name: "测试", type_code: "11100000DT0000131P001", body: false, dated: true };
    let making = Making { pki: &pki, kind, holder: "甲" };
    for form in Form::ALL {
        let target = if form == Form::SdJwt { "credential" } else { form.word() };
        for variation in form.variations() {
            keep(target, variation.name, &making.file(form, variation)?)?;
        }
    }
    for (name, octets, _) in pki.files()? {
        match name.as_str() {
            "list.jwt" => keep("status_list", "list", &octets)?,
            "issuer.json" => keep("credential", "issuer", &octets)?,
            _ => {}
        }
    }
    Ok(())
}

/// `trust.toml`, and the file that it names behind a NUL.
fn trust_list(keep: Keep<'_>, suite: &str, anchor: &Certificate, list: &[u8]) -> Done<()> {
    let whole = |text: &str, file: &[u8]| [text.as_bytes(), &[0], file].concat();
    let anchor = pem::encode("CERTIFICATE", anchor.der());
    let text = "[[anchor]]\nfile = \"a.pem\"\npurposes = [\"signer\", \"licence_issuer\"]\ndivisions = [\"440000\"]\n\
                licence_types = [\"11100000MB\"]\nfrom = \"2026-01-01\"\nto = \"2027-12-31\"\n";
    keep("trust_list", &format!("{suite}-anchor"), &whole(text, anchor.as_bytes()))?;
    keep("trust_list", &format!("{suite}-crl"), &whole("[[crl]]\nfile = \"a.crl\"\n", list))
}

/// A SignedData as encoders write it that sign while they write: the outermost lengths are not told.
fn streamed(der: &[u8]) -> Vec<u8> {
    let Ok(whole) = der::only(der) else { return Vec::new() };
    let mut inside = whole.inside();
    let (Ok(kind), Ok(content)) = (inside.element(), inside.element()) else { return Vec::new() };
    [&[0x30, 0x80][..], kind.full, &[content.tag, 0x80], content.content, &[0; 4]].concat()
}

/// A credential with a disclosure, and four numbers for the curve.
fn credential(keep: Keep<'_>) -> Done<()> {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256)?)?;
    let header = serde_json::json!({ "typ": "dc+sd-jwt" }).as_object().cloned().unwrap_or_default();
    let disclosure = "WyJzYWx0IiwibmFtZSIsInZhbHVlIl0";
    let claims = format!("{{\"iss\":\"https://a.example\",\"vct\":\"urn:a\",\"_sd\":[\"{disclosure}\"]}}");
    let signed = jose::sign(&key, &header, claims.as_bytes())?;
    keep("credential", "plain", format!("{signed}~{disclosure}~").as_bytes())?;
    let numbers: Vec<u8> = (1..=128).collect();
    keep("sm2", "numbers", &numbers)
}

/// OFD with a seal, and its parts.
fn sealed(keep: Keep<'_>) -> Done<()> {
    let (maker, signer) =
        (party(SignatureAlgorithm::Sm2Sm3, Use::Signer)?, party(SignatureAlgorithm::Sm2Sm3, Use::Signer)?);
    let spec = SealSpec {
        id: "41900100000017",
        name: "测试业务受理专用章",
        kind: 4,
        signers: std::slice::from_ref(&signer.certificate),
        created: AT,
        valid_from: AT,
        valid_to: UnixMillis(AT.0 + YEAR_MS),
        picture: b"\x89PNG",
        size_mm: 40,
    };
    let stamp = make_seal(&spec, &maker.key, &maker.certificate)?;
    keep("ses", "seal", &stamp)?;
    let paper = Paper::new(PaperKind::Licence, "1")
        .field("证照名称", "测试")
        .data(serde_json::json!({ "certificateName": "测试", "certificateHolderCode": "990101199202290010" }));
    let ofd = seal(&paper, &stamp, &signer.key, &signer.certificate, AT)?;
    keep("ofd", "sealed", &ofd)?;
    keep("zip", "sealed", &ofd)?;
    let archive = tongban::formats::zip::Archive::open(ofd.as_slice(), &Default::default())?;
    for entry in archive.files() {
        let octets = archive.read(&entry.name, 1 << 20)?;
        let name = entry.name.replace('/', "-");
        match entry.name.rsplit('.').next() {
            Some("xml") => keep("xml", &name, &octets)?,
            Some("dat" | "esl") => keep("ses", &name, &octets)?,
            _ => {}
        }
    }
    let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
    writer.add("文/", Packing::Stored, b"")?;
    writer.add_from("文/a", Packing::Deflated, &mut &[7u8; 4096][..])?;
    keep("zip", "folder", &writer.finish()?)
}

/// A signed PDF of the smallest kind; the value is a signature over something else. `store` is what validation needs.
fn pdf(value: &[u8], store: &[(&str, &[u8])]) -> Vec<u8> {
    let hex: String = value.iter().map(|b| format!("{b:02x}")).collect();
    let mut out = b"%PDF-1.7\n".to_vec();
    let mut table = "xref\n0 1\n0000000000 65535 f\r\n".to_owned();
    let head = "<</Type/Sig/SubFilter/ETSI.CAdES.detached/Contents";
    let lists: String = store.iter().zip(5..).map(|((name, _), number)| format!("/{name}[{number} 0 R]")).collect();
    let vri = "/VRI<</0123456789ABCDEF0123456789ABCDEF01234567<</CRL[5 0 R]>>>>";
    let own = [
        format!("<</Type/Catalog/AcroForm<</Fields[2 0 R]>>{}>>", if store.is_empty() { "" } else { "/DSS 4 0 R" }),
        "<</FT/Sig/T(a)/V 3 0 R>>".to_owned(),
        String::new(),
        format!("<</Type/DSS{lists}{}>>", if store.is_empty() { "" } else { vri }),
    ];
    let stream = |der: &[u8]| [format!("<</Length {}>>stream\n", der.len()).as_bytes(), der, b"\nendstream"].concat();
    let objects = own.map(String::into_bytes).into_iter().chain(store.iter().map(|(_, der)| stream(der)));
    let mut size = 1;
    for (number, mut object) in (1..).zip(objects) {
        table += &format!("{number} 1\n{:010} 00000 n\r\n", out.len());
        if number == 3 {
            let from = out.len() + "3 0 obj\n".len() + head.len();
            object = format!("{head}<{hex}>/ByteRange[0 {from} {} 20]>>", from + hex.len() + 2).into_bytes();
        }
        out.extend(format!("{number} 0 obj\n").into_bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
        size = number + 1;
    }
    let start = out.len();
    out.extend(format!("{table}trailer\n<</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n").into_bytes());
    out
}
