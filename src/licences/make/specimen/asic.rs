//! ASiC-E: the licence's data and its page in one container.

use super::super::MakeError;
use super::ofd::{flip, replaced};
use super::pki::Pair;
use super::{Making, PASS, Variation, doubt, failed, row, stamp};
use crate::formats::zip::{Archive, DosTime, Limits, Packing, Writer};
use crate::licences::verdict::SubIndication::*;
use crate::trust::asic::{self, Part};
use crate::trust::cms;

pub(super) const ALL: &[Variation] = &[
    row("good", "完好的容器（CAdES B-B）", "a container as it should be (CAdES B-B)", PASS),
    row("good-stamped", "带时间戳（CAdES B-T）", "with a time-stamp (CAdES B-T)", PASS),
    row("good-sm2", "国密签名", "signed with SM2", PASS),
    row(
        "data-changed",
        "签名后改动数据",
        "the data were changed after signing",
        failed(HashFailure, "REF_DIGEST_MISMATCH"),
    ),
    row(
        "manifest-changed",
        "签名后改动清单",
        "the manifest was changed after signing",
        failed(HashFailure, "CMS_DIGEST_MISMATCH"),
    ),
    row(
        "signature-broken",
        "签名值被改动",
        "one bit of the signature is wrong",
        failed(SigCryptoFailure, "CMS_SIGNATURE"),
    ),
    row(
        "file-added",
        "签名后添加文件",
        "a file was added after signing",
        doubt(SigConstraintsFailure, "UNSIGNED_FILES"),
    ),
    row("file-removed", "签名后删除文件", "a signed file was taken out", doubt(SignedDataNotFound, "REF_FILE_MISSING")),
    row(
        "signer-look-alike",
        "同名的另一根证书",
        "the signer's root has the right name and another key",
        doubt(NoCertificateChainFound, "SIGNER_NO_CHAIN"),
    ),
    row("signer-revoked", "证书已吊销", "the certificate is revoked", doubt(RevokedNoPoe, "SIGNER_REVOKED")),
    row("truncated", "文件不完整", "the end is missing", failed(FormatFailure, "ZIP_NO_EOCD")),
];

pub(super) fn make(making: &Making<'_>, variation: &str) -> Result<Vec<u8>, MakeError> {
    let pki = making.pki;
    let (by, stamped): (&Pair, bool) = match variation {
        "good-sm2" => (&pki.signer, false),
        "good-stamped" => (&pki.signer_p256, true),
        "signer-look-alike" => (&pki.stranger_p256, false),
        "signer-revoked" => (&pki.revoked_p256, false),
        _ => (&pki.signer_p256, false),
    };
    let (data, page) = (making.data()?.to_string(), super::super::unsealed(&making.paper()?, pki.signed_at())?);
    let parts = vec![
        Part::whole("licence.json", "application/json", data.as_bytes()),
        Part::whole("licence.ofd", "application/ofd", &page),
    ];
    let at = pki.signed_at();
    let ask = |value: &[u8]| stamp(pki, value, at.plus_seconds(1));
    let ask: Option<cms::TimeStamp<'_>> = if stamped { Some(&ask) } else { None };
    let chain = std::slice::from_ref(&by.certificate);
    let good = asic::seal_with(Vec::new(), parts, &by.key, chain, at, ask);
    let good = good.map_err(|e| MakeError::Sign(e.to_string()))?;
    if variation == "truncated" {
        return Ok(good[..good.len() * 2 / 3].to_vec());
    }
    let archive = Archive::open(good, &Limits::default())?;
    let mut writer = Writer::new(Vec::new(), DosTime::day_of(at));
    for entry in archive.files().filter(|e| variation != "file-removed" || e.name != "licence.json") {
        let mut octets = archive.read(&entry.name, 8 << 20)?;
        match (variation, entry.name.as_str()) {
            ("data-changed", "licence.json") => octets = replaced(&octets, "测试发证机关", "测试换证机关"),
            ("manifest-changed", name) if name.ends_with("Manifest.xml") => {
                octets = replaced(&octets, "application/ofd", "application/xml");
            }
            // The signature value is the last field of the SignedData.
            ("signature-broken", name) if name.ends_with(".p7s") => flip(&mut octets, 0),
            _ => {}
        }
        writer.add(&entry.name, Packing::Stored, &octets)?;
    }
    if variation == "file-added" {
        writer.add("more.txt", Packing::Stored, b"x")?;
    }
    Ok(writer.finish()?)
}
