//! One signature more on an OFD that exists already: a seal (GB/T 38540 V4), or a plain signature (GM/T 0099, GB/T 35275).
//!
//! ```text
//!  OFD.xml ─▶ list of signatures (made if there is none) + one line ─┐
//!  every file, digested as it is ─▶ Signature.xml ─▶ signed value ───┴─▶ package; nothing else changes
//! ```
//! Earlier signatures stay good: a list that one of them covers is locked, and the package is refused.

use std::io::{Read, Write};

use super::MakeError;
use super::seal::{Form, HEAD, NS, SM2_WITH_SM3, signature_xml, signed_value};
use crate::formats::xml;
use crate::formats::zip::{Archive, DosTime, Packing, Source, Writer, ZipError};
use crate::licences::ofd::{self, ENTRANCE, Listed, shown};
use crate::licences::ses::{self, SignerList};
use crate::licences::suite::{digest_stream, sm3};
use crate::licences::verdict::Finding;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::cms::{self, Spelling, TimeStamp};
use crate::trust::suite::{DigestAlgorithm, Signer};

/// How the signature is made.
pub struct Apply<'a> {
    /// `SESeal` in DER; a plain signature without one.
    pub seal: Option<&'a [u8]>,
    pub signer: &'a dyn Signer,
    /// The signer's certificate first. All of it goes into a plain signature, the first into a seal's.
    pub chain: &'a [Certificate],
    pub at: UnixMillis,
    pub time_stamp: Option<TimeStamp<'a>>,
    /// Covers the list of signatures: no further one can follow.
    pub lock: bool,
}

/// Largest XML file of the package's structure.
const XML_MAX: u64 = 8 << 20;

fn unfit(finding: Finding) -> MakeError {
    MakeError::Package(format!("{} {}", finding.code, finding.detail))
}

fn refuse<T>(why: &str) -> Result<T, MakeError> {
    Err(MakeError::Package(why.to_owned()))
}

/// Writes the package with one signature more to `out`.
///
/// # Errors
/// [`MakeError::Package`] for one that is no OFD of one document, or whose list is locked; [`MakeError::SignerNotInSeal`];
/// [`MakeError::Sign`] also when no time-stamp could be had.
pub fn apply<S: Source, W: Write>(package: &Archive<S>, with: &Apply<'_>, out: W) -> Result<W, MakeError> {
    let cert = with.chain.first().ok_or_else(|| MakeError::Sign("no certificate".to_owned()))?;
    let size = match with.seal {
        None => None,
        Some(seal) => {
            let seal = ses::seal(seal)?;
            if !matches!(&seal.signers, SignerList::Certificates(list) if list.contains(&cert.der())) {
                return Err(MakeError::SignerNotInSeal);
            }
            Some(seal.picture.width)
        }
    };
    let place = Place::find(package)?;
    let folder = place.folder(package);
    let named = |name: &str| format!("{folder}/{name}");
    let (signature, value, seal) = (named("Signature.xml"), named("SignedValue.dat"), named("Seal.esl"));
    let kind = if with.seal.is_some() { "Seal" } else { "Sign" };
    let list = place.longer(kind, &signature)?;

    // What is new or changed, and what stays as it is.
    let mut written: Vec<(&str, &[u8])> = vec![(&place.list, &list)];
    written.extend(place.entrance.as_deref().map(|bytes| (ENTRANCE, bytes)));
    written.extend(with.seal.map(|octets| (seal.as_str(), octets)));
    let kept: Vec<_> = package.files().filter(|e| written.iter().all(|(name, _)| *name != e.name)).collect();
    let mut digests = Vec::new();
    for entry in &kept {
        let digest = digest_stream(DigestAlgorithm::Sm3, &mut package.reader(entry)).map_err(ZipError::from_io)?;
        digests.push((entry.name.as_str(), digest));
    }
    let covered = written.iter().filter(|(name, _)| with.lock || *name != place.list);
    digests.extend(covered.map(|(name, bytes)| (*name, sm3(bytes).to_vec())));

    let method = if with.seal.is_some() { SM2_WITH_SM3 } else { with.signer.algorithm().oid() };
    let seal_at = size.map(|size| (seal.as_str(), size, place.page.as_str()));
    let xml = signature_xml(&digests, &Form { at: with.at, method, seal: seal_at, value: &value }).into_bytes();
    let signed = match with.seal {
        Some(seal) => signed_value(seal, (&signature, &xml), with.signer, cert, with.at, with.time_stamp)?,
        None => {
            let digest = with.signer.algorithm().digest().of(&xml);
            let made = cms::sign_detached_with(
                with.signer,
                with.chain,
                &digest,
                Some(with.at),
                Spelling::National,
                with.time_stamp,
            );
            made.map_err(|e| MakeError::Sign(e.to_string()))?
        }
    };
    written.extend([(signature.as_str(), &xml[..]), (value.as_str(), &signed[..])]);
    let mut writer = Writer::new(out, DosTime::day_of(with.at));
    for entry in kept {
        writer.add_from(&entry.name, Packing::Deflated, &mut package.reader(entry).take(u64::MAX))?;
    }
    for (name, bytes) in written {
        writer.add(name, Packing::Deflated, bytes)?;
    }
    Ok(writer.finish()?)
}

/// Where the signature goes.
struct Place {
    /// Entry name of the list of signatures.
    list: String,
    /// The list's text; none yet where there is no list.
    text: Option<String>,
    lines: Vec<Listed>,
    /// OFD.xml anew, where it did not name a list.
    entrance: Option<Vec<u8>>,
    /// ID of the first page.
    page: String,
}

