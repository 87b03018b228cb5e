//! The gateways of the demonstration, each a process of its own: started, watched, started again, ended.
//!
//! ```text
//!  start ─▶ tongban serve --config … --with-parent ──(killed, failed)──▶ told · wait a little ─▶ start
//!             ▲ stdin: a pipe whose other end we hold              │
//!             │ stdout, stderr: gateway.log                         └──▶ federation.json names the new pid
//!  told to end ─▶ SIGTERM ─▶ wait, with a bound ─▶ gone
//! ```
//! When this process dies, however it dies, the pipes end and the gateways with them.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Request;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::announce;
use super::screen::{Look, Screen};
use super::world::{Door, GATEWAYS, World};
use crate::terms::UnixMillis;
use crate::upstream::body::empty;
use crate::upstream::{Client, ClientTls};

/// First wait before a gateway is started again; doubles up to the longest while it keeps failing.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// A gateway that ran for this long had started well: the next wait is the first again.
const WELL: Duration = Duration::from_secs(2);
/// Longest wait for a gateway that was asked to end; its own drain takes at most ten seconds.
const END: Duration = Duration::from_secs(20);
/// Longest wait until both are ready.
const READY: Duration = Duration::from_secs(120);
const READY_LOOK: Duration = Duration::from_millis(50);
/// Failures in a row of a gateway that never was ready, after which the demonstration gives up. The old gateways of a
/// demonstration that was just killed may cost one.
const FAILURES: u32 = 5;
/// A log file larger than this, in octets, is put aside at the next start of its gateway.
const LOG_MAX: u64 = 8 << 20;

