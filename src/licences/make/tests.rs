use proptest::prelude::*;

use super::*;
use crate::formats::zip::{Archive, DosTime, Limits, Packing, Writer};
use crate::licences::*;
use crate::terms::{CreditCode, Day, LicenceId, ResidentId, UnixMillis};

use pki::Party;

/// A seal maker and a signer, made at run time.
#[path = "tests/pki.rs"]
mod pki;

const AT: &str = "2026-02-13T02:00:00Z";
const TYPE: &str = "11100000DT0000131P001";
const ISSUER: &str = "11419001DT000030XW";
const PERSON: &str = "990101199202290010";

fn at(text: &str) -> UnixMillis {
    UnixMillis::parse_rfc3339(text).unwrap()
}

struct World {
    maker: Party,
    signer: Party,
    seal: Vec<u8>,
}

fn world() -> World {
    let maker = Party::new("Seal Maker");
    let signer = Party::new(&format!("{ISSUER}济源市行政审批服务局"));
    let mut world = World { maker, signer, seal: Vec::new() };
    world.reseal(&round_seal());
    world
}

fn spec<'a>(signer: &'a Party, picture: &'a [u8]) -> SealSpec<'a> {
    SealSpec {
        id: "41900100000017",
        name: "济源市政务服务中心业务受理专用章（测试）",
        kind: 4,
        signers: std::slice::from_ref(&signer.cert),
        created: at("2026-01-01T00:00:00Z"),
        valid_from: at("2026-01-01T00:00:00Z"),
        valid_to: at("2029-01-01T00:00:00Z"),
        picture,
        size_mm: 40,
    }
}

impl World {
    fn reseal(&mut self, picture: &[u8]) {
        self.seal = make_seal(&spec(&self.signer, picture), self.maker.key(), &self.maker.cert).unwrap();
    }

    fn profile(&self) -> Profile {
        let mut profile = Profile::new(at("2026-03-01T00:00:00Z"));
        profile.coverage = CoverageRule::Strict;
        profile.anchors.signers = vec![self.signer.cert.clone()];
        profile.anchors.makers = vec![self.maker.cert.clone()];
        profile
    }

    fn sealed(&self, paper: &Paper) -> Vec<u8> {
        seal(paper, &self.seal, self.signer.key(), &self.signer.cert, at(AT)).unwrap()
    }
}

fn licence() -> Paper {
    let identifier = LicenceId::new(TYPE, ISSUER, "2026DEM000000017", 1).unwrap();
    let mut paper = Paper::new(PaperKind::Licence, "豫济字第17号")
        .field("证照名称", "营业执照（测试）")
        .field("持证主体", "测试人 & <孙>")
        .field("说明", "本证照仅用于测试。".repeat(12))
        .data(serde_json::json!({
            "certificateIdentifier": identifier.to_string(),
            "certificateName": "营业执照（测试）",
            "certificateTypeCode": TYPE,
            "certificateIssuingAuthorityCode": ISSUER,
            "certificateHolderName": "测试人 & <孙>",
            "certificateHolderCode": PERSON,
            "certificateEffectiveDate": "2026-02-13",
            "certificateExpiringDate": "2027-02-12",
        }));
    paper.custom.push(("certificateIdentifier".to_owned(), identifier.to_string()));
    paper
}

fn voucher() -> Paper {
    Paper::new(PaperKind::AcceptanceVoucher, "4190010000002026021300000017S")
        .field("办件编号", "4190010000002026021300000017S")
        .field("事项名称", "个体工商户设立登记")
        .field("申请人", "测试人")
        .field("受理人员", "王五")
        .field("受理日期", "2026-02-13")
}

#[test]
fn a_sealed_licence_passes_and_says_whose_it_is() {
    let world = world();
    let bytes = world.sealed(&licence());
    assert_eq!(Archive::open(bytes.as_slice(), &Limits::default()).unwrap().findings(), []);
    let report = verify("licence.ofd", bytes, &world.profile());
    assert!(report.passed(), "{}", report.to_text());
    let signature = &report.signatures[0];
    assert_eq!((signature.kind, signature.format, signature.findings.len()), ("Seal", "V4", 0));
    assert!(report.coverage.uncovered.is_empty() && report.coverage.covered.contains(&"OFD.xml".to_owned()));
    assert!(report.data.data.iter().all(|d| d.covered) && report.findings.is_empty(), "{}", report.to_text());
    let shown = report.to_text() + &report.to_json().to_string();
    assert!(!shown.contains(PERSON) && shown.contains("990*************10"));

    let (me, other): (ResidentId, ResidentId) = (PERSON.parse().unwrap(), "11010519491231002X".parse().unwrap());
    let body: CreditCode = "11100000000013338W".parse().unwrap();
    let day = |text: &str| text.parse::<Day>().unwrap();
    let need = |holder, type_code, issuer, today| Need { type_code, issuer, sealed_by_issuer: true, holder, today };
    let today = day("2026-03-01");
    for (need, want) in [
        (need(Holder::Person(&me), Some(TYPE), Some(ISSUER), today), None),
        (need(Holder::Person(&me), None, None, day("2027-02-12")), None),
        (need(Holder::Person(&other), None, None, today), Some("TB-LIC-0201")),
        (need(Holder::Entity(&body), None, None, today), Some("TB-LIC-0201")),
        (need(Holder::Person(&me), Some("11100000DT0000131P002"), None, today), Some("TB-LIC-0202")),
        (need(Holder::Person(&me), None, None, day("2027-02-13")), Some("TB-LIC-0203")),
        (need(Holder::Person(&me), None, None, day("2026-02-12")), Some("TB-LIC-0204")),
        (need(Holder::Person(&me), None, Some("11100000000013338W"), today), Some("TB-LIC-0205")),
    ] {
        let got = judge(&report, &need);
        assert_eq!(got.as_ref().err().map(|e| crate::terms::Explain::told(e).code), want);
        if let Ok(verified) = got {
            assert_eq!(verified.identifier().unwrap().serial(), "2026DEM000000017");
            assert_eq!((verified.valid_to(), verified.issuer()), (Some(day("2027-02-12")), Some(ISSUER)));
        }
    }
}

