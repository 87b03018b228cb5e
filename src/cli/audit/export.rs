//! `tongban audit export CASE`: the evidence of one case as one sealed file. Reads a gateway's folder, running or not.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::StatusCode;

use super::{ReachArgs, pinned, read};
use crate::app::config::Config;
use crate::audit::evidence::{self, DocumentPart, Half, MANIFEST, Manifest, VERSION};
use crate::audit::note::VerifierKey;
use crate::audit::verify::Peer;
use crate::audit::{Pseudonym, Pseudonymiser};
use crate::cli::again::Archive;
use crate::cli::reload::admin;
use crate::exchange::message::Stored;
use crate::exchange::{Key, Vault, records};
use crate::store::Store;
use crate::terms::{CaseNo, Digest, UnixMillis};
use crate::trust::asic::{self, Part};
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::pem;
use crate::trust::suite::{PublicKey, SignatureAlgorithm, Signer, SigningKey, SuiteError};
use crate::upstream::body::full;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// 办件编号，或办件假名（32 位十六进制） · Case number, or its pseudonym.
    case: String,
    /// 网关数据目录 · The gateway's data folder.
    #[arg(long, value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// 网关配置文件：以机构电子印章封装 · The gateway's configuration; the bundle is sealed by its envelope key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// 经办人工号：网关运行时，导出先记入其日志 · Staff number of who exports: a running gateway puts the export on record first.
    #[arg(long, value_name = "STAFF", requires = "config")]
    by: Option<String>,
    /// 依据文号 · Reference of the order it is exported under.
    #[arg(long, value_name = "REFERENCE", requires = "config")]
    ground: Option<String>,
    /// 办件库地址（默认为数据目录中的 store.db） · Where the cases are, when not DIR/store.db.
    #[arg(long, value_name = "URL", requires = "data")]
    store: Option<String>,
    /// 对端日志（地址、镜像或数据目录），可多次给出；公钥见 --policy 或目录 · A peer's log whose half is wanted; its key is
    /// taken from --policy, or the federation's directory.
    #[arg(long, value_name = "PREFIX_OR_DIR")]
    peer: Vec<String>,
    /// 策略文件（对端日志公钥） · Policy file that names the peers' keys.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// 输出文件 · Where to write the bundle.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    reach: ReachArgs,
}

/// How often, and how long apart, a peer's checkpoint is read again while it does not cover yet what it gave a receipt for.
const SIGNED_TRIES: u32 = 20;
const SIGNED_PAUSE: Duration = Duration::from_millis(250);

/// The gateway's folders, and what seals.
struct Source {
    data: PathBuf,
    store: Option<String>,
    seal: Seal,
    peer_keys: Vec<VerifierKey>,
    /// Where a running gateway would be told.
    config: Option<Config>,
}

/// A bundle being written: for nobody else to read, and gone again when it does not come to an end.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    fn beside(out: &Path) -> Result<Self, String> {
        let mut name = out.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = PathBuf::from(name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Self { file: file.map_err(|e| format!("{}: {e}", path.display()))?, path })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Renamed, it is not there any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) fn run(args: &ExportArgs) -> Result<(), String> {
    let source = source(args)?;
    let (case, no) = case(&args.case, &source.data)?;
    let key: VerifierKey = {
        let text = String::from_utf8_lossy(&read(&source.data.join("log/key"))?).into_owned();
        text.trim_end().parse().map_err(|e| format!("log/key: {e}"))?
    };
    // First of all the place it goes to: what cannot be written is not put on record as taken.
    let out = Unfinished::beside(&args.out)?;
    on_record(&source, &case, args)?;
    let own = evidence::gather(&source.data.join("log"), &key, &case).map_err(|e| e.to_string())?;
    let halves = with_peers(own, &source.peer_keys, args)?;
    let files = match (no, &source.store) {
        (Some(no), Some(store)) => documents(no, store, &source.data)?,
        _ => Vec::new(),
    };
    let entries: Vec<&[u8]> = halves[0].entries.iter().map(|(_, bytes, _)| &bytes[..]).collect();
    let behind = Archive::new(&source.data).files(&entries)?;
    let made = write(args, &source, case, no, &halves, behind, files, &out)?;
    println!("{made}");
    Ok(())
}

