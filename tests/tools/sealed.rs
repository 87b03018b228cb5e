//! Sealed OFD before programs that share nothing with this project: a reader that opens and draws them (PyPI's easyofd), one that opens
//! and verifies them (npm's ofd.js), and OpenSSL, which verifies every SM2 signature over octets that its own `asn1parse` cuts out, and
//! every SM3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use serde_json::Value;

use super::text;

/// Where our scripts are.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools")
}

/// The folder that a script installed something into.
fn installed(script: &str) -> PathBuf {
    let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).join(script);
    // Tests of several processes may come here at once.
    let lock = fs::File::create(installed.with_extension("lock")).expect("a lock");
    lock.lock().expect("locked");
    let done = Command::new(tools().join(script)).arg(&installed).status().expect("a shell");
    drop(lock);
    assert!(done.success(), "what tests/tools/{script} installs is not here, and cannot be had: {done}");
    installed
}

fn json_lines(output: &std::process::Output) -> Vec<Value> {
    assert!(output.status.success(), "the reader does not open it: {}", text(output));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What a reader that verifies says of the seals of each file.
pub fn verified_elsewhere(files: &[&Path]) -> Vec<Value> {
    let bundle = installed("ofd-verifier").join("ofd.common.js");
    let output = Command::new("node").arg(tools().join("ofd/verify.js")).arg(bundle).args(files).output();
    json_lines(&output.expect("Node runs"))
}

/// What the reader found in each file.
pub fn read_elsewhere(files: &[&Path]) -> Vec<Value> {
    let installed = installed("ofd-reader");
    let place = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(installed.join("bin/python"));
    // What the reader leaves behind goes with the folder.
    let output = command
        .current_dir(&place)
        .env("TMPDIR", place.path())
        .arg("-B")
        .arg(tools().join("ofd/read.py"))
        .args(files)
        .output();
    json_lines(&output.expect("Python runs"))
}

/// The reader took text from the page, and drew one seal where it belongs: inside its box, and nothing beside it.
pub fn assert_seal_is_drawn(found: &Value) {
    let seals = found["seals"].as_array().expect("seals");
    assert!(found["pages"] == 1 && seals.len() == 1, "{found}");
    let part = |which: &str| seals[0][which].as_f64().expect("a part");
    assert!((0.02..0.9).contains(&part("drawn")) && part("beside") == 0.0, "{found}");
    assert!(found["texts"].as_array().is_some_and(|texts| texts.len() >= 2), "{found}");
}

/// An element as `openssl asn1parse` lists it.
struct Element {
    at: usize,
    depth: usize,
    head: usize,
    len: usize,
    kind: String,
}

/// A DER file, and a folder for what is cut out of it.
struct Der<'a> {
    file: PathBuf,
    folder: &'a Path,
    elements: Vec<Element>,
}

fn openssl(line: &[&str]) -> std::process::Output {
    Command::new("openssl").args(line).output().expect("openssl runs")
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

impl<'a> Der<'a> {
    fn read(file: PathBuf, folder: &'a Path) -> Self {
        let output = openssl(&["asn1parse", "-inform", "DER", "-in", name(&file)]);
        assert!(output.status.success(), "openssl asn1parse {}: {}", file.display(), text(&output));
        let number = |text: &str| text.trim().parse::<usize>().expect("a number");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let elements = lines.lines().map(|line| {
            let (at, rest) = line.split_once(":d=").expect("an offset");
            let (depth, rest) = rest.split_once("hl=").expect("a depth");
            let (head, rest) = rest.split_once("l=").expect("a length");
            let (len, kind) = rest.split_at(rest.find([':']).expect("a kind") - 4);
            let kind = kind[6..].split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            Element { at: number(at), depth: number(depth), head: number(head), len: number(len), kind }
        });
        Self { elements: elements.collect(), file, folder }
    }

    /// The elements directly inside the nth.
    fn inside(&self, nth: usize) -> Vec<usize> {
        let depth = self.elements[nth].depth;
        let all = self.elements.iter().enumerate().skip(nth + 1);
        let inner = all.take_while(|(_, element)| element.depth > depth);
        inner.filter(|(_, element)| element.depth == depth + 1).map(|(n, _)| n).collect()
    }

    /// What OpenSSL cuts out at the nth element: a SEQUENCE with its head, the content of a string.
    fn cut(&self, nth: usize, to: &str) -> PathBuf {
        let out = self.folder.join(to);
        let at = self.elements[nth].at.to_string();
        let line =
            ["asn1parse", "-inform", "DER", "-in", name(&self.file), "-strparse", &at, "-noout", "-out", name(&out)];
        let output = openssl(&line);
        assert!(output.status.success(), "{line:?}: {}", text(&output));
        out
    }

    fn octets(&self, nth: usize) -> Vec<u8> {
        let Element { at, head, len, .. } = self.elements[nth];
        fs::read(&self.file).expect("read")[at..at + head + len].to_vec()
    }
}

fn sm3(file: &Path) -> Vec<u8> {
    let output = openssl(&["dgst", "-sm3", "-binary", name(file)]);
    assert!(output.status.success(), "{}", text(&output));
    output.stdout
}

/// Whether OpenSSL finds the holder's signature over the octets good, under the usual name of SM2 signers.
fn holds(certificate: &Path, signature: &Path, octets: &Path) -> bool {
    let key = openssl(&["x509", "-inform", "DER", "-in", name(certificate), "-noout", "-pubkey"]);
    assert!(key.status.success(), "{}", text(&key));
    let public = certificate.with_extension("pub");
    fs::write(&public, key.stdout).expect("written");
    let id = ["-sigopt", "distid:1234567812345678"];
    let line = [&["dgst", "-sm3", "-verify", name(&public)][..], &id, &["-signature", name(signature), name(octets)]];
    openssl(&line.concat()).status.success()
}

/// Good over these octets, and no longer when one of them is another.
fn holds_for_these_alone(certificate: &Path, signature: &Path, octets: &Path) -> bool {
    let mut bent = fs::read(octets).expect("read");
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    let other = octets.with_extension("bent");
    fs::write(&other, bent).expect("written");
    holds(certificate, signature, octets) && !holds(certificate, signature, &other)
}

/// Verifies all signatures of an OFD, and the digest of every file they list. Tells of each what it is: `Seal`, `Sign`.
///
/// # Panics
/// When one of them does not hold.
pub fn verified_by_openssl(ofd: &Path) -> Vec<&'static str> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    super::unpack(ofd, root);
    let all = super::files(root);
    let signatures = all.iter().filter(|file| file.ends_with("Signature.xml"));
    signatures.map(|file| verified(root, file)).collect()
}

