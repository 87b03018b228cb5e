use std::fmt::Write as _;

use super::*;
use crate::formats::ber;
use crate::licences::variations::kit::{Draft, Party, World, at, party_of};
use crate::licences::*;
use crate::trust::cms::{self, Spelling};
use crate::trust::issue::Use;
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};
use crate::trust::timestamp;

const PLACE: usize = 16_000;

/// Objects as a body with its table; `base` is what stands before, with the place of its table.
pub(super) fn body(base: &[u8], previous: Option<usize>, objects: &[(u32, String)], trailer: &str) -> Vec<u8> {
    let mut out = base.to_vec();
    let mut table = String::from("xref\n");
    if previous.is_none() {
        table += "0 1\n0000000000 65535 f\r\n";
    }
    for (number, object) in objects {
        let _ = write!(table, "{number} 1\n{:010} 00000 n\r\n", out.len());
        out.extend(format!("{number} 0 obj\n{object}\nendobj\n").into_bytes());
    }
    let start = out.len();
    let prev = previous.map(|p| format!("/Prev {p}")).unwrap_or_default();
    let size = objects.iter().map(|(number, _)| number + 1).max().unwrap_or(0).max(100);
    out.extend(
        format!("{table}trailer\n<</Size {size}/Root 1 0 R{prev}{trailer}>>\nstartxref\n{start}\n%%EOF\n").into_bytes(),
    );
    out
}

pub(super) fn startxref(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.rsplit_once("startxref\n").unwrap().1.lines().next().unwrap().parse().unwrap()
}

pub(super) fn update(pdf: &[u8], objects: &[(u32, String)]) -> Vec<u8> {
    body(pdf, Some(startxref(pdf)), objects, "")
}

pub(super) fn signature(extra: &str) -> String {
    format!(
        "<</Type/Sig/Filter/Adobe.PPKLite{extra}/ByteRange[0 0000000000 0000000000 0000000000]/Contents<{}>>>",
        "0".repeat(PLACE)
    )
}

pub(super) const PADES: &str = "/SubFilter/ETSI.CAdES.detached/M(D:20260213100000+08'00')";
pub(super) const CATALOG: &str = "<</Type/Catalog/Pages 2 0 R/AcroForm 4 0 R>>";

pub(super) fn document(signature: String) -> Vec<u8> {
    let objects = [
        (1, CATALOG.to_owned()),
        (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned()),
        (3, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]/Annots[5 0 R]/Contents 9 0 R>>".to_owned()),
        (4, "<</Fields[5 0 R]/SigFlags 3>>".to_owned()),
        (5, "<</FT/Sig/Type/Annot/Subtype/Widget/T(Seal \\(1\\))/Rect[0 0 0 0]/V 6 0 R/P 3 0 R>>".to_owned()),
        (6, signature),
    ];
    body(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", None, &objects, "")
}

/// Fills in the range and the value of the last signature that has none.
pub(super) fn fill(mut pdf: Vec<u8>, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let find = |pdf: &[u8], what: &[u8]| pdf.windows(what.len()).rposition(|w| w == what).unwrap();
    let from = find(&pdf, format!("<{}", "0".repeat(64)).as_bytes());
    let to = from + PLACE + 2;
    let range = format!("[0 {from:010} {to:010} {:010}]", pdf.len() - to);
    let at = find(&pdf, b"[0 0000000000 0000000000 0000000000]");
    pdf[at..at + range.len()].copy_from_slice(range.as_bytes());
    let value = crate::terms::digest::hex(&sign(&[&pdf[..from], &pdf[to..]].concat()));
    pdf[from + 1..from + 1 + value.len()].copy_from_slice(value.as_bytes());
    pdf
}

pub(super) fn party(algorithm: SignatureAlgorithm, purpose: Use) -> Party {
    party_of(SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap(), "签名人", purpose)
}

pub(super) fn by<'a>(
    signer: &'a Party,
    spelling: Spelling,
    stamp: Option<&'a Party>,
) -> impl Fn(&[u8]) -> Vec<u8> + 'a {
    move |octets| {
        let digest = signer.key.algorithm().digest().of(octets);
        let chain = std::slice::from_ref(&signer.cert);
        let ask = |value: &[u8]| Ok(token(stamp.unwrap(), value));
        let stamp = stamp.map(|_| &ask as cms::TimeStamp<'_>);
        cms::sign_detached_with(&signer.key, chain, &digest, Some(at("2026-02-13T02:00:00Z")), spelling, stamp).unwrap()
    }
}

