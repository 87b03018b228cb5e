//! `tongban audit`: verify a log, print its key, show its entries. Takes no lock and writes nothing into a log.

mod copy;
mod export;
mod index;
mod objects;
mod recover;
mod search;
mod show;
mod target;
mod url;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::audit::Pseudonym;
use target::ReachArgs;

pub(super) use show::each_entry;

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
    Verify(Box<verify::VerifyArgs>),
    /// 导出一个办件的全部证据（ASiC-E 封装，可离线核验） · Export the evidence of one case, to be verified offline.
    Export(Box<export::ExportArgs>),
    /// 检索日志条目（办件、人员、窗口、事项、时间、决定；逐条核对签名根） · Find entries, in one log or several; what is
    /// found is checked against the signed root.
    Search(Box<search::SearchArgs>),
    /// 建立检索索引（放在日志目录旁，可随时重建） · Make the index that search uses, beside the log's folder.
    Index(Box<index::IndexArgs>),
    /// 镜像日志（边核验边复制，可续传；退出码 1 表示日志自相矛盾） · Copy a log, verified as it is copied; goes on where
    /// it was cut off. Exit code 1: the log is disproven.
    Mirror(copy::MirrorArgs),
    /// 由镜像恢复丢失或回退的日志（网关须已停止；旧目录保留） · Make a lost or rolled-back log anew from a mirror; the old
    /// folder is kept. Exit code 1: the mirror is disproven.
    Recover(Box<recover::RecoverArgs>),
    /// 打印日志公钥 · Print the log's verifier key.
    Key {
        /// 日志目录、网关数据目录或日志地址 · Folder of the log, a gateway's data folder, or the log's URL.
        log: String,
        /// 打印 SM2 公钥 · The SM2 key instead.
        #[arg(long)]
        gm: bool,
        #[command(flatten)]
        reach: ReachArgs,
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

pub fn run(args: AuditArgs) -> ExitCode {
    let done = match args.command {
        Command::Verify(args) => verify::run(&args).inspect_err(|problem| verify::told(&args, problem, UNDECIDABLE)),
        Command::Export(args) => export::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Search(args) => search::run(&args),
        Command::Index(args) => index::run(&args),
        Command::Mirror(args) => copy::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Key { log, gm, reach } => show::key(&log, gm, &reach),
        Command::Show { dir, case } => show::entries(&dir, case),
    };
    done.unwrap_or_else(|problem| {
        eprintln!("tongban audit: {problem}");
        ExitCode::from(UNDECIDABLE)
    })
}
