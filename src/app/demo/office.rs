//! The approval office's own system: takes sealed case files, keeps them, and decides as a department would.
//!
//! ```text
//!  POST /cases (sealed) ─▶ seal and digests hold? ─▶ sealed by a member? ─▶ kept (once for each message) ─▶ receipt
//!                                                                              │
//!           POST gateway/office/v1/cases/{no}/acts ◀── accept · begin_review · grant · close ◀── worker
//! ```
//! Where a case stands is a small file beside its case file, written before the answer and after every act: a restart
//! goes on where it stopped.

mod cases;
mod worker;

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, watch};

use super::answer::{answer, gateway_of, not_found, problem, run, tls};
use super::files;
use super::world::{B, Door, GATEWAYS, OFFICE, World};
use crate::federation::Directory;
use crate::http::serve::Connection;
use crate::upstream::Body;
use cases::{Cases, Taken};
pub use worker::PLAN;

/// Largest sealed case file in octets: the demonstration's filings are small.
const CASE_MAX: u64 = 256 << 20;

/// Serves and decides until `stop`.
pub async fn start(world: &World, stop: watch::Receiver<bool>) -> Result<(), String> {
    let anchors = world.tls_anchors(B);
    let tls = tls(&world.client(OFFICE), &[&anchors])?;
    let office = Arc::new(Office { cases: Cases::open(&world.office())?, world: world.clone(), news: Notify::new() });
    let worker = tokio::spawn(worker::run(office.clone(), stop.clone()));
    let served = run("approval office", world.address(Door::Office), Some(tls), stop, {
        let office = office.clone();
        move |request, from| {
            let office = office.clone();
            async move { office.handle(request, &from).await }
        }
    })
    .await;
    // Whether or not the port could be had, the worker ends with the listener.
    if served.is_err() {
        worker.abort();
    } else if let Ok(outcome) = worker.await {
        outcome?;
    }
    served
}

struct Office {
    cases: Cases,
    world: World,
    /// Rings when a case has come in.
    news: Notify,
}

impl Office {
    async fn handle(&self, request: Request<Body>, from: &Connection) -> Response<Body> {
        if gateway_of(from).as_deref() != Some(GATEWAYS[B].id) {
            return problem(StatusCode::FORBIDDEN, "only the gateway of Jiyuan delivers here");
        }
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/cases") => match self.take(request).await {
                Ok(taken) => {
                    self.news.notify_one();
                    answer(StatusCode::OK, &json!({ "receipt": taken.receipt, "again": taken.again }))
                }
                Err((status, why)) => {
                    tracing::warn!(status = status.as_u16(), why, "a case file was not taken");
                    problem(status, &why)
                }
            },
            (&Method::GET, "/cases") => match self.cases.all() {
                Ok(all) => answer(StatusCode::OK, &json!({ "cases": all })),
                Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why),
            },
            _ => not_found(),
        }
    }

    async fn take(&self, request: Request<Body>) -> Result<Taken, (StatusCode, String)> {
        let headers = request.headers();
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        if text("content-type").as_deref() != Some("application/vnd.etsi.asic-e+zip") {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "a sealed case file (ASiC-E) is wanted".into()));
        }
        let id = text("tongban-message-id").filter(|id| !id.is_empty() && id.len() <= 256);
        let id = id.ok_or_else(|| (StatusCode::BAD_REQUEST, "Tongban-Message-Id is missing".to_owned()))?;
        let broken = |e: String| (StatusCode::INTERNAL_SERVER_ERROR, e);
        let directory = self.directory().map_err(broken)?;
        let incoming = self.cases.incoming();
        let outcome = async {
            receive(request, &incoming).await?;
            let (cases, path) = (self.cases.clone(), incoming.clone());
            let judged = tokio::task::spawn_blocking(move || cases.take(&id, &path, &directory)).await;
            judged.map_err(|e| broken(e.to_string()))?.map_err(|e| e.answer())
        }
        .await;
        let _ = std::fs::remove_file(&incoming); // kept ones have been moved away
        outcome
    }

    /// The directory of today, under the operator's key.
    fn directory(&self) -> Result<Directory, String> {
        super::directory::read(&self.world, crate::terms::UnixMillis::now())
    }
}

/// Streams a body into a file.
async fn receive(request: Request<Body>, into: &std::path::Path) -> Result<(), (StatusCode, String)> {
    let io = |e: std::io::Error| (StatusCode::INTERNAL_SERVER_ERROR, files::said(into, e));
    let mut out = tokio::fs::File::create(into).await.map_err(io)?;
    let (mut body, mut size) = (request.into_body(), 0u64);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| (StatusCode::BAD_REQUEST, format!("the case file broke off: {e}")))?;
        if let Ok(data) = frame.into_data() {
            size += data.len() as u64;
            if size > CASE_MAX {
                return Err((StatusCode::PAYLOAD_TOO_LARGE, "the case file is too large".into()));
            }
            out.write_all(&data).await.map_err(io)?;
        }
    }
    out.sync_all().await.map_err(io)
}
