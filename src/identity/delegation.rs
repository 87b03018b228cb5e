//! Three papers that are never mixed: power of attorney, window mandate, use consent. Each is a signed object.
//!
//! ```text
//!  power of attorney  citizen    ─▶ agent           Civil Code 165: matter, scope, period      tongban-poa+jwt
//!  window mandate     department ─▶ window/outlet   items, acts, places, period                tongban-mandate+jwt
//!  use consent        person     ─▶ department      resources, purpose, case, time             tongban-consent+jwt
//!
//!  paper ─▶ typ ─▶ registrar's signature ─▶ in force? revoked? ─▶ from, to, item, act, place … ─▶ Grant<Paper> (+ Once)
//! ```
//! A registrar signs: the platform before which the paper was made, after proving who made it. It is trusted only for
//! its own places. A [`Grant`] is of one paper's type, so one paper cannot stand in for another: it would not compile.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::terms::refusal::tolds;
use crate::terms::{CaseNo, Digest, Explain, ItemCode, Next, RegionCode, Told, UnixMillis};

use super::IdentityError;
use super::book::Reach;
use super::issue::SigningKey;
use super::jose::{Embedded, Object, Unverified, plain};
use super::keys::IssuerKeys;

tolds! {
    pub const PAPER_INVALID = "TB-IDN-0101", 403,
        "授权文书未通过核验。", "The paper of delegation does not verify.", Next::GoToWindow;
    pub const PAPER_KIND = "TB-IDN-0102", 403,
        "所交文书种类不符：代理委托书、窗口授权书、用证同意书不能互相替代。",
        "This is another kind of paper: power of attorney, window mandate and use consent do not replace each other.",
        Next::CorrectAndResend;
    pub const PAPER_PERIOD = "TB-IDN-0103", 403,
        "授权文书不在有效期内，请重新办理授权。", "The paper is not in force: have a new one made.", Next::CorrectAndResend;
    pub const PAPER_REVOKED = "TB-IDN-0104", 403,
        "该授权已被撤销。", "This delegation has been revoked.", Next::Stop;
    pub const PAPER_USED = "TB-IDN-0105", 403,
        "该一次性授权已使用，请重新办理授权。", "This one-use paper has been used: have a new one made.", Next::CorrectAndResend;
    pub const PAPER_PARTIES = "TB-IDN-0106", 403,
        "授权文书的委托方或受托方与当事人不符。", "The paper names other parties.", Next::CorrectAndResend;
    pub const PAPER_SCOPE = "TB-IDN-0107", 403,
        "授权文书未涵盖本事项、本操作或本用途。", "The paper does not cover this item, act or purpose.", Next::CorrectAndResend;
    pub const PRESENCE_NEEDED = "TB-IDN-0108", 403,
        "本事项须本人到场，不能由他人代办。", "This item needs the person present: nobody can act for them.", Next::GoToWindow;
    pub const POST_RULE = "TB-IDN-0109", 403,
        "B岗仅在A岗离岗期间可以代岗，且不得为同一人。",
        "The deputy acts only while the first post is away, and must be another person.", Next::AskOperator;
}

