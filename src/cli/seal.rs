//! `tongban seal`: a seal, a signature or a container around files, and a line about each use of the key.
//!
//! ```text
//!  --key FILE │ pkcs11:…  +  --cert  ─┬─ ofd    a seal (--seal FILE.esl) or a plain signature on an OFD
//!                                     ├─ pdf    a signature on a PDF (PAdES)
//!                                     ├─ asic   files into one sealed container (ASiC-E, CAdES)
//!                                     ├─ cms    a detached signature of one file
//!                                     └─ esl    a seal, made with the seal maker's key
//!  --tsa URL: a time-stamp over the signature       --journal FILE: what the key signed, kept before the result is
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Request;

use crate::formats::zip::{Archive, Limits};
use crate::licences::make::{Apply, PdfApply, SealSpec, apply, make_seal, round_seal, sign_pdf};
use crate::terms::{Digest, UnixMillis};
use crate::trust::asic::{self, Part};
use crate::trust::certificate::Certificate;
use crate::trust::cms::{self, Spelling};
use crate::trust::suite::{Hasher, KeyPlace, Signer};
use crate::trust::{pem, timestamp};
use crate::upstream::{Client, ClientTls};

/// Seal and sign files: OFD, PDF, ASiC-E, CMS; make seals.
#[derive(Args)]
pub struct SealArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A seal or a plain signature on an OFD.
    Ofd {
        file: PathBuf,
        /// The seal (SESeal in DER); a plain signature (GB/T 35275) without one.
        #[arg(long, value_name = "FILE")]
        seal: Option<PathBuf>,
        /// Let further signatures follow.
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        by: By,
    },
    /// A signature on a PDF (PAdES B-B, with a time-stamp B-T), after those that are there.
    Pdf {
        file: PathBuf,
        /// Why, as readers show it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// Files into one sealed container (ASiC-E with CAdES).
    Asic {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        by: By,
    },
    /// A detached signature of one file (CAdES; SM2 signatures in the spelling of GB/T 35275).
    Cms {
        file: PathBuf,
        #[command(flatten)]
        by: By,
    },
    /// A seal, signed by its maker.
    Esl {
        /// Number of the seal.
        #[arg(long)]
        id: String,
        /// Name of the seal, as it shall be shown.
        #[arg(long)]
        name: String,
        /// Kind: 1 legal name, 2 finance, 3 invoice, 4 contract, 5 personal, 99 other.
        #[arg(long, default_value_t = 99)]
        kind: u64,
        /// Who may apply it: certificates, one or more.
        #[arg(long, value_name = "FILE", required = true)]
        signer: Vec<PathBuf>,
        /// Days it can be used from now on.
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// Picture (PNG); a plain round one without.
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        /// Millimetres on a side.
        #[arg(long, default_value_t = 40)]
        size: u8,
        #[command(flatten)]
        by: By,
    },
}

