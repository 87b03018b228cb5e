//! CPU and time of whole requests through a running gateway, over mutual TLS: what shares of them are. `cargo bench --bench filing`
//!
//! The demonstration runs as processes of its own, so that the CPU of each gateway is its own, whoever asks: for a filing that
//! covers everything up to the last message that is delivered for it. Run it with `--bench identity --bench policy --bench partners`
//! to have the parts of the same run.

#[path = "../tests/federation/mod.rs"]
mod federation;

use std::time::{Duration, Instant};

use federation::{Federation, Headers, Window};
use serde_json::Value;

const FILINGS: u32 = 100;
const READINGS: u32 = 1_000;
/// Clock ticks a second in `/proc/PID/stat`, on every Linux machine there is.
const TICKS: u64 = 100;
/// Nothing is under way any more when no gateway has used CPU for so long.
const QUIET: Duration = Duration::from_secs(3);

/// CPU that a process has used, user and system, in ticks.
fn used(pid: i64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the gateway runs");
    let after_name = stat.rsplit(") ").next().expect("a name in brackets");
    let fields: Vec<&str> = after_name.split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

struct Gateways(Vec<i64>);

impl Gateways {
    fn of(federation: &Federation) -> Self {
        let all = federation.told["gateways"].as_array().expect("gateways");
        Self(all.iter().map(|gateway| gateway["pid"].as_i64().expect("a process")).collect())
    }

    fn used(&self) -> Vec<u64> {
        self.0.iter().map(|pid| used(*pid)).collect()
    }

    /// Waits until what was begun is over.
    async fn settle(&self) {
        let mut last = self.used().iter().sum::<u64>();
        loop {
            tokio::time::sleep(QUIET).await;
            let now = self.used().iter().sum::<u64>();
            // A gateway that has nothing to do looks around now and then.
            if now - last <= TICKS / 10 {
                return;
            }
            last = now;
        }
    }

    /// Runs `call` so many times and tells what each cost.
    async fn row(&self, name: &str, times: u32, mut call: impl AsyncFnMut()) {
        self.settle().await;
        let (before, begun) = (self.used(), Instant::now());
        for _ in 0..times {
            call().await;
        }
        let wall = begun.elapsed().as_micros() / u128::from(times);
        self.settle().await;
        let each = |n: usize, after: &[u64]| (after[n] - before[n]) * 1_000_000 / TICKS / u64::from(times);
        let after = self.used();
        println!("{name:<58} {wall:>10} {:>10} {:>10}", each(0, &after), each(1, &after));
    }
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let federation = Federation::start(0).await;
        let (gateways, window) = (Gateways::of(&federation), federation.client("window", 0));
        let both: Headers = vec![
            ("authorization", format!("Bearer {}", federation.token("clerk"))),
            ("tongban-subject-token", federation.token("citizen")),
        ];
        println!("{:<58} {:>10} {:>10} {:>10}", "microseconds for each, one caller", "wall", "CPU at A", "CPU at B");
        let own = window.clone();
        let guide = async || assert_eq!(own.get("/v1/items/002009901000", &Headers::new()).await.status, 200);
        gateways.row("a guide: TLS and HTTP, nobody is asked who", READINGS, guide).await;
        let no = file(&federation, &window, &both).await;
        let path = format!("/v1/cases/{no}");
        let read = async || assert_eq!(window.get(&path, &both).await.status, 200);
        gateways.row("a case read at the window: two tokens, rules, one line", READINGS, read).await;
        let (files, own) = (&federation, &window);
        gateways
            .row("a filing: all of it, to the result at both gateways", FILINGS, async || {
                let _ = file(files, own, &both).await;
            })
            .await;
    });
}

async fn file(federation: &Federation, window: &Window, both: &Headers) -> String {
    let filed = federation.file(window, both, "419001", None).await;
    match &filed.json["case"] {
        Value::String(no) => no.clone(),
        _ => panic!("{}", filed.text()),
    }
}
