//! `tongban policy`: run the cases, explain one request, replay past decisions under another set.

mod past;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::policy::replay::{self, Change, Recorded, Turn};
use crate::policy::{Ask, CaseRun, Finding, LoadError, PolicySet, embedded_cases, read_cases, run_cases};
use crate::terms::{Explain, UnixMillis};

/// A request file is written by hand.
const REQUEST_MAX_BYTES: u64 = 1 << 20;
/// One recorded decision.
const RECORD_MAX_BYTES: u64 = 1 << 20;

#[derive(Args, Debug)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Check the policies and run their cases. 检查策略并运行案例
    Test {
        /// Folder with schema, rules and cases/; without it, the shipped set.
        dir: Option<PathBuf>,
        /// Name every case, not only the failing ones.
        #[arg(long, short)]
        verbose: bool,
    },
    /// Say what the rules say about one request, and why. 解释一次判定
    Explain {
        /// The request, as TOML or JSON (see policies/cases/requests.toml).
        request: PathBuf,
        /// Folder with schema and rules; without it, the shipped set.
        #[arg(long)]
        policies: Option<PathBuf>,
    },
    /// Decide past requests again and say what would change. 以新策略重放既往判定
    Replay {
        /// A gateway's data folder, or a file with one recorded decision a line, as JSON.
        records: PathBuf,
        /// Folder with the new set; without it, the shipped set.
        #[arg(long)]
        policies: Option<PathBuf>,
    },
}

/// Exit code 0: all is well, or permitted; 1: a case failed, a denial, a change; 2: the input could not be read, or
/// past decisions cannot be decided again.
pub fn run(args: PolicyArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    let paint = Paint(out.is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let done = match args.what {
        What::Test { dir, verbose } => test(&mut out, paint, dir.as_deref(), verbose),
        What::Explain { request, policies } => explain(&mut out, paint, &request, policies.as_deref()),
        What::Replay { records, policies } => match records.is_dir() {
            true => past::replay(&mut out, paint, &records, policies.as_deref()),
            false => replayed(&mut out, paint, &records, policies.as_deref()),
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Trouble::Pipe) => ExitCode::SUCCESS, // the reader has seen enough
        Err(Trouble::Said(text)) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
        Err(Trouble::Load(error)) => {
            let told = error.told();
            eprintln!("{} {} {}", told.code, told.zh, told.en);
            for fault in &error.faults {
                eprintln!("  {}:{}: {}\n    → {}", fault.file, fault.line, fault.what, fault.mend);
            }
            ExitCode::from(2)
        }
    }
}

enum Trouble {
    Said(String),
    Load(LoadError),
    Pipe,
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Pipe,
            _ => Self::Said(error.to_string()),
        }
    }
}

/// What an operator named and we cannot read.
#[derive(Clone, Copy)]
enum Named {
    Request,
    Records,
}

