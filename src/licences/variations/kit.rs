//! Makes sealed packages part by part, so that each part can be written as one producer or another writes it.

use std::collections::HashMap;

use base64::Engine;

use super::packing::{Shape, pack};
use crate::formats::ber;
use crate::formats::der::{Reader, tag, write};
use crate::licences::*;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::suite::{DigestAlgorithm, SignatureAlgorithm, Signer, SigningKey};

pub const SM2: &str = "1.2.156.10197.1.501";

pub fn at(text: &str) -> UnixMillis {
    UnixMillis::parse_rfc3339(text).unwrap()
}

pub struct Party {
    pub key: SigningKey,
    pub cert: Certificate,
}

pub fn party(name: &str, purpose: Use) -> Party {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
    party_of(key, name, purpose)
}

pub fn party_of(key: SigningKey, name: &str, purpose: Use) -> Party {
    let subject = Subject::named(name, "测试");
    let (from, to) = (at("2025-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
    let spki = key.public_key().to_spki();
    let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, purpose, from, to).unwrap();
    Party { key, cert: Certificate::parse(&der).unwrap() }
}

/// A certificate with another inside, signed again.
pub fn resigned(by: &SigningKey, cert: &Certificate, change: impl Fn(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let mut whole = Reader::new(cert.der()).sequence().unwrap();
    let (mut inside, algorithm) = (whole.sequence().unwrap(), whole.element().unwrap().full);
    let mut parts = Vec::new();
    while !inside.is_empty() {
        parts.push(inside.element().unwrap().full.to_vec());
    }
    change(&mut parts);
    let tbs = write::sequence(&parts);
    let signature = write::bit_string(&by.sign(&tbs).unwrap());
    write::sequence(&[tbs, algorithm.to_vec(), signature])
}

/// `r‖s` of a DER signature.
fn raw(der: &[u8]) -> Vec<u8> {
    let mut inside = Reader::new(der).sequence().unwrap();
    let mut half = || {
        let number = inside.unsigned().unwrap();
        [&vec![0; 32 - number.len()][..], number].concat()
    };
    [half(), half()].concat()
}

/// A plain signature (`Type="Sign"`), as GB/T 35275 leaves it open.
#[derive(Clone, Default)]
pub struct Cms {
    /// The SM3 of Signature.xml as content; detached otherwise.
    pub inside: bool,
    pub attributes: bool,
    /// Attributes in another order than DER's.
    pub unsorted: bool,
    /// NULL beside the digest algorithm.
    pub null: bool,
    pub algorithm: Option<&'static str>,
    pub international: bool,
    /// PKCS#7 data outside, the national type in the attribute.
    pub mixed_types: bool,
    /// As encoders that stream write it: lengths are not told, content is in pieces.
    pub streamed: bool,
    /// Another party signs the same, in the same object.
    pub second: bool,
    /// All sign again, until there are so many signatures.
    pub signers: usize,
}

pub type Edit = Box<dyn Fn(String) -> Vec<u8>>;
/// A signed value made by others, from Signature.xml.
pub type Elsewhere = Box<dyn Fn(&[u8]) -> Vec<u8>>;
/// The same octets in another spelling.
pub type Recast = fn(&[u8]) -> Vec<u8>;

/// What one producer does differently.
pub struct Draft {
    /// Parts of seal and signature, by name, in DER.
    pub der: HashMap<&'static str, Vec<u8>>,
    /// XML files as they are written, by name.
    pub edits: Vec<(&'static str, Edit)>,
    pub v1: bool,
    pub cms: Option<Cms>,
    /// Made in place of it.
    pub elsewhere: Option<Elsewhere>,
    pub raw_signatures: bool,
    /// What a signature looks like in the end, from the DER it is.
    pub signature_form: Option<Recast>,
    /// BIT STRINGs as encoders on OpenSSL write them.
    pub count_zero_bits: bool,
    /// OCTET STRINGs where BIT STRINGs belong.
    pub octet_strings: bool,
    /// What SignedValue.dat holds in the end, from what it should.
    pub value_form: Option<Recast>,
    /// The same of Seal.esl.
    pub seal_form: Option<Recast>,
    /// The signer's certificate, made anew; it is trusted.
    pub certificate: Option<fn(&World) -> Vec<u8>>,
    pub second_signature: bool,
    pub second_body: bool,
    /// Files in no list of references.
    pub uncovered: Vec<&'static str>,
    /// Further covered files.
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub shape: Shape,
    /// By which files are digested.
    pub check_digest: DigestAlgorithm,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            der: HashMap::new(),
            edits: Vec::new(),
            v1: false,
            cms: None,
            elsewhere: None,
            raw_signatures: false,
            signature_form: None,
            count_zero_bits: false,
            octet_strings: false,
            value_form: None,
            seal_form: None,
            certificate: None,
            second_signature: false,
            second_body: false,
            uncovered: Vec::new(),
            files: Vec::new(),
            shape: Shape::default(),
            check_digest: DigestAlgorithm::Sm3,
        }
    }
}

impl Draft {
    pub fn part(&mut self, name: &'static str, der: Vec<u8>) {
        self.der.insert(name, der);
    }

    pub fn edit(&mut self, file: &'static str, edit: impl Fn(String) -> Vec<u8> + 'static) {
        self.edits.push((file, Box::new(edit)));
    }

    pub fn replace(&mut self, file: &'static str, from: &'static str, to: &'static str) {
        self.edit(file, move |text| {
            assert!(text.contains(from), "{file}: no {from}");
            text.replace(from, to).into_bytes()
        });
    }

    fn or(&self, name: &'static str, default: Vec<u8>) -> Vec<u8> {
        self.der.get(name).cloned().unwrap_or(default)
    }

    fn bits(&self, octets: &[u8]) -> Vec<u8> {
        if self.octet_strings {
            return write::octet_string(octets);
        }
        if !self.count_zero_bits {
            return write::bit_string(octets);
        }
        // Whole zero octets at the end vanish, the zero bits of the last one left are unused.
        let len = octets.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        let kept = &octets[..len];
        let unused = kept.last().map_or(0, |last| last.trailing_zeros()) as u8;
        write::tlv(tag::BIT_STRING, &[&[unused], kept].concat())
    }

    fn sign(&self, party: &Party, message: &[u8]) -> Vec<u8> {
        let der = party.key.sign(message).unwrap();
        match self.signature_form {
            Some(form) => form(&der),
            None if self.raw_signatures => raw(&der),
            None => der,
        }
    }

    fn signer(&self, world: &World) -> Vec<u8> {
        self.certificate.map_or_else(|| world.signer.cert.der().to_vec(), |make| make(world))
    }

    fn edited(&self, file: &str, text: String) -> Vec<u8> {
        self.edits
            .iter()
            .filter(|(name, _)| *name == file)
            .fold(text.into_bytes(), |bytes, (_, edit)| edit(String::from_utf8(bytes).unwrap()))
    }

    pub fn seal(&self, world: &World) -> Vec<u8> {
        let time = |text: &str| {
            let at = at(text);
            if self.v1 { write::certificate_time(at) } else { write::generalized_time(at) }
        };
        let header = write::sequence(&[
            self.or("id", write::ia5("ES")),
            self.or("header version", write::small(if self.v1 { 1 } else { 4 })),
            self.or("vid", write::ia5("test")),
        ]);
        let mut property = vec![self.or("kind", write::small(1)), self.or("name", write::utf8("测试专用章"))];
        if !self.v1 {
            property.push(self.or("list type", write::small(1)));
        }
        property.extend([
            self.or("list", write::sequence(&[write::octet_string(&self.signer(world))])),
            self.or("created", time("2025-06-01T00:00:00Z")),
            self.or("from", time("2025-06-01T00:00:00Z")),
            self.or("to", time("2028-06-01T00:00:00Z")),
        ]);
        let picture = write::sequence(&[
            self.or("picture type", write::ia5("png")),
            self.or("picture", write::octet_string(b"\x89PNG")),
            self.or("width", write::small(40)),
            write::small(40),
        ]);
        let mut info = vec![header, self.or("esID", write::ia5("41900100000017")), write::sequence(&property), picture];
        info.extend(self.der.get("seal extensions").cloned());
        let info = write::sequence(&info);
        let cert = write::octet_string(world.maker.cert.der());
        let algorithm = self.or("maker algorithm", write::oid(SM2));
        if self.v1 {
            let signature = self.sign(&world.maker, &write::sequence(&[&info, &cert, &algorithm]));
            return write::sequence(&[info, write::sequence(&[cert, algorithm, self.bits(&signature)])]);
        }
        let signature = self.sign(&world.maker, &info);
        let mut seal = vec![info, cert, algorithm, self.bits(&signature)];
        seal.extend(self.der.get("seal stamp").cloned());
        write::sequence(&seal)
    }

    pub fn value(&self, world: &World, seal: &[u8], xml: &[u8], path: &str) -> Vec<u8> {
        let cert = write::octet_string(&self.signer(world));
        let algorithm = self.or("signer algorithm", write::oid(SM2));
        let hash = self.or("hash", self.bits(&DigestAlgorithm::Sm3.of(xml)));
        let property = self.or("property", write::ia5(path));
        if self.v1 {
            let time = self.or("time", self.bits(b"2026-02-13 10:00:00"));
            let parts = [write::small(1), seal.to_vec(), time, hash, property, cert, algorithm];
            let to_sign = write::sequence(&parts);
            let signature = self.sign(&world.signer, &to_sign);
            return write::sequence(&[to_sign, self.bits(&signature)]);
        }
        let time = self.or("time", write::generalized_time(at("2026-02-13T02:00:00Z")));
        let mut to_sign = vec![self.or("version", write::small(4)), seal.to_vec(), time, hash, property];
        to_sign.extend(self.der.get("extensions").cloned());
        let to_sign = write::sequence(&to_sign);
        let signature = self.sign(&world.signer, &to_sign);
        write::sequence(&[to_sign, cert, algorithm, self.bits(&signature)])
    }

    pub fn cms(&self, world: &World, form: &Cms, xml: &[u8]) -> Vec<u8> {
        let base = if form.international { "1.2.840.113549.1.7." } else { "1.2.156.10197.6.1.4.2." };
        let data = if form.mixed_types { "1.2.840.113549.1.7.1".to_owned() } else { format!("{base}1") };
        let hash = DigestAlgorithm::Sm3.of(xml);
        let mut digest = vec![write::oid("1.2.156.10197.1.401")];
        digest.extend(form.null.then(write::null));
        let digest = write::sequence(&digest);
        let attribute = |oid: &str, value: Vec<u8>| write::sequence(&[write::oid(oid), write::set_of(&[value])]);
        let of = |content: &[u8]| {
            let kind = if form.mixed_types { "1.2.156.10197.6.1.4.2.1" } else { &data };
            let digest = DigestAlgorithm::Sm3.of(content);
            let list = [
                attribute("1.2.840.113549.1.9.4", write::octet_string(&digest)),
                attribute("1.2.840.113549.1.9.5", write::certificate_time(at("2026-02-13T02:00:00Z"))),
                attribute("1.2.840.113549.1.9.3", write::oid(kind)),
            ];
            if form.unsorted { write::tlv(tag::SET, &list.concat()) } else { write::set_of(&list) }
        };
        let content: &[u8] = if form.inside { &hash } else { xml };
        let message = if form.attributes { of(content) } else { content.to_vec() };
        let by = |party: &&Party| {
            let issuer = [party.cert.issuer().to_vec(), write::tlv(tag::INTEGER, party.cert.serial())];
            let mut info = vec![write::small(1), write::sequence(&issuer), digest.clone()];
            if form.attributes {
                let mut tagged = message.clone();
                tagged[0] = tag::context(0);
                info.push(tagged);
            }
            info.push(write::sequence(&[write::oid(form.algorithm.unwrap_or("1.2.156.10197.1.301.1"))]));
            info.push(write::octet_string(&self.sign(party, &message)));
            write::sequence(&info)
        };
        let parties = [&world.signer, &world.second];
        let parties = &parties[..if form.second { 2 } else { 1 }];
        let certificates: Vec<&[u8]> = parties.iter().map(|party| party.cert.der()).collect();
        let mut inner = vec![write::oid(&data)];
        if form.inside {
            inner.push(write::explicit(0, &write::octet_string(&hash)));
        }
        let signed = write::sequence(&[
            write::small(1),
            write::set_of(std::slice::from_ref(&digest)),
            write::sequence(&inner),
            write::explicit(0, &certificates.concat()),
            write::set_of(&parties.iter().cycle().take(parties.len().max(form.signers)).map(by).collect::<Vec<_>>()),
        ]);
        let all = write::sequence(&[write::oid(&format!("{base}2")), write::explicit(0, &signed)]);
        if form.streamed { ber::streamed(&all, usize::MAX) } else { all }
    }

    /// The package.
    pub fn package(&self, world: &World) -> Vec<u8> {
        let body = |n: usize, signed: bool| {
            let list = if signed { "<ofd:Signatures>Doc_0/Signs/Signatures.xml</ofd:Signatures>" } else { "" };
            format!(
                "<ofd:DocBody><ofd:DocInfo><ofd:DocID>0{n}</ofd:DocID></ofd:DocInfo>\
                 <ofd:DocRoot>Doc_{n}/Document.xml</ofd:DocRoot>{list}</ofd:DocBody>"
            )
        };
        let second = if self.second_body { body(1, false) } else { String::new() };
        let entrance = format!("{HEAD}<ofd:OFD {NS} Version=\"1.0\">{}{second}</ofd:OFD>", body(0, true));
        let document = |page: &str| format!("{HEAD}<ofd:Document {NS}><ofd:Pages>{page}</ofd:Pages></ofd:Document>");
        let mut files = vec![
            ("OFD.xml".to_owned(), self.edited("OFD.xml", entrance)),
            ("Doc_0/Document.xml".to_owned(), self.edited("Document.xml", document("一"))),
            ("Doc_0/Pages/Page_0/Content.xml".to_owned(), b"<not><well-formed>".to_vec()),
        ];
        if self.second_body {
            files.push(("Doc_1/Document.xml".to_owned(), document("二").into_bytes()));
        }
        files.extend(self.files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())));
        let seal = self.seal(world);
        let esl = self.seal_form.map_or_else(|| seal.clone(), |form| form(&seal));
        let count = if self.second_signature { 2 } else { 1 };
        let kind = if self.cms.is_some() { "Sign" } else { "Seal" };
        let line = |n: usize| {
            format!("<ofd:Signature ID=\"s{n}\" Type=\"{kind}\" BaseLoc=\"/{SIGNS}/Sign_{n}/Signature.xml\"/>")
        };
        let lines: String = (0..count).map(line).collect();
        let list = format!("{HEAD}<ofd:Signatures {NS}><ofd:MaxSignId>{count}</ofd:MaxSignId>{lines}</ofd:Signatures>");
        let mut own = vec![(format!("{SIGNS}/Signatures.xml"), self.edited("Signatures.xml", list))];
        for n in 0..count {
            let folder = format!("{SIGNS}/Sign_{n}");
            let mut references = String::new();
            let with_seal = (format!("{folder}/Seal.esl"), esl.clone());
            let seal_file = (self.cms.is_none()).then_some(&with_seal);
            for (name, bytes) in
                files.iter().chain(seal_file).filter(|(name, _)| !self.uncovered.contains(&name.as_str()))
            {
                let digest = base64::engine::general_purpose::STANDARD.encode(self.check_digest.of(bytes));
                references += &format!(
                    "<ofd:Reference FileRef=\"/{name}\"><ofd:CheckValue>{digest}</ofd:CheckValue></ofd:Reference>"
                );
            }
            let stamp = if self.cms.is_some() {
                String::new()
            } else {
                format!(
                    "<ofd:StampAnnot ID=\"9\" PageRef=\"1\" Boundary=\"0 0 4 4\"/><ofd:Seal><ofd:BaseLoc>/{folder}/Seal.esl</ofd:BaseLoc></ofd:Seal>"
                )
            };
            let xml = format!(
                "{HEAD}<ofd:Signature {NS}><ofd:SignedInfo><ofd:Provider ProviderName=\"p\" Company=\"c\" Version=\"1\"/>\
                 <ofd:SignatureMethod>{SM2}</ofd:SignatureMethod>\
                 <ofd:SignatureDateTime>20260213020000Z</ofd:SignatureDateTime>\
                 <ofd:References CheckMethod=\"SM3\">{references}</ofd:References>{stamp}</ofd:SignedInfo>\
                 <ofd:SignedValue>/{folder}/SignedValue.dat</ofd:SignedValue></ofd:Signature>"
            );
            let xml = self.edited("Signature.xml", xml);
            let value = match (&self.elsewhere, &self.cms) {
                (Some(make), _) => make(&xml),
                (None, Some(form)) => self.cms(world, form, &xml),
                (None, None) => self.value(world, &seal, &xml, &format!("/{folder}/Signature.xml")),
            };
            let value = self.value_form.map_or_else(|| value.clone(), |form| form(&value));
            own.extend(seal_file.cloned());
            own.push((format!("{folder}/Signature.xml"), xml));
            own.push((format!("{folder}/SignedValue.dat"), value));
        }
        files.extend(own);
        pack(&files, &self.shape)
    }
}

const SIGNS: &str = "Doc_0/Signs";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NS: &str = "xmlns:ofd=\"http://www.ofdspec.org/2016\"";

pub struct World {
    pub maker: Party,
    pub signer: Party,
    pub second: Party,
}

impl World {
    pub fn new() -> Self {
        Self {
            maker: party("制章人", Use::Signer),
            signer: party("签章人", Use::Signer),
            second: party("会签人", Use::Signer),
        }
    }

    pub fn profile(&self) -> Profile {
        let mut profile = Profile::new(at("2026-03-01T00:00:00Z"));
        profile.anchors.signers = vec![self.signer.cert.clone()];
        profile.anchors.makers = vec![self.maker.cert.clone()];
        profile
    }

    pub fn report(&self, name: &str, draft: &Draft) -> Report {
        self.judged(name, draft.package(self), draft)
    }

    /// As [`World::report`], of a package that is made already.
    pub fn judged(&self, name: &str, package: Vec<u8>, draft: &Draft) -> Report {
        let mut profile = self.profile();
        let made = draft.certificate.and_then(|make| Certificate::parse(&make(self)).ok());
        profile.anchors.signers.push(self.second.cert.clone());
        profile.anchors.signers.extend(made);
        verify(name, package, &profile)
    }
}
