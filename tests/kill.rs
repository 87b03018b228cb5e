//! Killed at any moment, started again: every case arrives exactly once, every line that was acknowledged is there, and no checkpoint
//! that was shown is contradicted.

mod federation;
#[path = "kill/meanwhile.rs"]
mod meanwhile;
mod tools;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use meanwhile::Meanwhile;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::Row;
use tools::alone::{GATEWAYS, kill, listens, said, serve, signal};
use tools::{Dice, Running, announced, audit, demo, ports};

/// How often the whole federation is killed, and how often one of its gateways.
const KILLS: usize = 20;
/// Longest wait for anything that must happen.
const WAIT: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(50);

/// The next moment of a kill: anything from the first steps of a start to the end of a walk.
fn moment(dice: &mut Dice, most_ms: u64) -> Duration {
    Duration::from_millis(100 + dice.below(most_ms))
}

/// Starts a demonstration that says what it does in a file.
fn start(folder: &Path, base: u16, more: &[&str]) -> Running {
    let said = || File::options().create(true).append(true).open(folder.join("said.txt")).expect("a file");
    let mut command = demo(folder, base);
    Running(command.args(more).stdin(Stdio::null()).stdout(said()).stderr(said()).spawn().expect("the binary runs"))
}

/// Waits for what must come.
fn wait_for<T>(what: &str, folder: &Path, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + WAIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come:\n{}\n{}", said(folder), waiting(folder));
        std::thread::sleep(LOOK);
    }
}

fn column(folder: &Path, gateway: &str, sql: &'static str) -> Vec<String> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", folder.join(gateway).join("data/store.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let pool = sqlx::AnyPool::connect(&url).await.expect("the store opens");
        let rows = sqlx::query(sql).fetch_all(&pool).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    })
}

/// What has not come to its end, and what the gateways said last.
fn waiting(folder: &Path) -> String {
    let lines = |gateway| {
        let sql =
            "SELECT no || ' to ' || target || ' ' || path || ' tried ' || attempts || ' ' || COALESCE(trouble, '')
            || ' next ' || next_at FROM outbox WHERE done_at IS NULL";
        column(folder, gateway, sql)
    };
    let log = |gateway: &str| {
        let said = fs::read_to_string(folder.join(gateway).join("gateway.log")).unwrap_or_default();
        let last: Vec<_> = said.lines().rev().take(30).map(str::to_owned).collect();
        last.into_iter().rev().collect::<Vec<_>>()
    };
    let open: Vec<_> = office(folder).into_iter().filter(|(_, done)| *done != 4).collect();
    format!("outbox: {:#?}\noffice: {open:?}\nlogs: {:#?}", GATEWAYS.map(lines), GATEWAYS.map(log))
}

/// Cases as the office has them: number, and acts done.
fn office(folder: &Path) -> Vec<(String, u64)> {
    let files = tools::files(&folder.join("office/cases"));
    let files: Vec<_> = files.into_iter().filter(|file| file.extension().is_some_and(|e| e == "json")).collect();
    let read = |file: &Path| serde_json::from_slice::<Value>(&fs::read(file).ok()?).ok();
    let cases = files.iter().filter_map(|file| read(file));
    cases.map(|c| (c["case"].as_str().unwrap_or_default().to_owned(), c["done"].as_u64().unwrap_or(0))).collect()
}

