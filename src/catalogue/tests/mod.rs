//! Tables a clerk could check, through the public door of the room.

mod clock;
mod identifiers;
mod items;
mod owners;
mod places;

use std::sync::{Arc, OnceLock};

use super::*;
use crate::terms::RegionCode;

/// One catalogue for all tests of the room.
fn catalogue() -> &'static Catalogue {
    static ONE: OnceLock<Arc<Catalogue>> = OnceLock::new();
    ONE.get_or_init(|| Catalogue::embedded().unwrap_or_else(|e| panic!("{e}")))
}

fn region(text: &str) -> RegionCode {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn item(code: &str) -> &'static Item {
    catalogue().item(code.parse().unwrap()).unwrap()
}
