//! Making detached signatures: CAdES baseline B (ETSI EN 319 122-1 §6), and B-T once a time-stamp token is at hand.

use super::{
    CONTENT_TYPE, CmsError, DATA, MESSAGE_DIGEST, SIGNATURE_TIME_STAMP, SIGNED_DATA, SIGNING_CERTIFICATE_V2,
    SIGNING_TIME,
};
use crate::formats::der::{tag, write};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::suite::{Signer, SuiteError};

/// Which OIDs name SignedData and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// RFC 5652: what ASiC and PAdES readers expect.
    International,
    /// GB/T 35275: what OFD readers expect.
    National,
}

/// Asks for a time-stamp token (DER) over the signature value; `Err` says in words why there is none.
pub type TimeStamp<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, String>;

/// [`sign_detached_with`], international and without a time-stamp.
pub fn sign_detached(
    signer: &dyn Signer,
    chain: &[Certificate],
    digest: &[u8],
    at: UnixMillis,
) -> Result<Vec<u8>, CmsError> {
    sign_detached_with(signer, chain, digest, Some(at), Spelling::International, None)
}

/// Signs content of which `digest` is the digest under the signer's own digest algorithm
/// (`signer.algorithm().digest()`). `chain` begins with the signer's certificate; all of it is put in. `at` goes in as the
/// claimed time of signing: CAdES wants it, PAdES forbids it there (EN 319 142-1 §6.3).
///
/// # Errors
/// [`CmsError::NoCertificate`] for an empty chain; [`CmsError::OtherCertificate`] when its first certificate is not the
/// key's; [`CmsError::Suite`] when signing fails.
pub fn sign_detached_with(
    signer: &dyn Signer,
    chain: &[Certificate],
    digest: &[u8],
    at: Option<UnixMillis>,
    spelling: Spelling,
    time_stamp: Option<TimeStamp<'_>>,
) -> Result<Vec<u8>, CmsError> {
    let which = usize::from(spelling == Spelling::National);
    let what = What { signed_data: SIGNED_DATA[which], content: DATA[which], inside: None };
    signed_data(&what, signer, chain, digest, at, time_stamp)
}

/// Signs content that is put inside, of a type other than plain data (dotted), e.g. a time-stamp.
pub(crate) fn sign_inside(
    signer: &dyn Signer,
    chain: &[Certificate],
    content_type: &str,
    content: &[u8],
    at: UnixMillis,
) -> Result<Vec<u8>, CmsError> {
    let what = What { signed_data: SIGNED_DATA[0], content: content_type, inside: Some(content) };
    signed_data(&what, signer, chain, &signer.algorithm().digest().of(content), Some(at), None)
}

struct What<'a> {
    signed_data: &'a str,
    content: &'a str,
    inside: Option<&'a [u8]>,
}

fn signed_data(
    what: &What<'_>,
    signer: &dyn Signer,
    chain: &[Certificate],
    digest: &[u8],
    at: Option<UnixMillis>,
    time_stamp: Option<TimeStamp<'_>>,
) -> Result<Vec<u8>, CmsError> {
    let certificate = chain.first().ok_or(CmsError::NoCertificate)?;
    if certificate.public_key().map_err(CmsError::Suite)? != signer.public_key() {
        return Err(CmsError::OtherCertificate);
    }
    let algorithm = signer.algorithm();
    let digests = algorithm.digest().identifier();
    let attributes = attributes(what.content, certificate, digest, at);
    let signature = signer.sign(&attributes).map_err(CmsError::Suite)?;
    let mut tagged = attributes;
    tagged[0] = tag::context(0);
    let mut info = vec![
        write::small(1),
        write::sequence(&[certificate.issuer().to_vec(), write::tlv(tag::INTEGER, certificate.serial())]),
        digests.clone(),
        tagged,
        algorithm.identifier(),
        write::octet_string(&signature),
    ];
    if let Some(ask) = time_stamp {
        let token = ask(&signature).map_err(|e| CmsError::Suite(SuiteError::Signing(e)))?;
        info.push(write::explicit(1, &attribute(SIGNATURE_TIME_STAMP, token)));
    }
    let mut certificates: Vec<&[u8]> = chain.iter().map(Certificate::der).collect();
    certificates.sort_unstable();
    certificates.dedup();
    let mut content = vec![write::oid(what.content)];
    content.extend(what.inside.map(|octets| write::explicit(0, &write::octet_string(octets))));
    let data = write::sequence(&[
        // Version 3 goes with content other than plain data (RFC 5652 §5.1).
        write::small(if DATA.contains(&what.content) { 1 } else { 3 }),
        write::set_of(&[digests]),
        write::sequence(&content),
        write::explicit(0, &certificates.concat()),
        write::set_of(&[write::sequence(&info)]),
    ]);
    Ok(write::sequence(&[write::oid(what.signed_data), write::explicit(0, &data)]))
}

/// The signed attributes of CAdES-B, as a SET OF in the order of DER.
fn attributes(content_type: &str, certificate: &Certificate, digest: &[u8], at: Option<UnixMillis>) -> Vec<u8> {
    // A SHA-256 certificate digest is the DEFAULT, so its algorithm must not be written (DER).
    let own = certificate.fingerprint();
    let names = write::sequence(&[write::sequence(&[write::sequence(&[write::octet_string(&own.0)])])]);
    let mut all = vec![
        attribute(CONTENT_TYPE, write::oid(content_type)),
        attribute(MESSAGE_DIGEST, write::octet_string(digest)),
        attribute(SIGNING_CERTIFICATE_V2, names),
    ];
    all.extend(at.map(|at| attribute(SIGNING_TIME, write::certificate_time(at))));
    write::set_of(&all)
}

fn attribute(oid: &str, value: Vec<u8>) -> Vec<u8> {
    write::sequence(&[write::oid(oid), write::set_of(&[value])])
}
