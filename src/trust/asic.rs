//! ASiC-E with CAdES (ETSI EN 319 162-1): files, a manifest of their digests, a detached signature over the manifest.
//!
//! ```text
//!  mimetype · files… · META-INF/ASiCManifest.xml ◀─signed by─ META-INF/signature.p7s
//!                          └─ a digest of every file
//! ```
//! The same bytes on the wire, in the archive and in an auditor's hand; the parts check with `openssl cms`.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;

use super::certificate::Certificate;
use super::cms::{self, CmsError, Signed};
use super::suite::{DigestAlgorithm, Hasher, Signer};
use crate::formats::xml::{self, XmlError};
use crate::formats::zip::{Archive, DosTime, Limits, Packing, Source, Writer, ZipError};
use crate::terms::{Digest, UnixMillis};

const MIMETYPE: &str = "application/vnd.etsi.asic-e+zip";
const MANIFEST: &str = "META-INF/ASiCManifest.xml";
const SIGNATURE: &str = "META-INF/signature.p7s";
/// Largest manifest and signature in octets.
const SMALL: u64 = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub enum AsicError {
    #[error("container: {0}")]
    Zip(#[from] ZipError),
    #[error("container: {0}")]
    Xml(#[from] XmlError),
    #[error("container: {0}")]
    Cms(#[from] CmsError),
    #[error("container: {0}")]
    Io(#[from] io::Error),
    #[error("container: {0}")]
    Form(&'static str),
    #[error("container: {0} is not what was sealed")]
    Changed(String),
    #[error("container: {0} is not covered by the seal")]
    Uncovered(String),
    #[error("container: {0} is sealed, but not in it")]
    Missing(String),
}

/// One file on its way into a container. Its digest is known before it is read again.
pub struct Part<'a> {
    pub name: String,
    pub media: String,
    /// SHA-256.
    pub digest: Digest,
    pub content: Box<dyn Read + 'a>,
}

impl<'a> Part<'a> {
    pub fn whole(name: &str, media: &str, bytes: &'a [u8]) -> Self {
        Self { name: name.into(), media: media.into(), digest: Digest::of(bytes), content: Box::new(bytes) }
    }
}

/// Writes a sealed container. The same parts, key and time give the same bytes wherever the signature algorithm is
/// deterministic.
///
/// # Errors
/// [`AsicError::Changed`] when a part is not what its digest says.
pub fn seal<W: Write>(
    out: W,
    parts: Vec<Part<'_>>,
    signer: &dyn Signer,
    chain: &[Certificate],
    at: UnixMillis,
) -> Result<W, AsicError> {
    seal_with(out, parts, signer, chain, at, None)
}

/// As [`seal`], with a time-stamp over the signature (CAdES baseline B-T).
pub fn seal_with<W: Write>(
    out: W,
    parts: Vec<Part<'_>>,
    signer: &dyn Signer,
    chain: &[Certificate],
    at: UnixMillis,
    time_stamp: Option<cms::TimeStamp<'_>>,
) -> Result<W, AsicError> {
    let manifest = manifest(&parts);
    let digest = signer.algorithm().digest().of(manifest.as_bytes());
    let international = cms::Spelling::International;
    let signature = cms::sign_detached_with(signer, chain, &digest, Some(at), international, time_stamp)?;
    let mut writer = Writer::new(out, DosTime::day_of(at));
    writer.add("mimetype", Packing::Stored, MIMETYPE.as_bytes())?;
    for part in parts {
        let mut tee = Tee { inner: part.content, hasher: Hasher::new(DigestAlgorithm::Sha256) };
        writer.add_from(&part.name, Packing::Stored, &mut tee)?;
        if tee.hasher.finish() != part.digest.0 {
            return Err(AsicError::Changed(part.name));
        }
    }
    writer.add(MANIFEST, Packing::Stored, manifest.as_bytes())?;
    writer.add(SIGNATURE, Packing::Stored, &signature)?;
    Ok(writer.finish()?)
}

struct Tee<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: Hasher,
}

impl Read for Tee<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.hasher.update(&out[..n]);
        Ok(n)
    }
}

fn manifest(parts: &[Part<'_>]) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ASiCManifest xmlns=\"http://uri.etsi.org/02918/v1.2.1#\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">\n",
    );
    out.push_str(&format!("  <SigReference URI=\"{SIGNATURE}\" MimeType=\"application/pkcs7-signature\"/>\n"));
    for part in parts {
        out.push_str(&format!(
            "  <DataObjectReference URI=\"{}\" MimeType=\"{}\"><ds:DigestMethod Algorithm=\"{}\"/><ds:DigestValue>{}</ds:DigestValue></DataObjectReference>\n",
            xml::escape(&part.name),
            xml::escape(&part.media),
            DigestAlgorithm::Sha256.uri(),
            B64.encode(part.digest.0)
        ));
    }
    out.push_str("</ASiCManifest>\n");
    out
}

/// A file of an opened container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub name: String,
    pub media: String,
    pub digest: Digest,
    pub size: u64,
}

