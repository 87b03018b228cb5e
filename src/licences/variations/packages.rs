//! Documents, signatures and coverage, and the archives around them.

use super::check;
use super::kit::{Draft, World};
use super::packing::{Descriptor, Shape};

/// So many further lines in the list of signatures, of files that are not there.
fn listing(draft: &mut Draft, more: usize) {
    draft.edit("Signatures.xml", move |text| {
        let line = |n| format!("<ofd:Signature ID=\"more{n}\" BaseLoc=\"Sign_more{n}/Signature.xml\"/>");
        let lines: String = (0..more).map(line).collect();
        text.replacen("</ofd:Signatures>", &format!("{lines}</ofd:Signatures>"), 1).into_bytes()
    });
}

#[test]
fn bodies_signatures_and_coverage() {
    check(&[
        ("OFD.xml left out", |_, d| d.uncovered = vec!["OFD.xml"], None),
        (
            "OFD.xml left out, and pointed to a signed page",
            |_, d| unsigned_root(d, "Doc_0/Pages/Page_0/Content.xml"),
            Some("OFD_ROOT_UNSIGNED"),
        ),
        (
            "OFD.xml left out, and pointed to a signature's own file",
            |_, d| unsigned_root(d, "Doc_0/Signs/Signatures.xml"),
            Some("OFD_ROOT_UNSIGNED"),
        ),
        ("OFD.xml left out, and pointed nowhere", |_, d| unsigned_root(d, "../x.xml"), Some("OFD_ROOT_UNSIGNED")),
        (
            "OFD.xml left out, two signed documents to point to",
            |_, d| {
                d.uncovered = vec!["OFD.xml"];
                d.files.push(("Doc_0/Document_1.xml", b"<ofd:Document><ofd:Pages/></ofd:Document>".to_vec()));
            },
            Some("OFD_ROOT_UNSIGNED"),
        ),
        (
            "two signed documents, OFD.xml signed",
            |_, d| d.files.push(("Doc_0/Document_1.xml", b"<ofd:Document><ofd:Pages/></ofd:Document>".to_vec())),
            None,
        ),
        (
            "OFD.xml left out, a document of another kind attached",
            |_, d| {
                d.uncovered = vec!["OFD.xml"];
                d.files.push(("Doc_0/Attachs/pay.xml", b"<Document xmlns=\"urn:iso:std:iso:20022\"/>".to_vec()));
            },
            None,
        ),
        (
            "encrypted by GM/T 0099",
            |_, d| d.files.push(("Encryptions.xml", b"<ofd:Encryptions/>".to_vec())),
            Some("OFD_ENCRYPTED"),
        ),
        ("a page left out", |_, d| d.uncovered = vec!["Doc_0/Pages/Page_0/Content.xml"], Some("UNSIGNED_FILES")),
        ("two documents", |_, d| d.second_body = true, None),
        (
            "two documents, OFD.xml left out",
            |_, d| (d.second_body, d.uncovered) = (true, vec!["OFD.xml"]),
            Some("UNSIGNED_FILES"),
        ),
        (
            "two documents, one unsigned",
            |_, d| (d.second_body, d.uncovered) = (true, vec!["Doc_1/Document.xml"]),
            Some("UNSIGNED_FILES"),
        ),
        ("two signatures", |_, d| d.second_signature = true, None),
        (
            "two signatures of one ID",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "\"s1\"", "\"s0\"");
            },
            Some("SIG_ID_DUPLICATE"),
        ),
        (
            "one signature listed twice",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "Sign_1", "Sign_0");
            },
            Some("SIG_LISTED_TWICE"),
        ),
        ("as many signatures as are looked at", |_, d| listing(d, 63), Some("SIGNATURE_XML_MISSING")),
        ("one more", |_, d| listing(d, 64), Some("SIG_TOO_MANY")),
        (
            "built on a signature",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "ID=\"s1\"", "ID=\"s1\" Relative=\"s0\"");
            },
            None,
        ),
        (
            "built on none",
            |_, d| d.replace("Signatures.xml", "ID=\"s0\"", "ID=\"s0\" Relative=\"s9\""),
            Some("SIG_RELATIVE_MISSING"),
        ),
        (
            "built on itself",
            |_, d| d.replace("Signatures.xml", "ID=\"s0\"", "ID=\"s0\" Relative=\"s0\""),
            Some("SIG_RELATIVE_CIRCLE"),
        ),
        (
            "built on each other",
            |_, d| {
                d.second_signature = true;
                d.replace("Signatures.xml", "ID=\"s0\"", "ID=\"s0\" Relative=\"s1\"");
                d.replace("Signatures.xml", "ID=\"s1\"", "ID=\"s1\" Relative=\"s0\"");
            },
            Some("SIG_RELATIVE_CIRCLE"),
        ),
        (
            "two signatures, one of them taken off the list",
            |_, d| {
                d.second_signature = true;
                d.edit("Signatures.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Signature ID=\"s1\"").unwrap();
                    format!("{head}{}", rest.split_once("/>").unwrap().1).into_bytes()
                });
            },
            Some("UNSIGNED_FILES"),
        ),
        (
            "an empty list",
            |_, d| {
                d.edit("Signatures.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Signature ").unwrap();
                    format!("{head}{}", rest.split_once("/>").unwrap().1).into_bytes()
                })
            },
            Some("NOT_SIGNED"),
        ),
        ("templates, annotations, attachments, custom tags", |_, d| with_parts(d), None),
        (
            "a template left out",
            |_, d| {
                with_parts(d);
                d.uncovered = vec!["Doc_0/Tpls/Tpl_0/Content.xml"];
            },
            Some("UNSIGNED_FILES"),
        ),
        (
            "an annotation left out",
            |_, d| {
                with_parts(d);
                d.uncovered = vec!["Doc_0/Annots/Page_0/Annotation.xml"];
            },
            Some("UNSIGNED_FILES"),
        ),
        (
            "an attachment left out",
            |_, d| {
                with_parts(d);
                d.uncovered = vec!["Doc_0/Attachs/data.xml"];
            },
            Some("UNSIGNED_FILES"),
        ),
        ("several versions", |_, d| versions(d), None),
        (
            "a version left out",
            |_, d| {
                versions(d);
                d.uncovered = vec!["Doc_0/Versions/V_2/DocVersion.xml"];
            },
            Some("UNSIGNED_FILES"),
        ),
        (
            "an empty list of versions",
            |_, d| d.replace("OFD.xml", "</ofd:DocRoot>", "</ofd:DocRoot><ofd:Versions/>"),
            None,
        ),
        ("common data without MaxUnitID", |_, d| d.replace("Document.xml", "<ofd:Pages>", COMMON), None),
        ("a root file that is no XML", |_, d| d.edit("Document.xml", |_| b"\xff\xfe<".to_vec()), None),
        ("a root beside the package", |_, d| d.replace("OFD.xml", ">Doc_0/Document.xml", ">../Document.xml"), None),
        ("a Chinese file name", |_, d| d.files.push(("Doc_0/Attachs/营业执照 副本.xml", b"<a/>".to_vec())), None),
    ]);
}

