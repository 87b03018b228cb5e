//! A power of attorney for one act, used up together with the act, wherever it was registered.
//!
//! ```text
//!  registered here       ─▶ used in the transaction of the act: both, or neither
//!  registered elsewhere  ─▶ held there for this act ─▶ used there ─▶ the act is kept here ─no─▶ given back there
//!                             │ another act has it       │ revoked by now
//!                             └──────────▶ no ◀──────────┘
//! ```
//! | a crash after | leaves |
//! |---|---|
//! | held | the hold runs out by itself ([`super::standing::HELD_S`]) |
//! | used | a paper that is used and an act that was not done: the giver gives another. Never two acts under one paper |
//! | kept | the act, and a paper that is used |

use std::sync::Arc;

use super::ledger::Trace;
use super::mandates::{named, refused};
use super::rooms::Rooms;
use super::standing::{self, End, Ending, Wanted};
use crate::identity::delegation::Once;
use crate::terms::{CaseNo, Refusal};

/// A paper for one act, and where its one use is counted.
#[derive(Clone)]
pub enum OneUse {
    Here(Once),
    /// What its registrar is asked, but for the act itself.
    Elsewhere(Box<Wanted>),
}

impl std::fmt::Debug for OneUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Here(_)) { "OneUse(here)" } else { "OneUse(elsewhere)" })
    }
}

/// The act for which a paper is spent.
pub struct For<'a> {
    pub act: &'static str,
    pub case: Option<CaseNo>,
    /// The gateway that reads what the registrar says of the paper, and what the agent is called there.
    pub audience: &'a str,
    pub called: Option<String>,
}

/// A paper on its way to be used, or none.
#[derive(Default)]
pub struct Spending {
    here: Option<Once>,
    held: Option<Held>,
}

struct Held {
    registrar: String,
    standing: String,
}

impl Spending {
    /// Holds a paper for an act: nobody else acts under it meanwhile, at whichever gateway.
    ///
    /// # Errors
    /// `TB-IDN-0101` to `-0108`: `-0105` used, or held for another act; `TB-GW-0204` where its registrar does not answer.
    pub async fn hold(
        rooms: &Arc<Rooms>,
        trace: &Trace,
        paper: Option<&OneUse>,
        this: For<'_>,
    ) -> Result<Self, Refusal> {
        let wanted = match paper {
            None => return Ok(Self::default()),
            Some(OneUse::Here(once)) => return Ok(Self { here: Some(*once), held: None }),
            Some(OneUse::Elsewhere(wanted)) => wanted,
        };
        let wanted = Wanted {
            audience: this.audience.to_owned(),
            called: this.called,
            act: this.act.to_owned(),
            case: this.case,
            look: false,
            ..(**wanted).clone()
        };
        let (registrar, ..) = named(&wanted.paper).map_err(|e| refused(&e))?;
        let shown = standing::ask(rooms, trace, &registrar, &wanted).await?;
        if !shown.held {
            return Err(Refusal::new(&standing::BAD_STANDING, format!("{registrar}: a paper for one act is not held")));
        }
        Ok(Self { here: None, held: Some(Held { registrar, standing: shown.standing }) })
    }

    /// One that is used in the transaction of the act.
    pub fn here(&self) -> Option<Once> {
        self.here
    }

    /// What the registrar says of it, where that is another gateway.
    pub fn standing(&self) -> Option<&str> {
        self.held.as_ref().map(|held| held.standing.as_str())
    }

    /// Uses it up where it was registered, at the last moment before the act is kept.
    ///
    /// # Errors
    /// `TB-IDN-0104` revoked by now, `TB-IDN-0105` where the hold ran out, `TB-GW-0204` where the registrar does not answer.
    pub async fn spend(&self, rooms: &Arc<Rooms>, trace: &Trace) -> Result<(), Refusal> {
        let Some(held) = &self.held else { return Ok(()) };
        let ending = Ending { standing: held.standing.clone(), end: End::Used };
        standing::tell(rooms, trace, &held.registrar, &ending).await
    }

    /// Gives it back where nothing was `done` under it.
    ///
    /// # Errors
    /// The outcome's own; with `paper_spent` where the registrar could not be told, so that another paper is needed.
    pub async fn close<T>(
        self,
        rooms: &Arc<Rooms>,
        trace: &Trace,
        outcome: Result<T, Refusal>,
        done: bool,
    ) -> Result<T, Refusal> {
        let Some(held) = self.held else { return outcome };
        if done {
            return outcome;
        }
        let ending = Ending { standing: held.standing, end: End::Back };
        let told = standing::tell(rooms, trace, &held.registrar, &ending).await;
        match (outcome, told) {
            (Err(refusal), Err(untold)) => {
                tracing::warn!(registrar = held.registrar, %untold, "a paper for one act could not be given back");
                Err(refusal.with("paper_spent", true))
            }
            (outcome, _) => outcome,
        }
    }
}
