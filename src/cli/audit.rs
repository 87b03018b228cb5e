//! `tongban audit`: verify a log, print its key, show its entries. Takes no lock and writes nothing into a log.

mod export;
mod objects;
mod recover;
mod search;
mod url;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};

use super::again::{Archive, InBundle};
use crate::audit::anchor::Anchor;
use crate::audit::bundle;
use crate::audit::checkpoint::{self, Checkpoint};
use crate::audit::entry::EntryHead;
use crate::audit::evidence;
use crate::audit::gm::GmKey;
use crate::audit::log::GM_KEY;
use crate::audit::log::base::Base;
use crate::audit::log::segment::{self, Cursor, Unit};
use crate::audit::note::VerifierKey;
use crate::audit::verify::{self, Fetch, Options, Peer, Pinned, SegmentFolder, State, TileFolder};
use crate::audit::{Pseudonym, mirror, note::Note, tile};
use crate::terms::UnixMillis;
use objects::Bucket;
use url::{Reach, Url};

/// Exit code when the question itself cannot be put: a missing file, an unreadable policy.
const UNDECIDABLE: u8 = 2;
/// Largest file read whole: a policy, a checkpoint, a key.
const MAX_SMALL: u64 = 1 << 20;
/// Largest state of an incremental verification: all cases and open intents that are followed.
const MAX_STATE: u64 = 1 << 30;

