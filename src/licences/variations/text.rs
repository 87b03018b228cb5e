//! The XML of many hands: characters, spellings, what may be missing, where names point.

use super::check;
use super::kit::{Draft, World};
use crate::trust::suite::DigestAlgorithm;

#[test]
fn xml_of_many_hands() {
    const OLD: &str = "http://www.ofdspec.org";
    check(&[
        (
            "no prefix",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| t.replace("ofd:", "").replace("xmlns:ofd=", "xmlns=").into_bytes());
                }
            },
            None,
        ),
        (
            "another prefix",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| t.replace("ofd:", "x:").replace("xmlns:ofd=", "xmlns:x=").into_bytes())
                }
            },
            None,
        ),
        (
            "the older namespace, in one file",
            |_, d| d.replace("Signature.xml", "http://www.ofdspec.org/2016", OLD),
            None,
        ),
        ("no namespace", |_, d| d.replace("OFD.xml", " xmlns:ofd=\"http://www.ofdspec.org/2016\"", ""), None),
        (
            "a byte order mark",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| format!("\u{feff}{t}").into_bytes())
                }
            },
            None,
        ),
        (
            "UTF-16",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| utf16(&t.replace("UTF-8", "UTF-16")))
                }
            },
            None,
        ),
        ("UTF-16 that says UTF-8", |_, d| d.edit("Signature.xml", |t| utf16(&t)), Some("XML_ENCODING")),
        (
            "UTF-16, the other way round",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let units = std::iter::once(0xfeff)
                        .chain(t.replace("UTF-8", "UTF-16BE").encode_utf16().collect::<Vec<_>>());
                    units.flat_map(u16::to_be_bytes).collect()
                })
            },
            None,
        ),
        (
            "UTF-16 without its mark",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("UTF-8", "UTF-16").encode_utf16().flat_map(u16::to_le_bytes).collect()
                })
            },
            Some("XML_SYNTAX"),
        ),
        (
            "a declaration of XML 1.1",
            |_, d| d.replace("Signature.xml", "version=\"1.0\" encoding", "version=\"1.1\" encoding"),
            None,
        ),
        (
            "declared in small letters, alone",
            |_, d| d.replace("Signature.xml", "encoding=\"UTF-8\"", "encoding='utf-8' standalone='yes'"),
            None,
        ),
        (
            "a mark before a declaration of GBK",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    format!("\u{feff}{}", t.replace("UTF-8", "GBK").replace("\"p\"", "\"厂商\"")).into_bytes()
                })
            },
            Some("XML_ENCODING"),
        ),
        (
            "GBK",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let text = t.replace("UTF-8", "GBK").replace("\"p\"", "\"签章厂商\"");
                    encoding_rs::GB18030.encode(&text).0.into_owned()
                })
            },
            None,
        ),
        (
            "CRLF",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| t.replace("><", ">\r\n  <").into_bytes())
                }
            },
            None,
        ),
        (
            "a newline at the end",
            |_, d| {
                for f in ALL {
                    d.edit(f, |t| format!("{t}\n\n").into_bytes())
                }
            },
            None,
        ),
        (
            "no declaration",
            |_, d| d.edit("Signature.xml", |t| t.split_once("?>\n").unwrap().1.as_bytes().to_vec()),
            None,
        ),
        (
            "comments and instructions",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:SignedInfo>", "<!-- c --><?p i?><ofd:SignedInfo><!-- d -->").into_bytes()
                })
            },
            None,
        ),
        (
            "CDATA and references",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace(
                        "/Doc_0/Signs/Sign_0/SignedValue.dat",
                        "<![CDATA[/Doc_0/Signs]]>&#x2F;Sign_0/SignedValue.dat",
                    )
                    .into_bytes()
                })
            },
            None,
        ),
        (
            "unknown elements and attributes",
            |_, d| {
                d.edit("Signature.xml", |t| {
            t.replace("<ofd:SignedInfo>", "<ofd:SignedInfo v:Note=\"1\" xmlns:v=\"urn:v\"><v:More><ofd:Reference FileRef=\"/x\"/></v:More>")
                .replace("<ofd:Reference ", "<ofd:Reference Extra=\"1\" ").into_bytes()
        })
            },
            None,
        ),
        (
            "unknown elements in OFD.xml and the list",
            |_, d| {
                d.edit("OFD.xml", |t| {
                    t.replace("<ofd:DocBody>", "<ofd:Vendor/><ofd:DocBody><ofd:Other a=\"b\"/>").into_bytes()
                });
                d.edit("Signatures.xml", |t| t.replace("<ofd:MaxSignId>", "<ofd:Vendor/><ofd:MaxSignId>").into_bytes());
            },
            None,
        ),
        (
            "attributes as elements",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace(
                        r#"<ofd:Provider ProviderName="p" Company="c" Version="1"/>"#,
                        "<ofd:Provider><ofd:ProviderName>p</ofd:ProviderName></ofd:Provider>",
                    )
                    .into_bytes()
                })
            },
            None,
        ),
        (
            "BaseLoc as an attribute",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:Seal><ofd:BaseLoc>", "<ofd:Seal BaseLoc=\"")
                        .replace("</ofd:BaseLoc></ofd:Seal>", "\"/>")
                        .into_bytes()
                })
            },
            None,
        ),
        (
            "check values broken into lines",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:CheckValue>", "<ofd:CheckValue>\r\n   ")
                        .replace("=</ofd:CheckValue>", "=\r\n</ofd:CheckValue>")
                        .into_bytes()
                })
            },
            None,
        ),
        (
            "a document type",
            |_, d| d.edit("Signature.xml", |t| t.replace("?>\n", "?><!DOCTYPE a>").into_bytes()),
            Some("XML_DTD_FORBIDDEN"),
        ),
        (
            "two SignedInfo",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    t.replace("<ofd:SignedValue>", "<ofd:SignedInfo/><ofd:SignedValue>").into_bytes()
                })
            },
            Some("XML_REPEATED_ELEMENT"),
        ),
    ]);
}

