//! Somebody has the whole machine of one gateway, keys and all, while the federation lives: rewrites a line of its log, with every
//! checksum, hash, root, signature and what the store remembers, and starts it again. The folder holds together; everybody outside says
//! that it is another log: the witness keeps it from starting, or raises the alarm, and auditors and mirrors have their own copies.

mod federation;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use federation::{Federation, Headers};
use sqlx::Connection;
use tongban::app::{config::Config, wire};
use tongban::audit::checkpoint::Checkpoint;
use tongban::audit::log::segment::{self, Chain, Cursor, Footer, HEADER_LEN, RECORD_HEAD, Unit};
use tongban::audit::log::{Log, OpenOptions};
use tongban::audit::merkle::leaf_hash;
use tongban::terms::Digest;
use tools::alone::{GATEWAYS, kill, listens, said, serve};

const WAIT: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);

fn wait_for<T>(what: &str, folder: &Path, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + WAIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come:\n{}", said(folder));
        std::thread::sleep(LOOK);
    }
}

/// Rewrites the log below `home`: in the last line that names `who`, `other` stands instead. The segments hold together, the store
/// remembers what it should, and the checkpoint is signed by the keys that are there.
async fn rewrite(home: &Path, who: &str, other: &str) -> Checkpoint {
    let config = Config::load(&home.join("tongban.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let (log, origin) = (home.join("data/log"), config.log.origin.clone());
    let place = log.join("segments").join(segment::name(0));
    let lines = lines(&place);
    let changed = lines.iter().rposition(|(line, _)| line.contains(who)).expect("a line that names them");
    assert!(!lines[changed].0.contains("\"case\":") && who.len() == other.len(), "{}", lines[changed].0);
    let (mut out, mut chain, mut first) = (segment::header(0, &origin).to_vec(), Chain::start(&origin), 0);
    for (nth, (line, ends)) in lines.iter().enumerate() {
        let line = if nth == changed { line.replace(who, other) } else { line.clone() };
        let start = out.len();
        out.extend_from_slice(&[0; RECORD_HEAD]);
        out.extend_from_slice(line.as_bytes());
        segment::close_record(&mut out, start);
        chain.frontier.push(leaf_hash(line.as_bytes()));
        if *ends {
            let (size, root) = (chain.frontier.size(), chain.frontier.root());
            let footer =
                Footer { first, count: (size - first) as u32, size, root, previous: chain.last_footer }.encode();
            out.extend_from_slice(&footer);
            (chain.last_footer, first) = (Digest::of(&footer), size);
        }
    }
    fs::write(&place, out).expect("written");
    fs::remove_dir_all(log.join("levels")).expect("derived from the segments");
    for derived in ["log-index.db", "log-index.db-wal", "log-index.db-shm"] {
        let _ = fs::remove_file(home.join("data").join(derived));
    }
    let forged = Checkpoint::new(&origin, chain.frontier.size(), chain.frontier.root());
    let mut note = wire::log_signer(&config).expect("the log's key").sign(&forged.to_string());
    note += &wire::gm_signer(&config)
        .expect("the SM2 key")
        .expect("there is one")
        .line(&forged.to_string())
        .expect("signed");
    fs::write(log.join("checkpoint"), note).expect("written");
    let mut options = OpenOptions::new(wire::log_signer(&config).expect("the log's key"));
    options.gm = wire::gm_signer(&config).expect("the SM2 key");
    // What is derived is made anew by whoever opens the log.
    Log::open(&log, options).expect("the forgery holds together").close().await;
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", home.join("data/store.db").display());
    let mut store = sqlx::AnyConnection::connect(&url).await.expect("the store opens");
    let told = sqlx::query("UPDATE log_head SET size = $1, root = $2 WHERE origin = $3");
    let told = told.bind(forged.size as i64).bind(forged.root.to_string()).bind(&origin);
    assert_eq!(told.execute(&mut store).await.expect("done").rows_affected(), 1);
    store.close().await.expect("closed");
    forged
}

/// Lines of a segment, each with whether a batch ends with it.
fn lines(place: &Path) -> Vec<(String, bool)> {
    let file = fs::File::open(place).expect("a segment");
    let (mut cursor, mut lines) = (Cursor::new(&file, HEADER_LEN as u64), Vec::new());
    loop {
        let (unit, len) = segment::unit(&mut cursor).expect("readable");
        match unit {
            Unit::Entry(bytes) => lines.push((String::from_utf8(bytes.to_vec()).expect("text"), false)),
            Unit::Footer(..) => lines.last_mut().expect("a line").1 = true,
            Unit::Blank => break,
            Unit::Bad(what) => panic!("{what}"),
        }
        cursor.skip(len);
    }
    // What no footer ends was acknowledged to nobody.
    let kept = lines.iter().rposition(|(_, ends)| *ends).map_or(0, |last| last + 1);
    lines.truncate(kept);
    lines
}

/// An auditor with what an auditor has.
struct Auditor {
    url: String,
    reach: Vec<String>,
    old: PathBuf,
    mirror: PathBuf,
}

impl Auditor {
    fn audit(&self, words: &[&str], more: &[&str]) -> Output {
        let reach: Vec<&str> = self.reach.iter().map(String::as_str).collect();
        tools::tongban(&[&["audit"], words, &reach, more].concat())
    }

    fn verify(&self, more: &[&str]) -> Output {
        self.audit(&["verify", &self.url], more)
    }

    fn copy(&self) -> Output {
        self.audit(&["mirror", &self.url, &self.mirror.display().to_string()], &[])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_rewritten_on_its_own_machine_is_found_by_everybody_outside() {
    let place = tempfile::tempdir().expect("a folder");
    let (folder, base) = (place.path(), tools::ports(0));
    let walked = tools::demo(folder, base).arg("--once").output().expect("the binary runs");
    assert!(walked.status.success(), "{}", tools::text(&walked));
    let (home, log) = (folder.join(GATEWAYS[0]), |gateway: usize| base + if gateway == 0 { 1 } else { 11 });
    let (witness, running) = (serve(folder, 1), serve(folder, 0));
    wait_for("both gateways", folder, || (listens(log(0)) && listens(log(1)) && listens(base)).then_some(()));

    // Somebody at a window asks for what is not there, and is on record by name.
    let federation = wait_for("federation.json", folder, || Federation::running(folder));
    let window = federation.client("window", 0);
    let refused = window.get("/v1/nothing/here", &Headers::new()).await;
    let line = refused.json["leaf"].as_u64().unwrap_or_else(|| panic!("{}", refused.text()));
    let reader = federation.at_log(federation.anybody(0), 0);
    let until = Instant::now() + WAIT;
    let seen = loop {
        let note = reader.get("/checkpoint", &Headers::new()).await;
        let text = String::from_utf8(note.bytes).expect("text");
        let size: u64 = text.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size");
        if size > line && text.contains("/witness ") {
            break text;
        }
        assert!(Instant::now() < until, "no cosigned checkpoint: {text}");
        tokio::time::sleep(LOOK).await;
    };
    let word = |path: &Path| path.display().to_string();
    let key = String::from_utf8(tools::tongban(&["audit", "key", &word(&home.join("data/log"))]).stdout).expect("text");
    let client = |end: &str| word(&folder.join(format!("clients/audit-440305.{end}")));
    let reach = [
        "--key",
        key.trim(),
        "--ca",
        &word(&home.join("authorities/tls.pem")),
        "--cert",
        &client("pem"),
        "--client-key",
        &client("key"),
    ];
    let auditor = Auditor {
        url: format!("https://127.0.0.1:{}", log(0)),
        reach: reach.map(str::to_owned).to_vec(),
        old: folder.join("seen"),
        mirror: folder.join("mirror"),
    };
    fs::write(&auditor.old, &seen).expect("written");
    let old = ["--old", &*word(&auditor.old)];
    for done in [auditor.copy(), auditor.verify(&old)] {
        assert_eq!(done.status.code(), Some(0), "the honest log: {}", tools::text(&done));
    }
    kill(running);

    let forged = rewrite(&home, "window:W-440305-01", "window:W-440305-77").await;
    assert!(!seen.contains(&forged.root.to_string()));
    let folder_alone = tools::audit(folder, 0);
    assert_eq!(folder_alone.status.code(), Some(0), "the forgery holds together: {}", tools::text(&folder_alone));

    // The witness knows better: no start.
    let mut again = serve(folder, 0);
    let ended = wait_for("the refusal", folder, || again.try_wait().expect("a child of ours"));
    assert!(!ended.success() && said(folder).contains("is not the one that witness"), "{}", said(folder));

    // Kept from its witness it starts; whoever saw the log before is shown another one.
    kill(witness);
    let again = serve(folder, 0);
    wait_for("the forged gateway", folder, || listens(log(0)).then_some(()));
    let blind = auditor.verify(&[]);
    assert_eq!(blind.status.code(), Some(0), "whoever comes for the first time sees nothing: {}", tools::text(&blind));
    let told = auditor.verify(&old);
    assert!(told.status.code() == Some(1) && tools::text(&told).contains("DISPROVEN"), "{}", tools::text(&told));
    let copied = auditor.copy();
    assert_eq!(copied.status.code(), Some(1), "{}", tools::text(&copied));
    let beside = fs::read_dir(&auditor.mirror).expect("the copy").flatten();
    assert!(beside.filter(|file| file.file_name().to_string_lossy().starts_with("contradiction.")).count() > 0);

    // And with the witness back it is told for what it is, while it runs.
    let metrics = format!("127.0.0.1:{}", base + 3);
    let witness = serve(folder, 1);
    wait_for("the alarm", folder, || {
        let (ready, counted) = (tools::plain(&metrics, "/ready"), tools::plain(&metrics, "/metrics"));
        let alarm = ready.contains("alarm: a witness holds another log of ours");
        (alarm && counted.contains("tongban_log_contradicted 1")).then_some(())
    });
    assert!(said(folder).contains("A WITNESS HOLDS ANOTHER LOG OF OURS"), "{}", said(folder));
    drop((again, witness));
}