/// Starts once more and lets everything that waits arrive: a delivery that was refused while the other side was down
/// waits longer and longer. Then compares what was kept, sent, taken and decided, and verifies both logs.
fn every_case_arrived_once(folder: &Path, base: u16) {
    let before = said(folder).len();
    let mut run = start(folder, base, &[]);
    let begun = Instant::now();
    wait_for("the end of the walk", folder, || said(folder)[before..].contains("全部").then_some(()));
    wait_for("the last delivery", folder, || {
        let waits = |gateway| !column(folder, gateway, "SELECT id FROM outbox WHERE done_at IS NULL").is_empty();
        let decided = office(folder).iter().all(|(_, done)| *done == 4);
        (decided && !GATEWAYS.into_iter().any(waits)).then_some(())
    });
    assert!(signal(run.id(), Signal::TERM));
    assert!(run.wait().expect("it ends").success(), "{}", said(folder));

    let sent = column(folder, GATEWAYS[0], "SELECT no FROM case_record WHERE side = 'collecting'");
    let taken = column(folder, GATEWAYS[1], "SELECT no FROM case_record WHERE side = 'owning'");
    let all = column(folder, GATEWAYS[1], "SELECT no FROM case_record");
    let decided: Vec<_> = office(folder).into_iter().map(|(case, _)| case).collect();
    let took = begun.elapsed().as_secs();
    println!(
        "{} cases sent, {} taken, {} decided, all {took} s after the last kill",
        sent.len(),
        taken.len(),
        decided.len()
    );
    assert!(sent.len() > 3, "cases were filed between the kills: {}", sent.len());
    for (which, cases) in [("sent", &sent), ("taken", &taken), ("all", &all), ("decided", &decided)] {
        assert_eq!(cases.iter().collect::<BTreeSet<_>>().len(), cases.len(), "{which}: no case is there twice");
    }
    let set = |cases: &[String]| cases.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&taken), set(&sent), "every case that was kept arrived, and no other");
    assert_eq!(set(&decided), set(&all), "every case came to the office, and no other");
    let messages = tools::files(&folder.join("office/messages")).len();
    assert_eq!(messages, decided.len(), "one case file each");
    let open = column(folder, GATEWAYS[0], "SELECT no FROM case_record WHERE state <> 'closed'");
    assert_eq!(open, Vec::<String>::new(), "the window has seen the end of every case");
    for gateway in [0, 1] {
        let proven = audit(folder, gateway);
        assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
    }
}

#[test]
fn the_federation_killed_twenty_times() {
    let folder = tempfile::tempdir().unwrap();
    let (base, mut dice) = (ports(0), Dice::new("the federation"));
    let meanwhile = Meanwhile::begin(folder.path());
    for round in 0..KILLS {
        let mut run = start(folder.path(), base, &["--once"]);
        // At any moment of a start and a walk, or in the middle of the window's work.
        if round % 2 == 0 {
            std::thread::sleep(moment(&mut dice, 5_000));
        } else {
            let before = meanwhile.answers();
            wait_for("an answer", folder.path(), || {
                (meanwhile.answers() > before || run.try_wait().expect("a child of ours").is_some()).then_some(())
            });
            std::thread::sleep(moment(&mut dice, 1_500));
        }
        kill(run);
    }
    let words = meanwhile.end();
    every_case_arrived_once(folder.path(), base);
    meanwhile::hold(&words, folder.path());
}

#[test]
fn either_gateway_killed_twenty_times() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (base, mut dice) = (ports(1), Dice::new("either gateway"));
    let (mut kills, mut walks, meanwhile) = ([0, 0], 0, Meanwhile::begin(folder));
    let total = |kills: [usize; 2]| kills[0] + kills[1];
    while total(kills) < KILLS {
        let mut run = start(folder, base, &["--once"]);
        walks += 1;
        let ended = loop {
            let ended = |run: &mut Running| run.try_wait().expect("a child of ours");
            if total(kills) == KILLS {
                break wait_for("the end of the walk", folder, || ended(&mut run));
            }
            let next = Instant::now() + moment(&mut dice, 3_500);
            if let Some(status) = wait_until(next, || ended(&mut run)) {
                break status;
            }
            let gateway = dice.below(2) as usize;
            let Some(pid) = pid(folder, gateway) else { continue }; // not ready yet, or ending
            if !signal(pid, Signal::KILL) {
                continue;
            }
            kills[gateway] += 1;
            // The demonstration notices, and starts it again (unless it was about to end anyway).
            let again = wait_for("another process", folder, || {
                let again = pid_now(folder, gateway).filter(|now| *now != pid).map(|_| None);
                again.or_else(|| ended(&mut run).map(Some))
            });
            if let Some(status) = again {
                break status;
            }
        };
        assert!(ended.success(), "a walk did not come out, whoever was killed in it:\n{}", said(folder));
        assert!(walks < 60, "the walks are over before anything is killed");
    }
    println!("killed: Nanshan {} times, Jiyuan {} times, in {walks} walks", kills[0], kills[1]);
    let words = meanwhile.end();
    every_case_arrived_once(folder, base);
    meanwhile::hold(&words, folder);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (item.path(), to.join(item.file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => assert!(fs::copy(&path, &to).is_ok()),
        }
    }
}

