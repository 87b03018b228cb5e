use super::search::MOST_SIGNATURES;
use super::*;
use crate::trust::crl::Revoked;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::ocsp::{self, Answer};
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey, Strengths};

const DAY_MS: i64 = 86_400_000;
pub(super) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

pub(super) struct Made {
    pub key: SigningKey,
    pub certificate: Certificate,
}

pub(super) fn make(by: Option<&Made>, algorithm: SignatureAlgorithm, cn: &str, purpose: Use, days: (i64, i64)) -> Made {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
    let subject = Subject::named(cn, "test");
    let spki = key.public_key().to_spki();
    let issuer = match by {
        None => Issuer::root(&key, &subject),
        Some(by) => Issuer::of(&by.key, &by.certificate),
    };
    let (from, to) = (UnixMillis(NOW.0 + days.0 * DAY_MS), UnixMillis(NOW.0 + days.1 * DAY_MS));
    let der = issue::certificate(&issuer, &subject, &spki, purpose, from, to).unwrap();
    let certificate = Certificate::parse(&der).unwrap();
    Made { key, certificate }
}

fn ask(leaf: &Made, between: &[&Made], anchor: &Made, purpose: Purpose) -> Result<Path, PathError> {
    let between: Vec<_> = between.iter().map(|m| m.certificate.clone()).collect();
    judge(&Question {
        leaf: &leaf.certificate,
        intermediates: &between,
        anchors: std::slice::from_ref(&anchor.certificate),
        purpose,
        at: NOW,
        crls: &[],
        ocsp: &[],
        revocation: Revocation::IfAvailable,
        strengths: Strengths::shipped(),
    })
}

/// What lists and answers say of a signer below the root, where something must.
fn status(leaf: &Made, root: &Made, crls: &[Crl], ocsp: &[Response]) -> &'static str {
    status_of(&leaf.certificate, root, crls, ocsp)
}

pub(super) fn status_of(leaf: &Certificate, root: &Made, crls: &[Crl], ocsp: &[Response]) -> &'static str {
    let got = judge(&Question {
        leaf,
        intermediates: &[],
        anchors: std::slice::from_ref(&root.certificate),
        purpose: Purpose::Signer,
        at: NOW,
        crls,
        ocsp,
        revocation: Revocation::Require,
        strengths: Strengths::shipped(),
    });
    match got {
        Ok(_) => "ok",
        Err(PathError::Revoked { .. }) => "Revoked",
        Err(PathError::NoStatus(_)) => "NoStatus",
        Err(_) => "other",
    }
}

#[test]
fn chains_of_both_suites_and_what_breaks_them() {
    for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3] {
        let year = (-1, 365);
        let root = make(None, algorithm, "root", Use::Root, year);
        let middle = make(Some(&root), algorithm, "middle", Use::Intermediate(0), year);
        let leaf = make(Some(&middle), algorithm, "leaf", Use::Signer, year);
        assert_eq!(ask(&leaf, &[&middle], &root, Purpose::Signer).unwrap().chain.len(), 3);
        assert!(matches!(ask(&leaf, &[], &root, Purpose::Signer), Err(PathError::NoChain(_))));
        let lookalike = make(None, algorithm, "root", Use::Root, year);
        assert!(matches!(ask(&leaf, &[&middle], &lookalike, Purpose::Signer), Err(PathError::NoChain(_))));
        assert!(matches!(ask(&leaf, &[&middle], &root, Purpose::TlsServer), Err(PathError::Constraint { .. })));
        let deep = make(Some(&middle), algorithm, "deep", Use::Intermediate(0), year);
        let under = make(Some(&deep), algorithm, "under", Use::Signer, year);
        assert!(matches!(ask(&under, &[&middle, &deep], &root, Purpose::Signer), Err(PathError::Constraint { .. })));
        let forged = make(Some(&leaf), algorithm, "forged", Use::Signer, year);
        assert!(matches!(ask(&forged, &[&middle, &leaf], &root, Purpose::Signer), Err(PathError::Constraint { .. })));
        let past = make(Some(&root), algorithm, "past", Use::Signer, (-30, -2));
        assert!(matches!(ask(&past, &[], &root, Purpose::Signer), Err(PathError::Validity { .. })));
        assert!(ask(&leaf, &[], &leaf, Purpose::Signer).is_ok(), "a certificate trusted directly");
    }
}

