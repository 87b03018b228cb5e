//! Which algorithms and keys count, and until when: minimum strengths as policy, in the form of ETSI TS 119 312.
//!
//! ```text
//!  digests = ["sm3", "sha256 until 2030-12-31"]      curves = ["sm2", "p256"]      rsa = ["2048 until 2028-12-31", "3072"]
//!       │ asked at a time: not on the list ─▶ Weakness { since: None } · after its day ─▶ Weakness { since: Some(day) }
//! ```
//! A policy narrows what the libraries take and never widens it: MD5, SHA-1, SM2 without Z_A and RSA below 2,048 bits have no
//! name here that could be written down.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::{DigestAlgorithm, PublicKey, SignatureAlgorithm};
use crate::terms::{Day, UnixMillis};

/// Bits of an RSA modulus: fewer are never taken, more cost the verifier too much.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// One line of the policy: what counts, and its last day; no day, no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<T> {
    pub what: T,
    pub until: Option<Day>,
}

/// A kind of key that its curve tells in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    Sm2,
    P256,
    P384,
    P521,
    Ed25519,
}

/// The least bits of an RSA modulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsaBits(pub usize);

/// The policy. [`Strengths::default`] takes all that the suites take, without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strengths {
    pub digests: Vec<Accepted<DigestAlgorithm>>,
    pub curves: Vec<Accepted<Curve>>,
    pub rsa: Vec<Accepted<RsaBits>>,
}

/// What does not count, and since when: never, where there is no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    pub what: String,
    pub since: Option<UnixMillis>,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since {
            None => write!(f, "{} is not taken", self.what),
            Some(since) => write!(f, "{} is taken until {since} only", self.what),
        }
    }
}

const DIGESTS: [(DigestAlgorithm, &str); 4] = [
    (DigestAlgorithm::Sm3, "sm3"),
    (DigestAlgorithm::Sha256, "sha256"),
    (DigestAlgorithm::Sha384, "sha384"),
    (DigestAlgorithm::Sha512, "sha512"),
];
const CURVES: [(Curve, &str); 5] = [
    (Curve::Sm2, "sm2"),
    (Curve::P256, "p256"),
    (Curve::P384, "p384"),
    (Curve::P521, "p521"),
    (Curve::Ed25519, "ed25519"),
];

static SHIPPED: LazyLock<Strengths> = LazyLock::new(Strengths::default);

impl Default for Strengths {
    fn default() -> Self {
        fn always<T>(what: T) -> Accepted<T> {
            Accepted { what, until: None }
        }
        Self {
            digests: DIGESTS.map(|(what, _)| always(what)).to_vec(),
            curves: CURVES.map(|(what, _)| always(what)).to_vec(),
            rsa: vec![always(RsaBits(*RSA_BITS.start()))],
        }
    }
}

impl Strengths {
    /// The default, for questions that no policy is about, such as TLS.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// # Errors
    /// A digest that does not count at that time.
    pub fn digest(&self, algorithm: DigestAlgorithm, at: UnixMillis) -> Result<(), Weakness> {
        let lines = self.digests.iter().filter(|line| line.what == algorithm);
        latest(lines.map(|line| line.until), at, || word(&DIGESTS, algorithm).to_owned())
    }

    /// See [`SignatureAlgorithm::own_digests`].
    ///
    /// # Errors
    /// As [`Strengths::digest`].
    pub fn signature(&self, algorithm: SignatureAlgorithm, at: UnixMillis) -> Result<(), Weakness> {
        algorithm.own_digests().try_for_each(|digest| self.digest(digest, at))
    }

    /// # Errors
    /// A curve, or a length of RSA, that does not count at that time.
    pub fn key(&self, key: &PublicKey, at: UnixMillis) -> Result<(), Weakness> {
        let curve = match key {
            PublicKey::Sm2(_) => Curve::Sm2,
            PublicKey::P256(_) => Curve::P256,
            PublicKey::P384(_) => Curve::P384,
            PublicKey::P521(_) => Curve::P521,
            PublicKey::Ed25519(_) => Curve::Ed25519,
            PublicKey::Rsa(key) | PublicKey::RsaPss(key, _) => {
                let bits = PublicKey::rsa_bits(key).unwrap_or(0);
                let lines = self.rsa.iter().filter(|line| line.what.0 <= bits);
                return latest(lines.map(|line| line.until), at, || format!("RSA with {bits} bits"));
            }
        };
        let lines = self.curves.iter().filter(|line| line.what == curve);
        latest(lines.map(|line| line.until), at, || word(&CURVES, curve).to_owned())
    }
}

/// Of several lines about the same, the one that lasts longest counts.
fn latest(lines: impl Iterator<Item = Option<Day>>, at: UnixMillis, what: impl Fn() -> String) -> Result<(), Weakness> {
    let mut last: Option<UnixMillis> = None;
    for until in lines {
        let Some(day) = until else { return Ok(()) };
        last = last.max(Some(day.end()));
    }
    match last {
        Some(end) if at < end => Ok(()),
        since => Err(Weakness { what: what(), since }),
    }
}

