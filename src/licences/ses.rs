//! Electronic seals and seal signatures: GM/T 0031-2014 ("V1"), GB/T 38540-2020 ("V4"), GM/T 0031-2025 ("V5").
//!
//! ```text
//!  SES_Signature ─┬─ toSign ─┬─ eseal ─┬─ eSealInfo: header, esID, property, picture   ◀── signed by the seal maker
//!                 │          │         └─ maker certificate, algorithm, signature
//!                 │          ├─ timeInfo, dataHash, propertyInfo                       ◀── all signed by the signer
//!                 │          └─ (V1: signer certificate, algorithm)
//!                 └─ signer certificate (V4, V5), algorithm, signature, time-stamp?
//! ```
//! The version is told by the number of elements; header numbers lie. What is signed is sliced out of the input and never
//! encoded again: genuine seals are not always proper DER inside.

use super::times;
use crate::formats::der::{DerError, Element, Oid, only, tag, write};
use crate::terms::UnixMillis;
use crate::trust::suite::restored;

/// Which layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// GM/T 0031-2014.
    V1,
    /// GB/T 38540-2020.
    V4,
    /// GM/T 0031-2025.
    V5,
}

impl Version {
    pub fn word(self) -> &'static str {
        match self {
            Self::V1 => "V1",
            Self::V4 => "V4",
            Self::V5 => "V5",
        }
    }
}

/// Why octets are not a seal or a seal signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SesError {
    #[error("not DER: {0}")]
    Der(String),
    #[error("structure: {0}")]
    Structure(&'static str),
    #[error("a seal of one version in a signature of another")]
    VersionMix,
    #[error("the header does not say ES")]
    HeaderId,
}

impl SesError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Der(_) => "SIGNED_VALUE_DER",
            Self::Structure(_) => "SES_STRUCTURE",
            Self::VersionMix => "SES_VERSION_MIX",
            Self::HeaderId => "SEAL_HEADER_ID",
        }
    }
}

impl From<DerError> for SesError {
    fn from(error: DerError) -> Self {
        Self::Der(error.to_string())
    }
}

/// Who may sign with a seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerList<'a> {
    /// Whole certificates (`certListType` 1, and V1).
    Certificates(Vec<&'a [u8]>),
    /// Digests of certificates with the name of the algorithm, free text (`certListType` 2).
    Digests(Vec<(String, &'a [u8])>),
}

/// The image of a seal. Never decoded before the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    /// `png`, `jpg`, `ofd` …, in any case.
    pub kind: String,
    pub data: &'a [u8],
    /// Millimetres.
    pub width: i64,
    pub height: i64,
}

/// A BIT STRING: its octets, and how many bits of the last one the producer calls unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits<'a> {
    pub octets: &'a [u8],
    pub unused: u8,
}

impl Bits<'_> {
    /// The octets, with zero octets put back that some encoders cut from the end of a BIT STRING (at most two), so
    /// that there are `len`.
    pub fn padded(&self, len: usize) -> Vec<u8> {
        let mut out = self.octets.to_vec();
        if out.len() < len && len - out.len() <= 2 {
            out.resize(len, 0);
        }
        out
    }

    /// As a signature: a SEQUENCE of INTEGERs in DER, or `r‖s`, that lost zero octets at its end gets them back.
    pub fn signature(&self) -> Vec<u8> {
        match self.octets {
            // Of P-521 the length takes two octets.
            [tag::SEQUENCE, 0..=0x7f, tag::INTEGER, ..] | [tag::SEQUENCE, 0x81, _, tag::INTEGER, ..] => {
                restored(self.octets)
            }
            _ => self.padded(64),
        }
    }

    /// What a time-stamp over this signature may be over: the value as it was made, or what an encoder left of it that cuts zero
    /// octets from its end. Zeros tell nothing that could be changed: all of them stand for the one signature.
    pub fn stamped(&self) -> Vec<Vec<u8>> {
        let whole = self.signature();
        let zeros = whole.iter().rev().take(2).take_while(|octet| **octet == 0).count();
        (0..=zeros).map(|cut| whole[..whole.len() - cut].to_vec()).collect()
    }
}