pub(in crate::licences) fn token(tsa: &Party, message: &[u8]) -> Vec<u8> {
    let request = timestamp::Request::over(DigestAlgorithm::Sha256, message, [7; 8]);
    let chain = std::slice::from_ref(&tsa.cert);
    let response = timestamp::respond(&request, &tsa.key, chain, "1.2.3", 1, at("2026-02-13T02:00:05Z")).unwrap();
    timestamp::token_of(&response, &request).unwrap().der().to_vec()
}

pub(super) fn profile(signer: &Party, tsa: Option<&Party>) -> Profile {
    let mut profile = Profile::new(at("2026-03-01T00:00:00Z"));
    profile.anchors.signers = vec![signer.cert.clone()];
    profile.anchors.tsas = tsa.map(|t| t.cert.clone()).into_iter().collect();
    profile
}

pub(super) fn code(pdf: &[u8], profile: &Profile) -> (Indication, Option<&'static str>) {
    let report = verify("f.pdf", pdf.to_vec(), profile);
    assert_eq!(report.format, Format::Pdf);
    (report.indication, report.code)
}

use Indication::{Indeterminate, TotalFailed, TotalPassed};

#[test]
fn pades_and_national_signatures() {
    for (algorithm, spelling) in [
        (SignatureAlgorithm::EcdsaP256Sha256, Spelling::International),
        (SignatureAlgorithm::Sm2Sm3, Spelling::International),
        (SignatureAlgorithm::Sm2Sm3, Spelling::National),
    ] {
        let (signer, tsa) = (party(algorithm, Use::Signer), party(algorithm, Use::TimeStamping));
        let pdf = fill(document(signature(PADES)), &by(&signer, spelling, None));
        let report = verify("f.pdf", pdf.clone(), &profile(&signer, None));
        assert!(report.passed(), "{}", report.to_text());
        let verdict = &report.signatures[0];
        assert_eq!((verdict.file.as_str(), verdict.proven_at), ("Seal (1)", None));
        assert_eq!(verdict.claimed_at, Some(at("2026-02-13T02:00:00Z")));
        // As encoders that stream write it, in a place with zeros at its end.
        let streamed =
            fill(document(signature(PADES)), &|octets| ber::streamed(&by(&signer, spelling, None)(octets), usize::MAX));
        let report = verify("f.pdf", streamed, &profile(&signer, None));
        let noted = report.signatures[0].findings.iter().any(|f| f.code == "CMS_BER");
        assert!(report.passed() && noted, "{}", report.to_text());
        // B-T: the stamp keeps it good after the signer's certificate has run out.
        let stamped = fill(document(signature(PADES)), &by(&signer, spelling, Some(&tsa)));
        let report = verify("f.pdf", stamped, &profile(&signer, Some(&tsa)));
        assert!(report.passed() && report.signatures[0].basis == TimeBasis::TimeStamp, "{}", report.to_text());
        // Any octet outside of the value.
        for at in [0usize, 5, 20, 300, pdf.len() - 20, pdf.len() - 2] {
            let mut bent = pdf.clone();
            bent[at] ^= 1;
            assert!(!verify("f", bent, &profile(&signer, None)).passed(), "{at}");
        }
        assert_eq!(code(&pdf, &Profile::new(at("2026-03-01T00:00:00Z"))), (Indeterminate, Some("NO_ANCHORS")));
    }
}

#[test]
fn a_national_seal_in_the_place_of_a_signature() {
    let world = World::new();
    let draft = Draft::default();
    let seal = draft.seal(&world);
    let pdf = fill(document(signature("/SubFilter/GM.Seal")), &|octets| draft.value(&world, &seal, octets, "/pdf"));
    let report = verify("f.pdf", pdf, &world.profile());
    assert!(report.passed() && report.signatures[0].format == "V4", "{}", report.to_text());
}

#[test]
fn signatures_of_other_kinds() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let cms = by(&signer, Spelling::International, None);
    let xades: &dyn Fn(&[u8]) -> Vec<u8> =
        &|_| b"<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/>".to_vec();
    let nothing: &dyn Fn(&[u8]) -> Vec<u8> = &|_| Vec::new();
    for (kind, value, want) in [
        ("ETSI.XAdES.detached", xades, (Indeterminate, Some("PDF_SUBFILTER"))),
        ("Vendor.9", nothing, (Indeterminate, Some("PDF_SUBFILTER"))),
        ("Vendor.9", &cms, (TotalPassed, None)),
        ("ETSI.CAdES.detached", xades, (TotalFailed, Some("SIGNED_VALUE_DER"))),
        ("adbe.pkcs7.detached", nothing, (TotalFailed, Some("SIGNED_VALUE_DER"))),
        ("adbe.x509.rsa_sha1", &cms, (Indeterminate, Some("REF_DIGEST_ALG_WEAK"))),
    ] {
        let pdf = fill(document(signature(&format!("/SubFilter/{kind}"))), value);
        assert_eq!(code(&pdf, &profile(&signer, None)), want, "{kind}");
    }
}

