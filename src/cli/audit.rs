//! `tongban audit`: verify a log, print its key, show its entries. Offline; takes no lock and writes nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::audit::bundle;
use crate::audit::entry::EntryHead;
use crate::audit::log::segment::{self, Cursor, Unit};
use crate::audit::note::VerifierKey;
use crate::audit::verify::{self, Fetch, Options, TileFolder};
use crate::audit::witness_policy::WitnessPolicy;
use crate::audit::{Pseudonym, checkpoint::Checkpoint, note::Note, tile};

/// Exit code when the question itself cannot be put: a missing file, an unreadable policy.
const UNDECIDABLE: u8 = 2;

/// 审计日志：核验、密钥、查看 · The audit log: verify, key, show.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 核验日志（退出码 0 已证明，1 已证伪，2 无法判定） · Verify a log: exit code 0 proven, 1 disproven, 2 undecidable.
    Verify(VerifyArgs),
    /// 打印日志公钥 · Print the log's verifier key.
    Key {
        /// 日志目录 · Folder of the log.
        dir: PathBuf,
    },
    /// 逐条打印日志条目（JSON 行） · Print the entries, one JSON object a line.
    Show {
        /// 日志目录 · Folder of the log.
        dir: PathBuf,
        /// 只看某办件（办件假名，32 位十六进制） · Only one case, by its pseudonym (32 hexadecimal digits).
        #[arg(long)]
        case: Option<Pseudonym>,
    },
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// 停机网关的日志目录，或 tlog-tiles 目录 · Folder of a stopped gateway's log, or a folder in tlog-tiles layout.
    log: PathBuf,
    /// 日志公钥（由审计方自行保管） · The log's verifier key, kept by the auditor.
    #[arg(long, value_name = "VKEY")]
    key: VerifierKey,
    /// 日志来源名（默认取公钥名） · Origin, when it is not the key's name.
    #[arg(long)]
    origin: Option<String>,
    /// 见证策略文件（C2SP tlog-policy） · The witness policy.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// 以往保存的检查点，可多次给出 · An older checkpoint at hand; may be given several times.
    #[arg(long, value_name = "CHECKPOINT")]
    old: Vec<PathBuf>,
    /// 条目不是通办格式，只核验哈希 · Entries of another system: only hashes are judged.
    #[arg(long)]
    foreign: bool,
    /// 输出 JSON 报告 · Report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: AuditArgs) -> ExitCode {
    let done = match args.command {
        Command::Verify(args) => verify_log(&args),
        Command::Key { dir } => print_key(&dir),
        Command::Show { dir, case } => show(&dir, case),
    };
    done.unwrap_or_else(|problem| {
        eprintln!("tongban audit: {problem}");
        ExitCode::from(UNDECIDABLE)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn verify_log(args: &VerifyArgs) -> Result<ExitCode, String> {
    let mut options = Options::new(args.key.clone());
    options.origin = args.origin.clone();
    options.entries_are_ours = !args.foreign;
    options.old = args.old.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    if let Some(path) = &args.policy {
        let text = String::from_utf8(read(path)?).map_err(|e| format!("{}: {e}", path.display()))?;
        options.policy = Some(WitnessPolicy::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    let style = indicatif::ProgressStyle::with_template("{elapsed_precise} {pos} 条 entries  {per_sec}");
    let bar = if args.json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::no_length() };
    let bar = bar.with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    let report = verify::verify(&args.log, &options, &mut |entries| bar.set_position(entries));
    bar.finish_and_clear();
    let text = if args.json { format!("{:#}\n", report.json()) } else { report.text() };
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(ExitCode::from(report.exit_code()))
}

fn print_key(dir: &Path) -> Result<ExitCode, String> {
    let text = String::from_utf8_lossy(&read(&dir.join("key"))?).into_owned();
    let key: VerifierKey = text.trim_end().parse().map_err(|e| format!("{}: {e}", dir.join("key").display()))?;
    println!("{key}");
    Ok(ExitCode::SUCCESS)
}

fn show(dir: &Path, case: Option<Pseudonym>) -> Result<ExitCode, String> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut print = |entry: &[u8]| {
        let wanted = case
            .is_none_or(|case| EntryHead::parse(entry).is_ok_and(|head| head.case.is_some_and(|link| link.id == case)));
        if wanted { out.write_all(entry).and_then(|()| out.write_all(b"\n")) } else { Ok(()) }
    };
    let shown = if dir.join("segments").is_dir() {
        show_segments(dir, &mut print)
    } else {
        show_tiles(&TileFolder(dir.to_owned()), &mut print)
    };
    match shown.and_then(|()| out.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS), // `| head`
        Err(e) => Err(format!("{}: {e}", dir.display())),
    }
}

type Print<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

fn show_segments(dir: &Path, print: Print<'_>) -> std::io::Result<()> {
    for number in 0.. {
        let path = dir.join("segments").join(segment::name(number));
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && number > 0 => return Ok(()),
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
    for tile in tile::tiles_at(tile::Level::Entries, size) {
        let bytes = fetch.get(&tile.to_string())?.ok_or_else(|| missing(tile.to_string()))?;
        let entries = bundle::parse(&bytes, tile.width).ok_or_else(|| std::io::Error::other(tile.to_string()))?;
        entries.into_iter().try_for_each(&mut *print)?;
    }
    Ok(())
}
