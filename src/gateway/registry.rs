//! Papers of delegation registered here: made for whoever has proven who they are, listed for them, taken back at once.
//!
//! ```text
//!  citizen, level 3 ─▶ power of attorney (to an agent) │ use consent (to a department) ─┐
//!  department's system ─▶ window mandate ─────────────────────────────────────────────┴▶ signed by us, kept by number
//!  POST /v1/papers/{id}/revoke by who gave it ─▶ every next act under it is refused, at every replica
//! ```

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Row;

use super::consents::Use;
use super::entrusted;
use super::ledger::{self, Trace};
use super::lookup::changed;
use super::mandates::{self, PAPER};
use super::rooms::{Rooms, System};
use super::who::{Person, PersonKind, Terminal, WRONG_KIND};
use crate::audit::entry::{Behalf, Outcome};
use crate::audit::{Committed, Kind};
use crate::identity::delegation::{self, Paper, PowerOfAttorney, UseConsent, Uses, WindowMandate, Wording};
use crate::identity::issue::random_id;
use crate::partners::Act as OutletAct;
use crate::store::{Migration, StoreError, Tx, revoked};
use crate::terms::refusal::tolds;
use crate::terms::words::words;
use crate::terms::{CaseNo, Digest, ItemCode, Lang, Next, Presence, Refusal, RegionCode, UnixMillis};

tolds! {
    /// A paper that cannot be made so.
    pub const PAPER_WORDING = "TB-GW-0130", 422,
        "授权文书内容不完整或不允许，请按提示更正。",
        "The paper lacks something or says what a paper may not: correct it as told.",
        Next::CorrectAndResend;
    /// Not there, or not yours to take back.
    pub const NO_PAPER = "TB-GW-0131", 404,
        "没有这份授权文书，或者不是您出具的。",
        "There is no such paper, or you did not give it.",
        Next::CorrectAndResend;
    /// Giving a paper needs a strongly proven person.
    pub const PAPER_LEVEL = "TB-GW-0132", 403,
        "出具授权文书须达到三级实名，请完成更高等级的身份核验。",
        "Giving a paper needs real-name level 3: verify identity at a higher level.",
        Next::StepUp;
}

pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 6010,
    name: "papers of delegation",
    sql: "CREATE TABLE paper (id TEXT PRIMARY KEY, kind TEXT NOT NULL, giver TEXT NOT NULL, receiver TEXT NOT NULL,
            at BIGINT NOT NULL, expires BIGINT NOT NULL); CREATE INDEX paper_giver ON paper (giver, at)",
}];

/// Level of the person who gives a paper, and how old its proof may be, in minutes.
const LEVEL: u8 = 3;
const LEVEL_AGE_MIN: u32 = 60;
/// A paper is good for so many days where nothing is said.
const DAYS: u32 = 30;
/// Most items, acts, resources or places of one paper, and longest word of one, in octets.
const LIST_MAX: usize = 100;
const WORD_MAX: usize = 256;
/// Most papers listed.
const PAGE: i64 = 200;
/// What an agent may do under a power of attorney, and a window under a mandate; an outlet, whatever a contract can grant.
const AGENT_ACTS: [&str; 4] = ["file", "read", "withdraw", "collect"];
pub const WINDOW_ACTS: [&str; 4] = ["accept", "request_supplement", "begin_review", "grant"];

words! {
    /// Kinds of paper.
    pub enum PaperWord {
        Attorney = "attorney", "代理委托书", "power of attorney";
        Consent = "consent", "用证用数同意书", "use consent";
        Mandate = "mandate", "窗口授权委托书", "window mandate";
    }
}

/// What a paper shall say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub kind: PaperWord,
    /// `issuer#subject` of an agent, credit code of a department, id of a window or of an outlet.
    pub to: String,
    #[serde(default)]
    pub items: Vec<ItemCode>,
    #[serde(default)]
    pub acts: Vec<String>,
    #[serde(default)]
    pub places: Vec<RegionCode>,
    #[serde(default)]
    pub resources: Vec<String>,
    /// Fields of those resources; whatever the item needs when empty.
    #[serde(default)]
    pub fields: Vec<String>,
    #[serde(default)]
    pub purpose: Option<String>,
    #[serde(default)]
    pub case: Option<CaseNo>,
    /// Good for one act only.
    #[serde(default)]
    pub once: bool,
    #[serde(default)]
    pub days: Option<u32>,
}

