//! What a paper is good for at another gateway: its registrar says so, signed, for one act, and is asked before anything
//! is handed out. No gateway takes another's word for a paper that a third one registered, nor its own bare claim.
//!
//! ```text
//!  A (wants to act) ─ paper, act, for B ─▶ registrar ─ paper holds? giver? revoked? one use: held ─▶ standing (signed)
//!  A ─ request + standing ─▶ B ─ registrar's key and places, subject, act, item, case, fields …, period ─▶ rules
//!                            B ─ standing, "used" ─▶ registrar ─ revoked by now? one use: spent ─▶ B hands out
//! ```
//! One mechanism for all three papers. The paper itself stays where it is: a standing names its digest and says of it what
//! this one act needs, nothing else. Where the registrar is one of the two, the call between them is a call within.

mod reader;
mod registrar;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ledger::Trace;
use super::peer;
use super::registry::PaperWord;
use super::rooms::Rooms;
use crate::identity::delegation;
use crate::identity::issue::random_id;
use crate::policy::CONSENT;
use crate::terms::refusal::tolds;
use crate::terms::{CaseNo, Digest, ItemCode, Next, Refusal, RegionCode, ResidentId, Told, UnixMillis};

pub use reader::{Expect, Stated, read};
pub use registrar::{end, state};

tolds! {
    /// What is said of a paper does not hold: signature, registrar, audience, time, or it came before.
    pub const BAD_STANDING = "TB-GW-0203", 403,
        "授权文书的登记机关证明未通过核验，已拒绝并记录。",
        "What the registrar says of the paper does not hold; refused and recorded.",
        Next::CorrectAndResend;
    /// The gateway that registered the paper does not answer: nothing is done under a paper that may be revoked.
    pub const NO_REGISTRAR = "TB-GW-0204", 503,
        "登记该授权文书的网关暂时无法核实其效力，请稍后再试。",
        "The gateway that registered the paper cannot say now whether it still holds: try again later.",
        Next::TryLater;
}

/// Media type of the word, in its `typ`.
pub const TYP: &str = "tongban-standing+jwt";
/// A standing lives this long, in seconds: so long after a paper was revoked may something be done under what was said of
/// it before, where the registrar is not asked again. Clocks may differ by the leeway.
pub const LIVES_S: i64 = 60;
pub const LEEWAY_S: i64 = 10;
/// How long a paper for one use is held for one act before another may try, in seconds: longer than any provider is waited
/// for, so that only a process that died leaves it to run out.
pub const HELD_S: i64 = 120;

/// What a registrar says of one of its papers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// The registrar.
    iss: String,
    /// The gateway before which the act is done.
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    kind: PaperWord,
    /// Digest of the paper as signed, and its number at the registrar.
    paper: Digest,
    id: String,
    /// Where it was registered: a place of the registrar.
    place: RegionCode,
    /// The issuer before whom the giver had signed in; a department has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// The gateway that asked for it and may show it.
    requester: String,
    /// SHA-256 over the salt and the giver's number: whoever knows the number can see that it is that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<Digest>,
    salt: String,
    /// The giver, where it is a department: its credit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Credit code of a department, id of a window, or the name by which the audience knows the agent.
    to: String,
    act: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<ItemCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    case: Option<CaseNo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    fields: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    /// The paper is good until.
    until: UnixMillis,
    /// Of a paper for one use: held for this act until.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<UnixMillis>,
}

/// What a gateway asks the registrar: a paper and one act. Neither is for logs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub kind: PaperWord,
    pub paper: String,
    pub audience: String,
    /// Resident number of the person who gave it; a department gives a mandate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// As the paper names the receiver.
    pub to: String,
    /// As the audience shall know the receiver, where the paper's name for them is not for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    pub act: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemCode>,
    /// Where the act is done.
    pub place: RegionCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseNo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fields: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The item demands the person.
    #[serde(default)]
    pub presence: bool,
    /// Whether it holds, and no more: one for one use is not held for the act yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub look: bool,
}

/// The registrar's answer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    pub standing: String,
    /// The paper is for one use, and held for this act.
    pub held: bool,
}

/// What came of an act for which a paper was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is about to be done: a paper for one use is spent.
    Used,
    /// Nothing came of it: a paper for one use is free again, a power of attorney also where it was said to be used.
    Back,
}

/// A standing on its way back to its registrar.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    pub standing: String,
    pub end: End,
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal::new(&BAD_STANDING, why)
}

/// Names a person to whoever knows their number.
fn holder(salt: &str, number: &ResidentId) -> Digest {
    Digest::of(format!("{salt}\n{}", number.reveal()).as_bytes())
}

fn number() -> Result<String, Refusal> {
    random_id().map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "no randomness"))
}

/// Asks the registrar of a paper, wherever it is, to say what the paper is good for.
///
/// # Errors
/// `TB-IDN-0101` to `-0108` as the registrar refuses; `TB-GW-0204` where it does not answer.
pub async fn ask(rooms: &Arc<Rooms>, trace: &Trace, registrar: &str, wanted: &Wanted) -> Result<Shown, Refusal> {
    if registrar == rooms.me.id {
        return state(rooms, trace, &rooms.me.id, wanted, true).await;
    }
    let body = serde_json::to_vec(wanted).map_err(|e| bad(e.to_string()))?;
    let answer = peer::tell(rooms, registrar, "/peer/v1/papers", body, trace).await.map_err(as_ours)?;
    serde_json::from_slice(&answer).map_err(|e| Refusal::new(&NO_REGISTRAR, e.to_string()))
}

/// Tells the registrar, wherever it is, what came of the act.
///
/// # Errors
/// `TB-IDN-0104` revoked by now, `TB-IDN-0105` used by another, `TB-GW-0204` where it does not answer.
pub async fn tell(rooms: &Arc<Rooms>, trace: &Trace, registrar: &str, ending: &Ending) -> Result<(), Refusal> {
    if registrar == rooms.me.id {
        return end(rooms, trace, &rooms.me.id, ending).await;
    }
    let body = serde_json::to_vec(ending).map_err(|e| bad(e.to_string()))?;
    peer::tell(rooms, registrar, "/peer/v1/papers/uses", body, trace).await.map(drop).map_err(as_ours)
}

/// A registrar's no about a paper, as ours: the same code and sentence. Any other no is no answer.
fn as_ours(refusal: Refusal) -> Refusal {
    match peers(&refusal) {
        Some(told) => Refusal::new(told, refusal.detail),
        None => Refusal::new(&NO_REGISTRAR, refusal.to_string()),
    }
}

/// What another gateway's no says about a paper or its lack, where that is what it is about.
pub fn peers(refusal: &Refusal) -> Option<&'static Told> {
    let code = refusal.members.iter().find(|(name, _)| *name == "peer_code")?.1.as_str()?;
    let ours = [delegation::TOLDS, TOLDS, &[&CONSENT]].concat();
    ours.into_iter().find(|told| told.code == code)
}
