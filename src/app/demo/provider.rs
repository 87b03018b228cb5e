//! The data provider: household register, population basics (DR-HH, DR-POP) and the status of identity cards (LT-ID) of
//! Jiyuan, over mutual TLS.
//!
//! ```text
//!  POST /lookups {resource, subject, licence?, fields, purpose, …} ──▶ {found, fields, version}
//!  GET  /calls                                                    ──▶ {calls}: how often it was really asked for data
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::answer::{answer, body, gateway_of, not_found, problem, run, tls};
use super::licence::{IN_FORCE, REPORTED_LOST};
use super::people::{LI, Person, ZHANG};
use super::world::{B, Door, GATEWAYS, POLICE_B, World};
use crate::http::serve::Connection;
use crate::terms::LicenceId;
use crate::upstream::Body;

/// Largest question in octets.
const QUESTION_MAX: usize = 64 << 10;
/// The version of the register's data.
const VERSION: &str = "2026-01";

/// How often the provider was asked.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<AtomicU64>);

impl Calls {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves until `stop`.
pub async fn start(world: &World, calls: Calls, stop: watch::Receiver<bool>) -> Result<(), String> {
    let anchors = world.tls_anchors(B);
    let tls = tls(&world.client("household-register"), &[&anchors])?;
    run("household register", world.address(Door::Provider), Some(tls), stop, move |request, from| {
        let calls = calls.clone();
        async move { handle(request, &from, &calls).await }
    })
    .await
}

async fn handle(request: Request<Body>, from: &Connection, calls: &Calls) -> Response<Body> {
    if gateway_of(from).as_deref() != Some(GATEWAYS[B].id) {
        return problem(StatusCode::FORBIDDEN, "only the gateway of Jiyuan asks here");
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/calls") => answer(StatusCode::OK, &json!({ "calls": calls.count() })),
        (&Method::POST, "/lookups") => {
            let question = match body(request, QUESTION_MAX).await {
                Ok(question) => question,
                Err(no) => return no,
            };
            match serde_json::from_slice::<Question>(&question) {
                Ok(question) => {
                    calls.0.fetch_add(u64::from(question.licence.is_none()), Ordering::Relaxed);
                    look_up(&question)
                }
                Err(error) => problem(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
            }
        }
        _ => not_found(),
    }
}

/// What a gateway asks; what else it says about its ground is for the provider's own records.
#[derive(Deserialize)]
struct Question {
    resource: String,
    subject: String,
    #[serde(default)]
    licence: Option<LicenceId>,
    fields: Vec<String>,
    purpose: String,
}

fn look_up(question: &Question) -> Response<Body> {
    if question.purpose.trim().is_empty() {
        return problem(StatusCode::FORBIDDEN, "a lookup needs a purpose");
    }
    let record = match (question.resource.as_str(), &question.licence) {
        ("DR-HH" | "DR-POP", None) => record(&question.resource, &question.subject),
        ("LT-ID", Some(licence)) => status(licence, &question.subject),
        _ => return problem(StatusCode::NOT_FOUND, "no such resource"),
    };
    let Some(record) = record else {
        return answer(StatusCode::OK, &json!({ "found": false }));
    };
    // Only what was asked for leaves the register.
    let fields: Map<String, Value> =
        record.into_iter().filter(|(name, _)| question.fields.iter().any(|asked| asked == name)).collect();
    answer(StatusCode::OK, &json!({ "found": true, "fields": fields, "version": VERSION }))
}

/// The register's entry of a licence: each person has one in force, and reported the one before lost.
fn status(licence: &LicenceId, subject: &str) -> Option<Map<String, Value>> {
    [ZHANG, LI].into_iter().filter_map(Person::find).find(|p| p.resident == Some(subject))?;
    if licence.issuer() != POLICE_B {
        return None;
    }
    let status = match licence.version().parse::<u16>().ok()? {
        IN_FORCE => "有效",
        REPORTED_LOST => "挂失",
        _ => return None,
    };
    match json!({ "status": status }) {
        Value::Object(record) => Some(record),
        _ => None,
    }
}

/// The register's entry of a person.
fn record(resource: &str, subject: &str) -> Option<Map<String, Value>> {
    let person = [ZHANG, LI].into_iter().filter_map(Person::find).find(|p| p.resident == Some(subject))?;
    let (town, address, household, head, members, moved) = match person.user {
        ZHANG => ("419001101000", "济源市五龙口镇示范街1号", "419001101000001", "张三", 3, "2015-06-01"),
        _ => ("419001102000", "济源市轵城镇示范路2号", "419001102000002", "李四", 2, "2010-03-15"),
    };
    let born = format!("{}-{}-{}", &subject[6..10], &subject[10..12], &subject[12..14]);
    let male = subject.as_bytes().get(16).is_some_and(|b| (b - b'0') % 2 == 1);
    let value = match resource {
        "DR-HH" => json!({ "household_no": household, "household_kind": "家庭户", "head": head,
            "relation": "户主", "members": members, "division": town, "household_address": address,
            "moved_in": moved, "status": "正常" }),
        _ => json!({ "name": person.name, "sex": if male { "男" } else { "女" }, "birth_date": born, "nation": "汉族",
            "division": town, "status": "正常" }),
    };
    match value {
        Value::Object(record) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_register_knows_its_people_and_nobody_else() {
        for (resource, subject, field, want) in [
            ("DR-HH", "990101199202290010", "division", Some("419001101000")),
            ("DR-POP", "990101199202290010", "birth_date", Some("1992-02-29")),
            ("DR-POP", "990101199202290010", "sex", Some("男")),
            ("DR-POP", "990101198506150020", "name", Some("李四")),
            ("DR-POP", "990101199202290029", "name", None),
            ("DR-POP", "", "name", None),
        ] {
            let got = record(resource, subject).and_then(|r| r.get(field).and_then(Value::as_str).map(str::to_owned));
            assert_eq!(got.as_deref(), want, "{resource} {subject} {field}");
        }
    }
}
