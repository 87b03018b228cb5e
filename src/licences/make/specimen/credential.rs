//! SD-JWT VC: the licence as a credential, its holder's number in a disclosure.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Map, Value, json};

use super::super::MakeError;
use super::pki::{CREDENTIAL_ISSUER, Pki, STATUS_LIST};
use super::{Making, PASS, Variation, doubt, failed, row};
use crate::licences::verdict::SubIndication::*;
use crate::terms::Digest;
use crate::trust::jose::{sign, to_jwk};
use crate::trust::suite::{Signer, SigningKey};

pub(super) const ALL: &[Variation] = &[
    row("good", "完好的凭证", "a credential as it should be", PASS),
    row("good-bound", "由持证人出示（密钥绑定）", "presented by its holder (key binding)", PASS),
    row("good-withheld", "未披露证件号码", "the holder's number is withheld", PASS),
    row("claim-changed", "披露内容被改动", "a disclosure was changed", failed(HashFailure, "VC_DISCLOSURE_UNKNOWN")),
    row("signature-broken", "签名被改动", "the issuer's signature is wrong", failed(SigCryptoFailure, "VC_SIGNATURE")),
    row("issuer-unknown", "签发者未知", "nobody knows the issuer", doubt(NoSigningCertificateFound, "VC_NO_KEY")),
    row("not-yet", "尚未生效", "it is not valid yet", doubt(SigConstraintsFailure, "VC_NOT_YET_VALID")),
    row("expired", "已过期", "it has run out", doubt(SigConstraintsFailure, "VC_EXPIRED")),
    row("revoked", "已吊销（状态列表）", "revoked, says the status list", failed(Revoked, "VC_REVOKED")),
    row("suspended", "已暂停（状态列表）", "suspended, says the status list", doubt(RevokedNoPoe, "VC_SUSPENDED")),
    row("bound-by-another", "他人出示", "presented by somebody else", failed(SigCryptoFailure, "VC_BINDING_SIGNATURE")),
];

/// What stands at which place of the list, two bits each.
const VALID: u64 = 0;
const REVOKED: u64 = 1;
const SUSPENDED: u64 = 2;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn signed(key: &SigningKey, kind: &str, claims: &Value) -> Result<String, MakeError> {
    let header = object(json!({ "typ": kind }));
    sign(key, &header, claims.to_string().as_bytes()).map_err(|e| MakeError::Sign(e.to_string()))
}

fn digest(text: &str) -> String {
    B64.encode(Digest::of(text.as_bytes()).0)
}

/// The issuer's list: one valid, one revoked, one suspended.
pub(super) fn status_list(pki: &Pki) -> Result<Vec<u8>, MakeError> {
    let octet = [VALID, REVOKED, SUSPENDED].iter().fold(0u8, |octet, &n| octet | (n as u8) << (2 * n));
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let packed = packed.write_all(&[octet, 0, 0, 0]).and_then(|()| packed.finish());
    let packed = packed.map_err(|e| MakeError::Package(e.to_string()))?;
    let claims = json!({
        "iss": CREDENTIAL_ISSUER, "sub": STATUS_LIST, "iat": pki.signed_at().seconds(), "exp": pki.day(397).seconds(),
        "status_list": { "bits": 2, "lst": B64.encode(packed) },
    });
    Ok(signed(&pki.issuer.key, "statuslist+jwt", &claims)?.into_bytes())
}

pub(super) fn make(making: &Making<'_>, variation: &str) -> Result<Vec<u8>, MakeError> {
    let pki = making.pki;
    let mut data = object(making.data()?);
    let number = data.remove("certificateHolderCode").unwrap_or_default();
    let mut disclosure = B64.encode(json!(["test-salt-test-salt", "certificateHolderCode", number]).to_string());
    let (from, to) = match variation {
        "not-yet" => (pki.day(2), pki.day(300)),
        "expired" => (pki.day(-30), pki.day(-1)),
        _ => (pki.signed_at(), pki.day(300)),
    };
    let place = match variation {
        "revoked" => REVOKED,
        "suspended" => SUSPENDED,
        _ => VALID,
    };
    let issuer = if variation == "issuer-unknown" { "https://other-issuer.invalid" } else { CREDENTIAL_ISSUER };
    let mut claims = json!({
        "iss": issuer, "vct": "urn:test:licence", "nbf": from.seconds(), "exp": to.seconds(),
        "iat": from.seconds().min(pki.signed_at().seconds()),
        "cnf": { "jwk": to_jwk(&pki.holder.key.public_key()) },
        "status": { "status_list": { "idx": place, "uri": STATUS_LIST } },
        "_sd": [digest(&disclosure)], "_sd_alg": "sha-256",
    });
    if let Value::Object(claims) = &mut claims {
        claims.extend(data);
    }
    let mut text = signed(&pki.issuer.key, "dc+sd-jwt", &claims)?;
    match variation {
        "signature-broken" => {
            // The first character of the signature: all of its bits count.
            let at = text.rfind('.').map_or(0, |dot| dot + 1);
            let other = if text[at..].starts_with('A') { "B" } else { "A" };
            text.replace_range(at..=at, other);
        }
        "claim-changed" => {
            let other = json!(["test-salt-test-salt", "certificateHolderCode", "990101199202290010"]);
            disclosure = B64.encode(other.to_string());
        }
        _ => {}
    }
    text.push('~');
    if variation != "good-withheld" {
        text.push_str(&disclosure);
        text.push('~');
    }
    let presented_by = match variation {
        "good-bound" => Some(&pki.holder),
        "bound-by-another" => Some(&pki.signer_p256),
        _ => None,
    };
    if let Some(by) = presented_by {
        let bound = json!({
            "aud": "urn:test:window", "nonce": "test", "iat": pki.at().seconds() - 5, "sd_hash": digest(&text),
        });
        text.push_str(&signed(&by.key, "kb+jwt", &bound)?);
    }
    Ok(text.into_bytes())
}
