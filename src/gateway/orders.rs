//! What operators order: an outlet or a terminal off or on again, a terminal enrolled, a case held or shredded. Signed by an operator that the
//! configuration lists; where the rules want a second person, approved by another.
//!
//! ```text
//!  order (JWS of one operator) ─┐
//!  approval (JWS of another) ───┴▶ signatures · for us · in time ─▶ rules ─▶ one transaction { once · effect · line of the
//!                                                                            log } ─▶ in force here; elsewhere in 2 s
//! ```
//! No identity provider is asked: the switch works while one is down. Orders are kept whole, and the log names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::concern::Concern;
use super::ledger::{self, Trace};
use super::rooms::Rooms;
use super::shred;
use super::who::Terminal;
use super::word;
use crate::audit::entry::{Actor, Evidence, Outcome};
use crate::audit::{Committed, Entry, Kind, Word};
use crate::exchange::{ExchangeError, records};
use crate::identity::jose::{Embedded, Unverified};
use crate::identity::keys::PublicKey;
use crate::partners::{OutletId, PartnerError, Stopped, TerminalId};
use crate::policy::{Administration, Ask, Kind as WhoKind, Operation, Permit, Who};
use crate::store::{Migration, Tx, once, revoked};
use crate::terms::refusal::tolds;
use crate::terms::{CaseNo, Digest, Next, Refusal, UnixMillis};

tolds! {
    /// An order or its approval is not signed by an operator, is for another gateway, or out of time.
    pub const BAD_ORDER = "TB-GW-0601", 401,
        "操作指令无效：签名、对象或时间不符，已拒绝并记录。",
        "The order does not hold: signature, gateway or time; refused and recorded.",
        Next::AskOperator;
    /// The order was carried out before.
    pub const ORDER_USED = "TB-GW-0602", 409,
        "该操作指令已执行过，请重新签发。",
        "This order was carried out before: sign a new one.",
        Next::CorrectAndResend;
}

pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 6002,
    name: "orders of operators",
    sql: "CREATE TABLE operator_order (digest TEXT PRIMARY KEY, at BIGINT NOT NULL, signed TEXT NOT NULL, approval TEXT)",
}];

/// Kinds of signed words.
pub const ORDER: &str = "tongban-order+jwt";
pub const APPROVAL: &str = "tongban-approval+jwt";
/// Longest life of an order, in seconds: an enrolment may wait for a technician for a week.
pub const LIVES_S: i64 = 7 * 86_400;
const LEEWAY_S: i64 = 60;
/// The level of somebody who signs with a key that the configuration lists.
const LEVEL: u8 = 4;
/// Rows of the list of what was ended: kinds, and an end that does not run out.
const OUTLET: &str = "outlet";
const URI: &str = "terminal-uri";
const CERTIFICATE: &str = "certificate";
const FOR_EVER: UnixMillis = UnixMillis(253_370_764_800_000);

/// What is ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// The kill switch of an outlet.
    Suspend { outlet: OutletId },
    /// The outlet may go on.
    Resume { outlet: OutletId },
    /// A terminal's name (all certificates issued so far), or one certificate of whatever client, is dead.
    Revoke { terminal: TerminalId },
    /// A certificate that was revoked by mistake.
    Reinstate { terminal: TerminalId },
    /// A terminal that its contract lists may have a certificate, once; for this key only, where one is named.
    Enrol {
        outlet: OutletId,
        /// URI of the terminal in the contract.
        terminal: TerminalId,
        /// SHA-256 of the `SubjectPublicKeyInfo`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Digest>,
    },
    /// The key of a closed case is destroyed: its personal data are gone for good.
    Shred { case: CaseNo },
    /// The key of a case must not be destroyed while a dispute or an inquiry runs.
    Hold { case: CaseNo, ground: Word },
    /// It may be destroyed again.
    Release { case: CaseNo },
}

