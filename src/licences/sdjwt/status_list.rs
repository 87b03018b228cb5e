//! Token status lists (draft-ietf-oauth-status-list): some bits for each credential of an issuer, packed and signed.

use std::io::Read;

use flate2::read::ZlibDecoder;
use serde_json::{Map, Value};

use super::super::profile::Profile;
use super::super::report::{SignatureVerdict, TimeBasis};
use super::super::trusted::{self, Brought, Role};
use super::super::when::Times;
use super::{date, named};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::jose::{self, Jws};
use crate::trust::suite::Weakness;

/// Largest list, unpacked: 134 million credentials of one bit. It is never held unpacked.
const UNPACKED_MAX: u64 = 16 << 20;
/// Largest token.
pub const TOKEN_MAX: usize = 8 << 20;

/// Why a list says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("not a status list: {0}")]
    Form(String),
    #[error("the list has no place {0}")]
    Index(u64),
}

/// A list as received, its signature not verified yet.
#[derive(Clone, Debug)]
pub struct StatusList {
    /// `sub`: what credentials refer to it by.
    pub uri: String,
    pub issued: UnixMillis,
    /// The earlier of `exp` and `iat` + `ttl`; a list without either is as good as the day it was made.
    pub until: Option<UnixMillis>,
    bits: u8,
    packed: Vec<u8>,
    token: String,
    chain: Vec<Certificate>,
}

/// How long a list without `exp` and `ttl` counts as fresh, in seconds.
const DAY_S: i64 = 86_400;

impl StatusList {
    /// Reads a token in JWT form.
    ///
    /// # Errors
    /// [`ListError::Form`].
    pub fn parse(token: &[u8]) -> Result<Self, ListError> {
        let form = |why: &str| ListError::Form(why.to_owned());
        if token.len() > TOKEN_MAX {
            return Err(form("too large"));
        }
        let token = std::str::from_utf8(token).map_err(|_| form("not ASCII"))?.trim_end();
        let jws = Jws::parse(token).map_err(|e| form(&e.to_string()))?;
        if !matches!(jws.text("typ"), Some("statuslist+jwt" | "application/statuslist+jwt")) {
            return Err(form("typ is not statuslist+jwt"));
        }
        let claims = jws.claims().map_err(|e| form(&e.to_string()))?;
        let time = |name| date(&claims, name).map_err(|f| ListError::Form(f.detail));
        let issued = time("iat")?.ok_or_else(|| form("no iat"))?;
        let ttl = claims.get("ttl").map(|ttl| ttl.as_u64().filter(|s| (1..=1 << 32).contains(s)).ok_or(form("ttl")));
        let by_ttl = ttl.transpose()?.map(|seconds| issued.plus_seconds(seconds as i64));
        let list = &claims.get("status_list").ok_or_else(|| form("no status_list"))?;
        let bits = list["bits"].as_u64().filter(|bits| matches!(bits, 1 | 2 | 4 | 8)).ok_or_else(|| form("bits"))?;
        let packed = list["lst"].as_str().ok_or_else(|| form("no lst"))?;
        Ok(Self {
            uri: claims.get("sub").and_then(Value::as_str).ok_or_else(|| form("no sub"))?.to_owned(),
            issued,
            until: time("exp")?.into_iter().chain(by_ttl).min(),
            bits: bits as u8,
            packed: jose::octets(packed).map_err(|e| form(&e.to_string()))?,
            chain: jws.certificates().map_err(|e| form(&e.to_string()))?.unwrap_or_default(),
            token: token.to_owned(),
        })
    }

    /// Whether it still counts at a time.
    pub fn fresh(&self, at: UnixMillis) -> bool {
        self.until.unwrap_or(self.issued.plus_seconds(DAY_S)) > at
    }

    /// Whether the list is signed by the issuer of the credential, or by one with a chain to an anchor.
    pub(super) fn trusted(&self, profile: &Profile, credential: &Map<String, Value>) -> Result<(), String> {
        let jws = Jws::parse(&self.token).map_err(|e| e.to_string())?;
        if jws.claims().ok().and_then(|c| date(&c, "iat").ok().flatten()).is_none_or(|at| at > profile.at) {
            return Err("the list is from the future".to_owned());
        }
        let weak = |weakness: Weakness| weakness.to_string();
        let algorithm = jws.algorithm().map_err(|e| e.to_string())?;
        profile.strengths.signature(algorithm, profile.at).map_err(weak)?;
        let issuer = credential.get("iss").and_then(Value::as_str);
        let mut known = profile.issuer_keys.iter().filter(|key| Some(key.issuer.as_str()) == issuer);
        if let Some(known) = known.find(|known| jws.verify(&known.key).is_ok()) {
            return profile.strengths.key(&known.key, profile.at).map_err(weak);
        }
        let Some((leaf, others)) = self.chain.split_first() else { return Err("nobody known signed the list".into()) };
        let key = leaf.public_key().map_err(|e| e.to_string())?;
        jws.verify(&key).map_err(|e| e.to_string())?;
        // Whoever else has a certificate does not say which credentials are good.
        if named(leaf, &self.uri).is_some() && issuer.is_none_or(|issuer| named(leaf, issuer).is_some()) {
            return Err("the list's signer speaks neither for the list nor for the issuer".to_owned());
        }
        let times = Times { claimed: None, proven: None, judged_at: profile.at, basis: TimeBasis::Now };
        let mut verdict = SignatureVerdict::blank(profile, "", "", "Sign");
        let brought = Brought { certificates: others, ..Brought::default() };
        trusted::judge(profile, Role::Signer, leaf, brought, &times, &mut verdict);
        match verdict.findings.into_iter().find(|f| f.outcome.is_some()) {
            Some(finding) => Err(format!("the list's signer: {} {}", finding.code, finding.detail)),
            None => Ok(()),
        }
    }

    /// The value at a place: 0 valid, 1 invalid, 2 suspended, others as the issuer says.
    ///
    /// # Errors
    /// [`ListError::Index`] beyond the end, [`ListError::Form`] when it cannot be unpacked.
    pub fn status(&self, index: u64) -> Result<u8, ListError> {
        let per_octet = u64::from(8 / self.bits);
        let place = index / per_octet;
        if place >= UNPACKED_MAX {
            return Err(ListError::Index(index));
        }
        let mut unpacked = ZlibDecoder::new(&self.packed[..]);
        let broken = |e: std::io::Error| ListError::Form(e.to_string());
        let skipped = std::io::copy(&mut (&mut unpacked).take(place), &mut std::io::sink()).map_err(broken)?;
        let mut octet = [0];
        if skipped < place || unpacked.read(&mut octet).map_err(broken)? == 0 {
            return Err(ListError::Index(index));
        }
        let shift = (index % per_octet) as u32 * u32::from(self.bits);
        Ok((u16::from(octet[0]) >> shift & ((1 << self.bits) - 1)) as u8)
    }
}
