//! Reports as they are printed: in the order of the files, whichever is finished first.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use crate::cli::picture::Way;
use crate::licences::{Indication, Report};

/// Keeps finished reports until it is their turn.
#[derive(Default)]
pub(super) struct Printer {
    waiting: BTreeMap<usize, Vec<u8>>,
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

impl Printer {
    pub fn new(json: bool, way: Option<Way>) -> Self {
        Self { json, way, ..Self::default() }
    }

    /// Pictures of the seals of a file that passed: of others it would be the forger's picture.
    fn seals(&self, report: &Report) -> String {
        let Some(way) = self.way.filter(|_| report.passed()) else { return String::new() };
        let seals = report.signatures.iter().filter_map(|signature| signature.seal.as_ref());
        seals.filter_map(|seal| way.drawn(&seal.image)).collect()
    }

    fn print(&self, report: &Report, mut out: impl Write) -> io::Result<()> {
        match self.json {
            true => serde_json::to_writer(&mut out, &report.to_json())?,
            false => write!(out, "{}{}", report.to_text(), self.seals(report))?,
        }
        out.write_all(b"\n")
    }

    /// Prints a report whose turn it is piece by piece: as one text, a long list of names would be held once more.
    pub fn take(&mut self, n: usize, report: &Report) {
        self.worst = self.worst.max(Some(report.indication));
        let mut out = BufWriter::new(io::stdout().lock());
        let printed = if n == self.next {
            self.next += 1;
            self.print(report, &mut out)
        } else {
            let mut text = Vec::new();
            let printed = self.print(report, &mut text);
            self.waiting.insert(n, text);
            printed
        };
        self.broken |= printed.is_err();
        while let Some(text) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.broken |= out.write_all(&text).is_err();
        }
        self.broken |= out.flush().is_err();
    }
}
