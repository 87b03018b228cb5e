//! Who signs and who makes seals: what certificates say of their use, and who is trusted for what.

use super::check;
use super::kit::{Draft, Party, World, at, party, party_of, resigned};
use crate::formats::der::{Reader, tag, write};
use crate::licences::{Report, verify};
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

/// The certificate with its extensions changed, signed by `by`.
fn changed(by: &SigningKey, cert: &Certificate, change: impl Fn(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    resigned(by, cert, |parts| {
        let last = parts.last_mut().unwrap();
        let mut list = Reader::new(last).element().unwrap().inside().sequence().unwrap();
        let mut extensions = Vec::new();
        while !list.is_empty() {
            extensions.push(list.element().unwrap().full.to_vec());
        }
        change(&mut extensions);
        *last = write::explicit(3, &write::tlv(tag::SEQUENCE, &extensions.concat()));
    })
}

fn extension(oid: &str, critical: bool, value: Vec<u8>) -> Vec<u8> {
    let critical = if critical { write::boolean(true) } else { Vec::new() };
    write::sequence(&[write::oid(oid), critical, write::octet_string(&value)])
}

/// The signer's certificate with one extension more.
fn with(w: &World, oid: &str, critical: bool, value: Vec<u8>) -> Vec<u8> {
    changed(&w.signer.key, &w.signer.cert, |all| all.push(extension(oid, critical, value.clone())))
}

fn for_use(w: &World, uses: &[&str]) -> Vec<u8> {
    let uses: Vec<_> = uses.iter().map(|oid| write::oid(oid)).collect();
    with(w, "2.5.29.37", false, write::sequence(&uses))
}

fn as_authority(by: &SigningKey, cert: &Certificate) -> Vec<u8> {
    const BASIC: &str = "2.5.29.19";
    changed(by, cert, |all| {
        all.retain(|one| !one.windows(5).any(|part| part == write::oid(BASIC)));
        all.push(extension(BASIC, true, write::sequence(&[write::boolean(true)])));
    })
}

const SERVER: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
const MAIL: &str = "1.3.6.1.5.5.7.3.4";
const STAMPS: &str = "1.3.6.1.5.5.7.3.8";
const ANSWERS: &str = "1.3.6.1.5.5.7.3.9";
const DOCUMENTS: &str = "1.3.6.1.5.5.7.3.36";
const ADOBE: &str = "1.2.840.113583.1.1.5";
const ANY: &str = "2.5.29.37.0";

#[test]
fn certificates_and_what_they_are_for() {
    const WRONG: Option<&str> = Some("SIGNER_EXTENDED_KEY_USAGE");
    fn signs(_: &World, d: &mut Draft, certificate: fn(&World) -> Vec<u8>) {
        d.certificate = Some(certificate);
    }
    check(&[
        ("for documents", |w, d| signs(w, d, |w| for_use(w, &[DOCUMENTS])), None),
        ("for documents, as one reader calls it", |w, d| signs(w, d, |w| for_use(w, &[ADOBE])), None),
        ("for mail", |w, d| signs(w, d, |w| for_use(w, &[MAIL])), None),
        ("for clients, as many are", |w, d| signs(w, d, |w| for_use(w, &[CLIENT])), None),
        ("for servers, clients and mail", |w, d| signs(w, d, |w| for_use(w, &[SERVER, CLIENT, MAIL])), None),
        ("for anything", |w, d| signs(w, d, |w| for_use(w, &[ANY])), None),
        ("for a use nobody knows", |w, d| signs(w, d, |w| for_use(w, &["1.2.156.99.7"])), None),
        ("for servers", |w, d| signs(w, d, |w| for_use(w, &[SERVER])), WRONG),
        ("for time-stamps", |w, d| signs(w, d, |w| for_use(w, &[STAMPS])), WRONG),
        ("for answers about certificates", |w, d| signs(w, d, |w| for_use(w, &[ANSWERS])), WRONG),
        ("for servers and time-stamps", |w, d| signs(w, d, |w| for_use(w, &[SERVER, STAMPS])), WRONG),
        ("an extension nobody knows", |w, d| signs(w, d, |w| with(w, "1.2.156.99.1", false, write::null())), None),
        (
            "a critical extension nobody knows",
            |w, d| signs(w, d, |w| with(w, "1.2.156.99.1", true, write::null())),
            Some("SIGNER_CRITICAL_EXTENSION"),
        ),
        (
            "name constraints of one who certifies nobody",
            |w, d| {
                let tree = |w: &World| {
                    let base = write::sequence(&[write::tlv(0x82, b"gov.cn")]);
                    with(w, "2.5.29.30", true, write::sequence(&[write::tlv(0xa0, &base)]))
                };
                signs(w, d, tree);
            },
            Some("SIGNER_NAME_CONSTRAINTS"),
        ),
        (
            "calls itself an authority, and is trusted for itself",
            |w, d| signs(w, d, |w| as_authority(&w.signer.key, &w.signer.cert)),
            None,
        ),
    ]);
}

fn key(pkcs8: &[u8]) -> SigningKey {
    SigningKey::from_pkcs8(pkcs8).unwrap()
}

/// A certificate under `ca`.
fn under(ca: &Party, key: &SigningKey, name: &str) -> Certificate {
    let (from, to) = (at("2025-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
    let (by, subject) = (Issuer::of(&ca.key, &ca.cert), Subject::named(name, "测试"));
    let der = issue::certificate(&by, &subject, &key.public_key().to_spki(), Use::Signer, from, to).unwrap();
    Certificate::parse(&der).unwrap()
}

fn judged(world: &World, signers: &[&Certificate], makers: &[&Certificate]) -> Report {
    let mut profile = world.profile();
    profile.anchors.signers = signers.iter().copied().cloned().collect();
    profile.anchors.makers = makers.iter().copied().cloned().collect();
    verify("f.ofd", Draft::default().package(world), &profile)
}

#[test]
fn an_authority_signs_no_papers() {
    let (ca, mut world) = (party("根", Use::Root), World::new());
    let cert = under(&ca, &world.signer.key, "签章人");
    for (name, cert, want) in [
        ("a signer", cert.clone(), None),
        ("an authority", Certificate::parse(&as_authority(&ca.key, &cert)).unwrap(), Some("SIGNER_IS_AUTHORITY")),
    ] {
        world.signer.cert = cert;
        assert_eq!(judged(&world, &[&ca.cert], &[&world.maker.cert]).code, want, "{name}");
    }
}

#[test]
fn who_makes_seals() {
    let ca = party("根", Use::Root);
    let pkcs8 = SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap();
    let cert = under(&ca, &key(&pkcs8), "签章人");
    // A signer whose seal was made by a seal maker; by itself; by itself with another certificate of the same key.
    let made_by = |maker| World { maker, signer: Party { key: key(&pkcs8), cert: cert.clone() }, ..World::new() };
    let usual = made_by(party("制章人", Use::Signer));
    let own = made_by(Party { key: key(&pkcs8), cert: cert.clone() });
    let other = made_by(party_of(key(&pkcs8), "制章人", Use::Signer));
    const NO: Option<&str> = Some("MAKER_NOT_AUTHORISED");
    for (name, world, signers, makers, want) in [
        ("each for itself", &usual, vec![&cert], vec![&usual.maker.cert], None),
        ("both for both", &usual, vec![&cert, &usual.maker.cert], vec![&cert, &usual.maker.cert], None),
        ("nobody makes seals", &usual, vec![&cert], vec![&ca.cert], Some("MAKER_NO_CHAIN")),
        ("its own, trusted for both", &own, vec![&cert], vec![&cert], NO),
        ("its own, under one authority for both", &own, vec![&ca.cert], vec![&ca.cert], NO),
        ("its own, and it is a maker", &own, vec![&ca.cert], vec![&cert], None),
        ("its own by another certificate", &other, vec![&cert, &other.maker.cert], vec![&other.maker.cert], NO),
        ("another certificate, and it is a maker", &other, vec![&ca.cert], vec![&other.maker.cert], None),
    ] {
        let report = judged(world, &signers, &makers);
        assert_eq!(report.code, want, "{name}: {}", report.to_text());
    }
}
