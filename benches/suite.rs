//! What our suites cost: SM2 against the fastest crates and ring's P-256 in one run, digests, and the examination of
//! sealed licences.
//!
//! `cargo bench --bench suite [-- ROUNDS [WORD]]`, on one core: `taskset -c 1`; with a word, only what has it in its name and
//! what that is set against. Rounds go through all measures in turn, so that a
//! slow moment of the machine meets all of them; medians are printed, and each measure against another of the same rounds.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use sm3::Digest as _;
use tongban::formats::zip::{Archive, DosTime, Limits, Packing, Writer};
use tongban::licences::make::{Apply, Paper, PaperKind, SealSpec, apply, make_seal, round_seal, unsealed};
use tongban::licences::{Profile, verify};
use tongban::terms::UnixMillis;
use tongban::trust::certificate::Certificate;
use tongban::trust::issue::{self, Issuer, Subject, Use};
use tongban::trust::suite::sm2_suite::{self, Sm2Key};
use tongban::trust::suite::{DigestAlgorithm, SignatureAlgorithm, Signer, SigningKey};

const AT: UnixMillis = UnixMillis(1_790_000_000_000);
const YEAR_MS: i64 = 365 * 86_400_000;
const MESSAGE: &[u8] = b"as long as the signed attributes of an ordinary signature: some hundred octets, more or less";

type Done<T> = Result<T, Box<dyn Error>>;

/// A name, what it is set against, how often it is done in one round, and what is done.
struct Measure {
    name: &'static str,
    against: &'static str,
    times: u32,
    run: Box<dyn Fn() -> bool>,
    micros: Vec<f64>,
}

fn measure(name: &'static str, against: &'static str, times: u32, run: impl Fn() -> bool + 'static) -> Measure {
    Measure { name, against, times, run: Box::new(run), micros: Vec::new() }
}

const RING: &str = "P-256 verify (ring)";
const FAST_VERIFY: &str = "SM2 verify (efficient-sm2)";
const FAST_SIGN: &str = "SM2 sign (efficient-sm2)";
const OWN_SM3: &str = "SM3, 64 KiB (crate)";

fn pair(
    name: (&'static str, &'static str),
    against: (&'static str, &'static str),
    algorithm: SignatureAlgorithm,
) -> Done<[Measure; 2]> {
    let pkcs8 = SigningKey::generate(algorithm)?;
    let (key, signer) = (SigningKey::from_pkcs8(&pkcs8)?, SigningKey::from_pkcs8(&pkcs8)?);
    let (public, signature) = (key.public_key(), key.sign(MESSAGE)?);
    Ok([
        measure(name.0, against.0, 50, move || public.verify(algorithm, black_box(MESSAGE), &signature).is_ok()),
        measure(name.1, against.1, 50, move || black_box(signer.sign(black_box(MESSAGE))).is_ok()),
    ])
}

/// SM2 as other crates do it, from the octets of the key like ours; and ours for a key that is met for the first time.
fn sm2() -> Done<Vec<Measure>> {
    use sm2::dsa::signature::{Signer as _, Verifier};
    let secret = [0x37; 32];
    let crates = sm2::dsa::SigningKey::from_slice(sm2_suite::IDENTITY, &secret).map_err(|e| e.to_string())?;
    let signature: sm2::dsa::Signature = crates.try_sign(MESSAGE).map_err(|e| e.to_string())?;
    let point = Sm2Key::from_scalar(&secret)?.point();
    let raw = signature.to_bytes();
    let fresh: Vec<_> = (0..200u8)
        .map(|n| {
            let key = Sm2Key::from_scalar(&[n + 1; 32])?;
            Ok((key.point(), key.sign(MESSAGE)?))
        })
        .collect::<Done<_>>()?;
    let turn = std::cell::Cell::new(0);
    let fast = efficient_sm2::KeyPair::new(&secret).map_err(|e| format!("{e:?}"))?;
    let fast_signature = fast.sign(MESSAGE).map_err(|e| format!("{e:?}"))?;
    let fast_signer = efficient_sm2::KeyPair::new(&secret).map_err(|e| format!("{e:?}"))?;
    Ok(vec![
        measure(FAST_VERIFY, FAST_VERIFY, 50, move || {
            let key = fast.public_key();
            fast_signature.verify(black_box(&key), black_box(MESSAGE)).is_ok()
        }),
        measure("SM2 verify (sm2)", FAST_VERIFY, 50, move || {
            let key = sm2::dsa::VerifyingKey::from_sec1_bytes(sm2_suite::IDENTITY, black_box(&point));
            let signature = sm2::dsa::Signature::from_slice(&raw);
            key.is_ok_and(|key| signature.is_ok_and(|s| key.verify(black_box(MESSAGE), &s).is_ok()))
        }),
        // More keys than are remembered, in turn: none gets a table.
        measure("SM2 verify, a new key", FAST_VERIFY, 50, move || {
            turn.set((turn.get() + 1) % fresh.len());
            let (point, signature) = &fresh[turn.get()];
            sm2_suite::verify(black_box(point), black_box(MESSAGE), signature).is_ok()
        }),
        measure(FAST_SIGN, FAST_SIGN, 50, move || black_box(fast_signer.sign(black_box(MESSAGE))).is_ok()),
        measure("SM2 sign (sm2)", FAST_SIGN, 50, move || {
            let signature: Result<sm2::dsa::Signature, _> = crates.try_sign(black_box(MESSAGE));
            black_box(signature).is_ok()
        }),
    ])
}

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

