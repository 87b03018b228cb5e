//! Watching a case: server-sent events (HTML Living Standard §9.2), one per act, resumed by `Last-Event-ID`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::api::{Asked, again, read};
use crate::exchange::{State, records};
use crate::gateway::desk;
use crate::partners::Act;
use crate::terms::{CaseNo, Refusal};
use crate::upstream::Body;
use crate::upstream::body::BoxError;

/// Another replica may have moved the case: look at least this often, in seconds. Also keeps the line open.
const LOOK_S: u64 = 5;
/// A watcher is asked to come again after this long, in seconds.
const WATCH_S: u64 = 600;

/// Streams the acts of a case where the client takes a stream, else gives them as JSON.
pub(super) async fn answer(asked: Asked, no: CaseNo) -> Result<Response<Body>, Refusal> {
    let seen = read(&asked, no).await?;
    let wants_stream = asked.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    if wants_stream.is_none_or(|v| !v.contains("text/event-stream")) {
        let events: Vec<_> = seen.events.iter().map(desk::event).collect();
        return Ok(super::problem::json_response(http::StatusCode::OK, &serde_json::json!({ "events": events })));
    }
    let last = asked.headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let (send, receive) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(16);
    tokio::spawn(follow(asked, no, (last.unwrap_or(0), seen.record.case.state), send));
    let stream = futures_util::stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) });
    let body =
        StreamBody::new(Box::pin(stream) as std::pin::Pin<Box<dyn futures_util::Stream<Item = _> + Send + Sync>>);
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Sends what comes after `last`; of a case that is over by `state`, what there is. At every look it asks again whether they may.
async fn follow(
    asked: Asked,
    no: CaseNo,
    (mut last, mut state): (u64, State),
    send: mpsc::Sender<Result<Frame<Bytes>, BoxError>>,
) {
    let mut news = asked.rooms.news.subscribe();
    let end = tokio::time::Instant::now() + Duration::from_secs(WATCH_S);
    while tokio::time::Instant::now() < end {
        let Ok(still) = again::still(&asked, Act::ReadOwn).await else { return };
        if desk::still(&asked.rooms, &still.viewer(&asked), no, state).await.is_err() {
            return;
        }
        let over = state.is_terminal();
        let rows = async {
            let mut tx = asked.rooms.store.read().await?;
            records::events(&mut tx, no, last).await
        };
        let Ok(rows) = rows.await else { return };
        for row in &rows {
            (last, state) = (row.seq, row.state);
            let text = format!("id: {}\nevent: {}\ndata: {}\n\n", row.seq, row.act, desk::event(row));
            if send.send(Ok(Frame::data(Bytes::from(text)))).await.is_err() {
                return;
            }
            if row.state.is_terminal() {
                return;
            }
        }
        if over {
            return;
        }
        let moved = async {
            while let Ok(moved) = news.recv().await {
                if moved == no {
                    return;
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(LOOK_S), moved).await.is_err() {
            let alive = send.send(Ok(Frame::data(Bytes::from_static(b": still here\n\n")))).await;
            if alive.is_err() {
                return;
            }
        }
    }
}
