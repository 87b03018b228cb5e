//! `tongban audit index DIR`: makes the index that a search uses.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use super::UNDECIDABLE;
use super::target::{PinArgs, ReachArgs, Target, bar, peer};
use crate::audit::note::VerifierKey;
use crate::audit::search::index::{Index, beside};
use crate::audit::search::{Keeper, step};

#[derive(Debug, Args)]
pub(super) struct IndexArgs {
    /// 镜像或（停机网关的）数据目录，可多个 · Mirrors, or data folders of stopped gateways.
    #[arg(value_name = "DIR", required = true)]
    logs: Vec<String>,
    #[command(flatten)]
    pins: PinArgs,
    /// 丢弃已有索引，重新建立 · Throws an index away that is there.
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

pub(super) fn run(args: &IndexArgs) -> Result<ExitCode, String> {
    let keys = args.pins.keys()?;
    let (runtime, mut worst) = (runtime()?, ExitCode::SUCCESS);
    for word in &args.logs {
        if let Err(why) = one(word, &keys, args, &runtime) {
            eprintln!("tongban audit: {word}: {why}");
            worst = ExitCode::from(UNDECIDABLE);
        }
    }
    Ok(worst)
}

fn one(word: &str, keys: &[VerifierKey], args: &IndexArgs, runtime: &Runtime) -> Result<(), String> {
    let dir = folder(word).ok_or("应为日志目录 · the folder of a log is wanted")?;
    let peer = peer(word, keys, &args.reach)?;
    let file = beside(&std::path::absolute(&dir).map_err(|e| e.to_string())?);
    if args.rebuild {
        Index::remove(&file).map_err(|e| e.to_string())?;
    }
    let store = |error: crate::store::StoreError| format!("{}: {error}", file.display());
    let mut keeper = runtime.block_on(Keeper::open(&file, &peer.key)).map_err(store)?;
    let bar = bar();
    let size = loop {
        let head = runtime.block_on(keeper.head()).map_err(store)?;
        bar.set_position(head.0);
        let step = step(&*peer.log, &peer.key, head).map_err(|e| e.to_string())?;
        if !runtime.block_on(keeper.take(step)).map_err(store)? {
            break head.0;
        }
    };
    bar.finish_and_clear();
    runtime.block_on(keeper.index().close());
    let line = format!("{}: {size} 条 entries: {}\n", peer.key.name(), file.display());
    io::stdout().write_all(line.as_bytes()).map_err(|e| e.to_string())
}

/// A runtime for the index; logs behind URLs have their own.
pub(super) fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}

/// The local folder that a word stands for.
pub(super) fn folder(word: &str) -> Option<PathBuf> {
    match Target::find(word) {
        Ok(Target::Folder(dir) | Target::Mirror(dir)) => Some(dir),
        _ => None,
    }
}
