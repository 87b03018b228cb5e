//! A token of our own about two people and one errand: given out, used, taken back (RFC 8693, RFC 7009).
//!
//! ```text
//!  subject token + actor token + device ─▶ who · presence · paper · post · rules ─▶ line ─▶ token, five minutes
//!  token ─▶ read ─▶ paper judged again for this act ─▶ People { caller, subject, errand }
//!  errand ─▶ this item? this case? ─▶ whatever the route asks next
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use super::door::{Door, is_opaque, person, refused};
use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::spending::OneUse;
use super::who::{Person, PersonKind, Terminal, WRONG_KIND};
use super::{agents, duty, entrusted, facts, mandates};
use crate::audit::Kind;
use crate::audit::entry::{Behalf, ItemRef, Outcome, Purpose};
use crate::catalogue::listed::CASE;
use crate::exchange::records::Record;
use crate::identity::access::{Binding, Checked};
use crate::identity::exchange::{self, ExchangeError};
use crate::identity::exchanged::{self, Exchanged};
use crate::identity::issue::random_id;
use crate::identity::{IdentityError, jose};
use crate::partners;
use crate::policy::{self, Ask, Exchange};
use crate::store::{once, revoked};
use crate::terms::refusal::tolds;
use crate::terms::{CaseNo, Explain, ItemCode, Next, Presence, Refusal, UnixMillis};

tolds! {
    /// The token was exchanged for something else.
    pub const OTHER_ERRAND = "TB-GW-0110", 403,
        "该代办令牌只用于换取时写明的事项和办件，请为本次办理重新换取。",
        "The token was exchanged for another item or case: exchange one for this.",
        Next::CorrectAndResend;
    /// A token request that does not say what it must.
    pub const TOKEN_REQUEST = "TB-GW-0111", 400,
        "换取令牌的请求缺少内容或内容有误，请按接口说明更正。",
        "The token request lacks something or says something wrong: correct it as the interface describes.",
        Next::CorrectAndResend;
    /// Only RFC 8693 is served here.
    pub const GRANT_TYPE = "TB-GW-0112", 400,
        "此处只办理令牌交换（RFC 8693）。",
        "Only token exchange (RFC 8693) is served here.",
        Next::CorrectAndResend;
}

/// The row of the list of ended things that names one exchanged token.
pub const TOKEN: &str = "token";
/// Longest word for a purpose, in octets.
const PURPOSE_MAX: usize = 64;

/// Parameters of a token request (RFC 8693 §2.1, and what an errand needs besides).
#[derive(Debug)]
pub struct Wanted {
    pub subject_token: String,
    pub actor_token: String,
    /// DPoP proof of the citizen's own device for this endpoint, where the citizen's token is bound to one.
    pub subject_proof: Option<String>,
    pub item: ItemCode,
    pub purpose: String,
    pub case: Option<CaseNo>,
    /// An agent's power of attorney.
    pub paper: Option<String>,
    /// The clerk states that the person stands at the counter.
    pub present: bool,
}

/// What an exchanged token is for, as far as it limits what may be done with it.
#[derive(Clone, Debug)]
pub struct Errand {
    pub item: ItemCode,
    pub purpose: String,
    pub case: Option<CaseNo>,
    /// Whose matter it is, by pseudonym.
    pub applicant: String,
    /// A one-use paper that this act uses up.
    pub once: Option<OneUse>,
    /// An agent's power of attorney, as signed.
    pub paper: Option<String>,
}

impl Errand {
    fn other(why: &str) -> Refusal {
        Refusal::new(&OTHER_ERRAND, why)
    }

    /// # Errors
    /// `TB-GW-0110` for another item.
    pub fn is_for_item(&self, item: ItemCode) -> Result<(), Refusal> {
        if self.item == item { Ok(()) } else { Err(Self::other("another item")) }
    }

    /// # Errors
    /// `TB-GW-0110` where the token names another case.
    pub fn is_for_case(&self, no: CaseNo) -> Result<(), Refusal> {
        if self.case.is_none_or(|own| own == no) { Ok(()) } else { Err(Self::other("another case")) }
    }

    /// # Errors
    /// `TB-GW-0110` for another purpose.
    pub fn is_for_purpose(&self, purpose: &str) -> Result<(), Refusal> {
        if self.purpose == purpose { Ok(()) } else { Err(Self::other("another purpose")) }
    }

