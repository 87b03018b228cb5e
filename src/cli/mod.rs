//! Floor 10: commands and words on the terminal.

pub mod audit;
pub mod demo;
pub mod policy;
pub mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::sync::watch;

use crate::app::config::Config;
use crate::app::serve;

/// 通办网关: any service window accepts any region's case.
#[derive(Parser)]
#[command(name = "tongban", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a gateway (运行网关)
    Serve {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run a federation of two gateways on this machine and walk one case (演示)
    Demo(demo::DemoArgs),
    /// Check a configuration: every mistake at once, each with its line and the mend (检查配置)
    Check {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Verify electronic licences and sealed papers, offline (核验证照和文书)
    Verify(verify::VerifyArgs),
    /// Verify and read audit logs, offline (核验审计日志)
    Audit(audit::AuditArgs),
    /// Test, explain and replay policies (策略测试与解释)
    Policy(policy::PolicyArgs),
}

/// Reads the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { config } => serve(&config),
        Command::Demo(args) => demo::run(args),
        Command::Check { config } => check(&config),
        Command::Verify(args) => verify::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Policy(args) => policy::run(args),
    }
}

fn check(file: &Path) -> ExitCode {
    match Config::load(file) {
        Ok(config) => {
            println!("{}: 配置正确 · the configuration of {} is in order", file.display(), config.gateway.id);
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            eprintln!("{} 处错误 · {} mistakes", mistakes.list().len(), mistakes.list().len());
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    logging("info");
    block_on(async {
        let (send, stop) = watch::channel(false);
        match serve::start(&config, stop).await {
            Ok(running) => {
                told_to_stop().await;
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

/// Runs to the end on all cores.
fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(e) => {
            eprintln!("tongban: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Log lines to stderr; `RUST_LOG` chooses how many.
fn logging(usual: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// SIGTERM or Ctrl-C.
async fn told_to_stop() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