/// Authorities write their name in one way in their own certificate and in another in those they issue (RFC 5280 §7.1).
#[test]
fn a_name_in_two_spellings_is_one() {
    let sm2 = SignatureAlgorithm::Sm2Sm3;
    let root = make(None, sm2, "Root", Use::Root, (-1, 365));
    let (key, other) = (make(None, sm2, "leaf", Use::Signer, (-1, 365)).key, Subject::named(" ROOT", "Test"));
    let spelt = Issuer { signer: &root.key, name: Issuer::root(&root.key, &other).name };
    assert_ne!(spelt.name, root.certificate.subject());
    let (from, to) = (UnixMillis(NOW.0 - DAY_MS), UnixMillis(NOW.0 + DAY_MS));
    let der =
        issue::certificate(&spelt, &Subject::named("leaf", "x"), &key.public_key().to_spki(), Use::Signer, from, to);
    let leaf = Made { key, certificate: Certificate::parse(&der.unwrap()).unwrap() };
    assert_eq!(ask(&leaf, &[], &root, Purpose::Signer).map(|path| path.chain.len()), Ok(2));
    let foreign = make(None, sm2, "Root 2", Use::Root, (-1, 365));
    assert!(ask(&leaf, &[], &foreign, Purpose::Signer).is_err());
    // What is said of it is found under either spelling.
    let entry = [(leaf.certificate.serial().to_vec(), from)];
    let own = Issuer::of(&root.key, &root.certificate);
    let revoked = Answer::Revoked(Revoked { serial: entry[0].0.clone(), at: from, reason: None });
    let by: (&dyn Signer, &Certificate) = (&root.key, &root.certificate);
    let answer = ocsp::respond(by, &entry[0].0, &revoked, from, to).unwrap();
    for (crls, answers) in [
        (vec![issue::crl(&own, &entry, 1, from, to).unwrap()], vec![]),
        (vec![issue::crl(&spelt, &entry, 1, from, to).unwrap()], vec![]),
        (vec![], vec![answer]),
    ] {
        let crls: Vec<_> = crls.iter().map(|der| Crl::parse(der).unwrap()).collect();
        let answers: Vec<_> = answers.iter().map(|der| Response::parse(der).unwrap()).collect();
        assert_eq!(status(&leaf, &root, &crls, &answers), "Revoked");
    }
}

#[test]
fn unknown_is_not_valid_and_revoked_is_revoked() {
    let sm2 = SignatureAlgorithm::Sm2Sm3;
    let root = make(None, sm2, "root", Use::Root, (-1, 365));
    let namesake = make(None, sm2, "root", Use::Root, (-1, 365));
    let leaf = make(Some(&root), sm2, "leaf", Use::Signer, (-1, 365));
    let list = |by: &Made, revoked: bool, made: i64, next: i64| {
        let entry = (leaf.certificate.serial().to_vec(), UnixMillis(NOW.0 - DAY_MS));
        let entries = if revoked { vec![entry] } else { vec![] };
        let issuer = Issuer::of(&by.key, &by.certificate);
        let (this, next) = (UnixMillis(NOW.0 + made * DAY_MS), UnixMillis(NOW.0 + next * DAY_MS));
        Crl::parse(&issue::crl(&issuer, &entries, 1, this, next).unwrap()).unwrap()
    };
    for (crls, want) in [
        (vec![], "NoStatus"),
        (vec![list(&root, false, -1, 1)], "ok"),
        (vec![list(&root, false, -3, -1)], "NoStatus"), // out of date
        (vec![list(&root, true, -1, 1)], "Revoked"),
        (vec![list(&root, true, -3, -1), list(&root, false, -1, 1)], "Revoked"),
        (vec![list(&namesake, true, -1, 1), list(&root, false, -1, 1)], "ok"), // a namesake's list counts for nothing
    ] {
        let got = status(&leaf, &root, &crls, &[]);
        assert_eq!(got, want, "{} lists", crls.len());
    }
}

