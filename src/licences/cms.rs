//! Plain digital signatures (`Type="Sign"`): GB/T 35275 or RFC 5652 SignedData over Signature.xml, and time-stamp tokens.
//!
//! Three forms are found: (a) the content is the SM3 of Signature.xml and is signed as it is; (b) no content, and signed
//! attributes with the digest of Signature.xml; (c) as (b), with two names for the content type. Attributes are digested as
//! received, whatever their order.

use super::chain::{self, Role, Times};
use super::examine::push_fault;
use super::profile::Profile;
use super::report::{SignatureVerdict, TimeBasis};
use super::suite::{self, CheckMethod, Fault};
use super::times::{self, Written};
use super::verdict::{Finding, SubIndication::*};
use crate::formats::der::{Element, Oid, Reader, tag};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;

/// SignedData with one signer, in slices of the input.
struct SignedData<'a> {
    content_type: Oid,
    content: Option<&'a [u8]>,
    certificates: Vec<Certificate>,
    issuer: &'a [u8],
    serial: &'a [u8],
    key_id: Option<&'a [u8]>,
    digest_algorithm: Oid,
    /// With the tag as received (A0).
    attributes: Option<Element<'a>>,
    signature_algorithm: Oid,
    signature: &'a [u8],
    unsigned: Option<Element<'a>>,
}

fn list(content: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut reader = Reader::new(content);
    let mut out = Vec::new();
    while !reader.is_empty() {
        if out.len() >= 1_000 {
            return None;
        }
        out.push(reader.element().ok()?);
    }
    Some(out)
}

fn one(content: &[u8], want: u8) -> Option<Element<'_>> {
    match list(content)?[..] {
        [element] if element.tag == want => Some(element),
        _ => None,
    }
}

fn oid_of(element: &Element<'_>) -> Option<Oid> {
    Oid::from_content(element.content).ok().filter(|_| element.tag == tag::OID)
}

/// The OID of an AlgorithmIdentifier.
fn algorithm(element: &Element<'_>) -> Option<Oid> {
    list(element.content)?.first().and_then(oid_of)
}

/// `None` for anything that is not one SignedData with exactly one signer.
fn parse(bytes: &[u8]) -> Option<SignedData<'_>> {
    let info = list(one(bytes, tag::SEQUENCE)?.content)?;
    let [kind, body] = &info[..] else { return None };
    let kind = oid_of(kind)?;
    if !(kind.is("1.2.156.10197.6.1.4.2.2") || kind.is("1.2.840.113549.1.7.2")) {
        return None;
    }
    let parts = list(one(body.content, tag::SEQUENCE)?.content)?;
    let [version, digests, encapsulated, rest @ ..] = &parts[..] else { return None };
    if version.tag != tag::INTEGER || digests.tag != tag::SET || encapsulated.tag != tag::SEQUENCE {
        return None;
    }
    let inner = list(encapsulated.content)?;
    let content = match &inner[..] {
        [_] => None,
        [_, wrapped] => match one(wrapped.content, tag::OCTET_STRING) {
            Some(octets) => Some(octets.content),
            None => Some(wrapped.content),
        },
        _ => return None,
    };
    let (mut certificates, mut signers) = (Vec::new(), None);
    for part in rest {
        match part.tag {
            0xa0 => {
                for element in list(part.content)? {
                    certificates.extend(Certificate::parse(element.full));
                }
            }
            0xa1 => {}
            tag::SET if signers.is_none() => signers = Some(part.content),
            _ => return None,
        }
    }
    let fields = list(one(signers?, tag::SEQUENCE)?.content)?;
    let [version, id, digest, rest @ ..] = &fields[..] else { return None };
    if version.tag != tag::INTEGER {
        return None;
    }
    let (mut issuer, mut serial, mut key_id): (&[u8], &[u8], _) = (&[], &[], None);
    if id.tag == tag::SEQUENCE {
        let parts = list(id.content)?;
        let [name, number] = &parts[..] else { return None };
        (issuer, serial) = (name.full, number.content);
    } else {
        key_id = Some(id.content);
    }
    let (attributes, rest) = match rest {
        [first, rest @ ..] if first.tag == 0xa0 => (Some(*first), rest),
        rest => (None, rest),
    };
    let (signature_algorithm, signature, unsigned) = match rest {
        [algorithm, value] => (algorithm, value, None),
        [algorithm, value, unsigned] if unsigned.tag == 0xa1 => (algorithm, value, Some(*unsigned)),
        _ => return None,
    };
    if signature.tag != tag::OCTET_STRING {
        return None;
    }
    Some(SignedData {
        content_type: inner.first().and_then(oid_of)?,
        content,
        certificates,
        issuer,
        serial,
        key_id,
        digest_algorithm: algorithm(digest)?,
        attributes,
        signature_algorithm: algorithm(signature_algorithm)?,
        signature: signature.content,
        unsigned,
    })
}

