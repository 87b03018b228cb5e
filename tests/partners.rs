//! Partners, policies and shared data of a running gateway: what operators change takes effect at once and is on record.
//! One federation for all of it.

mod federation;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use federation::{Answer, Federation, Headers, Window};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// What the tests do to gateway A: its files, its reload, its log.
struct Operator<'f> {
    federation: &'f Federation,
    home: PathBuf,
}

impl<'f> Operator<'f> {
    fn new(federation: &'f Federation) -> Self {
        Self { federation, home: federation.folder.path().join("gw-440305") }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.home.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.home.join(file), text).unwrap_or_else(|e| panic!("{file}: {e}"));
    }

    fn config(&self) -> String {
        self.home.join("tongban.toml").display().to_string()
    }

    fn command(&self, words: &[&str]) -> Output {
        tools::tongban(&[words, &["--config", &self.config()]].concat())
    }

    fn reload(&self) -> String {
        let done = self.command(&["reload"]);
        assert!(done.status.success(), "{}", tools::text(&done));
        tools::text(&done)
    }

    /// Lines of one kind in the log, newest last.
    fn lines(&self, kind: &str) -> Vec<Value> {
        let shown = tools::tongban(&["audit", "show", &self.home.join("data/log").display().to_string()]);
        assert!(shown.status.success(), "{}", tools::text(&shown));
        let lines = String::from_utf8_lossy(&shown.stdout).into_owned();
        let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        all.filter(|line| line["kind"] == kind).collect()
    }

    fn pid(&self) -> Pid {
        let told = tools::announced(self.federation.folder.path()).expect("federation.json");
        let pid = told["gateways"][0]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).expect("a process")
    }
}

/// The bank's counter: its terminal, its employee, a citizen.
struct Counter {
    terminal: Window,
    headers: Headers,
}

impl Counter {
    fn of(federation: &Federation, outlet: &str, employee: &str) -> Self {
        let headers = vec![
            ("authorization", format!("Bearer {}", federation.token(employee))),
            ("tongban-subject-token", federation.token("citizen")),
        ];
        Self { terminal: federation.client(outlet, 0), headers }
    }

