//! Cases: filing, lists, papers; licences and shared data for them.

use std::collections::BTreeSet;

use http::{HeaderValue, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::input::{self, query, to_vault};
use super::{Asked, again, masked, ok, person, read, viewer};
use crate::catalogue::listed::CASE;
use crate::exchange::records::Record;
use crate::exchange::{ExchangeError, Key};
use crate::gateway::consents::{self, Use};
use crate::gateway::desk::{self, Seen};
use crate::gateway::errand::OTHER_ERRAND;
use crate::gateway::filing::{Arrival, Request as Filing};
use crate::gateway::ledger;
use crate::gateway::lookup::{self, Asking};
use crate::gateway::submit;
use crate::gateway::verify::{self, InForce, Verifying};
use crate::gateway::who::{NO_SUBJECT, Person, PersonKind, Terminal, WRONG_KIND};
use crate::gateway::{about_me, act, contacts, enrol, entrusted, intake, streaming, windows};
use crate::http::problem::json_response;
use crate::http::{CONTENT, NOT_FOUND};
use crate::licences;
use crate::partners;
use crate::terms::{CaseNo, Lang, LicenceId, Refusal, ResidentId, UnixMillis};
use crate::upstream::Body;

/// Largest file sent to `/v1/verify`.
const VERIFY_MAX: u64 = 256 << 20;
/// Header of a filing's key (idempotency).
const IDEMPOTENCY: &str = "idempotency-key";
/// Longest such key in octets.
const IDEMPOTENCY_MAX: usize = 128;

pub async fn file(asked: Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let rooms = asked.rooms.clone();
    let idempotency = input::header(&asked.headers, IDEMPOTENCY).map(str::to_owned);
    if idempotency.as_ref().is_some_and(|key| key.is_empty() || key.len() > IDEMPOTENCY_MAX) {
        return Err(Refusal::new(&CONTENT, format!("{IDEMPOTENCY}: 1 to {IDEMPOTENCY_MAX} characters")));
    }
    let key = Key::generate().map_err(ExchangeError::from)?;
    let content_type = input::header(&asked.headers, "content-type").map(str::to_owned);
    let body = request.into_body();
    let filing: intake::Intake<Filing> =
        intake::read(content_type.as_deref(), body, &rooms.vault, &key, **rooms.bounds.load()).await?;
    if let Some(errand) = &asked.errand {
        errand.is_for_item(filing.request.item)?;
        errand.is_for_purpose(CASE)?; // what a filing looks up, it looks up for the case
        if errand.case.is_some() {
            return Err(Refusal::new(&OTHER_ERRAND, "the token is for a case that exists"));
        }
    }
    let once = asked.errand.as_ref().and_then(|errand| errand.once.clone());
    let paper = asked.errand.as_ref().and_then(|errand| errand.paper.clone());
    let (clerk, citizen) = match (asked.caller, asked.subject) {
        (caller, Some(subject)) => (caller, Some(subject)),
        (Some(caller), None) if caller.kind == PersonKind::Citizen => (None, Some(caller)),
        (caller, None) => (caller, None),
    };
    let arrival = Arrival {
        trace: asked.trace.clone(),
        terminal: asked.terminal,
        clerk,
        citizen,
        filing,
        key,
        idempotency,
        paper,
        once,
    };
    let kept = submit::submit(arrival, &rooms).await?;
    let no = kept.case;
    let mut response = json_response(
        if kept.again { StatusCode::OK } else { StatusCode::ACCEPTED },
        &json!({
            "case": no, "state": "received", "state_zh": "已收件",
            "notice": {"zh": "已收件，不代表已受理；由办理部门决定是否受理。", "en": "Received, not accepted: the owner decides on acceptance."},
            "receipt": format!("/v1/cases/{no}/documents/papers/{no}-RECEIPT-2.ofd"),
            "watch": format!("/v1/cases/{no}/events"),
            "gaps": kept.gaps.iter().map(|(no, name, told)| json!({
                "no": no, "name": name, "code": told.code, "zh": told.zh, "en": told.en, "next": told.next.word(),
            })).collect::<Vec<_>>(),
            "leaf": ledger::receipt(&rooms, kept.committed),
        }),
    );
    if let Ok(location) = HeaderValue::try_from(format!("/v1/cases/{no}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub async fn list(asked: &Asked) -> Result<Response<Body>, Refusal> {
    let records = desk::list(&asked.rooms, &viewer(asked)?, before(asked)?).await?;
    let mine = |record: &Record| asked.errand.as_ref().is_none_or(|errand| errand.covers(record));
    let next = records.last().map(|r| r.opened.to_string());
    Ok(ok(&json!({"cases": records.iter().filter(|r| mine(r)).map(desk::brief).collect::<Vec<_>>(), "before": next})))
}

/// A time that a query parameter names; none: the end of time.
fn before(asked: &Asked) -> Result<UnixMillis, Refusal> {
    match query(asked, "before") {
        None => Ok(UnixMillis(i64::MAX)),
        Some(text) => UnixMillis::parse_rfc3339(&text)
            .ok_or_else(|| Refusal::new(&CONTENT, "before: a time as in RFC 3339, e.g. 2026-11-25T10:00:00Z")),
    }
}

/// Who looked up what about me. A token beside one's own is no way to see another's.
pub async fn about_me(asked: &Asked) -> Result<Response<Body>, Refusal> {
    if asked.subject.is_some() {
        return Err(Refusal::new(&WRONG_KIND, "the person asks alone"));
    }
    let (before, lang) = (before(asked)?, input::lang(asked));
    let page = about_me::page(&asked.rooms, &asked.trace, &asked.terminal, person(asked)?, before, lang).await?;
    Ok(ok(&page))
}

pub async fn withdraw(asked: &Asked, no: CaseNo) -> Result<Response<Body>, Refusal> {
    Ok(wished(asked, desk::withdraw(&asked.rooms, &viewer(asked)?, asked.subject.as_ref(), no).await?))
}

pub async fn deliver(asked: &Asked, no: CaseNo, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let delivered: desk::Delivered = input::json(request, input::JSON_MAX).await?;
    Ok(wished(asked, desk::deliver(&asked.rooms, &viewer(asked)?, no, &delivered).await?))
}

/// 200 where the case has moved, 202 where its owner has been asked.
fn wished(asked: &Asked, (seen, done): (Seen, bool)) -> Response<Body> {
    let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    json_response(status, &super::seen(asked, &seen))
}

pub async fn document(asked: &Asked, no: CaseNo, path: &str) -> Result<Response<Body>, Refusal> {
    let (seen, stored, reading) = desk::document(&asked.rooms, &viewer(asked)?, no, path).await?;
    if let Terminal::Outlet { contract, terminal } = &asked.terminal {
        outlet_takes(asked, contract, terminal, &seen, path).await?;
    }
    let size = stored.kept.size;
    let mut response = Response::new(streaming::body(reading));
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::try_from(&stored.media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

/// An outlet prints receipts and results where its contract says so; what it scanned it does not get back.
async fn outlet_takes(
    asked: &Asked,
    contract: &std::sync::Arc<partners::Contract>,
    terminal: &partners::Terminal,
    seen: &Seen,
    path: &str,
) -> Result<(), Refusal> {
    let act = match path.strip_prefix("papers/") {
        Some(paper) if paper.contains("-RECEIPT-") => partners::Act::PrintReceipt,
        Some(_) => partners::Act::PrintResult,
        None => return Err(Refusal::new(&NOT_FOUND, "an outlet keeps no materials")),
    };
    let catalogue = asked.rooms.catalogue.load_full();
    let item = catalogue.item(seen.dossier.item)?;
    let terms = partners::ItemTerms { code: item.code, presence: item.presence, outlet_kinds: &item.outlet_kinds };
    let _yes = entrusted::may(&asked.rooms, &asked.trace, (contract, terminal), act, Some(terms)).await?;
    Ok(())
}

/// The case that a query parameter or body names, if the person may read it.
async fn case_named(asked: &Asked, no: Option<CaseNo>) -> Result<Option<Seen>, Refusal> {
    match no {
        Some(no) => Ok(Some(read(asked, no).await?)),
        None => Ok(None),
    }
}

pub async fn verify(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let no = match query(asked, "case") {
        Some(no) => Some(no.parse::<CaseNo>().map_err(|_| Refusal::from(ExchangeError::NoCase))?),
        None => None,
    };
    let purpose = query(asked, "purpose");
    // What the log has no room for would be verified for a purpose that nobody ever sees.
    if purpose.as_deref().is_some_and(|purpose| ledger::word(purpose).is_none()) {
        return Err(Refusal::new(&CONTENT, "purpose: a short word"));
    }
    if let (Some(errand), Some(purpose)) = (&asked.errand, &purpose) {
        errand.is_for_purpose(purpose)?;
    }
    let seen = case_named(asked, no).await?;
    let (key, kept) = to_vault(asked, request, VERIFY_MAX).await?;
    let verifying = Verifying {
        trace: &asked.trace,
        person: person(asked)?,
        terminal: &asked.terminal,
        key,
        kept: &kept,
        purpose,
        consent: query(asked, "consent").as_deref() == Some("true"),
        subject: asked.subject.as_ref(),
        nonce: query(asked, "nonce"),
        audience: query(asked, "audience"),
        case: seen.as_ref(),
        link: seen.as_ref().map(Seen::link),
    };
    let report = match verify::ask(&verifying, &asked.rooms).await {
        Ok((report, in_force)) => still_shown(asked, &verifying, &report, in_force).await.map(|now| (report, now)),
        no => no,
    };
    if let Err(error) = asked.rooms.vault.forget(&kept.id) {
        tracing::warn!(%error, "a verified file could not be removed");
    }
    let (report, in_force) = report?;
    // Whoever holds a paper may hold another's: the name that it names is masked, too.
    let holder = report.data.data.iter().filter(|datum| datum.name == licences::names::HOLDER_NAME);
    let names: Vec<&str> = holder.map(|datum| datum.value.as_str()).collect();
    let mut told = report.to_json();
    let (word, why) = in_force.words();
    let name = |lang| match in_force {
        InForce::Told(status) => Some(status.name(lang)),
        _ => None,
    };
    let sentence = in_force.told().map(|told| json!({ "zh": told.zh, "en": told.en, "code": told.code }));
    told["status"] =
        json!({ "word": word, "zh": name(Lang::Zh), "en": name(Lang::En), "why": why, "sentence": sentence });
    Ok(ok(&masked(asked, told, &names)))
}

/// Whether the report would be shown now, and what of the register's answer: signatures and a register take their time.
async fn still_shown(
    asked: &Asked,
    before: &Verifying<'_>,
    report: &licences::Report,
    in_force: InForce,
) -> Result<InForce, Refusal> {
    let still = again::still(asked, partners::Act::CheckIdentity).await?;
    let now = Verifying {
        trace: &still.trace,
        person: &still.actor,
        terminal: &still.terminal,
        link: again::case(asked, before.link.as_ref()).await?,
        key: before.key.clone(),
        purpose: before.purpose.clone(),
        nonce: None,
        audience: None,
        ..*before
    };
    verify::still(&now, &asked.rooms, report, in_force)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupIn {
    resource: String,
    /// Identifier of a licence (GB/T 36904), when the resource is its type and its status is asked.
    #[serde(default)]
    licence: Option<LicenceId>,
    /// The case that justifies it.
    #[serde(default)]
    case: Option<CaseNo>,
    #[serde(default)]
    purpose: Option<String>,
    /// The person, whose own token comes with the request, agrees now. Nobody's word for somebody else.
    #[serde(default)]
    consent: bool,
    /// Fields that are wanted, of those that the register lists; all when absent.
    #[serde(default)]
    fields: Option<BTreeSet<String>>,
    /// A use consent of the person, as signed: what was agreed to in writing, and no more.
    #[serde(default)]
    consent_paper: Option<String>,
}

/// The person whom the data are about, where their own token says that they are here: beside a clerk's, in an exchanged one, or
/// alone. Who acts under their power of attorney is somebody else.
fn here<'a>(asked: &'a Asked, person: &'a Person, subject: &ResidentId) -> Option<&'a Person> {
    let citizen = asked.subject.as_ref().filter(|_| person.paper.is_none()).or(Some(person))?;
    let same = citizen.resident.as_ref().is_some_and(|own| own.reveal() == subject.reveal());
    (citizen.kind == PersonKind::Citizen && citizen.paper.is_none() && same).then_some(citizen)
}

pub async fn look_up(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let wanted: LookupIn = input::json(request, input::JSON_MAX).await?;
    if wanted.fields.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(Refusal::new(&CONTENT, "fields: name at least one, or leave it out"));
    }
    let rooms = &asked.rooms;
    let person = person(asked)?;
    let seen = case_named(asked, wanted.case).await?;
    if let (Some(errand), Some(purpose)) = (&asked.errand, &wanted.purpose) {
        errand.is_for_purpose(purpose)?;
    }
    let item = seen.as_ref().map(|seen| seen.dossier.item);
    let who = lookup::who(rooms, (person, &asked.terminal), item, asked.subject.is_some(), asked.trace.at);
    let subject: Option<ResidentId> = match (&seen, &asked.subject) {
        (Some(seen), _) => seen.dossier.applicant.resident(),
        (None, Some(subject)) => subject.resident.clone(),
        (None, None) => person.resident.clone(),
    };
    let subject = subject.ok_or_else(|| Refusal::new(&NO_SUBJECT, "about whom?"))?;
    let beside = asked.subject.as_ref().and_then(|beside| beside.resident.as_ref());
    if beside.is_some_and(|beside| beside.reveal() != subject.reveal()) {
        return Err(Refusal::new(&WRONG_KIND, "the token beside is not that of the case's applicant"));
    }
    let of_case = |id: &LicenceId| seen.as_ref().is_some_and(|seen| seen.dossier.has_licence(&wanted.resource, id));
    if wanted.licence.as_ref().is_some_and(|id| !of_case(id)) {
        return Err(Refusal::new(&CONTENT, "the case has no such licence"));
    }
    let issuer = wanted.licence.as_ref().and_then(LicenceId::place);
    let place = issuer.unwrap_or_else(|| seen.as_ref().map_or(rooms.me.region, |s| s.dossier.owner));
    let consent = match &seen {
        Some(seen) => {
            let catalogue = rooms.catalogue.load_full();
            let fields = lookup::wanted(&catalogue, item, &wanted.resource, wanted.fields.as_ref());
            let agreed = Use {
                person: &subject,
                department: &seen.dossier.authority,
                item: Some(seen.dossier.item),
                resource: &wanted.resource,
                fields: &fields,
                purpose: wanted.purpose.as_deref(),
                case: Some(seen.record.case.no),
                place,
            };
            // No paper is made of what the rules refuse anyhow.
            let needed = catalogue.resources.get(&wanted.resource).is_some_and(|resource| {
                let purpose = wanted.purpose.as_deref().unwrap_or_default();
                let listed = catalogue.items.get(&seen.dossier.item).is_some_and(|item| {
                    let fields = resource.answers_yes_no() || fields.is_subset(&item.fields_of(resource));
                    fields && item.may_look_up_for(&wanted.resource, purpose)
                });
                resource.needs_consent && listed && seen.record.case.state.is_undecided()
            });
            match (&wanted.consent_paper, here(asked, person, &subject)) {
                (Some(paper), _) => Some(consents::consented(rooms, &asked.trace, paper, agreed).await?),
                (None, Some(citizen)) if wanted.consent && needed => {
                    Some(consents::given_now(rooms, &asked.trace, (citizen, &asked.terminal), agreed).await?)
                }
                _ => None,
            }
        }
        None if wanted.consent_paper.is_some() => {
            return Err(Refusal::new(&CONTENT, "a consent is used in a case: name it"));
        }
        None => None,
    };
    let asking = Asking {
        trace: &asked.trace,
        actor: person,
        terminal: &asked.terminal,
        case: seen.as_ref().map(Seen::link),
        who,
        subject: &subject,
        resource: &wanted.resource,
        licence: wanted.licence.as_ref(),
        item,
        purpose: wanted.purpose.as_deref(),
        fields: wanted.fields,
        agreed: consent.as_ref(),
        place,
        requester: asked.terminal.region().unwrap_or(rooms.me.region),
    };
    let answered = lookup::ask(&asking, rooms).await;
    // A provider takes its time: what was permitted when it was asked is judged again before its answer leaves.
    let answered = match answered {
        Ok(fact) => still_permitted(asked, &asking).await.map(|()| fact),
        no => no,
    };
    let fact = match consent {
        Some(consent) => consent.close(rooms, &asked.trace, answered).await?,
        None => answered?,
    };
    let told = json!({
        "resource": fact.resource(), "fields": fact.fields(), "cached": fact.cached(),
        "stale": fact.stale(), "fetched_at": fact.fetched_at().to_string(),
    });
    let name = seen.as_ref().map_or("", |seen| seen.dossier.applicant.name.as_str());
    Ok(ok(&masked(asked, told, &[name])))
}

/// Whether the lookup would be let through now: by the terminal's certificate, the outlet's contract and mandate, the tokens, the
/// post, the state of the case, and the rules.
async fn still_permitted(asked: &Asked, before: &Asking<'_>) -> Result<(), Refusal> {
    let still = again::still(asked, partners::Act::CheckIdentity).await?;
    let (actor, terminal) = (&still.actor, &still.terminal);
    let who = lookup::who(&asked.rooms, (actor, terminal), before.item, asked.subject.is_some(), still.trace.at);
    let case = again::case(asked, before.case.as_ref()).await?;
    let fields = before.fields.clone();
    let now = Asking { trace: &still.trace, actor, terminal, who, case, fields, ..*before };
    lookup::still(&now, &asked.rooms)
}

pub async fn window_act(asked: &Asked, no: CaseNo, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let order: windows::WindowOrder = input::json(request, input::JSON_MAX).await?;
    let done = windows::under_mandate(&asked.rooms, &asked.trace, (person(asked)?, &asked.terminal), no, order).await?;
    let told = json!({
        "case": done.case.no, "state": done.case.state, "seq": done.case.seq,
        "leaf": ledger::receipt(&asked.rooms, done.committed),
    });
    // As with a wish: the owner has been asked, and the case moves when its answer comes.
    Ok(json_response(if done.here { StatusCode::OK } else { StatusCode::ACCEPTED }, &told))
}

/// A clerk's word about a contact with the applicant.
pub async fn contact(asked: &Asked, no: CaseNo, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let contact: contacts::Contact = input::json(request, input::JSON_MAX).await?;
    let committed = contacts::at_window(&asked.rooms, &viewer(asked)?, no, &contact).await?;
    Ok(ok(&json!({ "case": no, "leaf": ledger::receipt(&asked.rooms, committed) })))
}

/// An office's word about a contact of one of its officials.
pub async fn office_contact(asked: &Asked, no: CaseNo, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let contact: contacts::Contact = input::json(request, input::JSON_MAX).await?;
    let committed = contacts::of_office(&asked.rooms, &asked.trace, &asked.terminal, no, &contact).await?;
    Ok(ok(&json!({ "case": no, "leaf": ledger::receipt(&asked.rooms, committed) })))
}

pub async fn office_act(asked: &Asked, no: CaseNo, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let order: act::Order = input::json(request, act::ORDER_MAX).await?;
    let done = act::order(&asked.rooms, &asked.trace, &asked.terminal, no, order).await?;
    Ok(ok(&json!({
        "case": done.case.no, "state": done.case.state, "seq": done.case.seq,
        "leaf": ledger::receipt(&asked.rooms, done.committed),
    })))
}

/// A terminal asks for a certificate.
pub async fn enrol(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let wanted: enrol::Wanted = input::json(request, input::FORM_MAX).await?;
    let issued = enrol::enrol(&asked.rooms, &asked.trace, &asked.terminal, wanted).await?;
    Ok(ok(&json!({
        "certificate": issued.chain, "not_after": issued.not_after.to_string(),
        "leaf": ledger::receipt(&asked.rooms, issued.committed),
    })))
}

/// The form of OIDC back-channel logout: one member, `logout_token`.
pub async fn logout(asked: &Asked, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let form = input::body(request, input::FORM_MAX).await?;
    let form = String::from_utf8_lossy(&form);
    let token = form.split('&').find_map(|pair| pair.strip_prefix("logout_token="));
    let token = token.ok_or_else(|| Refusal::new(&CONTENT, "logout_token is missing"))?;
    crate::gateway::logout::take(&asked.rooms, &asked.trace, token).await?;
    let mut answer = ok(&json!({}));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store")); // §2.8
    Ok(answer)
}