/// An electronic seal (`SESeal`).
#[derive(Clone, Debug)]
pub struct Seal<'a> {
    pub version: Version,
    /// The whole seal as received.
    pub raw: &'a [u8],
    pub header_version: i64,
    /// Who made the seal system.
    pub vid: String,
    /// The seal's own number.
    pub id: String,
    /// Kind of seal; values differ between systems, so nothing is decided on it.
    pub kind: i64,
    pub name: String,
    pub signers: SignerList<'a>,
    pub created: UnixMillis,
    pub valid_from: UnixMillis,
    pub valid_to: UnixMillis,
    pub picture: Picture<'a>,
    /// The octets the maker signed.
    pub signed: Vec<u8>,
    pub maker: &'a [u8],
    pub algorithm: Oid,
    pub signature: Bits<'a>,
    pub time_stamp: Option<&'a [u8]>,
}

/// When a signer says the seal was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignTime<'a> {
    /// A readable claim.
    Claimed(times::Written),
    /// A time-stamp token in place of a time (allowed in V1).
    Token(&'a [u8]),
    Unreadable,
}

/// A seal applied to a file (`SES_Signature`).
#[derive(Clone, Debug)]
pub struct SealSignature<'a> {
    pub version: Version,
    pub seal: Seal<'a>,
    pub time: SignTime<'a>,
    pub data_hash: Bits<'a>,
    /// Normally the path of Signature.xml; some producers write something else.
    pub property: String,
    /// The octets the signer signed: `toSign`, tag and length included.
    pub signed: &'a [u8],
    pub signer: &'a [u8],
    pub algorithm: Oid,
    pub signature: Bits<'a>,
    pub time_stamp: Option<&'a [u8]>,
}

/// Elements of a SEQUENCE.
fn list<'a>(element: &Element<'a>, what: &'static str) -> Result<Vec<Element<'a>>, SesError> {
    if element.tag != tag::SEQUENCE {
        return Err(SesError::Structure(what));
    }
    let mut reader = element.inside();
    let mut out = Vec::new();
    while !reader.is_empty() {
        // The largest list is that of certificates; no seal has a thousand.
        if out.len() >= 1_000 {
            return Err(SesError::Structure("too many elements"));
        }
        out.push(reader.element()?);
    }
    Ok(out)
}

fn octets<'a>(element: &Element<'a>, what: &'static str) -> Result<&'a [u8], SesError> {
    if element.tag == tag::OCTET_STRING { Ok(element.content) } else { Err(SesError::Structure(what)) }
}

/// All our BIT STRINGs hold whole octets. Encoders built on OpenSSL count the zero bits at the end as unused: exactly
/// that is taken beside 0, and nothing else.
fn bits<'a>(element: &Element<'a>, what: &'static str) -> Result<Bits<'a>, SesError> {
    let (true, Some((&unused, octets))) = (element.tag == tag::BIT_STRING, element.content.split_first()) else {
        return Err(SesError::Structure(what));
    };
    let zeros = octets.last().map_or(0, |last| last.trailing_zeros());
    if unused == 0 || u32::from(unused) == zeros && unused < 8 {
        Ok(Bits { octets, unused })
    } else {
        Err(SesError::Structure(what))
    }
}

/// A producer that writes 0 unused bits over a digest that ends in zero bits does not count them in its signature.
fn one_habit(data_hash: &Bits<'_>, signature: &Bits<'_>) -> Result<(), SesError> {
    let counts = data_hash.unused > 0 || data_hash.octets.last().is_none_or(|last| last & 1 == 1);
    if counts || signature.unused == 0 { Ok(()) } else { Err(SesError::Structure("unused bits")) }
}

