//! Tongban (通办): any service window accepts any region's case.
//!
//! The house, from the ground up. A room uses rooms on lower floors, never its neighbours, never upstairs;
//! `tests/floors.rs` holds the plan.
//!
//! ```text
//! 10  cli        commands, words on the terminal, offline checks
//!  9  app        settings · reload · wiring · drain · demonstration federation
//!  8  console    pages for desk clerks, auditors, operators
//!  7  http       listeners, TLS, routes, problem answers      jobs   what time sets going
//!  6  gateway    the questions, in order (submit · pass · lookup · receive · desk)
//!  5  exchange   cases, sealed files, receipts, clock          lookups  shared data, purpose, cache
//!     federation  the signed directory: who is who, and who owns where
//!  4  identity · licences · catalogue · partners · policy      workshops: they judge, they never fetch
//!  3  audit      log, checkpoints, proofs, evidence            upstream  outbound pools, retries, breakers
//!  2  trust      keys, chains, status, algorithm suites, sealed containers
//!  1  formats    ZIP, DER, XML read strictly, once             store     records, transactions
//!  0  terms      words, codes, units, how to say no
//! ```

pub mod app;
pub mod audit;
pub mod catalogue;
pub mod cli;
pub mod console;
pub mod exchange;
pub mod federation;
pub mod formats;
pub mod gateway;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod licences;
pub mod lookups;
pub mod partners;
pub mod policy;
pub mod store;
pub mod terms;
pub mod trust;
pub mod upstream;