fn verified(root: &Path, file: &Path) -> &'static str {
    let xml = fs::read_to_string(file).expect("a signature file");
    let (mut rest, mut count) = (xml.as_str(), 0);
    while let Some((_, after)) = rest.split_once("FileRef=\"/") {
        let (path, after) = after.split_once('"').expect("a path");
        let (_, after) = after.split_once("CheckValue>").expect("a digest");
        let (value, after) = after.split_once('<').expect("a digest");
        let want = base64::engine::general_purpose::STANDARD.decode(value.trim()).expect("base64");
        assert_eq!(sm3(&root.join(path)), want, "{path}");
        (rest, count) = (after, count + 1);
    }
    assert!(count >= 3, "{count} files are covered");
    let (_, after) = xml.split_once("SignedValue>").expect("a value");
    let place = after.split('<').next().expect("a path").trim();
    let value = match place.strip_prefix('/') {
        Some(absolute) => root.join(absolute),
        None => file.with_file_name(place),
    };
    let work = tempfile::tempdir().expect("a folder");
    let der = Der::read(value, work.path());
    match der.elements[der.inside(0)[0]].kind.as_str() {
        "SEQUENCE" => seal(&der, file),
        _ => plain(&der, file),
    }
}

/// GB/T 38540: the signer's signature over toSign, and the maker's over what the seal says of itself.
fn seal(der: &Der<'_>, file: &Path) -> &'static str {
    let [to_sign, certificate, _, signature, ..] = der.inside(0)[..] else { panic!("no SES_Signature of 2020") };
    let [_, seal, _, hash, ..] = der.inside(to_sign)[..] else { panic!("no TBS_Sign") };
    let [info, maker, _, by_maker, ..] = der.inside(seal)[..] else { panic!("no SESeal") };
    let hash = fs::read(der.cut(hash, "hash")).expect("read");
    assert!(hash.ends_with(&sm3(file)) && hash.len() <= 33, "dataHash is the SM3 of Signature.xml");
    for (who, certificate, signature, octets) in
        [("signer", certificate, signature, to_sign), ("maker", maker, by_maker, info)]
    {
        let certificate = der.cut(certificate, &format!("{who}.cer"));
        let (octets, signature) = (der.cut(octets, &format!("{who}.tbs")), der.cut(signature, &format!("{who}.sig")));
        assert!(holds_for_these_alone(&certificate, &signature, &octets), "{}: {who}", file.display());
    }
    "Seal"
}

/// GB/T 35275: the signature over the attributes, hashed as a SET (RFC 5652 §5.4), which hold the SM3 of Signature.xml.
fn plain(der: &Der<'_>, file: &Path) -> &'static str {
    let data = der.inside(der.inside(0)[1])[0];
    let [_, _, _, certificates, signers, ..] = der.inside(data)[..] else { panic!("no SignedData") };
    let signer = der.inside(der.inside(signers)[0]);
    let [_, _, _, attributes, _, signature, ..] = signer[..] else { panic!("no SignerInfo with attributes") };
    let mut octets = der.octets(attributes);
    octets[0] = 0x31;
    assert!(octets.windows(32).any(|w| w == sm3(file)), "messageDigest is the SM3 of Signature.xml");
    let tbs = der.folder.join("attributes");
    fs::write(&tbs, octets).expect("written");
    let signature = der.cut(signature, "signature");
    let mut all = der.inside(certificates).into_iter();
    let good = all.any(|nth| holds_for_these_alone(&der.cut(nth, &format!("{nth}.cer")), &signature, &tbs));
    assert!(good, "{}: signer", file.display());
    "Sign"
}