/// Who gives a paper.
pub enum Giver<'a> {
    Person(&'a Person, &'a Terminal),
    Department(&'a System, &'a Terminal),
}

impl Giver<'_> {
    /// As the registry knows the giver: a person by pseudonym.
    fn word(&self, rooms: &Rooms) -> String {
        match self {
            Self::Person(person, _) => format!("person:{}", person.pseudonym(rooms)),
            Self::Department(system, _) => format!("authority:{}", system.authority),
        }
    }
}

impl PaperWord {
    fn longest_s(self) -> i64 {
        match self {
            Self::Attorney => PowerOfAttorney::LONGEST_S,
            Self::Consent => UseConsent::LONGEST_S,
            Self::Mandate => WindowMandate::LONGEST_S,
        }
    }
}

impl Draft {
    /// What somebody who is here agrees to now: that this department asks for these data once, for this case, today.
    pub fn consent_now(wanted: &Use<'_>) -> Self {
        Self {
            kind: PaperWord::Consent,
            to: wanted.department.to_owned(),
            items: wanted.item.into_iter().collect(),
            acts: Vec::new(),
            places: Vec::new(),
            resources: vec![wanted.resource.to_owned()],
            // More than a paper may list: all that the item needs.
            fields: match wanted.fields.len() {
                0..=LIST_MAX => wanted.fields.iter().cloned().collect(),
                _ => Vec::new(),
            },
            purpose: wanted.purpose.map(str::to_owned),
            case: wanted.case,
            once: true,
            days: Some(1),
        }
    }
}

/// A paper that was made.
pub struct Given {
    pub id: String,
    pub kind: PaperWord,
    /// As signed.
    pub paper: String,
    pub expires: UnixMillis,
    pub committed: Committed,
}

impl Given {
    /// As the giver is told.
    pub fn to_json(&self, rooms: &Rooms) -> Value {
        json!({
            "id": self.id, "kind": self.kind.word(), "paper": self.paper, "expires": self.expires.to_string(),
            "leaf": ledger::receipt(rooms, self.committed),
        })
    }
}

fn wrong(why: impl Into<String>) -> Refusal {
    Refusal::new(&PAPER_WORDING, why)
}

/// Makes, signs and keeps a paper.
///
/// # Errors
/// `TB-GW-0130` for a wording that is not allowed, `TB-GW-0132` below level 3, `TB-GW-0103` for whoever gives no such paper.
pub async fn register(rooms: &Rooms, trace: &Trace, giver: &Giver<'_>, draft: &Draft) -> Result<Given, Refusal> {
    let now = trace.at;
    let wording = wording(rooms, giver, draft, now)?;
    let signed = {
        let keys = rooms.keys.load();
        let key = keys.assertion.key();
        match draft.kind {
            PaperWord::Attorney => delegation::sign(PowerOfAttorney, &wording, key),
            PaperWord::Consent => delegation::sign(UseConsent, &wording, key),
            PaperWord::Mandate => delegation::sign(WindowMandate, &wording, key),
        }
        .map_err(|e| mandates::refused(&e))?
    };
    let expires = UnixMillis::from_seconds(wording.exp);
    let mut tx = rooms.store.begin().await?;
    let sql = "INSERT INTO paper (id, kind, giver, receiver, at, expires) VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(&wording.jti)
        .bind(draft.kind.word())
        .bind(giver.word(rooms))
        .bind(&wording.to)
        .bind(now.0)
        .bind(expires.0)
        .execute(tx.run())
        .await
        .map_err(StoreError::from)?;
    tx.commit(()).await?;
    let committed = record(rooms, trace, giver, "paper-given", Digest::of(signed.as_bytes())).await?;
    Ok(Given { id: wording.jti, kind: draft.kind, paper: signed, expires, committed })
}

