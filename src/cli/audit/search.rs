//! `tongban audit search LOG…`: entries of one log or of several, by case, person, actor, outlet, item, time, decision.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{ReachArgs, UNDECIDABLE, pinned};
use crate::audit::Pseudonym;
use crate::audit::note::VerifierKey;
use crate::audit::search::{Filter, Found, SearchError, prove, search};
use crate::audit::verify::Peer;
use crate::terms::UnixMillis;

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// 日志（地址、镜像或数据目录），可多个 · Logs: URLs, mirrors or data folders, running or not.
    #[arg(value_name = "PREFIX_OR_DIR", required = true)]
    logs: Vec<String>,
    /// 日志公钥，可多次给出 · A log's verifier key; may be given several times.
    #[arg(long, value_name = "VKEY")]
    key: Vec<VerifierKey>,
    /// 列有日志公钥的策略文件 · A policy that names the logs' keys.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// 办件假名；对数据目录亦可用办件编号 · The case, by its pseudonym; on data folders also by its number.
    #[arg(long)]
    case: Option<String>,
    /// 当事人假名（办理人、被代理人或对象），须说明依据 · A person, by pseudonym; needs a ground.
    #[arg(long, value_name = "PSEUDONYM", requires = "ground")]
    person: Option<Pseudonym>,
    /// 查询依据，写入结果 · Why a person is looked for; stands in the result.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ground: Option<String>,
    /// 办理人：工号或假名 · Staff number or pseudonym of who acted.
    #[arg(long)]
    actor: Option<String>,
    /// 窗口、终端或机构代码 · Window, terminal, or credit code of the organisation.
    #[arg(long)]
    outlet: Option<String>,
    /// 事项基本编码 · Basic code of the item.
    #[arg(long)]
    item: Option<String>,
    /// 条目类型，如 case.intent · Kind of entry.
    #[arg(long)]
    kind: Option<String>,
    /// 决定：结论、理由或规则 · Verdict, reason or rule of the decision.
    #[arg(long)]
    decision: Option<String>,
    /// 起始时间（含），如 2026-02-13T00:00:00+08:00 · From this moment on.
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    since: Option<UnixMillis>,
    /// 截止时间（不含） · Before this moment.
    #[arg(long, value_name = "RFC3339", value_parser = moment)]
    until: Option<UnixMillis>,
    /// 跳过前若干条（翻页） · Passes over so many, for the next page.
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u64,
    /// 最多列出若干条 · Lists at most so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// 附存在性证明（需 --json） · With a tlog-proof for each.
    #[arg(long, requires = "json")]
    proof: bool,
    /// 输出 JSON · As JSON, with the entries whole.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

fn moment(text: &str) -> Result<UnixMillis, String> {
    UnixMillis::parse_rfc3339(text).ok_or_else(|| "应为 RFC 3339 时间 · not a time as RFC 3339 writes it".to_owned())
}

/// What is shown of all logs together, and how the worst of them ended.
#[derive(Default)]
struct Shown {
    logs: Vec<Value>,
    hits: Vec<Value>,
    rows: String,
    matched: u64,
    worst: u8,
}

pub(super) fn run(args: &SearchArgs) -> Result<ExitCode, String> {
    let policy = args.policy.as_deref().map(pinned).transpose()?;
    let named = policy.iter().flat_map(|policy| policy.witnesses.logs()).chain(&args.key);
    let keys: Vec<VerifierKey> = named.cloned().collect();
    let mut shown = Shown::default();
    for word in &args.logs {
        let filter = filter(args, word)?;
        let peer = super::peer(word, &keys, &args.reach)?;
        let skip = args.skip.saturating_sub(shown.matched);
        let left = args.limit as usize - shown.hits.len();
        let found = search(&*peer.log, &peer.key, &filter, skip, left);
        match found.and_then(|found| shown.take(args, &peer, &found)) {
            Ok(()) => {}
            Err(error) => shown.fail(word, &peer, &error),
        }
    }
    let text = if args.json { format!("{:#}\n", shown.json(args)) } else { shown.table(args) };
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(ExitCode::from(shown.worst))
}

