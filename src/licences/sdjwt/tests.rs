//! Credentials as issuers, holders and forgers make them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::{Compression, write::ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write as _;

use super::super::variations::kit::{Party, at, party_of};
use super::super::*;
use crate::terms::{ResidentId, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::jose::{sign, to_jwk};
use crate::trust::suite::{DigestAlgorithm, SignatureAlgorithm, Signer, SigningKey};

const NOW: &str = "2026-03-01T00:00:00Z";
const ISSUER: &str = "https://licences.example.cn";
const LIST: &str = "https://licences.example.cn/lists/1";
const PERSON: &str = "11010519491231002X";

fn key(algorithm: SignatureAlgorithm) -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap()
}

fn digest_of(disclosure: &str) -> Value {
    URL_SAFE_NO_PAD.encode(DigestAlgorithm::Sha256.of(disclosure.as_bytes())).into()
}

fn disclosure(parts: Value) -> String {
    URL_SAFE_NO_PAD.encode(parts.to_string())
}

struct World {
    issuer: SigningKey,
    holder: SigningKey,
    profile: Profile,
}

/// What a test changes about an otherwise good credential.
struct Draft {
    header: Value,
    claims: Value,
    disclosures: Vec<String>,
    /// Claims of the holder's signature; `None` for none.
    bound: Option<Value>,
    bound_type: &'static str,
}

impl World {
    fn new() -> Self {
        let (issuer, holder) = (key(SignatureAlgorithm::EcdsaP256Sha256), key(SignatureAlgorithm::Ed25519));
        let mut profile = Profile::new(at(NOW));
        let metadata = json!({ "issuer": ISSUER, "jwks": { "keys": [to_jwk(&issuer.public_key()).unwrap()] } });
        profile.issuer_keys = IssuerKey::read(metadata.to_string().as_bytes()).unwrap();
        Self { issuer, holder, profile }
    }

    fn draft(&self) -> Draft {
        let holder = disclosure(json!(["salt-salt-salt-1", "certificateHolderCode", PERSON]));
        let list = disclosure(json!(["salt-salt-salt-2", "a class"]));
        Draft {
            header: json!({ "typ": "dc+sd-jwt" }),
            claims: json!({
                "iss": ISSUER, "vct": "urn:cn:licence:driving", "iat": 1_770_000_000, "exp": 1_900_000_000,
                "cnf": { "jwk": to_jwk(&self.holder.public_key()).unwrap() },
                "certificateName": "机动车驾驶证",
                "classes": [{ "...": digest_of(&list) }, { "...": digest_of("not shown") }],
                "_sd": [digest_of(&holder), digest_of("a decoy")], "_sd_alg": "sha-256",
            }),
            disclosures: vec![holder, list],
            bound: Some(json!({ "aud": "urn:window", "nonce": "n-1", "iat": at(NOW).seconds() - 5 })),
            bound_type: "kb+jwt",
        }
    }

    fn present(&self, draft: Draft) -> Vec<u8> {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mut text = sign(&self.issuer, &object(draft.header), draft.claims.to_string().as_bytes()).unwrap();
        text.push('~');
        for disclosure in &draft.disclosures {
            text.push_str(disclosure);
            text.push('~');
        }
        if let Some(mut bound) = draft.bound {
            if bound.get("sd_hash").is_none() {
                bound["sd_hash"] = digest_of(&text);
            }
            let header = object(json!({ "typ": draft.bound_type }));
            text.push_str(&sign(&self.holder, &header, bound.to_string().as_bytes()).unwrap());
        }
        text.into_bytes()
    }

    fn list(&self, statuses: &[u8], more: Value) -> StatusList {
        StatusList::parse(self.token(statuses, more).as_bytes()).unwrap()
    }

    /// A list of two bits each.
    fn token(&self, statuses: &[u8], more: Value) -> String {
        self.token_of(&json!({ "typ": "statuslist+jwt" }), statuses, more)
    }

