//! Signatures outside of OFD: SignedData, seals and signed values by themselves, ASiC.

use rsa::Generate;
use rsa::pkcs8::EncodePrivateKey;

use super::variations::kit::{Draft, Party, World, at, party_of};
use super::variations::packing::{Shape, pack};
use super::*;
use crate::formats::ber;
use crate::formats::zip::Source;
use crate::terms::UnixMillis;
use crate::trust::asic::{self, Part};
use crate::trust::cms::{self, Spelling};
use crate::trust::issue::Use;
use crate::trust::suite::{DigestAlgorithm, SignatureAlgorithm, Signer, SigningKey};
use crate::trust::timestamp;

const TEXT: &[u8] = "内容 content".as_bytes();
const AT: &str = "2026-02-13T02:00:00Z";

fn key(algorithm: SignatureAlgorithm) -> SigningKey {
    let pkcs8 = match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => {
            rsa::PrivateKey::try_generate().unwrap().to_pkcs8_der().unwrap().as_bytes().to_vec()
        }
        other => SigningKey::generate(other).unwrap().to_vec(),
    };
    SigningKey::from_pkcs8(&pkcs8).unwrap()
}

fn profile(signer: &Party) -> Profile {
    let mut profile = Profile::new(at("2026-03-01T00:00:00Z"));
    profile.anchors.signers = vec![signer.cert.clone()];
    profile
}

fn signed(signer: &Party, content: &[u8], spelling: Spelling) -> Vec<u8> {
    let digest = signer.key.algorithm().digest().of(content);
    let chain = std::slice::from_ref(&signer.cert);
    cms::sign_detached_with(&signer.key, chain, &digest, Some(at(AT)), spelling, None).unwrap()
}

fn code(octets: &[u8], content: Option<&[u8]>, profile: &Profile) -> (Format, Indication, Option<&'static str>) {
    let content = content.map(<[u8]>::to_vec);
    let content = content.as_ref().map(|c| c as &dyn Source);
    let report = verify_with("f", octets.to_vec(), content, profile);
    (report.format, report.indication, report.code)
}

#[test]
fn signed_data_of_all_suites() {
    use Indication::*;
    use SignatureAlgorithm::{EcdsaP256Sha256, Ed25519, RsaPkcs1Sha256, Sm2Sm3};
    for (algorithm, spelling) in [
        (EcdsaP256Sha256, Spelling::International),
        (Ed25519, Spelling::International),
        (RsaPkcs1Sha256, Spelling::International),
        (Sm2Sm3, Spelling::International),
        (Sm2Sm3, Spelling::National),
    ] {
        let signer = party_of(key(algorithm), "签名人", Use::Signer);
        let der = signed(&signer, TEXT, spelling);
        let trusted = profile(&signer);
        let ask = |der: &[u8], content| code(der, content, &trusted);
        assert_eq!(ask(&der, Some(TEXT)), (Format::Cms, TotalPassed, None), "{algorithm:?}");
        assert_eq!(ask(&der, Some(b"x")), (Format::Cms, TotalFailed, Some("CMS_DIGEST_MISMATCH")));
        assert_eq!(ask(&der, None), (Format::Cms, Indeterminate, Some("CMS_NO_CONTENT")));
        let nobody = Profile::new(trusted.at);
        assert_eq!(code(&der, Some(TEXT), &nobody), (Format::Cms, Indeterminate, Some("NO_ANCHORS")));
        let text = crate::trust::pem::encode("CMS", &der);
        assert_eq!(ask(text.as_bytes(), Some(TEXT)), (Format::Cms, TotalPassed, None));
        let mut bent = der.clone();
        let last = bent.len() - 3;
        bent[last] ^= 1;
        assert_eq!(ask(&bent, Some(TEXT)), (Format::Cms, TotalFailed, Some("CMS_SIGNATURE")));
        let trailing = [&der[..], b"x"].concat();
        assert_eq!(ask(&trailing, Some(TEXT)).1, TotalFailed);
        assert_eq!(ask(&der[..der.len() - 1], Some(TEXT)).1, TotalFailed);
    }
}