    async fn file(&self, federation: &Federation) -> Answer {
        federation.file(&self.terminal, &self.headers, "419001", None).await
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.json["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_and_partners() {
    let federation = Federation::start(4).await;
    reloads(&federation).await;
}

/// Contracts, rules and clients change while the gateway runs; a file with a mistake changes nothing.
async fn reloads(federation: &Federation) {
    let operator = Operator::new(federation);
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    let good = operator.read("partners.toml");
    let line = |text: &str, want: &str| 1 + text.lines().position(|line| line.contains(want)).expect("a line");
    assert!(operator.reload().contains("0 处变更"), "nothing has changed");
    assert_eq!(code(&counter.file(federation).await).0, 202);

    // The kill switch, by command.
    let first = "outlet = \"bank-440305-01\"\n";
    operator.write("partners.toml", &good.replace(first, &format!("{first}suspended = \"检查\"\n")));
    assert!(operator.reload().contains("contracts"));
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0203"));

    // A mistake, and another one elsewhere: both are told with their lines, and the switch stays on.
    let bad = good.replacen("kind = \"bank\"", "kind = \"bnak\"", 1).replace("per_second = 50", "per_second = 0");
    operator.write("partners.toml", &bad);
    for command in [["reload"], ["check"]] {
        let told = operator.command(&command);
        assert_eq!(told.status.code(), Some(1), "{command:?}");
        let text = tools::text(&told);
        for want in ["kind = \"bnak\"", "per_second = 0"] {
            let place = format!("partners.toml:{}: ", line(&bad, want));
            assert!(text.contains(&place), "{command:?}: {place} in {text}");
        }
    }
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0203"));

    // The switch off again, by signal.
    operator.write("partners.toml", &good);
    let changes = operator.lines("partner.change").len();
    kill_process(operator.pid(), Signal::HUP).expect("it runs");
    for _ in 0..200 {
        if operator.lines("partner.change").len() > changes {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut answer = counter.file(federation).await;
    for _ in 0..100 {
        if answer.status == 202 {
            break; // the line comes before the change
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        answer = counter.file(federation).await;
    }
    assert_eq!(code(&answer).0, 202, "{}", answer.text());
    let lines = operator.lines("partner.change");
    let causes: Vec<_> = lines.iter().map(|l| (l["facts"]["cause"].as_str(), l["dec"]["verdict"].as_str())).collect();
    let (start, by_hand, by_signal) = (Some("start"), Some("operator"), Some("signal"));
    let (yes, no) = (Some("allow"), Some("deny"));
    assert_eq!(causes, [(start, yes), (by_hand, yes), (by_hand, no), (by_signal, yes)], "{lines:#?}");
    assert_eq!(lines[1]["facts"]["before"], lines[0]["facts"]["version"]);
    assert_eq!(lines[3]["facts"]["version"], lines[0]["facts"]["version"]);

    // A contract that has run out.
    let year = good.lines().find_map(|line| line.strip_prefix("to = \"")).and_then(|to| to.get(..4)).expect("a year");
    let over = good.replacen(&format!("to = \"{year}-12-31\""), &format!("to = \"{year}-01-01\""), 1);
    operator.write("partners.toml", &over);
    operator.reload();
    assert_eq!(code(&counter.file(federation).await), (403, "TB-PAR-0202"));
    operator.write("partners.toml", &good);
    operator.reload();

    policies(federation, &operator, &counter).await;
    clients(federation, &operator).await;
}

/// Rules of one's own, with a mistake first.
async fn policies(federation: &Federation, operator: &Operator<'_>, counter: &Counter) {
    let config = operator.read("tongban.toml");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let own = operator.home.join("policies");
    fs::create_dir(&own).unwrap();
    for entry in fs::read_dir(shipped).unwrap().flatten().filter(|e| e.path().is_file()) {
        fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
    }
    operator.write("tongban.toml", &config.replacen("partners =", "policies = \"policies\"\npartners =", 1));
    operator.reload();
    assert_eq!(code(&counter.file(federation).await).0, 202, "the same rules from a folder");
    let rule = "@id(\"outlets-rest\")\n@zh(\"今日网点盘点。\")\n@en(\"Outlets take stock today.\")\n@code(\"TB-POL-0203\")\n\
                forbid (principal is Tongban::Outlet, action == Tongban::Action::\"file\", resource);\n";
    operator.write("policies/90-own.cedar", &rule.replace("@zh(\"今日网点盘点。\")\n", ""));
    let told = operator.command(&["reload"]);
    assert!(tools::text(&told).contains("90-own.cedar:1: "), "{}", tools::text(&told));
    assert_eq!(code(&counter.file(federation).await).0, 202);
    operator.write("policies/90-own.cedar", rule);
    operator.reload();
    let refused = counter.file(federation).await;
    assert_eq!(code(&refused), (403, "TB-POL-0203"));
    assert_eq!(refused.json["rules"], json!(["outlets-rest"]), "{}", refused.text());
    let loads = operator.lines("policy.load");
    let verdicts: Vec<_> = loads.iter().map(|l| l["dec"]["verdict"].as_str().unwrap_or_default()).collect();
    // A folder with the shipped rules is the shipped set: no change, no line.
    assert_eq!(verdicts, ["allow", "deny", "allow"], "{loads:#?}");
    let own = own.display().to_string();
    replayed(operator, &own);
    operator.write("tongban.toml", &config);
    operator.reload();
    assert_eq!(code(&counter.file(federation).await).0, 202);
}

/// Past decisions under the rule that came last: what it would have refused. Under the rules of then all say the same.
fn replayed(operator: &Operator<'_>, own: &str) {
    let data = operator.home.join("data");
    let replay = |policies: &[&str]| {
        let place = data.display().to_string();
        let done = tools::tongban(&[&["policy", "replay", &place], policies].concat());
        (done.status.code(), tools::text(&done))
    };
    let (exit, text) = replay(&["--policies", own]);
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("would be denied") && text.contains("→ outlets-rest"), "{text}");
    assert!(!text.contains("not what the rules"), "{text}");
    let denied: usize =
        text.split("now denied ").nth(1).and_then(|n| n.split(' ').next()?.parse().ok()).expect("a count");
    assert!(denied >= 5, "{text}");
    // The shipped rules know nothing of the stock-taking: only that refusal turns.
    let (exit, text) = replay(&[]);
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("now permitted 1 ") && text.contains("now denied 0 "), "{text}");
    // A question that somebody changes answers to no line any more; a set that was changed is none.
    let version =
        operator.lines("policy.load").first().map(|l| l["dec"]["policy"].as_str().unwrap().to_owned()).unwrap();
    let archived = data.join("policies").join(version).join("20-outlets.cedar");
    let good = fs::read_to_string(&archived).unwrap();
    fs::write(&archived, format!("{good}// \n")).unwrap();
    let (exit, text) = replay(&[]);
    assert!(exit == Some(1) && text.contains("was changed"), "{text}");
    fs::write(&archived, good).unwrap();
    for entry in fs::read_dir(data.join("decisions")).unwrap().flatten() {
        let kept = fs::read_to_string(entry.path()).unwrap();
        fs::write(entry.path(), kept.replace("\"Outlet\"", "\"Clerk\"")).unwrap();
        let (_, text) = replay(&["--policies", own]);
        assert!(text.contains("now denied 0 ") && text.contains("not kept"), "{text}");
        fs::write(entry.path(), kept).unwrap();
    }
}

/// A window that the configuration does not name any more is nobody.
async fn clients(federation: &Federation, operator: &Operator<'_>) {
    let config = operator.read("tongban.toml");
    let window = federation.client("W-440305-01", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    assert_eq!(federation.file(&window, &both, "419001", None).await.status, 202);
    let at = config.find("[[window]]").expect("a window");
    let end = config[at..].find("\n\n").map_or(config.len(), |end| at + end);
    operator.write("tongban.toml", &format!("{}{}", &config[..at], &config[end..]));
    let told = operator.reload();
    assert!(told.contains("config"), "{told}");
    assert_eq!(code(&federation.file(&window, &both, "419001", None).await), (401, "TB-GW-0101"));
    operator.write("tongban.toml", &config.replace("filings = 1000", "filings = 999"));
    let told = operator.reload();
    assert!(told.contains("next start: limits"), "{told}");
    operator.write("tongban.toml", &config);
    operator.reload();
    assert_eq!(federation.file(&window, &both, "419001", None).await.status, 202);
    assert!(!operator.lines("admin.config").is_empty());
}