    /// Whether a case is one of this errand: its item, its person, its number where it names one.
    pub fn covers(&self, record: &Record) -> bool {
        record.subject == self.applicant
            && record.item == self.item.to_string()
            && self.case.is_none_or(|no| no == record.case.no)
    }
}

/// What a token request is answered with (RFC 8693 §2.2.1).
pub fn answer(token: &str, claims: &jose::Object, now: UnixMillis) -> Value {
    let bound = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).is_some();
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    json!({
        "access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": if bound { "DPoP" } else { "Bearer" },
        "expires_in": (expires - now.seconds()).max(0),
    })
}

/// The one type of token taken and given (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn no(error: &ExchangeError, door: &Door<'_>, rooms: &Rooms) -> Refusal {
    match error {
        ExchangeError::Identity(error) => refused(rooms, error, !door.proofs_absent(), door.now),
        ExchangeError::Delegation(error) => Refusal::new(error.told(), error.to_string()),
    }
}

/// Exchanges two tokens for one. `who`: the person who acts, as soon as that is proven; a refusal from there on names them.
///
/// # Errors
/// What is wrong with either token; `TB-IDN-0020` when these two may not act so; a no of paper, presence, post, contract or
/// rules.
pub async fn exchange(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    door: &Door<'_>,
    wanted: &Wanted,
    who: &mut Option<Person>,
) -> Result<Value, Refusal> {
    rooms.directory.load().in_force(trace.at)?;
    let now = trace.at;
    let issuer = rooms.issuer()?;
    let subject = door.subject_of_exchange(rooms, &wanted.subject_token, wanted.subject_proof.as_deref()).await?;
    let (actor, key) = door.actor_of_exchange(rooms, &wanted.actor_token).await?;
    let (citizen, mut acting) = (person(&subject.caller), person(&actor.caller));
    *who = Some(acting.clone());
    terminal.takes(&acting)?;
    rooms.paces.load().person(&acting)?;
    let enrolled = terminal.region().is_some();
    let device = Binding {
        jkt: key,
        // An enrolled terminal's certificate is its device: the new token works there and nowhere else.
        x5t_s256: door.certificate.filter(|_| enrolled).map(|digest| jose::encode(&digest.0)),
    };
    let catalogue = rooms.catalogue.load_full();
    let item = catalogue.item(wanted.item)?;
    let presence = item.presence != Presence::None;
    let grant = match &wanted.paper {
        Some(paper) if acting.kind == PersonKind::Citizen => {
            let parties = (subject.caller.key(), actor.caller.key());
            let asked = mandates::Act::of_agent(rooms, "file", wanted.item, wanted.case, presence);
            let person = citizen.resident.as_ref();
            Some(agents::held_by(rooms, trace, paper, (&parties.0, &parties.1), asked, person).await?.0)
        }
        Some(_) => return Err(Refusal::new(&WRONG_KIND, "staff act under no power of attorney")),
        None => None,
    };
    if let Terminal::Outlet { contract, terminal } = terminal {
        let terms = partners::ItemTerms { code: item.code, presence: item.presence, outlet_kinds: &item.outlet_kinds };
        let _yes = entrusted::may(rooms, trace, (contract, terminal), partners::Act::Receive, Some(terms)).await?;
    }
    let duty = duty::of(rooms, &actor.caller.key(), now).await?;
    duty.seat(&mut acting);
    let request = exchange::Request {
        gateway: &issuer,
        audience: &issuer,
        jti: &random_id().map_err(|e| refused(rooms, &e, false, now))?,
        item: wanted.item,
        purpose: &wanted.purpose,
        case: wanted.case,
        presence,
        post: duty.post(),
        device: &device,
        paper: grant.as_ref(),
    };
    let claims = exchange::exchange(&subject, &actor, &request, now).map_err(|e| no(&e, door, rooms))?;
    acting.paper = grant.as_ref().map(|_| paper_of(&citizen, rooms));
    acting.behalf = Some(behalf(&citizen, &acting, grant.as_ref().map(|g| g.paper()), terminal, rooms));
    let present = wanted.present && enrolled && acting.kind.is_staff();
    let ask = Ask::ExchangeToken(Exchange {
        who: facts::who(rooms, &acting, terminal, true, present, now),
        gateway: rooms.me.id.clone(),
        person: citizen.as_person(rooms, present, now),
        item: Some(wanted.item),
        purpose: Some(wanted.purpose.clone()),
        bound: true,
        depth: 1,
    });
    let permit = rooms.policies.decide(&ask, now).map_err(|denial| denial.refusal())?;
    let opaque =
        [&wanted.subject_token, &wanted.actor_token].map(|token| Some(token.as_str()).filter(|t| is_opaque(t)));
    let token = {
        let keys = rooms.keys.load();
        let made = exchanged::issue(
            claims.clone(),
            &subject,
            &actor,
            exchanged::Along { paper: wanted.paper.as_deref(), opaque },
            &rooms.secrets.cover,
            keys.assertion.key(),
        );
        made.map_err(|e| refused(rooms, &e, false, now))?
    };
    let mut line = trace
        .about(rooms, Kind::Login, Some(&acting), terminal)
        .subj(citizen.as_subject(rooms))
        .item(ItemRef { code: Some(wanted.item), ..ItemRef::default() })
        .dec(ledger::allowed(&permit))
        .why(Purpose { basis: ledger::basis(rooms, wanted.item), ..ledger::purpose(&wanted.purpose, "") })
        .out(Outcome { status: Some(200), receipt: ledger::word("exchange"), ..Outcome::default() });
    if let Some(case) = wanted.case {
        line = line.case(rooms.pseudonyms.case(case));
    }
    rooms.log.append(&line).await?;
    Ok(answer(&token, &claims, now))
}

