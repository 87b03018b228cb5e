//! What a word on the command line stands for: a log behind a URL, in a folder, in object storage; and the keys it is judged by.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::Args;

use super::objects::Bucket;
use super::url::{Reach, Url};
use crate::audit::checkpoint;
use crate::audit::entry::CaseKeys;
use crate::audit::note::{KeyKind, NoteError, VerifierKey};
use crate::audit::verify::{Fetch, Peer, Pinned, SegmentFolder, TileFolder};

/// Largest file read whole: a policy, a checkpoint, a key.
const MAX_SMALL: u64 = 1 << 20;

/// How to reach a log behind a URL.
#[derive(Debug, Args)]
pub(super) struct ReachArgs {
    /// 信任的 TLS 证书颁发机构（默认用系统信任库） · PEM file of the authorities trusted for TLS.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// 审计方客户端证书（读取条目时需要） · PEM file of the auditor's certificate, for entry bundles.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(super) cert: Option<PathBuf>,
    /// 客户端证书私钥 · PEM file of that certificate's key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) client_key: Option<PathBuf>,
    /// 单个资源的等待上限（秒） · Longest wait for one resource, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) timeout: u64,
    /// 全部核验的时间上限（秒） · Longest time for everything, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_time: Option<u64>,
}

impl ReachArgs {
    pub(super) fn open(&self, prefix: &str) -> Result<Url, String> {
        let reach = Reach {
            anchors: self.ca.as_deref(),
            identity: self.cert.as_deref().zip(self.client_key.as_deref()),
            each: Duration::from_secs(self.timeout),
            all: self.max_time.map(Duration::from_secs),
        };
        Url::new(prefix, &reach)
    }
}

/// A key that a log signs with. What it says under a witness's key is not false: nobody asked.
pub(super) fn log_key(text: &str) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.parse().map_err(|e: NoteError| e.to_string())?;
    match key.kind() {
        KeyKind::Ed25519 => Ok(key),
        KeyKind::Cosignature => Err("这是见证方的公钥，不是日志的 · the key of a witness, not of a log".into()),
    }
}

/// Keys that are pinned, for several logs at once.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// 日志公钥，可多次给出 · A log's verifier key; may be given several times.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: Vec<VerifierKey>,
    /// 列有日志公钥的策略文件 · A policy that names the logs' keys.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl PinArgs {
    pub(super) fn keys(&self) -> Result<Vec<VerifierKey>, String> {
        let policy = self.policy.as_deref().map(pinned).transpose()?;
        Ok(pinned_keys(policy.as_ref(), &self.key))
    }
}

/// The log keys of cases in these files.
pub(super) fn case_keys(files: &[PathBuf]) -> Result<CaseKeys, String> {
    let mut keys = CaseKeys::default();
    for path in files {
        let wrong = |_| format!("{}: 不是办件日志密钥文件 · not the file of a case's log key", path.display());
        keys.add(&read(path)?).map_err(wrong)?;
    }
    Ok(keys)
}

/// What the word on the command line stands for.
pub(super) enum Target {
    Url(String),
    /// Object storage, `s3://BUCKET/PREFIX`.
    Archive(String),
    /// Segments of a gateway.
    Folder(PathBuf),
    /// A copy in tlog-tiles layout.
    Mirror(PathBuf),
    /// The evidence of a case.
    Bundle(PathBuf),
}

impl Target {
    pub(super) fn find(word: &str) -> Result<Self, String> {
        if word.starts_with("s3://") {
            return Ok(Self::Archive(word.to_owned()));
        }
        if word.starts_with("http://") || word.starts_with("https://") {
            return Ok(Self::Url(word.to_owned()));
        }
        let dir = PathBuf::from(word);
        if dir.is_file() {
            return Ok(Self::Bundle(dir));
        }
        if !dir.is_dir() {
            return Err(format!("{word}: 不是目录 · no such folder"));
        }
        for folder in [dir.clone(), dir.join("log")] {
            if folder.join("segments").is_dir() {
                return Ok(Self::Folder(folder));
            }
        }
        match dir.join("checkpoint").is_file() || dir.join("tile").is_dir() {
            true => Ok(Self::Mirror(dir)),
            false => Err(format!("{word}: 目录中没有日志 · neither a gateway's log nor a mirror of one")),
        }
    }
}

