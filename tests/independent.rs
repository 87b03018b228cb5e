//! The log and the witness of live gateways, judged by programs that share nothing with them (`tests/tools/tlog`, written in
//! Python from the C2SP specifications), and every change of one octet rejected, by them and by the project's own verifier.

mod federation;
mod tools;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use federation::{Federation, Headers, Window};
use serde_json::{Value, json};
use tongban::app::demo::world::{B, World};
use tongban::app::demo::{directory, jws, pki};
use tongban::audit::note::{KeyKind, Note, Signer, VerifierKey};
use tongban::audit::verify::{Fetch, Options, verify_tree};
use tongban::federation::directory::MemberLog;
use tongban::federation::signed;
use tongban::terms::UnixMillis;
use tongban::trust::suite::SignatureAlgorithm;

const REQUESTS: usize = 10_000;
const CALLERS: usize = 12;
/// Octets changed for the independent verifier, in the whole log, and for ours, in an early copy of it.
const MUTATIONS: usize = 4_000;
const OWN_MUTATIONS: usize = 2_000;

fn python(script: &str, args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/tlog").join(script);
    Command::new("python3").arg("-B").arg(script).args(args).output().expect("python3 runs")
}

fn said(output: &Output) -> Value {
    assert!(output.status.success(), "{}", tools::text(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// How often which request got which answer.
type Seen = BTreeMap<(&'static str, u16), usize>;

/// Everybody's requests, good and bad.
struct Crowd {
    federation: Federation,
    window: Window,
    outlet: Window,
    stranger: Window,
    both: Headers,
    outlet_clerk: Headers,
    licence: Vec<u8>,
    case: String,
}

impl Crowd {
    async fn one(&self, n: usize) -> (&'static str, u16) {
        let json = |value: Value| Some(("application/json", value.to_string().into_bytes()));
        let case = format!("/v1/cases/{}", self.case);
        let (what, answer) = match n % 25 {
            0 if n.is_multiple_of(50) => {
                ("filing", self.federation.file(&self.window, &self.both, "419001", None).await)
            }
            0 => {
                let body = Some(("application/ofd", self.licence.clone()));
                let url = "/v1/verify?purpose=counter&consent=true";
                ("licence", self.window.send("POST", url, &self.both, body).await)
            }
            1 => {
                let ask = json!({"resource": "DR-HH", "case": self.case, "purpose": "case", "consent": true});
                ("lookup", self.window.send("POST", "/v1/lookups", &self.both, json(ask)).await)
            }
            2..=5 => {
                let ask = json(json!({"resource": n}));
                ("bad lookup", self.window.send("POST", "/v1/lookups", &self.both, ask).await)
            }
            6..=9 => ("outlet", self.outlet.get(&case, &self.outlet_clerk).await),
            10 => {
                let wrong = vec![("authorization", format!("Bearer {n}.x.y"))];
                ("stranger", self.stranger.get("/v1/cases", &wrong).await)
            }
            11 => ("nowhere", self.window.get("/v1/nothing/here", &self.both).await),
            12..=15 => ("items", self.window.get("/v1/items?q=%E6%88%B7%E7%B1%8D", &self.both).await),
            _ => ("reading", self.window.get(&case, &self.both).await),
        };
        (what, answer.status)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_log_holds_before_strangers_and_no_changed_octet_does() {
    tools::needs("python3");
    let federation = Federation::start(4).await;
    let gateway = federation.told["gateways"][0].clone();
    let text = |name: &str| gateway[name].as_str().expect("text").to_owned();
    let (log, key, ca) = (text("log"), text("log_key"), text("ca"));
    let world = World::open(federation.folder.path()).expect("a world");
    let (cert, client_key) = world.client("audit-440305");
    let own = federation.folder.path().join("independent");
    std::fs::create_dir(&own).expect("a folder");

    let bearer = |who: &str| ("authorization", format!("Bearer {}", federation.token(who)));
    let both = vec![bearer("clerk"), ("tongban-subject-token", federation.token("citizen"))];
    let window = federation.client("window", 0);
    let filed = federation.file(&window, &both, "419001", None).await;
    let crowd = Arc::new(Crowd {
        window,
        outlet: federation.client("outlet", 0),
        stranger: federation.anybody(0),
        outlet_clerk: vec![bearer("E-9001")],
        case: filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned(),
        licence: federation.licence(),
        both,
        federation,
    });

    // Every checkpoint that is shown meanwhile is kept.
    let (over, polled) = (Arc::new(AtomicBool::new(false)), own.clone());
    let reader = crowd.federation.log_reader("audit-440305", 0);
    let watch = {
        let over = over.clone();
        tokio::spawn(async move {
            let mut all: BTreeMap<String, PathBuf> = BTreeMap::new();
            while !over.load(Ordering::Relaxed) {
                let note = reader.get("/checkpoint", &Headers::new()).await;
                assert_eq!(note.status, 200, "{}", note.text());
                let body = String::from_utf8(note.bytes.clone()).expect("text");
                let head: String = body.lines().take(3).collect();
                let file = polled.join(format!("checkpoint.{}", all.len()));
                if let Entry::Vacant(new) = all.entry(head) {
                    std::fs::write(&file, &note.bytes).expect("written");
                    new.insert(file);
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            all.into_values().collect::<Vec<_>>()
        })
    };
    let early = own.join("early");
    let mirror = |to: &Path| {
        let line = ["audit", "mirror", &log, &to.display().to_string(), "--key", &key, "--ca", &ca].map(str::to_owned);
        let who = ["--cert", &cert.display().to_string(), "--client-key", &client_key.display().to_string()]
            .map(str::to_owned);
        let line = line.iter().chain(&who).map(String::as_str).collect::<Vec<_>>();
        let done = tools::tongban(&line);
        assert!(done.status.success(), "{}", tools::text(&done));
    };
    let next = Arc::new(AtomicUsize::new(0));
    let send = async |upto: usize| {
        let callers = (0..CALLERS).map(|_| {
            let (crowd, next) = (crowd.clone(), next.clone());
            tokio::spawn(async move {
                let mut seen: Seen = Seen::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= upto {
                        return seen;
                    }
                    let (what, status) = crowd.one(n).await;
                    assert!(status < 500, "{what}: {status}");
                    *seen.entry((what, status)).or_default() += 1;
                }
            })
        });
        let mut seen: Seen = Seen::new();
        for caller in callers.collect::<Vec<_>>() {
            for (answer, count) in caller.await.expect("a caller") {
                *seen.entry(answer).or_default() += count;
            }
        }
        next.store(upto, Ordering::Relaxed);
        seen
    };
    send(REQUESTS / 20).await;
    mirror(&early);
    let seen = send(REQUESTS).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await; // the last entries are signed within a second
    over.store(true, Ordering::Relaxed);
    let polled = watch.await.expect("it watches");

    let cosigner = crowd.federation.log_reader("audit-419001", 1).get("/witness", &Headers::new()).await;
    let cosigner = String::from_utf8(cosigner.bytes).expect("text");
    let mut line = vec![log.as_str(), "--key", &key, "--witness", cosigner.trim(), "--ca", &ca, "--cert"];
    let (cert_file, key_file) = (cert.display().to_string(), client_key.display().to_string());
    let (count, olds) =
        (MUTATIONS.to_string(), polled.iter().map(|file| file.display().to_string()).collect::<Vec<_>>());
    line.extend([&*cert_file, "--client-key", &*key_file, "--mutate", &*count, "--old"]);
    line.extend(olds.iter().map(String::as_str));
    let judged = said(&python("verify.py", &line));
    println!("{seen:?} {judged}");
    // All kinds of requests, each with the answer it is due.
    for (what, status, least) in [
        ("filing", 202, 100),
        ("licence", 200, 100),
        ("lookup", 403, 200), // without the applicant's paper
        ("reading", 200, 3_000),
        ("items", 200, 1_000),
        ("bad lookup", 422, 1_000),
        ("outlet", 404, 1_000),
        ("stranger", 401, 200),
        ("nowhere", 404, 200),
    ] {
        assert!(seen.get(&(what, status)) >= Some(&least), "{what} {status}: {seen:?}");
    }
    assert!(judged["size"].as_u64() > Some(9_000) && polled.len() > 20, "{judged}, {} checkpoints", polled.len());
    let mutated = &judged["mutated"];
    assert_eq!(
        mutated["rejected"].as_u64().zip(mutated["harmless"].as_u64()).map(|(a, b)| a + b),
        Some(MUTATIONS as u64)
    );

    // A copy tells the same as the log itself, to the stranger and to us; and a checkpoint of another log is no past of it.
    let copy = own.join("copy");
    mirror(&copy);
    let copy = copy.display().to_string();
    assert!(said(&python("verify.py", &[&copy, "--key", &key]))["size"].as_u64() >= judged["size"].as_u64());
    let proven =
        tools::tongban(&["audit", "verify", &copy, "--key", &key, "--old", &olds[0], olds.last().expect("some")]);
    assert_eq!(proven.status.code(), Some(0), "{}", tools::text(&proven));
    own_verifier(&early, &key.parse().expect("a key"));
    witness_client(&crowd.federation, &world);
}

/// A log in memory, of which one octet can be changed.
#[derive(Clone)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Fetch for Files {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }
}

/// The project's verifier rejects every changed octet, but for signature lines of others than the log.
fn own_verifier(mirror: &Path, key: &VerifierKey) {
    let mut files = BTreeMap::new();
    for file in tools::files(mirror) {
        let path = file.strip_prefix(mirror).expect("below").display().to_string();
        if path == "checkpoint" || path.starts_with("tile/") {
            files.insert(path, std::fs::read(&file).expect("readable"));
        }
    }
    let (files, options) = (Files(files), Options::new(key.clone()));
    let whole = verify_tree(&files, &options, &mut |_, _| {});
    assert_eq!(whole.exit_code(), 0, "{}", whole.text());
    let names: Vec<String> = files.0.keys().cloned().collect();
    let own = |octets: &[u8]| {
        let note = Note::parse(octets).ok()?;
        let lines = note.signatures().iter().filter(|line| line.name == key.name() && line.key_id == key.id());
        Some((note.text().to_owned(), lines.map(|line| line.signature().to_vec()).collect::<Vec<_>>()))
    };
    let change = |dice: &str| {
        let (mut files, mut dice, mut harmless) = (files.clone(), tools::Dice::new(dice), 0);
        for n in 0..OWN_MUTATIONS / 2 {
            let name = &names[dice.below(names.len() as u64) as usize];
            let name = if n % 10 == 0 { "checkpoint" } else { name };
            let octets = files.0[name].clone();
            let (at, bit) = (dice.below(octets.len() as u64) as usize, 1 + dice.below(255) as u8);
            files.0.get_mut(name).expect("it is there")[at] ^= bit;
            if verify_tree(&files, &Options::new(key.clone()), &mut |_, _| {}).exit_code() == 0 {
                let same = name == "checkpoint" && own(&files.0[name]) == own(&octets);
                assert!(same, "{name}: octet {at} ^ {bit:#x} passes");
                harmless += 1;
            }
            files.0.insert(name.to_owned(), octets);
        }
        harmless
    };
    let harmless: usize = std::thread::scope(|scope| {
        let halves = ["octets", "more octets"].map(|dice| scope.spawn(|| change(dice)));
        halves.map(|half| half.join().expect("no panic")).iter().sum()
    });
    println!("{OWN_MUTATIONS} octets changed in {} entries: {harmless} of them harmless", whole.entries);
    assert!(harmless < OWN_MUTATIONS / 10);
}

/// A log that only the directory knows asks the second gateway to cosign, in every way there is.
fn witness_client(federation: &Federation, world: &World) {
    let (origin, seed) = ("independent.example/log", [0x42; 32]);
    let mut listed = directory::read(world, UnixMillis::now()).expect("a directory");
    let key = Signer::from_seed(origin, &seed).expect("a signer").verifier(KeyKind::Ed25519);
    listed.members[0].logs.push(MemberLog { url: "https://127.0.0.1:9".into(), keys: vec![key] });
    listed.version += 1;
    let operator =
        pki::key(&world.federation().join("operator.key"), SignatureAlgorithm::EcdsaP256Sha256).expect("a key");
    let input = signed::signing_input(&serde_json::to_vec(&listed).expect("JSON"));
    let signature = jws::sign(&operator, input.as_bytes()).expect("signed");
    std::fs::write(world.directory(), signed::assemble(&input, &signature)).expect("written");
    let taken = tools::tongban(&["reload", "--config", &world.config(B).display().to_string()]);
    assert!(taken.status.success(), "{}", tools::text(&taken));
    let url = federation.told["gateways"][1]["log"].as_str().expect("an address");
    let ca = world.tls_anchors(B).display().to_string();
    let seed = seed.map(|b| format!("{b:02x}")).concat();
    println!("{}", said(&python("witness.py", &[url, "--origin", origin, "--seed", &seed, "--ca", &ca])));
}
