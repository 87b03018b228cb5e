//! The one seam between us and algorithms: international (ring) and commercial (SM2/SM3).
//!
//! ```text
//!  OID or name ─▶ SignatureAlgorithm ─┬─ PublicKey::verify(message, signature)
//!                                     └─ Signer::sign(message)            DigestAlgorithm ─▶ Hasher
//! ```
//! What is weak (MD5, SHA-1) is known by name only, so that it can be refused by name.

#[cfg(test)]
mod curve_tests;
mod digest;
mod ecdsa;
mod identifier;
pub mod key;
mod known;
#[cfg(test)]
mod openssl_tests;
mod password;
mod place;
mod pss;
pub mod signer;
pub mod sm2_suite;
mod strength;
pub mod token;
#[cfg(test)]
mod vectors;

pub use digest::{DigestAlgorithm, Hasher, hmac_sm3};
pub use identifier::Identifier;
pub use key::PublicKey;
pub use place::KeyPlace;
pub use signer::{Signer, SigningKey, load_key, load_key_with};
pub use strength::{Accepted, Curve, LineError, RSA_BITS, RsaBits, Strengths, Weakness};

use crate::formats::der::{Oid, tag};

/// A signature as it was made, from a BIT STRING: encoders that cut zeros from the end of one take whole octets as well, at most two in
/// practice. A SEQUENCE of INTEGERs that tells a greater length than is there gets them back; one signature in 256 ends so.
pub(crate) fn restored(octets: &[u8]) -> Vec<u8> {
    let mut out = octets.to_vec();
    // From 128 octets on, as P-521 has them, the length takes two.
    let (head, length, inside) = match octets {
        [tag::SEQUENCE, 0x81, length @ 0x80..=0xff, inside @ ..] => (3, *length, inside),
        [tag::SEQUENCE, length @ 0..=0x7f, inside @ ..] => (2, *length, inside),
        _ => return out,
    };
    // The second INTEGER where the first one ends: an Ed25519 signature may begin with any octets.
    if let [tag::INTEGER, first, rest @ ..] = inside
        && rest.get(usize::from(*first)) == Some(&tag::INTEGER)
    {
        let whole = usize::from(length) + head;
        if (1..=2).contains(&whole.saturating_sub(octets.len())) {
            out.resize(whole, 0);
        }
    }
    out
}

/// Why a key or signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    #[error("the algorithm {0} is not known here")]
    UnknownAlgorithm(String),
    #[error("the algorithm {0} is too weak")]
    Weak(String),
    #[error("the key does not fit the algorithm, or is not a key")]
    Key,
    /// What Java's own tools write, and OpenSSL keeps so unless it is told how points shall be written.
    #[error(
        "the P-256 key stands without its public key; write it anew with: \
         openssl ec -in KEY -conv_form uncompressed | openssl pkcs8 -topk8 -out NEW (-nocrypt for one without a password)"
    )]
    PublicKeyMissing,
    #[error("the signature does not verify")]
    Signature,
    #[error("the signature is not encoded as it must be")]
    Encoding,
    #[error("signing failed: {0}")]
    Signing(String),
}

/// A signature algorithm we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    /// Mostly with P-521, which gives it no name here: the three go with any curve (RFC 5758 §3.2), JOSE's with one each.
    EcdsaSha512,
    Ed25519,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    /// RSASSA-PSS (RFC 8017 §8.1) with MGF1, whose digest may be another; `salt` in octets.
    RsaPss {
        digest: DigestAlgorithm,
        mask: DigestAlgorithm,
        salt: u16,
    },
    /// SM2 with SM3, default identity, Z_A always.
    Sm2Sm3,
}

/// id-RSASSA-PSS: an algorithm of signatures, and of keys that make no others.
pub(super) const RSA_PSS: &str = "1.2.840.113549.1.1.10";

