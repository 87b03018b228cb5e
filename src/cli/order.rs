//! `tongban order`: what operators order, signed with their own keys: an outlet off or on, a terminal dead, a terminal in.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Request;
use serde::Serialize;

use super::block_on;
use crate::app::config::Config;
use crate::audit::Word;
use crate::gateway::orders::{APPROVAL, Approval, Claims, ORDER, Order};
use crate::identity::jose::encode;
use crate::partners::{OutletId, TerminalId};
use crate::terms::{CaseNo, Digest, UnixMillis};
use crate::trust::suite::load_key;
use crate::upstream::body::full;
use crate::upstream::{Client, ClientTls};

const WAIT: Duration = Duration::from_secs(30);
const ANSWER_MAX: usize = 64 << 10;
/// Largest signed order, in octets.
const ORDER_MAX: u64 = 16 << 10;
const HOUR_S: i64 = 3_600;

#[derive(Args)]
pub struct OrderArgs {
    #[command(subcommand)]
    command: OrderCommand,
}

#[derive(Args)]
struct Signing {
    /// The operator's id in the gateway's configuration
    #[arg(long, value_name = "ID")]
    by: String,
    /// The operator's private key: P-256, PKCS#8, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The gateway's id
    #[arg(long, value_name = "ID")]
    gateway: String,
    /// Hours that the signature counts, up to 168
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=168))]
    hours: i64,
}

#[derive(Subcommand)]
enum OrderCommand {
    /// Print a signed order (签发指令)
    Sign {
        #[command(flatten)]
        signing: Signing,
        #[command(subcommand)]
        what: What,
    },
    /// Print a second person's approval of an order (第二人批准)
    Approve {
        #[command(flatten)]
        signing: Signing,
        /// The order, or `-`
        order: PathBuf,
    },
    /// Have the gateway of a configuration carry an order out (执行指令)
    Send {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The order, or `-`
        order: PathBuf,
        #[arg(long, value_name = "FILE")]
        approval: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum What {
    /// Take nothing from an outlet any more, at once (暂停网点)
    Suspend { outlet: OutletId },
    /// Let it go on; needs an approval (恢复网点)
    Resume { outlet: OutletId },
    /// A terminal's URI, or a client certificate's SHA-256, is dead (吊销终端或证书)
    Revoke { terminal: TerminalId },
    /// Take a revocation back; needs an approval (撤销吊销)
    Reinstate { terminal: TerminalId },
    /// Let a terminal that the contract lists have a certificate, once (批准终端入网)
    Enrol {
        outlet: OutletId,
        terminal: TerminalId,
        /// SHA-256 of the terminal's public key (SubjectPublicKeyInfo), when it is known already
        #[arg(long = "for-key", value_name = "SHA256")]
        key: Option<Digest>,
    },
    /// Destroy the key of a closed case: its personal data are gone for good; needs an approval (销毁办件密钥)
    Shred { case: CaseNo },
    /// Keep a case from being shredded while a dispute runs; GROUND is a code, e.g. FY-2026-17 (保全办件)
    Hold { case: CaseNo, ground: Word },
    /// Lift a hold; needs an approval (解除保全)
    Release { case: CaseNo },
}

impl What {
    fn order(self) -> Order {
        match self {
            Self::Suspend { outlet } => Order::Suspend { outlet },
            Self::Resume { outlet } => Order::Resume { outlet },
            Self::Revoke { terminal } => Order::Revoke { terminal },
            Self::Reinstate { terminal } => Order::Reinstate { terminal },
            Self::Enrol { outlet, terminal, key } => Order::Enrol { outlet, terminal, key },
            Self::Shred { case } => Order::Shred { case },
            Self::Hold { case, ground } => Order::Hold { case, ground },
            Self::Release { case } => Order::Release { case },
        }
    }
}

pub fn run(args: OrderArgs) -> ExitCode {
    let done = match args.command {
        OrderCommand::Sign { signing, what } => order(&signing, what.order()),
        OrderCommand::Approve { signing, order } => read(&order).and_then(|order| approval(&signing, &order)),
        OrderCommand::Send { config, order, approval } => return send(&config, &order, approval.as_deref()),
    };
    match done {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(why) => told(&why),
    }
}

fn told(why: &str) -> ExitCode {
    eprintln!("tongban order: {why}");
    ExitCode::FAILURE
}

fn order(signing: &Signing, order: Order) -> Result<String, String> {
    let mut jti = [0u8; 16];
    let random = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut jti);
    random.map_err(|_| "no randomness".to_owned())?;
    let now = UnixMillis::now().seconds();
    let claims = Claims {
        iss: signing.by.clone(),
        aud: signing.gateway.clone(),
        iat: now,
        exp: now + signing.hours * HOUR_S,
        jti: crate::terms::digest::hex(&jti),
        order,
    };
    sign(&signing.key, ORDER, &claims)
}

fn approval(signing: &Signing, order: &str) -> Result<String, String> {
    let now = UnixMillis::now().seconds();
    let claims = Approval {
        iss: signing.by.clone(),
        aud: signing.gateway.clone(),
        iat: now,
        exp: now + signing.hours * HOUR_S,
        approves: Digest::of(order.trim().as_bytes()),
    };
    sign(&signing.key, APPROVAL, &claims)
}

fn sign(key: &Path, typ: &str, claims: &impl Serialize) -> Result<String, String> {
    let head = serde_json::json!({ "alg": "ES256", "typ": typ }).to_string();
    let payload = serde_json::to_vec(claims).map_err(|e| e.to_string())?;
    let input = format!("{}.{}", encode(head.as_bytes()), encode(&payload));
    let signature = load_key(key)?.sign_jose(input.as_bytes()).map_err(|e| e.to_string())?;
    Ok(format!("{input}.{}", encode(&signature)))
}

/// A signed word from a file, or from standard input.
pub(super) fn read(file: &Path) -> Result<String, String> {
    let named = |e: std::io::Error| format!("{}: {e}", file.display());
    let mut text = String::new();
    let source: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(named)?),
    };
    source.take(ORDER_MAX).read_to_string(&mut text).map_err(named)?;
    Ok(text.trim().to_owned())
}

fn send(config: &Path, order: &Path, approval: Option<&Path>) -> ExitCode {
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    let signed = read(order).and_then(|order| Ok((order, approval.map(read).transpose()?)));
    let (order, approval) = match signed {
        Ok(signed) => signed,
        Err(why) => return told(&why),
    };
    block_on(async {
        let body = serde_json::json!({ "order": order, "approval": approval }).to_string();
        let sent = async {
            let tls = ClientTls::new(&[], None).map_err(|e| e.to_string())?;
            let request = Request::post(format!("http://{}/orders", config.listen.admin)).body(full(body));
            let request = request.map_err(|e| e.to_string())?;
            Client::new(&tls).fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())
        };
        match sent.await {
            Ok(answer) if answer.status().is_success() => {
                print!("{}", String::from_utf8_lossy(answer.body()));
                ExitCode::SUCCESS
            }
            Ok(answer) => {
                eprint!("{}", String::from_utf8_lossy(answer.body()));
                ExitCode::FAILURE
            }
            Err(why) => told(&why),
        }
    })
}