fn integer(element: &Element<'_>, what: &'static str) -> Result<i64, SesError> {
    let bytes = element.content;
    if element.tag != tag::INTEGER || bytes.is_empty() || bytes.len() > 8 {
        return Err(SesError::Structure(what));
    }
    let sign = if bytes[0] & 0x80 != 0 { -1 } else { 0 };
    Ok(bytes.iter().fold(sign, |n, &b| n << 8 | i64::from(b)))
}

/// Any string type: producers mix them. Octets that are not UTF-8 are shown as replacement characters.
fn text(element: &Element<'_>, what: &'static str) -> Result<String, SesError> {
    match element.tag {
        tag::IA5_STRING | tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::VISIBLE_STRING => {
            Ok(String::from_utf8_lossy(element.content).into_owned())
        }
        tag::T61_STRING => Ok(element.content.iter().map(|&b| char::from(b)).collect()),
        tag::BMP_STRING => {
            let (units, rest) = element.content.as_chunks::<2>();
            let units = units.iter().map(|pair| u16::from_be_bytes(*pair));
            match char::decode_utf16(units).collect() {
                Ok(text) if rest.is_empty() => Ok(text),
                _ => Err(SesError::Structure(what)),
            }
        }
        _ => Err(SesError::Structure(what)),
    }
}

fn oid(element: &Element<'_>, what: &'static str) -> Result<Oid, SesError> {
    if element.tag != tag::OID {
        return Err(SesError::Structure(what));
    }
    Ok(Oid::from_content(element.content)?)
}

/// A time type, or a string type with a time in it: some producers print where they should encode.
fn written(element: &Element<'_>, what: &'static str) -> Result<Option<times::Written>, SesError> {
    let text = match element.tag {
        // Seconds may be left out of it, as BER allows.
        tag::UTC_TIME => match String::from_utf8_lossy(element.content) {
            text if text.find(|c: char| !c.is_ascii_digit()) == Some(10) => format!("{}00{}", &text[..10], &text[10..]),
            text => text.into_owned(),
        },
        tag::GENERALIZED_TIME => return Ok(times::read_generalized(&String::from_utf8_lossy(element.content))),
        _ => text(element, what)?,
    };
    Ok(times::read(&text))
}

fn time(element: &Element<'_>, what: &'static str) -> Result<UnixMillis, SesError> {
    written(element, what)?.map(|w| w.at).ok_or(SesError::Structure(what))
}

/// `timeStamp [0] EXPLICIT BIT STRING`; the token is in the bit string, or (seen in drafts) directly inside the tag.
fn time_stamp<'a>(element: &Element<'a>) -> Result<&'a [u8], SesError> {
    if element.tag != tag::context(0) {
        return Err(SesError::Structure("time-stamp"));
    }
    let inner = only(element.content)?;
    if inner.tag == tag::BIT_STRING { Ok(bits(&inner, "time-stamp")?.octets) } else { Ok(inner.full) }
}

/// Reads a seal (`SESeal`, the content of a `.esl` file).
pub fn seal(bytes: &[u8]) -> Result<Seal<'_>, SesError> {
    seal_of(&only(bytes)?)
}

