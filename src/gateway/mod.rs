//! Floor 6: the questions, in order: who · whose · may they · is it so · on record.
//!
//! ```text
//!  submit   a filing at a window, outlet or portal        receive   a sealed message from a peer
//!  act      what the owner's office does with a case      desk      reading, listing, withdrawing
//!  lookup   shared data for a purpose                     pass      a live request to a department's system
//! ```
//! Every way ends in a line of the log before it ends in an answer.

pub mod about_me;
pub mod act;
mod agents;
pub mod certificate_status;
pub mod changes;
pub mod client_auth;
pub mod concern;
pub mod consents;
pub mod contacts;
pub mod decisions;
mod demands;
pub mod desk;
pub mod door;
pub mod duty;
pub mod enrol;
pub mod entrusted;
pub mod errand;
pub mod export;
mod facts;
pub mod filing;
pub mod intake;
pub mod issuers;
pub mod keep;
pub mod lasting;
pub mod ledger;
pub mod log_state;
pub mod logout;
pub mod lookup;
pub mod mandates;
pub mod material;
mod minimal;
pub mod multipart;
pub mod onward;
pub mod opaque;
pub mod orders;
pub mod pace;
mod papers;
pub mod pass;
mod passed;
pub mod peer;
pub mod prove;
pub mod receipt;
pub mod receive;
pub mod registry;
pub mod rooms;
mod shred;
pub mod sign_in;
pub mod spending;
pub mod standing;
pub mod stationed;
mod status;
pub mod statuses;
pub mod step;
pub mod strangers;
pub mod streaming;
pub mod submit;
pub mod systems;
pub mod verify;
pub mod who;
pub mod windows;
pub mod word;

pub use rooms::Rooms;

use crate::terms::Told;

pub fn tolds() -> Vec<&'static Told> {
    [
        intake::TOLDS,
        demands::TOLDS,
        who::TOLDS,
        peer::TOLDS,
        pass::TOLDS,
        rooms::TOLDS,
        errand::TOLDS,
        export::TOLDS,
        sign_in::TOLDS,
        lookup::changed::TOLDS,
        registry::TOLDS,
        orders::TOLDS,
        enrol::TOLDS,
        strangers::TOLDS,
        pace::TOLDS,
        standing::TOLDS,
        stationed::TOLDS,
        minimal::TOLDS,
    ]
    .concat()
}

/// Ends when the house is told to stop.
pub async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
