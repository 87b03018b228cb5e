//! Nanoseconds of a policy decision: every rule evaluated, and the memo. `cargo bench --bench policy`

use std::hint::black_box;
use std::time::Instant;

use tongban::policy::{Ask, PolicySet, embedded_cases, run_cases};
use tongban::terms::UnixMillis;

const ROUNDS: usize = 9;
const CALLS_PER_ROUND: usize = 20_000;

fn main() {
    let set = PolicySet::embedded().expect("the shipped policies load");
    let run = run_cases(&set, &embedded_cases()).expect("the shipped cases are readable");
    println!("{} rules, {} cases", set.rules().len(), run.outcomes.len());
    println!("{:<58} {:>12} {:>9}", "median of nine rounds, ns a decision", "evaluated", "memo");
    for name in [
        "A window files across provinces for a person who is present",
        "A bank files a listed item for a customer who is present",
        "A marriage cannot be filed at a bank",
        "The owner accepts a complete case",
        "A window looks up the household for the case at hand",
        "A person reaches the fund system",
        "A case for a place of ours is taken from a peer",
        "A stranger gets the same answer as for a case that is not there",
    ] {
        let ask = &run.outcomes.iter().find(|o| o.en == name).expect("a shipped case").ask;
        let evaluated = median(ask, |ask| drop(black_box(set.evaluate(ask, UnixMillis(0)))));
        let memo = median(ask, |ask| drop(black_box(set.decide(ask, UnixMillis(0)))));
        println!("{name:<58.58} {evaluated:>12} {memo:>9}");
    }
}

fn median(ask: &Ask, call: impl Fn(&Ask)) -> u128 {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS_PER_ROUND).for_each(|_| call(black_box(ask)));
            start.elapsed().as_nanos() / CALLS_PER_ROUND as u128
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}
