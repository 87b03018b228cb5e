//! `tongban reload`: asks the gateway of a configuration to take its changed files.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use http::{Request, StatusCode};

use super::block_on;
use crate::app::config::Config;
use crate::upstream::Body;
use crate::upstream::body::empty;
use crate::upstream::{Client, ClientTls};

const WAIT: Duration = Duration::from_secs(60);
const ANSWER_MAX: usize = 1 << 20;

pub fn run(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    block_on(async {
        match ask(&config).await {
            Ok((StatusCode::OK, told)) => {
                print!("{told}");
                ExitCode::SUCCESS
            }
            Ok((_, told)) => {
                eprint!("{told}");
                ExitCode::FAILURE
            }
            Err(why) => {
                eprintln!("tongban reload: {why}");
                ExitCode::FAILURE
            }
        }
    })
}

/// The gateway's own answer: what changed, or every mistake.
async fn ask(config: &Config) -> Result<(StatusCode, String), String> {
    admin(config, "/reload", empty()).await
}

/// Posts to the admin address of the gateway that a configuration describes; gives status and text of the answer.
///
/// # Errors
/// Why there is no answer: most often the gateway does not run.
pub(super) async fn admin(config: &Config, path: &str, body: Body) -> Result<(StatusCode, String), String> {
    let tls = ClientTls::new(&[], None).map_err(|e| e.to_string())?;
    let request = Request::post(format!("http://{}{path}", config.listen.admin)).body(body);
    let request = request.map_err(|e| e.to_string())?;
    let answer = Client::new(&tls).fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
    Ok((answer.status(), String::from_utf8_lossy(answer.body()).into_owned()))
}
