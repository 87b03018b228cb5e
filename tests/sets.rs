//! Several logs on the command line: what they say of each other is heard by `verify` and by `search`; and what is given to a
//! verifier that is no plain file, or a server in trouble, convicts nobody and holds nobody up.

mod tools;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use tongban::audit::logset::{Head, LogSet};
use tongban::audit::note::{KeyKind, Signer, VerifierKey};
use tongban::audit::{Entry, Kind, Log, OpenOptions};
use tongban::terms::UnixMillis;

/// Makes something at a path.
type Make<'a> = &'a dyn Fn(&Path);

fn signer(origin: &str) -> Signer {
    Signer::from_seed(origin, &[7; 32]).expect("a seed makes a key")
}

fn key(origin: &str) -> VerifierKey {
    signer(origin).verifier(KeyKind::Ed25519)
}

fn open(dir: &Path, origin: &str) -> Log {
    Log::open(dir, OpenOptions::new(signer(origin))).expect("the log opens")
}

fn grow(log: &Log, count: i64) {
    for n in 0..count {
        log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(n))).expect("on record");
    }
    log.publish();
}

fn head(log: &Log) -> Head {
    let signed = log.checkpoint();
    Head { key: log.key().clone(), size: signed.size, root: signed.root }
}

fn names(log: &Log, heads: &[Head]) {
    let set = LogSet::new(heads.to_vec()).expect("a set");
    let entry = set.write(Entry::new(Kind::LogSet, UnixMillis(2_000))).expect("an entry");
    log.append_blocking(&entry).expect("on record");
    log.publish();
}

fn judged(command: &str, logs: &[&Path], more: &[&str]) -> Output {
    let keys = [key("gw/1").to_string(), key("gw/2").to_string()];
    let logs: Vec<&str> = logs.iter().map(|log| log.to_str().expect("a path")).collect();
    tools::tongban(&[&["audit", command, "--key", &keys[0], "--key", &keys[1]], &logs[..], more].concat())
}

#[test]
fn logs_of_a_set_convict_each_other_whoever_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (one, two, cut, rewritten) = (at("one"), at("two"), at("cut"), at("rewritten"));
    let (first, second) = (open(&one, "gw/1"), open(&two, "gw/2"));
    grow(&first, 40);
    grow(&second, 700);
    names(&first, &[head(&first), head(&second)]);
    names(&second, &[head(&first), head(&second)]);
    grow(&open(&cut, "gw/2"), 20);
    let changed = open(&rewritten, "gw/2");
    changed.append_blocking(&Entry::new(Kind::Deny, UnixMillis(77))).expect("on record");
    grow(&changed, 800);
    let (mine, third) = (at("old"), at("third"));
    std::fs::write(&mine, second.checkpoint().note.as_bytes()).expect("written");
    std::fs::write(&third, signer("gw/3").sign("gw/3\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"))
        .expect("written");
    // Its maps name the others as its sets do: here one that was made after the newest set.
    let mapped = at("mapped");
    let third_log = open(&mapped, "gw/1");
    names(&third_log, &[head(&third_log), head(&open(&cut, "gw/2"))]);
    let set = LogSet::new(vec![head(&third_log), head(&second)]).expect("a set");
    let map = set.write(Entry::new(Kind::Index, UnixMillis(3_000))).expect("an entry");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(third_log.append_index(map)).expect("on record");
    third_log.publish();
    drop((first, second, changed, third_log));

    let old = |path: &PathBuf| path.display().to_string();
    for log in [&one, &mapped] {
        let indexed = judged("index", &[log], &[]);
        assert!(indexed.status.success(), "{}", tools::text(&indexed));
    }
    for (command, more, exit) in [("verify", &[][..], 1), ("search", &[], 1), ("search", &["--full"], 1)] {
        let done = judged(command, &[&mapped, &cut], more);
        assert_eq!(done.status.code(), Some(exit), "{command} {more:?}: {}", tools::text(&done));
        assert!(tools::text(&done).contains("cut off"), "{command} {more:?}: {}", tools::text(&done));
    }
    for command in ["verify", "search"] {
        let done = judged(command, &[&one, &one], &[]);
        assert_eq!(done.status.code(), Some(2), "{command}: {}", tools::text(&done));
        assert!(tools::text(&done).contains("is given twice"), "{command}: {}", tools::text(&done));
    }
    for (command, second, more, exit, says) in [
        ("verify", &two, vec![], 0, "set of 2 logs"),
        ("verify", &cut, vec![], 1, "cut off"),
        ("verify", &two, vec!["--old".to_owned(), old(&mine)], 0, "set of 2 logs"),
        ("verify", &two, vec!["--old".to_owned(), old(&third)], 2, "of none of the logs"),
        ("search", &two, vec![], 0, "found"),
        ("search", &cut, vec![], 1, "cut off"),
        ("search", &rewritten, vec![], 1, "rewritten"),
        ("search", &cut, vec!["--full".to_owned()], 1, "cut off"),
        ("search", &cut, vec!["--json".to_owned()], 1, "disproven"),
    ] {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        for logs in [[&*one, &**second], [&**second, &*one]] {
            let done = judged(command, &logs, &more);
            assert_eq!(done.status.code(), Some(exit), "{command} {logs:?} {more:?}: {}", tools::text(&done));
            assert!(tools::text(&done).contains(says), "{command} {logs:?} {more:?}: {}", tools::text(&done));
        }
    }
}

