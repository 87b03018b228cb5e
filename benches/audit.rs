//! Entries a second of the audit log against raw append + fdatasync of the same disk in the same run.
//!
//! `cargo bench --bench audit [-- SECONDS]`; the folder is made below `TONGBAN_BENCH_DIR` or the temporary directory,
//! and stays when `TONGBAN_BENCH_KEEP` is set. With `TONGBAN_BENCH_ENTRIES`, one log of so many entries, three of each case, is
//! written and verified instead: what a verifier of years has before it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tongban::audit::entry::{Actor, Decision, Evidence, Jurisdiction, Node, Outcome, Purpose, Request, Subject};
use tongban::audit::note::{KeyKind, Signer};
use tongban::audit::{Entry, Kind, Log, OpenOptions, Pseudonym, Word, verify};
use tongban::terms::{Digest, UnixMillis};

fn main() {
    let seconds: f64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(3.0);
    let run = Duration::from_secs_f64(seconds);
    let base = std::env::var_os("TONGBAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = base.join(format!("tongban-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder for the bench");
    if let Some(entries) = std::env::var("TONGBAN_BENCH_ENTRIES").ok().and_then(|text| text.parse::<u64>().ok()) {
        let folder = dir.join("log");
        log(&folder, 256, move |n, _| n < entries / 256, 3).print("256", 1.0);
        println!("{} with the key {}", folder.display(), signer().verifier(KeyKind::Ed25519));
        verification(&folder);
        tidy(&dir);
        return;
    }
    println!("entry: {} bytes encoded", sample(0, 8).encode().expect("a sample encodes").max_len() - 200);
    let encode = Instant::now();
    let n = 20_000;
    (0..n).for_each(|n| drop(std::hint::black_box(sample(n, 8).encode())));
    println!("build and encode: {:.2} us an entry", encode.elapsed().as_secs_f64() * 1e6 / n as f64);
    println!("{:>12} {:>10} {:>7} {:>9} {:>9} {:>8}", "callers", "entries/s", "x raw", "p50 us", "p99 us", "CPU us");
    let raw = raw(&dir, run);
    raw.print("raw", raw.rate);
    for callers in [1, 16, 64, 256] {
        let folder = dir.join(format!("log-{callers}"));
        log(&folder, callers, move |_, elapsed| elapsed < run, 8).print(&callers.to_string(), raw.rate);
        if callers == 256 {
            verification(&folder);
        }
    }
    tidy(&dir);
}

fn tidy(dir: &Path) {
    if std::env::var_os("TONGBAN_BENCH_KEEP").is_none() {
        std::fs::remove_dir_all(dir).expect("the bench's folder goes");
    }
}

/// Rate, latencies in microseconds, CPU microseconds an entry.
struct Figures {
    rate: f64,
    latencies: Vec<f64>,
    cpu: f64,
}

impl Figures {
    fn new(mut latencies: Vec<f64>, elapsed: Duration, cpu: Duration) -> Self {
        latencies.sort_unstable_by(f64::total_cmp);
        let count = latencies.len().max(1) as f64;
        Self { rate: count / elapsed.as_secs_f64(), latencies, cpu: cpu.as_secs_f64() * 1e6 / count }
    }

    fn at(&self, part: f64) -> f64 {
        let place = (self.latencies.len() as f64 * part) as usize;
        self.latencies.get(place.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }

    fn print(&self, name: &str, raw: f64) {
        let (rate, p50, p99) = (self.rate, self.at(0.5), self.at(0.99));
        println!("{name:>12} {rate:>10.0} {:>7.2} {p50:>9.0} {p99:>9.0} {:>8.2}", rate / raw, self.cpu);
    }
}

/// User and system time of this process (fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// One caller, one write and one fdatasync an entry.
fn raw(dir: &Path, run: Duration) -> Figures {
    let mut file = File::create(dir.join("raw")).expect("a file for the raw rate");
    let (bytes, start, before) = (vec![b'x'; 700], Instant::now(), cpu());
    let mut latencies = Vec::new();
    while start.elapsed() < run {
        let at = Instant::now();
        file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk works");
        latencies.push(at.elapsed().as_secs_f64() * 1e6);
    }
    Figures::new(latencies, start.elapsed(), cpu() - before)
}

fn signer() -> Signer {
    Signer::from_seed("bench.example/gw/1", &[7; 32]).expect("a fixed seed makes a key")
}

/// `go_on`: whether a caller that has written so many entries in that time writes one more.
fn log(
    dir: &Path,
    callers: u64,
    go_on: impl Fn(u64, Duration) -> bool + Copy + Send + 'static,
    of_a_case: u64,
) -> Figures {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let log = Log::open(dir, OpenOptions::new(signer())).expect("a new log");
    let (start, before) = (Instant::now(), cpu());
    let latencies = runtime.block_on(async {
        let caller = |caller: u64| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let mut n = 0;
                while go_on(n, start.elapsed()) {
                    let entry = sample(caller << 32 | n, of_a_case);
                    n += 1;
                    let at = Instant::now();
                    log.append(&entry).await.expect("the log takes it");
                    latencies.push(at.elapsed().as_secs_f64() * 1e6);
                }
                latencies
            })
        };
        let tasks: Vec<_> = (0..callers).map(caller).collect();
        let mut all = Vec::new();
        for task in tasks {
            all.append(&mut task.await.expect("a caller ends well"));
        }
        all
    });
    let figures = Figures::new(latencies, start.elapsed(), cpu() - before);
    runtime.block_on(log.close());
    figures
}

fn verification(dir: &Path) {
    let options = verify::Options::new(signer().verifier(KeyKind::Ed25519));
    let (start, before) = (Instant::now(), cpu());
    let report = verify::verify(dir, &options, &mut |_, _| {});
    assert_eq!(report.exit_code(), 0, "{}", report.text());
    let (wall, used) = (start.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64());
    let entries = report.entries as f64;
    println!(
        "verification: {:.0} entries/s, {:.2} us CPU an entry ({entries} entries)",
        entries / wall,
        used * 1e6 / entries
    );
    let start = Instant::now();
    drop(Log::open(dir, OpenOptions::new(signer())).expect("the log opens again"));
    println!("opening with recovery: {:.0} entries/s", entries / start.elapsed().as_secs_f64());
}

fn word(text: &str) -> Option<Word> {
    Word::new(text).ok()
}

/// An entry as a gateway writes it for a passed request; so many have the same case.
fn sample(n: u64, of_a_case: u64) -> Entry {
    let mut case = [0; 16];
    case[..8].copy_from_slice(&(n / of_a_case).to_le_bytes());
    let trace = Word::new(&format!("{n:032x}")).expect("hexadecimal is a word");
    Entry::new(Kind::DataRead, UnixMillis(1_771_000_000_000))
        .trace(trace)
        .case(Pseudonym(case))
        .node(Node { name: word("gw-1") })
        .actor(Actor { kind: word("clerk"), staff: word("S0017"), terminal: word("W-03"), ..Actor::default() })
        .subj(Subject { epoch: Some(2026), pid: Some(Pseudonym(case)) })
        .why(Purpose { purpose: word("P01"), basis: word("L-17"), ..Purpose::default() })
        .jur(Jurisdiction { route: word("cross-province"), ..Jurisdiction::default() })
        .req(Request { method: word("POST"), route: word("/v1/cases") })
        .dec(Decision { verdict: word("allow"), policy: Some(Digest([8; 32])), ..Decision::default() })
        .evidence(Evidence { r#type: word("licence"), digest: Some(Digest([9; 32])), ..Evidence::default() })
        .out(Outcome { status: Some(202), ..Outcome::default() })
}
