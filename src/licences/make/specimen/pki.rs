//! A PKI to be thrown away: two roots (SM2 and P-256), whom they certify, whom they revoked.

use serde_json::json;

use super::super::{MakeError, SealSpec, make_seal, round_seal};
use super::SECONDS_A_DAY;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::jose;
use crate::trust::pem;
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

/// A key with its certificate.
pub struct Pair {
    pkcs8: zeroize::Zeroizing<Vec<u8>>,
    pub key: SigningKey,
    pub certificate: Certificate,
}

/// Who takes part. All of it is made new, and nobody trusts it but its own policy.
pub struct Pki {
    at: UnixMillis,
    pub(super) root: Pair,
    pub(super) root_p256: Pair,
    pub(super) maker: Pair,
    pub(super) signer: Pair,
    pub(super) revoked: Pair,
    pub(super) expired: Pair,
    /// An authority, which may not sign documents.
    pub(super) authority: Pair,
    /// The signer's name under a root of the same name, but another key.
    pub(super) stranger: Pair,
    pub(super) signer_p256: Pair,
    pub(super) revoked_p256: Pair,
    pub(super) stranger_p256: Pair,
    pub(super) tsa: Pair,
    pub(super) issuer: Pair,
    pub(super) holder: Pair,
    pub(super) seal: Vec<u8>,
}

/// How issuer and list of credentials are called: names that resolve nowhere (RFC 2606).
pub const CREDENTIAL_ISSUER: &str = "https://test-issuer.invalid";
pub const STATUS_LIST: &str = "https://test-issuer.invalid/lists/1";

const ORGANISATION: &str = "测试机构 TEST";
const ROOT: &str = "测试根 TEST ROOT";
const SIGNER: &str = "测试签章人 TEST SIGNER";

fn made<E: ToString>(result: Result<Vec<u8>, E>) -> Result<Vec<u8>, MakeError> {
    result.map_err(|e| MakeError::Sign(e.to_string()))
}

fn pair(
    algorithm: SignatureAlgorithm,
    name: &str,
    purpose: Use,
    by: Option<&Pair>,
    (from, to): (UnixMillis, UnixMillis),
) -> Result<Pair, MakeError> {
    let wrong = |e: &dyn std::fmt::Display| MakeError::Sign(e.to_string());
    let pkcs8 = SigningKey::generate(algorithm).map_err(|e| wrong(&e))?;
    let key = SigningKey::from_pkcs8(&pkcs8).map_err(|e| wrong(&e))?;
    let subject = Subject::named(name, ORGANISATION);
    let issuer = match by {
        Some(by) => Issuer::of(&by.key, &by.certificate),
        None => Issuer::root(&key, &subject),
    };
    let der = made(issue::certificate(&issuer, &subject, &key.public_key().to_spki(), purpose, from, to))?;
    let certificate = Certificate::parse(&der).map_err(|e| wrong(&e))?;
    Ok(Pair { pkcs8, key, certificate })
}

impl Pki {
    /// Everybody's keys and certificates; `at` is the time by which files are to be judged.
    ///
    /// # Errors
    /// [`MakeError::Sign`] without randomness.
    pub fn new(at: UnixMillis) -> Result<Self, MakeError> {
        use SignatureAlgorithm::{EcdsaP256Sha256 as P256, Sm2Sm3 as Sm2};
        let day = |days: i64| at.plus_seconds(days * SECONDS_A_DAY);
        let (long, usual) = ((day(-800), day(3_650)), (day(-400), day(397)));
        let root = pair(Sm2, ROOT, Use::Root, None, long)?;
        let root_p256 = pair(P256, "测试根 TEST ROOT P-256", Use::Root, None, long)?;
        let other = pair(Sm2, ROOT, Use::Root, None, long)?;
        let other_p256 = pair(P256, "测试根 TEST ROOT P-256", Use::Root, None, long)?;
        let by = |name, purpose| pair(Sm2, name, purpose, Some(&root), usual);
        let by_p256 = |name, purpose| pair(P256, name, purpose, Some(&root_p256), usual);
        let (maker, signer) = (by("测试制章人 TEST SEAL MAKER", Use::Signer)?, by(SIGNER, Use::Signer)?);
        let seal = seal_of(&Sealing::usual(at), &maker, &signer)?;
        Ok(Self {
            at,
            revoked: by("测试已吊销 TEST REVOKED", Use::Signer)?,
            expired: pair(Sm2, "测试已过期 TEST EXPIRED", Use::Signer, Some(&root), (day(-400), day(-30)))?,
            authority: by("测试中级 TEST AUTHORITY", Use::Intermediate(0))?,
            stranger: pair(Sm2, SIGNER, Use::Signer, Some(&other), usual)?,
            signer_p256: by_p256(SIGNER, Use::Signer)?,
            revoked_p256: by_p256("测试已吊销 TEST REVOKED", Use::Signer)?,
            stranger_p256: pair(P256, SIGNER, Use::Signer, Some(&other_p256), usual)?,
            tsa: by_p256("测试时间戳 TEST TSA", Use::TimeStamping)?,
            issuer: by_p256("测试凭证签发者 TEST ISSUER", Use::Signer)?,
            holder: by_p256("测试持证人 TEST HOLDER", Use::Signer)?,
            root,
            root_p256,
            maker,
            signer,
            seal,
        })
    }

