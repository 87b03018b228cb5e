//! A gateway from start to drain: listeners, jobs, refreshers; the same code in production and in the demonstration.
//!
//! ```text
//!  api  (TLS, client certificates asked)      log (TLS: hashes for anyone, entries for auditors)
//!  admin (plain, local): /health /ready /reload /orders   metrics (plain, local): /metrics
//!  jobs: deliveries · housekeeping            refreshers: issuers' keys · directory
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::config::Config;
use super::reload::Reloader;
use super::{local, refresh, snapshot, statuses, wire};
use crate::audit::search::index::beside;
use crate::console;
use crate::gateway::Rooms;
use crate::gateway::changes::{self, Cause};
use crate::gateway::orders;
use crate::http::log::LogDoor;
use crate::http::places::Places;
use crate::http::serve::{Connection, Limits, serve};
use crate::jobs::gm::Roots;
use crate::jobs::responders::Responders;
use crate::jobs::{self, witnesses::Witnesses};
use crate::terms::UnixMillis;
use crate::upstream::Body;

/// A running gateway.
pub struct Running {
    pub rooms: Arc<Rooms>,
    /// Takes changed files.
    pub reloader: Arc<Reloader>,
    tasks: JoinSet<()>,
    /// The addresses for this machine: they answer until all else has drained.
    local: JoinSet<()>,
    local_stop: watch::Sender<bool>,
    config: Arc<ArcSwap<Config>>,
    roots: Roots,
    witnesses: Option<JoinHandle<Witnesses>>,
}

impl Running {
    /// Before the stop: `/ready` says no, and everything else goes on for as long as balancers take to see it.
    pub async fn leave(&self) {
        self.rooms.leaving.store(true, Ordering::Relaxed);
        let seconds = self.config.load().limits.leave_s;
        tracing::info!(seconds, "leaving: /ready says no from now on");
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    }

    /// Waits until everything has drained, then closes log and store.
    pub async fn drained(mut self) {
        self.rooms.leaving.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        if let Err(error) = self.roots.write_last(&self.rooms, UnixMillis::now()).await {
            tracing::warn!(%error, "the log is closed without an SM3 root");
        }
        // The last of all: the last checkpoint ends with it, and is the one that witnesses see.
        if let Err(error) = jobs::log::index(&self.rooms, UnixMillis::now()).await {
            tracing::warn!(%error, "the log is closed without a map of its cases");
        }
        if let Some(witnesses) = self.witnesses
            && let Ok(mut witnesses) = witnesses.await
        {
            self.rooms.log.publish();
            witnesses.last_round(&self.rooms).await;
            self.rooms.log.release();
        }
        let _ = self.local_stop.send(true);
        while self.local.join_next().await.is_some() {}
        let decisions = self.rooms.decisions.clone();
        let _ = tokio::task::spawn_blocking(move || decisions.close()).await;
        self.rooms.log.clone().close().await;
        // The last checkpoint, too: a copy of the log from just before the stop is older than the store.
        if let Err(error) = jobs::log::keep_head(&self.rooms).await {
            tracing::warn!(%error, "the store does not know the log's last checkpoint");
        }
        self.rooms.store.close().await;
    }
}

