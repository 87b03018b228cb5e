//! `tongban audit export CASE`: the evidence of one case as one sealed file. Reads a gateway's folder, running or not; or the copy of
//! a log that somebody else keeps.

mod file;
mod replicas;
mod seal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::StatusCode;

use file::{Taken, Unfinished};
use seal::Seal;

use super::target::{ReachArgs, log_key, peer, pinned, pinned_keys, read};
use crate::app::config::Config;
use crate::audit::evidence::{self, EvidenceError, Half};
use crate::audit::log::is_open;
use crate::audit::note::VerifierKey;
use crate::audit::verify::{Peer, SegmentFolder};
use crate::audit::{Pseudonym, Pseudonymiser};
use crate::cli::again::Archive;
use crate::cli::reload::admin;
use crate::exchange::Key;
use crate::terms::{CaseNo, Digest, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::pem;
use crate::upstream::body::full;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// 办件编号，或办件假名（32 位十六进制） · Case number, or its pseudonym.
    case: String,
    /// 网关数据目录 · The gateway's data folder.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "from"], conflicts_with = "config")]
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
    /// 由镜像、归档（s3://桶/前缀）或日志地址导出：网关已清除的办件亦可，不含办件文件 · Exports from a mirror, an archive or a log's
    /// URL: also what the gateway has pruned, and without the documents, which are not there. Its key is taken from --key or --policy.
    #[arg(long, value_name = "PREFIX_OR_DIR", conflicts_with_all = ["config", "data"])]
    from: Option<String>,
    /// 日志公钥 · The verifier key of that log, or of a peer's.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: Vec<VerifierKey>,
    /// 归档目录（policies、decisions、trust 的副本），可多次给出 · A folder with archived `policies`, `decisions` and `trust`, for what
    /// is exported from elsewhere, or a replica's.
    #[arg(long, value_name = "DIR")]
    decisions: Vec<PathBuf>,
    /// 办件库地址（默认为数据目录中的 store.db） · Where the cases are, when not DIR/store.db.
    #[arg(long, value_name = "URL", requires = "data")]
    store: Option<String>,
    /// 同一网关其他副本的日志（地址、镜像或数据目录），可多次给出；公钥见 --policy 或目录 · The log of another replica of this gateway:
    /// a case may have entries in each. Of a data folder the rules and decisions are taken, too. Its key is taken from --policy, or
    /// the federation's directory.
    #[arg(long, value_name = "PREFIX_OR_DIR")]
    replica: Vec<String>,
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

/// A gateway's folders, and what seals.
struct Source {
    data: PathBuf,
    /// Where the keys and files are that replicas share; else the same.
    shared: PathBuf,
    store: Option<String>,
    seal: Seal,
    peer_keys: Vec<VerifierKey>,
    /// Where a running gateway would be told.
    config: Option<Config>,
}

/// What is taken from a log that somebody else keeps, by the auditor's own keys.
fn from_elsewhere(word: &str, args: &ExportArgs) -> Result<(), String> {
    let mut keys = pinned_by(args)?;
    let Peer { key, log } = peer(word, &keys, &args.reach)?;
    let wrong = |_| {
        format!(
            "{}: 请给出办件假名，编号只有网关自己能换算 · give the case's pseudonym: only the gateway knows it by number",
            args.case
        )
    };
    let case: Pseudonym = args.case.parse().map_err(wrong)?;
    let out = Unfinished::beside(&args.out)?;
    let own = evidence::gather(&*log, None, &key, &case).map_err(|e| told(&e))?;
    let seal = Seal::Derived(Digest::of(own.checkpoint.as_bytes()).0);
    let replicas = replicas::find(&key, &keys, args)?;
    keys.retain(|other| other.name() != key.name());
    let own = replicas::with(own, (&*log, &key), &replicas, &case, false)?;
    let behind = behind(args.decisions.iter().cloned(), &own)?;
    let halves = with_peers(own, &keys, args)?;
    let taken = Taken { case, no: None, halves, behind, log_key: None, documents: Vec::new() };
    println!("{}", taken.write(&seal, &out)?);
    Ok(())
}

/// The rules, questions and trust material that the entries name, from all folders that have some.
fn behind(folders: impl IntoIterator<Item = PathBuf>, own: &[Half]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let entries: Vec<&[u8]> = own.iter().flat_map(|half| &half.entries).map(|(_, bytes, _)| &bytes[..]).collect();
    let mut behind = BTreeMap::new();
    for folder in folders {
        behind.extend(Archive::new(&folder).files(&entries)?);
    }
    Ok(behind)
}

fn pinned_by(args: &ExportArgs) -> Result<Vec<VerifierKey>, String> {
    let policy = args.policy.as_deref().map(pinned).transpose()?;
    Ok(pinned_keys(policy.as_ref(), &args.key))
}

pub(super) fn run(args: &ExportArgs) -> Result<(), String> {
    if let Some(word) = &args.from {
        return from_elsewhere(word, args);
    }
    let source = source(args)?;
    let (case, no) = case(&args.case, &source.shared)?;
    let key: VerifierKey = {
        // While the log changes its key, the new one stands on a second line; both sign.
        let text = String::from_utf8_lossy(&read(&source.data.join("log/key"))?).into_owned();
        text.lines().next().unwrap_or_default().parse().map_err(|e| format!("log/key: {e}"))?
    };
    // First of all the place it goes to: what cannot be written is not put on record as taken.
    let out = Unfinished::beside(&args.out)?;
    let replicas = replicas::find(&key, &source.peer_keys, args)?;
    on_record(&source, &case, no, args)?;
    let folder = source.data.join("log");
    let log = SegmentFolder::new(folder.clone());
    let own = evidence::gather(&log, Some(&folder), &key, &case).map_err(|e| told(&e))?;
    let own = replicas::with(own, (&log, &key), &replicas, &case, is_open(&folder))?;
    let folders = replicas.iter().filter_map(|replica| replica.data.clone());
    let behind = behind([source.data.clone()].into_iter().chain(folders).chain(args.decisions.iter().cloned()), &own)?;
    let halves = with_peers(own, &source.peer_keys, args)?;
    let (documents, log_key) = match (no, &source.store) {
        (Some(no), Some(store)) => file::documents(no, store, &source.shared)?,
        _ => (Vec::new(), None),
    };
    let taken = Taken { case, no, halves, behind, log_key, documents };
    println!("{}", taken.write(&source.seal, &out)?);
    Ok(())
}

/// A running gateway puts the export on record, before anything is taken out; a stopped one cannot.
fn on_record(source: &Source, case: &Pseudonym, no: Option<CaseNo>, args: &ExportArgs) -> Result<(), String> {
    if !is_open(&source.data.join("log")) {
        eprintln!("网关未运行，本次导出未记入日志 · the gateway is not running: this export is not on record");
        return Ok(());
    }
    let (Some(config), Some(by), Some(ground)) = (&source.config, &args.by, &args.ground) else {
        return Err("网关正在运行，导出须记入日志：请给出 --config、--by 和 --ground · the gateway is running and puts exports on \
                    record: give --config, --by and --ground"
            .into());
    };
    let no = no.map(|no| no.to_string());
    let body = serde_json::json!({ "case": case.to_string(), "no": no, "by": by, "ground": ground }).to_string();
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
    let mut peer_keys = pinned_by(args)?;
    if let Some(file) = &args.config {
        let config = Config::load(file).map_err(|mistakes| mistakes.to_string())?;
        peer_keys.extend(directory_keys(&config)?);
        let pair = &config.seals.envelope;
        let chain = chain(&pair.certificate)?;
        let public = chain[0].public_key().map_err(|e| format!("{}: {e}", pair.certificate.display()))?;
        let (data, store) = (config.gateway.data.clone(), Some(config.gateway.store.clone()));
        let seal = Seal::Envelope { key: pair.key.open(&public)?, chain, folder: data.join("evidence") };
        let shared = config.gateway.shared.clone().unwrap_or_else(|| data.clone());
        return Ok(Source { data, shared, store, seal, peer_keys, config: Some(config) });
    }
    let data = args.data.clone().unwrap_or_default();
    if !data.join("log/segments").is_dir() {
        return Err(format!("{}: 不是网关数据目录 · not a gateway's data folder", data.display()));
    }
    let store = data.join("store.db");
    let store = args.store.clone().or_else(|| store.is_file().then(|| format!("sqlite:{}", store.display())));
    let secret = existing_key(&data.join("pseudonym.key"))?;
    Ok(Source { seal: Seal::Derived(*secret.octets()), shared: data.clone(), data, store, peer_keys, config: None })
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
        true => Key::read(file).map_err(|e| format!("{}: {e}", file.display())),
        false => Err(format!("{}: 没有 · is not there", file.display())),
    }
}