impl Order {
    /// Taking something away needs one person, giving something back needs two.
    fn operation(&self) -> Operation {
        match self {
            Self::Suspend { .. } | Self::Revoke { .. } => Operation::Revoke,
            Self::Resume { .. } | Self::Reinstate { .. } => Operation::Contract,
            Self::Enrol { .. } => Operation::Enrol,
            Self::Shred { .. } => Operation::Shred,
            Self::Hold { .. } => Operation::Hold,
            Self::Release { .. } => Operation::Release,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Suspend { .. } => "suspend",
            Self::Resume { .. } => "resume",
            Self::Revoke { .. } => "revoke",
            Self::Reinstate { .. } => "reinstate",
            Self::Enrol { .. } => "enrol",
            Self::Shred { .. } => "shred",
            Self::Hold { .. } => "hold",
            Self::Release { .. } => "release",
        }
    }

    /// The case whose data it is about.
    fn case(&self) -> Option<CaseNo> {
        match self {
            Self::Shred { case } | Self::Hold { case, .. } | Self::Release { case } => Some(*case),
            _ => None,
        }
    }

    /// What is ordered, and of which outlet, terminal or ground.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("order", self.word().to_owned())];
        match self {
            Self::Hold { ground, .. } => facts.push(("ground", ground.to_string())),
            Self::Shred { .. } | Self::Release { .. } => {}
            Self::Suspend { outlet } | Self::Resume { outlet } => facts.push(("outlet", outlet.to_string())),
            Self::Revoke { terminal } | Self::Reinstate { terminal } => facts.push(("terminal", terminal.to_string())),
            Self::Enrol { outlet, terminal, .. } => {
                facts.extend([("outlet", outlet.to_string()), ("terminal", terminal.to_string())]);
            }
        }
        facts
    }
}

/// Claims of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Operator.
    pub iss: String,
    /// Gateway.
    pub aud: String,
    /// Seconds.
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
    pub order: Order,
}

/// Claims of an approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub iss: String,
    pub aud: String,
    pub iat: i64,
    pub exp: i64,
    /// SHA-256 of the order as signed.
    pub approves: Digest,
}

/// Operators by id, with the keys under which they sign.
pub type Operators = BTreeMap<String, PublicKey>;

/// An order with what vouches for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    pub order: String,
    #[serde(default)]
    pub approval: Option<String>,
}

/// An order with an operator's signature: it is known who gave it, not yet whether they may.
pub struct Given {
    claims: Claims,
    signed: Signed,
}

/// An order that holds and that the rules permit.
pub struct Judged {
    pub claims: Claims,
    pub digest: Digest,
    pub permit: Permit,
    approved_by: Option<String>,
    signed: Signed,
}

fn claims<T: serde::de::DeserializeOwned>(rooms: &Rooms, typ: &str, token: &str) -> Result<T, Refusal> {
    let wrong = |why: String| Refusal::new(&BAD_ORDER, why);
    let unverified = Unverified::parse(token.trim(), Embedded::Refused).map_err(|e| wrong(e.to_string()))?;
    if unverified.header.typ.as_deref() != Some(typ) {
        return Err(wrong(format!("not a {typ}")));
    }
    let said = unverified.claims_unverified().map_err(|e| wrong(e.to_string()))?;
    let iss = said.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
    let operators = rooms.operators.load();
    let key = operators.get(iss).ok_or_else(|| wrong("no such operator".into()))?;
    let verified = unverified.verify(key).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_slice(&verified.payload).map_err(|e| wrong(e.to_string()))
}

fn in_time(rooms: &Rooms, aud: &str, times: (i64, i64), now: UnixMillis) -> Result<(), Refusal> {
    if aud != rooms.me.id {
        return Err(Refusal::new(&BAD_ORDER, "for another gateway"));
    }
    if !word::in_time(times, now, LIVES_S, LEEWAY_S) {
        return Err(Refusal::new(&BAD_ORDER, "out of time, or for longer than a week"));
    }
    Ok(())
}

