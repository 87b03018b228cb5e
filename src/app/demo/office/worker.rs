//! What officials do with a case: each act by another person, sent to the gateway until it is taken.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Office;
use super::cases::Standing;
use crate::app::demo::licence::{self, Holder, Under};
use crate::app::demo::world::{B, Door, OFFICE};
use crate::catalogue::Catalogue;
use crate::terms::UnixMillis;
use crate::upstream::body::full;
use crate::upstream::tls::{Identity, certificates};
use crate::upstream::{Client, ClientTls};

/// The acts of a case, in order, and who does each: nobody does two.
pub const PLAN: [(&str, &str); 4] =
    [("accept", "O-0001"), ("begin_review", "O-0002"), ("grant", "O-0003"), ("close", "O-0001")];

/// Longest wait for the gateway, largest answer.
const WAIT: Duration = Duration::from_secs(20);
const ANSWER_MAX: usize = 1 << 20;
/// Wait before an act is sent again; doubles up to the longest.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// Cases are looked through this often even when nothing rings.
const LOOK: Duration = Duration::from_secs(5);

/// Works until `stop`.
pub async fn run(office: Arc<Office>, mut stop: watch::Receiver<bool>) -> Result<(), String> {
    let client = client(&office)?;
    let mut wait = RETRY;
    loop {
        // A disk that fails now may work again: nothing that waits here is ever dropped.
        let settled = round(&office, &client).await.unwrap_or_else(|error| {
            tracing::warn!(error, "the office cannot go on with its cases; it will try again");
            false
        });
        let pause = if settled { LOOK } else { wait };
        wait = if settled { RETRY } else { (wait * 2).min(RETRY_MAX) };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            () = office.news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn client(office: &Office) -> Result<Client, String> {
    let (certificate, key) = office.world.client(OFFICE);
    let identity = Identity::read(&certificate, &key).map_err(|e| e.to_string())?;
    let anchors = certificates(&office.world.tls_anchors(B)).map_err(|e| e.to_string())?;
    Ok(Client::new(&ClientTls::new(&anchors, Some(identity)).map_err(|e| e.to_string())?))
}

/// Moves every unfinished case as far as the gateway lets it; gives whether nothing is left to send again.
async fn round(office: &Arc<Office>, client: &Client) -> Result<bool, String> {
    let mut settled = true;
    for standing in office.cases.all()? {
        let mut standing = standing;
        while standing.stopped.is_none() && standing.done < PLAN.len() {
            let outcome = act(office, client, &standing).await.unwrap_or_else(Outcome::Later);
            match outcome {
                Outcome::Done => standing.done += 1,
                Outcome::Never(why) => {
                    tracing::warn!(case.no = %standing.case, why, "the office gives this case up");
                    standing.stopped = Some(why);
                }
                Outcome::Later(why) => {
                    tracing::info!(case.no = %standing.case, why, "the act will be sent again");
                    settled = false;
                    break;
                }
            }
            // A withdrawal that came meanwhile stands.
            let (done, stopped) = (standing.done, standing.stopped.clone());
            let after = |now: Option<Standing>| {
                now.map(|now| Standing { done, stopped: stopped.or(now.stopped.clone()), ..now })
            };
            standing = office.cases.change(standing.case, after)?.unwrap_or(standing);
        }
    }
    Ok(settled)
}

enum Outcome {
    Done,
    Later(String),
    Never(String),
}

async fn act(office: &Arc<Office>, client: &Client, standing: &Standing) -> Result<Outcome, String> {
    let Some((act, by)) = PLAN.get(standing.done) else { return Ok(Outcome::Done) };
    let mut order = json!({ "act": act, "by": by });
    if *act == "grant" {
        order["note"] = json!("申请材料齐全，符合法定条件，准予办理。");
        order["result"] = result(office, standing).await?;
    }
    let url = format!("{}/office/v1/cases/{}/acts", office.world.url(Door::Api(B)), standing.case);
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(full(order.to_string()))
        .map_err(|e| e.to_string())?;
    let response = match client.fetch(request, WAIT, ANSWER_MAX).await {
        Ok(response) => response,
        Err(error) => return Ok(Outcome::Later(error.to_string())),
    };
    let code = serde_json::from_slice::<Value>(response.body()).unwrap_or_default();
    let code = format!("{} {}", response.status().as_u16(), code["code"].as_str().unwrap_or_default());
    Ok(match response.status() {
        status if status.is_success() => Outcome::Done,
        // The answer to an earlier try was lost: the case is past this act already.
        StatusCode::CONFLICT => Outcome::Done,
        StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Never(code),
        _ => Outcome::Later(code),
    })
}

/// The licence that the item results in, sealed by the licence issuer.
async fn result(office: &Arc<Office>, standing: &Standing) -> Result<Value, String> {
    let (office, standing) = (office.clone(), standing.clone());
    let made = tokio::task::spawn_blocking(move || {
        let (name, code) = office.cases.applicant(&standing)?;
        let catalogue = Catalogue::embedded().map_err(|e| e.to_string())?;
        let item = catalogue.item(standing.item).map_err(|e| e.to_string())?;
        let holder = Holder { name: &name, code: &code };
        licence::issue(&office.world, Under::Good, &item.result_licence, holder, UnixMillis::now())
    });
    let bytes = made.await.map_err(|e| e.to_string())??;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(json!({ "media": "application/ofd", "base64": text }))
}