fn seal_of<'a>(element: &Element<'a>) -> Result<Seal<'a>, SesError> {
    let parts = list(element, "seal")?;
    let info = parts.first().ok_or(SesError::Structure("seal"))?;
    let (mut version, signed, maker, algorithm, signature, stamp) = match &parts[..] {
        [_, sign_info] => {
            let inner = list(sign_info, "sign info")?;
            let [cert, algorithm, signature] = &inner[..] else { return Err(SesError::Structure("sign info")) };
            // GM/T 0031-2014: the maker signs a new SEQUENCE of these three.
            let signed = write::sequence(&[info.full, cert.full, algorithm.full]);
            (Version::V1, signed, *cert, *algorithm, *signature, None)
        }
        [_, cert, algorithm, signature] => (Version::V4, info.full.to_vec(), *cert, *algorithm, *signature, None),
        [_, cert, algorithm, signature, stamp] => {
            (Version::V5, info.full.to_vec(), *cert, *algorithm, *signature, Some(time_stamp(stamp)?))
        }
        _ => return Err(SesError::Structure("seal")),
    };
    let fields = list(info, "seal info")?;
    let [header, id, property, picture, extensions @ ..] = &fields[..] else {
        return Err(SesError::Structure("seal info"));
    };
    if extensions.len() > 1 {
        return Err(SesError::Structure("seal info"));
    }
    let header = list(header, "header")?;
    let [es, header_version, vid] = &header[..] else { return Err(SesError::Structure("header")) };
    if text(es, "header")? != "ES" {
        return Err(SesError::HeaderId);
    }
    let header_version = integer(header_version, "header version")?;
    if version == Version::V4 && header_version == 5 {
        version = Version::V5;
    }
    let property = property_of(&list(property, "property")?, version)?;
    let picture = list(picture, "picture")?;
    let [kind, data, width, height] = &picture[..] else { return Err(SesError::Structure("picture")) };
    Ok(Seal {
        version,
        raw: element.full,
        header_version,
        vid: text(vid, "vid")?,
        id: text(id, "esID")?,
        kind: property.kind,
        name: property.name,
        signers: property.signers,
        created: property.created,
        valid_from: property.valid_from,
        valid_to: property.valid_to,
        picture: Picture {
            kind: text(kind, "picture type")?,
            data: octets(data, "picture data")?,
            width: integer(width, "picture width")?,
            height: integer(height, "picture height")?,
        },
        signed,
        maker: octets(&maker, "maker certificate")?,
        algorithm: oid(&algorithm, "maker algorithm")?,
        signature: bits(&signature, "maker signature")?,
        time_stamp: stamp,
    })
}

struct Property<'a> {
    kind: i64,
    name: String,
    signers: SignerList<'a>,
    created: UnixMillis,
    valid_from: UnixMillis,
    valid_to: UnixMillis,
}

fn property_of<'a>(parts: &[Element<'a>], version: Version) -> Result<Property<'a>, SesError> {
    let (kind, name, list_type, certs, dates) = match (version, parts) {
        (Version::V1, [kind, name, certs, dates @ ..]) if dates.len() == 3 => (kind, name, 1, certs, dates),
        (Version::V4 | Version::V5, [kind, name, list_type, certs, dates @ ..]) if dates.len() == 3 => {
            (kind, name, integer(list_type, "certListType")?, certs, dates)
        }
        _ => return Err(SesError::Structure("property")),
    };
    let certs = list(certs, "certList")?;
    let signers = match list_type {
        1 => SignerList::Certificates(certs.iter().map(|c| octets(c, "certList")).collect::<Result<_, _>>()?),
        2 => {
            let mut digests = Vec::new();
            for item in &certs {
                let pair = list(item, "certList")?;
                let [kind, value] = &pair[..] else { return Err(SesError::Structure("certList")) };
                digests.push((text(kind, "certList")?, octets(value, "certList")?));
            }
            SignerList::Digests(digests)
        }
        _ => return Err(SesError::Structure("certListType")),
    };
    Ok(Property {
        kind: integer(kind, "seal type")?,
        name: text(name, "seal name")?,
        signers,
        created: time(&dates[0], "createDate")?,
        valid_from: time(&dates[1], "validStart")?,
        valid_to: time(&dates[2], "validEnd")?,
    })
}

/// Reads a seal signature (`SES_Signature`, the content of `SignedValue.dat`).
pub fn signature(bytes: &[u8]) -> Result<SealSignature<'_>, SesError> {
    let element = only(bytes)?;
    let parts = list(&element, "seal signature")?;
    match &parts[..] {
        [to_sign, value] => signature_v1(to_sign, value),
        [to_sign, cert, algorithm, value] => signature_v4(to_sign, cert, algorithm, value, None),
        [to_sign, cert, algorithm, value, stamp] => {
            signature_v4(to_sign, cert, algorithm, value, Some(time_stamp(stamp)?))
        }
        _ => Err(SesError::Structure("seal signature")),
    }
}