/// Under which key, and where to.
#[derive(Args)]
struct By {
    /// Key file (PKCS #8, PEM), or a key in a token: pkcs11:token=…;object=…?module-path=FILE&pin-source=FILE
    #[arg(long, value_name = "FILE|URI")]
    key: String,
    /// File with the password of the key file on its first line.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
    /// Certificate of the key, further ones of its chain after it (PEM or DER).
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Address of a time-stamp authority (RFC 3161).
    #[arg(long, value_name = "URL")]
    tsa: Option<String>,
    /// Trust this certificate for TLS to the authority.
    #[arg(long, value_name = "FILE")]
    tls_anchor: Vec<PathBuf>,
    /// A line is added to this file for each use of the key, before the result is written. Needed for keys in tokens.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Time of signing, e.g. 2025-06-01T00:00:00Z; now by default.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Where the result goes; a file that exists is not overwritten.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Largest file to be signed detached, and largest seal or picture.
const SMALL: u64 = 8 << 20;
/// How long an authority may take.
const TSA_WAIT: Duration = Duration::from_secs(15);

/// Runs the command.
pub fn run(args: &SealArgs) -> ExitCode {
    match made(&args.what) {
        Ok(out) => {
            println!("{}", out.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("tongban seal: {why}");
            ExitCode::FAILURE
        }
    }
}

fn made(what: &What) -> Result<PathBuf, String> {
    match what {
        What::Ofd { file, seal, open, by } => by.run(&format!("ofd {}", digest(file)?), |key| {
            let source = File::open(file).map_err(|e| said(file, &e))?;
            let package = Archive::open(&source, &Limits::default()).map_err(|e| said(file, &e))?;
            let seal = seal.as_deref().map(read).transpose()?;
            let stamp = |signature: &[u8]| key.stamp(signature);
            let with = Apply {
                seal: seal.as_deref(),
                signer: &*key.signer,
                chain: &key.chain,
                at: key.at,
                time_stamp: key.tsa.is_some().then_some(&stamp),
                lock: !open,
            };
            apply(&package, &with, Vec::new()).map_err(|e| said(file, &e))
        }),
        What::Pdf { file, reason, by } => by.run(&format!("pdf {}", digest(file)?), |key| {
            let mut source = File::open(file).map_err(|e| said(file, &e))?;
            let stamp = |signature: &[u8]| key.stamp(signature);
            let with = PdfApply {
                signer: &*key.signer,
                chain: &key.chain,
                at: key.at,
                time_stamp: key.tsa.is_some().then_some(&stamp),
                reason: reason.as_deref(),
            };
            let update = sign_pdf(&source, &with).map_err(|e| said(file, &e))?;
            let mut octets = Vec::new();
            source.read_to_end(&mut octets).map_err(|e| said(file, &e))?;
            octets.extend(update);
            Ok(octets)
        }),
        What::Asic { files, by } => {
            let mut parts = Vec::new();
            for file in files {
                let name = file.file_name().and_then(|n| n.to_str()).ok_or("a file without a name")?.to_owned();
                let content = Box::new(File::open(file).map_err(|e| said(file, &e))?);
                parts.push(Part { name, media: media(file).to_owned(), digest: digest(file)?, content });
            }
            let all: Vec<String> = parts.iter().map(|part| part.digest.to_string()).collect();
            by.run(&format!("asic {}", all.join(" ")), |key| {
                let stamp = |signature: &[u8]| key.stamp(signature);
                let stamp: Option<cms::TimeStamp<'_>> = key.tsa.is_some().then_some(&stamp);
                asic::seal_with(Vec::new(), parts, &*key.signer, &key.chain, key.at, stamp).map_err(|e| e.to_string())
            })
        }
        What::Cms { file, by } => by.run(&format!("cms {}", digest(file)?), |key| {
            let algorithm = key.signer.algorithm();
            let national = algorithm == crate::trust::suite::SignatureAlgorithm::Sm2Sm3;
            let spelling = if national { Spelling::National } else { Spelling::International };
            let mut hasher = Hasher::new(algorithm.digest());
            pieces(file, &mut |piece| hasher.update(piece))?;
            let stamp = |signature: &[u8]| key.stamp(signature);
            let stamp: Option<cms::TimeStamp<'_>> = key.tsa.is_some().then_some(&stamp);
            let made =
                cms::sign_detached_with(&*key.signer, &key.chain, &hasher.finish(), Some(key.at), spelling, stamp);
            made.map_err(|e| e.to_string())
        }),
        What::Esl { id, name, kind, signer, days, picture, size, by } => by.run(&format!("esl {id} {name}"), |key| {
            let signers = signer.iter().map(|file| certificates(file)).collect::<Result<Vec<_>, _>>()?.concat();
            let picture = match picture {
                Some(file) => read(file)?,
                None => round_seal(),
            };
            let spec = SealSpec {
                id,
                name,
                kind: *kind,
                signers: &signers,
                created: key.at,
                valid_from: key.at,
                valid_to: key.at.plus_seconds(i64::from(*days) * 86_400),
                picture: &picture,
                size_mm: *size,
            };
            make_seal(&spec, &*key.signer, &key.chain[0]).map_err(|e| e.to_string())
        }),
    }
}

/// A key that is open, and what goes with it.
struct Open {
    signer: Box<dyn Signer>,
    chain: Vec<Certificate>,
    at: UnixMillis,
    tsa: Option<String>,
    tls: ClientTls,
}

impl By {
    /// Opens the key, notes what it is about to sign, makes the result, writes it.
    fn run(&self, about: &str, make: impl FnOnce(&Open) -> Result<Vec<u8>, String>) -> Result<PathBuf, String> {
        let at = match &self.at {
            None => UnixMillis::now(),
            Some(text) => {
                UnixMillis::parse_rfc3339(text).ok_or_else(|| format!("--at {text}: not an RFC 3339 time"))?
            }
        };
        let chain = certificates(&self.cert)?;
        let public = chain[0].public_key().map_err(|e| said(&self.cert, &e))?;
        let password = self.password.as_deref().map(|file| file.to_str().ok_or("--password: not UTF-8")).transpose()?;
        let place = KeyPlace::parse(&self.key, password, Path::new(""))?;
        if place.is_token() && self.journal.is_none() {
            return Err("a key in a token is used with --journal FILE only: each use leaves a line".to_owned());
        }
        let signer = place.open(&public)?;
        let anchors: Vec<_> = self.tls_anchor.iter().map(|file| crate::upstream::tls::certificates(file)).collect();
        let anchors = anchors.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?.concat();
        let tls = ClientTls::new(&anchors, None).map_err(|e| e.to_string())?;
        let open = Open { signer, chain, at, tsa: self.tsa.clone(), tls };
        // A use that leaves no line is none: the line is on disk before the result is.
        if let Some(file) = &self.journal {
            journal(file, &open, about).map_err(|e| said(file, &e))?;
        }
        let octets = make(&open)?;
        let mut out = File::create_new(&self.out).map_err(|e| said(&self.out, &e))?;
        out.write_all(&octets).and_then(|()| out.sync_all()).map_err(|e| said(&self.out, &e))?;
        Ok(self.out.clone())
    }
}

impl Open {
    /// A time-stamp token over a signature value.
    fn stamp(&self, signature: &[u8]) -> Result<Vec<u8>, String> {
        let url = self.tsa.as_deref().ok_or("no authority")?;
        let mut nonce = [0; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut nonce).map_err(|_| "no randomness")?;
        let request = timestamp::Request::over(self.signer.algorithm().digest(), signature, nonce);
        let body = crate::upstream::body::full(request.to_der());
        let post = Request::post(url).header("content-type", "application/timestamp-query").body(body);
        let post = post.map_err(|e| format!("{url}: {e}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let client = Client::new(&self.tls);
        let answer = runtime.block_on(client.fetch(post, TSA_WAIT, 1 << 20)).map_err(|e| e.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("{url}: answered {}", answer.status()));
        }
        let token = timestamp::token_of(answer.body(), &request).map_err(|e| format!("{url}: {e}"))?;
        // What the authority signed must be the signature; whether it is trusted is for whoever verifies.
        token.verify(signature, &[]).map_err(|e| format!("{url}: {e}"))?;
        Ok(token.der().to_vec())
    }
}

/// One line: when, which key, what for; each with the digest of the line before, so that none can be taken out unseen.
fn journal(file: &Path, key: &Open, about: &str) -> std::io::Result<()> {
    let mut journal = File::options().read(true).append(true).create(true).open(file)?;
    rustix::fs::flock(&journal, rustix::fs::FlockOperation::LockExclusive)?;
    let mut text = String::new();
    journal.read_to_string(&mut text)?;
    let before = text.lines().last().map(|line| Digest::of(line.as_bytes()).to_string());
    let line = serde_json::json!({
        "at": UnixMillis::now().to_string(),
        "signing_time": key.at.to_string(),
        "certificate": key.chain[0].fingerprint().to_string(),
        "subject": key.chain[0].subject_text(),
        "algorithm": key.signer.algorithm().oid(),
        "use": about,
        "before": before,
    });
    journal.write_all(format!("{line}\n").as_bytes())?;
    journal.sync_all()
}

fn said(file: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", file.display())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let opened = File::open(file).map_err(|e| said(file, &e))?;
    opened.take(SMALL + 1).read_to_end(&mut octets).map_err(|e| said(file, &e))?;
    if octets.len() as u64 > SMALL { Err(said(file, &"too large")) } else { Ok(octets) }
}

/// One DER certificate, or all of a PEM file; at least one.
fn certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    let octets = read(file)?;
    let ders = pem::certificates(&octets).map_err(|e| said(file, &e))?;
    let all: Result<Vec<_>, _> = ders.iter().map(|der| Certificate::parse(der)).collect();
    let all = all.map_err(|e| said(file, &e))?;
    if all.is_empty() { Err(said(file, &"no certificate in it")) } else { Ok(all) }
}

fn pieces(file: &Path, take: &mut dyn FnMut(&[u8])) -> Result<(), String> {
    let (mut opened, mut buf) = (File::open(file).map_err(|e| said(file, &e))?, vec![0; 64 << 10]);
    loop {
        match opened.read(&mut buf).map_err(|e| said(file, &e))? {
            0 => return Ok(()),
            n => take(&buf[..n]),
        }
    }
}

fn digest(file: &Path) -> Result<Digest, String> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    pieces(file, &mut |piece| context.update(piece))?;
    let digest: [u8; 32] = context.finish().as_ref().try_into().map_err(|_| "a digest of another size")?;
    Ok(Digest(digest))
}

fn media(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("ofd") => "application/ofd",
        Some("pdf") => "application/pdf",
        Some("xml") => "application/xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}