/// A copy is made of what holds, and who makes it hears when the witnesses of the policy did not see it.
#[test]
fn a_copy_says_when_its_witnesses_are_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    grow(&open(&folder.path().join("log"), "gw/1"), 300);
    let witness = Signer::from_seed("w.example/1", &[9; 32]).expect("a key").verifier(KeyKind::Cosignature);
    for (quorum, exit, says) in [("none", 0, "300 entries"), ("one", 1, "the quorum of the policy did not cosign")] {
        let policy = format!("log {}\nwitness one {witness}\nquorum {quorum}\n", key("gw/1"));
        std::fs::write(folder.path().join("policy"), policy).expect("a policy");
        let line = ["audit", "mirror", &path("log"), &path(quorum), "--policy", &path("policy")];
        let copied = tools::tongban(&line);
        assert_eq!(copied.status.code(), Some(exit), "{quorum}: {}", tools::text(&copied));
        assert!(tools::text(&copied).contains(says), "{quorum}: {}", tools::text(&copied));
        assert!(folder.path().join(quorum).join("checkpoint").is_file(), "{quorum}: the copy is there");
    }
}

/// A question that was put is asked, or the command says why not: nothing that was given passes for less than it says.
#[test]
fn what_an_auditor_asks_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    grow(&open(&folder.path().join("log"), "gw/1"), 3);
    let (log, witness) = (key("gw/1"), Signer::from_seed("w.example", &[9; 32]).expect("a key"));
    let witness = witness.verifier(KeyKind::Cosignature);
    let as_log = signer("gw/1").verifier(KeyKind::Cosignature);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("empty", "");
    write("own", &format!("log {log}\nwitness a {log}\nquorum a\n"));
    write("twice", &format!("log {log}\nwitness a {witness}\nwitness b {witness}\ngroup g all a b\nquorum g\n"));
    write("stamped", &format!("log {log}\nquorum none\n#tongban max-anchor-age 600\n"));
    write("good", &format!("log {log}\nquorum none\n"));
    let (vkey, witness) = (log.to_string(), witness.to_string());
    let (own, twice, stamped, empty) = (path("own"), path("twice"), path("stamped"), path("empty"));
    for (more, exit, says) in [
        (vec!["--key", &vkey], 0, "proven"),
        (vec!["--policy", &path("good")], 0, "proven"),
        (vec!["--key", &vkey, "--tsa", &empty], 2, "no certificate in it"),
        (vec!["--key", &witness], 2, "the key of a witness, not of a log"),
        (vec!["--key", &as_log.to_string()], 2, "the key of a witness, not of a log"),
        (vec!["--policy", &own], 2, "line 2: a witness cosigns with a key of type 0x04"),
        (vec!["--policy", &twice], 2, "line 3: a key that was listed before"),
        (vec!["--policy", &stamped], 2, "nobody's count"),
    ] {
        let done = tools::tongban(&[&["audit", "verify", &path("log")], &more[..]].concat());
        assert_eq!(done.status.code(), Some(exit), "{more:?}: {}", tools::text(&done));
        assert!(tools::text(&done).contains(says), "{more:?}: {}", tools::text(&done));
        // A command line that cannot be read is no question yet.
        if says.starts_with("the key of a witness") {
            continue;
        }
        let done = tools::tongban(&[&["audit", "verify", &path("log"), "--json"], &more[..]].concat());
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("a script reads an object");
        assert_eq!(report["exit_code"], exit, "{more:?}");
    }
    // A report that finds no room takes nothing back.
    let other = key("gw/2").to_string();
    for (key, exit) in [(&vkey, 2), (&other, 1)] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tongban"));
        let done =
            command.args(["audit", "verify", &path("log"), "--key", key]).stdout(full).output().expect("it runs");
        assert_eq!(done.status.code(), Some(exit), "{}", tools::text(&done));
    }
}

