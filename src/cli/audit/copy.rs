//! `tongban audit mirror`: a copy of a log, verified as it is made.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::target::{ReachArgs, bar, fetch, judged_by, log_key, pinned, signing_first};
use crate::audit::mirror;
use crate::audit::note::VerifierKey;
use crate::terms::UnixMillis;

#[derive(Debug, Args)]
pub(super) struct MirrorArgs {
    /// 日志地址，或停机网关的数据目录、归档、另一镜像 · The log's URL; also a stopped gateway's data folder, an archive, another
    /// mirror.
    #[arg(value_name = "PREFIX_OR_DIR")]
    log: String,
    /// 镜像目录 · Folder of the copy.
    dir: PathBuf,
    /// 日志公钥（策略文件只列一个日志时可省略；更换密钥期间新旧各给一个） · The log's verifier key; may be left out when the policy names
    /// one log. Both of them while the log changes its key.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: Vec<VerifierKey>,
    /// 策略文件：日志公钥、见证方与法定数 · The pinned policy: keys, and the quorum that must have cosigned what is copied.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
}

pub(super) fn run(args: &MirrorArgs) -> Result<ExitCode, String> {
    let policy = args.policy.as_deref().map(pinned).transpose()?;
    let keys = judged_by(&args.key, policy.as_ref())?;
    let (log, bar) = (fetch(&args.log, &args.reach)?, bar());
    let keys = signing_first(keys, &*log);
    let done = mirror::run(&*log, &args.dir, &keys, &mut |entries, total| {
        bar.set_length(total);
        bar.set_position(entries);
    });
    bar.finish_and_clear();
    match done {
        Ok(copied) => {
            println!(
                "{}: {} 条（原有 {}），新写 {} 个文件 · {} entries ({} before), {} files written, {} held",
                args.dir.display(),
                copied.size,
                copied.before,
                copied.written,
                copied.size,
                copied.before,
                copied.written,
                copied.kept
            );
            if copied.pruned > 0 {
                println!("已清除 pruned: {} 条未复制 entries were not copied, their hashes were", copied.pruned);
            }
            let Some(policy) = &policy else { return Ok(ExitCode::SUCCESS) };
            let report = mirror::witnesses(&args.dir, &keys, policy, UnixMillis::now()).map_err(|e| e.to_string())?;
            for fault in &report.faults {
                eprintln!(
                    "tongban audit: 已复制，但见证不合策略 · copied, but not witnessed as the policy wants: {}",
                    fault.what
                );
            }
            Ok(ExitCode::from(report.exit_code()))
        }
        Err(error) if error.is_proof() => {
            eprintln!("tongban audit: 日志已证伪 · the log is disproven: {error}");
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(format!("未能复制 · not copied: {error}")),
    }
}