#[test]
fn a_claim_of_time_is_told_whether_or_not_the_signature_holds() {
    let signer = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "签名人", Use::Signer);
    let der = signed(&signer, TEXT, Spelling::International);
    for (name, content, passes) in [("as signed", TEXT, true), ("something else", &b"x"[..], false)] {
        let content = content.to_vec();
        let report = verify_with("f", der.clone(), Some(&content as &dyn Source), &profile(&signer));
        assert_eq!(report.passed(), passes, "{name}");
        let found = &report.signatures[0];
        assert_eq!(found.claimed_at, Some(at(AT)), "{name}");
        assert!(found.findings.iter().all(|f| f.code != "SIGN_TIME_NONE"), "{name}: {}", report.to_text());
    }
}

#[test]
fn signed_data_as_text() {
    use Indication::*;
    let signer = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "签名人", Use::Signer);
    let der = signed(&signer, TEXT, Spelling::International);
    let block = crate::trust::pem::encode("PKCS7", &der);
    let bare = lines_of(&block);
    let other = crate::trust::pem::encode("CERTIFICATE", signer.cert.der());
    // 签名如下：
    let gbk = b"\xc7\xa9\xc3\xfb\xc8\xe7\xcf\xc2\xa3\xba\r\n";
    let far = |n: usize| [&vec![b'x'; n][..], b"\n", block.as_bytes()].concat();
    let good = (Format::Cms, TotalPassed, None);
    let failed = |code| (Format::Unknown, TotalFailed, Some(code));
    for (name, text, want) in [
        ("plain", block.clone().into_bytes(), good),
        ("a byte order mark", format!("\u{feff}{block}").into_bytes(), good),
        ("explained", format!("签名如下：\r\n\r\n{block}\r\nend").into_bytes(), good),
        ("explained in GBK", [gbk, block.as_bytes(), gbk].concat(), good),
        ("explained at length", far(60_000), good),
        ("bare", bare.clone(), good),
        (
            "bare, in lines after a byte order mark",
            [b"\xef\xbb\xbf", &bare[..76], b"\r\n", &bare[76..], b"\r\n"].concat(),
            good,
        ),
        ("bare, cut off", bare[..bare.len() - 3].to_vec(), failed("SIGNED_VALUE_PEM")),
        ("bare, and words", [&bare[..], b"\nend"].concat(), failed("SIGNED_VALUE_PEM")),
        ("bare, of a certificate", lines_of(&other), failed("SES_STRUCTURE")),
        ("twice", block.repeat(2).into_bytes(), failed("SIGNED_VALUE_PEM")),
        ("beside a certificate", format!("{block}{other}").into_bytes(), failed("SIGNED_VALUE_PEM")),
        ("cut off", block.as_bytes()[..block.len() - 9].to_vec(), failed("SIGNED_VALUE_PEM")),
        ("too far down", far(70_000), failed("FORMAT_UNKNOWN")),
        ("words", "说明".into(), failed("FORMAT_UNKNOWN")),
        ("nothing", Vec::new(), failed("FORMAT_UNKNOWN")),
        ("an archive, cut off", b"PK\x03\x04 and what follows".to_vec(), failed("ZIP_NO_EOCD")),
    ] {
        assert_eq!(code(&text, Some(TEXT), &profile(&signer)), want, "{name}");
    }
}

/// The base64 of a PEM block alone.
fn lines_of(block: &str) -> Vec<u8> {
    block.lines().filter(|line| !line.starts_with('-')).collect::<String>().into_bytes()
}

#[test]
fn seals_and_signed_values_by_themselves() {
    use Indication::*;
    let world = World::new();
    for v1 in [false, true] {
        let draft = Draft { v1, ..Draft::default() };
        let seal = draft.seal(&world);
        let value = draft.value(&world, &seal, TEXT, "/a");
        let profile = world.profile();
        assert_eq!(code(&seal, None, &profile), (Format::Seal, TotalPassed, None));
        assert_eq!(code(&value, Some(TEXT), &profile), (Format::SealSignature, TotalPassed, None));
        let other = (Format::SealSignature, TotalFailed, Some("DATA_HASH_MISMATCH"));
        assert_eq!(code(&value, Some(b"x"), &profile), other);
        assert_eq!(code(&value, None, &profile), (Format::SealSignature, Indeterminate, Some("CONTENT_MISSING")));
        let mut late = profile.clone();
        late.at = at("2030-01-01T00:00:00Z");
        assert_eq!(code(&seal, None, &late), (Format::Seal, Indeterminate, Some("SEAL_NOT_VALID")));
        let mut stranger = profile.clone();
        stranger.anchors.makers = vec![world.signer.cert.clone()];
        assert_eq!(code(&seal, None, &stranger), (Format::Seal, Indeterminate, Some("MAKER_NO_CHAIN")));
        let at = seal.windows(4).position(|w| w == b"\x89PNG").unwrap();
        let mut bent = seal.clone();
        bent[at + 1] ^= 1;
        assert_eq!(code(&bent, None, &profile), (Format::Seal, TotalFailed, Some("SEAL_SIGNATURE")));
        assert!(!verify("s", seal, &profile).format.is_document());
    }
}

