//! A gateway from start to drain: listeners, jobs, refreshers; the same code in production and in the demonstration.
//!
//! ```text
//!  api  (TLS, client certificates asked)      log (TLS: hashes for anyone, entries for auditors)
//!  admin (plain, local): /health /ready       metrics (plain, local): /metrics
//!  jobs: deliveries · housekeeping            refreshers: issuers' keys · directory
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::config::Config;
use super::{refresh, wire};
use crate::gateway::Rooms;
use crate::http::api;
use crate::http::log::LogDoor;
use crate::http::serve::{Connection, Limits, serve};
use crate::jobs::gm::Roots;
use crate::jobs::{self, witnesses::Witnesses};
use crate::terms::UnixMillis;
use crate::upstream::Body;
use crate::upstream::body::full;

/// A running gateway.
pub struct Running {
    pub rooms: Arc<Rooms>,
    tasks: JoinSet<()>,
    roots: Roots,
    witnesses: Option<JoinHandle<Witnesses>>,
}

impl Running {
    /// Waits until everything has drained, then closes log and store.
    pub async fn drained(mut self) {
        while self.tasks.join_next().await.is_some() {}
        if let Err(error) = jobs::log::index(&self.rooms, UnixMillis::now()).await {
            tracing::warn!(%error, "the log is closed without a map of its cases");
        }
        if let Err(error) = self.roots.write_last(&self.rooms, UnixMillis::now()).await {
            tracing::warn!(%error, "the log is closed without an SM3 root");
        }
        if let Some(witnesses) = self.witnesses
            && let Ok(mut witnesses) = witnesses.await
        {
            self.rooms.log.publish();
            witnesses.round(&self.rooms).await;
            self.rooms.log.release();
        }
        self.rooms.log.clone().close().await;
        self.rooms.store.close().await;
    }
}

/// Starts a gateway; it runs until `stop` turns true.
///
/// # Errors
/// A sentence that names the file or address that is wrong.
pub async fn start(config: &Config, stop: watch::Receiver<bool>) -> Result<Running, String> {
    let rooms = wire::rooms(config).await?;
    let mut tasks = JoinSet::new();
    let limits = Limits { connections: config.limits.connections as usize, ..Limits::default() };
    let api_tls = Arc::new(ArcSwap::new(wire::api_tls(config, &rooms.directory.load())?));

    let listener = listen(config.listen.api).await?;
    let own = rooms.clone();
    let handler = move |request, connection| api::answer(own.clone(), request, connection);
    tasks.spawn(serve(listener, Some(api_tls.clone()), limits, stop.clone(), handler));

    let listener = listen(config.listen.log).await?;
    let door = Arc::new(LogDoor::new(rooms.clone(), wire::auditors(config)?, wire::witness(config)?));
    let own = door.clone();
    let handler = move |request, connection| own.clone().answer(request, connection);
    tasks.spawn(serve(listener, Some(api_tls.clone()), limits, stop.clone(), handler));
    tasks.spawn(door.settle(stop.clone()));
    let witnesses = wire::witnesses(config)?.map(|all| tokio::spawn(all.run(rooms.clone(), stop.clone())));

    let local = Limits { connections: 64, ..Limits::default() };
    for address in [config.listen.admin, config.listen.metrics] {
        let listener = listen(address).await?;
        let own = rooms.clone();
        let handler = move |request: Request<Body>, _: Connection| {
            let own = own.clone();
            async move { local_answer(&own, request.uri().path()).await }
        };
        tasks.spawn(serve(listener, None, local, stop.clone(), handler));
    }
    tasks.spawn(jobs::run(rooms.clone(), stop.clone()));
    if let Some(anchors) = wire::anchors(config)? {
        tasks.spawn(anchors.run(rooms.clone(), stop.clone()));
    }
    let roots = Roots::default();
    tasks.spawn(jobs::log::daily(rooms.clone(), roots.clone(), stop.clone()));
    tasks.spawn(jobs::log::head(rooms.clone(), stop.clone()));
    tasks.spawn(refresh::keys(rooms.clone(), stop.clone()));
    tasks.spawn(refresh::directory(rooms.clone(), config.clone(), api_tls, stop.clone()));
    tasks.spawn(fatal(rooms.clone(), stop));
    tracing::info!(gateway = rooms.me.id, api = %config.listen.api, log = %config.listen.log, "serving");
    Ok(Running { rooms, tasks, roots, witnesses })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"))
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

async fn local_answer(rooms: &Arc<Rooms>, path: &str) -> Response<Body> {
    let text = |status: StatusCode, text: String| {
        let mut response = Response::new(full(text));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    };
    match path {
        "/health" => text(StatusCode::OK, "alive\n".into()),
        "/ready" => match ready(rooms).await {
            Ok(()) => text(StatusCode::OK, "ready\n".into()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => {
            let gauges = rooms.gauges().await;
            let lines = gauges.iter().map(|(name, value)| format!("# TYPE {name} gauge\n{name} {value}\n"));
            text(StatusCode::OK, lines.collect())
        }
        _ => text(StatusCode::NOT_FOUND, "no such address\n".into()),
    }
}

/// The real operations, not a connection test: the store answers, the log takes lines, the directory is in force.
async fn ready(rooms: &Rooms) -> Result<(), String> {
    let ping = tokio::time::timeout(Duration::from_secs(2), rooms.store.ping()).await;
    ping.map_err(|_| "store: no answer".to_owned())?.map_err(|e| e.to_string())?;
    if !rooms.log.is_healthy() {
        return Err("log: failed".into());
    }
    if rooms.directory.load().expires <= UnixMillis::now() {
        return Err("directory: expired".into());
    }
    rooms.slot().map_err(|e| format!("directory: {e}"))?;
    if !rooms.catalogue_is_current() {
        return Err("catalogue: not the one that the directory names".into());
    }
    let book = rooms.issuers.load();
    if book.issuers().any(|issuer| issuer.keys.is_none()) {
        return Err("issuers: keys not there yet".into());
    }
    Ok(())
}
