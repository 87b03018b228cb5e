//! The addresses for this machine only: whether the gateway lives, is ready, what it counts; and its reload.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::reload::{NotReloaded, Reloaded, Reloader};
use crate::audit::{AuditError, Committed};
use crate::gateway::changes::Cause;
use crate::gateway::{Rooms, export, orders};
use crate::http::serve::Tally;
use crate::jobs::archive::BEHIND_MS;
use crate::jobs::log;
use crate::terms::{Refusal, UnixMillis};
use crate::upstream::Body;
use crate::upstream::body::{full, whole};

/// Largest order with its approval, in octets.
const ORDER_MAX: usize = 64 << 10;

/// How long `/ready` waits for the store, and for the vault.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How long an export waits for a checkpoint over its line: longer than any witness is waited for.
const SIGNED_WITHIN: Duration = Duration::from_secs(10);

/// Answers a request at the admin or metrics address; only the former has a `reloader`.
pub async fn answer(
    rooms: &Arc<Rooms>,
    reloader: Option<&Reloader>,
    tally: &Tally,
    request: Request<Body>,
) -> Response<Body> {
    let text = |status: StatusCode, text: String| {
        let mut response = Response::new(full(text));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    };
    let path = request.uri().path().to_owned();
    match path.as_str() {
        // A page in a browser on this machine can send a POST here, but not without saying where it comes from.
        "/reload" | "/orders" | "/exports"
            if request.method() != Method::POST || request.headers().contains_key(header::ORIGIN) =>
        {
            text(StatusCode::METHOD_NOT_ALLOWED, "POST, and not from a browser\n".into())
        }
        "/orders" if reloader.is_some() => {
            let (status, told) = ordered(rooms, request).await;
            text(status, told)
        }
        "/exports" if reloader.is_some() => {
            let (status, told) = exported(rooms, request).await;
            text(status, told)
        }
        "/reload" => match reloader {
            Some(reloader) => {
                let (status, told) = told(reloader.reload(Cause::Operator).await);
                text(status, told)
            }
            None => text(StatusCode::NOT_FOUND, "no such address\n".into()),
        },
        "/health" => text(StatusCode::OK, "alive\n".into()),
        "/ready" => {
            let (status, told) = match ready(rooms).await {
                Ok(()) => (StatusCode::OK, "ready".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
            };
            text(status, format!("{told}\n{}", alarms(rooms, UnixMillis::now())))
        }
        "/metrics" => {
            let mut gauges = rooms.gauges().await;
            let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            gauges.insert("tongban_handshakes_refused", count(tally.handshakes()));
            gauges.insert("tongban_connections_too_slow", count(tally.slow()));
            let lines = gauges.iter().map(|(name, value)| format!("# TYPE {name} gauge\n{name} {value}\n"));
            text(StatusCode::OK, lines.collect())
        }
        _ => text(StatusCode::NOT_FOUND, "no such address\n".into()),
    }
}

/// Carries out an operator's order; what vouches for it is its signature, not the way it came.
async fn ordered(rooms: &Arc<Rooms>, request: Request<Body>) -> (StatusCode, String) {
    let Ok(body) = whole(request.into_body(), ORDER_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "an order is shorter\n".into());
    };
    let signed = match serde_json::from_slice(&body) {
        Ok(signed) => signed,
        Err(error) => return (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
    };
    match orders::carry_out(rooms, signed, UnixMillis::now()).await {
        Ok((_, committed)) => (StatusCode::OK, format!("已执行 · carried out, line {}\n", committed.index)),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, format!("{refusal}\n{} {}\n", refusal.told.zh, refusal.told.en))
        }
    }
}

/// The line of an export, and the map of all cases behind it, here and in the logs of other replicas: so that what is exported is
/// known to be all of the case.
async fn noted(rooms: &Arc<Rooms>, wanted: &export::Export) -> Result<Committed, Refusal> {
    export::note(rooms, wanted, UnixMillis::now()).await?;
    log::want_maps(rooms).await?;
    Ok(log::index(rooms, UnixMillis::now()).await?)
}

/// Puts an export of evidence on record; whoever reaches this address reaches the folder that is exported, too.
async fn exported(rooms: &Arc<Rooms>, request: Request<Body>) -> (StatusCode, String) {
    let Ok(body) = whole(request.into_body(), ORDER_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "shorter, please\n".into());
    };
    let noted = match serde_json::from_slice::<export::Export>(&body) {
        Ok(wanted) => noted(rooms, &wanted).await,
        Err(error) => return (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")),
    };
    match noted {
        Ok(committed) => {
            // What is exported next is what a checkpoint covers that ends with a map: these lines, too, once the witnesses had
            // their time.
            let until = tokio::time::Instant::now() + SIGNED_WITHIN;
            let is_signed = || rooms.log.mapped().is_some_and(|mapped| mapped.size > committed.index);
            while !is_signed() && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (StatusCode::OK, format!("已记入日志 · on record, before line {}\n", committed.index))
        }
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, format!("{refusal}\n{} {}\n", refusal.told.zh, refusal.told.en))
        }
    }
}

fn told(reloaded: Result<Reloaded, NotReloaded>) -> (StatusCode, String) {
    match reloaded {
        Ok(done) => {
            let mut lines = vec![format!("已重新加载 · reloaded: {} 处变更 · changes", done.changes.len())];
            lines.extend(done.changes.iter().map(ToString::to_string));
            if !done.at_next_start.is_empty() {
                lines.push(format!("下次启动生效 · from the next start: {}", done.at_next_start.join(", ")));
            }
            (StatusCode::OK, lines.join("\n") + "\n")
        }
        Err(NotReloaded::Mistakes(mistakes)) => {
            let told = format!("{mistakes}\n未加载，原配置继续有效 · not reloaded, what was in force stays\n");
            (StatusCode::UNPROCESSABLE_ENTITY, told)
        }
        Err(other) => (StatusCode::SERVICE_UNAVAILABLE, format!("{other}\n")),
    }
}

/// What an operator must look at although service goes on.
fn alarms(rooms: &Rooms, now: UnixMillis) -> String {
    let mut told = rooms.log_state.alarms(now);
    if rooms.log_archive.behind_for(now) > BEHIND_MS {
        told += &format!("alarm: the archive of the log is behind by {} entries\n", rooms.log_archive.waiting());
    }
    told
}

/// The real operations, not a connection test: the store answers, the log takes lines, the directory is in force.
async fn ready(rooms: &Arc<Rooms>) -> Result<(), String> {
    if rooms.leaving.load(Ordering::Relaxed) {
        return Err("leaving: this gateway is about to stop".into());
    }
    let ping = tokio::time::timeout(ANSWERS_WITHIN, rooms.store.ping()).await;
    ping.map_err(|_| "store: no answer".to_owned())?.map_err(|e| e.to_string())?;
    rooms.log.takes_entries().await.map_err(|error| match error {
        AuditError::Full(_) => "log: no space",
        AuditError::Busy => "log: busy",
        _ => "log: failed",
    })?;
    let own = rooms.clone();
    let probe = tokio::task::spawn_blocking(move || own.vault.takes_files());
    let probed = tokio::time::timeout(ANSWERS_WITHIN, probe).await.ok().and_then(Result::ok);
    probed.ok_or_else(|| "vault: no answer".to_owned())?.map_err(|error| match error.is_full() {
        true => "vault: no space".to_owned(),
        false => error.to_string(),
    })?;
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