/// Why a delegation does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    #[error("paper: {0}")]
    Invalid(&'static str),
    #[error("paper signature: {0}")]
    Signature(IdentityError),
    /// Taken off the list, over, or never one of its keys.
    #[error("paper signature: not by a key of the registrar that the directory lists")]
    NoKey,
    #[error("a paper of another kind")]
    Kind,
    #[error("paper not in force")]
    Period,
    #[error("paper revoked")]
    Revoked,
    /// For the caller who finds [`Once::key`] in its memory.
    #[error("one-use paper already used")]
    Used,
    #[error("paper names another {0}")]
    Parties(&'static str),
    #[error("paper does not cover the {0}")]
    Scope(&'static str),
    #[error("the item needs the person present")]
    PresenceNeeded,
    #[error("post rule: {0}")]
    Post(&'static str),
}

impl Explain for DelegationError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Invalid(_) | Self::Signature(_) | Self::NoKey => &PAPER_INVALID,
            Self::Kind => &PAPER_KIND,
            Self::Period => &PAPER_PERIOD,
            Self::Revoked => &PAPER_REVOKED,
            Self::Used => &PAPER_USED,
            Self::Parties(_) => &PAPER_PARTIES,
            Self::Scope(_) => &PAPER_SCOPE,
            Self::PresenceNeeded => &PRESENCE_NEEDED,
            Self::Post(_) => &POST_RULE,
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A kind of paper. Sealed: there are three.
pub trait Paper: sealed::Sealed {
    /// Media type in `typ`.
    const TYP: &'static str;
    /// Longest period, in seconds.
    const LONGEST_S: i64;
}

/// Citizen to agent (委托书).
#[derive(Clone, Copy, Debug)]
pub struct PowerOfAttorney;
/// Department to window or outlet (窗口授权委托书).
#[derive(Clone, Copy, Debug)]
pub struct WindowMandate;
/// Person to department (用证、用数同意书).
#[derive(Clone, Copy, Debug)]
pub struct UseConsent;

const YEAR_S: i64 = 366 * 86_400;

macro_rules! papers {
    ($($paper:ident $typ:literal $longest:expr),+) => {$(
        impl sealed::Sealed for $paper {}
        impl Paper for $paper {
            const TYP: &'static str = $typ;
            const LONGEST_S: i64 = $longest;
        }
    )+};
}
papers!(
    PowerOfAttorney "tongban-poa+jwt" YEAR_S,
    WindowMandate "tongban-mandate+jwt" 3 * YEAR_S,
    UseConsent "tongban-consent+jwt" YEAR_S
);

/// How often a paper may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    Once,
    Many,
}

/// What a paper says, in its signed form. Times in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// The registrar.
    pub iss: String,
    pub jti: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    /// Who gives: `issuer#subject` of a person, credit code of a department.
    pub from: String,
    /// Who receives: `issuer#subject` of an agent, id of a window or outlet, credit code of a department.
    pub to: String,
    #[serde(default)]
    pub items: Vec<ItemCode>,
    #[serde(default)]
    pub acts: Vec<String>,
    #[serde(default)]
    pub places: Vec<RegionCode>,
    /// Licence types or data resources a consent is for.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Fields of those resources that a consent is for; whatever the item needs when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseNo>,
    pub uses: Uses,
    /// The issuer before whom the person who gives had signed in; no department has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// Writes and signs a paper.
pub fn sign<P: Paper>(_: P, wording: &Wording, registrar: &SigningKey) -> Result<String, DelegationError> {
    let claims = serde_json::to_value(wording).map_err(|_| DelegationError::Invalid("cannot be written"))?;
    let serde_json::Value::Object(claims) = claims else { return Err(DelegationError::Invalid("cannot be written")) };
    registrar.sign(P::TYP, &claims).map_err(DelegationError::Signature)
}

/// Who may register papers, with keys from the directory.
#[derive(Clone, Copy, Debug)]
pub struct Registrar<'a> {
    pub id: &'a str,
    pub keys: &'a IssuerKeys,
    pub reach: &'a Reach,
}

/// The act at hand. Members a paper's kind does not know must be `None`, or nothing will cover them.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub item: Option<ItemCode>,
    pub act: &'a str,
    pub place: Option<RegionCode>,
    pub resource: Option<&'a str>,
    /// Fields that are asked for.
    pub fields: Option<&'a BTreeSet<String>>,
    pub purpose: Option<&'a str>,
    pub case: Option<CaseNo>,
    /// The item demands the person's presence (`presence ≠ none`).
    pub presence: bool,
}

/// Whether a paper has been revoked, by registrar and id.
pub trait PaperView {
    fn is_revoked(&self, registrar: &str, id: &str) -> bool;
}

/// A one-use paper: remember `key` until `expires` in the transaction of the act; found there means
/// [`DelegationError::Used`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    pub key: Digest,
    pub expires: UnixMillis,
}

/// A paper that holds for one act. Only [`check`] makes one.
#[derive(Clone, Debug)]
pub struct Grant<P: Paper> {
    wording: Wording,
    paper: Digest,
    kind: PhantomData<P>,
}

impl<P: Paper> Grant<P> {
    pub fn id(&self) -> &str {
        &self.wording.jti
    }
    pub fn registrar(&self) -> &str {
        &self.wording.iss
    }
    pub fn from(&self) -> &str {
        &self.wording.from
    }
    pub fn to(&self) -> &str {
        &self.wording.to
    }
    /// Digest of the paper as signed: names it in the log and the case file.
    pub fn paper(&self) -> Digest {
        self.paper
    }
    pub fn expires(&self) -> UnixMillis {
        UnixMillis::from_seconds(self.wording.exp)
    }
    pub fn covers_item(&self, item: ItemCode) -> bool {
        self.wording.items.contains(&item)
    }
    /// The issuer before whom the person who gives had signed in.
    pub fn issuer(&self) -> Option<&str> {
        self.wording.issuer.as_deref()
    }
    /// What must be remembered before the act, for a one-use paper.
    pub fn once(&self) -> Option<Once> {
        let once = || Once::of::<P>(&self.wording.iss, &self.wording.jti, self.expires());
        (self.wording.uses == Uses::Once).then(once)
    }
}

