//! PDF: one page in the fonts that every reader has, signed as PAdES baseline.

use std::fmt::Write as _;

use super::super::{MakeError, PdfApply, sign_pdf};
use super::ofd::replaced;
use super::pki::Pair;
use super::{Making, PASS, Variation, doubt, failed, row, stamp};
use crate::licences::verdict::SubIndication::*;
use crate::trust::cms;

pub(super) const ALL: &[Variation] = &[
    row("good", "完好的证照（PAdES B-B）", "a licence as it should be (PAdES B-B)", PASS),
    row("good-stamped", "带时间戳（PAdES B-T）", "with a time-stamp (PAdES B-T)", PASS),
    row("good-sm2", "国密签名", "signed with SM2", PASS),
    row("good-two", "两个签名", "two signatures, one after the other", PASS),
    row("unsigned", "没有签名", "not signed", doubt(SignedDataNotFound, "NOT_SIGNED")),
    row(
        "page-changed",
        "签名后改动页面",
        "the page was changed after signing",
        failed(HashFailure, "CMS_DIGEST_MISMATCH"),
    ),
    row(
        "changed-after",
        "签名后增量更新页面",
        "an update after the signature changes the page",
        doubt(SigConstraintsFailure, "PDF_CHANGED_AFTER_SIGNING"),
    ),
    row(
        "signer-look-alike",
        "同名的另一根证书",
        "the signer's root has the right name and another key",
        doubt(NoCertificateChainFound, "SIGNER_NO_CHAIN"),
    ),
    row("signer-revoked", "证书已吊销", "the certificate is revoked", doubt(RevokedNoPoe, "SIGNER_REVOKED")),
    row(
        "signer-revoked-stamped",
        "吊销后签名，有时间戳证明",
        "signed after the revocation, as a time-stamp proves",
        failed(Revoked, "SIGNER_REVOKED"),
    ),
    row("truncated", "文件不完整", "the end is missing", failed(FormatFailure, "PDF_STRUCTURE")),
];

pub(super) fn make(making: &Making<'_>, variation: &str) -> Result<Vec<u8>, MakeError> {
    let pki = making.pki;
    let page = page(making)?;
    let signed = |pdf: Vec<u8>, by: &Pair, stamped: bool| {
        let at = pki.signed_at();
        let ask = |value: &[u8]| stamp(pki, value, at.plus_seconds(1));
        let ask: Option<cms::TimeStamp<'_>> = if stamped { Some(&ask) } else { None };
        let chain = std::slice::from_ref(&by.certificate);
        let with = PdfApply { signer: &by.key, chain, at, time_stamp: ask, reason: Some("TEST") };
        let update = sign_pdf(pdf.clone(), &with)?;
        Ok::<_, MakeError>([pdf, update].concat())
    };
    match variation {
        "unsigned" => Ok(page),
        "good-stamped" => signed(page, &pki.signer_p256, true),
        "good-sm2" => signed(page, &pki.signer, false),
        "good-two" => signed(signed(page, &pki.signer_p256, false)?, &pki.signer, false),
        "signer-look-alike" => signed(page, &pki.stranger_p256, false),
        "signer-revoked" => signed(page, &pki.revoked_p256, false),
        "signer-revoked-stamped" => signed(page, &pki.revoked_p256, true),
        _ => {
            let good = signed(page, &pki.signer_p256, false)?;
            Ok(match variation {
                "page-changed" => replaced(&good, "/MediaBox[0 0 595 842]", "/MediaBox[0 0 595 843]"),
                "changed-after" => {
                    let text = stream("BT /F1 24 Tf 72 400 Td <00540045005300540032> Tj ET");
                    updated(&good, &[(7, text)])
                }
                "truncated" => good[..good.len() / 3].to_vec(),
                _ => good,
            })
        }
    }
}

/// What the paper shows, a line each, in UCS-2 for the fonts of Adobe-GB1.
fn page(making: &Making<'_>) -> Result<Vec<u8>, MakeError> {
    let paper = making.paper()?;
    let mut text = String::from("BT /F1 20 Tf 72 760 Td 24 TL ");
    let lines = std::iter::once(paper.title.clone())
        .chain(paper.fields.iter().map(|(label, value)| format!("{label}：{value}")));
    for (n, line) in lines.enumerate() {
        if n == 1 {
            text.push_str("/F1 12 Tf T* ");
        }
        text.push('<');
        for unit in line.encode_utf16() {
            let _ = write!(text, "{unit:04X}");
        }
        text.push_str("> Tj T* ");
    }
    text.push_str("ET");
    let objects = [
        (1, "<</Type/Catalog/Pages 2 0 R>>".to_owned()),
        (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned()),
        (
            3,
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 4 0 R>>>>/Contents 7 0 R>>"
                .to_owned(),
        ),
        (
            4,
            "<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[5 0 R]>>"
                .to_owned(),
        ),
        (
            5,
            "<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/FontDescriptor 6 0 R\
             /CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 4>>>>"
                .to_owned(),
        ),
        (
            6,
            "<</Type/FontDescriptor/FontName/STSong-Light/Flags 6/FontBBox[-25 -254 1000 880]/ItalicAngle 0/Ascent 880\
             /Descent -120/CapHeight 880/StemV 93>>"
                .to_owned(),
        ),
        (7, stream(&text)),
    ];
    Ok(body(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", None, &objects))
}

fn stream(text: &str) -> String {
    format!("<</Length {}>>\nstream\n{text}\nendstream", text.len())
}

/// Objects with their table; `base` is what stands before, `previous` the place of its table.
fn body(base: &[u8], previous: Option<&str>, objects: &[(u32, String)]) -> Vec<u8> {
    let (mut out, mut table) = (base.to_vec(), String::from("xref\n"));
    if previous.is_none() {
        table += "0 1\n0000000000 65535 f\r\n";
    }
    for (number, object) in objects {
        let _ = write!(table, "{number} 1\n{:010} 00000 n\r\n", out.len());
        out.extend(format!("{number} 0 obj\n{object}\nendobj\n").into_bytes());
    }
    let start = out.len();
    let previous = previous.map(|at| format!("/Prev {at}")).unwrap_or_default();
    let trailer = format!("{table}trailer\n<</Size 32/Root 1 0 R{previous}>>\nstartxref\n{start}\n%%EOF\n");
    out.extend(trailer.into_bytes());
    out
}

/// One update more.
fn updated(pdf: &[u8], objects: &[(u32, String)]) -> Vec<u8> {
    let text = String::from_utf8_lossy(pdf);
    let table = text.rsplit_once("startxref").and_then(|(_, rest)| rest.split_whitespace().next());
    body(pdf, table, objects)
}