/// A running gateway puts the export on record, before anything is taken out; a stopped one cannot.
fn on_record(source: &Source, case: &Pseudonym, args: &ExportArgs) -> Result<(), String> {
    if !super::is_running(&source.data.join("log")) {
        eprintln!("网关未运行，本次导出未记入日志 · the gateway is not running: this export is not on record");
        return Ok(());
    }
    let (Some(config), Some(by), Some(ground)) = (&source.config, &args.by, &args.ground) else {
        return Err("网关正在运行，导出须记入日志：请给出 --config、--by 和 --ground · the gateway is running and puts exports on \
                    record: give --config, --by and --ground"
            .into());
    };
    let body = serde_json::json!({ "case": case.to_string(), "by": by, "ground": ground }).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    match runtime.block_on(admin(config, "/exports", full(body)))? {
        (StatusCode::OK, told) => {
            eprint!("{told}");
            Ok(())
        }
        (_, told) => Err(told),
    }
}

fn source(args: &ExportArgs) -> Result<Source, String> {
    let mut peer_keys = match &args.policy {
        Some(path) => pinned(path)?.witnesses.logs().to_vec(),
        None => Vec::new(),
    };
    if let Some(file) = &args.config {
        let config = Config::load(file).map_err(|mistakes| mistakes.to_string())?;
        peer_keys.extend(directory_keys(&config)?);
        let pair = &config.seals.envelope;
        let chain = chain(&pair.certificate)?;
        let public = chain[0].public_key().map_err(|e| format!("{}: {e}", pair.certificate.display()))?;
        let seal = Seal::Envelope { key: pair.key.open(&public)?, chain };
        let (data, store) = (config.gateway.data.clone(), Some(config.gateway.store.clone()));
        return Ok(Source { data, store, seal, peer_keys, config: Some(config) });
    }
    let data = args.data.clone().unwrap_or_default();
    if !data.join("log/segments").is_dir() {
        return Err(format!("{}: 不是网关数据目录 · not a gateway's data folder", data.display()));
    }
    let store = data.join("store.db");
    let store = args.store.clone().or_else(|| store.is_file().then(|| format!("sqlite:{}", store.display())));
    Ok(Source { seal: Seal::Derived, data, store, peer_keys, config: None })
}

fn directory_keys(config: &Config) -> Result<Vec<VerifierKey>, String> {
    let file = &config.directory.file;
    let envelope = String::from_utf8_lossy(&read(file)?).into_owned();
    let operator = crate::app::wire::operator_key(&config.directory.operator_key)?;
    let directory = crate::federation::Directory::take(&envelope, &operator, None, UnixMillis(0));
    let directory = directory.map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(directory.log_keys(""))
}

pub(super) fn case(word: &str, data: &Path) -> Result<(Pseudonym, Option<CaseNo>), String> {
    if let Ok(pseudonym) = word.parse::<Pseudonym>() {
        return Ok((pseudonym, None));
    }
    let wrong = |e| format!("{word}: 既非办件编号也非假名 · neither a case number nor a pseudonym: {e}");
    let no: CaseNo = word.parse().map_err(wrong)?;
    let key = existing_key(&data.join("pseudonym.key"))?;
    Ok((Pseudonymiser::new(key.octets(), 0).case(no), Some(no)))
}

/// Never makes a key: one that is made now fits nothing.
fn existing_key(file: &Path) -> Result<Key, String> {
    match file.is_file() {
        true => Key::read_or_make(file).map_err(|e| format!("{}: {e}", file.display())),
        false => Err(format!("{}: 没有 · is not there", file.display())),
    }
}