/// What a hostile or broken folder holds in a file's place: read by nobody, waited for by nobody.
#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mirror) = (folder.path().join("log"), folder.path().join("mirror"));
    grow(&open(&log, "gw/1"), 600);
    let vkey = key("gw/1").to_string();
    let path = |path: &Path| path.display().to_string();
    let copied = tools::tongban(&["audit", "mirror", &path(&log), &path(&mirror), "--key", &vkey]);
    assert!(copied.status.success(), "{}", tools::text(&copied));
    let pipe = |file: &Path| {
        let done = std::process::Command::new("mkfifo").arg(file).status().expect("mkfifo is there");
        assert!(done.success());
    };
    let endless = |file: &Path| std::os::unix::fs::symlink("/dev/zero", file).expect("a link");
    let inside = |file: &Path| std::fs::create_dir(file).expect("a folder");
    let places = [
        (&log, "checkpoint"),
        (&log, "key"),
        (&log, "cosigners"),
        (&log, "pruned"),
        (&log, "segments/000000.seg"),
        (&log, "levels/0"),
        (&mirror, "checkpoint"),
        (&mirror, "tile/entries/001"),
        (&mirror, "tile/1/000.p/2"),
        (&mirror, "retention"),
    ];
    let kinds: [(&str, Make<'_>); 3] = [("a pipe", &pipe), ("without end", &endless), ("a folder", &inside)];
    for (dir, name) in places {
        for (kind, make) in kinds {
            let (file, aside) = (dir.join(name), folder.path().join("aside"));
            let was = std::fs::rename(&file, &aside).is_ok();
            make(&file);
            // A search reads no more than it needs.
            let needs = ["checkpoint", "segments/000000.seg", "tile/entries/001"].contains(&name);
            for (command, more, fails) in
                [("verify", &[][..], name != "retention"), ("search", &["--limit", "1"][..], needs)]
            {
                let log = path(dir);
                let done = tools::tongban(&[&["audit", command, &log, "--key", &vkey], more].concat());
                let want = if fails { 2 } else { 0 };
                assert_eq!(done.status.code(), Some(want), "{command} {name} {kind}: {}", tools::text(&done));
            }
            match kind {
                "a folder" => std::fs::remove_dir(&file).expect("removed"),
                _ => std::fs::remove_file(&file).expect("removed"),
            }
            if was {
                std::fs::rename(&aside, &file).expect("put back");
            }
        }
    }
    // Files that say they are terabytes long are not read to their end.
    for name in ["levels/1", "segments/000000.seg"] {
        let file = std::fs::File::options().write(true).open(log.join(name)).expect("a file");
        let len = file.metadata().expect("a length").len();
        file.set_len(1 << 42).expect("sparse");
        let done = tools::tongban(&["audit", "verify", &path(&log), "--key", &vkey]);
        assert_ne!(done.status.code(), Some(0), "{name}: {}", tools::text(&done));
        file.set_len(len).expect("as it was");
    }
    let done = tools::tongban(&["audit", "verify", &path(&log), "--key", &vkey]);
    assert_eq!(done.status.code(), Some(0), "{}", tools::text(&done));
}

/// A server that does not answer as it should has not been convicted of anything: its log may be whole.
#[test]
fn a_server_in_trouble_convicts_no_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, mirror) = (folder.path().join("log"), folder.path().join("mirror"));
    grow(&open(&log, "gw/1"), 600);
    let vkey = key("gw/1").to_string();
    let path = |path: &Path| path.display().to_string();
    let copied = tools::tongban(&["audit", "mirror", &path(&log), &path(&mirror), "--key", &vkey]);
    assert!(copied.status.success(), "{}", tools::text(&copied));
    let older = std::fs::read(mirror.join("checkpoint")).expect("a checkpoint");
    let old = folder.path().join("older");
    std::fs::write(&old, older).expect("written");
    let old = path(&old);
    for (what, head, exit) in [
        ("as it is", "", 0),
        ("busy", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", 2),
        ("too many", "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", 2),
        ("cut off", "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\nxx", 2),
        ("elsewhere", "HTTP/1.1 302 Found\r\nlocation: /checkpoint\r\ncontent-length: 0\r\n\r\n", 2),
        ("gone", "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 1),
    ] {
        for (place, more) in [
            ("/tile/entries/001", &[][..]),
            ("/tile/entries/001", &["--old", &old][..]),
            ("/tile/0/002.p/88", &["--since", &old][..]),
            ("/tile/0/002.p/88", &["--sample", "600"][..]),
        ] {
            let url = serve(&mirror, place, head);
            let asked = ["audit", "verify", &url, "--key", &vkey, "--timeout", "2"];
            let done = tools::tongban(&[&asked[..], more].concat());
            assert_eq!(done.status.code(), Some(exit), "{what}, {place} {more:?}: {}", tools::text(&done));
        }
    }
    // A copy that was broken off while it wrote beside a file is as good as before.
    std::fs::write(mirror.join("tile/entries/001.part"), b"half").expect("written");
    let done = tools::tongban(&["audit", "verify", &path(&mirror), "--key", &vkey]);
    assert_eq!(done.status.code(), Some(0), "{}", tools::text(&done));
}

/// Serves a mirror, with `instead` for one path where it is not empty, until the process ends.
fn serve(mirror: &Path, odd: &'static str, instead: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mirror = mirror.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mirror = mirror.clone();
            std::thread::spawn(move || answer(stream, &mirror, odd, instead));
        }
    });
    url
}

/// One request, one answer, and the connection ends.
fn answer(mut stream: std::net::TcpStream, mirror: &Path, odd: &str, instead: &str) {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut octet).is_ok() {
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/");
    if path == odd && !instead.is_empty() {
        let _ = stream.write_all(instead.as_bytes());
        return;
    }
    let answer = match std::fs::read(mirror.join(path.trim_start_matches('/'))) {
        Ok(body) => [
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(),
            &body,
        ]
        .concat(),
        Err(_) => b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    let _ = stream.write_all(&answer);
}
