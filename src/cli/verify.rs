//! `tongban verify FILE…`: is this licence genuine? Offline; nothing is fetched.
//!
//! ```text
//!  options, policy file ─▶ judge     whom to trust, when, how strictly
//!  files, folders ───────▶ files     one list, taken by all cores
//!                             └─▶ a report each ─▶ printer     in the order of the list
//! ```
//! Exit codes: 0 all passed, 1 something failed, 2 something could not be confirmed (or the call was wrong).

mod files;
mod judge;
mod options;
mod printer;
#[cfg(test)]
mod vectors;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;

use super::bar::bar;
use super::picture::Way;
use crate::formats::zip::{Archive, Source};
use crate::licences::{Finding, Indication, Report, SubIndication, unreadable, verify_with};
use files::{Found, Item};
use judge::Judge;
pub use options::{BasisArg, BindingArg, ContainerArg, CoverageArg, RevocationArg, VerifyArgs};
use printer::{Printer, Turns};

/// Runs the command.
pub fn run(args: VerifyArgs) -> ExitCode {
    let judge = match Judge::of(&args) {
        Ok(judge) => judge,
        Err(message) => {
            eprintln!("tongban verify: {message}");
            return ExitCode::from(2);
        }
    };
    let found = Found::of(&args.files);
    if let Some(told) = found.left_out() {
        eprintln!("tongban verify: {told}");
    }
    if found.items.is_empty() {
        eprintln!("tongban verify: 没有可核验的文件 · nothing to verify");
    }
    let with_folder = args.files.iter().any(|path| path.is_dir());
    match examine_all(&found.items, &judge, args.json, with_folder) {
        None | Some(Indication::Indeterminate) => ExitCode::from(2),
        Some(Indication::TotalPassed) => ExitCode::SUCCESS,
        Some(Indication::TotalFailed) => ExitCode::from(1),
    }
}

/// All cores take files from one list; results are printed in the order of the list. Gives the worst of them; none when there is nothing,
/// or when not all could be told of.
fn examine_all(files: &[Item], judge: &Judge, json: bool, with_folder: bool) -> Option<Indication> {
    let bar = if with_folder { bar(files.len() as u64, "份 files") } else { ProgressBar::hidden() };
    let next = AtomicUsize::new(0);
    let way = Way::of(|name| std::env::var(name).ok()).filter(|_| !json && io::stdout().is_terminal());
    let turns = Turns::new(Printer::new(io::stdout(), json, way));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(files.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = files.get(n) else { break };
                    let Some(turn) = turns.start(n) else { break };
                    let report = examine(item, judge);
                    bar.inc(1);
                    turn.take(&report, |print| bar.suspend(print));
                }
            });
        }
    });
    bar.finish_and_clear();
    let printer = turns.end();
    // Where nobody read to the end, some were not examined.
    if printer.broken && printer.worst == Some(Indication::TotalPassed) { None } else { printer.worst }
}

/// More than this through standard input is refused.
const STDIN_MAX: u64 = 1 << 30;

/// Standard input in a file without a name: archives are read from their end, and memory stays small.
fn spooled() -> io::Result<File> {
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let mut file =
        File::from(rustix::fs::open(std::env::temp_dir(), flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?);
    let taken = io::copy(&mut io::stdin().lock().take(STDIN_MAX + 1), &mut file)?;
    if taken > STDIN_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(file) }
}

fn examine(item: &Item, judge: &Judge) -> Report {
    let name = item.path.display().to_string();
    if let Some(why) = &item.refused {
        return unreadable(&name, why, &judge.profile);
    }
    let opened = if item.path.as_os_str() == "-" { spooled() } else { files::open(&item.path) };
    match opened {
        Ok(file) => judged(&name, &file, judge),
        Err(error) => unreadable(&name, &error.to_string(), &judge.profile),
    }
}

fn judged<S: Source>(name: &str, source: &S, judge: &Judge) -> Report {
    let content = judge.content.as_ref().map(|file| file as &dyn Source);
    let mut report = verify_with(name, source, content, &judge.profile);
    let mut start = [0; 2];
    let is_archive = source.read_at(0, &mut start).is_ok() && start == *b"PK";
    if is_archive && judge.container == ContainerArg::Exact && report.indication != Indication::TotalFailed {
        let loose =
            Archive::open(source, &judge.profile.zip).and_then(|zip| Ok(zip.loose_end()?.map(|e| e.name.clone())));
        match loose {
            Ok(None) => {}
            Ok(Some(entry)) => report.findings.push(Finding::note(1, "ZIP_LOOSE_END", entry)),
            Err(error) => report.findings.push(Finding::note(1, error.code(), error.to_string())),
        }
        nothing_odd(&mut report);
    }
    report
}

/// What is odd about the archive, and otherwise only told, decides.
fn nothing_odd(report: &mut Report) {
    let is_odd = |f: &Finding| f.outcome.is_none() && f.code.starts_with("ZIP_");
    for finding in report.findings.iter_mut().filter(|f| is_odd(f)) {
        let outcome = (Indication::TotalFailed, SubIndication::FormatFailure);
        finding.outcome = Some(outcome);
        if report.indication != Indication::TotalFailed {
            (report.indication, report.sub_indication, report.code) = (outcome.0, Some(outcome.1), Some(finding.code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licences::Profile;
    use crate::terms::UnixMillis;

    #[test]
    fn what_cannot_be_read_is_told_of_and_not_confirmed() {
        let item = |name: &str, refused: Option<&str>| Item { path: name.into(), refused: refused.map(str::to_owned) };
        let judge = Judge { profile: Profile::new(UnixMillis(0)), container: ContainerArg::Any, content: None };
        for (item, code) in [
            (item("/no/such.ofd", None), "FILE_UNREADABLE"),
            (item("/dev/null", None), "FILE_UNREADABLE"),
            (item("x.ofd", Some("a link")), "FILE_UNREADABLE"),
        ] {
            let report = examine(&item, &judge);
            assert_eq!((report.indication, report.code), (Indication::Indeterminate, Some(code)), "{item:?}");
            assert_eq!(report.file, item.path.display().to_string());
        }
        let empty = tempfile::NamedTempFile::new().unwrap();
        let report = examine(&item(empty.path().to_str().unwrap(), None), &judge);
        assert_eq!(report.indication, Indication::TotalFailed, "an empty file is there, and no archive");
    }
}
