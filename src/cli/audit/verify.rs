//! `tongban audit verify`: one log, several logs as a set, or the evidence of a case.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ring::rand::{SecureRandom, SystemRandom};

use super::export;
use super::objects::Bucket;
use super::show::each_entry;
use super::target::{
    ReachArgs, Target, bar, case_keys, fetch, judged_by, log_key, peer, pinned, pinned_keys, read, read_upto,
    signing_first,
};
use crate::audit::anchor::Anchor;
use crate::audit::evidence;
use crate::audit::gm::GmKey;
use crate::audit::log::is_open;
use crate::audit::note::VerifierKey;
use crate::audit::verify::{self, Options, Peer, Pinned, State};
use crate::cli::again::{Archive, InBundle};
use crate::terms::UnixMillis;

/// Largest state of an incremental verification: all cases and open intents that are followed.
const MAX_STATE: u64 = 1 << 30;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// 日志地址、归档（s3://桶/前缀）、镜像目录、停机网关的数据目录，或证据包 · The log's URL, its archive
    /// (s3://BUCKET/PREFIX, AWS_ENDPOINT_URL and credentials from the environment), a mirrored folder, a stopped gateway's data
    /// folder, or an evidence bundle. Several logs (多个副本的日志) are judged one by one and then as a set.
    #[arg(value_name = "PREFIX_OR_DIR_OR_BUNDLE", required = true)]
    logs: Vec<String>,
    /// 日志公钥（由审计方自行保管；策略文件只列一个日志时可省略），多个日志时各给一个 · The log's verifier key, kept by the
    /// auditor; may be left out when the policy names one log. One for each of several logs.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
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
    #[arg(long, value_name = "VKEY", value_parser = log_key, requires = "peer")]
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
    /// 办件日志密钥（证据包 keys/ 中的文件），可多次给出：核验加密内容可解 · The log key of a case, as bundles carry it
    /// under keys/; may be given several times: its sealed parts must open.
    #[arg(long, value_name = "FILE", conflicts_with = "foreign")]
    case_key: Vec<PathBuf>,
    /// 重算全部每日办件索引（大日志可能耗时） · Computes the daily maps of all cases again, however long that takes.
    #[arg(long)]
    all_maps: bool,
    /// 条目不是通办格式，只核验哈希 · Entries of another system: only hashes are judged.
    #[arg(long)]
    foreign: bool,
    /// 输出 JSON 报告 · Report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode, String> {
    let policy = args.policy.as_deref().map(pinned).transpose()?;
    if args.logs.len() > 1 {
        return set(args, policy);
    }
    let target = Target::find(&args.logs[0])?;
    if let Target::Bundle(file) = &target {
        return bundle(file, args, policy.as_ref());
    }
    let keys = judged_by(&args.key, policy.as_ref())?;
    let keys = match keys.len() {
        1 => keys,
        _ => signing_first(keys, &*fetch(&args.logs[0], &args.reach)?),
    };
    let mut options = options(args, keys[0].clone(), policy)?;
    options.other_keys = keys[1..].to_vec();
    let report = one(&target, args, &options)?;
    let text = if args.json { format!("{:#}\n", report.json()) } else { report.text() };
    tell(&text, report.exit_code())
}

/// Where there can be no report, a script reads on its line of output why.
pub(super) fn told(args: &VerifyArgs, problem: &str, exit_code: u8) {
    if args.json {
        let report = serde_json::json!({ "exit_code": exit_code, "error": problem });
        let _ = writeln!(std::io::stdout(), "{report:#}");
    }
}

