//! What our suites cost: SM2 against ring's P-256 in one run, digests, and the examination of a sealed licence.
//!
//! `cargo bench --bench suite [-- ROUNDS]`. Rounds go through all measures in turn, so that a slow moment of the machine
//! meets all of them; medians are printed, and each measure against ring's ECDSA verification of the same rounds.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use tongban::licences::make::{Paper, PaperKind, SealSpec, make_seal, seal};
use tongban::licences::{Profile, verify};
use tongban::terms::UnixMillis;
use tongban::trust::certificate::Certificate;
use tongban::trust::issue::{self, Issuer, Subject, Use};
use tongban::trust::suite::{DigestAlgorithm, SignatureAlgorithm, Signer, SigningKey};

const AT: UnixMillis = UnixMillis(1_790_000_000_000);
const YEAR_MS: i64 = 365 * 86_400_000;
const MESSAGE: &[u8] = b"as long as the signed attributes of an ordinary signature: some hundred octets, more or less";

type Done<T> = Result<T, Box<dyn Error>>;

/// A name, how often it is done in one round, and what is done.
struct Measure {
    name: &'static str,
    times: u32,
    run: Box<dyn Fn() -> bool>,
    micros: Vec<f64>,
}

fn measure(name: &'static str, times: u32, run: impl Fn() -> bool + 'static) -> Measure {
    Measure { name, times, run: Box::new(run), micros: Vec::new() }
}

fn pair(name: (&'static str, &'static str), algorithm: SignatureAlgorithm) -> Done<[Measure; 2]> {
    let pkcs8 = SigningKey::generate(algorithm)?;
    let (key, signer) = (SigningKey::from_pkcs8(&pkcs8)?, SigningKey::from_pkcs8(&pkcs8)?);
    let (public, signature) = (key.public_key(), key.sign(MESSAGE)?);
    Ok([
        measure(name.0, 50, move || public.verify(algorithm, black_box(MESSAGE), &signature).is_ok()),
        measure(name.1, 50, move || black_box(signer.sign(black_box(MESSAGE))).is_ok()),
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

/// A sealed licence with a picture of some size, and what is trusted.
fn licence(octets: usize) -> Done<(Vec<u8>, Profile)> {
    let (maker, signer) = (party("maker")?, party("signer")?);
    let noise: Vec<u8> = (0..octets as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let spec = SealSpec {
        id: "41900100000017",
        name: "专用章",
        kind: 4,
        signers: std::slice::from_ref(&signer.certificate),
        created: AT,
        valid_from: AT,
        valid_to: UnixMillis(AT.0 + YEAR_MS),
        picture: &noise,
        size_mm: 40,
    };
    let stamp = make_seal(&spec, &maker.key, &maker.certificate)?;
    let ofd = seal(&Paper::new(PaperKind::Licence, "1"), &stamp, &signer.key, &signer.certificate, AT)?;
    let mut profile = Profile::new(UnixMillis(AT.0 + 1_000));
    profile.anchors.signers = vec![signer.certificate];
    profile.anchors.makers = vec![maker.certificate];
    Ok((ofd, profile))
}

fn main() -> Done<()> {
    let rounds: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(21);
    let mut all = Vec::new();
    all.extend(pair(("P-256 verify (ring)", "P-256 sign (ring)"), SignatureAlgorithm::EcdsaP256Sha256)?);
    all.extend(pair(("SM2 verify", "SM2 sign"), SignatureAlgorithm::Sm2Sm3)?);
    all.extend(pair(("Ed25519 verify (ring)", "Ed25519 sign (ring)"), SignatureAlgorithm::Ed25519)?);
    for (name, algorithm) in [("SM3, 64 KiB", DigestAlgorithm::Sm3), ("SHA-256, 64 KiB", DigestAlgorithm::Sha256)] {
        let content = vec![7u8; 64 << 10];
        all.push(measure(name, 4, move || black_box(algorithm.of(black_box(&content))).len() == 32));
    }
    for (name, octets) in [("licence of some 10 kB", 1 << 10), ("licence of some 2 MB", 1 << 20)] {
        let (ofd, profile) = licence(octets)?;
        all.push(measure(name, 2, move || verify("bench", black_box(ofd.as_slice()), &profile).passed()));
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
    let base = all[0].micros.clone();
    println!("{:>24} {:>10} {:>16}", "", "median µs", "x P-256 verify");
    for measure in &all {
        let ratios = measure.micros.iter().zip(&base).map(|(own, base)| own / base).collect();
        println!("{:>24} {:>10.1} {:>16.2}", measure.name, median(measure.micros.clone()), median(ratios));
    }
    Ok(())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}
