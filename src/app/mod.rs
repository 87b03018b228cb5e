//! Floor 9: settings, wiring, reload, drain, and the demonstration federation.
//!
//! ```text
//!  tongban.toml ─▶ Config ─▶ check (every mistake at once) ─▶ wire rooms ─▶ listeners + jobs ─▶ drain
//! ```

mod build;
pub mod config;
mod credentials;
pub mod demo;
mod issuers;
mod local;
mod people;
pub mod recover;
pub mod refresh;
pub mod reload;
pub mod serve;
pub mod snapshot;
mod statuses;
pub mod wire;
