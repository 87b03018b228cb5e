//! Refusal → RFC 9457 problem document. The only place that does it.

use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::terms::Refusal;
use crate::upstream::Body;
use crate::upstream::body::full;

/// Where each code is explained; the path is served by the gateway.
const DOCS: &str = "/v1/errors#";

/// The answer for a refusal. `trace` is the id under which the audit log knows the request.
pub fn answer(refusal: &Refusal, trace: &str, leaf: Option<u64>) -> Response<Body> {
    let told = refusal.told;
    let (next_zh, next_en) = told.next.sentence();
    let mut document = Map::new();
    document.insert("type".into(), json!(format!("{DOCS}{}", told.code)));
    document.insert("title".into(), json!(told.zh));
    document.insert("status".into(), json!(refusal.status));
    document.insert("detail".into(), json!(told.en));
    document.insert("code".into(), json!(told.code));
    document.insert("reason".into(), json!(reason(refusal, trace)));
    document.insert("next".into(), json!({"step": told.next.word(), "zh": next_zh, "en": next_en}));
    document.insert("trace".into(), json!(trace));
    if let Some(index) = leaf {
        document.insert("leaf".into(), json!(index));
    }
    for (name, value) in &refusal.members {
        document.insert((*name).into(), value.clone());
    }
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, &Value::Object(document));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Ok(trace) = HeaderValue::try_from(trace) {
        headers.insert("tongban-trace", trace);
    }
    let says = refusal.headers.iter().any(|(name, _)| *name == "retry-after");
    if matches!(told.status, 429 | 503) && !says {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    // RFC 9110 §15.5.2: never without a challenge, also where it is a certificate that is missing.
    let challenged = refusal.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    if refusal.status == 401 && !challenged {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tongban\""));
    }
    for (name, value) in &refusal.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value.as_str())) {
            headers.append(name, value);
        }
    }
    response
}

/// What happened, for the operator. What the store says of itself stays in the operator's own log.
fn reason<'r>(refusal: &'r Refusal, trace: &str) -> &'r str {
    if !refusal.told.code.starts_with("TB-STO-") {
        return &refusal.detail;
    }
    tracing::error!(trace, code = refusal.told.code, detail = refusal.detail, "the store refused");
    "the store: see the operator's log under this trace"
}

/// A JSON answer; not to be cached, as almost everything here is about a person.
pub fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
