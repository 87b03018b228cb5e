//! OFD packages (GB/T 33190-2016), as far as verification goes.
//!
//! ```text
//!  OFD.xml ─▶ DocBody … ─▶ Signatures.xml ─▶ Signature.xml … ─▶ References, SignedValue, Seal
//! ```
//! Each element is looked for in its one place; what stands elsewhere is not there. Only the files named here are parsed:
//! genuine packages hold XML that is not even well formed in files nobody needs for a verdict.

use std::collections::HashSet;

use base64::Engine;

use super::report::short_names;
use super::verdict::{Finding, SubIndication};
use crate::formats::xml::{self, Element, XmlError};
use crate::formats::zip::{Archive, Source};

/// How large an XML file of the signature structure may be. A tree takes up to a hundred octets a node: these keep all that is held of it
/// within a few ten megabytes.
#[derive(Clone, Copy)]
struct Bounds {
    octets: u64,
    nodes: usize,
}

/// `OFD.xml`, with the data that some keep in it.
const ENTRANCE_BOUNDS: Bounds = Bounds { octets: 4 << 20, nodes: 100_000 };
/// `Signatures.xml`: a line for each of at most 64 signatures.
const LIST_BOUNDS: Bounds = Bounds { octets: 1 << 20, nodes: 20_000 };
/// `Signature.xml`: as many references as an archive may have entries, 200 octets and six nodes each.
const SIGNATURE_BOUNDS: Bounds = Bounds { octets: 4 << 20, nodes: 150_000 };
/// Largest SignedValue or seal, of which some parts are held three times: pictures of seals are some 10–100 kB, lists of revocation beside a
/// signature some megabytes.
pub(super) const BLOB_MAX: u64 = 6 << 20;

/// Why a location does not name a place in the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocError {
    /// Climbs out of the package.
    Traversal,
    /// Empty, a backslash, a control character, or a segment that names nothing.
    Shape,
    /// Not absolute, where it must be.
    Relative,
}

/// Resolves an `ST_Loc`: `/…` from the root of the package, otherwise from the folder of the file it stands in.
/// Gives the entry name, without the leading slash.
pub fn resolve(containing: &str, loc: &str) -> Result<String, LocError> {
    let loc = loc.trim();
    if loc.is_empty() || loc.ends_with('/') || loc.chars().any(|c| c == '\\' || c.is_control()) {
        return Err(LocError::Shape);
    }
    let mut parts: Vec<&str> = Vec::new();
    let relative = match loc.strip_prefix('/') {
        Some(rest) => rest,
        None => {
            parts.extend(containing.split('/'));
            parts.pop();
            loc
        }
    };
    for part in relative.split('/') {
        match part {
            "" => return Err(LocError::Shape),
            "." => {}
            ".." => {
                parts.pop().ok_or(LocError::Traversal)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Resolves a `FileRef`: absolute and already normal, since two spellings of one file would be two references to it.
pub fn resolve_reference(loc: &str) -> Result<String, LocError> {
    let loc = loc.trim();
    if loc.split(['/', '\\']).any(|part| part == "..") {
        return Err(LocError::Traversal);
    }
    let rest = loc.strip_prefix('/').ok_or(if loc.is_empty() { LocError::Shape } else { LocError::Relative })?;
    if rest.split('/').any(|part| part.is_empty() || part == ".") || rest.chars().any(|c| c == '\\' || c.is_control()) {
        return Err(LocError::Shape);
    }
    Ok(rest.to_owned())
}

/// One document of the package.
#[derive(Clone, Debug)]
pub struct DocBody {
    /// `CustomDatas` of `DocInfo`: name, value.
    pub custom: Vec<(String, String)>,
    /// Entry name of the document's root file, if it names one inside the package.
    pub root: Option<String>,
    /// Location of the signature list, as written.
    pub signatures: Option<String>,
}

/// `OFD.xml`.
#[derive(Clone, Debug)]
pub struct Entrance {
    pub bodies: Vec<DocBody>,
    /// The octets that were parsed, to be compared with what a signature covers.
    pub bytes: Vec<u8>,
}

pub const ENTRANCE: &str = "OFD.xml";

/// One line of `Signatures.xml`.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: String,
    pub kind: Kind,
    /// Entry name of its Signature.xml.
    pub file: String,
    /// The signature this one builds on (OFD 2.0).
    pub relative: Option<String>,
}

/// `Type` of a signature: a seal (the default) or a plain digital signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Seal,
    Sign,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Seal => "Seal",
            Self::Sign => "Sign",
        }
    }
}