fn with_peers(own: Half, keys: &[VerifierKey], args: &ExportArgs) -> Result<Vec<Half>, String> {
    let receipts = own.receipts();
    let mut halves = vec![own];
    for word in &args.peer {
        let Peer { key, log } = super::peer(word, keys, &args.reach)?;
        let named = receipts.iter().filter(|receipt| receipt.origin == key.name());
        let newest = named.map(|receipt| receipt.index).max();
        let mut half = evidence::named_by_peers(&*log, &key, &receipts).map_err(|e| format!("{word}: {e}"))?;
        // A peer signs what it took within seconds: a case that just ended is worth that wait.
        for _ in 0..SIGNED_TRIES {
            let covered = half.as_ref().map_or(0, |half| half.part.size);
            if newest.is_none_or(|newest| newest < covered) {
                break;
            }
            std::thread::sleep(SIGNED_PAUSE);
            half = evidence::named_by_peers(&*log, &key, &receipts).map_err(|e| format!("{word}: {e}"))?;
        }
        halves.extend(half);
    }
    Ok(halves)
}

/// A file of the case, decrypted into memory only while it is copied.
struct Document {
    stored: Stored,
    key: Key,
    vault: std::sync::Arc<Vault>,
}

fn documents(no: CaseNo, store: &str, data: &Path) -> Result<Vec<Document>, String> {
    let master = existing_key(&data.join("master.key"))?;
    let vault = std::sync::Arc::new(Vault::open(&data.join("vault")).map_err(|e| e.to_string())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let store = Store::open(store, &crate::app::wire::migrations()).await.map_err(|e| e.to_string())?;
        let mut tx = store.read().await.map_err(|e| e.to_string())?;
        let wrapped = match records::wrapped_key(&mut tx, no).await {
            Ok(wrapped) => wrapped,
            // Shredded, or never here: the entries stand without their documents.
            Err(why) => {
                eprintln!("文件不可用 · the documents are not at hand: {why}");
                return Ok(Vec::new());
            }
        };
        let key = master.unwrap(&no.to_string(), &wrapped).map_err(|e| e.to_string())?;
        let rows = records::files(&mut tx, no, &key).await.map_err(|e| e.to_string())?;
        drop(tx);
        store.close().await;
        let document = |stored| Document { stored, key: key.clone(), vault: vault.clone() };
        Ok(rows.into_iter().map(|row| document(row.stored)).collect())
    })
}

pub(super) fn chain(file: &Path) -> Result<Vec<Certificate>, String> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let ders = pem::certificates(&read(file)?).map_err(|e| named(&e))?;
    let all: Result<Vec<_>, _> = ders.iter().map(|der| Certificate::parse(der)).collect();
    all.map_err(|e| named(&e))
}

fn write(
    args: &ExportArgs,
    source: &Source,
    case: Pseudonym,
    no: Option<CaseNo>,
    halves: &[Half],
    behind: BTreeMap<String, Vec<u8>>,
    mut documents: Vec<Document>,
    out: &Unfinished,
) -> Result<String, String> {
    documents.sort_by(|a, b| a.stored.path.cmp(&b.stored.path));
    let newest = UnixMillis(halves.iter().map(|half| half.newest).max().unwrap_or(0));
    let (signer, chain) = source.seal.open(&source.data, newest)?;
    let certificates: Vec<(String, Vec<u8>)> = chain
        .iter()
        .map(|c| (format!("certificates/{}.pem", c.fingerprint()), pem::encode("CERTIFICATE", c.der()).into_bytes()))
        .collect();
    let path = |document: &Document| format!("documents/{}", document.stored.path);
    let manifest = Manifest {
        v: VERSION,
        case: case.to_string(),
        case_no: no.map(|no| no.to_string()),
        logs: halves.iter().map(|half| half.part.clone()).collect(),
        index: halves.first().and_then(|half| half.index.clone()),
        anchor: halves.first().and_then(|half| half.anchor.as_ref().map(|(part, _)| part.clone())),
        policies: behind.keys().filter(|path| path.starts_with("policy/")).cloned().collect(),
        trust: behind.keys().filter(|path| path.starts_with("trust/")).cloned().collect(),
        documents: documents
            .iter()
            .map(|d| DocumentPart {
                path: path(d),
                media: d.stored.media.clone(),
                digest: d.stored.kept.digest,
                size: d.stored.kept.size,
            })
            .collect(),
        certificates: certificates.iter().map(|(name, _)| name.clone()).collect(),
    };
    let mut manifest = serde_json::to_vec_pretty(&manifest).map_err(|e| e.to_string())?;
    manifest.push(b'\n');
    let mut files = vec![(MANIFEST.to_owned(), manifest)];
    files.extend(halves.iter().enumerate().flat_map(|(log, half)| half.files(log)));
    files.extend(behind);
    files.extend(certificates);
    let media = |name: &str| match name.rsplit('.').next() {
        Some("json") => "application/json",
        Some("pem") => "application/pem-certificate-chain",
        _ if name.starts_with("trust/") => "application/octet-stream",
        _ => "text/plain",
    };
    let mut parts: Vec<Part<'_>> = files.iter().map(|(name, bytes)| Part::whole(name, media(name), bytes)).collect();
    let (entries, papers) = (halves.iter().map(|half| half.entries.len()).sum::<usize>(), documents.len());
    for document in &documents {
        let reading = document.vault.read(&document.key, &document.stored.kept).map_err(|e| e.to_string())?;
        parts.push(Part {
            name: path(document),
            media: document.stored.media.clone(),
            digest: document.stored.kept.digest,
            content: Box::new(reading.stream()),
        });
    }
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", args.out.display());
    let sealed = asic::seal(std::io::BufWriter::new(&out.file), parts, &*signer, &chain, newest);
    sealed.map_err(|e| named(&e))?.into_inner().map_err(|e| named(&e))?;
    out.file.sync_all().and_then(|()| std::fs::rename(&out.path, &args.out)).map_err(|e| named(&e))?;
    Ok(format!(
        "{}: 条目 {entries}，文件 {papers} · {entries} entries of {} logs, {papers} documents",
        args.out.display(),
        halves.len()
    ))
}