#[test]
fn nobody_is_trusted_unless_named_and_each_only_for_one_purpose() {
    let world = world();
    let bytes = world.sealed(&voucher());
    let run = |change: &dyn Fn(&mut Profile)| {
        let mut profile = world.profile();
        change(&mut profile);
        let report = verify("v", bytes.clone(), &profile);
        (report.indication, report.code)
    };
    use Indication::*;
    for (change, want) in [
        (&(|_: &mut Profile| {}) as &dyn Fn(&mut Profile), (TotalPassed, None)),
        (&|p| p.anchors = Anchors::default(), (Indeterminate, Some("NO_ANCHORS"))),
        (&|p| std::mem::swap(&mut p.anchors.signers, &mut p.anchors.makers), (Indeterminate, Some("SIGNER_NO_CHAIN"))),
        (&|p| p.anchors.makers = p.anchors.signers.clone(), (Indeterminate, Some("MAKER_NO_CHAIN"))),
        (&|p| p.at = at("2026-02-12T00:00:00Z"), (Indeterminate, Some("SIGN_TIME_IN_FUTURE"))),
        (&|p| p.at = at("2041-01-01T00:00:00Z"), (Indeterminate, Some("SIGNER_EXPIRED"))),
        (
            &|p| {
                p.at = at("2041-01-01T00:00:00Z");
                p.time_basis = TimeBasis::Claimed;
            },
            (TotalPassed, None),
        ),
    ] {
        assert_eq!(run(change), want);
    }
}

#[test]
fn papers_need_their_fields_and_the_right_seal() {
    let world = world();
    let mut incomplete = voucher();
    incomplete.fields.retain(|(label, _)| label != "受理人员");
    let receipt = Paper { kind: PaperKind::CollectionReceipt, ..voucher() }
        .field("收件点", "博山便民服务站")
        .field("收件时间", "2026-02-13 10:00:00")
        .field("材料清单", "申请书 1 份");
    let stranger = Party::new("Stranger");
    let key = |party: &Party| party.cert.clone();
    for (paper, cert, want) in [
        (&voucher(), key(&world.signer), None),
        (&incomplete, key(&world.signer), Some("acceptance_voucher: no 受理人员")),
        (&receipt, key(&world.signer), Some("collection_receipt: a seal whose name holds 收件 is needed")),
        (&voucher(), key(&stranger), Some("the signer's certificate is not in the seal")),
    ] {
        let got = seal(paper, &world.seal, world.signer.key(), &cert, at(AT));
        assert_eq!(got.err().map(|e| e.to_string()).as_deref(), want);
    }
    let preview = verify("p", unsealed(&voucher(), at(AT)).unwrap(), &world.profile());
    assert_eq!(preview.code, Some("NOT_SIGNED"));
}

