//! What came along with a signature to judge it by: certificates, revocation lists and answers, as fields of SignedData (RFC
//! 5652 §5.1, RFC 5940) or archived in attributes (ETSI EN 319 122-1 §A.1.1, ISO 32000-2 §12.8.3.3.2).
//!
//! None of it is trusted. Lists and answers are signed by their authorities like all others, so they may come from
//! anybody; what cannot be read says nothing, what is there more than once is taken once, and what is too much is left out
//! and counted.

use std::collections::HashSet;

use super::{Attribute, SignedData, SignerInfo};
use crate::formats::der::{DerError, Reader, only, tag};
use crate::terms::Digest;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::ocsp::Response;

/// certificate-values and revocation-values: unsigned attributes of CAdES.
pub(super) const CERTIFICATE_VALUES: &str = "1.2.840.113549.1.9.16.2.23";
pub(super) const REVOCATION_VALUES: &str = "1.2.840.113549.1.9.16.2.24";
/// adbe-revocationInfoArchival: a signed attribute of the time before PAdES.
pub(super) const REVOCATION_ARCHIVAL: &str = "1.2.840.113583.1.1.8";

/// Most of each kind, of all attributes together: a long chain has some ten.
const MOST: usize = 64;

const CRL_VALUES: u8 = tag::context(0);
const OCSP_VALUES: u8 = tag::context(1);

/// Certificates and status that came along.
#[derive(Clone, Debug, Default)]
pub struct Along {
    pub certificates: Vec<Certificate>,
    pub crls: Vec<Crl>,
    pub ocsp: Vec<Response>,
    /// Certificates, lists and answers in attributes that were not read, since there are too many.
    pub left_out: usize,
}

impl SignedData {
    /// All that came along with one signer's signature.
    pub fn along(&self, signer: &SignerInfo) -> Along {
        let (mut all, mut known) = (Along::default(), Known::default());
        // What the signer signed first: nobody else's material takes its room.
        let signed = signer.signed.iter().flat_map(|attributes| attributes.list());
        signed.for_each(|attribute| all.add(attribute, &mut known));
        all.certificates.extend(self.certificates.iter().filter(|c| known.is_new(c.der())).cloned());
        all.crls.extend(self.crls.iter().filter(|crl| known.is_new(crl.der())).cloned());
        all.ocsp.extend(self.ocsp.iter().filter(|answer| known.is_new(answer.der())).cloned());
        signer.unsigned.iter().for_each(|attribute| all.add(attribute, &mut known));
        all
    }
}

/// What was met, read or left out.
#[derive(Default)]
struct Known(HashSet<Digest>);

impl Known {
    fn is_new(&mut self, der: &[u8]) -> bool {
        self.0.insert(Digest::of(der))
    }
}

impl Along {
    fn add(&mut self, attribute: &Attribute, known: &mut Known) {
        for value in &attribute.values {
            // Half of what cannot be read to its end may still be of use.
            let _ = match attribute.oid.as_str() {
                CERTIFICATE_VALUES => self.add_certificates(value, known),
                REVOCATION_VALUES | REVOCATION_ARCHIVAL => self.add_status(value, known),
                _ => Ok(()),
            };
        }
    }

    /// SEQUENCE OF Certificate.
    fn add_certificates(&mut self, value: &[u8], known: &mut Known) -> Result<(), DerError> {
        let list = Reader::new(value).sequence()?;
        each(list, known, &mut self.certificates, &mut self.left_out, &|der| Certificate::parse(der).ok())
    }

    /// SEQUENCE { [0] EXPLICIT SEQUENCE OF CertificateList OPTIONAL, [1] EXPLICIT SEQUENCE OF OCSP answers OPTIONAL, … }:
    /// answers alone in CAdES, and with what is around them in the older attribute.
    fn add_status(&mut self, value: &[u8], known: &mut Known) -> Result<(), DerError> {
        let mut parts = Reader::new(value).sequence()?;
        while !parts.is_empty() {
            let part = parts.element()?;
            let listed = || Reader::new(only(part.content)?.full).sequence();
            let left_out = &mut self.left_out;
            match part.tag {
                CRL_VALUES => each(listed()?, known, &mut self.crls, left_out, &|der| Crl::parse(der).ok())?,
                OCSP_VALUES => each(listed()?, known, &mut self.ocsp, left_out, &|der| Response::parse(der).ok())?,
                _ => {} // status of other kinds
            }
        }
        Ok(())
    }
}

/// Reads one after the other while there is room, and counts the others.
fn each<T>(
    mut list: Reader<'_>,
    known: &mut Known,
    taken: &mut Vec<T>,
    left_out: &mut usize,
    read: &dyn Fn(&[u8]) -> Option<T>,
) -> Result<(), DerError> {
    while !list.is_empty() {
        let one = list.element()?;
        if !known.is_new(one.full) {
            continue;
        }
        if taken.len() < MOST {
            taken.extend(read(one.full));
        } else {
            *left_out += 1;
        }
    }
    Ok(())
}
