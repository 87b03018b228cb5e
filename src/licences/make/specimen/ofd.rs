//! OFD: what other producers write, and what forgers try.

use super::super::seal::{self as sealing, HEAD, NS, SM2_WITH_SM3, signature_xml, signed_value};
use super::super::{Apply, MakeError, apply, page};
use super::pki::{Pair, Pki, Sealing, seal_of};
use super::{Making, stamp};
use crate::formats::zip::{Archive, DosTime, Limits, Packing, Writer};
use crate::licences::suite::sm3;
use crate::terms::UnixMillis;
use crate::trust::cms::{self, Spelling};
use crate::trust::suite::Signer;

const LIST: &str = "Doc_0/Signs/Signatures.xml";
const SEAL: &str = "Doc_0/Signs/Sign_0/Seal.esl";
const SIGNATURE: &str = "Doc_0/Signs/Sign_0/Signature.xml";
const VALUE: &str = "Doc_0/Signs/Sign_0/SignedValue.dat";
const PAGE: &str = "Doc_0/Pages/Page_0/Content.xml";
const DATA: &str = "Doc_0/Attachs/data.json";

type Files = Vec<(String, Vec<u8>)>;
type Change = Box<dyn Fn(&mut Files)>;

/// What is put together; a variation changes something of it.
struct Draft<'a> {
    files: Files,
    seal: Vec<u8>,
    signer: &'a Pair,
    at: UnixMillis,
    stamped: bool,
    /// A plain signature instead of a seal.
    plain: bool,
    /// A plain signature after the seal.
    countersigned: bool,
    uncovered: Vec<&'static str>,
    /// How XML files are written.
    spelt: fn(String) -> Vec<u8>,
    /// Signature.xml before it is signed.
    xml: fn(String) -> String,
    /// What happens to the files after sealing.
    after: Change,
    packing: Packing,
    /// What happens to the archive's octets.
    octets: fn(Vec<u8>) -> Vec<u8>,
}

pub(super) fn make(making: &Making<'_>, variation: &str) -> Result<Vec<u8>, MakeError> {
    let pki = making.pki;
    let mut draft = Draft {
        files: page::files(&making.paper()?, pki.signed_at()),
        seal: pki.seal.clone(),
        signer: &pki.signer,
        at: pki.signed_at(),
        stamped: false,
        plain: false,
        countersigned: false,
        uncovered: Vec::new(),
        spelt: String::into_bytes,
        xml: |xml| xml,
        after: Box::new(|_| {}),
        packing: Packing::Deflated,
        octets: |octets| octets,
    };
    if variation == "unsigned" {
        draft.files.push((LIST.to_owned(), sealing::EMPTY_LIST.into()));
        return packed(&draft.files, draft.packing, draft.at);
    }
    draft.vary(making, variation)?;
    let mut files = draft.sealed(pki)?;
    (draft.after)(&mut files);
    let mut octets = packed(&files, draft.packing, draft.at)?;
    if draft.countersigned {
        let chain = std::slice::from_ref(&pki.signer.certificate);
        let with = Apply { seal: None, signer: &pki.signer.key, chain, at: draft.at, time_stamp: None, lock: true };
        octets = apply(&Archive::open(octets, &Limits::default())?, &with, Vec::new())?;
    }
    Ok((draft.octets)(octets))
}

impl<'a> Draft<'a> {
    /// Sealed by somebody else, under the usual seal maker.
    fn by(&mut self, pki: &Pki, signer: &'a Pair, sealing: &Sealing) -> Result<(), MakeError> {
        (self.signer, self.seal) = (signer, seal_of(sealing, &pki.maker, signer)?);
        Ok(())
    }

