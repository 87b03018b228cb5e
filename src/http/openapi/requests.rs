//! What each operation takes.

use serde_json::{Value, json};

use super::words::{any, closed, flag, list, number, one_of, text};
use crate::exchange::Act;
use crate::gateway::contacts;
use crate::gateway::desk::Way;
use crate::gateway::registry::{PaperWord, WINDOW_ACTS};
use crate::http::routes::Call;

/// A query or header parameter beside those in the path: name, where, schema, what it is for.
pub fn parameters(call: Call) -> Vec<Value> {
    let one = |name: &str, place: &str, schema: Value, about: &str| json!({ "name": name, "in": place, "required": false, "schema": schema, "description": about });
    let lang = || one("lang", "query", one_of(["zh", "en"]), "language of names and sentences");
    let subject =
        || one("Tongban-Subject-Token", "header", text(), "the applicant's access token, where staff act for somebody");
    match call {
        Call::SearchItems => vec![one("q", "query", text(), "words of the name, or a code"), lang()],
        Call::Guide => vec![lang()],
        Call::Plan => vec![lang(), subject()],
        Call::File => vec![
            subject(),
            one(
                "Idempotency-Key",
                "header",
                json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
                "the caller's name for this filing: sent again under it, it is the same filing",
            ),
        ],
        Call::List => vec![one(
            "before",
            "query",
            json!({ "type": "string", "format": "date-time" }),
            "only cases opened earlier: the `before` of the last page",
        )],
        Call::AboutMe => vec![
            one(
                "before",
                "query",
                json!({ "type": "string", "format": "date-time" }),
                "only what was earlier: the `before` of the last page",
            ),
            lang(),
        ],
        Call::Watch => vec![one("Last-Event-ID", "header", number(), "go on after this event")],
        Call::Withdraw => vec![subject()],
        Call::Verify => vec![
            subject(),
            one("purpose", "query", text(), "what it is verified for; the rules ask for one"),
            one(
                "consent",
                "query",
                one_of(["true", "false"]),
                "the holder agrees, as the clerk states with the holder's own token beside",
            ),
            one(
                "case",
                "query",
                text(),
                "the case it is verified for; the issuer's register is then asked for its status",
            ),
            one("nonce", "query", text(), "the number given out for the presentation of a credential"),
            one("audience", "query", text(), "whom a credential must be presented to"),
        ],
        Call::LookUp => vec![subject()],
        _ => Vec::new(),
    }
}

/// A material that a supplement notice asks for.
fn demanded() -> Value {
    closed(&[("no", number()), ("wrong?", text()), ("paper?", flag())])
}

