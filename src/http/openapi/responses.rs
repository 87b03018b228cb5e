//! What each operation answers; a test holds real answers to it.

use serde_json::{Value, json};

use super::words::{any, closed, digest, flag, list, number, one_of, or_null, text, time};
use crate::exchange::{Act, State};
use crate::http::routes::Call;

/// Status, media type and schema of a good answer; a second one where there are two.
pub fn good(call: Call) -> Vec<(&'static str, &'static str, Option<Value>)> {
    const JSON: &str = "application/json";
    match call {
        Call::SearchItems => vec![("200", JSON, Some(found()))],
        Call::Guide => vec![("200", JSON, Some(guide()))],
        Call::Plan => vec![("200", JSON, Some(plan()))],
        Call::File => vec![("202", JSON, Some(filed())), ("200", JSON, Some(filed()))],
        Call::List => vec![("200", JSON, Some(cases()))],
        Call::Read => vec![("200", JSON, Some(case()))],
        Call::Withdraw | Call::Deliver => vec![("200", JSON, Some(case())), ("202", JSON, Some(case()))],
        Call::Watch => vec![("200", JSON, Some(closed(&[("events", list(event()))])))],
        Call::Document => vec![("200", "*/*", None)],
        Call::Verify => {
            vec![("200", JSON, Some(json!({ "type": "object", "description": "docs/verdict.schema.json" })))]
        }
        Call::AboutMe => vec![("200", JSON, Some(about_me()))],
        Call::LookUp => vec![(
            "200",
            JSON,
            Some(closed(&[
                ("resource", text()),
                ("fields", json!({ "type": "object" })),
                ("cached", flag()),
                ("stale", flag()),
                ("fetched_at", time()),
            ])),
        )],
        Call::PeerChange | Call::Change => vec![("200", JSON, Some(closed(&[("leaf", leaf())])))],
        Call::PeerPaper => vec![("200", JSON, Some(closed(&[("standing", text()), ("held", flag())])))],
        Call::PeerPaperUse => vec![("200", JSON, Some(closed(&[])))],
        Call::Enrol => {
            vec![("200", JSON, Some(closed(&[("certificate", text()), ("not_after", time()), ("leaf", leaf())])))]
        }
        Call::Logout => vec![("200", JSON, Some(closed(&[])))],
        Call::Token => vec![(
            "200",
            JSON,
            Some(closed(&[
                ("access_token", text()),
                ("issued_token_type", text()),
                ("token_type", one_of(["DPoP", "Bearer"])),
                ("expires_in", number()),
            ])),
        )],
        Call::PaperGive | Call::OfficePaper => vec![(
            "200",
            JSON,
            Some(closed(&[("id", text()), ("kind", text()), ("paper", text()), ("expires", time()), ("leaf", leaf())])),
        )],
        Call::PaperList => {
            let paper = closed(&[
                ("id", text()),
                ("kind", text()),
                ("kind_zh", text()),
                ("to", text()),
                ("at", time()),
                ("expires", time()),
                ("state", one_of(["live", "revoked", "over"])),
            ]);
            vec![("200", JSON, Some(closed(&[("papers", list(paper))])))]
        }
        Call::PaperRevoke | Call::OfficePaperRevoke => {
            vec![("200", JSON, Some(closed(&[("id", text()), ("leaf", leaf())])))]
        }
        Call::Revoke => vec![("200", JSON, Some(closed(&[])))],
        Call::Metadata => {
            vec![("200", JSON, Some(json!({ "type": "object", "required": ["issuer", "token_endpoint"] })))]
        }
        Call::Jwks => vec![("200", JSON, Some(closed(&[("keys", list(json!({ "type": "object" })))])))],
        Call::Duty => vec![("200", JSON, Some(closed(&[("away", flag()), ("leaf", leaf())])))],
        Call::OpenApi => vec![("200", JSON, Some(json!({ "type": "object" })))],
        Call::Errors => vec![("200", JSON, Some(errors()))],
        Call::OfficeAct | Call::WindowAct => {
            let acted = || Some(closed(&[("case", text()), ("state", state()), ("seq", number()), ("leaf", leaf())]));
            let done = ("200", JSON, acted());
            if call == Call::WindowAct { vec![done, ("202", JSON, acted())] } else { vec![done] }
        }
        Call::Contact | Call::OfficeContact => {
            vec![("200", JSON, Some(closed(&[("case", text()), ("leaf", leaf())])))]
        }
        Call::PeerMessage => vec![("200", JSON, Some(closed(&[("receipt", text())])))],
        Call::PeerLookup => {
            vec![("200", JSON, Some(closed(&[("fields", json!({ "type": "object" })), ("version", text())])))]
        }
        Call::PeerPass | Call::Pass => vec![("default", "*/*", None)],
    }
}

fn state() -> Value {
    one_of(State::ALL.iter().map(|s| s.word()))
}

fn act() -> Value {
    one_of(Act::ALL.iter().map(|a| a.word()))
}

/// Where the line about this answer lies in the log.
fn leaf() -> Value {
    closed(&[("origin", text()), ("index", number()), ("leaf", digest())])
}

fn found() -> Value {
    let item = closed(&[
        ("code", text()),
        ("name", text()),
        ("sector", text()),
        ("scopes", list(text())),
        ("modes", list(text())),
        ("presence", text()),
    ]);
    closed(&[("items", list(item)), ("catalogue", digest())])
}

/// A word of a closed list with its name in the language asked for.
fn named() -> Value {
    closed(&[("word", text()), ("name", text())])
}