/// Starts a gateway; it runs until `stop` turns true.
///
/// # Errors
/// A sentence that names the file or address that is wrong.
pub async fn start(config: &Config, stop: watch::Receiver<bool>) -> Result<Running, String> {
    let now = UnixMillis::now();
    let mut snapshot = snapshot::read(config, None, now).map_err(|faults| faults.mistakes.to_string())?;
    let (parts, tls) = (std::mem::take(&mut snapshot.parts), snapshot.api_tls.clone());
    let auditors = Arc::new(ArcSwap::from_pointee(std::mem::take(&mut snapshot.auditors)));
    let rooms = wire::rooms(config, snapshot, now).await?;
    let mut witnesses = wire::witnesses(config)?;
    if let Some(witnesses) = &mut witnesses {
        witnesses.first(&rooms).await?;
    }
    let changed = changes::announce(&rooms, &parts, Cause::Start, now).await.map_err(|e| e.to_string())?;
    changes::settle(&rooms, &changed).await.map_err(|e| e.to_string())?;
    jobs::log::keys(&rooms, now).await.map_err(|e| e.to_string())?;
    // Before the first request: what was switched off stays off.
    orders::refresh(&rooms, now).await.map_err(|e| e.to_string())?;
    let mut tasks = JoinSet::new();
    let places = || Places::new(config.limits.connections as usize);
    let api = Limits { connections: places(), ..Limits::default() };
    let tally = api.tally.clone();
    let log = Limits { connections: places(), tally: tally.clone(), ..Limits::default() };
    let world = vec![api.connections.clone(), log.connections.clone()];
    let api_tls = Arc::new(ArcSwap::new(tls));
    let config_now = Arc::new(ArcSwap::from_pointee(config.clone()));
    let turn = Arc::default();
    let reloader = Arc::new(Reloader::new(
        rooms.clone(),
        config_now.clone(),
        api_tls.clone(),
        auditors.clone(),
        world,
        Arc::clone(&turn),
    ));

    let listener = listen(config.listen.api).await?;
    let own = rooms.clone();
    let handler = move |request, connection| console::answer(own.clone(), request, connection);
    tasks.spawn(serve(listener, Some(api_tls.clone()), api, stop.clone(), handler));

    let listener = listen(config.listen.log).await?;
    let index = beside(&config.gateway.data.join("log"));
    let (witness, days) = (wire::witness(config)?, config.log.retention_days);
    let door = Arc::new(LogDoor::new(rooms.clone(), auditors, witness, days, index.clone()));
    let own = door.clone();
    let handler = move |request, connection| own.clone().answer(request, connection);
    tasks.spawn(serve(listener, Some(api_tls.clone()), log, stop.clone(), handler));
    tasks.spawn(lives(door.settle(stop.clone())));
    let witnesses = witnesses.map(|all| tokio::spawn(all.run(rooms.clone(), stop.clone())));

    let limits = Limits { connections: Places::new(64), drain_s: 1, ..Limits::default() };
    let (mut local, (local_stop, staying)) = (JoinSet::new(), watch::channel(false));
    for address in [config.listen.admin, config.listen.metrics] {
        let listener = listen(address).await?;
        let (own, reloader, tally) = (rooms.clone(), reloader.clone(), tally.clone());
        let is_admin = address == config.listen.admin;
        let handler = move |request: Request<Body>, _: Connection| {
            let (own, reloader, tally) = (own.clone(), is_admin.then(|| reloader.clone()), tally.clone());
            async move { local::answer(&own, reloader.as_deref(), &tally, request).await }
        };
        local.spawn(serve(listener, None, limits.clone(), staying.clone(), handler));
    }
    tasks.spawn(lives(jobs::run(rooms.clone(), stop.clone())));
    tasks.spawn(lives(jobs::news::run(rooms.clone(), stop.clone())));
    if let Some(anchors) = wire::anchors(config)? {
        tasks.spawn(lives(anchors.run(rooms.clone(), stop.clone())));
    }
    let roots = Roots::default();
    tasks.spawn(lives(jobs::log::daily(rooms.clone(), roots.clone(), stop.clone())));
    tasks.spawn(lives(jobs::log::head(rooms.clone(), stop.clone())));
    tasks.spawn(lives(jobs::search::run(rooms.clone(), index, stop.clone())));
    if let Some(archive) = wire::archive(config)? {
        tasks.spawn(lives(archive.run(rooms.clone(), stop.clone())));
    }
    if let Some(retention) = wire::retention(config)? {
        tasks.spawn(lives(retention.run(rooms.clone(), stop.clone())));
    }
    tasks.spawn(lives(jobs::logset::run(rooms.clone(), stop.clone())));
    tasks.spawn(lives(refresh::keys(rooms.clone(), stop.clone())));
    let folder = config.gateway.data.join("statuses");
    let own = rooms.clone();
    let client = move || own.services.client();
    let file = jobs::responders::file(&folder);
    tasks.spawn(lives(Responders::new(client, rooms.certificate_status.clone(), file).run(stop.clone())));
    tasks.spawn(lives(statuses::refresh(rooms.clone(), config_now.clone(), folder, stop.clone())));
    tasks.spawn(lives(refresh::directory(rooms.clone(), config_now.clone(), api_tls, turn, stop.clone())));
    tasks.spawn(fatal(rooms.clone(), stop));
    tracing::info!(gateway = rooms.me.id, api = %config.listen.api, log = %config.listen.log, "serving");
    Ok(Running { rooms, reloader, tasks, local, local_stop, config: config_now, roots, witnesses })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"))
}

/// A job that broke down would be missed by nobody: the process ends, and the next start takes it up again.
async fn lives(job: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = tokio::spawn(job).await
        && error.is_panic()
    {
        tracing::error!(%error, "a job broke down; the gateway stops");
        std::process::exit(70);
    }
}

/// A log that failed once is never written again: the process ends, and the next start recovers.
async fn fatal(rooms: Arc<Rooms>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        why = rooms.log.fatal() => {
            tracing::error!(why, "the audit log failed; the gateway stops");
            std::process::exit(70);
        }
        () = crate::gateway::stopped(&mut stop) => {}
    }
}