/// The log that a word on the command line stands for, to be read by path.
pub(super) fn fetch(word: &str, reach: &ReachArgs) -> Result<Rc<dyn Fetch>, String> {
    Ok(match Target::find(word)? {
        Target::Url(prefix) => Rc::new(reach.open(&prefix)?),
        Target::Archive(word) => Rc::new(Bucket::open(&word, reach.ca.as_deref())?),
        Target::Mirror(dir) => Rc::new(TileFolder(dir)),
        Target::Folder(dir) => Rc::new(SegmentFolder::new(dir)),
        Target::Bundle(_) => return Err(format!("{word}: 应为日志 · a log is wanted, not a bundle")),
    })
}

/// A peer's log, known by one of `keys`: by the origin it claims, which its signature must then bear out.
pub(super) fn peer(word: &str, keys: &[VerifierKey], reach: &ReachArgs) -> Result<Peer, String> {
    let log = fetch(word, reach)?;
    let note = log.get("checkpoint").map_err(|e| format!("{word}: {e}"))?.unwrap_or_default();
    let note = String::from_utf8(note).unwrap_or_default();
    let origin = note.lines().next().unwrap_or_default();
    let of_it: Vec<VerifierKey> = keys.iter().filter(|key| key.name() == origin).cloned().collect();
    let of_it = if of_it.len() > 1 { signing_first(of_it, &*log) } else { of_it };
    let key =
        of_it.first().ok_or(format!("{word}: 未固定其日志公钥 · no key of `{}` is pinned", origin.escape_debug()))?;
    Ok(Peer { key: key.clone(), log })
}

pub(super) fn pinned(path: &Path) -> Result<Pinned, String> {
    let text = String::from_utf8(read(path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    Pinned::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

pub(super) fn pinned_keys(policy: Option<&Pinned>, given: &[VerifierKey]) -> Vec<VerifierKey> {
    policy.iter().flat_map(|policy| policy.witnesses.logs()).chain(given).cloned().collect()
}

/// The keys to judge by: given, or those of the policy, where they are all of one log; never one that the policy does not
/// name.
pub(super) fn judged_by(given: &[VerifierKey], policy: Option<&Pinned>) -> Result<Vec<VerifierKey>, String> {
    let named = policy.map(|policy| policy.witnesses.logs()).unwrap_or_default();
    let of_one = |keys: &[VerifierKey]| keys.iter().all(|key| key.name() == keys[0].name());
    match (given, named) {
        ([], []) => Err("请给出 --key，或在策略文件中列出该日志 · give --key, or a policy that names the log".into()),
        ([], named) if of_one(named) => Ok(named.to_vec()),
        ([], _) => Err("请给出 --key，或在策略文件中只列一个日志 · give --key, or a policy that names one log".into()),
        (given, _) if !of_one(given) => Err("一个日志只用同名的 --key · keys of one log have one name".into()),
        (given, named) if named.is_empty() || given.iter().all(|key| named.contains(key)) => Ok(given.to_vec()),
        _ => Err("策略文件未列出该日志公钥 · the policy does not name this log's key".into()),
    }
}

/// The key that signed the log's checkpoint first, then the others: a log that changes its key has two for a while.
pub(super) fn signing_first(mut keys: Vec<VerifierKey>, log: &dyn Fetch) -> Vec<VerifierKey> {
    let note = log.get("checkpoint").ok().flatten().unwrap_or_default();
    let origin = keys[0].name().to_owned();
    let signs = |key: &VerifierKey| checkpoint::open(&note, key, Some(&origin)).is_ok();
    let first = keys.iter().position(signs).unwrap_or(0);
    keys.swap(0, first);
    keys
}

/// A small file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_upto(path, MAX_SMALL)
}

/// Reads no more than that, whatever the file says of its length: pipes and devices say nothing.
pub(super) fn read_upto(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let named = |e: std::io::Error| format!("{}: {e}", path.display());
    let (mut bytes, file) = (Vec::new(), std::fs::File::open(path).map_err(named)?);
    file.take(most + 1).read_to_end(&mut bytes).map_err(named)?;
    match bytes.len() as u64 > most {
        true => Err(format!("{}: 文件过大 · too long", path.display())),
        false => Ok(bytes),
    }
}

/// A bar over entries, which the work tells as it goes.
pub(super) fn bar() -> indicatif::ProgressBar {
    crate::cli::bar::bar(0, "条 entries")
}