#[test]
fn delta_lists_and_single_answers_count() {
    let p256 = SignatureAlgorithm::EcdsaP256Sha256;
    let root = make(None, p256, "root", Use::Root, (-9, 365));
    let leaf = make(Some(&root), p256, "leaf", Use::Signer, (-9, 365));
    let serial = leaf.certificate.serial().to_vec();
    let day = |n: i64| UnixMillis(NOW.0 + n * DAY_MS);
    let list = |reason: Option<u8>, numbers, made: i64, next: i64| {
        let entries: Vec<_> = reason.map(|r| (serial.clone(), day(-4), Some(r))).into_iter().collect();
        let issuer = Issuer::of(&root.key, &root.certificate);
        Crl::parse(&issue::list(&issuer, &entries, numbers, (day(made), day(next))).unwrap()).unwrap()
    };
    let answer = |answer: Answer, made: i64, next: i64| {
        let by: (&dyn Signer, &Certificate) = (&root.key, &root.certificate);
        Response::parse(&ocsp::respond(by, &serial, &answer, day(made), day(next)).unwrap()).unwrap()
    };
    let gone = || Answer::Revoked(crate::trust::crl::Revoked { serial: serial.clone(), at: day(-1), reason: Some(1) });
    let (hold, removed, compromise) = (Some(6), Some(8), Some(1));
    let full = |reason| list(reason, (10, None), -5, -3);
    for (name, crls, ocsp, want) in [
        ("a stale list", vec![full(None)], vec![], "NoStatus"),
        ("with its delta", vec![full(None), list(None, (12, Some(10)), -1, 1)], vec![], "ok"),
        ("with a stale delta", vec![full(None), list(None, (12, Some(10)), -2, -1)], vec![], "NoStatus"),
        ("a delta of a later list", vec![full(None), list(None, (12, Some(11)), -1, 1)], vec![], "NoStatus"),
        ("a delta alone", vec![list(None, (12, Some(10)), -1, 1)], vec![], "NoStatus"),
        ("revoked in the delta", vec![full(None), list(compromise, (12, Some(10)), -1, 1)], vec![], "Revoked"),
        ("held", vec![full(hold), list(None, (12, Some(10)), -1, 1)], vec![], "Revoked"),
        ("held and let go", vec![full(hold), list(removed, (12, Some(10)), -1, 1)], vec![], "ok"),
        ("held once, by a later list no more", vec![full(hold), list(None, (11, None), -1, 1)], vec![], "ok"),
        ("revoked is for good", vec![full(compromise), list(removed, (12, Some(10)), -1, 1)], vec![], "Revoked"),
        ("good", vec![], vec![answer(Answer::Good, -1, 1)], "ok"),
        ("good, and old", vec![], vec![answer(Answer::Good, -3, -1)], "NoStatus"),
        ("unknown", vec![], vec![answer(Answer::Unknown, -1, 1)], "NoStatus"),
        ("revoked", vec![], vec![answer(gone(), -1, 1)], "Revoked"),
        ("the list does not know yet", vec![list(None, (11, None), -2, 1)], vec![answer(gone(), -1, 1)], "Revoked"),
        ("a stale list, a fresh answer", vec![full(None)], vec![answer(Answer::Good, -1, 1)], "ok"),
    ] {
        let got = status(&leaf, &root, &crls, &ocsp);
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn strangers_cannot_keep_us_busy() {
    let p256 = SignatureAlgorithm::EcdsaP256Sha256;
    let root = make(None, p256, "root", Use::Root, (-1, 365));
    let leaf = make(Some(&root), p256, "leaf", Use::Signer, (-1, 365));
    // The same name on many keys: each has to be tried, and at some point no more are.
    let spki = |key: &SigningKey| key.public_key().to_spki();
    let namesakes: Vec<Certificate> = (0..MOST_SIGNATURES + 1)
        .map(|_| {
            let other = SigningKey::from_pkcs8(&SigningKey::generate(p256).unwrap()).unwrap();
            let issuer = Issuer::root(&other, &Subject::named("root", "test"));
            let (from, to) = (UnixMillis(NOW.0 - DAY_MS), UnixMillis(NOW.0 + DAY_MS));
            let subject = Subject::named("root", "test");
            let der = issue::certificate(&issuer, &subject, &spki(&other), Use::Root, from, to).unwrap();
            let mut certificate = Certificate::parse(&der).unwrap();
            certificate.extensions_mut().subject_key_id = None; // so that the key identifier does not sort them out
            certificate
        })
        .collect();
    let unrelated = make(None, p256, "elsewhere", Use::Root, (-1, 365));
    let question = |anchor| Question {
        leaf: &leaf.certificate,
        intermediates: &namesakes,
        anchors: std::slice::from_ref(anchor),
        purpose: Purpose::Signer,
        at: NOW,
        crls: &[],
        ocsp: &[],
        revocation: Revocation::Ignore,
        strengths: Strengths::shipped(),
    };
    assert!(matches!(judge(&question(&unrelated.certificate)), Err(PathError::TooMuchWork(_))));
    assert!(judge(&question(&root.certificate)).is_ok(), "anchors are tried first");
}

#[test]
fn failures_have_their_words_in_the_standard() {
    let root = make(None, SignatureAlgorithm::Sm2Sm3, "root", Use::Root, (-1, 365));
    let leaf = make(Some(&root), SignatureAlgorithm::Sm2Sm3, "leaf", Use::Signer, (-9, -1));
    assert_eq!(ask(&leaf, &[], &root, Purpose::Signer).unwrap_err().sub_indication(), "OUT_OF_BOUNDS_NO_POE");
    let now = make(Some(&root), SignatureAlgorithm::Sm2Sm3, "now", Use::TlsClient, (-1, 1));
    assert_eq!(ask(&now, &[], &root, Purpose::TlsServer).unwrap_err().sub_indication(), "CHAIN_CONSTRAINTS_FAILURE");
    assert!(ask(&now, &[], &root, Purpose::TlsClient).is_ok(), "our own certificates pass our own strictness");
    let other = make(None, SignatureAlgorithm::Sm2Sm3, "other", Use::Root, (-1, 365));
    assert_eq!(ask(&now, &[], &other, Purpose::Signer).unwrap_err().sub_indication(), "NO_CERTIFICATE_CHAIN_FOUND");
}

#[test]
fn a_responder_answers_while_it_is_known_not_to_be_revoked_itself() {
    let sm2 = SignatureAlgorithm::Sm2Sm3;
    let root = make(None, sm2, "root", Use::Root, (-30, 365));
    let leaf = make(Some(&root), sm2, "leaf", Use::Signer, (-30, 365));
    let other = make(None, sm2, "root", Use::Root, (-30, 365));
    let responder = |by: &Made, no_check| make(Some(by), sm2, "responder", Use::OcspSigning { no_check }, (-30, 365));
    let (free, bound) = (responder(&root, true), responder(&root, false));
    let strange = responder(&other, true);
    let signer = make(Some(&root), sm2, "signer", Use::Signer, (-30, 365));
    let day = |n: i64| UnixMillis(NOW.0 + n * DAY_MS);
    let about = |of: &Made, by: &Made, answer: Answer, days: (i64, i64)| {
        let (key, serial): (&dyn Signer, _) = (&by.key, of.certificate.serial());
        let made = (day(days.0), day(days.1));
        let der = ocsp::respond_by((key, &by.certificate), &root.certificate, serial, &answer, made).unwrap();
        Response::parse(&der).unwrap()
    };
    let good = |by: &Made| about(&leaf, by, Answer::Good, (-1, 1));
    let gone =
        |of: &Made| Answer::Revoked(Revoked { serial: of.certificate.serial().to_vec(), at: day(9), reason: Some(1) });
    let list = |revoked: &[&Made], days: (i64, i64)| {
        let entries: Vec<_> = revoked.iter().map(|m| (m.certificate.serial().to_vec(), day(days.0))).collect();
        let issuer = Issuer::of(&root.key, &root.certificate);
        Crl::parse(&issue::crl(&issuer, &entries, 1, day(days.0), day(days.1)).unwrap()).unwrap()
    };
    for (name, crls, ocsp, want) in [
        ("its issuer asks nobody to check", vec![], vec![good(&free)], "ok"),
        ("nobody says how it is with it", vec![], vec![good(&bound)], "NoStatus"),
        ("a list does", vec![list(&[], (-4, 1))], vec![good(&bound)], "ok"),
        ("a list that ended before the answer", vec![list(&[], (-4, -2))], vec![good(&bound)], "NoStatus"),
        ("revoked, by a list that has ended", vec![list(&[&bound], (-4, -2))], vec![good(&bound)], "NoStatus"),
        ("the issuer says so itself", vec![], vec![good(&bound), about(&bound, &root, Answer::Good, (-1, 1))], "ok"),
        (
            "another responder that need not be checked",
            vec![],
            vec![good(&bound), about(&bound, &free, Answer::Good, (-1, 1))],
            "ok",
        ),
        ("itself", vec![], vec![good(&bound), about(&bound, &bound, Answer::Good, (-1, 1))], "NoStatus"),
        (
            "good once, revoked since",
            vec![],
            vec![
                good(&bound),
                about(&bound, &root, Answer::Good, (-1, 1)),
                about(&bound, &root, gone(&bound), (-1, 1)),
            ],
            "NoStatus",
        ),
        ("a responder of a namesake", vec![], vec![good(&strange)], "NoStatus"),
        ("a certificate that is for signing documents", vec![], vec![good(&signer)], "NoStatus"),
    ] {
        let got = status(&leaf, &root, &crls, &ocsp);
        assert_eq!(got, want, "{name}");
    }
}
