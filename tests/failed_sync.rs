//! A disk that fails under the log of a gateway at work, and has lost what it was given: the process ends and says why, nothing of
//! the lost batch was acknowledged, and all that was is there in the next life. (A sync that is tried again would succeed.)

mod federation;
mod tools;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use federation::{Federation, Headers};
use tools::acknowledged::Acknowledged;

/// Requests under way at once, and lines acknowledged before the disk fails.
const CALLERS: usize = 12;
const BEFORE: usize = 400;
/// Longest wait for anything that must happen.
const WAIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// The library that fails: put before the system's own by the loader.
fn compiled(folder: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/failing_sync.c");
    let library = folder.join("failing_sync.so").display().to_string();
    let done = Command::new("cc").args(["-shared", "-fPIC", "-o", &library]).arg(&source).arg("-ldl").output();
    let done =
        done.unwrap_or_else(|e| panic!("cc, the C compiler that building this project takes, does not run: {e}"));
    assert!(done.status.success(), "{}", tools::text(&done));
    library
}

fn wait_for(what: &str, said: &Path, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < until, "{what} did not come: {}", fs::read_to_string(said).unwrap_or_default());
        std::thread::sleep(LOOK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_gateway_and_costs_no_acknowledged_line() {
    let place = tempfile::tempdir().expect("a folder");
    let (library, order, said) = (compiled(place.path()), place.path().join("fails"), place.path().join("said.txt"));
    let mut federation = Federation::start_as(tempfile::tempdir().expect("a folder"), 9, |demo| {
        let output = || File::options().create(true).append(true).open(&said).expect("a file");
        demo.env("LD_PRELOAD", library).env("TONGBAN_FAILING_SYNC", &order).stdout(output()).stderr(output());
    })
    .await;
    let folder = federation.folder.path().to_owned();
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("clerk"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let (word, done) = (Arc::new(Mutex::new(Acknowledged::default())), Arc::new(AtomicUsize::new(0)));
    let window = federation.client("window", 0);
    for _ in 0..3 {
        let filed = federation.file(&window, &both, "419001", None).await;
        assert_eq!(filed.status, 202, "{}", filed.text());
        word.lock().expect("a word").answer(&filed.json);
    }
    let first = federation.anybody(0);
    let note = federation.at_log(first, 0).get("/checkpoint", &Headers::new()).await;
    word.lock().expect("a word").checkpoint(&note.bytes);

    // Everybody goes on until the gateway is gone.
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (window, both, word, done) = (federation.client("window", 0), both.clone(), word.clone(), done.clone());
            tokio::spawn(async move {
                while let Ok(answer) = window.ask("GET", "/v1/nothing/here", &both, None).await {
                    match answer.status {
                        404 => word.lock().expect("a word").answer(&answer.json),
                        _ => return (answer.status, answer.json["code"].to_string()),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                (0, String::new())
            })
        })
        .collect();
    let pid = || tools::announced(&folder).and_then(|told| told["gateways"][0]["pid"].as_u64());
    let before = pid().expect("a process");
    wait_for("work", &said, || done.load(Ordering::Relaxed) > BEFORE);
    fs::write(&order, "/gw-440305/data/log/segments/").expect("written");
    wait_for("the failure", &said, || !order.exists());
    wait_for("the end of the process", &said, || {
        fs::read_to_string(&said).is_ok_and(|said| said.contains("gw-440305") && said.contains("ended (exit 70)"))
    });
    for caller in callers {
        let (status, code) = caller.await.expect("a caller");
        assert!(status == 0 || (status == 503 && code.contains("TB-AUD-0103")), "{status} {code}");
    }
    let told = fs::read_to_string(folder.join("gw-440305/gateway.log")).expect("its log");
    for line in ["the audit log is dead; this process must end", "the audit log failed; the gateway stops", "fdatasync"]
    {
        assert!(told.contains(line), "{line}: {told}");
    }

    wait_for("another process", &said, || pid().is_some_and(|now| now != before));
    let metrics = federation.told["gateways"][0]["metrics"].as_str().expect("an address");
    wait_for("ready", &said, || tools::plain(metrics, "/ready").starts_with("HTTP/1.1 200"));
    let filed = federation.file(&federation.client("window", 0), &both, "419001", None).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let (log, key) = (folder.join("gw-440305/data/log"), federation.told["gateways"][0]["log_key"].clone());
    federation.stop();
    let mut word = word.lock().expect("a word");
    word.answer(&filed.json);
    println!("{} lines acknowledged, the disk failed after {BEFORE}", word.counts().0);
    word.hold(&log, key.as_str().expect("a key"), place.path());
}
