//! `tongban terminal`: a terminal of an outlet gets its certificate, and another before that one runs out.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Request;
use serde_json::{Value, json};

use super::block_on;
use super::order::read;
use crate::trust::suite::{SignatureAlgorithm, SigningKey, load_key};
use crate::trust::{pem, request};
use crate::upstream::body::full;
use crate::upstream::tls::{Identity, certificates};
use crate::upstream::{Client, ClientTls};

const WAIT: Duration = Duration::from_secs(30);
const ANSWER_MAX: usize = 256 << 10;

#[derive(Args)]
pub struct TerminalArgs {
    #[command(subcommand)]
    command: TerminalCommand,
}

#[derive(Args)]
struct Place {
    /// The gateway: https://HOST:PORT
    #[arg(long, value_name = "URL")]
    url: String,
    /// Authorities of the gateway's own certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Folder of terminal.key and terminal.pem
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Subcommand)]
enum TerminalCommand {
    /// Make a key and have a certificate issued under an operator's approval (终端入网)
    Enrol {
        #[command(flatten)]
        place: Place,
        /// The signed order, or `-`
        #[arg(long, value_name = "FILE")]
        approval: PathBuf,
    },
    /// Have the certificate renewed that has not run out yet (证书续期)
    Renew {
        #[command(flatten)]
        place: Place,
    },
}

pub fn run(args: TerminalArgs) -> ExitCode {
    block_on(async {
        let done = match &args.command {
            TerminalCommand::Enrol { place, approval } => match read(approval) {
                Ok(approval) => ask(place, Some(approval)).await,
                Err(why) => Err(why),
            },
            TerminalCommand::Renew { place } => ask(place, None).await,
        };
        match done {
            Ok(told) => {
                println!("{told}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("tongban terminal: {why}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Asks under the approval, or under the certificate that is there. A key that is there is used again, so that an attempt
/// that broke off can be repeated.
async fn ask(place: &Place, approval: Option<String>) -> Result<String, String> {
    let (key_file, certificate) = (place.out.join("terminal.key"), place.out.join("terminal.pem"));
    std::fs::create_dir_all(&place.out).map_err(|e| format!("{}: {e}", place.out.display()))?;
    if !key_file.exists() && approval.is_some() {
        let der = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).map_err(|e| e.to_string())?;
        write(&key_file, &zeroize::Zeroizing::new(pem::encode("PRIVATE KEY", &der)), 0o600)?;
    }
    let made = request::make(&load_key(&key_file)?).map_err(|e| e.to_string())?;
    let mut body = json!({ "request": pem::encode("CERTIFICATE REQUEST", &made) });
    let identity = match approval {
        Some(approval) => {
            body["approval"] = approval.into();
            None
        }
        None => Some(Identity::read(&certificate, &key_file).map_err(|e| e.to_string())?),
    };
    let anchors = certificates(&place.ca).map_err(|e| e.to_string())?;
    let tls = ClientTls::new(&anchors, identity).map_err(|e| e.to_string())?;
    let url = format!("{}/v1/terminals", place.url.trim_end_matches('/'));
    let request = Request::post(url).header("content-type", "application/json").body(full(body.to_string()));
    let request = request.map_err(|e| e.to_string())?;
    let answer = Client::new(&tls).fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
    let told: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let text = |member: &str| told[member].as_str().unwrap_or_default().to_owned();
    if !answer.status().is_success() {
        return Err(format!("{} {} {} {}", answer.status(), text("code"), text("title"), text("detail")));
    }
    write(&certificate, &text("certificate"), 0o644)?;
    Ok(format!("{}: 有效期至 · valid until {}", certificate.display(), text("not_after")))
}

/// Whole or not at all.
fn write(file: &Path, text: &str, mode: u32) -> Result<(), String> {
    let named = |e: std::io::Error| format!("{}: {e}", file.display());
    let part = file.with_extension("part");
    let mut out = std::fs::File::options().write(true).create(true).truncate(true).mode(mode).open(&part);
    let out = out.as_mut().map_err(|e| format!("{}: {e}", part.display()))?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(named)?;
    std::fs::rename(&part, file).map_err(named)
}
