//! Several signatures on one package, each of its own kind and made by another hand: versions of seals, plain signatures,
//! digests, prefixes, what each covers, and documents with lists of their own.

use base64::Engine;

use super::kit::{Cms, Draft, World};
use super::packing::{Shape, pack};
use crate::formats::der::write;
use crate::licences::{Indication, Report, verify};
use crate::trust::suite::DigestAlgorithm::{self, Sha256, Sha512, Sm3};

/// What a signature is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    V1,
    V4,
    V5,
    Plain,
    /// A seal's signature listed as a plain one.
    SealAsSign,
}

/// One signature.
#[derive(Clone, Copy)]
struct Sig {
    kind: Kind,
    digest: DigestAlgorithm,
    /// Which files it covers; it covers those of signatures before it as well.
    covers: fn(&str) -> bool,
    /// How its XML names the namespace: `ofd:`, another prefix, none.
    prefix: &'static str,
    /// Which document's list it stands in.
    body: usize,
}

const ALL: fn(&str) -> bool = |name| !name.ends_with("Signatures.xml");

fn sig(kind: Kind) -> Sig {
    Sig { kind, digest: Sm3, covers: ALL, prefix: "ofd:", body: 0 }
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Elements named as one hand does: `text` has `o:` in front of every name.
fn spelt(text: &str, prefix: &str) -> Vec<u8> {
    let named = if prefix.is_empty() { String::new() } else { format!(":{}", prefix.trim_end_matches(':')) };
    let root = text.find(['>', ' ']).unwrap_or(0);
    let text = format!("{} xmlns{named}=\"http://www.ofdspec.org/2016\"{}", &text[..root], &text[root..]);
    format!("{HEAD}{}", text.replace("<o:", &format!("<{prefix}")).replace("</o:", &format!("</{prefix}"))).into_bytes()
}

type Files = Vec<(String, Vec<u8>)>;

fn package(world: &World, signatures: &[Sig], after: fn(&mut Files)) -> Vec<u8> {
    let bodies = signatures.iter().map(|s| s.body).max().unwrap_or(0) + 1;
    let body = |n: usize| {
        format!(
            "<o:DocBody><o:DocRoot>/Doc_{n}/Document.xml</o:DocRoot>\
             <o:Signatures>./Doc_{n}/Signs/Signatures.xml</o:Signatures></o:DocBody>"
        )
    };
    let entrance = format!("<o:OFD Version=\"1.0\">{}</o:OFD>", (0..bodies).map(body).collect::<String>());
    let mut files: Files = vec![("OFD.xml".to_owned(), spelt(&entrance, "ofd:"))];
    for n in 0..bodies {
        files.push((format!("Doc_{n}/Document.xml"), spelt("<o:Document><o:Pages/></o:Document>", "")));
        files.push((format!("Doc_{n}/Pages/Page_0/Content.xml"), format!("<page>{n}</page>").into_bytes()));
        let line = |(at, s): (usize, &Sig)| {
            let kind = if matches!(s.kind, Kind::Plain | Kind::SealAsSign) { " Type=\"Sign\"" } else { "" };
            format!("<o:Signature ID=\"{at}\"{kind} BaseLoc=\"./Sign_{at}/Signature.xml\"/>")
        };
        let lines: String = signatures.iter().enumerate().filter(|(_, s)| s.body == n).map(line).collect();
        let list = spelt(&format!("<o:Signatures>{lines}</o:Signatures>"), "s:");
        files.push((format!("Doc_{n}/Signs/Signatures.xml"), list));
    }
    for (n, one) in signatures.iter().enumerate() {
        let folder = format!("Doc_{}/Signs/Sign_{n}", one.body);
        let mut draft = Draft { v1: one.kind == Kind::V1, ..Draft::default() };
        if one.kind == Kind::V5 {
            draft.part("header version", write::small(5));
        }
        let seal = draft.seal(world);
        if one.kind != Kind::Plain {
            files.push((format!("{folder}/Seal.esl"), seal.clone()));
        }
        let reference = |(name, octets): &(String, Vec<u8>)| {
            let digest = base64::engine::general_purpose::STANDARD.encode(one.digest.of(octets));
            format!("<o:Reference FileRef=\"/{name}\"><o:CheckValue>{digest}</o:CheckValue></o:Reference>")
        };
        let references: String = files.iter().filter(|(name, _)| (one.covers)(name)).map(reference).collect();
        let seal_at = if one.kind == Kind::Plain { "" } else { "<o:Seal><o:BaseLoc>Seal.esl</o:BaseLoc></o:Seal>" };
        let text = format!(
            "<o:Signature><o:SignedInfo><o:References CheckMethod=\"{}\">{references}</o:References>{seal_at}\
             </o:SignedInfo><o:SignedValue>./SignedValue.dat</o:SignedValue></o:Signature>",
            one.digest.oid()
        );
        let xml = spelt(&text, one.prefix);
        let value = match one.kind {
            Kind::Plain => draft.cms(world, &Cms { attributes: true, ..Cms::default() }, &xml),
            _ => draft.value(world, &seal, &xml, &format!("/{folder}/Signature.xml")),
        };
        files.push((format!("{folder}/Signature.xml"), xml));
        files.push((format!("{folder}/SignedValue.dat"), value));
    }
    after(&mut files);
    pack(&files, &Shape { deflated: true, ..Shape::default() })
}

/// A name, the signatures, what is done to the files afterwards, the code that decides, and format and code of each signature.
type Row = (&'static str, Vec<Sig>, fn(&mut Files), Option<&'static str>, Vec<(&'static str, Option<&'static str>)>);

/// Bends one octet of a file.
fn bend(files: &mut Files, name: &str) {
    let (_, octets) = files.iter_mut().find(|(own, _)| own == name).unwrap();
    let at = octets.len() / 2;
    octets[at] ^= 1;
}

fn codes(report: &Report) -> Vec<(&'static str, Option<&'static str>)> {
    report.signatures.iter().map(|s| (s.format, s.code)).collect()
}

#[test]
fn signatures_of_several_kinds() {
    use Kind::*;
    let world = World::new();
    let page: fn(&str) -> bool = |name| name.ends_with("Content.xml");
    let rest: fn(&str) -> bool = |name| ALL(name) && !name.ends_with("Content.xml");
    let locked: fn(&str) -> bool = |_| true;
    let none: fn(&mut Files) = |_| {};
    const OK: Option<&str> = None;
    const MISMATCH: Option<&str> = Some("REF_DIGEST_MISMATCH");
    let rows: [Row; 13] = [
        ("V1, then V4", vec![sig(V1), sig(V4)], none, OK, vec![("V1", OK), ("V4", OK)]),
        (
            "every kind on top of each other",
            vec![sig(V4), sig(V1), sig(V5), sig(Plain), sig(SealAsSign)],
            none,
            OK,
            vec![("V4", OK), ("V1", OK), ("V5", OK), ("CMS", OK), ("V4", OK)],
        ),
        (
            "three prefixes, three digests",
            vec![
                Sig { prefix: "", digest: Sha256, ..sig(V4) },
                Sig { prefix: "x:", digest: Sha512, ..sig(V1) },
                sig(Plain),
            ],
            none,
            OK,
            vec![("V4", OK), ("V1", OK), ("CMS", OK)],
        ),
        (
            "a plain signature locks what a seal signed",
            vec![sig(V4), Sig { covers: locked, ..sig(Plain) }],
            none,
            OK,
            vec![("V4", OK), ("CMS", OK)],
        ),
        (
            "each covers a part, and both together all",
            vec![Sig { covers: page, ..sig(V4) }, Sig { covers: rest, ..sig(Plain) }],
            none,
            OK,
            vec![("V4", OK), ("CMS", OK)],
        ),
        (
            "all but a page",
            vec![Sig { covers: rest, ..sig(V4) }, Sig { covers: rest, ..sig(Plain) }],
            none,
            Some("UNSIGNED_FILES"),
            vec![("V4", OK), ("CMS", OK)],
        ),
        (
            "a page changed, which one of them covers",
            vec![Sig { covers: page, ..sig(V1) }, Sig { covers: rest, ..sig(Plain) }],
            |files| bend(files, "Doc_0/Pages/Page_0/Content.xml"),
            MISMATCH,
            vec![("V1", MISMATCH), ("CMS", OK)],
        ),
        (
            "the value of the first changed",
            vec![sig(V4), sig(Plain)],
            |files| bend(files, "Doc_0/Signs/Sign_0/Seal.esl"),
            MISMATCH,
            vec![("V4", MISMATCH), ("CMS", MISMATCH)],
        ),
        (
            "the last, which nothing covers, over another file",
            vec![sig(V4), sig(Plain)],
            |files| {
                let (xml, _) = files.iter().find(|(n, _)| n.ends_with("Sign_0/Signature.xml")).cloned().unwrap();
                let of_first = files.iter().find(|(n, _)| *n == xml).unwrap().1.clone();
                files.iter_mut().find(|(n, _)| n.ends_with("Sign_1/Signature.xml")).unwrap().1 = of_first;
            },
            Some("CMS_DIGEST_MISMATCH"),
            vec![("V4", OK), ("CMS", Some("CMS_DIGEST_MISMATCH"))],
        ),
        (
            "two documents, each with its list",
            vec![sig(V4), Sig { body: 1, ..sig(V1) }],
            none,
            OK,
            vec![("V4", OK), ("V1", OK)],
        ),
        (
            "two documents, the list of one is gone",
            vec![sig(V4), Sig { body: 1, ..sig(V1) }],
            |files| files.retain(|(name, _)| name != "Doc_1/Signs/Signatures.xml"),
            Some("SIGNATURES_XML_MISSING"),
            vec![("V4", OK)],
        ),
        (
            "taken off with all its files: nothing in the package tells, but what it alone covered",
            vec![Sig { covers: rest, ..sig(V4) }, sig(Plain)],
            |files| {
                files.retain(|(name, _)| !name.contains("Sign_1/"));
                let list = files.iter_mut().find(|(name, _)| name.ends_with("Signatures.xml")).unwrap();
                let text = String::from_utf8(list.1.clone()).unwrap();
                let at = text.find("<s:Signature ID=\"1\"").unwrap();
                let end = at + text[at..].find("/>").unwrap() + 2;
                list.1 = format!("{}{}", &text[..at], &text[end..]).into_bytes();
            },
            Some("UNSIGNED_FILES"),
            vec![("V4", OK)],
        ),
        (
            "one more after the list was locked",
            vec![Sig { covers: locked, ..sig(V4) }, sig(Plain)],
            |files| {
                // The lock is over the list as it was before the second line.
                let list = files.iter_mut().find(|(name, _)| name.ends_with("Signatures.xml")).unwrap();
                list.1.extend(b"\n");
            },
            MISMATCH,
            vec![("V4", MISMATCH), ("CMS", OK)],
        ),
    ];
    for (name, signatures, after, want, each) in rows {
        let mut profile = world.profile();
        profile.anchors.signers.push(world.second.cert.clone());
        let report = verify(name, package(&world, &signatures, after), &profile);
        assert_eq!((report.code, codes(&report)), (want, each), "{name}: {}", report.to_text());
        assert_eq!(report.indication == Indication::TotalPassed, want.is_none(), "{name}");
    }
}

#[test]
fn who_does_not_vouch_for_the_document_that_is_opened_is_told() {
    let world = World::new();
    let page: fn(&str) -> bool = |name| name.ends_with("Content.xml");
    for (name, first, second, want) in [
        ("both over all", ALL, ALL, [false, false]),
        ("the first over a page", page, ALL, [true, false]),
        ("the second over a page", ALL, page, [false, true]),
    ] {
        let signatures = [Sig { covers: first, ..sig(Kind::V4) }, Sig { covers: second, ..sig(Kind::Plain) }];
        let mut profile = world.profile();
        profile.anchors.signers.push(world.second.cert.clone());
        let report = verify(name, package(&world, &signatures, |_| {}), &profile);
        let told = |s: &crate::licences::SignatureVerdict| s.findings.iter().any(|f| f.code == "OFD_ROOT_NOT_COVERED");
        assert!(report.passed(), "{}", report.to_text());
        assert_eq!(report.signatures.iter().map(told).collect::<Vec<_>>(), want, "{name}");
    }
}