/// Log, store and all else of a gateway are put back to yesterday's: nothing in the folder says so, the witness does.
#[test]
fn a_gateway_restored_whole_from_an_older_copy_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, base) = (folder.path(), ports(2));
    let walk = |folder: &Path| assert!(start(folder, base, &["--once"]).wait().unwrap().success(), "{}", said(folder));
    walk(folder);
    let [data, old, true_one] = ["data", "data.old", "data.true"].map(|name| folder.join(GATEWAYS[0]).join(name));
    copy(&data, &old);
    walk(folder);

    let witness = serve(folder, 1);
    let log = |gateway: usize| base + if gateway == 0 { 1 } else { 11 };
    wait_for("the witness", folder, || listens(log(1)).then_some(()));
    fs::rename(&data, &true_one).unwrap();
    copy(&old, &data);
    let before = fs::read(data.join("log/checkpoint")).unwrap();
    let mut restored = serve(folder, 0);
    let ended = wait_for("the refusal", folder, || restored.try_wait().expect("a child of ours"));
    let told = said(folder);
    assert!(!ended.success() && told.contains("is not the one that witness"), "{told}");
    assert_eq!(fs::read(data.join("log/checkpoint")).unwrap(), before, "nothing was signed");

    fs::remove_dir_all(&data).unwrap();
    fs::rename(&true_one, &data).unwrap();
    let true_one = serve(folder, 0);
    wait_for("the true gateway", folder, || listens(log(0)).then_some(()));
    drop((true_one, witness));
}

/// The log is put back to yesterday's, the gateway refuses, and an operator has it made anew from a mirror.
#[test]
fn a_log_that_was_rolled_back_is_recovered_from_a_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, base) = (folder.path(), ports(3));
    let walk = |folder: &Path| assert!(start(folder, base, &["--once"]).wait().unwrap().success(), "{}", said(folder));
    walk(folder);
    let home = folder.join(GATEWAYS[0]);
    let [log, old, mirror, forged] = ["data/log", "log.old", "mirror", "forged"].map(|name| home.join(name));
    copy(&log, &old);
    walk(folder);

    let port = |gateway: usize| base + if gateway == 0 { 1 } else { 11 };
    let (witness, running) = (serve(folder, 1), serve(folder, 0));
    wait_for("both gateways", folder, || (listens(port(0)) && listens(port(1))).then_some(()));
    let word = |path: &Path| path.display().to_string();
    let key = tools::tongban(&["audit", "key", &word(&log)]);
    let key = String::from_utf8(key.stdout).unwrap().trim().to_owned();
    let (url, ca) = (format!("https://127.0.0.1:{}", port(0)), word(&home.join("authorities/tls.pem")));
    let auditor = |end: &str| word(&folder.join(format!("clients/audit-440305.{end}")));
    let (cert, private) = (auditor("pem"), auditor("key"));
    let config = word(&home.join("tongban.toml"));
    let recover = |from: &Path| {
        let from = word(from);
        let order = ["--from-mirror", &from, "--by", "o-xu", "--ground", "INC-2026-7"];
        tools::tongban(&[&["audit", "recover", "--config", &config][..], &order[..]].concat())
    };
    let held = recover(&old);
    assert_eq!(held.status.code(), Some(2), "a gateway that runs is left alone: {}", tools::text(&held));
    // The first copy is itself read on record: until nothing is new.
    let mirrored = || {
        let reach = ["--key", &key, "--ca", &ca, "--cert", &cert, "--client-key", &private];
        let copied = tools::tongban(&[&["audit", "mirror", &url, &word(&mirror)][..], &reach[..]].concat());
        assert!(copied.status.success(), "{}", tools::text(&copied));
        fs::read(mirror.join("checkpoint")).unwrap()
    };
    let mut before = mirrored();
    let newest = wait_for("a quiet moment", folder, || {
        std::thread::sleep(Duration::from_secs(3));
        let now = mirrored();
        (std::mem::replace(&mut before, now.clone()) == now).then_some(now)
    });
    kill(running);

    let lost = home.join("log.lost");
    fs::rename(&log, &lost).unwrap();
    copy(&old, &log);
    let refused = wait_for("the refusal", folder, {
        let mut restored = serve(folder, 0);
        move || restored.try_wait().expect("a child of ours")
    });
    assert!(!refused.success() && said(folder).contains("the log was rolled back"), "{}", said(folder));

    copy(&mirror, &forged);
    for bundle in tools::files(&forged.join("tile/entries")) {
        let mut bytes = fs::read(&bundle).unwrap();
        bytes[100] ^= 1;
        fs::write(&bundle, bytes).unwrap();
    }
    for (from, code, what) in [(&forged, 1, "not what the signed root says"), (&old, 2, "a newer mirror is needed")] {
        let done = recover(from);
        assert_eq!(done.status.code(), Some(code), "{}", tools::text(&done));
        assert!(tools::text(&done).contains(what), "{}", tools::text(&done));
        assert_eq!(fs::read(log.join("checkpoint")).unwrap(), fs::read(old.join("checkpoint")).unwrap(), "untouched");
    }
    let done = recover(&mirror);
    assert!(done.status.success(), "{}", tools::text(&done));
    let aside: Vec<_> = fs::read_dir(home.join("data")).unwrap().flatten().map(|item| item.file_name()).collect();
    assert!(aside.iter().any(|name| name.to_string_lossy().starts_with("log.replaced-")), "{aside:?}");

    let running = serve(folder, 0);
    wait_for("the recovered gateway", folder, || listens(port(0)).then_some(()));
    let checkpoint = home.join("newest");
    fs::write(&checkpoint, &newest).unwrap();
    let checkpoints = [word(&checkpoint), word(&old.join("checkpoint")), word(&lost.join("checkpoint"))];
    let mut words =
        vec!["audit", "verify", &url, "--key", &key, "--ca", &ca, "--cert", &cert, "--client-key", &private];
    checkpoints.iter().for_each(|old| words.extend(["--old", old]));
    let proven = tools::tongban(&words);
    assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
    let shown = tools::text(&tools::tongban(&["audit", "show", &word(&log)]));
    let told = shown.lines().filter(|line| line.contains("\"kind\":\"lifecycle\"")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].contains("INC-2026-7") && told[0].contains("o-xu"), "{told:?}");
    drop((running, witness));
}

