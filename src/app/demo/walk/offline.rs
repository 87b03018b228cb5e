//! The proof, by an outsider's means: the same program, the files, and whom to trust; no gateway is asked.
//!
//! ```text
//!  papers/<case>/*.ofd ── tongban verify ──▶ seals hold ──┐
//!          └ SHA-256 ─────────────────────────────────────┼─▶ each paper has its line in a log that is whole
//!  gw-…/data/log ──────── tongban audit verify ──▶ whole ─┘
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::steps::Papers;
use super::{Teller, path};
use crate::app::demo::World;
use crate::app::demo::directory;
use crate::app::demo::world::{A, B, GATEWAYS};
use crate::terms::{Digest, UnixMillis};

/// Proves the case; `None` when the walk did not come so far: then only the logs.
pub async fn walk(teller: &mut Teller, world: &World, papers: Option<&Papers>) {
    teller.chapter("离线核验：同一程序，只凭文件", "Offline verification: the same program, from the files alone");
    if let Err(why) = all(teller, world, papers).await {
        teller.fail(why);
    }
}

async fn all(teller: &mut Teller, world: &World, papers: Option<&Papers>) -> Result<(), String> {
    let mut commands = Vec::new();
    if let Some(papers) = papers {
        teller.work("核验本案全部文书和证照", "Every paper of the case, and the licence attached");
        let line = ["verify", "--policy", &path(&world.trust()), &path(&papers.folder)].map(str::to_owned);
        let said = command(&line).await?;
        let passed =
            |name: &str| said.contains(&format!("{} [OFD]: TOTAL-PASSED\n", papers.folder.join(name).display()));
        let passed = papers.digests.keys().filter(|name| passed(name)).count();
        if passed != papers.digests.len() {
            return Err(format!("{passed} of {} papers passed:\n{said}", papers.digests.len()));
        }
        let names: Vec<_> = papers.digests.keys().map(String::as_str).collect();
        teller.done(&format!("TOTAL-PASSED × {passed}: {}", names.join(" · ")), &path(&papers.folder));
        commands.push(line.to_vec());
    }
    for gateway in [A, B] {
        let id = GATEWAYS[gateway].id;
        teller.work(&format!("核验 {id} 的日志"), &format!("The log of {id}"));
        let log = path(&world.gateway(gateway).join("data/log"));
        let gm = command(&["audit", "key", "--gm", &log].map(str::to_owned)).await?;
        let line = ["audit", "verify", &log, "--key", &log_key(world, gateway)?, "--gm", gm.trim()].map(str::to_owned);
        let said = proven(&line).await?;
        let words = ["日志 log", "根哈希 root", "完整性", "办件链", "商用密码"];
        let told: Vec<_> = said.lines().filter(|line| words.iter().any(|w| line.contains(w))).collect();
        teller.done(&told.join(" · "), &log);
        commands.push(line.to_vec());
    }
    receipts(teller, world).await?;
    if let Some(papers) = papers {
        evidence(teller, world, papers).await?;
    }
    teller.screen.line("");
    teller.hint("自行核验 verify it yourself:");
    for line in commands {
        let words: Vec<_> = line.iter().map(|word| quoted(word)).collect();
        teller.screen.line(format_args!("      {} {}", program(), words.join(" ")));
    }
    Ok(())
}

/// What one gateway says the other received stands in the other's log: a line dropped on one side shows on the other.
async fn receipts(teller: &mut Teller, world: &World) -> Result<(), String> {
    teller.work("互为凭据：对端回执在对端日志中", "Each peer's receipt is in that peer's own log");
    let [log, peer] = [A, B].map(|gateway| path(&world.gateway(gateway).join("data/log")));
    let (own, other) = (log_key(world, A)?, log_key(world, B)?);
    let line = ["audit", "verify", &log, "--key", &own, "--peer", &peer, "--peer-key", &other].map(str::to_owned);
    let said = match proven(&line).await {
        Ok(said) => said,
        // A gateway that was killed at its end has entries that no signature covers yet; the next start signs them.
        Err(said) if only_unsigned(&said) => said,
        Err(why) => return Err(why),
    };
    let told: Vec<_> = said.lines().filter(|line| line.contains("对端回执")).map(str::trim).collect();
    if told.len() < 2 {
        return Err(format!("no receipt was looked up:\n{said}"));
    }
    teller.done(&told.join(" · "), &peer);
    Ok(())
}

/// Whether nothing was found but receipts beyond the peer's last checkpoint.
fn only_unsigned(said: &str) -> bool {
    let mut faults = said.lines().filter(|line| line.starts_with('!')).peekable();
    faults.peek().is_some() && faults.all(|line| line.ends_with("or not signed yet"))
}

/// The verdict on a log. One that is being written may look torn for a moment; one that is torn stays so.
async fn proven(line: &[String]) -> Result<String, String> {
    // Longer than a gateway that keeps ending is left alone before it is started again.
    const TRIES: u32 = 30;
    const PAUSE: Duration = Duration::from_millis(500);
    for _ in 1..TRIES {
        if let Ok(said) = command(line).await {
            return Ok(said);
        }
        tokio::time::sleep(PAUSE).await;
    }
    command(line).await
}

/// Lines of a log, in order.
async fn lines(world: &World, gateway: usize) -> Result<Vec<Value>, String> {
    let log = path(&world.gateway(gateway).join("data/log"));
    let said = command(&["audit", "show", &log].map(str::to_owned)).await?;
    said.lines().map(|line| serde_json::from_str(line).map_err(|e| format!("{log}: {e}"))).collect()
}

/// The digests that a line gives as evidence.
fn digests(line: &Value) -> impl Iterator<Item = &str> {
    line["ev"].as_array().into_iter().flatten().filter_map(|e| e["digest"].as_str())
}

