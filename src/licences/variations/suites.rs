//! Certificates and signatures that OpenSSL makes by each algorithm, in SignedData alone and in an OFD package.

use std::path::Path;
use std::rc::Rc;

use super::kit::{Cms, Draft, World};
use crate::licences::{Profile, Report, verify, verify_with};
use crate::terms::{UnixMillis, testing};
use crate::trust::certificate::Certificate;

/// What `genpkey` is told, by which digest, and what a signature is told.
const KINDS: [(&str, &str, &str); 10] = [
    ("EC -pkeyopt ec_paramgen_curve:P-256", "sha384", ""),
    ("EC -pkeyopt ec_paramgen_curve:P-256", "sha512", ""),
    ("EC -pkeyopt ec_paramgen_curve:P-384", "sha256", ""),
    ("EC -pkeyopt ec_paramgen_curve:P-384", "sha512", ""),
    ("EC -pkeyopt ec_paramgen_curve:P-521", "sha256", ""),
    ("EC -pkeyopt ec_paramgen_curve:P-521", "sha384", ""),
    ("EC -pkeyopt ec_paramgen_curve:P-521", "sha512", ""),
    ("RSA -pkeyopt rsa_keygen_bits:2048", "sha256", "rsa_mgf1_md:sha512 rsa_pss_saltlen:32"),
    ("RSA -pkeyopt rsa_keygen_bits:2048", "sha512", "rsa_mgf1_md:sha256 rsa_pss_saltlen:20"),
    (
        "RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha384 -pkeyopt rsa_pss_keygen_mgf1_md:sha256",
        "sha384",
        "rsa_mgf1_md:sha256 rsa_pss_saltlen:48",
    ),
];

fn openssl(folder: &Path, line: &str) {
    let done = testing::other("sh", ["-c", &format!("cd {} && openssl {line}", folder.display())]);
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority and a signer that it certified.
fn parties(folder: &Path, (key, digest, told): (&str, &str, &str)) -> Profile {
    let told = opts("-sigopt", told);
    std::fs::write(folder.join("leaf.ext"), "keyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n")
        .unwrap();
    for line in [
        format!("genpkey -algorithm {key} -out root.key"),
        format!("genpkey -algorithm {key} -out leaf.key"),
        format!("req -x509 -new -key root.key -{digest} {told} -subj /CN=root -days 9 -out root.pem"),
        format!("req -new -key leaf.key -{digest} {told} -subj /CN=leaf -out leaf.csr"),
        format!(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -{digest} {told} -extfile leaf.ext \
             -days 9 -out leaf.pem"
        ),
        "x509 -in root.pem -outform DER -out root.der".to_owned(),
    ] {
        openssl(folder, &line);
    }
    // OpenSSL certifies and signs now; judged a little later.
    let mut profile = Profile::new(UnixMillis::now().plus_seconds(600));
    profile.anchors.signers = vec![Certificate::parse(&std::fs::read(folder.join("root.der")).unwrap()).unwrap()];
    profile
}

fn opts(option: &str, told: &str) -> String {
    let pss = if told.is_empty() { "" } else { "rsa_padding_mode:pss " };
    format!("{pss}{told}").split_whitespace().map(|word| format!("{option} {word} ")).collect()
}

fn signed(folder: &Path, (_, digest, told): (&str, &str, &str), content: &[u8]) -> Vec<u8> {
    std::fs::write(folder.join("content"), content).unwrap();
    let told = opts("-keyopt", told);
    let line = "cms -sign -binary -in content -signer leaf.pem -inkey leaf.key -outform DER -out value";
    openssl(folder, &format!("{line} -md {digest} {told}"));
    std::fs::read(folder.join("value")).unwrap()
}

/// The last place of `what` holds `with` instead.
fn bent(octets: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let at = octets.windows(what.len()).rposition(|window| window == what).expect("it is there");
    [&octets[..at], with, &octets[at + what.len()..]].concat()
}

fn code(report: &Report) -> &str {
    report.code.unwrap_or("passed")
}

#[test]
fn what_openssl_signs_by_any_algorithm() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let profile = parties(folder.path(), kind);
        let value = signed(folder.path(), kind, b"content");
        let judged = |value: &[u8], content: &'static [u8]| {
            verify_with("a.p7s", value.to_vec(), Some(&content.to_vec()), &profile)
        };
        let report = judged(&value, b"content");
        assert!(report.passed(), "{kind:?}: {}", report.to_text());
        let other = judged(&value, b"contenu");
        assert_eq!(code(&other), "CMS_DIGEST_MISMATCH", "{kind:?}: {}", other.to_text());
        // What the signer says of its algorithm is not signed; another name for it makes nothing good.
        let ecdsa = |n: u8| [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, n];
        let sha = |n: u8| [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, n];
        let renamed = match kind {
            (_, "sha256", "") => bent(&value, &ecdsa(2), &ecdsa(4)),
            (_, "sha384", "") => bent(&value, &ecdsa(3), &ecdsa(4)),
            (_, _, "") => bent(&value, &ecdsa(4), &ecdsa(3)),
            // The mask's digest is the last that is named.
            (_, "sha256", _) => bent(&value, &sha(3), &sha(2)),
            _ => bent(&value, &sha(1), &sha(2)),
        };
        let report = judged(&renamed, b"content");
        assert!(!report.passed(), "{kind:?}: {}", report.to_text());
        let mut flipped = value.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let report = judged(&flipped, b"content");
        assert_eq!(code(&report), "CMS_SIGNATURE", "{kind:?}: {}", report.to_text());
    }
}

#[test]
fn packages_that_openssl_signed() {
    let world = World::new();
    for kind in KINDS {
        let folder = Rc::new(tempfile::tempdir().unwrap());
        let profile = parties(folder.path(), kind);
        let there = Rc::clone(&folder);
        let mut draft = Draft { cms: Some(Cms::default()), ..Draft::default() };
        draft.elsewhere = Some(Box::new(move |xml| signed(there.path(), kind, xml)));
        let report = verify("a.ofd", draft.package(&world), &profile);
        assert!(report.passed(), "{kind:?}: {}", report.to_text());
        // Signature.xml, one blank longer than what was signed.
        let there = Rc::clone(&folder);
        draft.elsewhere = Some(Box::new(move |xml| signed(there.path(), kind, &[xml, b" "].concat())));
        let report = verify("a.ofd", draft.package(&world), &profile);
        assert!(!report.passed(), "{kind:?}: {}", report.to_text());
    }
}
