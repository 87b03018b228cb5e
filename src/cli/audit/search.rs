//! `tongban audit search LOG…`: entries of one log or of several, by case, person, actor, outlet, item, time, decision.
//!
//! What is found is read again as it is shown: ten thousand entries take no more memory than one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::UNDECIDABLE;
use super::index::{folder, runtime};
use super::target::{PinArgs, ReachArgs, case_keys, peer};
use crate::audit::entry::{CaseKeys, Opened};
use crate::audit::note::VerifierKey;
use crate::audit::search::index::{Index, beside};
use crate::audit::search::{Entries, Filter, Found, Hit, Page, Place, Prover, SearchError, search, search_rows};
use crate::audit::verify::{self, Peer};
use crate::audit::{Kind, Pseudonym, checkpoint};
use crate::terms::{ItemCode, UnixMillis};

/// The rest after an index is read entry by entry: a longer one means that all is better read at once.
const MAX_REST: u64 = 65_536;

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// 日志（地址、镜像或数据目录），可多个 · Logs: URLs, mirrors or data folders, running or not.
    #[arg(value_name = "PREFIX_OR_DIR", required = true)]
    logs: Vec<String>,
    #[command(flatten)]
    pins: PinArgs,
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
    #[arg(long, value_parser = item)]
    item: Option<String>,
    /// 条目类型，如 case.intent · Kind of entry.
    #[arg(long, value_parser = kind)]
    kind: Option<String>,
    /// 决定：结论、理由或规则 · Verdict, reason or rule of the decision.
    #[arg(long)]
    decision: Option<String>,
    /// 起始时间（含），如 2026-02-13T08:00:00+08:00；不写时区即北京时间，可只写日期 · From this moment on; Beijing time
    /// where no zone is given, its beginning for a day.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<UnixMillis>,
    /// 截止时间（不含） · Before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<UnixMillis>,
    /// 跳过前若干条（翻页） · Passes over so many, for the next page.
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u64,
    /// 最多列出若干条 · Lists at most so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// 不用索引，通读全部条目（索引可能遗漏） · Uses no index, which can hide entries: reads all of them.
    #[arg(long)]
    full: bool,
    /// 附存在性证明（需 --json） · With a tlog-proof for each.
    #[arg(long, requires = "json")]
    proof: bool,
    /// 办件日志密钥文件，可多次给出：一并显示加密内容（需 --json） · The log key of a case; shows what its sealed parts say.
    #[arg(long, value_name = "FILE", requires = "json")]
    case_key: Vec<PathBuf>,
    /// 每行输出一个 JSON 对象 · JSON, one object a line, with the entries whole.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

/// With a zone as RFC 3339 writes it; without one, Beijing time; a day is its beginning.
fn moment(text: &str) -> Result<UnixMillis, String> {
    let wrong = "应为时间，如 2026-02-13、2026-02-13T08:00:00 或 2026-02-13T08:00:00+08:00 · not a time like these";
    let mut text = text.trim().replacen(' ', "T", 1);
    if text.len() == "2026-02-13".len() {
        text.push_str("T00:00:00");
    }
    if text.len() == "2026-02-13T08:00".len() {
        text.push_str(":00");
    }
    let zoned = UnixMillis::parse_rfc3339(&text);
    zoned.or_else(|| UnixMillis::parse_rfc3339(&format!("{text}+08:00"))).ok_or_else(|| wrong.to_owned())
}

fn item(text: &str) -> Result<String, String> {
    let code = text.parse::<ItemCode>();
    code.map(|code| code.to_string()).map_err(|e| format!("应为事项基本编码 · not the basic code of an item: {e}"))
}

fn kind(text: &str) -> Result<String, String> {
    match Kind::ALL.iter().find(|kind| kind.word() == text) {
        Some(kind) => Ok(kind.word().to_owned()),
        None => {
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            Err(format!("没有这种条目 · there is no such kind; kinds are {}", all.join(" ")))
        }
    }
}

/// What is shown of all logs together, and how the worst of them ended.
struct Shown<'a> {
    args: &'a SearchArgs,
    case_keys: CaseKeys,
    /// The logs that were searched, and what they say of each other.
    searched: Vec<(Peer, verify::Report)>,
    out: io::BufWriter<io::StdoutLock<'a>>,
    listed: u64,
    matched: u64,
    worst: u8,
}