/// Reads an order, once it is clear which operator gave it; from here on the lines of the request name them.
///
/// # Errors
/// `TB-GW-0601` for one without a good signature of an operator.
pub fn given(rooms: &Rooms, trace: &Trace, signed: Signed) -> Result<Given, Refusal> {
    let claims: Claims = claims(rooms, ORDER, &signed.order)?;
    trace.by(Actor {
        kind: ledger::word("operator"),
        staff: ledger::word(&claims.iss),
        assurance: Some(LEVEL),
        ..Actor::default()
    });
    trace.concerns(Concern { facts: claims.order.facts(), ..Concern::default() });
    Ok(Given { claims, signed })
}

impl Given {
    /// Judges time, approval and rules; nothing has happened yet.
    ///
    /// # Errors
    /// `TB-GW-0601`, or the rules' no.
    pub fn judge(self, rooms: &Rooms, now: UnixMillis) -> Result<Judged, Refusal> {
        let Self { claims, signed } = self;
        in_time(rooms, &claims.aud, (claims.iat, claims.exp), now)?;
        let digest = Digest::of(signed.order.trim().as_bytes());
        let approved_by = match &signed.approval {
            None => None,
            Some(token) => {
                let approval: Approval = self::claims(rooms, APPROVAL, token)?;
                in_time(rooms, &approval.aud, (approval.iat, approval.exp), now)?;
                if approval.approves != digest {
                    return Err(Refusal::new(&BAD_ORDER, "the approval is for another order"));
                }
                Some(approval.iss)
            }
        };
        let who = Who { level: LEVEL, level_age_min: 0, ..Who::new(WhoKind::Operator, &claims.iss) };
        let ask = Ask::Administer(Administration {
            who,
            gateway: rooms.me.id.clone(),
            operation: claims.order.operation(),
            approved_by: approved_by.clone(),
        });
        let permit = rooms.policies.decide(&ask, now).map_err(|denial| denial.refusal())?;
        Ok(Judged { claims, digest, permit, approved_by, signed })
    }
}

