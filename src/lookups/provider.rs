//! The call to a data provider: a question with its ground in, the asked fields out.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::{Answer, LookupError};
use crate::terms::{CaseNo, ItemCode};
use crate::upstream::{Client, body::full};

/// Largest answer in octets.
const ANSWER_MAX: usize = 256 * 1024;

/// One call, with everything a provider needs to judge for itself.
pub struct Call<'a> {
    pub resource: &'a str,
    /// Number of the subject. Leaves only inside this call.
    pub subject: &'a str,
    /// Identifier of the licence whose status is asked; the resource is its type.
    pub licence: Option<&'a str>,
    pub fields: &'a std::collections::BTreeSet<String>,
    pub purpose: &'a str,
    /// What the item's entry says that it rests on, as a citation; `consent` where it is the person's.
    pub basis: &'a str,
    pub item: ItemCode,
    pub case: Option<CaseNo>,
}

impl Call<'_> {
    /// The body of the call; the gateway's statement names its digest.
    pub fn body(&self) -> String {
        let mut body = json!({
            "resource": self.resource, "subject": self.subject, "fields": self.fields, "purpose": self.purpose,
            "basis": self.basis, "item": self.item, "case": self.case,
        });
        if let Some(licence) = self.licence {
            body["licence"] = licence.into();
        }
        body.to_string()
    }
}

/// Sends `POST {url}/lookups` under a signed statement of the gateway and reads `{"found", "fields", "version", "fresh_s"}`.
/// It is waited for as long as `wait`.
pub async fn call(
    (client, url): (&Client, &str),
    wait: Duration,
    resource: &str,
    body: String,
    statement: &str,
) -> Result<Answer, LookupError> {
    let bad = |why: String| LookupError::BadAnswer { resource: resource.to_owned(), why };
    let request = Request::post(format!("{url}/lookups"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {statement}"))
        .body(full(body))
        .map_err(|e| bad(e.to_string()))?;
    let response =
        client.fetch(request, wait, ANSWER_MAX).await.map_err(|e| LookupError::from_upstream(resource, &e))?;
    match response.status() {
        StatusCode::OK => read(response.body()).map_err(bad),
        StatusCode::NOT_FOUND => Ok(Answer::NotFound),
        status if status.is_server_error() => {
            Err(LookupError::Down { resource: resource.to_owned(), why: status.to_string() })
        }
        status => Err(bad(status.to_string())),
    }
}

fn read(body: &[u8]) -> Result<Answer, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire {
        found: bool,
        #[serde(default)]
        fields: BTreeMap<String, Value>,
        #[serde(default)]
        version: String,
        #[serde(default)]
        fresh_s: Option<u64>,
    }
    let wire: Wire = serde_json::from_slice(body).map_err(|e| unreadable(&e))?;
    if wire.found {
        Ok(Answer::Found { fields: wire.fields, source_version: wire.version, fresh_s: wire.fresh_s })
    } else {
        Ok(Answer::NotFound)
    }
}

/// Where an answer stops being readable. What stands there may be somebody's data: it is not told.
pub fn unreadable(error: &serde_json::Error) -> String {
    format!("no JSON of the agreed form ({:?}, line {}, column {})", error.classify(), error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_one_form() {
        for (body, good) in [
            (r#"{"found":true,"fields":{"a":1},"version":"3"}"#, true),
            (r#"{"found":true,"fields":{"a":1},"fresh_s":5}"#, true),
            (r#"{"found":true,"fields":{"a":1},"fresh_s":-5}"#, false),
            (r#"{"found":true,"fields":{"a":1},"fresh_s":"soon"}"#, false),
            (r#"{"found":false}"#, true),
            (r#"{"found":true,"extra":1}"#, false),
            (r#"{"found":"张三","fields":{"张三":1}}"#, false),
            (r#"{"found":true,"张三":1}"#, false),
            ("[]", false),
            ("", false),
        ] {
            let answer = read(body.as_bytes());
            assert_eq!(answer.is_ok(), good, "{body}");
            assert!(answer.err().is_none_or(|why| !why.contains("张三")), "{body}: what it holds is not told");
        }
    }
}