impl Once {
    /// The one use of a paper of this kind, by registrar and number.
    pub fn of<P: Paper>(registrar: &str, id: &str, expires: UnixMillis) -> Self {
        let key = format!("{}\n{registrar}\n{id}", P::TYP);
        Self { key: Digest::of(key.as_bytes()), expires }
    }
}

/// Checks a paper for one act; to be asked again at every act, for papers can be revoked at once.
///
/// # Errors
/// See [`DelegationError`]; the kind is looked at before the signature, the scope after it.
pub fn check<P: Paper>(
    _: P,
    paper: &str,
    registrar: Registrar<'_>,
    ask: &Ask<'_>,
    revoked: &dyn PaperView,
    now: UnixMillis,
) -> Result<Grant<P>, DelegationError> {
    use DelegationError::{Parties, Period, Scope};
    let wording = wording::<P>(paper, registrar)?;
    let at = now.seconds();
    if wording.iat > at || wording.nbf > at || wording.exp <= at {
        return Err(Period);
    }
    if revoked.is_revoked(&wording.iss, &wording.jti) {
        return Err(DelegationError::Revoked);
    }
    if wording.from != ask.from {
        return Err(Parties("giver"));
    }
    if wording.to != ask.to || wording.from == wording.to {
        return Err(Parties("receiver"));
    }
    // An agent cannot stand in for a person who must be there; a window with a mandate serves that very person.
    if ask.presence && P::TYP == PowerOfAttorney::TYP {
        return Err(DelegationError::PresenceNeeded);
    }
    if !wording.acts.iter().any(|act| act == ask.act) {
        return Err(Scope("act"));
    }
    // What is asked must be named; a consent that names no items covers its resources for whatever item, and what an outlet
    // does under a mandate may be about none (guiding people, showing them their cases).
    let (consent, mandate) = (P::TYP == UseConsent::TYP, P::TYP == WindowMandate::TYP);
    match ask.item {
        Some(item) if wording.items.contains(&item) => {}
        Some(_) | None if consent && wording.items.is_empty() => {}
        None if mandate => {}
        _ => return Err(Scope("item")),
    }
    match ask.place {
        Some(place) if wording.places.is_empty() || wording.places.iter().any(|wider| place.lies_in(*wider)) => {}
        None if wording.places.is_empty() => {}
        _ => return Err(Scope("place")),
    }
    match ask.resource {
        Some(resource) if wording.resources.iter().any(|r| r == resource) => {}
        None if !consent => {}
        _ => return Err(Scope("resource")),
    }
    let named = |field: &String| wording.fields.is_empty() || wording.fields.contains(field);
    if !ask.fields.is_none_or(|fields| fields.iter().all(named)) {
        return Err(Scope("fields"));
    }
    match (&wording.purpose, ask.purpose) {
        (Some(named), Some(purpose)) if named == purpose => {}
        (None, _) if !consent => {}
        _ => return Err(Scope("purpose")),
    }
    if wording.case.is_some() && wording.case != ask.case {
        return Err(Scope("case"));
    }
    Ok(Grant { wording, paper: Digest::of(paper.as_bytes()), kind: PhantomData })
}

/// What a paper says that this registrar signed, whenever it is or was in force.
///
/// # Errors
/// `Kind`, `Signature` and `Invalid` of [`DelegationError`].
pub fn wording<P: Paper>(paper: &str, registrar: Registrar<'_>) -> Result<Wording, DelegationError> {
    use DelegationError::{Invalid, Signature};
    let unverified = Unverified::parse(paper, Embedded::Refused).map_err(Signature)?;
    if unverified.header.typ.as_deref() != Some(P::TYP) {
        return Err(DelegationError::Kind);
    }
    let key = registrar.keys.find_named(unverified.header.kid.as_deref(), unverified.header.alg);
    let key = key.ok_or(DelegationError::NoKey)?;
    let claims: Object = unverified.verify(key).and_then(|v| v.claims()).map_err(Signature)?;
    let wording: Wording = serde_json::from_value(claims.into())
        .map_err(|_| Invalid("a member is missing, unknown or of a wrong kind"))?;
    if wording.iss != registrar.id {
        return Err(Invalid("another registrar"));
    }
    if [&wording.jti, &wording.from, &wording.to].iter().any(|text| text.is_empty() || !plain(text)) {
        return Err(Invalid("an id or a party is empty or unprintable"));
    }
    if wording.places.iter().any(|place| !registrar.reach.covers(*place)) {
        return Err(Invalid("a place the registrar may not speak for"));
    }
    if wording.exp.saturating_sub(wording.nbf) > P::LONGEST_S {
        return Err(Invalid("a period longer than allowed"));
    }
    // A mandate is about a place by nature; without one it would reach as far as its reader.
    if P::TYP == WindowMandate::TYP && wording.places.is_empty() {
        return Err(Invalid("a mandate without a place"));
    }
    Ok(wording)
}
