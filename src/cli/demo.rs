//! `tongban demo`: the federation on this machine; `tongban demo token`: a fresh token for scripts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{block_on, logging};
use crate::app::demo::screen::Screen;
use crate::app::demo::tokens::{Options, proof, thumbprint};
use crate::app::demo::{World, token_for, walk};
use crate::terms::UnixMillis;
use crate::trust::suite::load_key;

#[derive(Args)]
pub struct DemoArgs {
    #[command(subcommand)]
    command: Option<DemoCommand>,
    /// Folder of keys, configurations and data; made when missing (数据目录)
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// First of 25 ports on 127.0.0.1
    #[arg(long, value_name = "N", default_value_t = 18440)]
    port_base: u16,
    /// Keep the gateways' records in PostgreSQL: postgres://…
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// End after the walk; exit 0 only if every step came out as it must
    #[arg(long)]
    once: bool,
}

#[derive(Subcommand)]
enum DemoCommand {
    /// Print a fresh access token (and a DPoP proof with --dpop)
    Token {
        /// citizen, clerk, outlet, auditor, or a user such as zhangsan or C-0001
        #[arg(long = "as", value_name = "WHO")]
        who: String,
        /// Bind the token to this P-256 key (PEM) and print a proof on a second line
        #[arg(long, value_name = "KEY", requires = "url")]
        dpop: Option<PathBuf>,
        /// The request the proof is for
        #[arg(long)]
        url: Option<String>,
        #[arg(long, default_value = "GET")]
        method: String,
    },
}

/// A folder of its own under the user's data directory (XDG Base Directory).
fn default_folder() -> PathBuf {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home).unwrap_or_else(|| PathBuf::from(".")).join("tongban-demo")
}

pub fn run(args: DemoArgs) -> ExitCode {
    let folder = args.data.unwrap_or_else(default_folder);
    let done = match args.command {
        Some(DemoCommand::Token { who, dpop, url, method }) => token(&folder, &who, dpop, url, &method),
        None => {
            let screen = Screen::default();
            logging("warn", screen.clone());
            return block_on(async {
                match walk::run(&folder, args.port_base, args.store.as_deref(), args.once, &screen).await {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::FAILURE,
                    Err(why) => told(&why),
                }
            });
        }
    };
    done.map_or_else(|why| told(&why), |()| ExitCode::SUCCESS)
}

fn told(why: &str) -> ExitCode {
    eprintln!("tongban demo: {why}");
    ExitCode::FAILURE
}

fn token(
    folder: &std::path::Path,
    who: &str,
    dpop: Option<PathBuf>,
    url: Option<String>,
    method: &str,
) -> Result<(), String> {
    let world = World::open(folder)?;
    let Some(file) = dpop else {
        println!("{}", token_for(&world, who, &Options::default())?);
        return Ok(());
    };
    let key = load_key(&file)?;
    let token = token_for(&world, who, &Options { jkt: Some(thumbprint(&key)?), ..Options::default() })?;
    println!("{token}");
    println!("{}", proof(&key, method, &url.unwrap_or_default(), Some(&token), UnixMillis::now())?);
    Ok(())
}