pub(super) fn manifest(uri: &str, algorithm: DigestAlgorithm, files: &[(&str, &[u8])]) -> Vec<u8> {
    use base64::Engine;
    let mut out = format!(
        "<asic:ASiCManifest xmlns:asic=\"http://uri.etsi.org/02918/v1.2.1#\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">\
         <asic:SigReference URI=\"{uri}\" MimeType=\"application/x-pkcs7-signature\"/>"
    );
    for (name, bytes) in files {
        let digest = base64::engine::general_purpose::STANDARD.encode(algorithm.of(bytes));
        out += &format!(
            "<asic:DataObjectReference URI=\"{name}\"><ds:DigestMethod Algorithm=\"{}\"/>\
             <ds:DigestValue>\n{digest}\n</ds:DigestValue></asic:DataObjectReference>",
            algorithm.uri()
        );
    }
    (out + "</asic:ASiCManifest>").into_bytes()
}

#[test]
fn containers_of_others() {
    use Indication::*;
    const E: &[u8] = b"application/vnd.etsi.asic-e+zip";
    const S: &[u8] = b"application/vnd.etsi.asic-s+zip";
    const P7S: &str = "META-INF/signature001.p7s";
    let signer = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "签名人", Use::Signer);
    let other = party_of(key(SignatureAlgorithm::Sm2Sm3), "另一人", Use::Signer);
    let mut profile = profile(&signer);
    profile.anchors.signers.push(other.cert.clone());
    let run = |files: &[(&str, &[u8])], strict: bool| {
        let files: Vec<_> = files.iter().map(|(n, b)| ((*n).to_owned(), b.to_vec())).collect();
        let mut profile = profile.clone();
        if strict {
            profile.coverage = CoverageRule::Strict;
        }
        code(&pack(&files, &Shape::default()), None, &profile)
    };
    let sha384 = DigestAlgorithm::Sha384;
    let one = manifest(P7S, sha384, &[("a.txt", b"a"), ("%E6%96%87/b.txt", b"b")]);
    let p7s = signed(&signer, &one, Spelling::International);
    let base: [(&str, &[u8]); 5] =
        [("mimetype", E), ("a.txt", b"a"), ("文/b.txt", b"b"), ("META-INF/ASiCManifest001.xml", &one), (P7S, &p7s)];
    let passed = (Format::AsicE, TotalPassed, None);
    assert_eq!(run(&base, true), passed);
    assert_eq!(run(&base[1..], true), passed); // the media type may be left out
    let with = |extra: &[(&'static str, Vec<u8>)], strict| {
        let extra: Vec<(&str, &[u8])> = extra.iter().map(|(n, b)| (*n, &b[..])).collect();
        run(&[&base[..], &extra].concat(), strict)
    };
    let e = |indication, code| (Format::AsicE, indication, Some(code));
    assert_eq!(with(&[("c.txt", b"c".to_vec())], false), e(Indeterminate, "UNSIGNED_FILES"));
    assert_eq!(with(&[("META-INF/manifest.xml", b"<m/>".to_vec())], false), passed);
    assert_eq!(with(&[("META-INF/manifest.xml", b"<m/>".to_vec())], true), e(Indeterminate, "UNSIGNED_FILES"));
    assert_eq!(with(&[("META-INF/container.xml", b"<c/>".to_vec())], false), passed);
    for name in ["META-INF/contract.pdf", "META-INF/a/container.xml", "META-INF/x.xml", "META-INF/manifest.xml.html"] {
        assert_eq!(with(&[(name, b"x".to_vec())], false), e(Indeterminate, "UNSIGNED_FILES"), "{name}");
    }
    // A signature that nobody here judges may be the worst of all.
    for name in ["META-INF/signatures.xml", "META-INF/Signatures001.xml", "META-INF/xadesSignatures.xml"] {
        let xades = (name, b"<asic:XAdESSignatures/>".to_vec());
        assert_eq!(with(std::slice::from_ref(&xades), false), e(Indeterminate, "ASIC_XADES"), "{name}");
        assert_eq!(
            run(&[&base[..3], &[(name, &xades.1[..])]].concat(), false),
            e(Indeterminate, "ASIC_XADES"),
            "{name} alone"
        );
    }
    let loose = ("META-INF/signature9.p7s", p7s.clone());
    assert_eq!(with(&[loose], false), e(Indeterminate, "ASIC_SIGNATURE_NOT_IN_MANIFEST"));
    let second = manifest("META-INF/s2.p7s", DigestAlgorithm::Sm3, &[("a.txt", b"a"), ("c.txt", b"c")]);
    let value = signed(&other, &second, Spelling::National);
    let both =
        [("c.txt", b"c".to_vec()), ("META-INF/ASiCManifest2.xml", second.clone()), ("META-INF/s2.p7s", value.clone())];
    assert_eq!(with(&both, true), passed);
    let mut bent = both.clone();
    bent[0].1 = b"d".to_vec();
    assert_eq!(with(&bent, true), e(TotalFailed, "REF_DIGEST_MISMATCH"));
    let of_another = ("META-INF/ASiCManifest2.xml", manifest(P7S, sha384, &[("a.txt", b"a")]));
    assert_eq!(with(&[of_another], true), e(TotalFailed, "ASIC_TWO_MANIFESTS"));
    let climbing = manifest(P7S, sha384, &[("../a.txt", b"a")]);
    let p7s_of_it = signed(&signer, &climbing, Spelling::International);
    let files: [(&str, &[u8]); 3] = [("a.txt", b"a"), ("META-INF/ASiCManifest.xml", &climbing), (P7S, &p7s_of_it)];
    assert_eq!(run(&files, true), e(TotalFailed, "REF_LOC_SHAPE"));
    assert_eq!(run(&base[..4], true), e(Indeterminate, "SIGNED_VALUE_MISSING"));
    assert_eq!(run(&base[..3], true), e(Indeterminate, "NOT_SIGNED"));

    let over = signed(&signer, b"a", Spelling::International);
    let simple: [(&str, &[u8]); 3] = [("mimetype", S), ("a.txt", b"a"), ("META-INF/signature.p7s", &over)];
    let s = |indication, code| (Format::AsicS, indication, code);
    assert_eq!(run(&simple, true), s(TotalPassed, None));
    let changed: [(&str, &[u8]); 3] = [simple[0], ("a.txt", b"b"), simple[2]];
    assert_eq!(run(&changed, true), s(TotalFailed, Some("CMS_DIGEST_MISMATCH")));
    assert_eq!(run(&[&simple[..], &[("b.txt", b"b")]].concat(), true), s(TotalFailed, Some("ASIC_S_FILES")));
    for (number, want) in [(64, s(TotalPassed, None)), (65, s(Indeterminate, Some("SIG_TOO_MANY")))] {
        let names: Vec<_> = (0..number).map(|n| format!("META-INF/signature{n}.p7s")).collect();
        let all: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &over[..])).collect();
        assert_eq!(run(&[&simple[..2], &all].concat(), true), want, "{number} signatures");
    }
}