/// Each gateway has pseudonyms of its own: a number is looked up with the key that lies beside the log.
fn filter(args: &SearchArgs, log: &str) -> Result<Filter, String> {
    let case = args.case.as_deref().map(|case| super::export::case(case, Path::new(log))).transpose()?;
    Ok(Filter {
        case: case.map(|(pseudonym, _)| pseudonym),
        person: args.person,
        actor: args.actor.clone(),
        outlet: args.outlet.clone(),
        item: args.item.clone(),
        kind: args.kind.clone(),
        decision: args.decision.clone(),
        since: args.since,
        until: args.until,
    })
}

impl Shown {
    fn take(&mut self, args: &SearchArgs, peer: &Peer, found: &Found) -> Result<(), SearchError> {
        let origin = peer.key.name();
        let proofs = if args.proof { prove(&*peer.log, &peer.key, found)? } else { Vec::new() };
        for (n, hit) in found.hits.iter().enumerate() {
            let mut shown = json!({
                "origin": origin, "index": hit.index, "leaf": hit.leaf.to_string(), "entry": hit.entry,
            });
            if let Some(proof) = proofs.get(n) {
                shown["proof"] = proof.to_string().into();
                // As hashed: JSON printed again is another text.
                shown["bytes"] = String::from_utf8_lossy(&hit.bytes).into();
            }
            self.hits.push(shown);
            let at = |path: &str| {
                let found = hit.entry.pointer(path).and_then(Value::as_str);
                found.map_or_else(|| "-".to_owned(), |text| text.escape_debug().to_string())
            };
            let columns = [
                origin.to_owned(),
                hit.index.to_string(),
                UnixMillis(hit.ts).on_paper(),
                at("/kind"),
                at("/case/id"),
                at("/item/code"),
                at("/dec/verdict"),
                hit.leaf.to_string(),
            ];
            self.rows.push_str(&format!("{}\n", columns.join("\t")));
        }
        self.matched += found.matched;
        self.logs.push(json!({
            "origin": origin, "size": found.size, "matched": found.matched, "unread": found.unread,
            "pruned": found.pruned, "verdict": if found.unread + found.pruned == 0 { "proven" } else { "undecided" }, "checkpoint": found.checkpoint,
        }));
        if found.unread > 0 {
            eprintln!("{origin}: {} 条无法辨读 · entries that cannot be read as ours", found.unread);
            self.worsen(UNDECIDABLE);
        }
        if found.pruned > 0 {
            eprintln!(
                "{origin}: {} 条已清除，请查归档或镜像 · entries were pruned: search an archive or a mirror",
                found.pruned
            );
            self.worsen(UNDECIDABLE);
        }
        Ok(())
    }

    fn fail(&mut self, word: &str, peer: &Peer, error: &SearchError) {
        let (verdict, code) = if error.is_proof() { ("disproven", 1) } else { ("undecided", UNDECIDABLE) };
        eprintln!("tongban audit: {word}: {error}");
        self.logs.push(json!({ "origin": peer.key.name(), "verdict": verdict, "what": error.to_string() }));
        self.worsen(code);
    }

    /// Disproven outweighs undecided.
    fn worsen(&mut self, code: u8) {
        self.worst = if self.worst == 1 { 1 } else { code };
    }

    fn json(&self, args: &SearchArgs) -> Value {
        let mut all = json!({ "logs": self.logs, "matched": self.matched, "skip": args.skip, "results": self.hits });
        if let Some(ground) = &args.ground {
            all["ground"] = ground.as_str().into();
        }
        all
    }

    fn table(&self, args: &SearchArgs) -> String {
        let mut text = String::from(
            "日志 log\t序号 index\t时间 time\t类型 kind\t办件 case\t事项 item\t决定 decision\t叶哈希 leaf\n",
        );
        text.push_str(&self.rows);
        if let Some(ground) = &args.ground {
            text.push_str(&format!("查询依据 ground: {}\n", ground.escape_debug()));
        }
        let (first, last) = (args.skip, args.skip + self.hits.len() as u64);
        text.push_str(&format!(
            "共 {} 条，列出 {first}–{last} · {} found, {first} to {last} shown\n",
            self.matched, self.matched
        ));
        text
    }
}
