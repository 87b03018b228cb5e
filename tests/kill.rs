//! Killed at any moment, started again: every case arrives exactly once, and no log is broken.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::Row;

/// How often the whole federation is killed.
const KILLS: u64 = 20;

fn demo(folder: &Path, base: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tongban"));
    command.args(["demo", "--once", "--port-base", &base.to_string(), "--data"]).arg(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A small generator with a fixed seed: the same moments at every run of the test.
fn moments() -> impl Iterator<Item = Duration> {
    let mut state = 0x2026_1125_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(300 + (state >> 33) % 3_500)
    })
}

fn killed(mut child: Child, after: Duration) {
    std::thread::sleep(after);
    let _ = child.kill(); // SIGKILL: nothing is flushed, nothing is told
    let _ = child.wait();
}

async fn column(folder: &Path, gateway: &str, sql: &'static str) -> Vec<String> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", folder.join(gateway).join("data/store.db").display());
    let pool = sqlx::AnyPool::connect(&url).await.expect("the store opens");
    let rows = sqlx::query(sql).fetch_all(&pool).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn killed_twenty_times_every_case_arrives_once() {
    let folder = tempfile::tempdir().unwrap();
    let base = 52_000 + (std::process::id() % 100) as u16 * 30;
    for after in moments().take(KILLS as usize) {
        killed(demo(folder.path(), base).spawn().expect("the binary runs"), after);
    }
    let last = demo(folder.path(), base).stdout(Stdio::piped()).output().expect("the binary runs");
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stdout));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sent, waiting, taken) = runtime.block_on(async {
        let collected = "SELECT no FROM case_record WHERE side = 'collecting'";
        (
            column(folder.path(), "gw-440305", collected).await,
            column(folder.path(), "gw-440305", "SELECT id FROM outbox WHERE done_at IS NULL").await,
            column(folder.path(), "gw-419001", "SELECT no FROM case_record WHERE side = 'owning'").await,
        )
    });
    assert!(sent.len() > 3, "cases were filed between the kills: {}", sent.len());
    assert_eq!(waiting, Vec::<String>::new(), "nothing waits to be sent");
    let once: BTreeSet<_> = taken.iter().collect();
    assert_eq!(once.len(), taken.len(), "no case is there twice");
    assert_eq!(once, sent.iter().collect(), "every case that was kept arrived, and no other");
}
