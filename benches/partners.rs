//! Nanoseconds of what an outlet's filing and a lookup cost beside the rules: contract, rate, quota, cache. `cargo bench --bench partners`
//!
//! Quotas are taken in a transaction of their own here; in a filing they ride in the transaction that keeps the case. The
//! store is SQLite in a temporary folder, and PostgreSQL where `TONGBAN_TEST_POSTGRES` names a server.

use std::hint::black_box;
use std::time::Instant;

use serde_json::Value;
use tongban::lookups::{Answer, Keeping, Lookups, Question};
use tongban::partners::{Act, Contracts, EXAMPLE, ItemTerms, QuotaPlan, Rates, Standing, check};
use tongban::store::{Store, counter};
use tongban::terms::{Digest, OutletKind, Presence, UnixMillis};

const ROUNDS: usize = 9;

/// Median of nine rounds, in nanoseconds a call.
async fn row(name: &str, calls: usize, mut call: impl AsyncFnMut()) {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..calls {
            call().await;
        }
        rounds.push(start.elapsed().as_nanos() / calls as u128);
    }
    rounds.sort_unstable();
    println!("{name:<58} {:>12}", rounds[ROUNDS / 2]);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        println!("{:<58} {:>12}", "median of nine rounds, one core", "ns");
        partners().await;
        lookups().await;
    });
}

async fn partners() {
    let contracts =
        Contracts::read("example.toml", EXAMPLE, &|_, _| Standing::Open, &|_| Vec::new()).expect("the example");
    let uri = "urn:tongban:outlet:bank-nanshan-01:t1";
    row("terminal by certificate", 200_000, async || {
        drop(black_box(contracts.find_by_certificate(Digest([0; 32]), Some(black_box(uri)))));
    })
    .await;
    let (contract, terminal) = contracts.find_by_certificate(Digest([0; 32]), Some(uri)).expect("a terminal");
    let now = UnixMillis::parse_rfc3339("2026-11-25T10:00:00+08:00").expect("a time");
    let kinds = [OutletKind::Bank];
    let item =
        ItemTerms { code: "002009901000".parse().expect("a code"), presence: Presence::None, outlet_kinds: &kinds };
    let place = contract.place_of(terminal).expect("a place");
    let ask = || check(contract, terminal, Act::Receive, Some(item), place, now).expect("allowed");
    row("contract: act, item, place, hours", 200_000, async || drop(black_box(ask()))).await;
    let rates = Rates::new(&contracts);
    row("rate of a terminal", 200_000, async || drop(black_box(rates.take(contract, terminal)))).await;
    let allowed = ask();
    row("quota: the plan", 50_000, async || drop(black_box(QuotaPlan::of(&allowed, "clerk", "person")))).await;

    let folder = tempfile::tempdir().expect("a folder");
    let mut stores = vec![("SQLite", format!("sqlite:{}", folder.path().join("bench.db").display()))];
    stores.extend(std::env::var("TONGBAN_TEST_POSTGRES").ok().map(|url| ("PostgreSQL", url)));
    for (name, url) in stores {
        let store = Store::open(&url, &[]).await.expect("a store");
        let mut person = 0u64;
        let counters = |person: u64| {
            let plan = QuotaPlan::of(&allowed, "clerk", &person.to_string());
            let counter =
                |key: &tongban::partners::QuotaKey| counter::Counter { key: key.key.clone(), limit: i64::MAX };
            plan.keys().iter().map(counter).collect::<Vec<_>>()
        };
        let mut begun = store.begin().await.expect("a transaction");
        row(&format!("quota: five counters taken, {name}, no commit"), 400, async || {
            person += 1;
            let taken = counter::take(&mut begun, &counters(person), now.day()).await;
            assert!(taken.expect("the store").is_ok());
        })
        .await;
        drop(begun);
        row(&format!("quota: five counters, durable, {name}"), 100, async || {
            person += 1;
            let mut tx = store.begin().await.expect("a transaction");
            let taken = counter::take(&mut tx, &counters(person), now.day()).await;
            assert!(taken.expect("the store").is_ok());
            tx.commit(()).await.expect("durable");
        })
        .await;
        store.close().await;
    }
}

async fn lookups() {
    let lookups = Lookups::new(64 << 20);
    let question = |subject: &str| Question {
        resource: "DR-HH".into(),
        subject: subject.into(),
        purpose: "case/002009901000/419001000000".into(),
        fields: ["household_address", "household_no", "relation"].map(str::to_owned).into(),
        source: "gw-419001".into(),
    };
    let answer = || {
        let fields =
            ["household_address", "household_no", "relation"].map(|field| (field.to_owned(), Value::from("x")));
        Answer::Found { fields: fields.into(), source_version: "1".into(), fresh_s: None }
    };
    let (now, keeping) = (UnixMillis(1), Keeping::fresh(3_600));
    let asked = question("p");
    lookups.ask(&asked, keeping, now, async { Ok(answer()) }).await.expect("an answer");
    row("shared data from the cache, question made anew", 20_000, async || {
        let fact = lookups.ask(&question("p"), keeping, now, async { Ok(answer()) }).await;
        assert!(black_box(fact).expect("an answer").cached());
    })
    .await;
    let mut person = 0u64;
    row("shared data into the cache, without the call itself", 5_000, async || {
        person += 1;
        let fact = lookups.ask(&question(&person.to_string()), keeping, now, async { Ok(answer()) }).await;
        assert!(!black_box(fact).expect("an answer").cached());
    })
    .await;
}