#[test]
fn ranges_that_leave_something_out() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let pdf = fill(document(signature(PADES)), &by(&signer, Spelling::International, None));
    let text = String::from_utf8_lossy(&pdf).into_owned();
    let range = &text[text.find("/ByteRange").unwrap()..text.find("/Contents<").unwrap()];
    let numbers: Vec<i64> = range[11..range.len() - 1].split(' ').map(|n| n.parse().unwrap()).collect();
    for (n, by) in [(0, 1), (1, -1), (1, 1), (2, 1), (2, -1), (3, 1)] {
        let mut other = numbers.clone();
        other[n] += by;
        let new = format!("/ByteRange[{} {:010} {:010} {:010}]", other[0], other[1], other[2], other[3]);
        let at = pdf.windows(range.len()).position(|w| w == range.as_bytes()).unwrap();
        let mut bent = pdf.clone();
        bent[at..at + new.len()].copy_from_slice(new.as_bytes());
        assert_eq!(code(&bent, &profile), (TotalFailed, Some("PDF_SIGNATURE")), "{new}");
    }
    let shorter = signature(PADES).replace("/ByteRange[0 0000000000 0000000000 0000000000]", "/ByteRange[]");
    assert_eq!(code(&document(shorter), &profile), (TotalFailed, Some("PDF_SIGNATURE")));
    let weak = fill(document(signature("/SubFilter/adbe.pkcs7.sha1")), &by(&signer, Spelling::International, None));
    assert_eq!(code(&weak, &profile), (Indeterminate, Some("REF_DIGEST_ALG_WEAK")));
    let empty = document(signature(PADES));
    assert_eq!(code(&empty, &profile).0, TotalFailed);
    let unsigned = body(b"%PDF-1.4\n", None, &[(1, "<</Type/Catalog>>".to_owned())], "");
    assert_eq!(code(&unsigned, &profile), (Indeterminate, Some("NOT_SIGNED")));
}