/// Every octet of every file but the media type, which nobody signs: names, versions and lists of digests of the signature as well.
#[test]
fn no_flipped_octet_of_a_container_passes() {
    const P7S: &str = "META-INF/signature001.p7s";
    let signer = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "签名人", Use::Signer);
    let one = manifest(P7S, DigestAlgorithm::Sha256, &[("a.txt", TEXT)]);
    let p7s = signed(&signer, &one, Spelling::International);
    let files = [("a.txt", TEXT), ("META-INF/ASiCManifest001.xml", &one[..]), (P7S, &p7s)];
    let files: Vec<(String, Vec<u8>)> = files.iter().map(|(n, b)| ((*n).to_owned(), b.to_vec())).collect();
    let profile = profile(&signer);
    assert_eq!(code(&pack(&files, &Shape::default()), None, &profile), (Format::AsicE, Indication::TotalPassed, None));
    let (mut flips, mut passed) = (0, Vec::new());
    for file in 0..files.len() {
        for n in 0..files[file].1.len() {
            // Of a signature every bit: its head is signed by nobody.
            for bit in (0..8).filter(|bit| files[file].0 == P7S && n < 64 || n % 8 == *bit) {
                let mut bent = files.clone();
                bent[file].1[n] ^= 1 << bit;
                if code(&pack(&bent, &Shape::default()), None, &profile).1 == Indication::TotalPassed {
                    let around = &files[file].1[n.saturating_sub(6)..n + 1];
                    passed.push(format!("{} octet {n} bit {bit} {around:02x?}", files[file].0));
                }
                flips += 1;
            }
        }
    }
    assert!(passed.is_empty() && flips > 1_000, "{flips}: {passed:#?}");
}