impl Judged {
    /// The line of the log.
    pub fn line(&self, rooms: &Rooms, trace: &Trace) -> Entry {
        let order = Evidence { r#type: ledger::word("order"), digest: Some(self.digest), ..Evidence::default() };
        let kind = if self.claims.order.case().is_some() { Kind::KeyShred } else { Kind::PartnerChange };
        let ground = match &self.claims.order {
            Order::Hold { ground, .. } => ground.as_str(),
            _ => "order",
        };
        let entry = trace
            .told(rooms, trace.about(rooms, kind, None, &Terminal::Unknown))
            .why(ledger::purpose(self.claims.order.word(), ground))
            .dec(ledger::allowed(&self.permit))
            .evidence(order)
            .out(Outcome { status: Some(200), ..Outcome::default() });
        match &self.approved_by {
            Some(by) => ledger::facts(entry, &[("approved-by", by)]),
            None => entry,
        }
    }

    /// Uses the order up and keeps it, in the transaction of its effect.
    ///
    /// # Errors
    /// `TB-GW-0602` for one that was used before.
    pub async fn use_up(&self, tx: &mut Tx, now: UnixMillis) -> Result<(), Refusal> {
        let until = UnixMillis((self.claims.exp + LEEWAY_S).saturating_mul(1_000));
        if !once::first_use(tx, &format!("order:{}:{}", self.claims.iss, self.claims.jti), until).await? {
            return Err(Refusal::new(&ORDER_USED, "used before"));
        }
        sqlx::query(
            "INSERT INTO operator_order (digest, at, signed, approval) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(self.digest.to_string())
        .bind(now.0)
        .bind(self.signed.order.trim())
        .bind(self.signed.approval.as_deref())
        .execute(tx.run())
        .await
        .map_err(crate::store::StoreError::from)?;
        Ok(())
    }
}

/// Carries out an order at once.
///
/// # Errors
/// As [`given`], [`Given::judge`], [`Judged::use_up`] and [`shred::shred`]; `TB-PAR-…` for an outlet without a contract. Every no is on record.
pub async fn carry_out(rooms: &Arc<Rooms>, signed: Signed, now: UnixMillis) -> Result<(Order, Committed), Refusal> {
    let trace = Trace::new(String::new(), "POST", "/orders", now);
    let done = carried_out(rooms, signed, &trace).await;
    if let Err(refusal) = &done {
        ledger::deny(rooms, &trace, None, &Terminal::Unknown, refusal).await?;
    }
    done
}

async fn carried_out(rooms: &Arc<Rooms>, signed: Signed, trace: &Trace) -> Result<(Order, Committed), Refusal> {
    let now = trace.at;
    let given = given(rooms, trace, signed)?;
    // An order may name a case that nobody filed: its line must not begin a chain.
    if let Some(case) = given.claims.order.case() {
        let mut tx = rooms.store.read().await?;
        let record = records::load(&mut tx, case).await?.ok_or(ExchangeError::NoCase)?;
        trace.concerns(Concern { facts: given.claims.order.facts(), ..Concern::of(&record) });
    }
    let judged = given.judge(rooms, now)?;
    let end = |kind: &str, id: String| revoked::Revoked { kind: kind.into(), issuer: String::new(), id, at: now };
    let mut tx = rooms.store.begin().await?;
    judged.use_up(&mut tx, now).await?;
    let mut files = Vec::new();
    match &judged.claims.order {
        Order::Suspend { outlet } => {
            // A switch for a name that was misspelt would seem to work.
            rooms.contracts.load().get(outlet).ok_or(PartnerError::UnknownTerminal)?;
            revoked::add(&mut tx, &end(OUTLET, outlet.to_string()), FOR_EVER).await?;
        }
        Order::Resume { outlet } => revoked::remove(&mut tx, OUTLET, "", outlet.as_str()).await?,
        Order::Revoke { terminal } => revoked::add(&mut tx, &row(terminal, now), FOR_EVER).await?,
        Order::Reinstate { terminal } => {
            let row = row(terminal, now);
            revoked::remove(&mut tx, &row.kind, "", &row.id).await?;
        }
        Order::Shred { case } => files = shred::shred(&mut tx, *case).await?,
        Order::Hold { case, ground } => shred::hold(&mut tx, *case, ground.as_str(), now).await?,
        Order::Release { case } => {
            records::release(&mut tx, *case).await?;
        }
        Order::Enrol { .. } => {
            return Err(Refusal::new(&BAD_ORDER, "an enrolment is used by the terminal itself: POST /v1/terminals"));
        }
    }
    let committed = rooms.log.append(&judged.line(rooms, trace)).await?;
    tx.commit(()).await?;
    match &judged.claims.order {
        Order::Shred { .. } => shred::sweep(rooms, &files).await?,
        _ => refresh(rooms, now).await?,
    }
    tracing::warn!(order = judged.claims.order.word(), by = judged.claims.iss, "an order was carried out");
    Ok((judged.claims.order, committed))
}

fn row(terminal: &TerminalId, at: UnixMillis) -> revoked::Revoked {
    let kind = match terminal {
        TerminalId::Fingerprint(_) => CERTIFICATE,
        TerminalId::Uri(_) => URI,
    };
    revoked::Revoked { kind: kind.into(), issuer: String::new(), id: terminal.to_string(), at }
}

/// Reads anew what is switched off; another replica may have been told.
pub async fn refresh(rooms: &Rooms, now: UnixMillis) -> Result<(), Refusal> {
    let mut tx = rooms.store.read().await?;
    let mut stopped = Stopped::default();
    for row in revoked::all(&mut tx, now).await? {
        match row.kind.as_str() {
            OUTLET => row.id.parse().into_iter().for_each(|outlet| stopped.stop_outlet(outlet)),
            CERTIFICATE => row.id.parse().into_iter().for_each(|print| stopped.stop_certificate(print)),
            URI => stopped.stop_uri(&row.id, row.at),
            _ => {}
        }
    }
    if **rooms.stopped.load() != stopped {
        rooms.stopped.store(Arc::new(stopped));
    }
    Ok(())
}