#[test]
fn what_comes_after_a_signature_is_found() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let sign = by(&signer, Spelling::International, None);
    let pdf = fill(document(signature(PADES)), &sign);
    let changed = (Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING"));
    let stream = |octets: &str| format!("<</Length {}>>stream\n{octets}\nendstream", octets.len());
    let with_store = CATALOG.replace("/AcroForm", "/DSS 20 0 R/AcroForm");
    let store = vec![
        (1, with_store.clone()),
        (20, "<</Type/DSS/Certs[21 0 R]/VRI<<>>>>".to_owned()),
        (21, stream("0\x03\x02\x01\x05")),
    ];
    assert_eq!(code(&[&pdf[..], b"\r\n\0"].concat(), &profile), (TotalPassed, None));
    assert_eq!(code(&[&pdf[..], b"% vendor"].concat(), &profile), changed);
    assert_eq!(code(&update(&pdf, &store), &profile), (TotalPassed, None));
    assert_eq!(code(&update(&pdf, &[(3, "<</Type/Page/Parent 2 0 R>>".to_owned())]), &profile), changed);
    assert_eq!(code(&update(&pdf, &[(1, CATALOG.replace("/Pages 2", "/Pages 8"))]), &profile), changed);
    // The page refers to object 9, which was not there when it was signed.
    assert_eq!(code(&update(&pdf, &[(9, stream("0 0 m 9 9 l S"))]), &profile), changed);
    assert_eq!(code(&update(&update(&pdf, &store), &[(2, "<</Type/Pages/Count 0>>".to_owned())]), &profile), changed);
    // The page refers to object 9, which is drawn and calls itself a certificate.
    let shadow = [
        (1, with_store.clone()),
        (20, "<</Type/DSS/Certs[9 0 R]>>".to_owned()),
        (9, stream(&format!("0\x20{}", "0 0 m 9 9 l S".repeat(3).split_at(32).0))),
    ];
    assert_eq!(code(&update(&pdf, &shadow), &profile), changed);
    // A dictionary that the page draws with is no store, though the catalog says so, too.
    let digest = "A".repeat(40);
    let both = |drawn: u32| (20, format!("<</Type/DSS/{digest} {drawn} 0 R>>"));
    let drawing = |n: u32, octets: &str| (n, stream(octets));
    let resources = "/Resources<</XObject 20 0 R>>/Contents 9 0 R>>";
    let objects = [
        (1, with_store.clone()),
        (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned()),
        (3, format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]/Annots[5 0 R]{resources}")),
        (4, "<</Fields[5 0 R]/SigFlags 3>>".to_owned()),
        (5, "<</FT/Sig/Type/Annot/Subtype/Widget/T(1)/Rect[0 0 0 0]/V 6 0 R/P 3 0 R>>".to_owned()),
        (6, signature(PADES)),
        drawing(9, "q"),
        drawing(10, "q"),
        both(10),
    ];
    let double = fill(body(b"%PDF-1.7\n", None, &objects, ""), &sign);
    assert_eq!(code(&double, &profile), (TotalPassed, None));
    assert_eq!(code(&update(&double, &[both(11), drawing(11, "0 0 m 9 9 l S")]), &profile), changed);
    // A history that goes around the signed revision.
    let around = body(&pdf, Some(startxref(&pdf) - 1), &store, "");
    assert_eq!(code(&around, &profile), changed);
    let alone = body(&pdf, None, &[(1, "<</Type/Catalog/AcroForm<</Fields[5 0 R]>>>>".to_owned())], "");
    assert_eq!(code(&alone, &profile), (Indeterminate, Some("NOT_SIGNED")));
    let certified = "/SubFilter/ETSI.CAdES.detached/Reference[<</TransformMethod/DocMDP/TransformParams<</P 1>>>>]";
    let certified = fill(document(signature(certified)), &sign);
    assert_eq!(code(&certified, &profile), (TotalPassed, None));
    let touched = update(&certified, &[(9, stream("x"))]);
    assert_eq!(code(&touched, &profile), (Indeterminate, Some("PDF_CHANGED_AGAINST_DOCMDP")));
    // A circle of sections.
    let circle = body(&pdf, Some(pdf.len() + 1), &[], "");
    assert_eq!(code(&circle, &profile).0, TotalFailed);
}

/// A document signed by one, with fields for a second signature as an update, signed by the other.
fn signed_twice(first: &Party, second: &Party, extra: &[(u32, String)], value: &str) -> Vec<u8> {
    let pdf = fill(document(signature(PADES)), &by(first, Spelling::International, None));
    let mut objects = vec![
        (3, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]/Annots[5 0 R 30 0 R]/Contents 9 0 R>>".to_owned()),
        (4, "<</Fields[5 0 R 30 0 R]/SigFlags 3>>".to_owned()),
        (30, "<</FT/Sig/Type/Annot/Subtype/Widget/T(2)/Rect[0 0 90 90]/AP<</N 32 0 R>>/V 31 0 R/P 3 0 R>>".to_owned()),
        (31, signature(value)),
        (32, "<</Type/XObject/Subtype/Form/Length 1>>stream\nq\nendstream".to_owned()),
    ];
    objects.retain(|(n, _)| !extra.iter().any(|(m, _)| m == n));
    objects.extend(extra.iter().cloned());
    fill(update(&pdf, &objects), &by(second, Spelling::International, None))
}