    fn token_of(&self, header: &Value, statuses: &[u8], more: Value) -> String {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let octets = statuses.chunks(4).map(|four| four.iter().rev().fold(0, |octet, s| octet << 2 | s));
        packed.write_all(&octets.collect::<Vec<_>>()).unwrap();
        let lst = URL_SAFE_NO_PAD.encode(packed.finish().unwrap());
        let mut claims =
            json!({ "sub": LIST, "iat": at(NOW).seconds() - 60, "status_list": { "bits": 2, "lst": lst } });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sign(&self.issuer, header.as_object().unwrap(), claims.to_string().as_bytes()).unwrap()
    }
}

fn code(report: &Report) -> Option<&'static str> {
    report.code
}

#[test]
fn a_good_credential_is_as_good_as_a_sealed_file() {
    let world = World::new();
    let report = verify("vc", world.present(world.draft()), &world.profile);
    assert!(report.passed(), "{}", report.to_text());
    assert_eq!(report.format, Format::SdJwtVc);
    let datum = report.data.get(names::HOLDER_CODE).unwrap();
    assert_eq!((datum.value.as_str(), datum.file.as_str()), (PERSON, "disclosure 1"));
    assert_eq!(report.data.get(names::NAME).unwrap().file, "credential");
    let resident: ResidentId = PERSON.parse().unwrap();
    let holder = Holder::Person(&resident);
    let need = Need { type_code: None, issuer: None, sealed_by_issuer: false, holder, today: at(NOW).day() };
    assert!(judge(&report, &need).is_ok());
    let json = report.to_json().to_string();
    assert!(!json.contains(PERSON) && !report.to_text().contains(PERSON), "numbers of people are masked");
}

#[test]
fn a_byte_order_mark_says_nothing_of_a_credential() {
    let world = World::new();
    let text = world.present(world.draft());
    let mark = b"\xef\xbb\xbf";
    for (name, file, want) in [
        ("before", [&mark[..], &text].concat(), (Format::SdJwtVc, None)),
        ("before, a line end after", [&mark[..], &text, b"\r\n"].concat(), (Format::SdJwtVc, None)),
        ("twice", [&mark[..], mark, &text].concat(), (Format::Unknown, Some("FORMAT_UNKNOWN"))),
        ("after", [&text[..], mark].concat(), (Format::SdJwtVc, Some("VC_BINDING_FORM"))),
    ] {
        let report = verify("vc", file, &world.profile);
        assert_eq!((report.format, report.code), want, "{name}: {}", report.to_text());
        assert_eq!(report.passed(), want.1.is_none(), "{name}");
    }
}

/// A name, what is changed, and the code that decides then; `None` for a pass.
type Row = (&'static str, fn(&World, &mut Draft), Option<&'static str>);