/// One `Reference`: a file and its digest.
#[derive(Clone, Debug)]
pub struct Reference {
    pub file: String,
    pub digest: Vec<u8>,
}

/// `Signature.xml`.
#[derive(Clone, Debug)]
pub struct SignatureXml {
    pub provider: Option<String>,
    pub method: Option<String>,
    pub date_time: Option<String>,
    pub check_method: Option<String>,
    pub references: Vec<Reference>,
    /// Pages that show the stamp.
    pub stamps: usize,
    /// Entry name of the detached seal.
    pub seal: Option<String>,
    /// Entry name of the signed value.
    pub signed_value: String,
    pub bytes: Vec<u8>,
}

fn parse(bytes: &[u8], root: &str, bounds: Bounds) -> Result<Element, XmlError> {
    xml::parse(bytes, &xml::Limits { nodes: bounds.nodes, ..xml::Limits::default() })?.named(root)
}

fn bad_xml(step: u8, file: &str, error: &XmlError) -> Finding {
    Finding::format(step, error.code(), format!("{file}: {error}"))
}

fn bad_loc(step: u8, file: &str, error: LocError) -> Finding {
    let code = match error {
        LocError::Traversal => "LOC_TRAVERSAL",
        LocError::Shape => "LOC_SHAPE",
        LocError::Relative => "LOC_RELATIVE",
    };
    Finding::format(step, code, file.to_owned())
}

/// Reads an XML file of the signature structure; a damaged entry is a finding of step 1.
pub(super) fn read<S: Source>(archive: &Archive<S>, name: &str, limit: u64) -> Result<Vec<u8>, Finding> {
    archive.read(name, limit).map_err(|e| Finding::format(1, e.code(), e.to_string()))
}

/// Where a location points. A location without a slash in front counts from the containing file; a few producers count
/// from the root, which is taken only where the standard's reading names nothing.
fn locate<S: Source>(archive: &Archive<S>, containing: &str, loc: &str) -> Result<String, LocError> {
    let name = resolve(containing, loc)?;
    if archive.find(&name).is_none()
        && let Ok(other) = resolve("", loc)
        && archive.find(&other).is_some()
    {
        return Ok(other);
    }
    Ok(name)
}

/// Reads `OFD.xml`.
pub fn entrance<S: Source>(archive: &Archive<S>) -> Result<Entrance, Finding> {
    if archive.find(ENTRANCE).is_none() {
        return Err(Finding::format(2, "OFD_XML_MISSING", ENTRANCE));
    }
    let bytes = read(archive, ENTRANCE, ENTRANCE_BOUNDS.octets)?;
    let bodies = parse(&bytes, "OFD", ENTRANCE_BOUNDS)
        .and_then(|root| bodies(archive, &root))
        .map_err(|e| bad_xml(2, ENTRANCE, &e))?;
    if bodies.is_empty() {
        return Err(Finding::format(2, "OFD_NO_BODY", ENTRANCE));
    }
    Ok(Entrance { bodies, bytes })
}

fn bodies<S: Source>(archive: &Archive<S>, root: &Element) -> Result<Vec<DocBody>, XmlError> {
    let mut out = Vec::new();
    for body in root.all("DocBody") {
        let mut custom = Vec::new();
        if let Some(info) = body.at_most_one("DocInfo")?
            && let Some(datas) = info.at_most_one("CustomDatas")?
        {
            for data in datas.all("CustomData") {
                custom.push((data.attr("Name").unwrap_or_default().to_owned(), data.trimmed().to_owned()));
            }
        }
        let root = body.field("DocRoot")?.and_then(|loc| locate(archive, ENTRANCE, loc).ok());
        let signatures = body.field("Signatures")?.filter(|loc| !loc.is_empty()).map(str::to_owned);
        out.push(DocBody { custom, root, signatures });
    }
    Ok(out)
}

/// Entry name of the list of signatures that a document names.
pub fn list_at<S: Source>(archive: &Archive<S>, loc: &str) -> Result<String, Finding> {
    locate(archive, ENTRANCE, loc).map_err(|e| bad_loc(2, loc, e))
}