#[test]
fn further_signatures_may_add_what_they_need_and_nothing_else() {
    let (first, second) =
        (party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer), party(SignatureAlgorithm::Sm2Sm3, Use::Signer));
    let mut profile = profile(&first, None);
    let ask = |extra: &[(u32, &str)], profile: &Profile| {
        let extra: Vec<_> = extra.iter().map(|(n, text)| (*n, (*text).to_owned())).collect();
        code(&signed_twice(&first, &second, &extra, PADES), profile)
    };
    assert_eq!(ask(&[], &profile), (Indeterminate, Some("SIGNER_NO_CHAIN"))); // the second signer is a stranger
    profile.anchors.signers.push(second.cert.clone());
    assert_eq!(ask(&[], &profile), (TotalPassed, None));
    let changed = (Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING"));
    let page = |what: &str| format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]{what}>>");
    for (number, object) in [
        (3, page("/Annots[5 0 R 30 0 R]/Contents 40 0 R")), // other content
        (3, page("/Annots[5 0 R 30 0 R]/Contents 9 0 R").replace("841.9", "800.1")),
        (3, page("/Annots[30 0 R 5 0 R]/Contents 9 0 R")),
        (3, page("/Annots[5 0 R 30 0 R 33 0 R]/Contents 9 0 R")), // an annotation that is no signature
        (9, "<</Length 1>>stream\nS\nendstream".to_owned()),      // what the page referred to before
        (2, "<</Type/Pages/Kids[3 0 R 34 0 R]/Count 2>>".to_owned()),
        (4, "<</Fields[5 0 R 30 0 R]/SigFlags 3/NeedAppearances true>>".to_owned()),
        (1, CATALOG.replace(">>", "/OpenAction 35 0 R>>")),
    ] {
        assert_eq!(ask(&[(number, &object)], &profile), changed, "{object}");
    }
    // Widgets that only the page knows, whatever they say stands behind them; and annotations that call themselves fields.
    let overlay =
        |more: &str| format!("<</FT/Sig/Type/Annot/Subtype/Widget/T(3)/Rect[0 0 595 842]/AP<</N 32 0 R>>{more}>>");
    let drawn = page("/Annots[5 0 R 30 0 R 36 0 R]/Contents 9 0 R");
    for widget in [
        overlay("/V<</Type/Sig/ByteRange[0 1 2 3]>>"),
        overlay("/V 6 0 R"),
        overlay("/V 7 0 R"),
        overlay("/V 37 0 R"),
        "<</FT/Sig/Type/Annot/Subtype/Text/Rect[10 10 10 10]/Contents(void)>>".to_owned(),
        "<</FT/Sig/Type/Annot/Subtype/Stamp/Rect[0 0 0 0]/AP<</N 32 0 R>>>>".to_owned(),
        "<</FT/Sig/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/AA<</PO<</S/JavaScript/JS(1)>>>>>>".to_owned(),
        "<</FT/Sig/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/A<</S/URI/URI(x)>>>>".to_owned(),
    ] {
        let all = [(36, widget.as_str()), (3, &*drawn), (37, "<</Type/Sig/ByteRange[0 1 2 3]>>")];
        assert_eq!(ask(&all, &profile), changed, "{widget}");
    }
    // A picture that nobody has signed for.
    let unsigned = "<</FT/Sig/Type/Annot/Subtype/Widget/T(3)/Rect[0 0 90 90]/AP<</N 32 0 R>>>>";
    let fields = "<</Fields[5 0 R 30 0 R 36 0 R]/SigFlags 3>>";
    assert_eq!(ask(&[(36, unsigned), (4, fields)], &profile), changed);
    let hidden = unsigned.replace("90 90", "0 0");
    assert_eq!(ask(&[(36, &hidden), (4, fields)], &profile), (TotalPassed, None));
}

#[test]
fn as_many_signatures_as_are_judged() {
    let nobody = Profile::new(at("2026-03-01T00:00:00Z"));
    let mut pdf = fill(document(signature(PADES)), &|_| vec![0x30, 0]);
    let mut fields = String::new();
    for number in 2..=65 {
        let (field, value) = (100 + number, 200 + number);
        fields += &format!(" {field} 0 R");
        let objects = [
            (4, format!("<</Fields[5 0 R{fields}]/SigFlags 3>>")),
            (field, format!("<</FT/Sig/T({number})/V {value} 0 R>>")),
            (value, signature(PADES)),
        ];
        pdf = fill(update(&pdf, &objects), &|_| vec![0x30, 0]);
        if number >= 64 {
            let (_, code) = code(&pdf, &nobody);
            assert_eq!(code == Some("SIG_TOO_MANY"), number == 65, "{number} signatures: {code:?}");
        }
    }
}