/// The package with one of its files changed; sizes, CRC and headers as they must be.
fn with(bytes: &[u8], change: &str, content: &[u8]) -> Vec<u8> {
    let zip = Archive::open(bytes, &Limits::default()).unwrap();
    let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
    for entry in zip.entries() {
        let old = zip.read(&entry.name, 1 << 20).unwrap();
        writer.add(&entry.name, Packing::Stored, if entry.name == change { content } else { &old }).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn no_flipped_byte_of_any_file_passes() {
    let mut world = world();
    world.reseal(b"\x89PNG"); // pictures are data like any other: a small one leaves more time for the rest
    // A signature that ends in a zero bit may be written in two ways that mean the same, and both are found in the wild.
    let unambiguous = |bytes: &Vec<u8>| {
        let value = Archive::open(bytes.as_slice(), &Limits::default()).unwrap();
        value.read("Doc_0/Signs/Sign_0/SignedValue.dat", 1 << 20).unwrap().last().unwrap() & 1 == 1
    };
    let tries = (0..64).map(|n| world.sealed(&Paper { number: n.to_string(), ..voucher() }));
    let bytes = tries.into_iter().find(unambiguous).unwrap();
    let profile = world.profile();
    let zip = Archive::open(bytes.as_slice(), &Limits::default()).unwrap();
    assert!(verify("v", with(&bytes, "", b""), &profile).passed());
    let mut flips = 0;
    for entry in zip.entries() {
        let content = zip.read(&entry.name, 1 << 20).unwrap();
        // Every byte of what the examination parses; of page, data and resources, whose digests alone are compared, some.
        for n in 0..content.len() {
            let mut changed = content.clone();
            changed[n] ^= 1 << (n % 8);
            let report = verify("v", with(&bytes, &entry.name, &changed), &profile);
            assert!(
                !report.passed(),
                "{} byte {n} of {}: {:02x?}",
                entry.name,
                content.len(),
                &content[n.saturating_sub(12)..(n + 12).min(content.len())]
            );
            flips += 1;
        }
    }
    assert!(flips > 4_000, "{flips}");
}

#[test]
fn what_is_added_or_taken_away_is_noticed() {
    let world = world();
    let bytes = world.sealed(&voucher());
    let zip = Archive::open(bytes.as_slice(), &Limits::default()).unwrap();
    let rebuilt = |keep: &dyn Fn(&str) -> bool, add: &[(&str, &[u8])]| {
        let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
        for entry in zip.entries().iter().filter(|e| keep(&e.name)) {
            writer.add(&entry.name, Packing::Deflated, &zip.read(&entry.name, 1 << 20).unwrap()).unwrap();
        }
        for (name, content) in add {
            writer.add(name, Packing::Stored, content).unwrap();
        }
        let report = verify("v", writer.finish().unwrap(), &world.profile());
        (report.indication, report.code)
    };
    let all = |_: &str| true;
    use Indication::*;
    assert_eq!(rebuilt(&all, &[]), (TotalPassed, None));
    assert_eq!(rebuilt(&all, &[("Doc_1/Document.xml", b"<a/>")]), (Indeterminate, Some("UNSIGNED_FILES")));
    assert_eq!(rebuilt(&all, &[("Doc_0/Annots/a.xml", b"")]), (Indeterminate, Some("UNSIGNED_FILES")));
    for (gone, code) in [
        ("OFD.xml", "OFD_XML_MISSING"),
        ("Doc_0/Signs/Signatures.xml", "SIGNATURES_XML_MISSING"),
        ("Doc_0/Signs/Sign_0/Signature.xml", "SIGNATURE_XML_MISSING"),
        ("Doc_0/Signs/Sign_0/SignedValue.dat", "SIGNED_VALUE_MISSING"),
        ("Doc_0/Signs/Sign_0/Seal.esl", "REF_FILE_MISSING"),
        ("Doc_0/Pages/Page_0/Content.xml", "REF_FILE_MISSING"),
    ] {
        assert_eq!(rebuilt(&|name| name != gone, &[]).1, Some(code), "{gone}");
    }
}

#[test]
fn a_seal_of_ones_own_making_is_no_seal() {
    let mut world = world();
    let me = &world.signer;
    world.seal = make_seal(&spec(me, b""), me.key(), &me.cert).unwrap();
    let report = verify("v", world.sealed(&voucher()), &world.profile());
    assert!(report.all_findings().any(|(_, f)| f.code == "MAKER_NOT_AUTHORISED") && !report.passed());
}

proptest! {
    #[test]
    fn no_seal_or_signed_value_panics(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        thread_local! {
            static SEAL: Vec<u8> = world().seal;
        }
        let mut bytes = SEAL.with(Clone::clone);
        let n = at.index(bytes.len());
        bytes[n] = to;
        bytes.truncate(cut.index(bytes.len() * 4).max(n + 1));
        let _ = ses::seal(&bytes);
        let _ = ses::signature(&bytes);
    }

    #[test]
    fn no_octets_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ses::seal(&bytes);
        let _ = ses::signature(&bytes);
        let _ = verify("x", bytes.clone(), &Profile::new(UnixMillis(0)));
        let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
        writer.add("OFD.xml", Packing::Stored, &bytes).unwrap();
        let report = verify("x", writer.finish().unwrap(), &Profile::new(UnixMillis(0)));
        prop_assert!(!report.passed());
    }

    #[test]
    fn no_package_panics(ofd in "[<>/a-z:='\" ]{0,60}", list in "[<>/a-z:='\" ]{0,60}") {
        let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
        let ofd = format!("<OFD><DocBody><DocRoot>{ofd}</DocRoot><Signatures>S.xml</Signatures></DocBody></OFD>");
        let list = format!("<Signatures><Signature ID='1' BaseLoc='T.xml'/>{list}</Signatures>");
        for (name, text) in [("OFD.xml", &ofd), ("S.xml", &list), ("T.xml", &list)] {
            writer.add(name, Packing::Stored, text.as_bytes()).unwrap();
        }
        let report = verify("x", writer.finish().unwrap(), &Profile::new(UnixMillis(0)));
        prop_assert!(!report.passed());
    }
}