impl SignatureAlgorithm {
    const OIDS: [(Self, &'static str); 8] = [
        (Self::EcdsaP256Sha256, "1.2.840.10045.4.3.2"),
        (Self::EcdsaP384Sha384, "1.2.840.10045.4.3.3"),
        (Self::EcdsaSha512, "1.2.840.10045.4.3.4"),
        (Self::Ed25519, "1.3.101.112"),
        (Self::RsaPkcs1Sha256, "1.2.840.113549.1.1.11"),
        (Self::RsaPkcs1Sha384, "1.2.840.113549.1.1.12"),
        (Self::RsaPkcs1Sha512, "1.2.840.113549.1.1.13"),
        (Self::Sm2Sm3, "1.2.156.10197.1.501"),
    ];
    /// The key's own identifiers, and one without its ".1": what genuine seals and signatures have for SM2 with SM3.
    pub const SM2_SPELLINGS: [&'static str; 3] = ["1.2.156.10197.501", "1.2.156.10197.1.301", "1.2.156.10197.1.301.1"];
    /// Known by name to be refused: RSA with MD5 and SHA-1, ECDSA with SHA-1.
    const WEAK: [&'static str; 4] =
        ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", "1.2.840.113549.1.1.2"];

    /// By OID alone, which says everything for all but RSASSA-PSS; see [`SignatureAlgorithm::from_identifier`].
    ///
    /// # Errors
    /// [`SuiteError::Weak`], [`SuiteError::UnknownAlgorithm`].
    pub fn from_oid(oid: &Oid) -> Result<Self, SuiteError> {
        if let Some((algorithm, _)) = Self::OIDS.iter().find(|(_, dotted)| oid.is(dotted)) {
            return Ok(*algorithm);
        }
        if Self::WEAK.iter().any(|dotted| oid.is(dotted)) {
            return Err(SuiteError::Weak(oid.to_string()));
        }
        Err(SuiteError::UnknownAlgorithm(oid.to_string()))
    }

    pub fn oid(self) -> &'static str {
        Self::OIDS.iter().find(|(a, _)| *a == self).map_or(RSA_PSS, |(_, dotted)| dotted)
    }

    /// The digest that goes with it in CMS.
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            Self::Sm2Sm3 => DigestAlgorithm::Sm3,
            Self::RsaPss { digest, .. } => digest,
            Self::EcdsaP384Sha384 | Self::RsaPkcs1Sha384 => DigestAlgorithm::Sha384,
            Self::EcdsaSha512 | Self::Ed25519 | Self::RsaPkcs1Sha512 => DigestAlgorithm::Sha512,
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 => DigestAlgorithm::Sha256,
        }
    }

    /// The digests that it brings and a policy is asked about; that of Ed25519 is part of the key's kind.
    pub fn own_digests(self) -> impl Iterator<Item = DigestAlgorithm> {
        let mask = match self {
            Self::RsaPss { digest, mask, .. } if mask != digest => Some(mask),
            _ => None,
        };
        (self != Self::Ed25519).then(|| self.digest()).into_iter().chain(mask)
    }