    fn vary(&mut self, making: &Making<'a>, variation: &str) -> Result<(), MakeError> {
        let pki = making.pki;
        let usual = Sealing::usual(pki.at());
        match variation {
            "good-open" => self.uncovered = vec![LIST],
            "good-sign" => self.plain = true,
            "good-two" => (self.countersigned, self.uncovered) = (true, vec![LIST]),
            "good-stamped" => self.stamped = true,
            "odd-entrance" => self.uncovered = vec!["OFD.xml"],
            "odd-namespace" => {
                self.spelt = |xml| xml.replace("ofd:", "").replace("xmlns:ofd=", "xmlns=").into_bytes();
            }
            "odd-prefix" => self.spelt = |xml| xml.replace("ofd:", "v:").replace("xmlns:ofd=", "xmlns:v=").into_bytes(),
            "odd-bom" => self.spelt = |xml| format!("\u{feff}{}", xml.replace("><", ">\r\n<")).into_bytes(),
            "odd-utf16" => self.spelt = utf16,
            "odd-paths" => {
                self.xml = |xml| {
                    let xml = xml.replace(&format!("<ofd:SignedValue>/{VALUE}"), "<ofd:SignedValue>SignedValue.dat");
                    xml.replace(&format!("<ofd:BaseLoc>/{SEAL}"), "<ofd:BaseLoc>./Seal.esl")
                }
            }
            "odd-base64" => {
                self.xml = |xml| {
                    let xml = xml.replace("<ofd:CheckValue>", "<ofd:CheckValue>\r\n    ");
                    xml.replace("</ofd:CheckValue>", "\r\n  </ofd:CheckValue>")
                }
            }
            "odd-stored" => self.packing = Packing::Stored,
            "odd-gbk" => {
                self.spelt = |xml| encoding_rs::GB18030.encode(&xml.replace("UTF-8", "GB18030")).0.into_owned();
            }
            "odd-list" => self.spelt = |xml| xml.replace("<ofd:MaxSignId>1</ofd:MaxSignId>", "").into_bytes(),
            "odd-method" => self.xml = |xml| xml.replace(SM3_NAME, "CheckMethod=\" sm3 \""),
            "odd-attributes" => {
                self.xml = |xml| {
                    let xml = xml.replace("<ofd:Seal><ofd:BaseLoc>", "<ofd:Seal BaseLoc=\"");
                    xml.replace("</ofd:BaseLoc></ofd:Seal>", "\"/>")
                }
            }
            "odd-value-name" => {
                self.xml = |xml| xml.replace(VALUE, "Doc_0/Signs/Sign_0/SignValue.dat");
                self.after = Box::new(|files| {
                    let value = std::mem::take(content(files, VALUE));
                    files.retain(|(name, _)| name != VALUE);
                    files.push(("Doc_0/Signs/Sign_0/SignValue.dat".into(), value));
                });
            }
            "odd-kind" => {
                self.plain = true;
                self.spelt = |xml| xml.replace("Type=\"Sign\"", "Type=\"Seal\"").into_bytes();
            }
            "odd-check" => {
                let mut paper = making.paper()?;
                let id = paper.data["certificateIdentifier"].as_str().unwrap_or_default().to_owned();
                let (body, check) = id.split_at(id.len() - 1);
                let other = if check == "0" { "1" } else { "0" };
                paper.data["certificateIdentifier"] = format!("{body}{other}").into();
                self.files = page::files(&paper, self.at);
            }
            "odd-expired-stamped" => {
                self.by(pki, &pki.expired, &usual)?;
                (self.at, self.stamped) = (pki.day(-60), true);
            }
            "page-changed" => self.after = after(PAGE, |page| page.extend(b"<!-- changed -->")),
            "data-changed" => {
                self.after = after(DATA, |data| *data = replaced(data, "测试发证机关", "测试换证机关"));
            }
            "references-changed" => {
                self.after = Box::new(|files| {
                    let before = sm3(content(files, PAGE));
                    content(files, PAGE).extend(b"<!-- changed -->");
                    let now = sm3(content(files, PAGE));
                    let xml = content(files, SIGNATURE);
                    *xml = replaced(xml, &base64(&before), &base64(&now));
                })
            }
            "file-added" => {
                self.after = Box::new(|files| files.push(("Doc_0/Attachs/more.xml".into(), b"<a/>".into())))
            }
            "file-removed" => self.after = Box::new(|files| files.retain(|(name, _)| name != DATA)),
            "references-trimmed" => self.uncovered = vec![PAGE],
            "second-document" => {
                self.uncovered = vec!["OFD.xml"];
                self.after = Box::new(|files| {
                    let more = "<ofd:DocBody><ofd:DocInfo><ofd:DocID>2</ofd:DocID></ofd:DocInfo>\
                                <ofd:DocRoot>Doc_1/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>";
                    let entrance = content(files, "OFD.xml");
                    *entrance = replaced(entrance, "</ofd:OFD>", more);
                    let document = content(files, "Doc_0/Document.xml").clone();
                    files.push(("Doc_1/Document.xml".into(), document));
                })
            }
            "root-repointed" => {
                self.uncovered = vec!["OFD.xml"];
                self.after = Box::new(|files| {
                    let entrance = content(files, "OFD.xml");
                    *entrance = replaced(entrance, "Doc_0/Document.xml", "Doc_0/Document_1.xml");
                    let document = content(files, "Doc_0/Document.xml").clone();
                    files.push(("Doc_0/Document_1.xml".into(), document));
                })
            }
            "value-of-another" => {
                let mut other = making.paper()?;
                other.title.push_str(" 2");
                let files = Self { files: page::files(&other, self.at), ..self.like() }.sealed(pki)?;
                let value = files.into_iter().find(|(name, _)| name == VALUE).unwrap_or_default().1;
                self.after = after(VALUE, move |old| old.clone_from(&value));
            }
            "value-base64" => self.after = after(VALUE, |value| *value = base64(value).into_bytes()),
            "value-trailing" => self.after = after(VALUE, |value| value.push(0)),
            "value-indefinite" => {
                self.after = after(VALUE, |value| {
                    // A SEQUENCE of more than 255 octets: its head takes four.
                    *value = [&[0x30, 0x80], &value[4..], &[0, 0]].concat();
                });
            }
            "value-climbs" => {
                self.xml = |xml| xml.replace(&format!(">/{VALUE}"), ">../../../../SignedValue.dat");
            }
            "list-empty" => {
                self.uncovered = vec![LIST];
                self.after = after(LIST, |list| *list = sealing::EMPTY_LIST.into());
            }
            "list-backslash" => {
                self.uncovered = vec![LIST];
                self.after = after(LIST, |list| *list = replaced(list, "/Sign_0/", "\\Sign_0\\"));
            }
            "lists-two" => {
                self.uncovered = vec!["OFD.xml"];
                self.after = after("OFD.xml", |xml| {
                    *xml =
                        replaced(xml, "</ofd:Signatures>", "</ofd:Signatures><ofd:Signatures>/b.xml</ofd:Signatures>");
                });
            }
            "signature-broken" => self.after = after(VALUE, |value| flip(value, 1)),
            "seal-swapped" => {
                let other = seal_of(&Sealing { name: "测试合同专用章 TEST", ..usual }, &pki.maker, &pki.signer)?;
                self.uncovered = vec![SEAL];
                self.after = after(SEAL, move |seal| seal.clone_from(&other));
            }
            "seal-of-another" => self.seal = seal_of(&usual, &pki.maker, &pki.expired)?,
            "seal-forged" => self.seal = replaced(&self.seal, "证照专用章", "发票专用章"),
            "seal-home-made" => self.seal = seal_of(&usual, &pki.signer, &pki.signer)?,
            "seal-expired" => {
                let sealing = Sealing { to: pki.day(-30), ..usual };
                self.by(pki, &pki.signer, &sealing)?;
            }
            "signed-in-future" => self.at = pki.day(2),
            "signed-too-early" => {
                let sealing = Sealing { from: pki.day(-700), ..usual };
                self.by(pki, &pki.signer, &sealing)?;
                self.at = pki.day(-600);
            }
            "signer-look-alike" => self.by(pki, &pki.stranger, &usual)?,
            "signer-authority" => self.by(pki, &pki.authority, &usual)?,
            "signer-expired" => {
                self.by(pki, &pki.expired, &usual)?;
                self.at = pki.day(-60);
            }
            "signer-revoked" => self.by(pki, &pki.revoked, &usual)?,
            "signer-revoked-stamped" => {
                self.by(pki, &pki.revoked, &usual)?;
                self.stamped = true;
            }
            "digest-weak" => self.xml = |xml| xml.replace(SM3_NAME, "CheckMethod=\"MD5\""),
            "digest-misnamed" => self.xml = |xml| xml.replace(SM3_NAME, "CheckMethod=\"SHA-256\""),
            "xml-dtd" => self.xml = |xml| xml.replacen("?>\n", "?>\n<!DOCTYPE Signature>\n", 1),
            "xml-wrapped" => {
                self.xml = |xml| xml.replacen("<ofd:SignedValue>", "<ofd:SignedInfo/><ofd:SignedValue>", 1)
            }
            "reference-twice" => {
                self.xml = |xml| {
                    let Some((head, rest)) = xml.split_once("<ofd:Reference ") else { return xml };
                    let Some((one, _)) = rest.split_once("</ofd:Reference>") else { return xml };
                    format!("{head}<ofd:Reference {one}</ofd:Reference><ofd:Reference {rest}")
                }
            }
            // Our own packer refuses such names: they are put in afterwards, octet for octet.
            "entry-twice" => {
                self.after = Box::new(|files| files.push(("Doc_0/Document.xmX".into(), b"<a/>".into())));
                self.octets = |octets| renamed(octets, "Doc_0/Document.xmX", "Doc_0/Document.xml");
            }
            "entry-collides" => {
                self.after = Box::new(|files| files.push(("Doc_0/Document.xmX".into(), b"<a/>".into())));
                self.octets = |octets| renamed(octets, "Doc_0/Document.xmX", "Doc_0/DOCUMENT.xml");
            }
            "truncated" => self.octets = |octets| octets[..octets.len() * 2 / 3].to_vec(),
            _ => {}
        }
        Ok(())
    }