fn with_peers(mut halves: Vec<Half>, keys: &[VerifierKey], args: &ExportArgs) -> Result<Vec<Half>, String> {
    let receipts: Vec<_> = halves.iter().flat_map(Half::receipts).collect();
    for word in &args.peer {
        let Peer { key, log } = peer(word, keys, &args.reach)?;
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

/// Why there is no bundle, for who wanted it.
fn told(error: &EvidenceError) -> String {
    let zh = match error {
        EvidenceError::NoCase => "日志中没有该办件的条目",
        EvidenceError::Pruned(_) => "较早的条目已清除，请由归档或镜像导出（--from）",
        EvidenceError::TooMany => "该办件条目过多，证据包容纳不下，请用镜像与 search --case",
        EvidenceError::Read { .. } => "日志读取失败",
        EvidenceError::Checkpoint(_)
        | EvidenceError::Damaged(_)
        | EvidenceError::Proof(_)
        | EvidenceError::Tiles(_) => "日志与其签名不符",
    };
    format!("{zh} · {error}")
}

pub(super) fn chain(file: &Path) -> Result<Vec<Certificate>, String> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let ders = pem::certificates(&read(file)?).map_err(|e| named(&e))?;
    // Nobody's certificates would ask nothing: a question that was put would go unasked.
    if ders.is_empty() {
        return Err(format!("{}: 其中没有证书（PEM） · no certificate in it (PEM is wanted)", file.display()));
    }
    let all: Result<Vec<_>, _> = ders.iter().map(|der| Certificate::parse(der)).collect();
    all.map_err(|e| named(&e))
}