impl Named {
    /// Says that it cannot be read, why, and what would do.
    fn unread(self, path: &Path, why: impl std::fmt::Display) -> Trouble {
        let (what, mend) = match self {
            Self::Request => (
                "请求文件读不了 · the request cannot be read",
                "写法见 policies/cases/requests.toml 的 [base.…] · the [base.…] of policies/cases/requests.toml show the form",
            ),
            Self::Records => (
                "判定记录读不了 · the records cannot be read",
                "指定网关的数据目录（gateway.data），或每行一条 JSON 的文件 · name a gateway's data folder (gateway.data), or a file \
                 with one JSON record a line",
            ),
        };
        Trouble::Said(format!("{what}\n  {}: {}\n    → {mend}", path.display(), why.to_string().trim_end()))
    }
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn as_(self, colour: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
    fn good(self, text: &str) -> String {
        self.as_("32", text)
    }
    fn bad(self, text: &str) -> String {
        self.as_("31", text)
    }
    fn quiet(self, text: &str) -> String {
        self.as_("2", text)
    }
}

fn load(dir: Option<&Path>) -> Result<PolicySet, LoadError> {
    dir.map_or_else(PolicySet::embedded, PolicySet::load)
}

fn test(out: &mut impl Write, paint: Paint, dir: Option<&Path>, verbose: bool) -> Result<bool, Trouble> {
    let set = load(dir)?;
    let files = match dir {
        Some(dir) => read_cases(dir)?,
        None => embedded_cases(),
    };
    let run = run_cases(&set, &files)?;
    let mut file = "";
    for case in run.outcomes.iter().filter(|c| verbose || !c.passed) {
        if case.file != file {
            file = &case.file;
            writeln!(out, "\n{file}")?;
        }
        let mark = if case.passed { paint.good("✓") } else { paint.bad("✗") };
        writeln!(out, " {mark} {}\n   {}", case.zh, paint.quiet(&case.en))?;
        if !case.passed {
            writeln!(out, "     {}:{}\n     want  {}\n     got   {}", case.file, case.line, case.want, case.got)?;
        }
    }
    summary(out, paint, &set, &run)?;
    let unread = dir.map(unread_files).unwrap_or_default();
    if !unread.is_empty() {
        let names = unread.join(", ");
        writeln!(out, "{}", paint.bad(&format!("不读取的文件 · files that nobody reads: {names}")))?;
    }
    Ok(run.passed() && !run.outcomes.is_empty())
}

/// What lies in a policy folder and is neither schema, rules, cases nor a page about them: a rule file whose name is misspelt
/// would otherwise be missed by nobody.
fn unread_files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir()));
    let read = |name: &str, is_dir: bool| match is_dir {
        true => name == "cases",
        false => [".cedar", ".cedarschema", ".md"].iter().any(|end| name.ends_with(end)),
    };
    let mut unread: Vec<_> = names.filter(|(name, is_dir)| !read(name, *is_dir)).map(|(name, _)| name).collect();
    unread.sort();
    unread
}

fn summary(out: &mut impl Write, paint: Paint, set: &PolicySet, run: &CaseRun) -> io::Result<()> {
    let failed = run.outcomes.iter().filter(|c| !c.passed).count();
    let (all, rules) = (run.outcomes.len(), set.rules().len());
    let verdict = match failed {
        0 if all == 0 => paint.bad("没有案例 · there are no cases"),
        0 => paint.good("全部通过 · all passed"),
        n => paint.bad(&format!("{n} 个未通过 · {n} failed")),
    };
    writeln!(out, "\n{rules} 条规则 · rules   {all} 个案例 · cases   {verdict}")?;
    writeln!(out, "{}", paint.quiet(&format!("版本 · version {}", set.version())))?;
    if !run.unshown.is_empty() {
        writeln!(out, "没有案例说明的规则 · rules no case shows: {}", run.unshown.join(", "))?;
    }
    Ok(())
}

fn explain(out: &mut impl Write, paint: Paint, request: &Path, dir: Option<&Path>) -> Result<bool, Trouble> {
    let set = load(dir)?;
    let ask = read_ask(request)?;
    let findings = set.explain(&ask).map_err(|e| Trouble::Said(e.to_string()))?;
    let (kind, resource) = ask.resource();
    writeln!(out, "{} {} — {} — {kind} {resource}\n", ask.who().kind, ask.who().id, ask.act())?;
    let verdict = set.evaluate(&ask, UnixMillis::now());
    match &verdict {
        Ok(permit) => writeln!(out, "{}  {}", paint.good("准予 · permitted"), permit.rules().join(", "))?,
        Err(denial) => {
            let (zh, en) = denial.sentence();
            let (told, next) = (denial.told(), denial.told().next.sentence());
            writeln!(out, "{}  {} ({})", paint.bad("拒绝 · denied"), told.code, told.status)?;
            writeln!(out, "  {zh}\n  {en}\n  → {} {}", next.0, next.1)?;
        }
    }
    let spoke: Vec<&Finding<'_>> = findings.iter().filter(|f| f.holds).collect();
    writeln!(out, "\n说话的规则 · rules that speak")?;
    if spoke.is_empty() {
        writeln!(out, "  （无 · none）")?;
    }
    for finding in spoke {
        show(out, paint, finding)?;
    }
    if !findings.iter().any(|f| f.holds && !f.rule.forbids) {
        writeln!(out, "\n可能允许的规则 · rules that could permit")?;
        for finding in findings.iter().filter(|f| f.in_scope && !f.rule.forbids) {
            show(out, paint, finding)?;
        }
    }
    writeln!(out, "\n{}", paint.quiet(&format!("版本 · version {}", set.version())))?;
    Ok(verdict.is_ok())
}

