//! Floor 10: commands and words on the terminal.

mod again;
pub mod audit;
mod bar;
pub mod demo;
pub mod licence;
pub mod order;
mod picture;
pub mod policy;
mod reload;
pub mod seal;
pub mod serve;
pub mod terminal;
pub mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::app::config::Config;
use crate::app::snapshot;
use crate::terms::UnixMillis;
use clap::{Parser, Subcommand};
use tracing_subscriber::fmt::MakeWriter;

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
    Serve(serve::ServeArgs),
    /// Run a federation of two gateways on this machine and walk one case (演示)
    Demo(demo::DemoArgs),
    /// Check a configuration: every mistake at once, each with its line and the mend (检查配置)
    Check {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Have a running gateway take its changed files: all of them, or none (重新加载)
    Reload {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Orders of operators: outlets and terminals off and on, terminals enrolled (运维指令)
    Order(order::OrderArgs),
    /// A terminal's certificate: enrol, renew (终端证书)
    Terminal(terminal::TerminalArgs),
    /// Verify electronic licences and sealed papers, offline (核验证照和文书)
    Verify(verify::VerifyArgs),
    /// Seal and sign files, make seals (电子签章)
    Seal(seal::SealArgs),
    /// Test material for licences: genuine and broken files with the verdict each must get (测试证照)
    Licence(licence::LicenceArgs),
    /// Verify and read audit logs, offline (核验审计日志)
    Audit(audit::AuditArgs),
    /// Test, explain and replay policies (策略测试与解释)
    Policy(policy::PolicyArgs),
}

/// Reads the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Check { config } => check(&config),
        Command::Reload { config } => reload::run(&config),
        Command::Order(args) => order::run(args),
        Command::Terminal(args) => terminal::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Seal(args) => seal::run(&args),
        Command::Licence(args) => licence::run(&args),
        Command::Audit(args) => audit::run(args),
        Command::Policy(args) => policy::run(args),
    }
}

fn check(file: &Path) -> ExitCode {
    let config = Config::load(file).and_then(|config| {
        let mistakes = snapshot::check(&config, UnixMillis::now());
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    });
    match config {
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

/// Log lines to `out`; `RUST_LOG` chooses how many. Colours only for people.
fn logging(usual: &str, out: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(out);
    // A line that cannot be written, on a full disk, would be told on the same stream by a panic, in whatever thread it is.
    let _ = lines.log_internal_errors(false).try_init();
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
