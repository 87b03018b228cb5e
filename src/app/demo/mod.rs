//! The demonstration federation's world: everything around the two gateways, laid into one folder and started.
//!
//! ```text
//!                 lay ──▶ World ──▶ keys · certificates · seals · federation.jws · tongban.toml · federation.json
//!                            │
//!            ┌───────────────┼────────────────┬───────────────┬──────────────┐
//!           idp           operator         provider         office         system
//!      tokens for people  the directory  household register  decides cases  ordinary HTTP
//! ```
//! Nothing here is part of a gateway: the parties speak to the gateways as strangers would, over the same sockets.
//! [`World`] says where all of it is.

mod announce;
pub mod directory;
mod files;
pub mod jws;
pub mod lay;
pub mod people;
pub mod pki;
pub mod settings;
pub mod stamps;
pub mod world;

pub use lay::lay;
pub use world::World;