#[test]
fn archives_of_many_packers() {
    const NAME: &str = "Doc_0/Attachs/证照数据.xml";
    fn named(d: &mut Draft, shape: Shape) {
        d.files.push((NAME, b"<a/>".to_vec()));
        d.shape = shape;
    }
    let descriptor = |signed, wide| Some(Descriptor { signed, wide });
    let world = World::new();
    for (name, shape, finding) in [
        ("stored", Shape::default(), None),
        ("deflated", Shape { deflated: true, ..Shape::default() }, None),
        ("folders", Shape { folders: true, deflated: true, ..Shape::default() }, Some("ZIP_ATTRIBUTES")),
        ("ZIP64 in small files", Shape { zip64: true, deflated: true, ..Shape::default() }, Some("ZIP_ATTRIBUTES")),
        ("descriptors", Shape { descriptor: descriptor(true, false), deflated: true, ..Shape::default() }, None),
        ("descriptors without a sign", Shape { descriptor: descriptor(false, false), ..Shape::default() }, None),
        (
            "descriptors of 64 bits",
            Shape { descriptor: descriptor(true, true), deflated: true, ..Shape::default() },
            None,
        ),
        (
            "both",
            Shape { descriptor: descriptor(false, true), zip64: true, ..Shape::default() },
            Some("ZIP_ATTRIBUTES"),
        ),
        ("octets before", Shape { before: b"vendor".to_vec(), ..Shape::default() }, Some("ZIP_PREFIX")),
        ("octets after", Shape { after: b"\0\0vendor".to_vec(), ..Shape::default() }, Some("ZIP_TRAILER")),
        ("a comment", Shape { comment: b"made by".to_vec(), ..Shape::default() }, Some("ZIP_COMMENT")),
        ("names in GBK", Shape { gb_names: true, ..Shape::default() }, Some("ZIP_NAME_ENCODING")),
        (
            "names in GBK and again in UTF-8",
            Shape { gb_names: true, unicode_path: true, ..Shape::default() },
            Some("ZIP_NAME_ENCODING"),
        ),
        ("names in UTF-8, unmarked", Shape { unmarked: true, ..Shape::default() }, Some("ZIP_NAME_ENCODING")),
        ("names in UTF-8 twice", Shape { unicode_path: true, ..Shape::default() }, Some("ZIP_ATTRIBUTES")),
    ] {
        let mut draft = Draft::default();
        named(&mut draft, shape);
        let report = world.report(name, &draft);
        assert!(report.passed(), "{}", report.to_text());
        assert_eq!(report.findings.first().map(|f| f.code), finding, "{name}");
        assert!(report.coverage.covered.iter().any(|n| n == NAME), "{name}");
    }
}