/// A container whose signature and digests hold. Whether the signer is trusted is for the caller to judge.
pub struct Open<S> {
    pub archive: Archive<S>,
    pub files: Vec<Sealed>,
    pub signed: Signed,
}

/// Opens a container: signature over the manifest, digest of every file, and no file beside them.
pub fn open<S: Source>(source: S, limits: &Limits) -> Result<Open<S>, AsicError> {
    let archive = Archive::open(source, limits)?;
    if archive.read("mimetype", 256)? != MIMETYPE.as_bytes() {
        return Err(AsicError::Form("the media type is not that of ASiC-E"));
    }
    let manifest = archive.read(MANIFEST, SMALL)?;
    let signature = archive.read(SIGNATURE, SMALL)?;
    let signed = cms::verify_detached(&signature, &mut |algorithm| algorithm.of(&manifest))?;
    let files = read_manifest(&manifest, &archive)?;
    for file in &files {
        let entry = archive.find(&file.name).ok_or_else(|| AsicError::Missing(file.name.clone()))?;
        let mut reader = archive.reader(entry);
        let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        if hasher.finish() != file.digest.0 {
            return Err(AsicError::Changed(file.name.clone()));
        }
    }
    let mut known: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    known.extend(["mimetype", MANIFEST, SIGNATURE]);
    for entry in archive.files() {
        if !known.contains(entry.name.as_str()) {
            return Err(AsicError::Uncovered(entry.name.clone()));
        }
    }
    Ok(Open { archive, files, signed })
}

fn read_manifest<S: Source>(bytes: &[u8], archive: &Archive<S>) -> Result<Vec<Sealed>, AsicError> {
    let root = xml::parse(bytes, &xml::Limits::default())?.named("ASiCManifest")?;
    if root.one("SigReference")?.attr("URI") != Some(SIGNATURE) {
        return Err(AsicError::Form("the manifest belongs to another signature"));
    }
    let mut files: Vec<Sealed> = Vec::new();
    let mut names = HashSet::new();
    for reference in root.all("DataObjectReference") {
        let name = reference.attr("URI").ok_or(AsicError::Form("a reference without URI"))?.to_owned();
        if !names.insert(name.clone()) {
            return Err(AsicError::Form("two references to one file"));
        }
        if reference.one("DigestMethod")?.attr("Algorithm") != Some(DigestAlgorithm::Sha256.uri()) {
            return Err(AsicError::Form("a digest other than SHA-256"));
        }
        let value = B64.decode(reference.one("DigestValue")?.trimmed()).ok();
        let digest = value.and_then(|v| v.try_into().ok()).ok_or(AsicError::Form("a digest that is not one"))?;
        let size = archive.find(&name).ok_or_else(|| AsicError::Missing(name.clone()))?.size;
        let media = reference.attr("MimeType").unwrap_or("application/octet-stream").to_owned();
        files.push(Sealed { name, media, digest: Digest(digest), size });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, SigningKey};

    fn sealed(algorithm: SignatureAlgorithm) -> Vec<u8> {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        let subject = Subject::named("gateway", "test");
        let spki = key.public_key().to_spki();
        let (from, to) = (UnixMillis(0), UnixMillis(4_000_000_000_000));
        let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, Use::Signer, from, to).unwrap();
        let chain = [Certificate::parse(&der).unwrap()];
        let parts = vec![
            Part::whole("message.json", "application/json", b"{}"),
            Part::whole("materials/1.ofd", "application/ofd", b"not really"),
        ];
        seal(Vec::new(), parts, &key, &chain, UnixMillis(1_790_000_000_000)).unwrap()
    }

    #[test]
    fn containers_open_and_changed_ones_do_not() {
        for algorithm in [SignatureAlgorithm::EcdsaP256Sha256, SignatureAlgorithm::Sm2Sm3] {
            let bytes = sealed(algorithm);
            let open_it = |bytes: Vec<u8>| open(bytes, &Limits::default());
            let opened = open_it(bytes.clone()).unwrap();
            assert_eq!(
                opened.files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
                ["message.json", "materials/1.ofd"]
            );
            for needle in [&b"{}"[..], b"not really", b"DataObjectReference"] {
                let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
                let mut bent = bytes.clone();
                bent[at] ^= 0x01;
                assert!(open_it(bent).is_err(), "{}", String::from_utf8_lossy(needle));
            }
        }
    }

    #[test]
    fn a_file_beside_the_seal_is_refused() {
        let opened = open(sealed(SignatureAlgorithm::EcdsaP256Sha256), &Limits::default()).unwrap();
        let mut writer = Writer::new(Vec::new(), DosTime::day_of(UnixMillis(1_790_000_000_000)));
        for entry in opened.archive.files() {
            writer.add(&entry.name, Packing::Stored, &opened.archive.read(&entry.name, 1 << 20).unwrap()).unwrap();
        }
        writer.add("extra.txt", Packing::Stored, b"x").unwrap();
        let stuffed = writer.finish().unwrap();
        assert!(matches!(open(stuffed, &Limits::default()), Err(AsicError::Uncovered(_))));
    }
}