    /// By when files are judged.
    pub fn at(&self) -> UnixMillis {
        self.at
    }

    /// When files are usually signed: an hour before they are judged.
    pub(super) fn signed_at(&self) -> UnixMillis {
        self.at.plus_seconds(-3_600)
    }

    pub(super) fn day(&self, days: i64) -> UnixMillis {
        self.at.plus_seconds(days * SECONDS_A_DAY)
    }

    fn crl(&self, root: &Pair, revoked: &Pair) -> Result<Vec<u8>, MakeError> {
        let issuer = Issuer::of(&root.key, &root.certificate);
        let entry = (revoked.certificate.serial().to_vec(), self.day(-1));
        made(issue::crl(&issuer, &[entry], 1, self.at.plus_seconds(-1_800), self.day(397)))
    }

    /// Name, content, and whether it is secret, of every file of the PKI; paths from the folder it lies in.
    ///
    /// # Errors
    /// [`MakeError::Sign`].
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>, bool)>, MakeError> {
        let mut files = Vec::new();
        for (name, pair) in [
            ("root", &self.root),
            ("root-p256", &self.root_p256),
            ("maker", &self.maker),
            ("signer", &self.signer),
            ("signer-p256", &self.signer_p256),
            ("revoked", &self.revoked),
            ("tsa", &self.tsa),
            ("issuer", &self.issuer),
            ("holder", &self.holder),
        ] {
            let key = pem::encode("PRIVATE KEY", &pair.pkcs8);
            files.push((format!("{name}.key"), key.into_bytes(), true));
            let certificate = pem::encode("CERTIFICATE", pair.certificate.der());
            files.push((format!("{name}.pem"), certificate.into_bytes(), false));
        }
        let mut public = |name: &str, octets| files.push((name.to_owned(), octets, false));
        public("root.crl", self.crl(&self.root, &self.revoked)?);
        public("root-p256.crl", self.crl(&self.root_p256, &self.revoked_p256)?);
        public("seal.esl", self.seal.clone());
        let keys = json!([jose::to_jwk(&self.issuer.key.public_key())]);
        public(
            "issuer.json",
            json!({ "issuer": CREDENTIAL_ISSUER, "jwks": { "keys": keys } }).to_string().into_bytes(),
        );
        public("list.jwt", super::credential::status_list(self)?);
        Ok(files)
    }

    /// The policy by which every file gets its verdict, for `tongban verify --policy`; `folder` is where
    /// [`Pki::files`] lie.
    pub fn policy(&self, folder: &str) -> String {
        format!(
            "# 测试材料的核验策略 · the policy for this test material\n\
             at = \"{}\"\n\
             signer-anchor = [\"{folder}/root.pem\", \"{folder}/root-p256.pem\"]\n\
             maker-anchor = [\"{folder}/maker.pem\"]\n\
             tsa-anchor = [\"{folder}/root-p256.pem\"]\n\
             crl = [\"{folder}/root.crl\", \"{folder}/root-p256.crl\"]\n\
             issuer-keys = [\"{folder}/issuer.json\"]\n\
             status-list = [\"{folder}/list.jwt\"]\n\
             time-basis = \"timestamp\"\n\
             coverage = \"protect\"\n\
             revocation = \"require\"\n",
            self.at
        )
    }
}

/// What a seal says that variations change.
pub(super) struct Sealing {
    pub name: &'static str,
    pub from: UnixMillis,
    pub to: UnixMillis,
}

impl Sealing {
    pub fn usual(at: UnixMillis) -> Self {
        let day = |days: i64| at.plus_seconds(days * SECONDS_A_DAY);
        Self { name: "测试证照专用章 TEST", from: day(-399), to: day(396) }
    }
}

pub(super) fn seal_of(sealing: &Sealing, maker: &Pair, signer: &Pair) -> Result<Vec<u8>, MakeError> {
    let picture = round_seal();
    let spec = SealSpec {
        id: "99010000000001",
        name: sealing.name,
        kind: 99,
        signers: std::slice::from_ref(&signer.certificate),
        created: sealing.from,
        valid_from: sealing.from,
        valid_to: sealing.to,
        picture: &picture,
        size_mm: 40,
    };
    make_seal(&spec, &maker.key, &maker.certificate)
}