/// Media type and schema of the body, where there is one.
pub fn body(call: Call) -> Option<(&'static str, Value)> {
    let binary = || json!({ "type": "string", "format": "binary" });
    let json = |schema| Some(("application/json", schema));
    match call {
        Call::File => Some(("multipart/form-data", filing())),
        Call::Plan => json(closed(&[("by_agent?", flag()), ("without?", list(text()))])),
        Call::LookUp => json(closed(&[
            ("resource", text()),
            ("licence?", text()),
            ("case?", text()),
            ("purpose?", text()),
            ("consent?", flag()),
            ("fields?", list(text())),
            ("consent_paper?", text()),
        ])),
        Call::OfficeAct => {
            let acts = Act::ALL.iter().map(|act| act.word());
            let result = closed(&[("media", text()), ("base64", text())]);
            json(closed(&[
                ("act", one_of(acts)),
                ("by", text()),
                ("note?", text()),
                ("ground?", text()),
                ("result?", result),
                ("materials?", list(demanded())),
            ]))
        }
        Call::WindowAct => json(closed(&[
            ("act", one_of(WINDOW_ACTS)),
            ("note?", text()),
            ("mandate", text()),
            ("materials?", list(demanded())),
        ])),
        Call::Contact | Call::OfficeContact => {
            let way = one_of(contacts::Way::ALL.iter().map(|way| way.word()));
            let mut members = vec![("way", way), ("alone", flag()), ("note?", text())];
            members.extend((call == Call::OfficeContact).then(|| ("by", text())));
            json(closed(&members))
        }
        Call::Deliver => json(closed(&[
            ("way", one_of(Way::ALL.iter().map(|way| way.word()))),
            ("substitute?", text()),
            ("remark?", text()),
        ])),
        Call::PeerLookup => json(closed(&[
            ("resource", text()),
            ("subject", text()),
            ("fields", list(text())),
            ("purpose", text()),
            ("item", text()),
            ("case?", text()),
            ("authority", text()),
            ("place", text()),
            ("requester", text()),
            ("consent?", text()),
        ])),
        Call::PeerPaper => json(closed(&[
            ("kind", one_of(PaperWord::ALL.iter().map(|word| word.word()))),
            ("paper", text()),
            ("audience", text()),
            ("subject?", text()),
            ("to", text()),
            ("called?", text()),
            ("act", text()),
            ("item?", text()),
            ("place", text()),
            ("case?", text()),
            ("resource?", text()),
            ("fields?", list(text())),
            ("purpose?", text()),
            ("presence?", flag()),
        ])),
        Call::PeerPaperUse => json(closed(&[("standing", text()), ("end", one_of(["used", "back"]))])),
        Call::Token => Some((
            "application/x-www-form-urlencoded",
            json!({
                "type": "object", "required": ["grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type", "item"],
                "properties": {
                    "grant_type": one_of(["urn:ietf:params:oauth:grant-type:token-exchange"]),
                    "subject_token": text(), "subject_token_type": text(), "actor_token": text(), "actor_token_type": text(),
                    "requested_token_type": text(), "audience": text(), "resource": text(),
                    "subject_proof": {"type": "string", "description": "DPoP proof of the citizen's own device for this endpoint, where their token is bound to one"},
                    "item": {"type": "string", "pattern": "^[0-9]{12}$"}, "purpose": text(), "case": text(),
                    "paper": {"type": "string", "description": "an agent's power of attorney"},
                    "present": one_of(["true", "false"]),
                },
            }),
        )),
        Call::Revoke => Some((
            "application/x-www-form-urlencoded",
            json!({"type": "object", "required": ["token"], "properties": {"token": text(), "token_type_hint": text()}}),
        )),
        Call::PaperGive | Call::OfficePaper => json(closed(&[
            ("kind", one_of(PaperWord::ALL.iter().map(|word| word.word()))),
            ("to", text()),
            ("items?", list(text())),
            ("acts?", list(text())),
            ("places?", list(text())),
            ("resources?", list(text())),
            ("fields?", list(text())),
            ("purpose?", text()),
            ("case?", text()),
            ("once?", flag()),
            ("days?", number()),
        ])),
        Call::Duty => json(closed(&[("away", flag()), ("hours?", number()), ("of?", text())])),
        Call::PeerChange | Call::Change => json(closed(&[("change", text())])),
        Call::Enrol => json(closed(&[("request", text()), ("approval?", text())])),
        Call::Logout => Some(("application/x-www-form-urlencoded", closed(&[("logout_token", text())]))),
        Call::Verify => Some(("application/octet-stream", binary())),
        Call::PeerMessage => Some((crate::gateway::keep::ASICE, binary())),
        _ => None,
    }
}

fn filing() -> Value {
    let request = closed(&[
        ("item", json!({ "type": "string", "pattern": "^[0-9]{12}$" })),
        ("mode?", one_of(["online", "proxy", "joint"])),
        ("places?", json!({ "type": "object", "additionalProperties": text() })),
        ("owner?", closed(&[("region", text()), ("reason", text())])),
        ("present?", flag()),
        ("priority?", flag()),
        ("consent?", flag()),
        ("consent_paper?", text()),
        ("form?", any()),
        ("materials?", list(closed(&[("no", number()), ("file", text())]))),
    ]);
    json!({
        "type": "object", "required": ["request"], "properties": { "request": request },
        "additionalProperties": { "type": "string", "format": "binary" },
    })
}
