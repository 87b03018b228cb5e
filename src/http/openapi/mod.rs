//! The interface as OpenAPI 3.1, made from the route table, and the list of all codes.

mod log;
mod requests;
mod responses;
mod words;

use serde_json::{Map, Value, json};

use super::routes::{Call, ROUTES, Who};
use crate::terms::Told;

/// Every answer of every room below and of this one.
pub fn all_tolds() -> Vec<&'static Told> {
    let rooms: Vec<Vec<&'static Told>> = vec![
        crate::terms::TOLDS.to_vec(),
        crate::formats::tolds(),
        crate::store::tolds(),
        crate::audit::tolds(),
        crate::upstream::tolds(),
        crate::identity::tolds(),
        crate::licences::tolds(),
        crate::catalogue::tolds(),
        crate::partners::tolds(),
        crate::policy::tolds(),
        crate::exchange::tolds(),
        crate::federation::tolds(),
        crate::lookups::tolds(),
        crate::gateway::tolds(),
        super::tolds(),
    ];
    let mut all: Vec<_> = rooms.into_iter().flatten().collect();
    all.sort_by_key(|t| t.code);
    all
}

/// The list of codes as JSON.
pub fn errors() -> Value {
    let list: Vec<_> = all_tolds()
        .iter()
        .map(|t| json!({"code": t.code, "status": t.status, "zh": t.zh, "en": t.en, "next": t.next.word()}))
        .collect();
    json!({ "errors": list })
}

/// The list of codes as a page, `docs/errors.md`.
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Codes (错误代码)\n\nMade from the code by `make docs`; a test fails while this page is out of date. Every refusal is an RFC 9457 problem\ndocument with one of these codes, its sentences and the next step.\n\n| code | status | 中文 | English | next step |\n|---|---|---|---|---|\n",
    );
    for t in all_tolds() {
        page.push_str(&format!("| `{}` | {} | {} | {} | `{}` |\n", t.code, t.status, t.zh, t.en, t.next.word()));
    }
    page
}

/// The OpenAPI document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let template = route.template.replace("{*", "{");
        let path = paths.entry(template.clone()).or_insert_with(|| json!({}));
        let methods: Vec<String> = match &route.method {
            Some(method) => vec![method.as_str().to_lowercase()],
            None => ["get", "post", "put", "patch", "delete"].map(str::to_owned).to_vec(),
        };
        for method in methods {
            path[&method] = operation(route.call, &method, &template, route.who, route.summary_zh, route.summary);
        }
    }
    let (path, search) = log::search();
    paths.insert(path.to_owned(), search);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "通办网关 Tongban gateway", "version": "1.0.0", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Any service window accepts any region's case. Errors are RFC 9457 problem documents with TB-… codes.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Access token (RFC 9068), as Bearer or DPoP (RFC 9449). Staff also need a client certificate."},
                "certificate": {"type": "mutualTLS"},
            },
            "schemas": {"Problem": responses::problem()},
            "responses": {"Problem": {"description": "拒绝 · refusal", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
        },
    })
}

fn operation(call: Call, method: &str, template: &str, who: Who, zh: &str, en: &str) -> Value {
    let in_path = template
        .split('/')
        .filter_map(|p| p.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let parameters: Vec<_> = in_path.chain(requests::parameters(call)).collect();
    let security = match who {
        Who::Anyone => json!([]),
        Who::Person => json!([{"token": [], "certificate": []}, {"token": []}]),
        Who::Office | Who::System | Who::Peer => json!([{"certificate": []}]),
    };
    let mut responses = json!({ "default": {"$ref": "#/components/responses/Problem"} });
    for (status, media, schema) in responses::good(call) {
        let content = schema.map_or_else(|| json!({ media: {} }), |schema| json!({ media: { "schema": schema } }));
        responses[status] = json!({ "description": good(call, status), "content": content });
    }
    let id = match call {
        Call::Pass | Call::PeerPass => format!("{call:?}_{method}"),
        _ => format!("{call:?}"),
    };
    let mut operation = json!({"operationId": id, "summary": format!("{zh} · {en}"), "parameters": parameters, "security": security, "responses": responses});
    if let Some((media, schema)) = requests::body(call) {
        operation["requestBody"] = json!({"required": true, "content": {media: {"schema": schema}}});
    }
    operation
}

/// What a good answer means.
fn good(call: Call, status: &str) -> &'static str {
    match (call, status) {
        (Call::File, "202") => "已收件 · received, not accepted",
        (Call::File, _) => "the same filing came before: its case",
        (Call::Withdraw | Call::Deliver, "202") => "the owner has been asked; the case moves when it answers",
        (Call::Pass | Call::PeerPass, _) => "whatever the department's system answers, or a refusal of ours",
        _ => "ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_given_once_and_says_something() {
        let all = all_tolds();
        for pair in all.windows(2) {
            assert_ne!(pair[0].code, pair[1].code, "a code is given twice");
        }
        for t in all {
            let mut parts = t.code.split('-');
            let (tb, room, number) = (parts.next(), parts.next(), parts.next());
            assert_eq!(tb, Some("TB"), "{}", t.code);
            assert!(room.is_some_and(|r| r.bytes().all(|b| b.is_ascii_uppercase())), "{}", t.code);
            assert!(number.is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit())), "{}", t.code);
            assert!((400..600).contains(&t.status) && !t.zh.is_empty() && !t.en.is_empty(), "{}", t.code);
        }
    }

    #[test]
    fn the_document_names_every_route() {
        let document = document();
        for route in ROUTES {
            let path = &document["paths"][route.template.replace("{*", "{")];
            let method = route.method.as_ref().map_or("get".to_owned(), |m| m.as_str().to_lowercase());
            assert!(path[&method]["operationId"].is_string(), "{method} {}", route.template);
        }
    }

    #[test]
    fn docs_errors_page_is_current() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, errors_page()).unwrap();
        }
        assert!(
            std::fs::read_to_string(file).unwrap_or_default() == errors_page(),
            "docs/errors.md is out of date: run `make docs`"
        );
    }
}