/// Reads one `Signatures.xml`: its entry name and its lines.
pub fn signature_list<S: Source>(archive: &Archive<S>, loc: &str) -> Result<(String, Vec<Listed>), Finding> {
    let file = list_at(archive, loc)?;
    if archive.find(&file).is_none() {
        return Err(Finding::doubt(4, "SIGNATURES_XML_MISSING", SubIndication::SignedDataNotFound, file));
    }
    let bytes = read(archive, &file, LIST_BOUNDS.octets)?;
    let root = parse(&bytes, "Signatures", LIST_BOUNDS).map_err(|e| bad_xml(2, &file, &e))?;
    let mut listed: Vec<Listed> = Vec::new();
    let (mut ids, mut files) = (HashSet::new(), HashSet::new());
    for (n, line) in root.all("Signature").enumerate() {
        let field = |name| line.field(name).map_err(|e| bad_xml(2, &file, &e));
        let id = field("ID")?.filter(|id| !id.is_empty()).map_or_else(|| format!("#{}", n + 1), str::to_owned);
        if !ids.insert(id.clone()) {
            return Err(Finding::format(2, "SIG_ID_DUPLICATE", format!("{file}: {id}")));
        }
        let kind = match field("Type")? {
            None => Kind::Seal,
            Some(word) if word.is_empty() || word.eq_ignore_ascii_case("Seal") => Kind::Seal,
            Some(word) if word.eq_ignore_ascii_case("Sign") => Kind::Sign,
            Some(other) => {
                return Err(Finding::format(2, "SIG_TYPE", format!("{file}: {}", other.escape_debug())));
            }
        };
        let loc = field("BaseLoc")?.ok_or_else(|| Finding::format(2, "SIG_BASELOC_MISSING", id.clone()))?;
        let at = locate(archive, &file, loc).map_err(|e| bad_loc(2, &file, e))?;
        if !files.insert(at.clone()) {
            return Err(Finding::format(2, "SIG_LISTED_TWICE", at));
        }
        listed.push(Listed { id, kind, file: at, relative: field("Relative")?.map(str::to_owned) });
    }
    Ok((file, listed))
}

/// Reads one `Signature.xml`. The second part of the answer are findings about its references (step 5); the structure
/// is still usable with them, so that all else can be examined.
pub fn signature<S: Source>(archive: &Archive<S>, file: &str) -> Result<(SignatureXml, Vec<Finding>), Finding> {
    if archive.find(file).is_none() {
        return Err(Finding::doubt(4, "SIGNATURE_XML_MISSING", SubIndication::SignedDataNotFound, file));
    }
    let bytes = read(archive, file, SIGNATURE_BOUNDS.octets)?;
    signature_xml(bytes, file, |loc| locate(archive, file, loc))
}

