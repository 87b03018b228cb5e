//! What is described of the log's own address: the search for auditors. The rest of it is the C2SP layout.

use serde_json::{Value, json};

use super::words::{closed, digest, flag, list, number, one_of, or_null, text, time};
use crate::audit::Kind;
use crate::http::search::{MAX_LIMIT, ROUTE};

/// The path and its operation.
pub fn search() -> (&'static str, Value) {
    let word = || json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!#-\\[\\]-~]+$" });
    let person = closed(&[("kind", one_of(["resident", "company", "pseudonym"])), ("number", text())]);
    let mut ground = word();
    ground["minLength"] = json!(4);
    ground["pattern"] = "^([!#-\\[\\]-~]+|[一-鿿]+[〔\\[（(【][0-9]{4}[〕\\]）)】]第?[0-9]{1,6}号)$".into();
    ground["description"] =
        "number of the file under which this is asked, e.g. complaint-2026-17 or 青监〔2026〕17号; goes on record"
            .into();
    let request = closed(&[
        ("ground", ground),
        ("case?", json!({ "type": "string", "description": "case number, or its pseudonym" })),
        ("person?", person),
        ("actor?", word()),
        ("outlet?", word()),
        ("item?", json!({ "type": "string", "pattern": "^[0-9]{12}$" })),
        ("kind?", one_of(Kind::ALL.iter().map(|kind| kind.word()))),
        ("decision?", word()),
        ("since?", time()),
        ("until?", time()),
        ("from?", json!({ "type": "integer", "minimum": 0, "description": "the `next` of the page before" })),
        ("limit?", json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50 })),
        ("proof?", flag()),
    ]);
    let result = closed(&[
        ("index", number()),
        ("leaf", digest()),
        ("entry", json!({ "type": "object", "description": "docs/audit-entries.md" })),
        ("proof?", json!({ "type": "string", "description": "C2SP tlog-proof" })),
        ("bytes?", json!({ "type": "string", "description": "the entry as it was hashed" })),
    ]);
    let answer = closed(&[
        ("origin", text()),
        ("size", number()),
        ("checkpoint", text()),
        ("indexed", number()),
        ("matched", number()),
        ("unread", number()),
        ("pruned", number()),
        ("next", or_null(number())),
        ("results", list(result)),
        ("record", closed(&[("origin", text()), ("index", number()), ("leaf", digest())])),
    ]);
    let operation = json!({
        "operationId": "SearchLog",
        "summary": "检索日志 · Find entries of the log; needs a ground, and is itself an entry",
        "description": "At the log's address. An index can hide entries, and neither invent nor alter one: results are checked against `checkpoint`.",
        "servers": [{ "url": "https://{log}", "description": "日志地址 · the log's address, `members[].logs[].url` of the directory",
            "variables": { "log": { "default": "localhost" } } }],
        "parameters": [],
        "security": [{ "certificate": [] }],
        "requestBody": { "required": true, "content": { "application/json": { "schema": request } } },
        "responses": {
            "200": { "description": "ok", "content": { "application/json": { "schema": answer } } },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    (ROUTE, json!({ "post": operation }))
}
