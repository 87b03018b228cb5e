//! Floor 10: commands and words on the terminal.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::config::Config;

/// 通办网关: any service window accepts any region's case.
#[derive(Parser)]
#[command(name = "tongban", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a configuration: every mistake at once, each with its line and the mend (检查配置)
    Check {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Reads the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check { config } => check(&config),
    }
}

fn check(file: &std::path::Path) -> ExitCode {
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
