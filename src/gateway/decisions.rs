//! What was asked of the rules, kept so that it can be asked again: a file for each day, a line for each question.
//!
//! ```text
//!  decide ─▶ line of the log: verdict, rules, policy version, digest of the question
//!     └────▶ decisions/2026-11-26.jsonl: the question itself, once a day ─▶ `tongban policy replay`
//! ```
//! A question names people by pseudonym and staff by number, as the log does. The files are written behind the answer: a
//! crash may lose the questions of the last moment, never a line of the log, and a replay says how many are missing.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::policy::{Ask, AskKeeper, replay};
use crate::terms::{Day, Digest, UnixMillis};

/// Questions that wait for the disk; more are left out, and counted.
const QUEUE: usize = 4_096;
/// Longest line, in octets.
const LINE_MAX: usize = 256 << 10;
/// Questions of one day that are known to be kept; beyond, one may be kept twice.
const KNOWN: usize = 65_536;

/// Keeps questions, in the background.
pub struct Decisions {
    send: Mutex<Option<SyncSender<(Day, String)>>>,
    known: Mutex<(Option<Day>, HashSet<Digest>)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Decisions {
    /// Opens the folder; it is made when missing.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (send, receive) = sync_channel(QUEUE);
        let folder = folder.to_owned();
        let thread = std::thread::Builder::new().name("decisions".into()).spawn(move || write(&folder, &receive))?;
        Ok(Self { send: Mutex::new(Some(send)), known: Mutex::default(), thread: Mutex::new(Some(thread)) })
    }

    /// Waits until everything that was asked is on the disk.
    pub fn close(&self) {
        self.send.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the last questions to the rules could not be kept");
        }
    }

    fn is_new(&self, digest: Digest, day: Day) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != Some(day) || known.1.len() >= KNOWN {
            *known = (Some(day), HashSet::new());
        }
        known.1.insert(digest)
    }
}

impl AskKeeper for Decisions {
    fn keep(&self, digest: Digest, ask: &Ask, at: UnixMillis) {
        let day = at.day();
        if !self.is_new(digest, day) {
            return;
        }
        let line = replay::line(ask, at);
        if line.len() > LINE_MAX {
            tracing::warn!(octets = line.len(), "a question to the rules is not kept: too long");
            return;
        }
        let send = self.send.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = send.as_ref().map(|send| send.try_send((day, line)));
        if matches!(sent, Some(Err(TrySendError::Full(_)))) {
            tracing::warn!("a question to the rules is not kept: the disk is behind");
        }
    }
}

impl Drop for Decisions {
    fn drop(&mut self) {
        self.close();
    }
}

/// The file of a day.
pub fn file(folder: &Path, day: Day) -> PathBuf {
    folder.join(format!("{day}.jsonl"))
}

/// Writes what comes, as much at a time as there is; ends when nobody can send any more.
fn write(folder: &Path, receive: &Receiver<(Day, String)>) {
    let mut open: Option<(Day, File)> = None;
    while let Ok(first) = receive.recv() {
        let mut batch = vec![first];
        batch.extend(receive.try_iter());
        for (day, line) in &batch {
            if let Err(error) = put(folder, &mut open, *day, line) {
                tracing::error!(%error, "a question to the rules is not kept");
                open = None;
            }
        }
        if let Some((_, file)) = &open
            && let Err(error) = file.sync_data()
        {
            tracing::error!(%error, "questions to the rules may not be on the disk");
        }
    }
}

fn put(folder: &Path, open: &mut Option<(Day, File)>, day: Day, line: &str) -> std::io::Result<()> {
    if open.as_ref().is_none_or(|(of, _)| *of != day) {
        let file = File::options().create(true).append(true).mode(0o600).open(file(folder, day))?;
        *open = Some((day, file));
    }
    match open {
        Some((_, file)) => file.write_all(line.as_bytes()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_kept_once_a_day_under_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"
            ask = "administer"
            gateway = "nanshan"
            operation = "keys"
            who = { kind = "Operator", id = "o-xu", level = 3, level_age_min = 5 }"#;
        let ask: Ask = toml::from_str(text).unwrap();
        let digest = replay::digest(&ask);
        let (monday, tuesday) = (UnixMillis(1_790_000_000_000), UnixMillis(1_790_000_000_000 + 86_400_000));
        let decisions = Decisions::open(folder.path()).unwrap();
        for at in [monday, monday, tuesday] {
            decisions.keep(digest, &ask, at);
        }
        decisions.close();
        for day in [monday.day(), tuesday.day()] {
            let kept = fs::read_to_string(file(folder.path(), day)).unwrap();
            let asked = replay::read(&kept).unwrap();
            assert_eq!(asked.len(), 1, "{day}");
            assert_eq!((asked[0].digest(), replay::digest(&asked[0].ask)), (digest, digest));
        }
    }
}
