//! `tongban serve`: one gateway, until SIGTERM or Ctrl-C; with a parent, until the parent is gone.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{block_on, logging, told_to_stop};
use crate::app::config::Config;
use crate::app::reload::Reloader;
use crate::app::serve;
use crate::gateway::changes::Cause;

#[derive(Args)]
pub struct ServeArgs {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End at once when standard input ends: the parent holds its other end for as long as it lives.
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub fn run(args: &ServeArgs) -> ExitCode {
    // First of all: a parent that dies while we start must not leave us behind.
    if args.with_parent {
        std::thread::spawn(gone_with_parent);
    }
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    logging("info", std::io::stderr);
    block_on(async {
        let (send, stop) = watch::channel(false);
        match serve::start(&config, stop).await {
            Ok(running) => {
                until_stop(&running.reloader).await;
                running.leave().await;
                let _ = send.send(true);
                running.drained().await;
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("tongban: {why}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Takes changed files at each SIGHUP, until told to stop.
async fn until_stop(reloader: &Reloader) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return told_to_stop().await };
    let stop = told_to_stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            // What came of it stands in the log, and on standard error.
            _ = hangup.recv() => drop(reloader.reload(Cause::Signal).await),
        }
    }
}

/// The kernel closes the parent's end of the pipe however the parent ends, SIGKILL included. Nothing is drained: a new
/// parent may be waiting for our ports and for the log, and a gateway may end at any moment without harm.
fn gone_with_parent() {
    let mut ignored = [0; 256];
    loop {
        match std::io::stdin().lock().read(&mut ignored) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(1..) => {}
            Ok(0) | Err(_) => std::process::exit(0),
        }
    }
}