#[test]
fn what_holds_and_what_does_not() {
    let rows: Vec<Row> = vec![
        ("nothing is shown", |_, d| d.disclosures.clear(), None),
        ("no key binding", |_, d| d.bound = None, None),
        ("the old name of the type", |_, d| d.header["typ"] = json!("vc+sd-jwt"), None),
        ("a media type in full", |_, d| d.header["typ"] = json!("application/dc+sd-jwt"), None),
        (
            "no algorithm named: SHA-256",
            |_, d| {
                d.claims.as_object_mut().unwrap().remove("_sd_alg");
            },
            None,
        ),
        (
            "no time of issue",
            |_, d| {
                d.claims.as_object_mut().unwrap().remove("iat");
            },
            None,
        ),
        ("another type", |_, d| d.header["typ"] = json!("JWT"), Some("VC_TYPE")),
        (
            "no type of credential",
            |_, d| {
                d.claims.as_object_mut().unwrap().remove("vct");
            },
            Some("VC_TYPE"),
        ),
        ("an issuer nobody knows", |_, d| d.claims["iss"] = json!("https://other.example"), Some("VC_NO_KEY")),
        ("run out", |_, d| d.claims["exp"] = json!(1_772_323_200 - 1), Some("VC_EXPIRED")),
        ("not yet valid", |_, d| d.claims["nbf"] = json!(1_900_000_000), Some("VC_NOT_YET_VALID")),
        ("a time that is none", |_, d| d.claims["exp"] = json!("2030-01-01"), Some("VC_FORM")),
        ("MD5", |_, d| d.claims["_sd_alg"] = json!("md5"), Some("VC_DIGEST_ALG")),
        (
            "a disclosure that was bent",
            |_, d| d.disclosures[0] = disclosure(json!(["salt-salt-salt-1", "certificateHolderCode", "another"])),
            Some("VC_DISCLOSURE_UNKNOWN"),
        ),
        ("a disclosure twice", |_, d| d.disclosures.push(d.disclosures[0].clone()), Some("VC_DISCLOSURE")),
        (
            "a digest twice",
            |_, d| d.claims["_sd"].as_array_mut().unwrap().push(digest_of(&d.disclosures[0].clone())),
            Some("VC_DISCLOSURE"),
        ),
        ("a disclosure that is none", |_, d| d.disclosures.push("!".into()), Some("VC_DISCLOSURE")),
        (
            "a disclosure that overwrites",
            |_, d| {
                let name = disclosure(json!(["s", "certificateName", "身份证"]));
                d.claims["_sd"].as_array_mut().unwrap().push(digest_of(&name));
                d.disclosures.push(name);
            },
            Some("VC_DISCLOSURE"),
        ),
        (
            "an issuer left to the holder",
            |_, d| {
                let name = disclosure(json!(["s", "status", {}]));
                d.claims["_sd"].as_array_mut().unwrap().push(digest_of(&name));
                d.disclosures.push(name);
            },
            Some("VC_DISCLOSURE"),
        ),
        (
            "a list's element among claims",
            |_, d| {
                let element = disclosure(json!(["s", "value"]));
                d.claims["_sd"].as_array_mut().unwrap().push(digest_of(&element));
                d.disclosures.push(element);
            },
            Some("VC_DISCLOSURE"),
        ),
        (
            "disclosures in disclosures",
            |_, d| {
                let inner = disclosure(json!(["s", "certificateNumber", "42"]));
                let outer = disclosure(json!(["s", "details", { "_sd": [digest_of(&inner)] }]));
                d.claims["_sd"].as_array_mut().unwrap().push(digest_of(&outer));
                d.disclosures.extend([inner, outer]);
            },
            None,
        ),
        (
            "claims hidden in an element of a list, some of them shown",
            |_, d| {
                let inner = disclosure(json!(["s", "certificateNumber", "42"]));
                let element = disclosure(json!(["s", { "_sd": [digest_of(&inner), digest_of("not shown either")] }]));
                d.claims["list"] =
                    json!([{ "...": digest_of(&element) }, "plain", { "...": digest_of("another decoy") }]);
                d.disclosures.extend([element, inner]);
            },
            None,
        ),
        (
            "what is inside, without what is around it",
            |_, d| {
                let inner = disclosure(json!(["s", "certificateNumber", "42"]));
                let outer = disclosure(json!(["s", "details", { "_sd": [digest_of(&inner)] }]));
                d.claims["_sd"].as_array_mut().unwrap().push(digest_of(&outer));
                d.disclosures.push(inner);
            },
            Some("VC_DISCLOSURE_UNKNOWN"),
        ),
        (
            "the digest of its type's description",
            |_, d| d.claims["vct#integrity"] = json!("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            None,
        ),
        (
            "nothing hidden in a list of digests",
            |_, d| {
                d.claims["_sd"] = json!([digest_of("a decoy"), digest_of("another")]);
                d.disclosures.remove(0);
            },
            None,
        ),
        (
            "bound to another presentation",
            |_, d| d.bound.as_mut().unwrap()["sd_hash"] = json!("x"),
            Some("VC_BINDING_HASH"),
        ),
        ("a binding of another type", |_, d| d.bound_type = "JWT", Some("VC_BINDING_FORM")),
        (
            "a binding without time",
            |_, d| {
                d.bound.as_mut().unwrap().as_object_mut().unwrap().remove("iat");
            },
            Some("VC_BINDING_FORM"),
        ),
        (
            "a binding of tomorrow",
            |_, d| d.bound.as_mut().unwrap()["iat"] = json!(1_800_000_000),
            Some("VC_BINDING_IN_FUTURE"),
        ),
        (
            "bound by another holder",
            |w, d| d.claims["cnf"] = json!({ "jwk": to_jwk(&w.issuer.public_key()).unwrap() }),
            Some("VC_BINDING_SIGNATURE"),
        ),
        (
            "bound, and no key to it",
            |_, d| {
                d.claims.as_object_mut().unwrap().remove("cnf");
            },
            Some("VC_BINDING_NO_KEY"),
        ),
    ];
    let world = World::new();
    for (name, change, want) in rows {
        let mut draft = world.draft();
        change(&world, &mut draft);
        let report = verify("vc", world.present(draft), &world.profile);
        assert_eq!(code(&report), want, "{name}: {}", report.to_text());
    }
}

#[test]
fn the_holder_is_asked_for_this_occasion() {
    let world = World::new();
    let asked = |audience: Option<&str>, nonce: Option<&str>, required| {
        let mut profile = world.profile.clone();
        let (audience, nonce) = (audience.map(str::to_owned), nonce.map(str::to_owned));
        profile.binding = Binding { required, audience, nonce, ..Binding::default() };
        profile
    };
    for (profile, bound, want) in [
        (asked(Some("urn:window"), Some("n-1"), true), true, None),
        (asked(Some("urn:other"), None, false), true, Some("VC_BINDING_AUDIENCE")),
        (asked(None, Some("n-2"), false), true, Some("VC_BINDING_NONCE")),
        (asked(None, None, true), false, Some("VC_BINDING_MISSING")),
        (asked(None, Some("n-1"), false), false, Some("VC_BINDING_MISSING")),
    ] {
        let mut draft = world.draft();
        draft.bound = draft.bound.filter(|_| bound);
        assert_eq!(code(&verify("vc", world.present(draft), &profile)), want);
    }
    // Ten minutes later: too late where the holder is asked, whatever is asked; a kept file is judged at any time.
    for (mut late, want) in [
        (asked(None, Some("n-1"), false), Some("VC_BINDING_OLD")),
        (asked(Some("urn:window"), None, false), Some("VC_BINDING_OLD")),
        (asked(None, None, true), Some("VC_BINDING_OLD")),
        (asked(None, None, false), None),
    ] {
        late.at = UnixMillis(late.at.0 + 600_000);
        assert_eq!(code(&verify("vc", world.present(world.draft()), &late)), want);
    }
}

/// Somebody with certificates of these names under one authority.
fn certified(pkcs8: &[u8], authority: &Party, (dns, uris): (&[&str], &[&str])) -> Certificate {
    let key = SigningKey::from_pkcs8(pkcs8).unwrap();
    let subject = Subject { dns, uris, ..Subject::named("发证机关", "测试") };
    let by = Issuer::of(&authority.key, &authority.cert);
    let (from, to) = (at("2025-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
    let der = issue::certificate(&by, &subject, &key.public_key().to_spki(), Use::Signer, from, to).unwrap();
    Certificate::parse(&der).unwrap()
}

#[test]
fn certificates_in_the_header_need_a_chain_and_speak_for_whom_they_name() {
    let mut world = World::new();
    world.profile.issuer_keys.clear();
    let pkcs8 = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
    world.issuer = SigningKey::from_pkcs8(&pkcs8).unwrap();
    let ca = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "根", Use::Root);
    let mut trusting = world.profile.clone();
    trusting.anchors.signers = vec![ca.cert.clone()];
    let other = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
    let named = |names| certified(&pkcs8, &ca, names);
    let (by_uri, nameless) = (named((&[], &[ISSUER])), named((&[], &[])));
    let wrong = Some("VC_ISSUER_NAME");
    for (name, certificate, profile, iss, want) in [
        ("its address", &by_uri, &trusting, Some(ISSUER), None),
        ("its host", &named((&["licences.example.cn"], &[])), &trusting, Some(ISSUER), None),
        ("nobody trusted", &by_uri, &world.profile, Some(ISSUER), Some("NO_ANCHORS")),
        (
            "another's certificate",
            &certified(&other, &ca, (&[], &[ISSUER])),
            &trusting,
            Some(ISSUER),
            Some("VC_SIGNATURE"),
        ),
        ("another host", &named((&["example.cn"], &[])), &trusting, Some(ISSUER), wrong),
        ("another address", &by_uri, &trusting, Some("https://other.example"), wrong),
        ("before an @", &named((&["example.cn"], &[])), &trusting, Some("https://example.cn:1@other.example"), wrong),
        ("no names at all", &nameless, &trusting, Some(ISSUER), wrong),
        ("no names, for its subject", &nameless, &trusting, None, None),
    ] {
        let mut draft = world.draft();
        draft.header["x5c"] = json!([STANDARD.encode(certificate.der())]);
        draft.claims["iss"] = json!(iss);
        if iss.is_none() {
            draft.claims.as_object_mut().unwrap().remove("iss");
        }
        let report = verify("vc", world.present(draft), profile);
        assert_eq!(code(&report), want, "{name}: {}", report.to_text());
    }
}

/// Under one authority, who may say which credentials are good?
#[test]
fn a_list_is_signed_for_its_issuer_or_its_own_address() {
    let world = World::new();
    let ca = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "根", Use::Root);
    let pkcs8 = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
    let lister = World { issuer: SigningKey::from_pkcs8(&pkcs8).unwrap(), ..World::new() };
    for (names, want) in [
        ((&["licences.example.cn"][..], &[][..]), None),
        ((&[], &[LIST]), None),
        ((&[], &[ISSUER]), None),
        ((&["other.example"], &[]), Some("VC_NO_STATUS")),
        ((&[], &[]), Some("VC_NO_STATUS")),
    ] {
        let certificate = certified(&pkcs8, &ca, names);
        let mut profile = world.profile.clone();
        profile.anchors.signers = vec![ca.cert.clone()];
        profile.revocation = Revocation::Require;
        profile.crls = vec![
            Crl::parse(
                &issue::crl(&Issuer::of(&ca.key, &ca.cert), &[], 1, at(NOW), at("2027-01-01T00:00:00Z")).unwrap(),
            )
            .unwrap(),
        ];
        let header = json!({ "typ": "statuslist+jwt", "x5c": [STANDARD.encode(certificate.der())] });
        let list = lister.token_of(&header, &[0, 0], json!({}));
        profile.status_lists = vec![StatusList::parse(list.as_bytes()).unwrap()];
        let mut draft = world.draft();
        draft.claims["status"] = json!({ "status_list": { "idx": 1, "uri": LIST } });
        let report = verify("vc", world.present(draft), &profile);
        assert_eq!(code(&report), want, "{names:?}: {}", report.to_text());
    }
}

#[test]
fn the_status_is_what_the_list_says() {
    let world = World::new();
    let lists = |list: Option<StatusList>, revocation| {
        let mut profile = world.profile.clone();
        (profile.status_lists, profile.revocation) = (list.into_iter().collect(), revocation);
        profile
    };
    use Revocation::{IfAvailable, Ignore, Require};
    let list = |more: Value| Some(world.list(&[0, 1, 2, 3, 0], more));
    let forged = World::new().list(&[0; 8], json!({}));
    for (index, profile, want) in [
        (0, lists(list(json!({})), Require), None),
        (4, lists(list(json!({})), Require), None),
        (1, lists(list(json!({})), Require), Some("VC_REVOKED")),
        (2, lists(list(json!({})), IfAvailable), Some("VC_SUSPENDED")),
        (3, lists(list(json!({})), IfAvailable), Some("VC_STATUS")),
        (8, lists(list(json!({})), IfAvailable), Some("VC_STATUS_INDEX")),
        (u64::MAX, lists(list(json!({})), IfAvailable), Some("VC_STATUS_INDEX")),
        (1, lists(list(json!({})), Ignore), None),
        (1, lists(None, IfAvailable), None),
        (0, lists(None, Require), Some("VC_NO_STATUS")),
        (0, lists(list(json!({ "exp": at(NOW).seconds() - 1 })), Require), Some("VC_NO_STATUS")),
        (0, lists(list(json!({ "ttl": 30 })), Require), Some("VC_NO_STATUS")),
        (1, lists(list(json!({ "ttl": 30 })), IfAvailable), Some("VC_REVOKED")),
        (0, lists(list(json!({ "sub": "https://other.example/1" })), Require), Some("VC_NO_STATUS")),
        (0, lists(Some(forged), Require), Some("VC_NO_STATUS")),
    ] {
        let mut draft = world.draft();
        draft.claims["status"] = json!({ "status_list": { "idx": index, "uri": LIST } });
        let report = verify("vc", world.present(draft), &profile);
        assert_eq!(code(&report), want, "{index}: {}", report.to_text());
    }
}

#[test]
fn a_list_that_is_none() {
    let world = World::new();
    for more in [
        json!({ "iat": null }),
        json!({ "sub": 7 }),
        json!({ "ttl": 0 }),
        json!({ "status_list": { "bits": 3, "lst": "AA" } }),
        json!({ "status_list": { "bits": 1, "lst": "%" } }),
        json!({ "status_list": [] }),
    ] {
        assert!(StatusList::parse(world.token(&[0], more.clone()).as_bytes()).is_err(), "{more}");
    }
    let broken = world.list(&[0], json!({ "status_list": { "bits": 1, "lst": "AAAA" } }));
    assert!(broken.status(0).is_err());
    // 16 MiB of zeros, and a question beyond.
    let bomb = world.list(&vec![0; 4 << 20], json!({}));
    assert_eq!((bomb.status(5), bomb.status(u64::from(u32::MAX))), (Ok(0), Err(ListError::Index(u32::MAX.into()))));
}

#[test]
fn every_character_counts() {
    let world = World::new();
    let good = world.present(world.draft());
    assert!(verify("vc", good.clone(), &world.profile).passed());
    for at in 0..good.len() {
        let mut bent = good.clone();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        let report = verify("vc", bent, &world.profile);
        assert!(!report.passed(), "character {at}");
        let mut less = good.clone();
        less.truncate(at);
        let report = verify("vc", less, &world.profile);
        // What ends after the last disclosure is a presentation without the holder's signature.
        assert!(!report.passed() || good[..at].ends_with(b"~"), "cut at {at}");
    }
}

#[test]
fn no_text_panics() {
    let world = World::new();
    for text in [
        "eyJ",
        "eyJ~",
        "eyJ.~.~",
        "eyJ9.eyJ9.A~",
        "eyJhbGciOiJub25lIn0.e30.~",
        "eyJ\u{0}~~~~",
        "eyJhbGciOiJFUzI1NiJ9.e30.AA~",
    ] {
        let report = verify("vc", text.as_bytes().to_vec(), &world.profile);
        assert!(!report.passed(), "{text}");
    }
}