/// As [`signature`], from octets already at hand.
pub fn signature_xml(
    bytes: Vec<u8>,
    file: &str,
    locate: impl Fn(&str) -> Result<String, LocError>,
) -> Result<(SignatureXml, Vec<Finding>), Finding> {
    let bad = |e: XmlError| bad_xml(2, file, &e);
    let root = parse(&bytes, "Signature", SIGNATURE_BOUNDS).map_err(bad)?;
    let info = root.one("SignedInfo").map_err(bad)?;
    let signed_value = root.one("SignedValue").map_err(bad)?.trimmed();
    let list = info.one("References").map_err(bad)?;
    let own = |e| bad_loc(2, file, e);
    let seal = match info.at_most_one("Seal").map_err(bad)? {
        None => None,
        Some(seal) => {
            let loc = seal.field("BaseLoc").map_err(bad)?;
            let loc = loc.ok_or_else(|| Finding::format(2, "SEAL_BASELOC_MISSING", file))?;
            Some(locate(loc).map_err(own)?)
        }
    };
    let provider = match info.at_most_one("Provider").map_err(bad)? {
        None => None,
        Some(p) => p.field("ProviderName").map_err(bad)?.map(str::to_owned),
    };
    let text = |name| info.field(name).map_err(bad).map(|t| t.map(str::to_owned));
    let (mut references, mut findings, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut octets = 0;
    for reference in list.all("Reference") {
        let loc = reference.field("FileRef").map_err(bad)?.unwrap_or_default();
        let value = reference.field("CheckValue").map_err(bad)?.unwrap_or_default();
        let name = match resolve_reference(loc) {
            Ok(name) => name,
            Err(e) => {
                let code = match e {
                    LocError::Traversal => "REF_LOC_TRAVERSAL",
                    LocError::Shape => "REF_LOC_SHAPE",
                    LocError::Relative => "REF_LOC_RELATIVE",
                };
                findings.push(Finding::format(5, code, shown(loc)));
                continue;
            }
        };
        octets += name.len();
        short_names(octets)?;
        if !seen.insert(name.clone()) {
            findings.push(Finding::format(5, "REF_DUPLICATE", shown(&name)));
            continue;
        }
        let value: String = value.split_ascii_whitespace().collect();
        match base64::engine::general_purpose::STANDARD.decode(value) {
            Ok(digest) if !digest.is_empty() => references.push(Reference { file: name, digest }),
            _ => findings.push(Finding::format(5, "REF_CHECKVALUE_BASE64", shown(&name))),
        }
    }
    if list.all("Reference").next().is_none() {
        findings.push(Finding::format(5, "REF_NONE", file));
    }
    let parsed = SignatureXml {
        provider,
        method: text("SignatureMethod")?,
        date_time: text("SignatureDateTime")?,
        check_method: list.field("CheckMethod").map_err(bad)?.map(str::to_owned),
        references,
        stamps: info.all("StampAnnot").count(),
        seal,
        signed_value: locate(signed_value).map_err(own)?,
        bytes: Vec::new(),
    };
    Ok((SignatureXml { bytes, ..parsed }, findings))
}

/// A name from the file, short and printable.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(160).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        use LocError::*;
        for (containing, loc, want) in [
            ("OFD.xml", "Doc_0/Document.xml", Ok("Doc_0/Document.xml")),
            ("Doc_0/Signs/Signatures.xml", "Sign_0/Signature.xml", Ok("Doc_0/Signs/Sign_0/Signature.xml")),
            ("Doc_0/Signs/Signatures.xml", "/Doc_0/a.xml", Ok("Doc_0/a.xml")),
            ("Doc_0/a/b.xml", "../c.xml", Ok("Doc_0/c.xml")),
            ("Doc_0/b.xml", "./c.xml", Ok("Doc_0/c.xml")),
            ("Doc_0/b.xml", "../../c.xml", Err(Traversal)),
            ("Doc_0/b.xml", "/../c.xml", Err(Traversal)),
            ("b.xml", "a\\c.xml", Err(Shape)),
            ("b.xml", "a//c.xml", Err(Shape)),
            ("b.xml", "a/", Err(Shape)),
            ("b.xml", "", Err(Shape)),
        ] {
            assert_eq!(resolve(containing, loc).as_deref(), want.as_ref().copied(), "{containing} {loc}");
        }
        for (loc, want) in [
            ("/OFD.xml", Ok("OFD.xml")),
            (" /Doc_0/文.xml ", Ok("Doc_0/文.xml")),
            ("OFD.xml", Err(Relative)),
            ("/a/../OFD.xml", Err(Traversal)),
            ("/a\\..\\OFD.xml", Err(Traversal)),
            ("//OFD.xml", Err(Shape)),
            ("/./OFD.xml", Err(Shape)),
            ("", Err(Shape)),
        ] {
            assert_eq!(resolve_reference(loc).as_deref(), want.as_ref().copied(), "{loc}");
        }
    }

    #[test]
    fn a_second_set_of_references_is_not_looked_for() {
        let xml = |inner: &str| format!("<Signature>{inner}<SignedValue>v</SignedValue></Signature>").into_bytes();
        let info = r#"<SignedInfo><References CheckMethod="SM3"><Reference FileRef="/a"><CheckValue>AA==</CheckValue></Reference></References></SignedInfo>"#;
        let read = |bytes| signature_xml(bytes, "s.xml", |loc| resolve("d/s.xml", loc));
        let (good, findings) = read(xml(info)).unwrap();
        assert_eq!((good.references.len(), good.signed_value.as_str(), findings.len()), (1, "d/v", 0));
        for (inner, code) in [
            (info.repeat(2), "XML_REPEATED_ELEMENT"),
            (format!("<Object>{info}</Object>"), "XML_MISSING_ELEMENT"),
            (info.replace("</SignedInfo>", "<References/></SignedInfo>"), "XML_REPEATED_ELEMENT"),
            (info.replace("References", "Refs"), "XML_MISSING_ELEMENT"),
        ] {
            assert_eq!(read(xml(&inner)).unwrap_err().code, code);
        }
        let twice = info.replace(
            "</References>",
            r#"<Reference FileRef="/a"><CheckValue>AA==</CheckValue></Reference></References>"#,
        );
        assert_eq!(read(xml(&twice)).unwrap().1[0].code, "REF_DUPLICATE");
    }
}
