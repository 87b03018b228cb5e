//! A gateway killed at random under load, fifty times: every acknowledged entry is there, no older checkpoint is contradicted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tongban::audit::note::{KeyKind, Signer};
use tongban::audit::{Entry, Kind, Log, OpenOptions, Pseudonym, merkle, verify};
use tongban::terms::{Digest, UnixMillis};

const FOLDER: &str = "TONGBAN_KILL_TEST_DIR";
const ROUNDS: usize = 50;

fn signer() -> Signer {
    Signer::from_seed("kill.example/gw/1", &[5; 32]).unwrap()
}

fn open(dir: &Path) -> Log {
    let options = OpenOptions { interval: Duration::from_millis(20), ..OpenOptions::new(signer()) };
    Log::open(dir, options).unwrap()
}

/// The gateway of this test: records for ever with eight callers and says what was acknowledged.
#[test]
fn recorder() {
    let Some(dir) = std::env::var_os(FOLDER) else { return }; // only as a child of the test below
    let log = open(Path::new(&dir));
    let callers: Vec<_> = (0..8u8)
        .map(|caller| {
            let log = log.clone();
            std::thread::spawn(move || {
                for n in 0.. {
                    let entry = Entry::new(Kind::CaseEvent, UnixMillis(n)).case(Pseudonym([caller; 16]));
                    let kept = log.append_blocking(&entry).unwrap();
                    println!("kept {} {}", kept.index, kept.leaf);
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

#[test]
fn a_killed_gateway_keeps_its_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, Digest)> = Vec::new();
    let mut judged = verify::Options::new(signer().verifier(KeyKind::Ed25519));
    // How a run went is told by its seed, when it failed.
    let seed = UnixMillis::now().0;
    let mut dice = u64::from_be_bytes(Digest::of(&seed.to_be_bytes()).0[..8].try_into().unwrap());
    let mut throw = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    for round in 0..ROUNDS {
        let (answers, pause) = (throw(400), Duration::from_micros(throw(20_000)));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["recorder", "--exact", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (mut line, mut seen, before) = (Vec::new(), 0u64, acknowledged.len());
        loop {
            line.clear();
            // Killed in the middle of whatever it does a moment after so many answers; what it still said counts too.
            if seen == answers {
                std::thread::sleep(pause);
                child.kill().unwrap();
            }
            if lines.read_until(b'\n', &mut line).unwrap() == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let mut words = text.split_ascii_whitespace().skip_while(|word| *word != "kept").skip(1);
            if line.ends_with(b"\n")
                && let (Some(index), Some(leaf)) = (words.next(), words.next())
            {
                acknowledged.push((index.parse().unwrap(), leaf.parse().unwrap()));
                seen += 1;
            }
        }
        child.wait().unwrap();
        let log = open(dir.path());
        for (index, leaf) in &acknowledged[before..] {
            assert_eq!(
                merkle::leaf_hash(&log.entry(*index).unwrap()),
                *leaf,
                "seed {seed}, round {round}, entry {index}"
            );
        }
        judged.old.push(log.checkpoint().note.clone().into_bytes());
        drop(log);
        let report = verify::verify(dir.path(), &judged, &mut |_, _| {});
        assert_eq!(report.exit_code(), 0, "seed {seed}, round {round}: {}", report.text());
    }
    assert!(acknowledged.len() >= ROUNDS * 20, "seed {seed}: {} acknowledged", acknowledged.len());
    let log = open(dir.path());
    for (index, leaf) in &acknowledged {
        assert_eq!(merkle::leaf_hash(&log.entry(*index).unwrap()), *leaf, "seed {seed}, in the end, entry {index}");
    }
}