/// Manifests are counted by their names: each may be long, and reading them all first would be work without end.
#[test]
fn manifests_are_counted_before_they_are_read() {
    let nobody = Profile::new(at("2026-03-01T00:00:00Z"));
    for (number, want) in [(128, "XML_SYNTAX"), (129, "SIG_TOO_MANY")] {
        let names = (0..number).map(|n| (format!("META-INF/ASiCManifest{n}.xml"), b"no manifest".to_vec()));
        let files: Vec<_> = names.chain([("a.txt".to_owned(), b"a".to_vec())]).collect();
        let (format, _, code) = code(&pack(&files, &Shape::default()), None, &nobody);
        assert_eq!((format, code), (Format::AsicE, Some(want)), "{number} manifests");
    }
}

/// Names of files that a URI has to spell otherwise, and those who do not.
#[test]
fn names_in_manifests() {
    const P7S: &str = "META-INF/signature001.p7s";
    let signer = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "签名人", Use::Signer);
    let run = |uri: &str, names: &[&str]| {
        let one = manifest(P7S, DigestAlgorithm::Sha256, &[(uri, b"a")]);
        let p7s = signed(&signer, &one, Spelling::International);
        let files = [("META-INF/ASiCManifest.xml", &one[..]), (P7S, &p7s)];
        let files = names.iter().map(|name| (*name, &b"a"[..])).chain(files);
        let files: Vec<_> = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
        code(&pack(&files, &Shape::default()), None, &profile(&signer)).2
    };
    for (uri, names, want) in [
        ("a%231.txt", &["a#1.txt"][..], None),
        ("why%3F.txt", &["why?.txt"], None),
        ("10%3A30.txt", &["10:30.txt"], None),
        ("100%25.txt", &["100%.txt"], None),
        ("a%2520b.txt", &["a%20b.txt"], None),
        ("./a%20b.txt", &["a b.txt"], None),
        ("%e6%96%87.txt", &["文.txt"], None),
        ("文 b.txt", &["文 b.txt"], None),
        ("a#1.txt", &["a#1.txt"], None),
        ("a?.txt", &["a?.txt"], None),
        ("100%.txt", &["100%.txt"], None),
        ("a%20b.txt", &["a%20b.txt"], None),
        // Both are there: the standard's reading counts, and the other is signed by nobody.
        ("a%20b.txt", &["a%20b.txt", "a b.txt"], Some("UNSIGNED_FILES")),
        ("a.txt#part", &["a.txt"], Some("REF_LOC_SHAPE")),
        ("%2e%2e/a.txt", &["a.txt"], Some("REF_LOC_SHAPE")),
        ("x%5ca.txt", &["a.txt"], Some("REF_LOC_SHAPE")),
        ("file:a.txt", &["a.txt"], Some("REF_LOC_SHAPE")),
        ("https://example.cn/a.txt", &["a.txt"], Some("REF_LOC_SHAPE")),
        ("%ff.txt", &["a.txt"], Some("REF_LOC_SHAPE")),
        ("b.txt", &["a.txt"], Some("REF_FILE_MISSING")),
    ] {
        assert_eq!(run(uri, names), want, "{uri} {names:?}");
    }
}

/// What goes between gateways is judged by the same examination.
#[test]
fn containers_of_our_own() {
    let signer = party_of(key(SignatureAlgorithm::Sm2Sm3), "网关", Use::Signer);
    let parts = vec![Part::whole("message.json", "application/json", b"{}")];
    let chain = std::slice::from_ref(&signer.cert);
    let bytes = asic::seal(Vec::new(), parts, &signer.key, chain, UnixMillis(at(AT).0)).unwrap();
    let mut profile = profile(&signer);
    profile.coverage = CoverageRule::Strict;
    let report = verify("case.asice", bytes, &profile);
    assert!(report.passed() && report.findings.is_empty(), "{}", report.to_text());
}

