//! Reports as they are printed: in the order of the files, whichever is finished first.
//!
//! ```text
//!  file n ─start─▶ near enough to the one to print? no: wait ─▶ examined ─take─▶ its turn: printed, and those that waited for it
//!                                                                            └─▶ not yet: kept
//! ```
//! The file whose turn it is never waits, so that the others are waited for by nobody.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::cli::picture::Way;
use crate::licences::{Indication, Report};

/// How many files after the one to print may be examined, and how many octets of finished reports are kept for them: one large file
/// among thousands of small ones would else have all their reports in memory. A report has some kilobytes.
const AHEAD: usize = 1_024;
const KEPT_MAX: usize = 8 << 20;

/// The printer for many threads.
pub(super) struct Turns<W: Write> {
    printer: Mutex<Printer<W>>,
    /// The next report was printed, or none will be.
    moved: Condvar,
}

/// The right to examine one file.
pub(super) struct Turn<'a, W: Write> {
    turns: &'a Turns<W>,
    n: usize,
    taken: bool,
}

impl<W: Write> Turns<W> {
    pub fn new(printer: Printer<W>) -> Self {
        Self { printer: Mutex::new(printer), moved: Condvar::new() }
    }

    fn printer(&self) -> MutexGuard<'_, Printer<W>> {
        self.printer.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until file `n` may be examined; none when nobody reads any more.
    pub fn start(&self, n: usize) -> Option<Turn<'_, W>> {
        let mut printer = self.printer();
        while !printer.broken && printer.is_far(n) {
            printer = self.moved.wait(printer).unwrap_or_else(|e| e.into_inner());
        }
        // Made only where it is given: dropped here, it would wait for the printer that is held.
        (!printer.broken).then(|| Turn { turns: self, n, taken: false })
    }

    pub fn end(self) -> Printer<W> {
        self.printer.into_inner().unwrap_or_else(|e| e.into_inner())
    }
}

impl<W: Write> Turn<'_, W> {
    /// Prints the report, or keeps it for its turn. `around` is done while nobody else prints.
    pub fn take(mut self, report: &Report, around: impl FnOnce(&mut dyn FnMut())) {
        let mut printer = self.turns.printer();
        around(&mut || printer.take(self.n, report));
        self.taken = true;
        self.turns.moved.notify_all();
    }
}

impl<W: Write> Drop for Turn<'_, W> {
    /// A file whose examination broke down has no report: nobody waits for it.
    fn drop(&mut self) {
        if !self.taken {
            self.turns.printer().broken = true;
            self.turns.moved.notify_all();
        }
    }
}

/// Keeps finished reports until it is their turn.
pub(super) struct Printer<W: Write> {
    out: BufWriter<W>,
    waiting: BTreeMap<usize, Vec<u8>>,
    /// Octets of those that wait.
    kept: usize,
    next: usize,
    /// One JSON object a line.
    json: bool,
    /// How seals are shown, where they can be.
    way: Option<Way>,
    /// Of what was printed, and waits.
    pub worst: Option<Indication>,
    /// Nobody reads any more.
    pub broken: bool,
}

impl<W: Write> Printer<W> {
    pub fn new(out: W, json: bool, way: Option<Way>) -> Self {
        let (out, waiting) = (BufWriter::new(out), BTreeMap::new());
        Self { out, waiting, kept: 0, next: 0, json, way, worst: None, broken: false }
    }

    fn is_far(&self, n: usize) -> bool {
        n != self.next && (n >= self.next + AHEAD || self.kept > KEPT_MAX)
    }

    /// Prints a report whose turn it is piece by piece: as one text, a long list of names would be held once more.
    fn take(&mut self, n: usize, report: &Report) {
        self.worst = self.worst.max(Some(report.indication));
        let printed = if n == self.next {
            self.next += 1;
            print(self.json, self.way, report, &mut self.out)
        } else {
            let mut text = Vec::new();
            let printed = print(self.json, self.way, report, &mut text);
            self.kept += text.len();
            self.waiting.insert(n, text);
            printed
        };
        self.broken |= printed.is_err();
        while let Some(text) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.kept -= text.len();
            self.broken |= self.out.write_all(&text).is_err();
        }
        self.broken |= self.out.flush().is_err();
    }
}

fn print(json: bool, way: Option<Way>, report: &Report, mut out: impl Write) -> io::Result<()> {
    match json {
        true => serde_json::to_writer(&mut out, &report.to_json())?,
        false => write!(out, "{}{}", report.to_text(), seals(way, report))?,
    }
    out.write_all(b"\n")
}

/// Pictures of the seals of a file that passed: of others it would be the forger's picture.
fn seals(way: Option<Way>, report: &Report) -> String {
    let Some(way) = way.filter(|_| report.passed()) else { return String::new() };
    let seals = report.signatures.iter().filter_map(|signature| signature.seal.as_ref());
    seals.filter_map(|seal| way.drawn(&seal.image)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::licences::{Profile, unreadable};
    use crate::terms::UnixMillis;

    /// Somebody who stops reading after so many octets.
    struct Reader {
        read: Vec<u8>,
        most: usize,
    }

    impl Write for Reader {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            if self.read.len() + octets.len() > self.most {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.read.extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_file_keeps_few_reports_waiting_and_none_for_ever() {
        let profile = Profile::new(UnixMillis(0));
        for (name, files, size, most, breaks) in [
            ("small reports", 5_000, 10, usize::MAX, false),
            ("large reports", 100, 1 << 20, usize::MAX, false),
            ("one file", 1, 10, usize::MAX, false),
            ("nobody reads", 5_000, 10, 0, false),
            ("the first breaks down", 5_000, 10, usize::MAX, true),
        ] {
            let turns = Turns::new(Printer::new(Reader { read: Vec::new(), most }, true, None));
            let (next, held) = (AtomicUsize::new(0), Mutex::new((0, 0)));
            // All others are as far as they come once none has started for a while.
            let slow = || {
                let mut seen = 0;
                while seen != next.load(Ordering::SeqCst) {
                    seen = next.load(Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(200));
                }
                let printer = turns.printer();
                *held.lock().unwrap() = (printer.waiting.len(), printer.kept);
                drop(printer);
                assert!(!breaks, "as the test has it");
            };
            let work = || {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let Some(turn) = (n < files).then(|| turns.start(n)).flatten() else { break };
                    if n == 0 {
                        slow();
                    }
                    turn.take(&unreadable(&format!("f{n:04}"), &"x".repeat(size), &profile), |print| print());
                }
            };
            let broke = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
                workers.into_iter().map(|worker| worker.join().is_err()).fold(false, |all, one| all | one)
            });
            assert_eq!(broke, breaks, "{name}");
            let (count, kept) = *held.lock().unwrap();
            assert!(count < AHEAD && kept <= KEPT_MAX + 4 * (size + 4_096), "{name}: {count} reports, {kept} octets");
            let printer = turns.end();
            assert_eq!(printer.broken, breaks || most == 0, "{name}");
            let text = String::from_utf8(printer.out.get_ref().read.clone()).unwrap();
            let told: Vec<_> = text.lines().filter_map(|line| line.split_once("\"file\":\"f")?.1.get(..4)).collect();
            let all: Vec<_> = (0..files).map(|n| format!("{n:04}")).collect();
            assert_eq!(told, if printer.broken { &[][..] } else { &all }, "{name}");
        }
    }
}