const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
const TIME_STAMP: &str = "1.2.840.113549.1.9.16.2.14";
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";

impl<'a> SignedData<'a> {
    fn signer(&self) -> Option<&Certificate> {
        self.certificates.iter().find(|cert| match self.key_id {
            Some(id) => cert.extensions.subject_key_id.as_deref() == Some(id),
            None => cert.issuer() == self.issuer && cert.serial() == self.serial,
        })
    }

    /// The single value of an attribute; `Err` when it stands there twice or with several values.
    fn attribute(set: &Option<Element<'a>>, oid: &str) -> Result<Option<Element<'a>>, ()> {
        let Some(set) = set else { return Ok(None) };
        let mut found = None;
        for attribute in list(set.content).ok_or(())? {
            let parts = list(attribute.content).ok_or(())?;
            let [kind, values] = &parts[..] else { return Err(()) };
            if oid_of(kind).is_some_and(|kind| kind.is(oid)) {
                let values = list(values.content).ok_or(())?;
                let ([value], None) = (&values[..], found) else { return Err(()) };
                found = Some(*value);
            }
        }
        Ok(found)
    }

    /// The octets the signer signed, when the content is `content`.
    fn signed_octets(&self, content: &[u8]) -> Vec<u8> {
        match &self.attributes {
            Some(attributes) => {
                let mut octets = attributes.full.to_vec();
                octets[0] = tag::SET;
                octets
            }
            None => content.to_vec(),
        }
    }

    fn digest(&self, content: &[u8]) -> Option<Vec<u8>> {
        match suite::check_method(&self.digest_algorithm.to_string()) {
            CheckMethod::Known(algorithm) => Some(algorithm.of(content)),
            _ => None,
        }
    }
}

/// Steps 8 to 20 of a `Sign` signature over the octets of Signature.xml.
pub(super) fn examine(
    profile: &Profile,
    xml: &[u8],
    value: &[u8],
    verdict: &mut SignatureVerdict,
) -> Result<(), Finding> {
    let data = parse(value).ok_or_else(|| Finding::format(8, "CMS_STRUCTURE", ""))?;
    let twice = |()| Finding::format(8, "CMS_ATTRIBUTES", "");
    if !(data.content_type.is("1.2.156.10197.6.1.4.2.1") || data.content_type.is("1.2.840.113549.1.7.1")) {
        verdict.findings.push(Finding::note(8, "CMS_CONTENT_TYPE", data.content_type.to_string()));
    }
    // Step 9: whatever is signed must be Signature.xml, or its SM3.
    let hash = suite::sm3(xml);
    let content: &[u8] = match data.content {
        Some(content) if content != hash && content != xml => {
            verdict.findings.push(Finding::failed(9, "CMS_CONTENT_MISMATCH", HashFailure, ""));
            content
        }
        Some(content) => content,
        None => xml,
    };
    if data.attributes.is_some() {
        let digest = SignedData::attribute(&data.attributes, MESSAGE_DIGEST).map_err(twice)?;
        let kind = SignedData::attribute(&data.attributes, CONTENT_TYPE).map_err(twice)?;
        let digest = digest.ok_or_else(|| Finding::format(8, "CMS_NO_MESSAGE_DIGEST", ""))?;
        match data.digest(content) {
            None => {
                let code = "CMS_DIGEST_ALG";
                verdict.findings.push(Finding::doubt(
                    6,
                    code,
                    CryptoConstraintsFailure,
                    data.digest_algorithm.to_string(),
                ));
            }
            Some(actual) if actual == digest.content => {}
            Some(_) => verdict.findings.push(Finding::failed(9, "CMS_MESSAGE_DIGEST", HashFailure, "")),
        }
        if kind.as_ref().and_then(oid_of).as_ref() != Some(&data.content_type) {
            verdict.findings.push(Finding::note(9, "CMS_CONTENT_TYPES_DIFFER", ""));
        }
    }
    let signing_time = SignedData::attribute(&data.attributes, SIGNING_TIME).map_err(twice)?;
    let signing_time = signing_time.and_then(|e| times::read(std::str::from_utf8(e.content).ok()?));
    let claimed = signing_time.or(verdict.claimed_at.map(|at| Written { at, local: true }));
    let token = SignedData::attribute(&data.unsigned, TIME_STAMP).map_err(twice)?.map(|e| e.full);

    let Some(cert) = data.signer() else {
        return Err(Finding::doubt(11, "CMS_NO_CERT", NoSigningCertificateFound, ""));
    };
    let octets = data.signed_octets(content);
    let mut fault = suite::check(cert, &data.signature_algorithm, &octets, data.signature);
    if fault == Err(Fault::Bad) && data.attributes.is_none() && data.content.is_none() {
        // Detached, without attributes: some sign the digest of the file as if it were the content.
        fault = suite::check(cert, &data.signature_algorithm, &hash, data.signature);
    }
    push_fault(verdict, fault, 10, "CMS_SIGNATURE");
    let times = chain::times(profile, verdict, claimed, None, token, data.signature);
    chain::judge(profile, Role::Signer, cert, &data.certificates, &times, verdict);
    Ok(())
}

struct Token<'a> {
    data: SignedData<'a>,
    info: &'a [u8],
    algorithm: Oid,
    imprint: &'a [u8],
    at: UnixMillis,
}