    /// The same signer and seal around other files.
    fn like(&self) -> Draft<'a> {
        Draft {
            files: Vec::new(),
            seal: self.seal.clone(),
            uncovered: Vec::new(),
            after: Box::new(|_| {}),
            signer: self.signer,
            at: self.at,
            stamped: self.stamped,
            plain: self.plain,
            countersigned: false,
            spelt: self.spelt,
            xml: self.xml,
            packing: self.packing,
            octets: self.octets,
        }
    }

    /// All files with those of the signature.
    fn sealed(&self, pki: &Pki) -> Result<Files, MakeError> {
        let spelt = |(name, octets): &(String, Vec<u8>)| {
            let xml = name.ends_with(".xml").then(|| String::from_utf8(octets.clone()).ok()).flatten();
            (name.clone(), xml.map_or_else(|| octets.clone(), self.spelt))
        };
        let mut files: Files = self.files.iter().map(spelt).collect();
        let kind = if self.plain { "Sign" } else { "Seal" };
        let list = format!(
            "{HEAD}<ofd:Signatures {NS}><ofd:MaxSignId>1</ofd:MaxSignId>\
             <ofd:Signature ID=\"1\" Type=\"{kind}\" BaseLoc=\"/{SIGNATURE}\"/></ofd:Signatures>"
        );
        files.push((LIST.to_owned(), (self.spelt)(list)));
        if !self.plain {
            files.push((SEAL.to_owned(), self.seal.clone()));
        }
        let covered = files.iter().filter(|(name, _)| !self.uncovered.contains(&name.as_str()));
        let digests: Vec<_> = covered.map(|(name, octets)| (name.as_str(), sm3(octets).to_vec())).collect();
        let form = sealing::Form {
            at: self.at,
            method: SM2_WITH_SM3,
            seal: (!self.plain).then_some((SEAL, 40, "1")),
            value: VALUE,
        };
        let xml = (self.spelt)((self.xml)(signature_xml(&digests, &form)));
        let ask = |value: &[u8]| stamp(pki, value, self.at.plus_seconds(1));
        let ask: Option<cms::TimeStamp<'_>> = self.stamped.then_some(&ask);
        let (key, certificate) = (&self.signer.key, &self.signer.certificate);
        let value = if self.plain {
            let digest = key.algorithm().digest().of(&xml);
            let chain = std::slice::from_ref(certificate);
            cms::sign_detached_with(key, chain, &digest, Some(self.at), Spelling::National, ask)
                .map_err(|e| MakeError::Sign(e.to_string()))?
        } else {
            signed_value(&self.seal, (SIGNATURE, &xml), key, certificate, self.at, ask)?
        };
        files.push((SIGNATURE.to_owned(), xml));
        files.push((VALUE.to_owned(), value));
        Ok(files)
    }
}