fn word<T: PartialEq>(words: &[(T, &'static str)], what: T) -> &'static str {
    words.iter().find(|(own, _)| *own == what).map_or("", |(_, word)| word)
}

/// Why a line of the policy is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("{0} is no name of what can be taken here: {1}")]
    Name(String, &'static str),
    #[error("{0} is no day, as in 2030-12-31")]
    Day(String),
}

/// What can be written in one place of the policy.
trait Named: Sized {
    /// For whoever wrote something else.
    const NAMES: &'static str;
    fn named(text: &str) -> Option<Self>;
    fn name(&self) -> String;
}

impl Named for DigestAlgorithm {
    const NAMES: &'static str = "sm3, sha256, sha384, sha512";
    fn named(text: &str) -> Option<Self> {
        DIGESTS.iter().find(|(_, word)| *word == text).map(|(what, _)| *what)
    }
    fn name(&self) -> String {
        word(&DIGESTS, *self).to_owned()
    }
}

impl Named for Curve {
    const NAMES: &'static str = "sm2, p256, p384, p521, ed25519";
    fn named(text: &str) -> Option<Self> {
        CURVES.iter().find(|(_, word)| *word == text).map(|(what, _)| *what)
    }
    fn name(&self) -> String {
        word(&CURVES, *self).to_owned()
    }
}

impl Named for RsaBits {
    const NAMES: &'static str = "least bits, 2048 to 8192";
    fn named(text: &str) -> Option<Self> {
        text.parse().ok().filter(|bits| RSA_BITS.contains(bits)).map(Self)
    }
    fn name(&self) -> String {
        self.0.to_string()
    }
}

/// `sha256`, or `sha256 until 2030-12-31`; the day counts whole, in Beijing time.
impl<T: Named> FromStr for Accepted<T> {
    type Err = LineError;
    fn from_str(text: &str) -> Result<Self, LineError> {
        let (name, day) = text.split_once(" until ").map_or((text, None), |(name, day)| (name, Some(day.trim())));
        let wrong = || LineError::Name(name.chars().take(40).collect(), T::NAMES);
        let what = T::named(name.trim()).ok_or_else(wrong)?;
        let until = day.map(|day| day.parse::<Day>().map_err(|_| LineError::Day(day.chars().take(40).collect())));
        Ok(Self { what, until: until.transpose()? })
    }
}

impl<T: Named> fmt::Display for Accepted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            None => f.write_str(&self.what.name()),
            Some(day) => write!(f, "{} until {day}", self.what.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_line_is_a_name_and_perhaps_a_last_day() {
        for text in ["sm3", "sha512", "sha256 until 2030-12-31"] {
            assert_eq!(text.parse::<Accepted<DigestAlgorithm>>().unwrap().to_string(), text);
        }
        for text in ["2048", "3000 until 2028-02-29"] {
            assert_eq!(text.parse::<Accepted<RsaBits>>().unwrap().to_string(), text);
        }
        assert_eq!("ed25519".parse::<Accepted<Curve>>().unwrap().what, Curve::Ed25519);
        // What is broken cannot be named, in no spelling.
        for text in ["md5", "sha1", "SHA-1", "sha", "", "sm3until 2030-01-01", "sha256 until", "sha256 until soon"] {
            assert!(text.parse::<Accepted<DigestAlgorithm>>().is_err(), "{text}");
        }
        for text in ["1024", "2047", "8193", "0", "-2048", "sm2"] {
            assert!(text.parse::<Accepted<RsaBits>>().is_err(), "{text}");
        }
        for text in ["p224", "secp256k1", "sm2 until 2030-02-30"] {
            assert!(text.parse::<Accepted<Curve>>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_counts_does_so_to_the_end_of_its_last_day_in_beijing() {
        let policy = Strengths {
            digests: vec!["sha256 until 2025-12-31".parse().unwrap(), "sm3".parse().unwrap()],
            curves: vec!["sm2".parse().unwrap()],
            rsa: vec!["2048 until 2025-12-31".parse().unwrap(), "3072 until 2028-12-31".parse().unwrap()],
        };
        let (last, next) = (at("2025-12-31T15:59:59Z"), at("2025-12-31T16:00:00Z"));
        let since = Some(next);
        assert_eq!(policy.digest(DigestAlgorithm::Sha256, last), Ok(()));
        assert_eq!(
            policy.digest(DigestAlgorithm::Sha256, next),
            Err(Weakness { what: "sha256".into(), since }),
            "midnight in Beijing"
        );
        assert_eq!(policy.signature(SignatureAlgorithm::Sm2Sm3, next), Ok(()));
        assert_eq!(
            policy.signature(SignatureAlgorithm::RsaPkcs1Sha512, last),
            Err(Weakness { what: "sha512".into(), since: None }),
            "not on the list: never"
        );
        assert_eq!(policy.signature(SignatureAlgorithm::Ed25519, last), Ok(()), "the key is asked about");
        let (digest, other) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha512);
        let masked = |mask| policy.signature(SignatureAlgorithm::RsaPss { digest, mask, salt: 32 }, last);
        assert_eq!((masked(digest).is_ok(), masked(other).is_ok()), (true, false), "the mask's digest is asked about");
        let curve = |key| policy.key(&key, last).map_err(|weakness| weakness.since);
        assert_eq!(curve(PublicKey::Sm2(Vec::new())), Ok(()));
        assert_eq!(curve(PublicKey::Ed25519(Vec::new())), Err(None));
        let rsa = |bits: usize, at| {
            let mut modulus = vec![0xff; bits.div_ceil(8)];
            modulus[0] >>= (8 - bits % 8) % 8;
            use crate::formats::der::write;
            let key = write::sequence(&[write::unsigned(&modulus), write::small(65_537)]);
            policy.key(&PublicKey::Rsa(key), at).map_err(|weakness| weakness.since)
        };
        assert_eq!((rsa(2_048, last), rsa(2_048, next), rsa(3_071, next)), (Ok(()), Err(since), Err(since)));
        assert_eq!((rsa(3_072, next), rsa(2_047, last)), (Ok(()), Err(None)));
        let shipped = Strengths::shipped();
        assert!(DIGESTS.iter().all(|(digest, _)| shipped.digest(*digest, at("2999-01-01T00:00:00Z")).is_ok()));
    }
}