/// All files of the signature structure that are written as XML.
const ALL: [&str; 3] = ["OFD.xml", "Signatures.xml", "Signature.xml"];

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn members_that_may_be_missing() {
    check(&[
        ("MaxSignId", |_, d| d.replace("Signatures.xml", "<ofd:MaxSignId>1</ofd:MaxSignId>", ""), None),
        ("Type", |_, d| d.replace("Signatures.xml", " Type=\"Seal\"", ""), None),
        ("Type in capitals", |_, d| d.replace("Signatures.xml", "\"Seal\"", "\"SEAL\""), None),
        ("Type of another kind", |_, d| d.replace("Signatures.xml", "\"Seal\"", "\"Stamp\""), Some("SIG_TYPE")),
        ("ID", |_, d| d.replace("Signatures.xml", "ID=\"s0\"", ""), None),
        (
            "Provider",
            |_, d| d.replace("Signature.xml", r#"<ofd:Provider ProviderName="p" Company="c" Version="1"/>"#, ""),
            None,
        ),
        (
            "SignatureMethod",
            |_, d| d.replace("Signature.xml", "<ofd:SignatureMethod>1.2.156.10197.1.501</ofd:SignatureMethod>", ""),
            None,
        ),
        (
            "SignatureDateTime",
            |_, d| d.replace("Signature.xml", "<ofd:SignatureDateTime>20260213020000Z</ofd:SignatureDateTime>", ""),
            None,
        ),
        ("SignatureDateTime in words", |_, d| d.replace("Signature.xml", "20260213020000Z", "昨天上午"), None),
        (
            "StampAnnot",
            |_, d| d.replace("Signature.xml", "<ofd:StampAnnot ID=\"9\" PageRef=\"1\" Boundary=\"0 0 4 4\"/>", ""),
            None,
        ),
        (
            "Parameters there",
            |_, d| {
                d.replace(
                    "Signature.xml",
                    "<ofd:References",
                    "<ofd:Parameters><ofd:Parameter Name=\"a\">b</ofd:Parameter></ofd:Parameters><ofd:References",
                )
            },
            None,
        ),
        (
            "Seal",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Seal>").unwrap();
                    format!("{head}{}", rest.split_once("</ofd:Seal>").unwrap().1).into_bytes()
                })
            },
            None,
        ),
        ("CheckMethod", |_, d| d.replace("Signature.xml", " CheckMethod=\"SM3\"", ""), Some("REF_DIGEST_ALG_WEAK")),
        (
            "References",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    let (head, rest) = t.split_once("<ofd:Reference ").unwrap();
                    format!("{head}{}", rest.rsplit_once("</ofd:Reference>").unwrap().1).into_bytes()
                })
            },
            Some("REF_NONE"),
        ),
        (
            "SignedValue",
            |_, d| {
                d.edit("Signature.xml", |t| {
                    format!("{}</ofd:Signature>", t.split_once("<ofd:SignedValue>").unwrap().0).into_bytes()
                })
            },
            Some("XML_MISSING_ELEMENT"),
        ),
    ]);
}