fn paper_of(citizen: &Person, rooms: &Rooms) -> policy::Paper {
    policy::Paper {
        kind: policy::PaperKind::Attorney,
        from: citizen.pseudonym(rooms).to_string(),
        live: true,
        item_listed: true,
        act_listed: true,
    }
}

fn behalf(
    citizen: &Person,
    acting: &Person,
    mandate: Option<crate::terms::Digest>,
    terminal: &Terminal,
    rooms: &Rooms,
) -> Behalf {
    let relation = match (acting.kind, terminal) {
        (PersonKind::Citizen, _) => "agent",
        (_, Terminal::Outlet { .. }) => "proxy-point",
        _ => "window",
    };
    Behalf { mandate, pid: Some(citizen.pseudonym(rooms)), relation: ledger::word(relation) }
}

/// Who comes with an exchanged token: who acts, for whom, and on what errand. `act` is what the route does, as papers and
/// rosters name it.
pub(super) async fn people(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    exchanged: &Exchanged,
    terminal: &Terminal,
    act: &'static str,
) -> Result<(Person, Person, Errand), Refusal> {
    let now = trace.at;
    let (citizen, mut acting) = (person(exchanged.subject()), person(exchanged.actor()));
    acting.session = exchanged.token();
    acting.bound = true;
    let applicant = citizen.pseudonym(rooms).to_string();
    let mut errand = Errand {
        item: exchanged.item(),
        purpose: exchanged.purpose().to_owned(),
        case: exchanged.case(),
        applicant,
        once: None,
        paper: None,
    };
    let mut mandate = None;
    if acting.kind == PersonKind::Citizen {
        let catalogue = rooms.catalogue.load_full();
        let presence = catalogue.item(errand.item)?.presence != Presence::None;
        let paper = exchanged.paper().ok_or_else(|| {
            refused(rooms, &IdentityError::ActNotAllowed("an agent without a power of attorney"), true, now)
        })?;
        let parties = (exchanged.subject().key(), exchanged.actor().key());
        let asked = mandates::Act::of_agent(rooms, act, errand.item, errand.case, presence);
        let person = citizen.resident.as_ref();
        let (grant, once) = agents::held_by(rooms, trace, paper, (&parties.0, &parties.1), asked, person).await?;
        errand.once = once;
        errand.paper = Some(paper.to_owned());
        mandate = Some(grant.paper());
        acting.paper = Some(paper_of(&citizen, rooms));
    }
    // A deputy whose first post is back acts no more, whatever the token says.
    let duty = duty::of(rooms, &acting.subject, now).await?;
    duty.still_acting()?;
    duty.seat(&mut acting);
    acting.behalf = Some(behalf(&citizen, &acting, mandate, terminal, rooms));
    Ok((acting, citizen, errand))
}

