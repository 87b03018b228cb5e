//! `tongban audit recover`: a lost or rolled-back log is made anew from a mirror.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::objects::Bucket;
use super::target::{ReachArgs, Target, bar, read};
use crate::app::config::Config;
use crate::app::recover::{self, Order};
use crate::app::wire;
use crate::audit::log::hold;
use crate::audit::log::rebuild::{RebuildError, Source};
use crate::audit::note::KeyKind;
use crate::audit::verify::{self, Fetch, Options, SegmentFolder, TileFolder};
use crate::audit::{Word, checkpoint};
use crate::terms::UnixMillis;

#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// 网关配置文件；网关须已停止 · The gateway's configuration; the gateway must stand still.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// 镜像目录或地址（也可为数据目录副本） · A mirror of the log: folder or URL, or another copy of its data folder.
    #[arg(long, value_name = "DIR_OR_URL")]
    from_mirror: String,
    /// 下令的运维人员 · Who orders it: name of an operator, on record.
    #[arg(long, value_name = "ID")]
    by: Word,
    /// 事由代码（如事件编号） · Why: a code, e.g. of the incident, on record.
    #[arg(long, value_name = "CODE")]
    ground: Word,
    /// 见证方、审计方等处保存的检查点，可多次给出 · A checkpoint that an auditor or a witness holds; it must be part of what is
    /// recovered. May be given several times.
    #[arg(long, value_name = "CHECKPOINT")]
    old: Vec<PathBuf>,
    #[command(flatten)]
    reach: ReachArgs,
}

pub fn run(args: &RecoverArgs) -> Result<ExitCode, String> {
    let config = Config::load(&args.config).map_err(|mistakes| mistakes.to_string())?;
    let log = config.gateway.data.join("log");
    std::fs::create_dir_all(&config.gateway.data).map_err(|e| e.to_string())?;
    let _held = match log.is_dir() {
        true => Some(hold(&log).map_err(|e| format!("{}: {e}", log.display()))?),
        false => None,
    };
    let key = wire::log_signer(&config)?.verifier(KeyKind::Ed25519);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let mut known = runtime.block_on(recover::known(&config))?;
    for file in &args.old {
        let signed = checkpoint::open(&read(file)?, &key, None).map_err(|e| format!("{}: {e}", file.display()))?;
        known.push(("the checkpoint that was given", signed.checkpoint().clone()));
    }
    let mirror: Box<dyn Fetch> = match Target::find(&args.from_mirror)? {
        Target::Url(prefix) => Box::new(args.reach.open(&prefix)?),
        Target::Archive(word) => Box::new(Bucket::open(&word, args.reach.ca.as_deref())?),
        Target::Mirror(dir) => Box::new(TileFolder(dir)),
        Target::Folder(dir) => Box::new(SegmentFolder::new(dir)),
        Target::Bundle(_) => return Err(format!("{}: 应为日志 · a log is wanted, not a bundle", args.from_mirror)),
    };
    let built = recover::place(&config).map_err(|e| e.to_string())?;
    let bar = bar();
    let made = Source::open(&*mirror, &key, &known).and_then(|source| {
        source.rebuild(&built, &log, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        Ok(source.checkpoint().size())
    });
    bar.finish_and_clear();
    let size = match made {
        Ok(size) => size,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&built);
            return refused(&error);
        }
    };
    let order = Order { by: args.by.clone(), ground: args.ground.clone() };
    let told = runtime.block_on(recover::put_on_record(&config, &built, known, &order))?;
    let report = verify::verify(&built, &Options::new(key), &mut |_, _| {});
    if report.exit_code() == 1 {
        return Err(format!("恢复结果未通过核验 · what was built does not verify:\n{}", report.text()));
    }
    let aside = recover::change_places(&config, &built, UnixMillis::now()).map_err(|e| e.to_string())?;
    println!("已恢复 recovered: {size} 条 entries; 记录 on record: 条目 entry {}", told.index);
    if let Some(aside) = aside {
        println!("旧目录保留于 the old folder is kept: {}", aside.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// 1 when the mirror is disproven; otherwise it only does not serve.
fn refused(error: &RebuildError) -> Result<ExitCode, String> {
    if error.is_proof() {
        eprintln!("tongban audit: 镜像不成立 · the mirror does not hold: {error}");
        return Ok(ExitCode::from(1));
    }
    Err(error.to_string())
}
