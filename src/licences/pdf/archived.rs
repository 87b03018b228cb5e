//! Status archived with a signature: where it may stand, when it counts, and what it cannot make good.

use super::tests::{CATALOG, PADES, body, document, fill, signature, startxref, token};
use crate::formats::der::{Reader, tag, write};
use crate::licences::variations::kit::{Party, at, party};
use crate::licences::*;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::cms::{self, Spelling};
use crate::trust::crl::{Crl, Revoked};
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::ocsp::{self, Answer};
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

/// The stamp says 2026-02-13T02:00:05Z.
const JUDGED: &str = "2026-09-01T00:00:00Z";

/// The authority, one of the same name, two signers under the first, and who stamps.
pub(in crate::licences) struct World {
    pub ca: Party,
    pub namesake: Party,
    pub signer: Party,
    pub other: Party,
    pub tsa: Party,
}

fn under(ca: &Party, name: &str) -> Party {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
    // Run out by the time of validation: a stamp keeps the signature good.
    let (from, to) = (at("2025-01-01T00:00:00Z"), at("2026-08-01T00:00:00Z"));
    let (by, subject) = (Issuer::of(&ca.key, &ca.cert), Subject::named(name, "测试"));
    let der = issue::certificate(&by, &subject, &key.public_key().to_spki(), Use::Signer, from, to).unwrap();
    Party { key, cert: Certificate::parse(&der).unwrap() }
}

impl World {
    pub(in crate::licences) fn new() -> Self {
        let (ca, namesake) = (party("根", Use::Root), party("根", Use::Root));
        let (signer, other) = (under(&ca, "签名人"), under(&ca, "别人"));
        Self { ca, namesake, signer, other, tsa: party("时间戳", Use::TimeStamping) }
    }

    pub(in crate::licences) fn profile(&self) -> Profile {
        let mut profile = Profile::new(at(JUDGED));
        profile.revocation = Revocation::Require;
        profile.anchors.signers = vec![self.ca.cert.clone()];
        profile.anchors.tsas = vec![self.tsa.cert.clone()];
        profile
    }