fn wording(rooms: &Rooms, giver: &Giver<'_>, draft: &Draft, now: UnixMillis) -> Result<Wording, Refusal> {
    let lists = [draft.items.len(), draft.acts.len(), draft.places.len(), draft.resources.len(), draft.fields.len()];
    let words = draft.acts.iter().chain(&draft.resources).chain(&draft.fields).chain(&draft.purpose).chain([&draft.to]);
    if lists.iter().any(|n| *n > LIST_MAX) || words.into_iter().any(|w| w.is_empty() || w.len() > WORD_MAX) {
        return Err(wrong("a list or a word that is empty or too long"));
    }
    let (days, longest_s) = (draft.days.unwrap_or(DAYS), draft.kind.longest_s());
    if !(1..=longest_s / 86_400).contains(&i64::from(days)) {
        return Err(wrong(format!("days: 1 to {}", longest_s / 86_400)));
    }
    let known = |acts: &[&str]| match draft.acts.is_empty() || draft.acts.iter().any(|a| !acts.contains(&a.as_str())) {
        true => Err(wrong(format!("acts: some of {}", acts.join(", ")))),
        false => Ok(()),
    };
    let catalogue = rooms.catalogue.load_full();
    for item in &draft.items {
        catalogue.item(*item)?;
    }
    let (from, places) = match (giver, draft.kind) {
        (Giver::Person(person, _), PaperWord::Attorney | PaperWord::Consent) => {
            if person.kind != PersonKind::Citizen {
                return Err(Refusal::new(&WRONG_KIND, "people give papers in matters of their own"));
            }
            if person.level < LEVEL || person.level_age_min(now) > LEVEL_AGE_MIN {
                return Err(Refusal::new(&PAPER_LEVEL, "the person is not proven strongly or recently enough"));
            }
            let from = match draft.kind {
                PaperWord::Attorney => person.subject.clone(),
                _ => person.pseudonym(rooms).to_string(),
            };
            (from, draft.places.clone())
        }
        (Giver::Department(system, _), PaperWord::Mandate) => {
            if draft.places.iter().any(|place| !place.lies_in(system.region)) {
                return Err(wrong("places: within the department's own"));
            }
            let own = vec![system.region];
            (system.authority.to_string(), if draft.places.is_empty() { own } else { draft.places.clone() })
        }
        _ => return Err(Refusal::new(&WRONG_KIND, "this kind of paper is given by somebody else")),
    };
    let mut acts = draft.acts.clone();
    if draft.kind != PaperWord::Consent && !draft.fields.is_empty() {
        return Err(wrong("fields: of a consent"));
    }
    match draft.kind {
        PaperWord::Attorney => {
            known(&AGENT_ACTS)?;
            if draft.items.is_empty() {
                return Err(wrong("items: name what the agent may do"));
            }
            for item in &draft.items {
                if catalogue.item(*item)?.presence != Presence::None {
                    return Err(wrong(format!("{item}: the person must come in person")));
                }
            }
            if draft.to.split_once('#').is_none_or(|(issuer, subject)| issuer.is_empty() || subject.is_empty()) {
                return Err(wrong("to: issuer#subject of the agent"));
            }
        }
        PaperWord::Consent => {
            if draft.resources.is_empty() || draft.purpose.is_none() || !acts.is_empty() {
                return Err(wrong("a consent names resources and a purpose, and no acts"));
            }
            acts = vec!["use".to_owned()];
        }
        PaperWord::Mandate => {
            let outlet: Vec<&str> = OutletAct::ALL.iter().map(|act| act.word()).collect();
            let for_outlet = draft.acts.first().is_some_and(|act| outlet.contains(&act.as_str()));
            // What a window decides and what an outlet helps with never stand in one paper.
            known(if for_outlet { &outlet } else { &WINDOW_ACTS })?;
            if draft.items.is_empty() {
                return Err(wrong("items: name what the window or outlet may do"));
            }
            if for_outlet && (draft.once || draft.case.is_some() || draft.purpose.is_some()) {
                return Err(wrong("an outlet's mandate is for many acts, whatever the case"));
            }
        }
    }
    if draft.to == from {
        return Err(wrong("to: somebody else"));
    }
    let at = now.seconds();
    Ok(Wording {
        iss: rooms.me.id.clone(),
        jti: random_id().map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "no randomness"))?,
        iat: at,
        nbf: at,
        exp: at + i64::from(days) * 86_400,
        from,
        to: draft.to.clone(),
        items: draft.items.clone(),
        acts,
        places,
        resources: draft.resources.clone(),
        purpose: draft.purpose.clone(),
        case: draft.case,
        uses: if draft.once { Uses::Once } else { Uses::Many },
        fields: draft.fields.clone(),
        issuer: match giver {
            Giver::Person(person, _) => Some(person.issuer.clone()),
            Giver::Department(..) => None,
        },
    })
}

