//! The archive of the log in an object storage that nobody here wrote: npm's s3rver, an S3-compatible server.

mod tools;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tongban::audit::log::{Log, OpenOptions};
use tongban::audit::note::Signer;
use tongban::audit::{Entry, Kind};
use tongban::gateway::rooms::ArchiveState;
use tongban::jobs::archive::Archive;
use tongban::terms::UnixMillis;
use tongban::upstream::objects::{Credentials, Objects, Place};
use tongban::upstream::{Client, ClientTls};
use tools::Running;

const SEGMENT: u64 = 65_536;
const BUCKET: &str = "tongban";
/// The one account of s3rver; of signatures it looks at the account only.
const ID: &str = "S3RVER";
const SECRET: &str = "s3cr3t";

struct Storage {
    _process: Running,
    folder: tempfile::TempDir,
    port: u16,
}

impl Storage {
    fn start() -> Self {
        let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3rver");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/s3-server");
        assert!(
            Command::new(script).arg(&installed).status().expect("a shell").success(),
            "s3rver could not be installed"
        );
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = Command::new("node")
            .arg(installed.join("node_modules/s3rver/bin/s3rver.js"))
            .args(["--address", "127.0.0.1", "--port", &port.to_string(), "--silent", "--configure-bucket", BUCKET])
            .arg("--directory")
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let process = Running(process);
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Self { _process: process, folder, port };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("s3rver did not start");
    }

    /// The file in which an object lies.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(format!("gw/1/{name}._S3rver_object"))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Passes connections on; as long as `cuts` are left, each is cut after so many octets.
fn cutting(to: u16, cuts: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let Ok(there) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            let cut = cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            let most = if cut { 3_000 } else { usize::MAX };
            for (mut from, mut to) in [
                (from.try_clone().unwrap(), there.try_clone().unwrap()),
                (there.try_clone().unwrap(), from.try_clone().unwrap()),
            ] {
                std::thread::spawn(move || {
                    let (mut left, mut buffer) = (most, [0; 4096]);
                    while let Ok(got) = from.read(&mut buffer)
                        && got > 0
                        && to.write_all(&buffer[..got.min(left)]).is_ok()
                        && got < left
                    {
                        left -= got;
                    }
                    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
                });
            }
        }
    });
    port
}

fn archive(port: u16, id: &str) -> Archive {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    std::fs::write(&file, format!("aws_access_key_id = {id}\naws_secret_access_key = {SECRET}\n")).unwrap();
    let place = Place {
        url: format!("http://127.0.0.1:{port}"),
        bucket: BUCKET.into(),
        prefix: "gw/1".into(),
        region: "us-east-1".into(),
    };
    let client = Client::new(&ClientTls::new(&[], None).unwrap());
    let objects = Objects::new(place, Credentials::read(&file).unwrap(), &client).unwrap();
    Archive { objects, lock_days: Some(3_650) }
}

/// `count` entries more, a few batches at a time.
async fn fill(log: &Log, count: u64) {
    for start in (0..count).step_by(8_000) {
        let all: Vec<_> = (start..count.min(start + 8_000)).map(|_| Entry::new(Kind::Deny, UnixMillis(0))).collect();
        let done = futures_util::future::join_all(all.iter().map(|entry| log.append(entry))).await;
        assert!(done.iter().all(Result::is_ok));
    }
    log.publish();
}

fn verify(storage: &Storage, log: &Log) -> Output {
    tools::program()
        .args(["audit", "verify", "s3://tongban/gw/1", "--key", &log.key().to_string()])
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", storage.port))
        .env("AWS_ACCESS_KEY_ID", ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .output()
        .expect("the binary runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_segments_are_archived_whatever_the_storage_does() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::from_seed("gov.example/gw/1", &[9; 32]).unwrap();
    let log = Log::open(dir.path(), OpenOptions::new(signer)).unwrap();
    fill(&log, SEGMENT + 500).await;
    let (state, now) = (ArchiveState::default(), UnixMillis(1_000));

    // Nobody there, and not the right credentials: told without the secret, service goes on, the operator can see it.
    let storage = Storage::start();
    for (archive, what) in
        [(archive(free_port(), ID), "no connection"), (archive(storage.port, "somebody-else"), "403")]
    {
        let error = archive.round(&log, &state, now).await.unwrap_err().to_string();
        assert!(error.contains(what) && !error.contains("s3cr3t"), "{error}");
    }
    assert_eq!((state.archived(), state.waiting(), state.behind_for(UnixMillis(5_000))), (None, SEGMENT, 4_000));
    fill(&log, 1).await;

    // Connections are cut in the middle: each round gets further, and what is there is not sent again.
    let cuts = Arc::new(AtomicUsize::new(60));
    let cut = archive(cutting(storage.port, cuts.clone()), ID);
    let mut rounds = 0;
    while let Err(error) = cut.round(&log, &state, now).await {
        rounds += 1;
        assert!(rounds < 200, "never done: {error}");
    }
    assert!(rounds > 0 && cuts.load(Ordering::SeqCst) == 0, "{rounds} rounds were cut");
    assert_eq!((state.archived(), state.waiting(), state.behind_for(UnixMillis(5_000))), (Some(SEGMENT), 0, 0));
    let proven = verify(&storage, &log);
    assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
    assert!(tools::text(&proven).contains(&format!("entries: {SEGMENT}")), "{}", tools::text(&proven));

    // The next life asks the archive how far it is, and goes on there.
    fill(&log, SEGMENT).await;
    let (fresh, right) = (ArchiveState::default(), archive(storage.port, ID));
    assert_eq!(right.round(&log, &fresh, now).await.unwrap(), 2 * SEGMENT);
    let proven = verify(&storage, &log);
    assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));

    // Changed behind our back: found by whoever verifies, and never overwritten.
    let tile = storage.file("tile/entries/300");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&tile, &bytes).unwrap();
    assert_eq!(verify(&storage, &log).status.code(), Some(1));
    let note = storage.file("checkpoint");
    std::fs::remove_file(&note).unwrap();
    let error = right.round(&log, &ArchiveState::default(), now).await.unwrap_err().to_string();
    assert!(error.contains("tile/entries/300 is there already, and is something else"), "{error}");

    // Another log in the same place: nothing is mixed.
    let other_dir = tempfile::tempdir().unwrap();
    let other = Signer::from_seed("gov.example/gw/2", &[9; 32]).unwrap();
    let other = Log::open(other_dir.path(), OpenOptions::new(other)).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&tile, &bytes).unwrap();
    right.round(&log, &ArchiveState::default(), now).await.unwrap();
    fill(&other, SEGMENT + 1).await;
    let error = right.round(&other, &ArchiveState::default(), now).await.unwrap_err().to_string();
    assert!(error.contains("is not one of this log"), "{error}");
}