fn token(bytes: &[u8]) -> Option<Token<'_>> {
    let data = parse(bytes)?;
    let info = data.content.filter(|_| data.content_type.is(TST_INFO))?;
    let fields = list(one(info, tag::SEQUENCE)?.content)?;
    let [version, _policy, imprint, _serial, at, ..] = &fields[..] else { return None };
    if version.content != [1] || at.tag != tag::GENERALIZED_TIME {
        return None;
    }
    let at = times::read(std::str::from_utf8(at.content).ok()?)?.at;
    let parts = list(imprint.content)?;
    let [kind, digest] = &parts[..] else { return None };
    Some(Token { algorithm: algorithm(kind)?, imprint: digest.content, at, info, data })
}

pub(super) fn token_time(bytes: &[u8]) -> Option<UnixMillis> {
    token(bytes).map(|t| t.at)
}

/// Verifies a time-stamp token (RFC 3161, GB/T 20520) over `stamped`, with a chain of its own. Step 20.
pub(super) fn time_stamp(
    profile: &Profile,
    bytes: &[u8],
    stamped: &[u8],
    verdict: &mut SignatureVerdict,
) -> Result<UnixMillis, Finding> {
    let no = |code, detail: &str| Finding::note(20, code, detail);
    let token = token(bytes).ok_or_else(|| no("TIMESTAMP_STRUCTURE", ""))?;
    let algorithm = token.algorithm.to_string();
    let CheckMethod::Known(digest) = suite::check_method(&algorithm) else {
        return Err(no("TIMESTAMP_ALG", &algorithm));
    };
    if digest.of(stamped) != token.imprint {
        return Err(no("TIMESTAMP_IMPRINT", ""));
    }
    let data = &token.data;
    let bad = |()| no("TIMESTAMP_STRUCTURE", "attributes");
    let message_digest = SignedData::attribute(&data.attributes, MESSAGE_DIGEST).map_err(bad)?;
    if message_digest.is_none_or(|d| data.digest(token.info).as_deref() != Some(d.content)) {
        return Err(no("TIMESTAMP_DIGEST", ""));
    }
    let cert = data.signer().ok_or_else(|| no("TIMESTAMP_NO_CERT", ""))?;
    let octets = data.signed_octets(token.info);
    if !matches!(suite::check(cert, &data.signature_algorithm, &octets, data.signature), Ok(()) | Err(Fault::Raw)) {
        return Err(no("TIMESTAMP_SIGNATURE", ""));
    }
    if token.at > profile.at {
        return Err(no("TIMESTAMP_IN_FUTURE", &token.at.to_string()));
    }
    // The authority's own certificate is judged now: a stamp outlives it only by being stamped again.
    let times = Times { claimed: None, proven: None, judged_at: profile.at, basis: TimeBasis::Now };
    let before = verdict.findings.len();
    chain::judge(profile, Role::Tsa, cert, &data.certificates, &times, verdict);
    let found = verdict.findings.split_off(before);
    match found.into_iter().find(|f| f.outcome.is_some()) {
        Some(finding) => Err(no(finding.code, &finding.detail)),
        None => Ok(token.at),
    }
}