    /// `AlgorithmIdentifier` in DER: RSA with NULL parameters, RSASSA-PSS with its own, all others without.
    pub fn identifier(self) -> Vec<u8> {
        use crate::formats::der::write;
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => {
                write::sequence(&[write::oid(self.oid()), write::null()])
            }
            Self::RsaPss { digest, mask, salt } => identifier::pss(digest, mask, salt),
            _ => write::sequence(&[write::oid(self.oid())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates, lists and answers whose signature ends in a zero octet, with and without it.
    #[test]
    fn what_was_signed_holds_without_the_zero_at_its_end() {
        use crate::formats::der::{Reader, write};
        use crate::terms::UnixMillis;
        use crate::trust::certificate::Certificate;
        use crate::trust::crl::Crl;
        use crate::trust::issue::{self, Issuer, Subject, Use};
        use crate::trust::ocsp;

        let (from, to) = (UnixMillis(0), UnixMillis(4_000_000_000_000));
        let cut = |der: &[u8]| -> Option<Vec<u8>> {
            let mut whole = Reader::new(der).sequence().unwrap();
            let (tbs, algorithm) = (whole.element().unwrap().full, whole.element().unwrap().full);
            let [rest @ .., 0] = whole.bit_string().unwrap().0 else { return None };
            Some(write::sequence(&[tbs, algorithm, &write::bit_string(rest)]))
        };
        for algorithm in [SignatureAlgorithm::Sm2Sm3, SignatureAlgorithm::EcdsaP256Sha256] {
            let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
            let (subject, spki) = (Subject::named("root", "test"), key.public_key().to_spki());
            // One signature in 256 ends so.
            let certificate = std::iter::repeat_with(|| {
                issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, Use::Root, from, to).unwrap()
            });
            let (der, short) = certificate.take(20_000).find_map(|der| cut(&der).map(|short| (der, short))).unwrap();
            let (root, short) = (Certificate::parse(&der).unwrap(), Certificate::parse(&short).unwrap());
            assert_eq!((root.signed_by(&root), short.signed_by(&root)), (Ok(()), Ok(())), "{algorithm:?}");
            let list = (0..20_000).find_map(|n| cut(&issue::crl(&Issuer::of(&key, &root), &[], n, from, to).unwrap()));
            assert_eq!(Crl::parse(&list.unwrap()).unwrap().is_by(&root), Ok(true), "{algorithm:?}");
            // An answer stands in two shells: the signature is in the inner one.
            let answer = (1..20_000).find_map(|n| {
                let until = from.plus_seconds(n);
                let der = ocsp::respond((&key, &root), root.serial(), &ocsp::Answer::Good, from, until).unwrap();
                let mut shell = Reader::new(&der).sequence().unwrap();
                let status = shell.element().unwrap().full;
                let mut inner = shell.element().unwrap().inside().sequence().unwrap();
                let (kind, basic) = (inner.element().unwrap().full, inner.octet_string().unwrap());
                let inner = write::sequence(&[kind, &write::octet_string(&cut(basic)?)]);
                Some(write::sequence(&[status, &write::explicit(0, &inner)]))
            });
            let answer = ocsp::Response::parse(&answer.unwrap()).unwrap();
            let about = answer.about(&root, &root, from).map(|(single, by)| (single.answer.clone(), by));
            assert_eq!(about, Some((ocsp::Answer::Good, ocsp::By::Issuer)), "{algorithm:?}");
        }
    }

    #[test]
    fn zeros_cut_from_the_end_of_a_signature_come_back() {
        // One of P-521, but for the octets of its second number.
        let long = [&[0x30, 0x81, 0x88, 2, 66][..], &[5; 66], &[2, 66]].concat();
        for (octets, want) in [
            (&[0x30, 6, 2, 1, 5, 2, 1, 0][..], &[0x30, 6, 2, 1, 5, 2, 1, 0][..]), // whole
            (&[0x30, 6, 2, 1, 5, 2, 1], &[0x30, 6, 2, 1, 5, 2, 1, 0]),
            (&[0x30, 7, 2, 1, 5, 2, 2, 1], &[0x30, 7, 2, 1, 5, 2, 2, 1, 0]),
            (&[0x30, 8, 2, 1, 5, 2, 3, 1], &[0x30, 8, 2, 1, 5, 2, 3, 1, 0, 0]),
            (&[0x30, 9, 2, 1, 5, 2, 4, 1], &[0x30, 9, 2, 1, 5, 2, 4, 1]), // three: cut short, and no habit
            (&[0x30, 0x81, 6, 2, 1, 5, 2, 1], &[0x30, 0x81, 6, 2, 1, 5, 2, 1]),
            (&[&long[..], &[7; 65]].concat(), &[&long[..], &[7; 65], &[0]].concat()),
            (&[&long[..], &[7; 66]].concat(), &[&long[..], &[7; 66]].concat()), // whole
            (&[&long[..], &[7; 63]].concat(), &[&long[..], &[7; 63]].concat()),
            (&[0x30, 6, 2, 2, 5, 2, 1], &[0x30, 6, 2, 2, 5, 2, 1]), // no second number there
            (&[5, 6, 7], &[5, 6, 7]),                               // of another kind
            (&[], &[]),
        ] {
            assert_eq!(restored(octets), want, "{octets:02x?}");
        }
    }
}