/// Why a log's entries are not all shown.
enum Broken {
    Log(SearchError),
    /// Nobody reads on; or the disk behind standard output is full.
    Out(io::Error),
}

impl From<SearchError> for Broken {
    fn from(error: SearchError) -> Self {
        Self::Log(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Out(error)
    }
}

pub(super) fn run(args: &SearchArgs) -> Result<ExitCode, String> {
    let keys = args.pins.keys()?;
    let (runtime, out) = (runtime()?, io::BufWriter::new(io::stdout().lock()));
    let case_keys = case_keys(&args.case_key)?;
    let mut shown = Shown { args, case_keys, searched: Vec::new(), out, listed: 0, matched: 0, worst: 0 };
    let done = shown.all(&keys, &runtime);
    match done.and_then(|()| shown.out.flush()) {
        Ok(()) => Ok(ExitCode::from(shown.worst)),
        // `… | head`: who reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::from(shown.worst)),
        Err(error) => Err(error.to_string()),
    }
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

/// By the index that lies beside the folder, where there is one that can be used.
fn by_index(
    word: &str,
    peer: &Peer,
    filter: &Filter,
    page: Page,
    runtime: &Runtime,
) -> Result<Option<Found>, SearchError> {
    let Some(dir) = folder(word).and_then(|dir| std::path::absolute(dir).ok()) else { return Ok(None) };
    let file = beside(&dir);
    if !file.is_file() {
        return Ok(None);
    }
    let note = peer.log.get("checkpoint").unwrap_or_default().unwrap_or_default();
    let size = checkpoint::open(&note, &peer.key, None)?.size();
    let rows = runtime.block_on(async {
        let index = Index::open_to_read(&file, &peer.key).await?;
        let rows = index.find(filter, page, size).await;
        index.close().await;
        rows
    });
    let unusable = match rows {
        Ok(rows) if rows.indexed + MAX_REST < size => format!("it ends at entry {} of {size}", rows.indexed),
        Ok(rows) => match search_rows(&*peer.log, &peer.key, filter, page, &rows) {
            Err(SearchError::Index(why)) => why,
            other => return other.map(Some),
        },
        Err(error) => error.to_string(),
    };
    eprintln!(
        "{}: 索引不可用，通读全部条目 · the index is not used, all entries are read: {unusable}",
        peer.key.name()
    );
    Ok(None)
}

impl Shown<'_> {
    fn all(&mut self, keys: &[VerifierKey], runtime: &Runtime) -> io::Result<()> {
        if !self.args.json {
            let columns =
                "日志 log\t序号 index\t时间 time\t类型 kind\t办件 case\t事项 item\t决定 decision\t叶哈希 leaf";
            writeln!(self.out, "{columns}")?;
        }
        for word in &self.args.logs {
            let asked = peer(word, keys, &self.args.reach).and_then(|peer| Ok((filter(self.args, word)?, peer)));
            match asked {
                Ok((_, peer)) if self.searched.iter().any(|(other, _)| other.key.name() == peer.key.name()) => {
                    // Its entries would be counted twice.
                    let what = format!("同一日志给出两次 · {} is given twice", peer.key.name());
                    self.fail(word, peer.key.name(), "undecided", UNDECIDABLE, &what)?;
                }
                Ok((filter, peer)) => match self.one(word, &peer, &filter, runtime) {
                    Ok(report) => self.searched.push((peer, report)),
                    Err(Broken::Log(error)) => {
                        let (verdict, code) =
                            if error.is_proof() { ("disproven", 1) } else { ("undecided", UNDECIDABLE) };
                        self.fail(word, peer.key.name(), verdict, code, &error.to_string())?;
                    }
                    Err(Broken::Out(error)) => return Err(error),
                },
                Err(why) => self.fail(word, word, "undecided", UNDECIDABLE, &why)?,
            }
        }
        self.agree()?;
        self.end()
    }

    /// Logs of one set convict each other: what was cut out of one of them is missing here, too.
    fn agree(&mut self) -> io::Result<()> {
        let member = |(peer, report): &(Peer, verify::Report)| {
            (std::slice::from_ref(&peer.key).to_vec(), peer.log.clone(), report.clone())
        };
        let all: Vec<_> = self.searched.iter().map(member).collect();
        let members: Vec<_> = all
            .iter()
            .map(|(keys, log, report)| verify::Member { keys, log: &**log, report: report.clone() })
            .collect();
        for fault in verify::disagreements(&members) {
            let (verdict, code) = match fault.verdict {
                verify::Verdict::Disproven => ("disproven", 1),
                _ => ("undecided", UNDECIDABLE),
            };
            self.fail("set", &fault.file, verdict, code, &format!("{}: {}", fault.file, fault.what))?;
        }
        Ok(())
    }

    /// The sets that a log names: from the entries that were read, or by its index.
    fn sets(&self, word: &str, peer: &Peer, found: &Found, runtime: &Runtime) -> Result<verify::Report, Broken> {
        let signed = checkpoint::open(found.checkpoint.as_bytes(), &peer.key, None).map_err(SearchError::from)?;
        let mut places = found.sets.clone();
        if found.indexed > 0 {
            places = self.named(word, peer, runtime)?;
        }
        let entries = Entries::new(&*peer.log, found.size);
        let hits = places.into_iter().map(|place| entries.hit(place)).collect::<Result<Vec<_>, _>>()?;
        let sets = verify::Sets::of(hits.iter().map(|hit| (hit.place.index, hit.ts, &hit.bytes[..])));
        let (origin, root) = (peer.key.name().to_owned(), Some(signed.root()));
        Ok(verify::Report { origin, size: signed.size(), root, sets, ..verify::Report::default() })
    }

    /// The entries of a log that say which logs belong together, by its index where that can be used.
    fn named(&self, word: &str, peer: &Peer, runtime: &Runtime) -> Result<Vec<Place>, Broken> {
        let mut places = Vec::new();
        for kind in [Kind::LogSet, Kind::Index] {
            let all = Page { from: 0, skip: 0, limit: usize::MAX };
            let of_kind = Filter { kind: Some(kind.word().into()), ..Filter::default() };
            match by_index(word, peer, &of_kind, all, runtime)? {
                Some(found) => places.extend(found.places),
                None => {
                    let none = Page { limit: 0, ..all };
                    return Ok(search(&*peer.log, &peer.key, &Filter::default(), none)?.sets);
                }
            }
        }
        places.sort_unstable_by_key(|place| place.index);
        Ok(places)
    }

    fn one(&mut self, word: &str, peer: &Peer, filter: &Filter, runtime: &Runtime) -> Result<verify::Report, Broken> {
        let skip = self.args.skip.saturating_sub(self.matched);
        let page = Page { from: 0, skip, limit: (self.args.limit - self.listed) as usize };
        let indexed = if self.args.full { None } else { by_index(word, peer, filter, page, runtime)? };
        let found = match indexed {
            Some(found) => found,
            None => search(&*peer.log, &peer.key, filter, page)?,
        };
        let prover = if self.args.proof { Some(Prover::new(&*peer.log, &peer.key, &found)?) } else { None };
        let entries = Entries::new(&*peer.log, found.size);
        for place in &found.places {
            let hit = entries.hit(*place)?;
            match self.args.json {
                true => {
                    let mut line = json!({
                        "origin": peer.key.name(), "index": place.index, "leaf": place.leaf.to_string(), "entry": hit.entry,
                    });
                    match self.case_keys.open(&hit.bytes) {
                        None => {}
                        Some(Opened::Plain(said)) => line["sealed"] = said,
                        Some(Opened::OtherKey | Opened::Broken) => line["sealed"] = "does not open".into(),
                    }
                    if let Some(prover) = &prover {
                        line["proof"] = prover.prove(&hit)?.to_string().into();
                        // As hashed: JSON printed again is another text.
                        line["bytes"] = String::from_utf8_lossy(&hit.bytes).into();
                    }
                    writeln!(self.out, "{line}")?;
                }
                false => writeln!(self.out, "{}", row(peer.key.name(), &hit))?,
            }
            self.listed += 1;
        }
        self.matched += found.matched;
        self.tell(peer.key.name(), &found)?;
        match self.args.logs.len() {
            1 => Ok(verify::Report::default()),
            _ => self.sets(word, peer, &found, runtime),
        }
    }

    /// How sure the answer of one log is.
    fn tell(&mut self, origin: &str, found: &Found) -> io::Result<()> {
        let is_sure = found.unread + found.pruned == 0;
        // What an index left out nobody has looked for: only what was found is proven.
        let verdict = match is_sure {
            false => "undecided",
            true if found.indexed > 0 => "hits_proven",
            true => "proven",
        };
        if self.args.json {
            let log = json!({
                "origin": origin, "size": found.size, "matched": found.matched, "unread": found.unread,
                "pruned": found.pruned, "indexed": found.indexed,
                "verdict": verdict, "checkpoint": found.checkpoint,
            });
            writeln!(self.out, "{}", json!({ "log": log }))?;
        }
        if found.indexed > 0 {
            eprintln!(
                "{origin}: 前 {} 条经索引检索：结果已逐条核对，但索引可能遗漏，--full 通读 · the first entries were looked up \
                 in an index: what is found is proven, but an index can hide entries; --full reads all",
                found.indexed
            );
        }
        if found.unread > 0 {
            eprintln!("{origin}: {} 条无法辨读 · entries that cannot be read as ours", found.unread);
        }
        if found.pruned > 0 {
            let what = "条已清除，请查归档或镜像 · entries were pruned: search an archive or a mirror";
            eprintln!("{origin}: {} {what}", found.pruned);
        }
        if !is_sure {
            self.worsen(UNDECIDABLE);
        }
        Ok(())
    }

    /// One bad log does not end the others.
    fn fail(&mut self, word: &str, origin: &str, verdict: &str, code: u8, what: &str) -> io::Result<()> {
        let said = what.strip_prefix(word).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(what);
        eprintln!("tongban audit: {word}: {said}");
        self.worsen(code);
        match self.args.json {
            true => writeln!(self.out, "{}", json!({ "log": { "origin": origin, "verdict": verdict, "what": what } })),
            false => Ok(()),
        }
    }

    /// Disproven outweighs undecided.
    fn worsen(&mut self, code: u8) {
        self.worst = if self.worst == 1 { 1 } else { code };
    }

    fn end(&mut self) -> io::Result<()> {
        let (matched, skip) = (self.matched, self.args.skip);
        if self.args.json {
            let mut all = json!({ "matched": matched, "skip": skip, "listed": self.listed });
            if let Some(ground) = &self.args.ground {
                all["ground"] = ground.as_str().into();
            }
            return writeln!(self.out, "{}", json!({ "summary": all }));
        }
        if let Some(ground) = &self.args.ground {
            writeln!(self.out, "查询依据 ground: {}", ground.escape_debug())?;
        }
        let last = skip + self.listed;
        writeln!(self.out, "共 {matched} 条，列出 {skip}–{last} · {matched} found, {skip} to {last} shown")
    }
}

fn row(origin: &str, hit: &Hit) -> String {
    let at = |path: &str| {
        let found = hit.entry.pointer(path).and_then(Value::as_str);
        found.map_or_else(|| "-".to_owned(), |text| text.escape_debug().to_string())
    };
    let (case, item, verdict) = (at("/case/id"), at("/item/code"), at("/dec/verdict"));
    let (index, time, leaf) = (hit.place.index, UnixMillis(hit.ts).on_paper(), hit.place.leaf);
    [origin, &index.to_string(), &time, &at("/kind"), &case, &item, &verdict, &leaf.to_string()].join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, want) in [
            ("2026-02-13", Some("2026-02-12T16:00:00.000Z")),
            ("2026-02-13T08:30", Some("2026-02-13T00:30:00.000Z")),
            ("2026-02-13 08:30:05", Some("2026-02-13T00:30:05.000Z")),
            ("2026-02-13T08:30:05Z", Some("2026-02-13T08:30:05.000Z")),
            ("2026-02-13T08:30:05.250+09:00", Some("2026-02-12T23:30:05.250Z")),
            ("2026-02-30", None),
            ("13.02.2026", None),
            ("yesterday", None),
            ("２０２６-02-13", None),
            ("", None),
        ] {
            assert_eq!(moment(text).ok().map(|at| at.to_string()).as_deref(), want, "{text}");
        }
        assert!(kind("case.intent").is_ok() && kind("case").is_err_and(|why| why.contains("case.intent")));
    }
}