/// Takes an exchanged token back (RFC 7009): in whose hands it is, may end it, however often they asked for others. Anything else is
/// none of ours, and no news. `who`: as of [`exchange`].
///
/// # Errors
/// `TB-IDN-0014` for a token of ours in other hands.
pub async fn take_back(
    rooms: &Arc<Rooms>,
    trace: &Trace,
    terminal: &Terminal,
    door: &Door<'_>,
    token: &str,
    who: &mut Option<Person>,
) -> Result<(), Refusal> {
    let issuer = rooms.issuer()?;
    let exchanged = match door.exchanged(rooms, token, true).await {
        Ok(exchanged) => exchanged,
        Err((Some(IdentityError::TokenBinding(_) | IdentityError::DpopInvalid(_)), refusal)) => return Err(refusal),
        Err((Some(_), _)) => return Ok(()), // RFC 7009 §2.2: an invalid token is as good as revoked
        Err((None, refusal)) => return Err(refusal),
    };
    let acting = person(exchanged.actor());
    *who = Some(acting.clone());
    let mut tx = rooms.store.begin().await?;
    let row = revoked::Revoked { kind: TOKEN.into(), issuer, id: exchanged.jti().to_owned(), at: trace.at };
    revoked::add(&mut tx, &row, exchanged.expires().plus_seconds(60)).await?;
    tx.commit(()).await?;
    super::logout::refresh(rooms, trace.at).await?;
    let line = trace
        .about(rooms, Kind::Login, Some(&acting), terminal)
        .subj(person(exchanged.subject()).as_subject(rooms))
        .out(Outcome { status: Some(200), receipt: ledger::word("revoked"), ..Outcome::default() });
    rooms.log.append(&line).await?;
    Ok(())
}

/// Reads the form of a token request.
///
/// # Errors
/// `TB-GW-0112` for another grant, `TB-GW-0111` for a member that is missing or wrong.
pub fn wanted(form: &std::collections::BTreeMap<String, String>, ours: &[&str]) -> Result<Wanted, Refusal> {
    let bad = |why: &str| Refusal::new(&TOKEN_REQUEST, why);
    let get = |name: &str| form.get(name).filter(|value| !value.is_empty());
    let need = |name: &str| get(name).cloned().ok_or_else(|| bad(&format!("{name} is missing")));
    if get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:token-exchange") {
        let refusal = Refusal::new(&GRANT_TYPE, "grant_type is not that of token exchange");
        return Err(refusal.with("error", "unsupported_grant_type"));
    }
    for name in ["subject_token_type", "actor_token_type"] {
        if !matches!(need(name)?.as_str(), ACCESS_TOKEN | "urn:ietf:params:oauth:token-type:jwt") {
            return Err(bad(&format!("{name}: access tokens are exchanged, and nothing else")));
        }
    }
    let asked = get("requested_token_type").map_or(ACCESS_TOKEN, String::as_str);
    if !matches!(asked, ACCESS_TOKEN | "urn:ietf:params:oauth:token-type:jwt") {
        return Err(bad("requested_token_type: access tokens are given, and nothing else"));
    }
    if let Some(other) =
        ["audience", "resource"].into_iter().find(|n| get(n).is_some_and(|v| !ours.contains(&v.as_str())))
    {
        let refusal = Refusal::new(&TOKEN_REQUEST, format!("{other}: tokens are exchanged for this gateway only"));
        return Err(refusal.with("error", "invalid_target"));
    }
    let purpose = get("purpose").map_or(CASE, String::as_str).to_owned();
    if purpose.len() > PURPOSE_MAX || ledger::word(&purpose).is_none() {
        return Err(bad("purpose: a short word"));
    }
    Ok(Wanted {
        subject_token: need("subject_token")?,
        actor_token: need("actor_token")?,
        subject_proof: get("subject_proof").cloned(),
        item: need("item")?.parse().map_err(|_| bad("item: twelve digits of the catalogue"))?,
        purpose,
        case: get("case").map(|no| no.parse().map_err(|_| bad("case: a case number"))).transpose()?,
        paper: get("paper").cloned(),
        present: get("present").is_some_and(|value| value == "true"),
    })
}

/// Remembers a proof or finds that it came before.
pub(super) async fn remember(
    rooms: &Rooms,
    checked: Option<crate::identity::dpop::Replay>,
    now: UnixMillis,
) -> Result<(), Refusal> {
    let Some(replay) = checked else { return Ok(()) };
    let mut tx = rooms.store.begin().await?;
    let first = once::first_use(&mut tx, &format!("dpop:{}", replay.key), replay.expires).await?;
    tx.commit(()).await?;
    if first { Ok(()) } else { Err(refused(rooms, &IdentityError::DpopReplay, true, now)) }
}

/// What a checked pair of tokens gives to an exchange.
pub(super) type Actor = (Checked, Option<String>);