/// A time-stamp over a manifest proves when the signatures named in it were there; one that does not hold proves nothing.
#[test]
fn time_stamps_of_containers() {
    const E: &[u8] = b"application/vnd.etsi.asic-e+zip";
    const P7S: &str = "META-INF/signature001.p7s";
    const FIRST: &str = "META-INF/timestamp001.tst";
    const LATER: &str = "META-INF/timestamp002.tst";
    let signer = party_of(key(SignatureAlgorithm::EcdsaP256Sha256), "签名人", Use::Signer);
    let tsa = party_of(key(SignatureAlgorithm::Sm2Sm3), "时间戳", Use::TimeStamping);
    let stamped = |over: &[u8], time: &str| {
        let request = timestamp::Request::over(DigestAlgorithm::Sha256, over, [7; 8]);
        let chain = std::slice::from_ref(&tsa.cert);
        let response = timestamp::respond(&request, &tsa.key, chain, "1.2.3", 1, at(time)).unwrap();
        timestamp::token_of(&response, &request).unwrap().der().to_vec()
    };
    let sha = DigestAlgorithm::Sha256;
    let one = manifest(P7S, sha, &[("a.txt", b"a")]);
    let p7s = ber::streamed(&signed(&signer, &one, Spelling::International), usize::MAX);
    let mut first = manifest(FIRST, sha, &[("a.txt", b"a"), (P7S, &p7s)]);
    let (mut token, early) = (stamped(&first, "2026-02-14T00:00:00Z"), Some(at("2026-02-14T00:00:00Z")));
    let later = manifest(LATER, sha, &[(P7S, &p7s), (FIRST, &token), ("META-INF/ASiCArchiveManifest001.xml", &first)]);
    let again = stamped(&later, "2026-02-20T00:00:00Z");
    let mut trusting = profile(&signer);
    trusting.coverage = CoverageRule::Strict;
    let nobody = trusting.clone();
    trusting.anchors.tsas = vec![tsa.cert.clone()];
    let run = |first: &[u8], token: &[u8], with_later: bool, profile: &Profile| {
        let mut files: Vec<(&str, &[u8])> = vec![
            ("mimetype", E),
            ("a.txt", b"a"),
            ("META-INF/ASiCManifest001.xml", &one),
            (P7S, &p7s),
            ("META-INF/ASiCArchiveManifest001.xml", first),
            (FIRST, token),
        ];
        if with_later {
            files.extend([("META-INF/ASiCArchiveManifest.xml", later.as_slice()), (LATER, again.as_slice())]);
        }
        let files: Vec<_> = files.iter().map(|(n, b)| ((*n).to_owned(), b.to_vec())).collect();
        let report = verify("f", pack(&files, &Shape::default()), profile);
        assert!(report.passed(), "{}", report.to_text());
        report.signatures.iter().find(|s| s.kind == "Sign").unwrap().proven_at
    };
    assert_eq!(run(&first, &token, false, &trusting), early);
    assert_eq!(run(&first, &token, true, &trusting), early);
    assert_eq!(run(&first, &token, true, &nobody), None);
    // Over something else; and over a manifest whose digests are another file's.
    assert_eq!(run(&first, &again, false, &trusting), None);
    first = manifest(FIRST, sha, &[("a.txt", b"b"), (P7S, &p7s)]);
    token = stamped(&first, "2026-02-14T00:00:00Z");
    assert_eq!(run(&first, &token, false, &trusting), None);
    // The later one is over the first one, which has become another.
    assert_eq!(run(&first, &token, true, &trusting), None);
    // Stamps alone are nobody's signature.
    let alone = manifest(FIRST, sha, &[("a.txt", b"a")]);
    let files = [("a.txt", &b"a"[..]), ("META-INF/ASiCManifest1.xml", &alone), (FIRST, &stamped(&alone, AT))];
    let files: Vec<_> = files.iter().map(|(n, b)| ((*n).to_owned(), b.to_vec())).collect();
    assert_eq!(verify("f", pack(&files, &Shape::default()), &trusting).code, Some("NOT_SIGNED"));
}