impl Place {
    fn find<S: Source>(package: &Archive<S>) -> Result<Self, MakeError> {
        let entrance = ofd::entrance(package).map_err(unfit)?;
        let [body] = &entrance.bodies[..] else { return refuse("more than one document") };
        let page = body.root.as_deref().and_then(|root| first_page(package, root)).unwrap_or_else(|| "1".to_owned());
        if let Some(loc) = &body.signatures {
            let (list, lines) = ofd::signature_list(package, loc).map_err(unfit)?;
            for line in &lines {
                let (signature, _) = ofd::signature(package, &line.file).map_err(unfit)?;
                if signature.references.iter().any(|r| r.file == list) {
                    return refuse("an earlier signature covers the list of signatures: nothing may follow it");
                }
            }
            let text = String::from_utf8(package.read(&list, XML_MAX)?);
            let text = text.or_else(|_| refuse("the list of signatures is not in UTF-8"))?;
            return Ok(Self { list, text: Some(text), lines, entrance: None, page });
        }
        let folder = body.root.as_deref().and_then(|root| root.rsplit_once('/')).map_or("Doc_0", |(folder, _)| folder);
        let list = format!("{folder}/Signs/Signatures.xml");
        if package.find(&list).is_some() {
            return refuse("a list of signatures is there, and OFD.xml does not name it");
        }
        let text = String::from_utf8(entrance.bytes).or_else(|_| refuse("OFD.xml is not in UTF-8"))?;
        let Some(text) = before_end(&text, "DocBody", |p| format!("<{p}Signatures>/{list}</{p}Signatures>")) else {
            return refuse("OFD.xml has no end of its document");
        };
        let named = xml::parse(text.as_bytes(), &xml::Limits::default()).ok();
        let named = named.and_then(|root| root.all("DocBody").next()?.field("Signatures").ok()?.map(str::to_owned));
        if named != Some(format!("/{list}")) {
            return refuse("OFD.xml cannot be made to name a list of signatures");
        }
        Ok(Self { list, text: None, lines: Vec::new(), entrance: Some(text.into_bytes()), page })
    }

    fn number(&self) -> usize {
        let numbers = self.lines.iter().filter_map(|line| line.id.parse::<usize>().ok());
        numbers.filter(|n| *n < 1_000_000).max().unwrap_or(0) + 1
    }

    /// A folder of its own, beside the list.
    fn folder<S: Source>(&self, package: &Archive<S>) -> String {
        let beside = self.list.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let free = |folder: &String| package.entries().iter().all(|e| !e.name.starts_with(folder.as_str()));
        let mut folders = (self.number()..).map(|n| format!("{beside}Sign_{n}"));
        folders.find(free).unwrap_or_default()
    }

    /// The list with one line more.
    fn longer(&self, kind: &str, signature: &str) -> Result<Vec<u8>, MakeError> {
        let (id, at) = (self.number(), xml::escape(signature));
        let line = |p: &str| format!("<{p}Signature ID=\"{id}\" Type=\"{kind}\" BaseLoc=\"/{at}\"/>");
        let Some(text) = &self.text else {
            return Ok(fresh(id, &line("ofd:")));
        };
        let root = xml::parse(text.as_bytes(), &xml::Limits::default());
        let known = root.as_ref().ok().and_then(|root| root.field("MaxSignId").ok().flatten());
        let longer = match before_end(text, "Signatures", line) {
            Some(longer) => longer,
            // An empty element: nothing to keep.
            None if self.lines.is_empty() => {
                return Ok(fresh(id, &line("ofd:")));
            }
            None => return refuse("the list of signatures cannot be made longer"),
        };
        let longer = match known {
            Some(known) => longer.replacen(&format!("MaxSignId>{known}<"), &format!("MaxSignId>{id}<"), 1),
            None => longer,
        };
        let count = xml::parse(longer.as_bytes(), &xml::Limits::default()).map(|root| root.all("Signature").count());
        if count.ok() != Some(self.lines.len() + 1) {
            return refuse(&format!("the list of signatures cannot be made longer: {}", shown(&self.list)));
        }
        Ok(longer.into_bytes())
    }
}

/// A list of one signature.
fn fresh(id: usize, line: &str) -> Vec<u8> {
    let max = format!("<ofd:MaxSignId>{id}</ofd:MaxSignId>");
    format!("{HEAD}<ofd:Signatures {NS}>{max}{line}</ofd:Signatures>").into_bytes()
}

/// Text with something put before the last end tag of that name; it is told the tag's prefix.
fn before_end(text: &str, name: &str, more: impl Fn(&str) -> String) -> Option<String> {
    let mut ends = text.match_indices("</").map(|(at, _)| at).collect::<Vec<_>>().into_iter().rev();
    ends.find_map(|at| {
        let tag = text[at + 2..].split('>').next()?.trim_end();
        let (prefix, local) = tag.rsplit_once(':').map_or(("", tag), |(p, local)| (&tag[..p.len() + 1], local));
        (local == name).then(|| format!("{}{}{}", &text[..at], more(prefix), &text[at..]))
    })
}

fn first_page<S: Source>(package: &Archive<S>, root: &str) -> Option<String> {
    let document = xml::parse(&package.read(root, XML_MAX).ok()?, &xml::Limits::default()).ok()?;
    let page = document.at_most_one("Pages").ok()??.all("Page").next()?.attr("ID")?.to_owned();
    Some(page)
}