/// 审计日志：核验、密钥、查看 · The audit log: verify, key, show.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 核验日志（退出码 0 已证明，1 已证伪，2 无法判定） · Verify a log: exit code 0 proven, 1 disproven, 2 undecidable.
    Verify(Box<VerifyArgs>),
    /// 导出一个办件的全部证据（ASiC-E 封装，可离线核验） · Export the evidence of one case, to be verified offline.
    Export(Box<export::ExportArgs>),
    /// 检索日志条目（办件、人员、窗口、事项、时间、决定；逐条核对签名根） · Find entries, in one log or several; what is
    /// found is checked against the signed root.
    Search(Box<search::SearchArgs>),
    /// 建立检索索引（放在日志目录旁，可随时重建） · Make the index that search uses, beside the log's folder.
    Index(Box<search::IndexArgs>),
    /// 镜像日志（边核验边复制，可续传；退出码 1 表示日志自相矛盾） · Copy a log, verified as it is copied; goes on where
    /// it was cut off. Exit code 1: the log is disproven.
    Mirror(MirrorArgs),
    /// 由镜像恢复丢失或回退的日志（网关须已停止；旧目录保留） · Make a lost or rolled-back log anew from a mirror; the old
    /// folder is kept. Exit code 1: the mirror is disproven.
    Recover(Box<recover::RecoverArgs>),
    /// 打印日志公钥 · Print the log's verifier key.
    Key {
        /// 日志目录、网关数据目录或日志地址 · Folder of the log, a gateway's data folder, or the log's URL.
        log: String,
        /// 打印 SM2 公钥 · The SM2 key instead.
        #[arg(long)]
        gm: bool,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// 逐条打印日志条目（JSON 行） · Print the entries, one JSON object a line.
    Show {
        /// 日志目录 · Folder of the log.
        dir: PathBuf,
        /// 只看某办件（办件假名，32 位十六进制） · Only one case, by its pseudonym (32 hexadecimal digits).
        #[arg(long)]
        case: Option<Pseudonym>,
    },
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// 日志地址、归档（s3://桶/前缀）、镜像目录、停机网关的数据目录，或证据包 · The log's URL, its archive
    /// (s3://BUCKET/PREFIX, AWS_ENDPOINT_URL and credentials from the environment), a mirrored folder, a stopped gateway's data
    /// folder, or an evidence bundle. Several logs (多个副本的日志) are judged one by one and then as a set.
    #[arg(value_name = "PREFIX_OR_DIR_OR_BUNDLE", required = true)]
    logs: Vec<String>,
    /// 日志公钥（由审计方自行保管；策略文件只列一个日志时可省略），多个日志时各给一个 · The log's verifier key, kept by the
    /// auditor; may be left out when the policy names one log. One for each of several logs.
    #[arg(long, value_name = "VKEY")]
    key: Vec<VerifierKey>,
    /// 日志 SM2 公钥：核验商用密码签名与每日 SM3 根，可多次给出（策略文件亦可列出） · The log's SM2 key: asks about its
    /// SM2 signatures and daily SM3 roots; may be given several times, or stand in the policy.
    #[arg(long, value_name = "VKEY")]
    gm: Vec<GmKey>,
    /// 对端日志（地址、镜像或数据目录），可多次给出：逐一核对对端回执；公钥见 --policy 或 --peer-key · A peer's log, in
    /// which its receipts are looked up; may be given several times.
    #[arg(long, value_name = "PREFIX_OR_DIR")]
    peer: Vec<String>,
    /// 对端日志公钥，可多次给出 · A peer's verifier key, besides those that the policy names.
    #[arg(long, value_name = "VKEY", requires = "peer")]
    peer_key: Vec<VerifierKey>,
    /// 日志来源名（默认取公钥名） · Origin, when it is not the key's name.
    #[arg(long)]
    origin: Option<String>,
    /// 审计方固定的策略文件：日志公钥、见证方、法定数、时限 · The auditor's pinned policy: C2SP tlog-policy with
    /// `#tongban max-checkpoint-age SECONDS`.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// 信任的时间戳机构证书（PEM），给出后核验时间锚定 · PEM file of time-stamp authorities; asks about anchoring in time.
    #[arg(long, value_name = "FILE")]
    tsa: Option<PathBuf>,
    /// 以往保存的时间锚定文件，可多次给出 · An anchor at hand; may be given several times.
    #[arg(long, value_name = "FILE", requires = "tsa")]
    anchor: Vec<PathBuf>,
    /// 以往保存的检查点，可多次给出 · An older checkpoint at hand; may be given several times.
    #[arg(long, value_name = "CHECKPOINT", num_args = 1..)]
    old: Vec<PathBuf>,
    /// 该检查点之前的条目已核验过，不再重读 · Entries below this checkpoint were verified before and are not read again.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "sample")]
    since: Option<PathBuf>,
    /// 增量核验状态文件：有则续核，核验通过后更新 · Goes on where the last verification ended, and remembers where this
    /// one does.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["since", "sample"])]
    state: Option<PathBuf>,
    /// 只抽查若干条 · Reads only so many entries, drawn at random.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    sample: Option<u64>,
    /// 抽样种子（重现抽查） · Seed of the sample, to draw the same entries again.
    #[arg(long, value_name = "HEX", requires = "sample")]
    seed: Option<crate::terms::Digest>,
    /// 归档目录（网关数据目录，或其 policies 与 decisions 的副本）：逐条复核决定 · A folder with the archived `policies` and
    /// `decisions`: every decision is made again by the rules of then.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["foreign", "sample"])]
    decisions: Option<PathBuf>,
    /// 条目不是通办格式，只核验哈希 · Entries of another system: only hashes are judged.
    #[arg(long)]
    foreign: bool,
    /// 输出 JSON 报告 · Report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Debug, Args)]
struct MirrorArgs {
    /// 日志地址，或停机网关的数据目录、归档、另一镜像 · The log's URL; also a stopped gateway's data folder, an archive, another
    /// mirror.
    #[arg(value_name = "PREFIX_OR_DIR")]
    log: String,
    /// 镜像目录 · Folder of the copy.
    dir: PathBuf,
    /// 日志公钥（策略文件只列一个日志时可省略） · The log's verifier key; may be left out when the policy names one log.
    #[arg(long, value_name = "VKEY")]
    key: Option<VerifierKey>,
    /// 策略文件 · The pinned policy.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
}

/// How to reach a log behind a URL.
#[derive(Debug, Args)]
struct ReachArgs {
    /// 信任的 TLS 证书颁发机构（默认用系统信任库） · PEM file of the authorities trusted for TLS.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// 审计方客户端证书（读取条目时需要） · PEM file of the auditor's certificate, for entry bundles.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    cert: Option<PathBuf>,
    /// 客户端证书私钥 · PEM file of that certificate's key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    client_key: Option<PathBuf>,
    /// 单个资源的等待上限（秒） · Longest wait for one resource, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// 全部核验的时间上限（秒） · Longest time for everything, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    max_time: Option<u64>,
}

impl ReachArgs {
    fn open(&self, prefix: &str) -> Result<Url, String> {
        let reach = Reach {
            anchors: self.ca.as_deref(),
            identity: self.cert.as_deref().zip(self.client_key.as_deref()),
            each: Duration::from_secs(self.timeout),
            all: self.max_time.map(Duration::from_secs),
        };
        Url::new(prefix, &reach)
    }
}

/// What the word on the command line stands for.
enum Target {
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
    fn find(word: &str) -> Result<Self, String> {
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

pub fn run(args: AuditArgs) -> ExitCode {
    let done = match args.command {
        Command::Verify(args) => verify_log(&args),
        Command::Export(args) => export::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Search(args) => search::run(&args),
        Command::Index(args) => search::index(&args),
        Command::Mirror(args) => copy(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Key { log, gm, reach } => print_key(&log, gm, &reach),
        Command::Show { dir, case } => show(&dir, case),
    };
    done.unwrap_or_else(|problem| {
        eprintln!("tongban audit: {problem}");
        ExitCode::from(UNDECIDABLE)
    })
}

/// A small file.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_upto(path, MAX_SMALL)
}

/// Reads no more than that, whatever the file says of its length: pipes and devices say nothing.
fn read_upto(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let named = |e: std::io::Error| format!("{}: {e}", path.display());
    let (mut bytes, file) = (Vec::new(), std::fs::File::open(path).map_err(named)?);
    file.take(most + 1).read_to_end(&mut bytes).map_err(named)?;
    match bytes.len() as u64 > most {
        true => Err(format!("{}: 文件过大 · too long", path.display())),
        false => Ok(bytes),
    }
}

fn pinned(path: &Path) -> Result<Pinned, String> {
    let text = String::from_utf8(read(path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    Pinned::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The keys to judge by: given, or those of the policy, where they are all of one log; never one that the policy does not
/// name.
fn judged_by(given: &[VerifierKey], policy: Option<&Pinned>) -> Result<Vec<VerifierKey>, String> {
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
fn signing_first(mut keys: Vec<VerifierKey>, log: &dyn Fetch) -> Vec<VerifierKey> {
    let note = log.get("checkpoint").ok().flatten().unwrap_or_default();
    let origin = keys[0].name().to_owned();
    let signs = |key: &VerifierKey| checkpoint::open(&note, key, Some(&origin)).is_ok();
    let first = keys.iter().position(signs).unwrap_or(0);
    keys.swap(0, first);
    keys
}

/// What `key`'s log is judged by.
fn options(args: &VerifyArgs, key: VerifierKey, policy: Option<Pinned>) -> Result<Options, String> {
    let mut options = Options::new(key);
    options.origin = args.origin.clone();
    options.entries_are_ours = !args.foreign;
    options.old = args.old.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    options.gm.clone_from(&args.gm);
    let of_policy = policy.iter().flat_map(|policy| &policy.gm).filter(|key| key.name() == options.key.name());
    options.gm.extend(of_policy.cloned());
    let keys = pinned_keys(policy.as_ref(), &args.peer_key);
    options.peers = args.peer.iter().map(|word| peer(word, &keys, &args.reach)).collect::<Result<_, _>>()?;
    options.policy = policy;
    options.anchors = args.anchor.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    if let Some(path) = &args.tsa {
        options.time_authorities = export::chain(path)?;
    }
    options.now = Some(UnixMillis::now());
    options.since = args.since.as_deref().map(read).transpose()?;
    if let Some(path) = &args.state {
        options.keep_state = true;
        if path.exists() {
            let bytes = read_upto(path, MAX_STATE)?;
            let state = State::decode(&bytes);
            let state = state.ok_or(format!("{}: 状态文件损坏 · not a state file, or damaged", path.display()))?;
            options.since = Some(state.note.clone());
            options.state = Some(state);
        }
    }
    if let Some(count) = args.sample {
        let mut seed = [0; 32];
        match args.seed {
            Some(given) => seed = given.0,
            None => SystemRandom::new().fill(&mut seed).map_err(|_| "no random bytes")?,
        }
        options.sample = Some((count, seed));
    }
    Ok(options)
}

/// The log that a word on the command line stands for, to be read by path.
fn fetch(word: &str, reach: &ReachArgs) -> Result<Rc<dyn Fetch>, String> {
    Ok(match Target::find(word)? {
        Target::Url(prefix) => Rc::new(reach.open(&prefix)?),
        Target::Archive(word) => Rc::new(Bucket::open(&word, reach.ca.as_deref())?),
        Target::Mirror(dir) => Rc::new(TileFolder(dir)),
        Target::Folder(dir) => Rc::new(SegmentFolder::new(dir)),
        Target::Bundle(_) => return Err(format!("{word}: 应为日志 · a log is wanted, not a bundle")),
    })
}

/// A peer's log, known by one of `keys`: by the origin it claims, which its signature must then bear out.
fn peer(word: &str, keys: &[VerifierKey], reach: &ReachArgs) -> Result<Peer, String> {
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

/// A bar on the terminal; nothing where standard error is none.
fn bar() -> indicatif::ProgressBar {
    let style = "{elapsed_precise} {bar:30} {pos}/{len} 条 entries  {per_sec}  {eta}";
    let style = indicatif::ProgressStyle::with_template(style);
    let bar = indicatif::ProgressBar::new(0);
    bar.with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()))
}

fn pinned_keys(policy: Option<&Pinned>, given: &[VerifierKey]) -> Vec<VerifierKey> {
    policy.iter().flat_map(|policy| policy.witnesses.logs()).chain(given).cloned().collect()
}

fn verify_log(args: &VerifyArgs) -> Result<ExitCode, String> {
    let policy = args.policy.as_deref().map(pinned).transpose()?;
    if args.logs.len() > 1 {
        return verify_set(args, policy);
    }
    let target = Target::find(&args.logs[0])?;
    if let Target::Bundle(file) = &target {
        return verify_bundle(file, args, policy.as_ref());
    }
    let keys = judged_by(&args.key, policy.as_ref())?;
    let keys = match keys.len() {
        1 => keys,
        _ => signing_first(keys, &*fetch(&args.logs[0], &args.reach)?),
    };
    let mut options = options(args, keys[0].clone(), policy)?;
    options.other_keys = keys[1..].to_vec();
    let report = verify_one(&target, args, &options)?;
    let text = if args.json { format!("{:#}\n", report.json()) } else { report.text() };
    tell(&text, report.exit_code())
}

/// Several logs: each on its own, then what they say of each other.
fn verify_set(args: &VerifyArgs, policy: Option<Pinned>) -> Result<ExitCode, String> {
    if args.state.is_some() || args.since.is_some() {
        return Err("--state、--since 只用于单个日志 · --state and --since go with one log".into());
    }
    let keys = pinned_keys(policy.as_ref(), &args.key);
    let (mut members, mut unusable) = (Vec::<(Peer, Vec<VerifierKey>, verify::Report)>::new(), Vec::new());
    for word in &args.logs {
        let member = match peer(word, &keys, &args.reach) {
            Ok(member) => member,
            // The others are judged all the same.
            Err(why) => {
                unusable.push((word.clone(), why));
                continue;
            }
        };
        if members.iter().any(|(other, ..)| other.key.name() == member.key.name()) {
            return Err(format!("{word}: 同一日志给出两次 · the log {} is given twice", member.key.name()));
        }
        let own = keys.iter().filter(|key| key.name() == member.key.name()).cloned().collect();
        let own = signing_first(own, &*member.log);
        let mut options = options(args, own[0].clone(), policy.clone())?;
        options.other_keys = own[1..].to_vec();
        // Every old checkpoint and time-stamp is of one of the logs.
        let of_it = |note: &[u8]| note.split(|b| *b == b'\n').next() == Some(member.key.name().as_bytes());
        options.old.retain(|note| of_it(note));
        options.anchors.retain(|octets| Anchor::parse(octets).map_or(true, |anchor| of_it(anchor.note.as_bytes())));
        options.gm.retain(|key| key.name() == member.key.name());
        match Target::find(word).and_then(|target| verify_one(&target, args, &options)) {
            Ok(report) => members.push((member, own, report)),
            Err(why) => unusable.push((word.clone(), why)),
        }
    }
    let members =
        members.iter().map(|(member, keys, report)| verify::Member { keys, log: &*member.log, report: report.clone() });
    let judged = verify::verify_set(members.collect(), &unusable);
    let text = if args.json { format!("{:#}\n", judged.json()) } else { judged.text() };
    tell(&text, judged.exit_code())
}

fn verify_one(target: &Target, args: &VerifyArgs, options: &Options) -> Result<verify::Report, String> {
    if args.decisions.is_some() && !matches!(target, Target::Folder(_) | Target::Mirror(_)) {
        let what =
            "--decisions 用于目录或镜像 · decisions are made again over a folder or mirror: mirror the log first";
        return Err(what.into());
    }
    let bar = bar();
    let mut progress = |entries, total| {
        bar.set_length(total);
        bar.set_position(entries);
    };
    let mut report = match &target {
        Target::Url(prefix) => verify::verify_tree(&args.reach.open(prefix)?, options, &mut progress),
        Target::Archive(word) => {
            verify::verify_tree(&Bucket::open(word, args.reach.ca.as_deref())?, options, &mut progress)
        }
        Target::Folder(dir) | Target::Mirror(dir) | Target::Bundle(dir) => verify::verify(dir, options, &mut progress),
    };
    bar.finish_and_clear();
    if let Some((_, seed)) = options.sample {
        report.notes.push(format!("抽样种子 seed of the sample: {}", crate::terms::Digest(seed)));
    }
    if let Some(folder) = &args.decisions {
        decide_again(&mut report, target, folder);
    }
    if let (Some(path), Some(state)) = (&args.state, &report.state) {
        keep(path, &state.encode())?;
    }
    if args.logs.len() == 1 && report.others().next().is_some() {
        let others = report.others().collect::<Vec<_>>().join("、");
        report.notes.push(format!("同一网关的其他日志（一并核验可判定集合） other logs of this gateway: {others}"));
    }
    match target {
        // Read while it grows, a good log may look damaged: nothing is disproven by that.
        Target::Folder(dir) if report.exit_code() != 0 && is_running(dir) => Err(format!(
            "{}: 网关正在运行，请停机后核验，或用日志地址核验 · a gateway is running here: stop it, or verify its URL",
            dir.display()
        )),
        _ => Ok(report),
    }
}

/// Check 11 of the design: policy digests resolve, and decisions are what the rules of then say.
/// What was found before stays found, whatever becomes of this.
fn decide_again(report: &mut verify::Report, target: &Target, folder: &Path) {
    let (Target::Folder(dir) | Target::Mirror(dir)) = target else { return };
    // Entries that were pruned are not walked.
    let (archive, mut index) = (Archive::new(folder), report.pruned.as_ref().map_or(0, |pruned| pruned.minimum));
    let walked = each_entry(dir, &mut |entry| {
        match archive.again(entry) {
            None => {}
            Some(Ok(())) => report.answer(verify::Question::Decisions, verify::Verdict::Proven),
            Some(Err((verdict, what))) => report.fault(verify::Fault {
                question: verify::Question::Decisions,
                verdict,
                file: "entries".into(),
                offset: None,
                index: Some(index),
                what,
            }),
        }
        index += 1;
        Ok(())
    });
    let walked = walked.and_then(|walked| walked.map_err(|e| e.to_string()));
    if let Err(why) = walked {
        report.fault(verify::Fault {
            question: verify::Question::Decisions,
            verdict: verify::Verdict::Undecided,
            file: "entries".into(),
            offset: None,
            index: Some(index),
            what: format!("not all decisions could be made again: {why}"),
        });
    }
}

fn tell(text: &str, exit_code: u8) -> Result<ExitCode, String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(ExitCode::from(exit_code))
}

fn verify_bundle(file: &Path, args: &VerifyArgs, policy: Option<&Pinned>) -> Result<ExitCode, String> {
    let mut keys = pinned_keys(policy, &args.key);
    keys.dedup();
    if keys.is_empty() {
        return Err("请给出 --key，或列有日志公钥的 --policy · give --key, or a policy that names the logs".into());
    }
    let source = std::fs::File::open(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let time_authorities = args.tsa.as_deref().map(export::chain).transpose()?.unwrap_or_default();
    let again = InBundle::default();
    let judged = evidence::verify(
        source,
        &evidence::Auditor {
            keys: &keys,
            policy,
            now: Some(UnixMillis::now()),
            time_authorities: &time_authorities,
            again: Some(&again),
        },
    );
    let mut report = judged.report;
    if let Some(certificate) = judged.sealed_by {
        let print = certificate.fingerprint();
        report.notes.push(format!("封装证书（是否可信由核验者判断） sealed by certificate {print}, not judged here"));
    }
    let text = if args.json { format!("{:#}\n", report.json()) } else { report.text() };
    tell(&text, report.exit_code())
}

/// Replaces a file so that after a crash either the old or the new one is there, whole.
fn keep(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let new = path.with_extension("new");
    let written = std::fs::File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&new, path)).map_err(|e| format!("{}: {e}", path.display()))
}

/// Whether a gateway has the folder open: it changes while it is read, and may look damaged where it is not.
fn is_running(dir: &Path) -> bool {
    let Ok(lock) = std::fs::File::open(dir.join("lock")) else { return false };
    let free = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared);
    free == Err(rustix::io::Errno::WOULDBLOCK) // unlocked again when the file is dropped
}

fn copy(args: &MirrorArgs) -> Result<ExitCode, String> {
    let policy = args.policy.as_deref().map(pinned).transpose()?;
    let keys = judged_by(args.key.as_slice(), policy.as_ref())?;
    let (log, bar) = (fetch(&args.log, &args.reach)?, bar());
    let keys = signing_first(keys, &*log);
    let done = mirror::run(&*log, &args.dir, &keys, &mut |entries, total| {
        bar.set_length(total);
        bar.set_position(entries);
    });
    bar.finish_and_clear();
    match done {
        Ok(copied) => {
            println!(
                "{}: {} 条（原有 {}），新写 {} 个文件 · {} entries ({} before), {} files written, {} held",
                args.dir.display(),
                copied.size,
                copied.before,
                copied.written,
                copied.size,
                copied.before,
                copied.written,
                copied.kept
            );
            if copied.pruned > 0 {
                println!("已清除 pruned: {} 条未复制 entries were not copied, their hashes were", copied.pruned);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.is_proof() => {
            eprintln!("tongban audit: 日志已证伪 · the log is disproven: {error}");
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn print_key(log: &str, gm: bool, reach: &ReachArgs) -> Result<ExitCode, String> {
    let name = if gm { GM_KEY } else { "key" };
    let bytes = match Target::find(log)? {
        Target::Url(prefix) => {
            let found = reach.open(&prefix)?.get(name).map_err(|e| format!("{prefix}/{name}: {e}"))?;
            eprintln!("公钥由日志自身提供，请经其他渠道核对 · the log itself says so: compare it by another way");
            found.ok_or(format!("{prefix}/{name}: 没有 · is not there"))?
        }
        Target::Folder(dir) | Target::Mirror(dir) => read(&dir.join(name))?,
        Target::Archive(_) => return Err(format!("{log}: 归档中没有公钥 · an archive holds no key")),
        Target::Bundle(file) => read(&file)?,
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let wrong = |e| format!("{log}: {e}");
    match gm {
        true => println!("{}", text.trim_end().parse::<GmKey>().map_err(wrong)?),
        // Two of them while the log changes its key, the one in use first.
        false => {
            let keys = text.lines().map(str::parse::<VerifierKey>).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
            if keys.is_empty() {
                return Err(format!("{log}: 没有公钥 · no key in it"));
            }
            keys.iter().for_each(|key| println!("{key}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(dir: &Path, case: Option<Pseudonym>) -> Result<ExitCode, String> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut print = |entry: &[u8]| {
        let wanted = case
            .is_none_or(|case| EntryHead::parse(entry).is_ok_and(|head| head.case.is_some_and(|link| link.id == case)));
        if wanted { out.write_all(entry).and_then(|()| out.write_all(b"\n")) } else { Ok(()) }
    };
    match each_entry(dir, &mut print)?.and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS), // `| head`
        Err(e) => Err(format!("{}: {e}", dir.display())),
    }
}

/// Every entry of a log's folder or mirror, in order; nothing is verified.
pub(super) fn each_entry(dir: &Path, print: Print<'_>) -> Result<std::io::Result<()>, String> {
    Ok(match Target::find(&dir.to_string_lossy())? {
        Target::Folder(folder) => show_segments(&folder, print),
        _ => show_tiles(&TileFolder(dir.to_owned()), print),
    })
}

pub(super) type Print<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

fn show_segments(dir: &Path, print: Print<'_>) -> std::io::Result<()> {
    let first = Base::read(dir)?.map_or(0, |base| base.segment());
    for number in first.. {
        let path = dir.join("segments").join(segment::name(number));
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && number > first => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut cursor = Cursor::new(&file, segment::HEADER_LEN as u64);
        loop {
            let (unit, len) = segment::unit(&mut cursor)?;
            match unit {
                Unit::Entry(bytes) => print(bytes)?,
                Unit::Footer(..) => {}
                Unit::Blank => break,
                Unit::Bad(what) => {
                    return Err(std::io::Error::other(format!(
                        "{} byte {}: {what}",
                        segment::name(number),
                        cursor.offset()
                    )));
                }
            }
            cursor.skip(len);
        }
    }
    Ok(())
}

fn show_tiles(fetch: &dyn Fetch, print: Print<'_>) -> std::io::Result<()> {
    let missing = |what: String| std::io::Error::new(std::io::ErrorKind::NotFound, what);
    let note = fetch.get("checkpoint")?.ok_or_else(|| missing("checkpoint".into()))?;
    let text = Note::parse(&note).map_err(std::io::Error::other)?.text().to_owned();
    let size = Checkpoint::parse(&text).map_err(std::io::Error::other)?.size;
    let origin = text.lines().next().unwrap_or_default();
    let minimum = verify::claimed_minimum(fetch, origin, size);
    for tile in tile::tiles_at(tile::Level::Entries, size) {
        let bytes = match fetch.get(&tile.to_string())? {
            None if tile.end().is_some_and(|end| end <= minimum) => continue,
            found => found.ok_or_else(|| missing(tile.to_string()))?,
        };
        let entries = bundle::parse(&bytes, tile.width).ok_or_else(|| std::io::Error::other(tile.to_string()))?;
        entries.into_iter().try_for_each(&mut *print)?;
    }
    Ok(())
}