/// A book of some hundred pages has as many objects as this.
#[test]
fn a_long_document_may_get_validation_data() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let mut objects = vec![
        (1, CATALOG.to_owned()),
        (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned()),
        (3, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595.3 841.9]/Annots[5 0 R]>>".to_owned()),
        (4, "<</Fields[5 0 R]/SigFlags 3>>".to_owned()),
        (5, "<</FT/Sig/Type/Annot/Subtype/Widget/T(1)/Rect[0 0 0 0]/V 6 0 R/P 3 0 R>>".to_owned()),
        (6, signature(PADES)),
    ];
    objects.extend((100..60_100).map(|n| (n, format!("<</A {} 0 R>>", n + 1))));
    let pdf = fill(body(b"%PDF-1.7\n", None, &objects, ""), &by(&signer, Spelling::International, None));
    let store = |certificate: u32| {
        vec![
            (1, CATALOG.replace("/AcroForm", "/DSS 90000 0 R/AcroForm")),
            (90_000, format!("<</Type/DSS/Certs[{certificate} 0 R]>>")),
            (certificate, "<</Length 5>>stream\n0\x03\x02\x01\x05\nendstream".to_owned()),
        ]
    };
    let profile = profile(&signer, None);
    assert_eq!(code(&update(&pdf, &store(90_001)), &profile), (TotalPassed, None));
    // The last one refers to an object that was not there.
    assert_eq!(code(&update(&pdf, &store(60_100)), &profile), (Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING")));
}

#[test]
fn no_flipped_octet_passes() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let (profile, pdf) =
        (profile(&signer, None), fill(document(signature(PADES)), &by(&signer, Spelling::International, None)));
    let zeros = pdf.windows(64).position(|w| w == [b'0'; 64]).unwrap();
    let zeros = zeros..zeros + pdf[zeros..].iter().position(|b| *b == b'>').unwrap();
    let mut flips = 0;
    // Of the zeros that fill the place, some.
    let bound = |n: &usize| !zeros.contains(n) || n.is_multiple_of(97);
    for n in (0..pdf.len()).filter(bound) {
        // A zero made a blank is left out when the digits are read.
        for bit in [n % 8, 7 - n % 8].into_iter().filter(|bit| !zeros.contains(&n) || *bit != 4) {
            let mut bent = pdf.clone();
            bent[n] ^= 1 << bit;
            // A digit of the value in the other case is the same digit.
            if bent[n].eq_ignore_ascii_case(&pdf[n]) && pdf[n].is_ascii_hexdigit() && n < zeros.start {
                continue;
            }
            let report = verify("f.pdf", bent, &profile);
            assert!(
                !report.passed(),
                "octet {n}, bit {bit}: {}",
                String::from_utf8_lossy(&pdf[n.saturating_sub(20)..n + 20])
            );
            flips += 1;
        }
    }
    assert!(flips > 3_000, "{flips}");
}

#[test]
fn a_pdf_that_begins_late_is_not_confirmed() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let pdf = fill(document(signature(PADES)), &by(&signer, Spelling::International, None));
    let late = (Indeterminate, Some("PDF_HEADER_PLACE"));
    for before in [&b"\r\n"[..], b"\xef\xbb\xbf", &[b' '; 1_000]] {
        assert_eq!(code(&[before, &pdf].concat(), &profile(&signer, None)), late);
        // As a producer writes it that counts from the first octet.
        let base = [before, b"%PDF-1.7\n"].concat();
        let signed = fill(body(&base, None, &[(1, CATALOG.to_owned()), (6, signature(PADES))], ""), &|_| vec![0x30, 0]);
        assert_eq!(code(&signed, &profile(&signer, None)), late);
    }
    let beyond = verify("f", [&[b' '; 1_024][..], &pdf].concat(), &profile(&signer, None));
    assert_eq!((beyond.format, beyond.indication), (Format::Unknown, TotalFailed));
}

#[test]
fn dates_of_signatures() {
    for (text, want) in [
        ("D:20260213100000+08'00'", Some("2026-02-13T02:00:00.000Z")),
        ("D:20260213100000+08'00", Some("2026-02-13T02:00:00.000Z")),
        ("D:20260213020000Z", Some("2026-02-13T02:00:00.000Z")),
        ("D:20260213020000Z00'00'", Some("2026-02-13T02:00:00.000Z")),
        ("20260213100000", Some("2026-02-13T02:00:00.000Z")),
        ("D:20260213", Some("2026-02-12T16:00:00.000Z")),
        ("D:2026", None),
        ("yesterday", None),
    ] {
        assert_eq!(date(text).map(|at| at.to_string()).as_deref(), want, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_damage_panics(at in proptest::prelude::any::<proptest::sample::Index>(), to in 0u8.., cut in proptest::prelude::any::<proptest::sample::Index>()) {
        thread_local! {
            static PDF: Vec<u8> = document(signature(PADES).replace(&"0".repeat(PLACE), "3000"));
        }
        let mut pdf = PDF.with(Clone::clone);
        let n = at.index(pdf.len());
        pdf[n] = to;
        pdf.truncate(cut.index(pdf.len() * 4).max(n + 1));
        let report = verify("f.pdf", pdf, &Profile::new(UnixMillis(0)));
        proptest::prop_assert!(!report.passed());
    }
}