#[test]
fn names_of_digests() {
    let world = World::new();
    for (name, algorithm, want) in [
        ("SM3", DigestAlgorithm::Sm3, None),
        ("sm3", DigestAlgorithm::Sm3, None),
        ("1.2.156.10197.1.401", DigestAlgorithm::Sm3, None),
        ("1.2.156.10197.1.401.1", DigestAlgorithm::Sm3, None),
        ("1.2.156.10197.1.401.2", DigestAlgorithm::Sm3, None),
        (" 1.2.156.10197.1.401 ", DigestAlgorithm::Sm3, None),
        ("SHA256", DigestAlgorithm::Sha256, None),
        ("SHA-256", DigestAlgorithm::Sha256, None),
        ("2.16.840.1.101.3.4.2.1", DigestAlgorithm::Sha256, None),
        ("SHA-384", DigestAlgorithm::Sha384, None),
        ("2.16.840.1.101.3.4.2.3", DigestAlgorithm::Sha512, None),
        ("SM3", DigestAlgorithm::Sha256, Some("REF_DIGEST_MISMATCH")),
        ("MD5", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("1.2.840.113549.2.5", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("SHA1", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("SHA-1", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("1.3.14.3.2.26", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG_WEAK")),
        ("CRC32", DigestAlgorithm::Sm3, Some("REF_DIGEST_ALG")),
    ] {
        let mut draft = Draft { check_digest: algorithm, ..Draft::default() };
        draft.edit("Signature.xml", move |text| text.replace("=\"SM3\"", &format!("=\"{name}\"")).into_bytes());
        let report = world.report(name, &draft);
        assert_eq!(report.code, want, "{}", report.to_text());
    }
}

#[test]
fn locations() {
    const LIST: &str = "Signatures.xml";
    const SIG: &str = "Signature.xml";
    const VALUE: &str = "/Doc_0/Signs/Sign_0/SignedValue.dat";
    check(&[
        ("list from the root", |_, d| d.replace("OFD.xml", ">Doc_0/Signs", ">/Doc_0/Signs"), None),
        ("signature beside its list", |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "Sign_0"), None),
        ("signature with a dot", |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "./Sign_0"), None),
        ("signature by way of its parent", |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "../Signs/Sign_0"), None),
        (
            "signature from the root, no slash",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "Doc_0/Signs/Sign_0"),
            None,
        ),
        (
            "signature with a dot in its path",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "/Doc_0/./Signs/Sign_0"),
            None,
        ),
        (
            "signature with two slashes",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "/Doc_0//Signs/Sign_0"),
            Some("LOC_SHAPE"),
        ),
        (
            "signature as a URL",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "file:///Doc_0/Signs/Sign_0"),
            Some("LOC_SHAPE"),
        ),
        (
            "signature, percent-encoded",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "/Doc%5F0/Signs/Sign_0"),
            Some("SIGNATURE_XML_MISSING"),
        ),
        (
            "signature in other case",
            |_, d| d.replace(LIST, "/Doc_0/Signs/Sign_0", "/doc_0/Signs/Sign_0"),
            Some("SIGNATURE_XML_MISSING"),
        ),
        ("signature outside", |_, d| d.replace(LIST, "/Doc_0/Signs", "../../../Doc_0/Signs"), Some("LOC_TRAVERSAL")),
        ("signature with a backslash", |_, d| d.replace(LIST, "Sign_0/", "Sign_0\\"), Some("LOC_SHAPE")),
        ("value beside its signature", |_, d| d.replace(SIG, VALUE, "SignedValue.dat"), None),
        ("value with blanks around", |_, d| d.replace(SIG, VALUE, "\n  SignedValue.dat\n"), None),
        ("value from the root, no slash", |_, d| d.replace(SIG, VALUE, "Doc_0/Signs/Sign_0/SignedValue.dat"), None),
        ("value elsewhere", |_, d| d.replace(SIG, VALUE, "SignValue.dat"), Some("SIGNED_VALUE_MISSING")),
        ("seal beside its signature", |_, d| d.replace(SIG, ">/Doc_0/Signs/Sign_0/Seal.esl", ">Seal.esl"), None),
        ("references without a slash", |_, d| d.replace(SIG, "FileRef=\"/", "FileRef=\""), Some("REF_LOC_RELATIVE")),
        (
            "references that climb",
            |_, d| d.replace(SIG, "FileRef=\"/OFD", "FileRef=\"/Doc_0/../OFD"),
            Some("REF_LOC_TRAVERSAL"),
        ),
        (
            "references with backslashes",
            |_, d| d.replace(SIG, "/Doc_0/Document", "\\Doc_0\\Document"),
            Some("REF_LOC_RELATIVE"),
        ),
    ]);
}