/// What seals a bundle.
enum Seal {
    /// The organisation's own.
    Envelope { key: Box<dyn Signer>, chain: Vec<Certificate> },
    /// A key derived from a secret of the data folder: shows that the bundle is whole, and nothing about who made it.
    Derived,
}

impl Seal {
    fn open(&self, data: &Path, newest: UnixMillis) -> Result<(Box<dyn Signer + '_>, Vec<Certificate>), String> {
        match self {
            Self::Envelope { key, chain } => {
                Ok((Box::new(Remembered { key: &**key, folder: data.join("evidence") }), chain.clone()))
            }
            Self::Derived => {
                let secret = existing_key(&data.join("pseudonym.key"))?;
                let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.octets());
                let seed = ring::hmac::sign(&hmac, b"evidence seal");
                let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(seed.as_ref());
                let key = SigningKey::Ed25519(key.map_err(|_| "no key could be derived")?);
                let subject = Subject::named("evidence export", "tongban");
                let spki = key.public_key().to_spki();
                let mut serial = [0; 16];
                serial.copy_from_slice(&Digest::of(&[&spki[..], &newest.0.to_be_bytes()].concat()).0[..16]);
                // In force around the time that the bundle says, so that nothing depends on the day of export.
                let span = (UnixMillis(newest.0 - 86_400_000), UnixMillis(newest.0 + 86_400_000));
                let issuer = Issuer::root(&key, &subject);
                let der = issue::numbered(serial, &issuer, &subject, &spki, Use::Signer, span);
                let certificate = der.map_err(|e| e.to_string())?;
                let certificate = Certificate::parse(&certificate).map_err(|e| e.to_string())?;
                Ok((Box::new(key), vec![certificate]))
            }
        }
    }
}

/// Signs the same message with the same octets: ECDSA and SM2 would draw a new random number each time, and two
/// exports of one case would differ.
struct Remembered<'a> {
    key: &'a dyn Signer,
    folder: PathBuf,
}

impl Signer for Remembered<'_> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SuiteError> {
        let file = self.folder.join(format!("{}.sig", Digest::of(message)));
        if let Ok(known) = std::fs::read(&file)
            && self.public_key().verify(self.algorithm(), message, &known).is_ok()
        {
            return Ok(known);
        }
        let signature = self.key.sign(message)?;
        let kept = std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::write(&file, &signature));
        if let Err(error) = kept {
            eprintln!("{}: {error}; 再次导出将不逐字节相同 · the next export will differ in its seal", file.display());
        }
        Ok(signature)
    }
}