fn party(name: &str) -> Done<Party> {
    let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3)?)?;
    let subject = Subject::named(name, "bench");
    let (from, to) = (UnixMillis(AT.0 - YEAR_MS), UnixMillis(AT.0 + YEAR_MS));
    let spki = key.public_key().to_spki();
    let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, Use::Signer, from, to)?;
    Ok(Party { key, certificate: Certificate::parse(&der)? })
}

/// A sealed licence with a scanned page of some size, and what is trusted.
fn licence(octets: usize) -> Done<(Vec<u8>, Profile)> {
    let (maker, signer) = (party("maker")?, party("signer")?);
    // Like a picture that is compressed already.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    let scan: Vec<u8> = noise.take(octets).collect();
    let spec = SealSpec {
        id: "41900100000017",
        name: "专用章",
        kind: 4,
        signers: std::slice::from_ref(&signer.certificate),
        created: AT,
        valid_from: AT,
        valid_to: UnixMillis(AT.0 + YEAR_MS),
        picture: &round_seal(),
        size_mm: 40,
    };
    let stamp = make_seal(&spec, &maker.key, &maker.certificate)?;
    let paper = unsealed(&Paper::new(PaperKind::Licence, "1"), AT)?;
    let paper = Archive::open(paper, &Limits::default())?;
    let mut with_scan = Writer::new(Vec::new(), DosTime::EPOCH);
    for entry in paper.files() {
        with_scan.add_from(&entry.name, Packing::Deflated, &mut paper.reader(entry))?;
    }
    with_scan.add("Doc_0/Res/scan.jpg", Packing::Stored, &scan)?;
    let package = Archive::open(with_scan.finish()?, &Limits::default())?;
    let with = Apply {
        seal: Some(&stamp),
        signer: &signer.key,
        chain: std::slice::from_ref(&signer.certificate),
        at: AT,
        time_stamp: None,
        lock: true,
    };
    let ofd = apply(&package, &with, Vec::new())?;
    let mut profile = Profile::new(UnixMillis(AT.0 + 1_000));
    profile.anchors.signers = vec![signer.certificate];
    profile.anchors.makers = vec![maker.certificate];
    Ok((ofd, profile))
}

fn main() -> Done<()> {
    let rounds: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(21);
    let mut all = Vec::new();
    all.extend(pair((RING, "P-256 sign (ring)"), (RING, RING), SignatureAlgorithm::EcdsaP256Sha256)?);
    all.extend(sm2()?);
    let own = ("SM2 verify, a known key", "SM2 sign");
    all.extend(pair(own, (FAST_VERIFY, FAST_SIGN), SignatureAlgorithm::Sm2Sm3)?);
    all.extend(pair(("Ed25519 verify (ring)", "Ed25519 sign (ring)"), (RING, RING), SignatureAlgorithm::Ed25519)?);
    let content = vec![7u8; 64 << 10];
    let other = content.clone();
    all.push(measure(OWN_SM3, OWN_SM3, 4, move || black_box(sm3::Sm3::digest(black_box(&other))).len() == 32));
    for (name, algorithm) in [("SM3, 64 KiB", DigestAlgorithm::Sm3), ("SHA-256, 64 KiB", DigestAlgorithm::Sha256)] {
        let content = content.clone();
        all.push(measure(name, OWN_SM3, 4, move || black_box(algorithm.of(black_box(&content))).len() == 32));
    }
    for (name, bare, octets) in [
        ("licence of 100 kB", "its digests and signatures", 97 << 10),
        ("licence of 10 MB", "its digests and signatures ", 9_760 << 10),
    ] {
        let (ofd, profile) = licence(octets)?;
        eprintln!("{name}: {} octets", ofd.len());
        let size = ofd.len();
        let content = vec![7u8; size];
        let times = if octets > 1 << 20 { 1 } else { 10 };
        all.push(measure(name, bare, times, move || verify("bench", black_box(ofd.as_slice()), &profile).passed()));
        // What no examination can do without: SHA-256 of the file, SM3 of what is in it, two signatures by known keys.
        let key = Sm2Key::from_scalar(&[0x55; 32])?;
        let (point, signature) = (key.point(), key.sign(MESSAGE)?);
        all.push(measure(bare, bare, times, move || {
            let digests = [DigestAlgorithm::Sha256, DigestAlgorithm::Sm3].map(|a| a.of(black_box(&content)).len());
            let good = (0..2).all(|_| sm2_suite::verify(&point, black_box(MESSAGE), &signature).is_ok());
            good && digests == [32, 32]
        }));
    }
    if let Some(word) = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).nth(1) {
        let against: Vec<&str> = all.iter().filter(|m| m.name.contains(&word)).map(|m| m.against).collect();
        all.retain(|measure| measure.name.contains(&word) || against.contains(&measure.name));
    }
    for _ in 0..rounds {
        for measure in &mut all {
            let start = Instant::now();
            for _ in 0..measure.times {
                assert!((measure.run)(), "{} must hold", measure.name);
            }
            measure.micros.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(measure.times));
        }
    }
    println!("{:>28} {:>10} {:>8}  against", "", "median µs", "ratio");
    for measure in &all {
        let base = all.iter().find(|other| other.name == measure.against).map_or(&[][..], |other| &other.micros);
        let ratios = measure.micros.iter().zip(base).map(|(own, base)| own / base).collect();
        let micros = median(measure.micros.clone());
        println!("{:>28} {micros:>10.1} {:>8.2}  {}", measure.name, median(ratios), measure.against);
    }
    Ok(())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}