fn show(out: &mut impl Write, paint: Paint, finding: &Finding<'_>) -> io::Result<()> {
    let rule = finding.rule;
    let effect = if rule.forbids { paint.bad("forbid") } else { paint.good("permit") };
    writeln!(out, "  {effect} {}  {}", rule.id, paint.quiet(&format!("{}:{}", rule.file, rule.line)))?;
    writeln!(out, "    {}\n    {}", rule.zh, rule.en)?;
    for law in rule.basis.iter().chain(&rule.exceptions) {
        writeln!(out, "    依据 · basis: {law}")?;
    }
    for (text, holds) in &finding.clauses {
        let mark = if *holds { paint.good("✓") } else { paint.bad("✗") };
        writeln!(out, "    {mark} {text}")?;
    }
    Ok(())
}

fn read_ask(path: &Path) -> Result<Ask, Trouble> {
    use io::Read;
    let unread = |why: &dyn std::fmt::Display| Named::Request.unread(path, why);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| unread(&e))?;
    file.take(REQUEST_MAX_BYTES).read_to_string(&mut text).map_err(|e| unread(&e))?;
    if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|e| unread(&e))
    } else {
        toml::from_str(&text).map_err(|e| unread(&e))
    }
}

fn replayed(out: &mut impl Write, paint: Paint, path: &Path, dir: Option<&Path>) -> Result<bool, Trouble> {
    let set = load(dir)?;
    let said = |what: String| Named::Records.unread(path, what);
    let mut lines = io::BufReader::new(std::fs::File::open(path).map_err(|e| said(e.to_string()))?);
    let (mut counts, mut unchanged, mut number) = ([0usize; 3], 0usize, 0usize);
    while let Some(line) = bounded_line(&mut lines).map_err(|e| said(format!("line {}: {e}", number + 1)))? {
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        let record: Recorded = serde_json::from_str(&line).map_err(|e| said(format!("line {number}: {e}")))?;
        let replay = replay::replay([&record], &set);
        unchanged += replay.unchanged;
        for change in replay.changes {
            counts[told(out, paint, &number.to_string(), &record, &change)?] += 1;
        }
    }
    counted(out, unchanged, counts)
}

/// Tells of one change; gives its place among the counts.
fn told(out: &mut impl Write, paint: Paint, place: &str, record: &Recorded, change: &Change) -> io::Result<usize> {
    let (at, words) = match change.turn {
        Turn::NowPermitted => (0, paint.bad("将准予 · would be permitted")),
        Turn::NowDenied => (1, paint.good("将拒绝 · would be denied")),
        Turn::OtherRules => (2, paint.quiet("理由不同 · other rules")),
    };
    let (kind, resource) = record.ask.resource();
    let names = |rules: &[String]| if rules.is_empty() { "—".to_owned() } else { rules.join(", ") };
    writeln!(out, "{place}  {}  {} {} {kind} {resource}", record.at, record.ask.who().kind, record.ask.act())?;
    writeln!(out, "     {words}: {} → {}", names(&change.was), names(&change.would_be))?;
    Ok(at)
}

/// What a replay came to; `true` when nobody would be treated otherwise.
fn counted(out: &mut impl Write, unchanged: usize, [permitted, denied, other]: [usize; 3]) -> Result<bool, Trouble> {
    writeln!(
        out,
        "\n不变 · unchanged {unchanged}   将准予 · now permitted {permitted}   将拒绝 · now denied {denied}   理由不同 · other rules {other}"
    )?;
    Ok(permitted + denied == 0)
}