const COMMON: &str = "<ofd:CommonData><ofd:PageArea><ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox></ofd:PageArea>\
                      </ofd:CommonData><ofd:Pages>";

/// What a licence has beside pages, named by the root file as GB/T 33190 has it.
fn with_parts(d: &mut Draft) {
    d.replace(
        "Document.xml",
        "<ofd:Pages>",
        "<ofd:CommonData><ofd:MaxUnitID>9</ofd:MaxUnitID>\
         <ofd:TemplatePage ID=\"2\" BaseLoc=\"Tpls/Tpl_0/Content.xml\"/></ofd:CommonData>\
         <ofd:Annotations>Annots/Annotations.xml</ofd:Annotations><ofd:Attachments>Attachs/Attachments.xml</ofd:Attachments>\
         <ofd:CustomTags>Tags/CustomTags.xml</ofd:CustomTags><ofd:Extensions>Extensions.xml</ofd:Extensions><ofd:Pages>",
    );
    for (name, text) in [
        ("Doc_0/Tpls/Tpl_0/Content.xml", "<ofd:Page xmlns:ofd=\"http://www.ofdspec.org/2016\"/>"),
        (
            "Doc_0/Annots/Annotations.xml",
            "<Annotations><Page PageID=\"1\"><FileLoc>Page_0/Annotation.xml</FileLoc></Page></Annotations>",
        ),
        ("Doc_0/Annots/Page_0/Annotation.xml", "<PageAnnot><Annot Type=\"Watermark\" ID=\"8\"/></PageAnnot>"),
        (
            "Doc_0/Attachs/Attachments.xml",
            "<Attachments><Attachment ID=\"1\" Name=\"data\"><FileLoc>data.xml</FileLoc></Attachment></Attachments>",
        ),
        ("Doc_0/Attachs/data.xml", "<data><certificateName>营业执照</certificateName></data>"),
        (
            "Doc_0/Tags/CustomTags.xml",
            "<CustomTags><CustomTag NameSpace=\"urn:v\"><FileLoc>CustomTag.xml</FileLoc></CustomTag></CustomTags>",
        ),
        ("Doc_0/Tags/CustomTag.xml", "<v:licence xmlns:v=\"urn:v\"><v:certificateNumber/></v:licence>"),
        ("Doc_0/Extensions.xml", "<Extensions/>"),
    ] {
        d.files.push((name, text.as_bytes().to_vec()));
    }
}

/// OFD.xml that nobody signed, and its document changed afterwards.
fn unsigned_root(d: &mut Draft, root: &'static str) {
    d.uncovered = vec!["OFD.xml"];
    d.edit("OFD.xml", move |text| text.replace("Doc_0/Document.xml", root).into_bytes());
}

fn versions(d: &mut Draft) {
    d.replace(
        "OFD.xml",
        "</ofd:DocRoot>",
        "</ofd:DocRoot><ofd:Versions><ofd:Version ID=\"1\" Index=\"1\" BaseLoc=\"/Doc_0/Versions/V_1/DocVersion.xml\"/>\
         <ofd:Version ID=\"2\" Index=\"2\" Current=\"true\" BaseLoc=\"/Doc_0/Versions/V_2/DocVersion.xml\"/></ofd:Versions>",
    );
    for name in ["Doc_0/Versions/V_1/DocVersion.xml", "Doc_0/Versions/V_2/DocVersion.xml"] {
        d.files.push((name, b"<DocVersion><DocRoot>/Doc_0/Document.xml</DocRoot></DocVersion>".to_vec()));
    }
}
