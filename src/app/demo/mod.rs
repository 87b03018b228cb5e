//! The demonstration federation's world: everything around the two gateways, laid into one folder and started.
//!
//! ```text
//!                 lay ──▶ World ──▶ keys · certificates · seals · federation.jws · tongban.toml
//!                            │
//!            ┌───────────────┼────────────────┬───────────────┬──────────────┐
//!           idp           operator         provider         office         system
//!      tokens for people  the directory  household register  decides cases  ordinary HTTP
//!
//!  members: tongban serve × 2, each its own process ──▶ ready ──▶ federation.json
//! ```
//! Nothing here is part of a gateway: the parties speak to the gateways as strangers would, over the same sockets.
//! [`World`] says where all of it is.

mod announce;
mod answer;
pub mod directory;
mod files;
pub mod idp;
pub mod jws;
pub mod lay;
pub mod licence;
mod mandate;
mod members;
pub mod office;
pub mod people;
pub mod pki;
pub mod provider;
pub mod screen;
pub mod settings;
pub mod stamps;
pub mod system;
pub mod tokens;
pub mod walk;
pub mod world;

pub use lay::lay;
pub use tokens::token_for;
pub use world::World;

use tokio::sync::watch;

/// Starts everything but the gateways, and serves until `stop`. The first that cannot start ends the others' wait.
///
/// # Errors
/// A sentence naming the server and its address.
pub async fn start(world: &World, calls: provider::Calls, stop: watch::Receiver<bool>) -> Result<(), String> {
    tokio::try_join!(
        idp::start(world, stop.clone()),
        idp::start_directory(world, stop.clone()),
        provider::start(world, calls, stop.clone()),
        office::start(world, stop.clone()),
        system::start(world, stop),
    )
    .map(|_| ())
}

#[cfg(test)]
mod tests;
