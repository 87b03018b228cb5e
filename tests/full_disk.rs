//! The disk is full, under a whole federation at work: nothing is accepted that is not kept, nobody is told wrong, no process ends,
//! and with room again everything goes on. Mounts a small file system: as root, or in a namespace of its own where the system allows
//! everybody one.

mod federation;
mod tools;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use federation::{Answer, Federation, Headers};
use serde_json::{Value, json};

/// Size of the disk, as `mount` takes it: what a demonstration needs, and some.
const SIZE: &str = "size=192m";
/// Filings while the disk is full.
const TRIES: usize = 40;
const LOOK: Duration = Duration::from_millis(200);
/// Set in the process that has a namespace of its own.
const INSIDE: &str = "TONGBAN_TEST_NAMESPACE";

/// A file system in memory; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this process may not mount.
    fn mount(at: &Path) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(at).output();
        done.is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).expect("a file");
        for size in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct Counter {
    both: Headers,
    licence: Vec<u8>,
}

impl Counter {
    async fn file(&self, federation: &Federation) -> Answer {
        let request = json!({
            "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
            "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
        });
        // A client that was refused five times in a row would rest.
        let window = federation.client("window", 0);
        federation.send_filing(&window, &self.both, &request, &[("id.ofd", self.licence.clone())]).await
    }
}

fn number(filed: &Answer) -> String {
    filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned()
}

/// This test again, where its user may mount.
fn in_a_namespace() {
    let itself = std::env::current_exe().expect("this test");
    let line = ["--user", "--map-root-user", "--mount"];
    let test = ["--exact", "a_full_disk_accepts_nothing_and_loses_nothing", "--nocapture"];
    let done = Command::new("unshare").args(line).arg(itself).args(test).env(INSIDE, "1").output();
    let told = done.map_or_else(|e| e.to_string(), |done| tools::text(&done));
    assert!(told.contains("1 passed"), "run it as root, as `make test` is: a file system cannot be mounted: {told}");
}

/// The process of each gateway, as the demonstration tells it.
fn processes(folder: &Path) -> Vec<Value> {
    let told: Value = serde_json::from_slice(&fs::read(folder.join("federation.json")).expect("told")).expect("JSON");
    told["gateways"].as_array().expect("gateways").iter().map(|gateway| gateway["pid"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_accepts_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(folder.path()) else {
        assert!(std::env::var_os(INSIDE).is_none(), "no file system can be mounted in a namespace of its own either");
        return in_a_namespace();
    };
    let mut federation = Federation::start_in(folder, 9).await;
    let folder = federation.folder.path().to_owned();
    let counter = Counter {
        both: vec![
            ("authorization", format!("Bearer {}", federation.token("clerk"))),
            ("tongban-subject-token", federation.token("citizen")),
        ],
        licence: federation.licence(),
    };
    let window = federation.client("window", 0);
    let before = counter.file(&federation).await;
    assert_eq!(before.status, 202, "{}", before.text());
    let first = number(&before);
    federation.until_over(&window, &counter.both, &first).await;
    let mut kept = BTreeSet::from([first]);
    let running = processes(&folder);
    let metrics = federation.told["gateways"][0]["metrics"].as_str().expect("an address").to_owned();
    let ready = || tools::plain(&metrics, "/ready").starts_with("HTTP/1.1 200");

    disk.fill();
    let mut refused = 0;
    for _ in 0..TRIES {
        let answer = counter.file(&federation).await;
        match answer.status {
            200 | 202 => drop(kept.insert(number(&answer))),
            _ => {
                assert_eq!(answer.status, 503, "{}", answer.text());
                let code = answer.json["code"].as_str().unwrap_or_default();
                assert!(code.starts_with("TB-") && answer.json["title"].is_string(), "{}", answer.text());
                assert!(!answer.header("retry-after").is_empty(), "{}", answer.text());
                refused += 1;
            }
        }
        disk.fill(); // what was tidied up meanwhile is not for them
    }
    assert!(refused > 0, "the disk was full");
    assert!(!ready(), "a gateway that can keep nothing says so");

    fs::remove_file(disk.filler()).expect("room again");
    for _ in 0..150 {
        if ready() {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    assert!(ready(), "{}", tools::plain(&metrics, "/ready"));
    let after = counter.file(&federation).await;
    // 200: this very filing was on its way when the room was used up, and has its receipt now.
    assert!(matches!(after.status, 200 | 202), "{}", after.text());
    kept.insert(number(&after));
    let window = federation.client("window", 0);
    for case in &kept {
        federation.until_over(&window, &counter.both, case).await;
    }
    assert_eq!(processes(&folder), running, "no gateway ended");

    federation.stop();
    for gateway in [0, 1] {
        let proven = tools::audit(&folder, gateway);
        assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
    }
    nobody_reads_what_it_says(&federation, &metrics).await;
}

/// The gateway again, with its error output where nothing can be written: it works, and what it says is lost.
async fn nobody_reads_what_it_says(federation: &Federation, metrics: &str) {
    let config = federation.told["gateways"][0]["config"].as_str().expect("a file");
    let full = || File::options().write(true).open("/dev/full").expect("a device");
    let mut gateway = tools::program();
    gateway.args(["serve", "--config", config, "--with-parent"]).env("RUST_LOG", "debug");
    let gateway = gateway.stdin(Stdio::piped()).stdout(full()).stderr(full()).spawn();
    let mut gateway = tools::Running(gateway.expect("it starts"));
    for _ in 0..150 {
        // Not ready without the demonstration's identity provider; what asks for nobody is answered.
        if tools::plain(metrics, "/health").starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(gateway.try_wait().expect("a child of ours").is_none(), "it ended");
        tokio::time::sleep(LOOK).await;
    }
    let guide = federation.anybody(0).get("/v1/openapi.json", &Headers::new()).await;
    assert_eq!(guide.status, 200, "{}", guide.text());
    assert!(gateway.try_wait().expect("a child of ours").is_none(), "it ended");
}