fn guide() -> Value {
    let material = closed(&[
        ("no", number()),
        ("name", text()),
        ("source", named()),
        ("reference?", text()),
        ("required", flag()),
        ("deferrable_days?", number()),
        ("basis?", text()),
        ("fields?", list(text())),
        ("purposes?", list(text())),
    ]);
    closed(&[
        ("code", text()),
        ("implementation_code?", text()),
        ("version", digest()),
        ("name", text()),
        ("item_type", named()),
        ("sector", text()),
        ("basis?", text()),
        ("authority?", text()),
        ("levels", list(named())),
        ("case_kind", named()),
        ("subjects", list(named())),
        ("legal_days", number()),
        ("promised_days", number()),
        ("owner_rule", named()),
        ("modes", list(named())),
        ("scopes", list(named())),
        ("presence", named()),
        ("min_identity_level", number()),
        ("max_identity_age_min", number()),
        ("outlets", list(named())),
        ("fee", flag()),
        ("attributes", list(named())),
        ("form?", list(text())),
        ("materials", list(material)),
        ("delivery", list(named())),
        ("result", closed(&[("licence_type", text()), ("name", text())])),
        ("time_limit", text()),
    ])
}

fn plan() -> Value {
    let material = closed(&[
        ("no", number()),
        ("name", text()),
        ("how", text()),
        ("why", text()),
        ("required", flag()),
        ("deferrable_days?", or_null(number())),
        ("reference?", or_null(text())),
    ]);
    closed(&[("item", text()), ("materials", list(material)), ("bring", list(number())), ("guide", digest())])
}

fn filed() -> Value {
    let gap = closed(&[
        ("no", number()),
        ("name", text()),
        ("code", text()),
        ("zh", text()),
        ("en", text()),
        ("next", text()),
    ]);
    closed(&[
        ("case", text()),
        ("state", state()),
        ("state_zh", text()),
        ("notice", closed(&[("zh", text()), ("en", text())])),
        ("receipt", text()),
        ("watch", text()),
        ("gaps", list(gap)),
        ("leaf", leaf()),
    ])
}

fn cases() -> Value {
    let case = closed(&[
        ("case", text()),
        ("state", state()),
        ("state_zh", text()),
        ("item", text()),
        ("opened", time()),
        ("updated", time()),
    ]);
    closed(&[("cases", list(case)), ("before", or_null(time()))])
}

fn event() -> Value {
    closed(&[("seq", number()), ("at", time()), ("act", act()), ("state", state()), ("state_zh", text())])
}

fn case() -> Value {
    let material = closed(&[
        ("no", number()),
        ("name", text()),
        ("source", text()),
        ("verdict", or_null(text())),
        ("digest", or_null(digest())),
    ]);
    let fact = closed(&[("resource", text()), ("fetched_at", time()), ("cached", flag())]);
    let document = closed(&[
        ("path", text()),
        ("role", one_of(["material", "paper"])),
        ("media", text()),
        ("size", number()),
        ("digest", digest()),
    ]);
    let delivery = closed(&[
        ("to", text()),
        ("message", text()),
        ("asks", flag()),
        ("state", one_of(["waiting", "delivered", "refused"])),
        ("attempts", number()),
        ("code", or_null(text())),
        ("done_at", or_null(time())),
    ]);
    closed(&[
        ("case", text()),
        ("state", state()),
        ("state_zh", text()),
        ("seq", number()),
        ("item", closed(&[("code", text()), ("name", text())])),
        ("window", text()),
        ("owner", text()),
        ("authority", text()),
        ("applicant", closed(&[("name", text()), ("code", text())])),
        ("priority", flag()),
        ("first_handler", closed(&[("at", text()), ("name", text()), ("staff", or_null(text()))])),
        ("received_at", time()),
        ("accepted_at", or_null(time())),
        ("materials", list(material)),
        ("facts", list(fact)),
        ("documents", list(document)),
        ("events", list(event())),
        ("deliveries", list(delivery)),
    ])
}

fn about_me() -> Value {
    let who =
        closed(&[("kind", or_null(text())), ("at", or_null(text())), ("staff", or_null(text())), ("myself", flag())]);
    let why = closed(&[
        ("purpose", or_null(text())),
        ("basis", or_null(text())),
        ("basis_text", or_null(text())),
        ("item", or_null(text())),
        ("item_name", or_null(text())),
    ]);
    let line = closed(&[
        ("at", time()),
        ("what", one_of(["data", "licence", "case", "contact"])),
        ("resource", or_null(text())),
        ("name", or_null(text())),
        ("who", who),
        ("why", why),
        ("from", or_null(text())),
        ("result", or_null(text())),
        ("contact", or_null(closed(&[("way", text()), ("name", text()), ("alone", flag())]))),
        ("leaf", leaf()),
    ]);
    closed(&[("lookups", list(line)), ("before", or_null(time()))])
}

fn errors() -> Value {
    closed(&[(
        "errors",
        list(closed(&[("code", text()), ("status", number()), ("zh", text()), ("en", text()), ("next", text())])),
    )])
}

/// A refusal (RFC 9457); members beyond these depend on the code.
pub fn problem() -> Value {
    json!({
        "type": "object", "required": ["type", "title", "status", "detail", "code", "reason", "next", "trace"],
        "properties": {
            "type": text(),
            "title": { "type": "string", "description": "the sentence for the clerk, Chinese" },
            "detail": { "type": "string", "description": "the same in English" },
            "status": number(),
            "code": { "type": "string", "pattern": "^TB-[A-Z]+-[0-9]{4}$" },
            "reason": { "type": "string", "description": "for the operator" },
            "next": closed(&[("step", text()), ("zh", text()), ("en", text())]),
            "trace": text(),
            "leaf": { "type": "integer", "description": "index of the line in the audit log" },
            "material": any(),
        },
    })
}
