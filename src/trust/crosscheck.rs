//! What our reader of certificates says is what a second, independent reader says.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Certificate;
use super::issue::{Issuer, Subject, Use, certificate};
use super::suite::{SignatureAlgorithm, Signer, SigningKey};
use crate::terms::UnixMillis;

#[test]
fn two_readers_agree() {
    for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3] {
        for purpose in [Use::Root, Use::Intermediate(1), Use::TlsBoth, Use::Signer, Use::TimeStamping] {
            let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
            let subject = Subject {
                dns: &["localhost"],
                uris: &["urn:tongban:gateway:gw-440305"],
                ips: &[[127, 0, 0, 1]],
                ..Subject::named("深圳市南山区", "政务服务")
            };
            let (from, to) = (UnixMillis(1_790_000_000_000), UnixMillis(1_900_000_000_000));
            let spki = key.public_key().to_spki();
            let der = certificate(&Issuer::root(&key, &subject), &subject, &spki, purpose, from, to).unwrap();
            let ours = Certificate::parse(&der).unwrap();
            let (rest, theirs) = X509Certificate::from_der(&der).unwrap();
            assert!(rest.is_empty());
            assert_eq!(ours.serial(), theirs.raw_serial());
            assert_eq!(ours.subject(), theirs.subject().as_raw());
            assert_eq!(ours.issuer(), theirs.issuer().as_raw());
            assert_eq!(ours.spki(), theirs.public_key().raw);
            assert_eq!(ours.not_before().seconds(), theirs.validity().not_before.timestamp());
            assert_eq!(ours.not_after().seconds(), theirs.validity().not_after.timestamp());
            assert_eq!(ours.is_ca(), theirs.is_ca());
            let names = theirs.subject_alternative_name().unwrap().unwrap();
            assert_eq!(ours.extensions.alt_names.len(), names.value.general_names.len());
            let usage = theirs.key_usage().unwrap().unwrap().value;
            let sign = ours.extensions.key_usage.unwrap();
            assert_eq!(sign.has(super::certificate::KeyUsage::KEY_CERT_SIGN), usage.key_cert_sign());
            assert_eq!(sign.has(super::certificate::KeyUsage::DIGITAL_SIGNATURE), usage.digital_signature());
        }
    }
}