async fn record(
    rooms: &Rooms,
    trace: &Trace,
    giver: &Giver<'_>,
    what: &str,
    paper: Digest,
) -> Result<Committed, Refusal> {
    let line = match giver {
        Giver::Person(person, terminal) => trace.about(rooms, Kind::Login, Some(person), terminal),
        Giver::Department(_, terminal) => trace.about(rooms, Kind::Login, None, terminal),
    };
    let line = line.behalf(Behalf { mandate: Some(paper), ..Behalf::default() });
    let outcome = Outcome { status: Some(200), receipt: ledger::word(what), ..Outcome::default() };
    Ok(rooms.log.append(&line.out(outcome)).await?)
}

/// The papers somebody gave, newest first.
///
/// # Errors
/// The store's.
pub async fn list(rooms: &Rooms, giver: &Giver<'_>, now: UnixMillis) -> Result<Value, Refusal> {
    let mut tx = rooms.store.read().await?;
    let sql = "SELECT id, kind, receiver, at, expires FROM paper WHERE giver = $1 ORDER BY at DESC LIMIT $2";
    let rows =
        sqlx::query(sql).bind(giver.word(rooms)).bind(PAGE).fetch_all(tx.run()).await.map_err(StoreError::from)?;
    let mut papers = Vec::new();
    for row in rows {
        let text = |name: &str| row.try_get::<String, _>(name).map_err(StoreError::from);
        let time = |name: &str| row.try_get(name).map(UnixMillis).map_err(StoreError::from);
        let id = text("id")?;
        let state = match time("expires")? <= now {
            true => "over",
            false if revoked::is_there(&mut tx, PAPER, &rooms.me.id, &id, now).await? => "revoked",
            false => "live",
        };
        let kind = text("kind")?;
        let name = PaperWord::ALL.iter().find(|word| word.word() == kind).map(|word| word.name(Lang::Zh));
        papers.push(json!({
            "id": id, "kind": kind, "kind_zh": name, "to": text("receiver")?, "at": time("at")?.to_string(),
            "expires": time("expires")?.to_string(), "state": state,
        }));
    }
    Ok(json!({ "papers": papers }))
}

async fn given(tx: &mut Tx, id: &str, giver: &str) -> Result<Option<UnixMillis>, StoreError> {
    let sql = "SELECT expires FROM paper WHERE id = $1 AND giver = $2";
    let row = sqlx::query(sql).bind(id).bind(giver).fetch_optional(tx.run()).await?;
    Ok(row.map(|row| row.try_get("expires").map(UnixMillis)).transpose()?)
}

/// Who gave a paper, as the register has it; `None` for one that was never registered here.
pub async fn giver_of(tx: &mut Tx, id: &str) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT giver FROM paper WHERE id = $1").bind(id).fetch_optional(tx.run()).await?;
    Ok(row.map(|row| row.try_get("giver")).transpose()?)
}

/// Takes a paper back: from now on no act under it is allowed, at any replica.
///
/// # Errors
/// `TB-GW-0131` for a paper that is not there, or not the giver's.
pub async fn revoke(rooms: &Rooms, trace: &Trace, giver: &Giver<'_>, id: &str) -> Result<Value, Refusal> {
    let mut tx = rooms.store.begin().await?;
    let expires = match (given(&mut tx, id, &giver.word(rooms)).await?, giver) {
        (None, Giver::Department(system, _)) => entrusted::of_department(rooms, system.authority.as_str(), id),
        (found, _) => found,
    };
    let expires = expires.ok_or_else(|| Refusal::new(&NO_PAPER, "no such paper of this giver"))?;
    let row = revoked::Revoked { kind: PAPER.into(), issuer: rooms.me.id.clone(), id: id.to_owned(), at: trace.at };
    revoked::add(&mut tx, &row, expires).await?;
    let person = match giver {
        Giver::Person(person, _) => Some(person.pseudonym(rooms).to_string()),
        Giver::Department(..) => None,
    };
    if let Some(person) = &person {
        changed::paper_gone(&mut tx, rooms, person).await?;
    }
    tx.commit(()).await?;
    if let Some(person) = &person {
        rooms.lookups.forget_person(person).await;
    }
    let committed = record(rooms, trace, giver, "paper-revoked", Digest::of(id.as_bytes())).await?;
    Ok(json!({ "id": id, "leaf": ledger::receipt(rooms, committed) }))
}