fn signature_v1<'a>(to_sign: &Element<'a>, value: &Element<'a>) -> Result<SealSignature<'a>, SesError> {
    let parts = list(to_sign, "toSign")?;
    let [version, eseal, time_info, data_hash, property, cert, algorithm] = &parts[..] else {
        // The arity of a V4 toSign in a V1 frame is a mix, not a broken V1.
        return Err(if matches!(parts.len(), 5 | 6) { SesError::VersionMix } else { SesError::Structure("toSign") });
    };
    integer(version, "toSign version")?;
    let seal = seal_of(eseal)?;
    if seal.version != Version::V1 {
        return Err(SesError::VersionMix);
    }
    let (data_hash, signature) = (bits(data_hash, "dataHash")?, bits(value, "signer signature")?);
    one_habit(&data_hash, &signature)?;
    Ok(SealSignature {
        version: Version::V1,
        seal,
        time: sign_time(time_info)?,
        data_hash,
        property: text(property, "propertyInfo")?,
        signed: to_sign.full,
        signer: octets(cert, "signer certificate")?,
        algorithm: oid(algorithm, "signer algorithm")?,
        signature,
        time_stamp: None,
    })
}

fn signature_v4<'a>(
    to_sign: &Element<'a>,
    cert: &Element<'a>,
    algorithm: &Element<'a>,
    value: &Element<'a>,
    time_stamp: Option<&'a [u8]>,
) -> Result<SealSignature<'a>, SesError> {
    let parts = list(to_sign, "toSign")?;
    let [version, eseal, time_info, data_hash, property, extensions @ ..] = &parts[..] else {
        return Err(SesError::Structure("toSign"));
    };
    match extensions {
        [] => {}
        [one] if one.tag == tag::context(0) || one.tag == tag::SEQUENCE => {}
        [_, _] => return Err(SesError::VersionMix), // a V1 toSign in a V4 frame
        _ => return Err(SesError::Structure("toSign")),
    }
    integer(version, "toSign version")?;
    let seal = seal_of(eseal)?;
    if seal.version == Version::V1 {
        return Err(SesError::VersionMix);
    }
    let (data_hash, signature) = (bits(data_hash, "dataHash")?, bits(value, "signer signature")?);
    one_habit(&data_hash, &signature)?;
    Ok(SealSignature {
        version: seal.version,
        seal,
        time: sign_time(time_info)?,
        data_hash,
        property: text(property, "propertyInfo")?,
        signed: to_sign.full,
        signer: octets(cert, "signer certificate")?,
        algorithm: oid(algorithm, "signer algorithm")?,
        signature,
        time_stamp,
    })
}

/// `timeInfo`: opaque in V1, in a BIT STRING, a time in V4; some write the one in place of the other.
fn sign_time<'a>(element: &Element<'a>) -> Result<SignTime<'a>, SesError> {
    match element.tag {
        tag::BIT_STRING => Ok(opaque_time(bits(element, "timeInfo")?.octets)),
        _ => Ok(written(element, "timeInfo")?.map_or(SignTime::Unreadable, SignTime::Claimed)),
    }
}

/// V1 leaves the inside of `timeInfo` open: text, a DER time, or a time-stamp token.
fn opaque_time(octets: &[u8]) -> SignTime<'_> {
    let inner = match octets.first() {
        Some(&(tag::UTC_TIME | tag::GENERALIZED_TIME | tag::PRINTABLE_STRING)) => {
            only(octets).map(|e| e.content).unwrap_or(octets)
        }
        Some(&tag::SEQUENCE) => return SignTime::Token(octets),
        _ => octets,
    };
    let text = std::str::from_utf8(inner).ok().map(|t| t.trim_end_matches('\0'));
    text.and_then(times::read).map_or(SignTime::Unreadable, SignTime::Claimed)
}