/// As `signature_xml` names the digest.
const SM3_NAME: &str = "CheckMethod=\"1.2.156.10197.1.401\"";

fn utf16(xml: String) -> Vec<u8> {
    let xml = xml.replace("UTF-8", "UTF-16");
    std::iter::once(0xfeff).chain(xml.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

fn content<'f>(files: &'f mut Files, name: &str) -> &'f mut Vec<u8> {
    if let Some(at) = files.iter().position(|(have, _)| have == name) {
        return &mut files[at].1;
    }
    files.push((name.to_owned(), Vec::new()));
    let last = files.len() - 1;
    &mut files[last].1
}

fn after(name: &'static str, change: impl Fn(&mut Vec<u8>) + 'static) -> Change {
    Box::new(move |files| change(content(files, name)))
}

/// Every place of `from` says `to`.
pub(super) fn replaced(octets: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (from, mut out, mut at) = (from.as_bytes(), Vec::with_capacity(octets.len()), 0);
    while at < octets.len() {
        if octets[at..].starts_with(from) {
            out.extend(to.as_bytes());
            at += from.len();
        } else {
            out.push(octets[at]);
            at += 1;
        }
    }
    out
}

fn renamed(octets: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    replaced(&octets, from, to)
}

/// Flips the lowest bit so many octets before the end.
pub(super) fn flip(octets: &mut [u8], before_end: usize) {
    if let Some(octet) = octets.iter_mut().nth_back(before_end) {
        *octet ^= 1;
    }
}

fn packed(files: &Files, packing: Packing, at: UnixMillis) -> Result<Vec<u8>, MakeError> {
    let mut writer = Writer::new(Vec::new(), DosTime::day_of(at));
    for (name, octets) in files {
        writer.add(name, packing, octets)?;
    }
    Ok(writer.finish()?)
}