/// Both gateways.
pub struct Members {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

struct Shared {
    world: World,
    screen: Screen,
    state: Mutex<State>,
    /// Ends of gateways that nobody asked for.
    ends: AtomicU64,
}

#[derive(Default)]
struct State {
    pids: [Option<u32>; 2],
    /// Failures in a row, by gateway.
    failures: [u32; 2],
    /// Whether `federation.json` is there and has to follow.
    announced: bool,
}

/// How often gateways ended unasked; a look at what happened between two moments.
#[derive(Clone)]
pub struct Ends(Arc<Shared>);

impl Ends {
    pub fn count(&self) -> u64 {
        self.0.ends.load(Ordering::SeqCst)
    }
}

impl Members {
    /// Starts both gateways of a world that is laid.
    pub fn start(world: &World, screen: &Screen) -> Result<Self, String> {
        let binary = std::env::current_exe().map_err(|e| format!("the path of this program: {e}"))?;
        let (stop, _) = watch::channel(false);
        let shared = Arc::new(Shared {
            world: world.clone(),
            screen: screen.clone(),
            state: Mutex::default(),
            ends: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for gateway in 0..GATEWAYS.len() {
            let member = Member { shared: shared.clone(), gateway, binary: binary.clone() };
            tasks.spawn(member.keep(stop.subscribe()));
        }
        Ok(Self { shared, stop, tasks })
    }

    pub fn ends(&self) -> Ends {
        Ends(self.shared.clone())
    }

    /// Waits until both gateways say that they are ready.
    ///
    /// # Errors
    /// A sentence with the last word of the gateway that cannot start.
    pub async fn ready(&self) -> Result<(), String> {
        let until = Instant::now() + READY;
        for (gateway, plan) in GATEWAYS.iter().enumerate() {
            while !self.shared.is_ready(gateway).await {
                let failures = self.shared.state().failures[gateway];
                if failures >= FAILURES || Instant::now() > until {
                    let last = self.shared.last_word(gateway);
                    return Err(format!("{} does not start: {last}", plan.id));
                }
                tokio::time::sleep(READY_LOOK).await;
            }
            self.shared.state().failures[gateway] = 0;
        }
        Ok(())
    }

    /// Writes `federation.json`, and keeps it current from now on.
    pub fn announce(&self) -> Result<(), String> {
        let mut state = self.shared.state();
        announce::write(&self.shared.world, state.pids, UnixMillis::now())?;
        state.announced = true;
        Ok(())
    }

    /// Ends both gateways and waits for them.
    pub async fn end(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a gateway's process, and says so in `federation.json`.
    fn runs(&self, gateway: usize, pid: Option<u32>) {
        let mut state = self.state();
        state.pids[gateway] = pid;
        if state.announced
            && let Err(error) = announce::write(&self.world, state.pids, UnixMillis::now())
        {
            tracing::warn!(error, "federation.json is not current");
        }
    }

    async fn is_ready(&self, gateway: usize) -> bool {
        // A client of its own for each look: this one must not be left alone by a breaker.
        let Ok(tls) = ClientTls::new(&[], None) else { return false };
        let Ok(request) = Request::get(format!("{}/ready", self.world.url(Door::Admin(gateway)))).body(empty()) else {
            return false;
        };
        let answer = Client::new(&tls).fetch(request, Duration::from_secs(5), 4_096).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    fn log_file(&self, gateway: usize) -> PathBuf {
        self.world.gateway_log(gateway)
    }

    /// The last line of a gateway's log file.
    fn last_word(&self, gateway: usize) -> String {
        let file = self.log_file(gateway);
        let text = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        format!("{last} ({})", file.display())
    }
}

/// One gateway, kept running.
struct Member {
    shared: Arc<Shared>,
    gateway: usize,
    binary: PathBuf,
}

impl Member {
    async fn keep(self, mut stop: watch::Receiver<bool>) {
        let mut wait = AGAIN;
        loop {
            let begun = Instant::now();
            match self.spawn() {
                Ok(mut child) => {
                    // Held, never written: waiting for a child would close its pipe otherwise.
                    let _pipe = child.stdin.take();
                    self.shared.runs(self.gateway, child.id());
                    let ended = tokio::select! {
                        ended = child.wait() => Some(ended),
                        _ = stop.wait_for(|stop| *stop) => None,
                    };
                    let Some(ended) = ended else { return self.end(child).await };
                    self.shared.runs(self.gateway, None);
                    let by_signal = ended.as_ref().is_ok_and(|status| status.signal().is_some());
                    self.tell(ended.map_or_else(|e| e.to_string(), said), by_signal);
                }
                Err(why) => self.tell(why, false),
            }
            wait = if begun.elapsed() >= WELL { AGAIN } else { wait };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            wait = (wait * 2).min(AGAIN_MAX);
        }
    }

    fn spawn(&self) -> Result<Child, String> {
        let file = self.shared.log_file(self.gateway);
        let said = |e: std::io::Error| format!("{}: {e}", file.display());
        if std::fs::metadata(&file).is_ok_and(|m| m.len() > LOG_MAX) {
            std::fs::rename(&file, file.with_extension("log.old")).map_err(said)?;
        }
        let log = File::options().create(true).append(true).open(&file).map_err(said)?;
        let log_too = log.try_clone().map_err(said)?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(self.shared.world.config(self.gateway)).arg("--with-parent");
        command.stdin(Stdio::piped()).stdout(log).stderr(log_too);
        // Ctrl-C on the terminal is for us; we end the gateways in order.
        command.process_group(0).kill_on_drop(true);
        command.spawn().map_err(|e| format!("{}: {e}", self.binary.display()))
    }

    /// Tells that the gateway ended although nobody asked it to.
    fn tell(&self, how: String, by_signal: bool) {
        let id = GATEWAYS[self.gateway].id;
        self.shared.ends.fetch_add(1, Ordering::SeqCst);
        let mut line = format!("  ↻ {id} 已退出（{how}），正在重新启动 · ended ({how}); it is started again");
        if !by_signal {
            self.shared.state().failures[self.gateway] += 1;
            line = format!("{line}: {}", self.shared.last_word(self.gateway));
        }
        self.shared.screen.line(self.shared.screen.paint(Look::Bad, line));
        tracing::info!(gateway = id, how, "a gateway ended; it is started again");
    }

    /// Asks the process to end; after a while it is made to.
    async fn end(&self, mut child: Child) {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(END, child.wait()).await.is_err() {
            tracing::warn!(gateway = GATEWAYS[self.gateway].id, "a gateway did not end when asked to; it is killed");
            let _ = child.kill().await;
        }
        self.shared.runs(self.gateway, None);
    }
}

fn said(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
