//! The walk: one case across provinces, then what the gateways refuse, then the proof of it all by an outsider's means;
//! narrated, timed, and checked at every step.
//!
//! ```text
//!  lay ─▶ parties (here) + gateways (processes) ─▶ ready ─▶ steps ─▶ refusals ─▶ offline ─▶ keep serving │ end
//! ```

mod client;
mod offline;
mod refusals;
mod steps;
mod teller;

use std::path::Path;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::members::{Ends, Members};
use super::screen::Screen;
use super::world::{A, B, Door, GATEWAYS};
use super::{World, files, lay, provider, start};
pub use client::{Asking, Window};
pub use teller::Teller;

/// Where a line of the log is named in an answer.
fn leaf(value: &Value) -> String {
    match (value["leaf"]["index"].as_u64(), value["leaf"].as_u64()) {
        (Some(index), _) => format!("{} #{index}", value["leaf"]["origin"].as_str().unwrap_or_default()),
        (None, Some(index)) => format!("#{index}"),
        _ => String::new(),
    }
}

/// What the walk knows of the world besides where it is.
struct Stage<'a> {
    world: &'a World,
    calls: provider::Calls,
    /// Gateways that ended unasked: they have forgotten what they had in memory.
    ends: Ends,
}

/// One demonstration at a time works in a folder: a second one would lay the files of the first anew.
fn only_one(folder: &Path) -> Result<std::fs::File, String> {
    use rustix::fs::{FlockOperation, flock};
    std::fs::create_dir_all(folder).map_err(|e| files::said(folder, e))?;
    let file = folder.join("lock");
    let lock = std::fs::File::options().create(true).append(true).open(&file).map_err(|e| files::said(&file, e))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        format!("another demonstration runs in {}: stop it, or choose another --data", folder.display())
    })?;
    Ok(lock)
}

/// Lays the federation, starts everything, walks, and (unless `once`) keeps serving until told to stop.
/// `true` when every step and every refusal came out as it must.
///
/// # Errors
/// A sentence, when something cannot even start.
pub async fn run(
    folder: &Path,
    port_base: u16,
    store: Option<&str>,
    once: bool,
    screen: &Screen,
) -> Result<bool, String> {
    // One ear from the beginning to the end: a signal that comes between two steps is not lost.
    let (tell, mut told) = watch::channel(false);
    tokio::spawn(async move {
        until_told().await;
        let _ = tell.send(true);
    });
    let _only_one = only_one(folder)?;
    let mut teller = Teller::new(screen.clone());
    screen.line(format_args!("通办网关演示 · Tongban demonstration\n数据 data: {}", folder.display()));
    teller.chapter("联盟", "The federation");
    teller.work("密钥、证书、印章、签名目录、配置", "Keys, certificates, seals, the signed directory, configurations");
    let world = {
        let (folder, store) = (folder.to_owned(), store.map(str::to_owned));
        let laid = tokio::task::spawn_blocking(move || lay(&folder, port_base, store.as_deref())).await;
        laid.map_err(|e| e.to_string())??
    };
    world.make_schemas().await?;
    teller
        .done("SM2/SM3 · P-256 · Ed25519 · RSA（首次启动时生成 made at the first start）", &path(&world.federation()));

    teller.work(
        "两个网关（各自独立进程）、身份认证、数据提供方、审批系统、业务系统",
        "Two gateways, each its own process; identity provider, register, office, a department's system",
    );
    let calls = provider::Calls::default();
    let running = Running::start(&world, &calls, screen).await?;
    teller
        .done(&format!("mTLS {} · {}", world.url(Door::Api(A)), world.url(Door::Api(B))), &path(&world.announcement()));
    let stage = Stage { world: &world, calls, ends: running.members.ends() };
    let walked = async {
        let papers = steps::walk(&mut teller, &stage).await;
        refusals::walk(&mut teller, &world).await;
        papers
    };
    let papers = tokio::select! {
        papers = walked => papers,
        _ = told.wait_for(|told| *told) => {
            running.end().await;
            return Err("被中断 · told to end before the walk was over".into());
        }
    };
    if once {
        // The proof is for what remains when everything has ended.
        running.end().await;
        offline::walk(&mut teller, &world, papers.as_ref()).await;
        return Ok(teller.conclude());
    }
    offline::walk(&mut teller, &world, papers.as_ref()).await;
    let well = teller.conclude();
    addresses(&teller, &world);
    let _ = told.wait_for(|told| *told).await;
    running.end().await;
    Ok(well)
}

/// Everything that runs.
struct Running {
    members: Members,
    parties: JoinHandle<Result<(), String>>,
    stop: watch::Sender<bool>,
}

impl Running {
    async fn start(world: &World, calls: &provider::Calls, screen: &Screen) -> Result<Self, String> {
        let (stop, told) = watch::channel(false);
        let mut parties = {
            let (world, calls) = (world.clone(), calls.clone());
            tokio::spawn(async move { start(&world, calls, told).await })
        };
        let members = Members::start(world, screen)?;
        tokio::select! {
            ready = members.ready() => ready?,
            ended = &mut parties => match ended {
                Ok(Err(why)) => return Err(why),
                _ => return Err("the parties around the gateways ended".into()),
            },
        }
        members.announce()?;
        Ok(Self { members, parties, stop })
    }

    /// The gateways first: they may still have something to deliver.
    async fn end(self) {
        self.members.end().await;
        let _ = self.stop.send(true);
        let _ = self.parties.await;
    }
}

/// SIGTERM or Ctrl-C.
async fn until_told() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

fn path(file: &Path) -> String {
    file.display().to_string()
}

fn addresses(teller: &Teller, world: &World) {
    let line = |text: String| teller.screen.line(text);
    let (cert, key) = world.client(super::world::WINDOW);
    teller.chapter("手工试用", "Try it by hand (Ctrl-C ends)");
    for gateway in [A, B] {
        line(format!(
            "  {}: api {} · log {} · admin {} · metrics {}",
            GATEWAYS[gateway].id,
            world.url(Door::Api(gateway)),
            world.url(Door::Log(gateway)),
            world.url(Door::Admin(gateway)),
            world.url(Door::Metrics(gateway))
        ));
    }
    let program = offline::program();
    let (ca, api) = (path(&world.tls_anchors(A)), world.url(Door::Api(A)));
    line(format!("  curl --cacert {ca} '{api}/v1/items?q=%E6%88%B7%E7%B1%8D'"));
    line(format!(
        "  curl --cacert {ca} --cert {} --key {} -H \"Authorization: Bearer $({program} demo token --data {} --as clerk)\" {api}/v1/cases",
        cert.display(),
        key.display(),
        world.folder.display(),
    ));
    line(format!("  curl --cacert {ca} {}/checkpoint", world.url(Door::Log(A))));
}
