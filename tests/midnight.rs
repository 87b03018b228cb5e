//! What ends at midnight ends at midnight, on connections that are open and without anybody doing anything: a federation whose
//! clock stands shortly before it. The clock is set by Debian's faketime, for the test and for every process that it starts.

mod federation;
mod tools;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use federation::{Answer, Federation, Headers, Window};
use tongban::terms::UnixMillis;

/// Set within the process whose clock was set.
const INSIDE: &str = "TONGBAN_TEST_MIDNIGHT";
/// How long before midnight the federation is started, in seconds; the second where it came up too late on a busy machine.
const BEFORE_S: [i64; 2] = [30, 120];
const TOO_LATE: &str = "the federation came up too late";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_ends_at_midnight() {
    if std::env::var_os(INSIDE).is_some() {
        return ends().await;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/need");
    let needed = ["faketime", "faketime", "the end of a contract at midnight"];
    assert!(Command::new(script).args(needed).status().expect("the script runs").success());
    let itself = std::env::current_exe().expect("this test");
    for before in BEFORE_S {
        let told = started(&itself, before);
        let in_time = !told.contains(TOO_LATE);
        if in_time || before == BEFORE_S[1] {
            assert!(told.contains("1 passed"), "{told}");
            println!("{told}");
            return;
        }
    }
}

/// Runs this test within a clock that stands so many seconds before midnight; gives what it said.
fn started(itself: &Path, before: i64) -> String {
    let now = UnixMillis::now();
    let ahead = now.day().end().seconds() - now.seconds() - before;
    let done = Command::new("faketime")
        .args(["-f", &format!("{ahead:+}")])
        .arg(itself)
        .args(["--exact", "a_contract_ends_at_midnight", "--nocapture"])
        // Wherever the machine thinks that it stands, midnight is that of the office.
        .envs([(INSIDE, "1"), ("TZ", "Pacific/Honolulu"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1")])
        .output()
        .expect("faketime runs");
    tools::text(&done)
}

async fn file(federation: &Federation, client: &Window, employee: &str) -> Answer {
    let headers: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token(employee))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    federation.file(client, &headers, "419001", None).await
}

async fn ends() {
    let today = UnixMillis::now().day();
    let midnight = today.end();
    let federation = Federation::start(0).await;
    let home = federation.folder.path().join("gw-440305");
    let contracts = home.join("partners.toml");
    let text = fs::read_to_string(&contracts).expect("contracts");
    let last = text.lines().find(|line| line.starts_with("to = \"2")).expect("an end");
    fs::write(&contracts, text.replacen(last, &format!("to = \"{today}\""), 1)).expect("written");
    let done = tools::tongban(&["reload", "--config", &home.join("tongban.toml").display().to_string()]);
    assert!(done.status.success(), "{}", tools::text(&done));

    let (bank, window) = (federation.client("bank-440305-01", 0), federation.client("window", 0));
    let before = file(&federation, &bank, "E-9001").await;
    let left = midnight.seconds() - UnixMillis::now().seconds();
    assert!(left > 0, "{TOO_LATE}: {left} s");
    assert_eq!(before.status, 202, "on its last day: {}", before.text());
    println!("{left} s before midnight the outlet files");
    while UnixMillis::now() < midnight {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = file(&federation, &bank, "E-9001").await;
    let late_ms = UnixMillis::now().0 - midnight.0;
    let code = |answer: &Answer| answer.json["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!((after.status, code(&after).as_str()), (403, "TB-PAR-0202"), "{}", after.text());
    println!("{late_ms} ms after midnight it does not");
    let listed =
        bank.get("/v1/cases", &vec![("authorization", format!("Bearer {}", federation.token("E-9001")))]).await;
    assert_eq!((listed.status, code(&listed).as_str()), (403, "TB-PAR-0202"), "{}", listed.text());
    let others = file(&federation, &window, "C-0001").await;
    assert_eq!(others.status, 202, "a window has no contract: {}", others.text());
    assert_eq!(UnixMillis::now().day(), midnight.day(), "the day after");
}
