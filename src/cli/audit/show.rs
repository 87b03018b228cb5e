//! `tongban audit show` and `tongban audit key`: what stands in a log, read and not judged.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::target::{ReachArgs, Target, read};
use crate::audit::bundle;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::EntryHead;
use crate::audit::gm::GmKey;
use crate::audit::log::GM_KEY;
use crate::audit::log::base::Base;
use crate::audit::log::segment::{self, Cursor, Unit};
use crate::audit::note::VerifierKey;
use crate::audit::plain;
use crate::audit::verify::{self, Fetch, TileFolder};
use crate::audit::{Pseudonym, note::Note, tile};

pub(super) fn key(log: &str, gm: bool, reach: &ReachArgs) -> Result<ExitCode, String> {
    let name = if gm { GM_KEY } else { "key" };
    let bytes = match Target::find(log)? {
        Target::Url(prefix) => {
            let found = reach.open(&prefix)?.get(name).map_err(|e| format!("{prefix}/{name}: {e}"))?;
            eprintln!("公钥由日志自身提供，请经其他渠道核对 · the log itself says so: compare it by another way");
            found.ok_or(format!("{prefix}/{name}: 没有 · is not there"))?
        }
        Target::Folder(dir) | Target::Mirror(dir) => read(&dir.join(name))?,
        Target::Archive(_) => return Err(format!("{log}: 归档中没有公钥 · an archive holds no key")),
        Target::Bundle(file) => read(&file)?,
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let wrong = |e| format!("{log}: {e}");
    match gm {
        true => println!("{}", text.trim_end().parse::<GmKey>().map_err(wrong)?),
        // Two of them while the log changes its key, the one in use first.
        false => {
            let keys = text.lines().map(str::parse::<VerifierKey>).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
            if keys.is_empty() {
                return Err(format!("{log}: 没有公钥 · no key in it"));
            }
            keys.iter().for_each(|key| println!("{key}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn entries(dir: &Path, case: Option<Pseudonym>) -> Result<ExitCode, String> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut print = |entry: &[u8]| {
        let wanted = case
            .is_none_or(|case| EntryHead::parse(entry).is_ok_and(|head| head.case.is_some_and(|link| link.id == case)));
        if wanted { out.write_all(entry).and_then(|()| out.write_all(b"\n")) } else { Ok(()) }
    };
    match each_entry(dir, &mut print)?.and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS), // `| head`
        Err(e) => Err(format!("{}: {e}", dir.display())),
    }
}

/// Every entry of a log's folder or mirror, in order; nothing is verified.
pub(in crate::cli) fn each_entry(dir: &Path, print: Print<'_>) -> Result<std::io::Result<()>, String> {
    Ok(match Target::find(&dir.to_string_lossy())? {
        Target::Folder(folder) => show_segments(&folder, print),
        _ => show_tiles(&TileFolder(dir.to_owned()), print),
    })
}

pub(in crate::cli) type Print<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

fn show_segments(dir: &Path, print: Print<'_>) -> std::io::Result<()> {
    let first = Base::read(dir)?.map_or(0, |base| base.segment());
    for number in first.. {
        let path = dir.join("segments").join(segment::name(number));
        let file = match plain::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && number > first => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut cursor = Cursor::new(&file, segment::HEADER_LEN as u64);
        loop {
            let (unit, len) = segment::unit(&mut cursor)?;
            match unit {
                Unit::Entry(bytes) => print(bytes)?,
                Unit::Footer(..) => {}
                Unit::Blank => break,
                Unit::Bad(what) => {
                    return Err(std::io::Error::other(format!(
                        "{} byte {}: {what}",
                        segment::name(number),
                        cursor.offset()
                    )));
                }
            }
            cursor.skip(len);
        }
    }
    Ok(())
}

fn show_tiles(fetch: &dyn Fetch, print: Print<'_>) -> std::io::Result<()> {
    let missing = |what: String| std::io::Error::new(std::io::ErrorKind::NotFound, what);
    let note = fetch.get("checkpoint")?.ok_or_else(|| missing("checkpoint".into()))?;
    let text = Note::parse(&note).map_err(std::io::Error::other)?.text().to_owned();
    let size = Checkpoint::parse(&text).map_err(std::io::Error::other)?.size;
    let origin = text.lines().next().unwrap_or_default();
    let minimum = verify::claimed_minimum(fetch, origin, size)?;
    for tile in tile::tiles_at(tile::Level::Entries, size) {
        let bytes = match fetch.get(&tile.to_string())? {
            None if tile.end().is_some_and(|end| end <= minimum) => continue,
            found => found.ok_or_else(|| missing(tile.to_string()))?,
        };
        let entries = bundle::parse(&bytes, tile.width).ok_or_else(|| std::io::Error::other(tile.to_string()))?;
        entries.into_iter().try_for_each(&mut *print)?;
    }
    Ok(())
}