    pub(in crate::licences) fn cms(&self, octets: &[u8], stamped: bool) -> Vec<u8> {
        let digest = self.signer.key.algorithm().digest().of(octets);
        let ask = |value: &[u8]| Ok(token(&self.tsa, value));
        let stamp = stamped.then_some(&ask as cms::TimeStamp<'_>);
        let (chain, when) = (std::slice::from_ref(&self.signer.cert), Some(at("2026-02-13T02:00:00Z")));
        cms::sign_detached_with(&self.signer.key, chain, &digest, when, Spelling::International, stamp).unwrap()
    }

    pub(in crate::licences) fn list(&self, by: &Party, revoked: Option<&str>, (this, next): (&str, &str)) -> Vec<u8> {
        let entries: Vec<_> =
            revoked.map(|day| (self.signer.cert.serial().to_vec(), midnight(day))).into_iter().collect();
        issue::crl(&Issuer::of(&by.key, &by.cert), &entries, 1, midnight(this), midnight(next)).unwrap()
    }

    pub(in crate::licences) fn answer(&self, of: &Party, answer: &Answer, (this, next): (&str, &str)) -> Vec<u8> {
        let by: (&dyn Signer, &Certificate) = (&self.ca.key, &self.ca.cert);
        ocsp::respond(by, of.cert.serial(), answer, midnight(this), midnight(next)).unwrap()
    }
}

pub(in crate::licences) fn midnight(day: &str) -> UnixMillis {
    at(&format!("2026-{day}T00:00:00Z"))
}

/// What is archived, and how a reader may find it.
#[derive(Clone, Debug)]
pub(in crate::licences) enum Status {
    None,
    List(Vec<u8>),
    Answer(Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
pub(in crate::licences) enum Place {
    Store,
    /// Only under the name of the signature, as some write it.
    StoreBySignature,
    CadesAttribute,
    OlderAttribute,
}

/// The attribute that holds the status: the answers of CAdES stand without what is around them.
pub(in crate::licences) fn attribute(place: Place, status: &Status) -> Option<(&'static str, Vec<u8>)> {
    let listed = |n, der: &[u8]| write::sequence(&[write::explicit(n, &write::sequence(&[der]))]);
    let basic = |der: &[u8]| {
        let mut whole = Reader::new(der).sequence().unwrap();
        whole.element().unwrap();
        let mut bytes = whole.element().unwrap().inside().sequence().unwrap();
        bytes.element().unwrap();
        bytes.octet_string().unwrap().to_vec()
    };
    Some(match (place, status) {
        (Place::CadesAttribute, Status::List(der)) => ("1.2.840.113549.1.9.16.2.24", listed(0, der)),
        (Place::CadesAttribute, Status::Answer(der)) => ("1.2.840.113549.1.9.16.2.24", listed(1, &basic(der))),
        (Place::OlderAttribute, Status::List(der)) => ("1.2.840.113583.1.1.8", listed(0, der)),
        (Place::OlderAttribute, Status::Answer(der)) => ("1.2.840.113583.1.1.8", listed(1, der)),
        _ => return None,
    })
}

/// The signature with one more unsigned attribute.
pub(in crate::licences) fn with_attribute(cms: &[u8], (oid, value): (&str, Vec<u8>)) -> Vec<u8> {
    let all = |der: &[u8]| {
        let (mut reader, mut parts) = (Reader::new(der), Vec::new());
        while !reader.is_empty() {
            parts.push(reader.element().unwrap().full.to_vec());
        }
        parts
    };
    let inside = |der: &[u8]| Reader::new(der).element().unwrap().content.to_vec();
    let outer = all(&inside(cms));
    let mut data = all(&inside(&inside(&outer[1])));
    let mut info = all(&inside(&inside(data.last().unwrap())));
    let own = write::sequence(&[write::oid(oid), write::set_of(&[value])]);
    let unsigned = if info.last().unwrap()[0] == tag::context(1) { inside(&info.pop().unwrap()) } else { Vec::new() };
    info.push(write::explicit(1, &[unsigned, own].concat()));
    *data.last_mut().unwrap() = write::set_of(&[write::sequence(&info)]);
    write::sequence(&[outer[0].clone(), write::explicit(0, &write::sequence(&data))])
}

/// A document with an update that holds the status.
fn with_store(pdf: &[u8], place: Place, status: &Status) -> Vec<u8> {
    let (key, one, der) = match status {
        Status::None => return pdf.to_vec(),
        Status::List(der) => ("CRLs", "CRL", der),
        Status::Answer(der) => ("OCSPs", "OCSP", der),
    };
    let dss = match place {
        Place::Store => format!("<</Type/DSS/{key}[21 0 R]>>"),
        _ => format!("<</Type/DSS/VRI<</{}<</{one}[21 0 R]>>>>>>", "0123456789ABCDEF0123456789ABCDEF01234567"),
    };
    let objects = [
        (1, CATALOG.replace("/AcroForm", "/DSS 20 0 R/AcroForm").into_bytes()),
        (20, dss.into_bytes()),
        (21, [format!("<</Length {}>>stream\n", der.len()).as_bytes(), der, b"\nendstream"].concat()),
    ];
    updated(pdf, &objects)
}

/// A document with an update of these objects.
pub(super) fn updated(pdf: &[u8], objects: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut out = pdf.to_vec();
    let mut places = Vec::new();
    for (number, object) in objects {
        places.push((*number, out.len()));
        out.extend(format!("{number} 0 obj\n").into_bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let rows: String = places.iter().map(|(n, at)| format!("{n} 1\n{at:010} 00000 n\r\n")).collect();
    let (start, before) = (out.len(), startxref(pdf));
    let size = objects.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
    let trailer =
        format!("xref\n{rows}trailer\n<</Size {size}/Root 1 0 R/Prev {before}>>\nstartxref\n{start}\n%%EOF\n");
    out.extend(trailer.into_bytes());
    out
}

fn made(world: &World, place: Place, status: &Status, stamped: bool) -> Vec<u8> {
    let pdf = fill(document(signature(PADES)), &|octets| {
        let cms = world.cms(octets, stamped);
        match attribute(place, status) {
            Some(attribute) => with_attribute(&cms, attribute),
            None => cms,
        }
    });
    match place {
        Place::Store | Place::StoreBySignature => with_store(&pdf, place, status),
        _ => pdf,
    }
}

#[test]
fn status_of_then_counts_wherever_it_is_archived_and_whoever_brings_it() {
    let world = World::new();
    let revoked = |day: &str| {
        let serial = world.signer.cert.serial().to_vec();
        Answer::Revoked(Revoked { serial, at: midnight(day), reason: Some(1) })
    };
    let bent = |mut der: Vec<u8>| {
        let last = der.len() - 1;
        der[last] ^= 1;
        der
    };
    let (before, then, since) = (("02-01", "02-05"), ("02-12", "02-20"), ("02-14", "02-20"));
    let passed = (Indication::TotalPassed, None);
    let unknown = (Indication::Indeterminate, Some("SIGNER_NO_REVOCATION_DATA"));
    let failed = (Indication::TotalFailed, Some("SIGNER_REVOKED"));
    let list = |by, revoked, days| Status::List(world.list(by, revoked, days));
    let answer = |of, answer: &Answer, days| Status::Answer(world.answer(of, answer, days));
    let (ca, signer, other) = (&world.ca, &world.signer, &world.other);
    for (name, status, want) in [
        ("nothing", Status::None, unknown),
        ("a list of the next day", list(ca, None, since), passed),
        ("a list of the day", list(ca, None, then), passed),
        ("a list that had ended", list(ca, None, before), unknown),
        ("a list of a namesake", list(&world.namesake, None, since), unknown),
        ("a forged list", Status::List(bent(world.list(ca, None, since))), unknown),
        ("revoked before", list(ca, Some("02-10"), since), failed),
        ("revoked before, by an old list", list(ca, Some("02-01"), before), failed),
        ("revoked since", list(ca, Some("02-14"), since), passed),
        ("good on the next day", answer(signer, &Answer::Good, since), passed),
        ("good on the day", answer(signer, &Answer::Good, then), passed),
        ("good, and over", answer(signer, &Answer::Good, before), unknown),
        ("about another certificate", answer(other, &Answer::Good, since), unknown),
        ("the responder did not know", answer(signer, &Answer::Unknown, since), unknown),
        ("a forged answer", Status::Answer(bent(world.answer(signer, &Answer::Good, since))), unknown),
        ("said to be revoked before", answer(signer, &revoked("02-10"), since), failed),
        ("said to be revoked since", answer(signer, &revoked("02-14"), since), passed),
        ("no list at all", Status::List(b"0\x03\x02\x01\x05".to_vec()), unknown),
    ] {
        for place in [Place::Store, Place::StoreBySignature, Place::CadesAttribute, Place::OlderAttribute] {
            let pdf = made(&world, place, &status, true);
            let report = verify("f.pdf", pdf, &world.profile());
            assert_eq!((report.indication, report.code), want, "{name} {place:?}: {}", report.to_text());
            let noted = report.signatures[0].findings.iter().any(|f| f.code == "REVOCATION_DATA_ARCHIVED");
            assert!(want != passed || noted || name.contains("since"), "{name} {place:?}");
        }
    }
}

#[test]
fn what_is_archived_says_nothing_of_now_and_makes_nothing_good() {
    let world = World::new();
    let status = Status::List(world.list(&world.ca, None, ("02-14", "02-20")));
    let newer = Crl::parse(&world.list(&world.ca, Some("02-10"), ("08-31", "09-30"))).unwrap();
    let mut knows = world.profile();
    knows.crls = vec![newer];
    let (mut now, mut claimed, mut short) = (world.profile(), world.profile(), world.profile());
    now.time_basis = TimeBasis::Now;
    claimed.time_basis = TimeBasis::Claimed;
    short.status_max_age_s = Some(3_600);
    let same_day = Status::List(world.list(&world.ca, None, ("02-12", "02-20")));
    let unknown = Some("SIGNER_NO_REVOCATION_DATA");
    for (name, status, stamped, profile, want) in [
        ("proven", &status, true, world.profile(), None),
        ("nothing proves when it was signed", &status, false, world.profile(), unknown),
        ("judged as of now", &status, true, now, unknown),
        ("judged as of a claim", &status, true, claimed, unknown),
        ("known to be revoked before", &status, true, knows, Some("SIGNER_REVOKED")),
        ("made after the stamp, whatever its age", &status, true, short.clone(), None),
        ("older at the stamp than the policy has it", &same_day, true, short, unknown),
    ] {
        for place in [Place::Store, Place::CadesAttribute] {
            let report = verify("f.pdf", made(&world, place, status, stamped), &profile);
            let codes: Vec<_> =
                report.signatures[0].findings.iter().filter(|f| f.outcome.is_some()).map(|f| f.code).collect();
            assert_eq!(codes.is_empty(), want.is_none(), "{name} {place:?}: {}", report.to_text());
            assert!(want.is_none_or(|want| codes.contains(&want)), "{name} {place:?}: {codes:?}");
        }
    }
}

#[test]
fn a_store_without_end_or_order_is_left_out() {
    let world = World::new();
    let pdf = fill(document(signature(PADES)), &|octets| world.cms(octets, true));
    for dss in ["20 0 R", "[1 2]", "<</Certs 20 0 R/CRLs[21 0 R 1 0 R 99 0 R]/VRI<</A 20 0 R>>>>", "<</CRLs[[[]]]>>"] {
        let catalog = CATALOG.replace("/AcroForm", &format!("/DSS {dss}/AcroForm"));
        let objects =
            [(1, catalog), (20, "<</VRI 20 0 R>>".to_owned()), (21, "<</Length 99999999>>stream\n".to_owned())];
        let report = verify("f.pdf", body(&pdf, Some(startxref(&pdf)), &objects, ""), &world.profile());
        assert!(!report.passed(), "{dss}");
        let asked = report.signatures[0].findings.iter().any(|f| f.code == "SIGNER_NO_REVOCATION_DATA");
        assert!(asked, "{dss}: {}", report.to_text());
    }
}

/// A claim of a time counts while nobody else has the key. Proof that the signature was there before counts whatever the reason.
#[test]
fn a_claim_made_with_a_key_that_others_have_is_none_and_a_proof_is() {
    let world = World::new();
    let (bare, stamped) =
        (made(&world, Place::Store, &Status::None, false), made(&world, Place::Store, &Status::None, true));
    for (name, reason, claim_counts) in [
        ("no reason", None, true),
        ("key compromise", Some(1), false),
        ("compromise of the authority", Some(2), false),
        ("superseded", Some(4), true),
        ("out of business", Some(5), true),
        ("compromise of its attributes", Some(10), false),
    ] {
        // Claimed and stamped on the 13th.
        for (day, stamp_counts) in [("02-14", true), ("02-12", false)] {
            let entry = [(world.signer.cert.serial().to_vec(), midnight(day), reason)];
            let (by, days) = (Issuer::of(&world.ca.key, &world.ca.cert), (midnight("06-30"), midnight("07-30")));
            let mut profile = world.profile();
            profile.at = midnight("07-01");
            profile.crls = vec![Crl::parse(&issue::list(&by, &entry, (1, None), days).unwrap()).unwrap()];
            for (basis, pdf, passes) in [
                (TimeBasis::Claimed, &bare, claim_counts && stamp_counts),
                (TimeBasis::TimeStamp, &bare, false),
                (TimeBasis::Claimed, &stamped, stamp_counts),
                (TimeBasis::TimeStamp, &stamped, stamp_counts),
                (TimeBasis::Now, &stamped, false),
            ] {
                profile.time_basis = basis;
                let report = verify("f.pdf", pdf.clone(), &profile);
                let place = format!("{name}, revoked {day}, {basis:?}");
                assert_eq!(report.passed(), passes, "{place}: {}", report.to_text());
                assert!(passes || report.code == Some("SIGNER_REVOKED"), "{place}: {}", report.to_text());
                // That it was revoked before is proven, not only feared.
                let failed = report.indication == Indication::TotalFailed;
                assert_eq!(failed, std::ptr::eq(pdf, &stamped) && !stamp_counts, "{place}");
            }
        }
    }
}