/// One line, never longer than a record may be.
fn bounded_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    use io::Read;
    let mut line = Vec::new();
    from.take(RECORD_MAX_BYTES + 1).read_until(b'\n', &mut line)?;
    match line.len() as u64 {
        0 => Ok(None),
        n if n > RECORD_MAX_BYTES => Err(io::Error::new(io::ErrorKind::InvalidData, "longer than a record may be")),
        _ => String::from_utf8(line).map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(run: impl FnOnce(&mut Vec<u8>) -> Result<bool, Trouble>) -> (bool, String) {
        let mut out = Vec::new();
        let Ok(done) = run(&mut out) else { panic!("trouble") };
        (done, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_shipped_cases_pass_on_the_terminal() {
        let (done, text) = quiet(|out| test(out, Paint(false), None, true));
        assert!(done, "{text}");
        assert!(
            text.contains("✓ 结婚登记须双方到场：网点代收被拒") && text.contains("全部通过 · all passed"),
            "{text}"
        );
    }

    /// What an operator may get wrong, and what they are told: in both languages, with what would do.
    #[test]
    fn mistakes_of_operators_are_told_with_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let none = dir.path().join("none");
        let said = |outcome: Result<bool, Trouble>| match outcome {
            Err(Trouble::Said(text)) => text,
            _ => panic!("it was read"),
        };
        let out = || Vec::new();
        for (path, why) in [
            (none.clone(), "No such file"),
            (file("word.toml", "ask = \"administr\""), "unknown variant `administr`"),
            (file("short.json", "{\"ask\": \"file\"}"), "missing field"),
        ] {
            let text = said(explain(&mut out(), Paint(false), &path, None));
            assert!(
                text.contains(why) && text.contains("请求文件读不了 · the request") && text.contains("→ 写法见"),
                "{text}"
            );
        }
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        let text = said(past::replay(&mut out(), Paint(false), &dir.path().join("empty"), None));
        assert!(text.contains("判定记录读不了 · the records") && text.contains("gateway.data"), "{text}");
        let text = said(replayed(&mut out(), Paint(false), &file("records", "nonsense\n"), None));
        assert!(text.contains("line 1") && text.contains("一条 JSON"), "{text}");

        // Rules without cases are good rules without cases; a file that nobody reads is named.
        let own = dir.path().join("own");
        std::fs::create_dir(&own).unwrap();
        for (name, text) in PolicySet::embedded().unwrap().sources() {
            std::fs::write(own.join(name), text).unwrap();
        }
        std::fs::write(own.join("95-rest.cedar.txt"), "forbid (principal, action, resource);").unwrap();
        let (done, text) = quiet(|out| test(out, Paint(false), Some(&own), false));
        assert!(!done && text.contains("没有案例 · there are no cases"), "{text}");
        assert!(text.contains("不读取的文件 · files that nobody reads: 95-rest.cedar.txt\n"), "{text}");
    }

    #[test]
    fn a_denial_is_explained_and_a_changed_verdict_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let request = dir.path().join("request.toml");
        let text = r#"
            ask = "administer"
            gateway = "nanshan"
            operation = "keys"
            who = { kind = "Operator", id = "o-xu", level = 3, level_age_min = 5 }"#;
        std::fs::write(&request, text).unwrap();
        let (done, said) = quiet(|out| explain(out, Paint(false), &request, None));
        assert!(!done);
        for part in ["TB-POL-0804", "forbid administer-two-persons", "✗ when { principal.level >= 4 }"] {
            assert!(said.contains(part), "{part} in {said}");
        }

        let ask: Ask = toml::from_str(text).unwrap();
        let mut record = Recorded::of(&PolicySet::embedded().unwrap(), &ask, UnixMillis(0));
        let line = |r: &Recorded| serde_json::to_string(r).unwrap();
        let same = line(&record);
        record.permitted = true;
        let records = dir.path().join("records.jsonl");
        std::fs::write(&records, format!("{same}\n{}\n", line(&record))).unwrap();
        let (done, said) = quiet(|out| replayed(out, Paint(false), &records, None));
        assert!(!done);
        assert!(said.contains("unchanged 1") && said.contains("now denied 1"), "{said}");
    }
}