/// Several logs: each on its own, then what they say of each other.
fn set(args: &VerifyArgs, policy: Option<Pinned>) -> Result<ExitCode, String> {
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
            unusable.push((word.clone(), format!("同一日志给出两次 · {} is given twice", member.key.name())));
            continue;
        }
        let own = keys.iter().filter(|key| key.name() == member.key.name()).cloned().collect();
        let own = signing_first(own, &*member.log);
        let mut options = options(args, own[0].clone(), policy.clone())?;
        options.other_keys = own[1..].to_vec();
        // Every old checkpoint and time-stamp is of one of the logs.
        let name = member.key.name();
        options.old.retain(|note| is_of(note, name));
        options
            .anchors
            .retain(|octets| Anchor::parse(octets).map_or(true, |anchor| is_of(anchor.note.as_bytes(), name)));
        options.gm.retain(|key| key.name() == name);
        match Target::find(word).and_then(|target| one(&target, args, &options)) {
            Ok(report) => members.push((member, own, report)),
            Err(why) => unusable.push((word.clone(), why)),
        }
    }
    // What is of none of them was not judged, and somebody wanted it to be.
    let is_of_one = |note: &[u8]| members.iter().any(|(member, ..)| is_of(note, member.key.name()));
    let strange = "不属于所给任何日志 · of none of the logs that are given";
    for path in &args.old {
        if !is_of_one(&read(path)?) {
            unusable.push((path.display().to_string(), strange.into()));
        }
    }
    for path in &args.anchor {
        if Anchor::parse(&read(path)?).is_ok_and(|anchor| !is_of_one(anchor.note.as_bytes())) {
            unusable.push((path.display().to_string(), strange.into()));
        }
    }
    let members =
        members.iter().map(|(member, keys, report)| verify::Member { keys, log: &*member.log, report: report.clone() });
    let judged = verify::verify_set(members.collect(), &unusable);
    let text = if args.json { format!("{:#}\n", judged.json()) } else { judged.text() };
    tell(&text, judged.exit_code())
}

/// Whether a checkpoint says that it is of the log of that name.
fn is_of(note: &[u8], name: &str) -> bool {
    note.split(|b| *b == b'\n').next() == Some(name.as_bytes())
}

fn one(target: &Target, args: &VerifyArgs, options: &Options) -> Result<verify::Report, String> {
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
        Target::Folder(dir) if report.exit_code() != 0 && is_open(dir) => Err(format!(
            "{}: 网关正在运行，请停机后核验，或用日志地址核验 · a gateway is running here: stop it, or verify its URL",
            dir.display()
        )),
        _ => Ok(report),
    }
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
    if args.all_maps {
        options.max_map_work = u64::MAX;
    }
    options.case_keys = case_keys(&args.case_key)?;
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

/// Options that ask about a whole log: a bundle has not what answers them, and passing over one would look like a yes.
fn of_a_log(args: &VerifyArgs) -> Option<&'static str> {
    let given = [
        (!args.old.is_empty(), "--old"),
        (args.since.is_some(), "--since"),
        (args.state.is_some(), "--state"),
        (args.sample.is_some(), "--sample"),
        (args.decisions.is_some(), "--decisions"),
        (!args.peer.is_empty(), "--peer"),
        (!args.gm.is_empty(), "--gm"),
        (!args.anchor.is_empty(), "--anchor"),
        (args.origin.is_some(), "--origin"),
        (args.all_maps, "--all-maps"),
        (args.foreign, "--foreign"),
    ];
    given.iter().find(|(given, _)| *given).map(|(_, name)| *name)
}

fn bundle(file: &Path, args: &VerifyArgs, policy: Option<&Pinned>) -> Result<ExitCode, String> {
    if let Some(name) = of_a_log(args) {
        return Err(format!("{name} 用于日志，不用于证据包 · {name} asks about a log, not about a bundle of evidence"));
    }
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
            case_keys: case_keys(&args.case_key)?,
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

/// What is disproven stays disproven, though nobody could be told more of it.
fn tell(text: &str, exit_code: u8) -> Result<ExitCode, String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if exit_code == 1 => {
            eprintln!("tongban audit: 已证伪 · disproven, and the report was not written: {error}")
        }
        told => told.map_err(|e| e.to_string())?,
    }
    Ok(ExitCode::from(exit_code))
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