/// A gateway whose log was pruned, and which takes a second key: what strangers see of both at its address.
#[test]
fn a_pruned_log_with_two_keys_is_served_and_verified() {
    use tongban::app::{config::Config, wire};
    use tongban::audit::log::{Log, OpenOptions, prune::Bounds};
    use tongban::audit::{Entry, Kind};
    use tongban::terms::UnixMillis;
    use tongban::upstream::{Client, ClientTls, body::empty, tls::certificates};

    let folder = tempfile::tempdir().unwrap();
    let (folder, base) = (folder.path(), ports(4));
    assert!(start(folder, base, &["--once"]).wait().unwrap().success(), "{}", said(folder));
    let home = folder.join(GATEWAYS[0]);
    let file = home.join("tongban.toml");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = Config::load(&file).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mut options = OpenOptions::new(wire::log_signer(&config).unwrap());
        options.gm = wire::gm_signer(&config).unwrap();
        let log = Log::open(&home.join("data/log"), options).unwrap();
        for _ in 0..9 {
            let all: Vec<_> = (0..8_000).map(|_| Entry::new(Kind::Deny, UnixMillis::now())).collect();
            futures_util::future::join_all(all.iter().map(|entry| log.append(entry))).await;
        }
        log.publish();
        let (later, nobody) = (UnixMillis(UnixMillis::now().0 + 1), Default::default());
        let plan = log.prunable(Bounds { before: later, upto: log.size(), held: &nobody }).unwrap().unwrap();
        let told = log.append(&plan.pruning(0).write(Entry::new(Kind::Lifecycle, later))).await.unwrap();
        log.publish();
        log.prune(plan, &told).unwrap();
        log.close().await;
    });
    let made = ["genpkey", "-algorithm", "ED25519", "-out"];
    let next = home.join("certs/log-next.key");
    assert!(std::process::Command::new("openssl").args(made).arg(&next).status().unwrap().success());
    let text = fs::read_to_string(&file).unwrap();
    let changed =
        text.replacen("key = \"certs/log.key\"", "key = \"certs/log.key\"\nsecond_key = \"certs/log-next.key\"", 1);
    assert_ne!(text, changed);
    fs::write(&file, changed).unwrap();

    let _running = serve(folder, 0);
    wait_for("the gateway", folder, || listens(base + 1).then_some(()));
    let (url, ca) = (format!("https://127.0.0.1:{}", base + 1), home.join("authorities/tls.pem"));
    let get = |path: &str| {
        let answer = runtime.block_on(async {
            let client = Client::new(&ClientTls::new(&certificates(&ca).unwrap(), None).unwrap());
            let request = http::Request::get(format!("{url}/{path}")).body(empty()).unwrap();
            client.fetch(request, Duration::from_secs(30), 1 << 20).await.unwrap()
        });
        (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
    };
    let retention = get("retention");
    assert!(
        retention.0 == 200 && retention.1.contains("\nminimum-index 65536\nretention-days none\n"),
        "{retention:?}"
    );
    let gone = get("tile/entries/255");
    assert!(gone.0 == 410 && gone.1.contains("TB-AUD-0303"), "{gone:?}");
    assert_eq!(
        (get("tile/entries/256").0, get("tile/0/000").0),
        (403, 200),
        "entries are for auditors, hashes for all"
    );

    let word = |path: &Path| path.display().to_string();
    let shown = tools::tongban(&["audit", "key", &url, "--ca", &word(&ca)]);
    let keys: Vec<String> = String::from_utf8(shown.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    // The first checkpoint of this life waits for a witness that is not there.
    let signed = || get("checkpoint").1.matches("\n— ").count() == 3;
    wait_for("a line of each key, and the SM2 line", folder, || signed().then_some(()));
    // Served all the same, and the operator is told until the witness is back.
    let told = || {
        let metrics = format!("127.0.0.1:{}", base + 3);
        let (ready, counted) = (tools::plain(&metrics, "/ready"), tools::plain(&metrics, "/metrics"));
        let alarm = ready.contains("alarm: checkpoints are served without the witnesses' quorum");
        let witnessed = counted.lines().find_map(|line| line.strip_prefix("tongban_log_witnessed ")).map(str::to_owned);
        (alarm, witnessed)
    };
    let is_told = |wanted: (bool, Option<String>)| move || (told() == wanted).then_some(());
    wait_for("the alarm", folder, is_told((true, Some("0".into()))));
    let witness = serve(folder, 1);
    wait_for("the end of the alarm", folder, is_told((false, Some("1".into()))));
    kill(witness);
    let auditor = |end: &str| word(&folder.join(format!("clients/audit-440305.{end}")));
    let (ca, cert, private, policy) = (word(&ca), auditor("pem"), auditor("key"), word(&home.join("policy.txt")));
    for key in &keys {
        fs::write(&policy, format!("log {key}\nquorum none\n")).unwrap();
        let reach = ["--ca", &ca, "--cert", &cert, "--client-key", &private];
        let judged = tools::tongban(&[&["audit", "verify", &url, "--policy", &policy, "--json"][..], &reach].concat());
        let report: Value =
            serde_json::from_slice(&judged.stdout).unwrap_or_else(|_| panic!("{}", tools::text(&judged)));
        assert_eq!(judged.status.code(), Some(2), "{report:#}");
        assert_eq!(
            (&report["verdicts"]["integrity"], &report["pruned"]["minimum"]),
            (&"proven".into(), &65_536.into())
        );
        assert!(report["pruned"]["told"].as_u64() > Some(65_536), "{report:#}");
    }
    let entries = tools::text(&tools::tongban(&["audit", "show", &word(&home.join("data/log"))]));
    let told = entries.lines().filter(|line| line.contains("\"log.second_key\"")).count();
    assert_eq!(told, 1, "both keys are on record");
}

/// Looks until `until`; gives what ended the wait early.
fn wait_until(until: Instant, mut look: impl FnMut() -> Option<ExitStatus>) -> Option<ExitStatus> {
    while Instant::now() < until {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    None
}

/// The process of a gateway, as `federation.json` names it.
fn pid_now(folder: &Path, gateway: usize) -> Option<u32> {
    announced(folder)?["gateways"][gateway]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

/// The same, when that process is really a gateway of this folder: an old file may name a number that is another's now.
fn pid(folder: &Path, gateway: usize) -> Option<u32> {
    let pid = pid_now(folder, gateway)?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let config = folder.join(GATEWAYS[gateway]).join("tongban.toml");
    String::from_utf8_lossy(&words).contains(&*config.to_string_lossy()).then_some(pid)
}