/// Every paper, the sealed case file and every lookup have their lines in the logs.
async fn evidence(teller: &mut Teller, world: &World, papers: &Papers) -> Result<(), String> {
    teller.work("文书、封包、查询均在日志中有据", "Each paper has its line in a log");
    let logs = [lines(world, A).await?, lines(world, B).await?];
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    for (gateway, log) in logs.iter().enumerate() {
        for (index, line) in log.iter().enumerate() {
            for digest in digests(line) {
                places.entry(digest).or_insert_with(|| format!("{} #{index}", GATEWAYS[gateway].id));
            }
        }
    }
    let mut told = Vec::new();
    for (name, digest) in &papers.digests {
        let place = places.get(digest.as_str()).ok_or_else(|| format!("{name} ({digest}) has no line in a log"))?;
        told.push(format!("{name} {place}"));
    }
    teller.done_as(
        &format!("办件 {} 的每份文书在日志中都有据", papers.case),
        "Each paper of the case has its line in a log, by SHA-256",
        &told.join(" · "),
        &path(&papers.folder),
    );

    teller.work("案卷过境：发出、收到、送达的是同一封包", "The case file that was sent, taken and delivered is one");
    let receipt = papers.digests.get("collection-receipt.ofd").map(String::as_str);
    let filed = logs[A].iter().find(|line| digests(line).any(|d| Some(d) == receipt));
    let filed = filed.ok_or("the filing has no line")?;
    let pseudonym = &filed["case"]["id"];
    let envelope = filed["ev"].as_array().into_iter().flatten().find(|e| e["type"] == "envelope");
    let envelope = envelope.and_then(|e| e["digest"].as_str()).ok_or("the line of the filing names no case file")?;
    if !logs[B].iter().any(|line| digests(line).any(|d| d == envelope)) {
        return Err("the case file that was sent is not the one that was taken".into());
    }
    let office = office_file(&world.office().join("messages"), envelope)?;
    teller.done(&format!("SHA-256 {}… · A = B = 审批系统 office", &envelope[..16]), &office);

    teller.work("共享数据查询逐次留痕", "Every lookup is on record, cached or not");
    let reads = |what| logs[A].iter().filter(move |line| line["kind"] == "data.read" && line["ev"][0]["type"] == what);
    let status: Vec<_> = reads("LT-ID").filter(|line| &line["case"]["id"] == pseudonym).collect();
    // "unknown" where the issuer's gateway was just being started again: then the owner weighs it, and the log says so.
    let known = status.iter().any(|line| line["ev"][0]["verdict"] == "valid");
    let asked = status.iter().any(|line| line["up"]["result"] == "5xx");
    let status = match (known, asked) {
        (true, _) => "有效 valid",
        (false, true) => "未知 unknown",
        (false, false) => return Err("no line says that the issuer was asked about the licence".into()),
    };
    // Of all cases: where the office decided the case at once, it was the next one that was answered from the cache.
    let ages: Vec<_> = reads("DR-HH").filter_map(|line| line["ev"][0]["age"].as_str()).collect();
    let count = |age: &str| ages.iter().filter(|a| **a == age).count();
    let (fresh, cached) = (count("fresh"), count("cached"));
    if fresh == 0 || cached == 0 {
        return Err(format!("fresh {fresh}, cached {cached}"));
    }
    let log = path(&world.gateway(A).join("data/log"));
    teller.done(&format!("DR-HH: 查询 fresh {fresh} · 缓存 cached {cached} · LT-ID: {status}"), &log);
    Ok(())
}

/// The office's copy of a case file.
fn office_file(folder: &Path, digest: &str) -> Result<String, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries.flatten() {
        let bytes = std::fs::read(entry.path()).map_err(|e| format!("{}: {e}", entry.path().display()))?;
        if Digest::of(&bytes).to_string() == digest {
            return Ok(path(&entry.path()));
        }
    }
    Err("the office has no such case file".into())
}

fn log_key(world: &World, gateway: usize) -> Result<String, String> {
    let directory = directory::read(world, UnixMillis::now())?;
    let member = directory.member(GATEWAYS[gateway].id).ok_or("the directory does not list the gateway")?;
    let key = member.logs.first().and_then(|log| log.keys.first());
    Ok(key.ok_or("the directory lists no key of its log")?.to_string())
}

/// Runs this program with these words; what it says when it is content.
async fn command(line: &[String]) -> Result<String, String> {
    let binary = std::env::current_exe().map_err(|e| e.to_string())?;
    let done = Command::new(binary).args(line).stdin(std::process::Stdio::null()).output().await;
    let done = done.map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(said);
    }
    Err(format!("tongban {}: {}\n{said}{}", line.join(" "), done.status, String::from_utf8_lossy(&done.stderr)))
}

/// How this program was called.
pub fn program() -> String {
    quoted(&std::env::args().next().unwrap_or_else(|| "tongban".to_owned()))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-_./:=@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{only_unsigned, quoted};

    #[test]
    fn entries_that_wait_for_a_signature_are_no_fault() {
        for (said, want) in [
            ("? 对端回执\n! a: shows 8 entries, the receipt names entry 9: cut off, or not signed yet\n", true),
            ("! a: cut off, or not signed yet\n! b: another root\n", false),
            ("tongban audit: no such folder\n", false),
        ] {
            assert_eq!(only_unsigned(said), want, "{said}");
        }
    }

    #[test]
    fn a_command_line_can_be_pasted() {
        for (word, want) in
            [("/a/b-c", "/a/b-c"), ("key+1a=", "key+1a="), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), want, "{word}");
        }
    }
}
