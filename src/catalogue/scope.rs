//! How far a window may be from the owner, and in which modes an item is handled.

use super::Catalogue;
use super::error::CatalogueError;
use super::items::Item;
use super::words::{Mode, Scope};
use crate::terms::RegionCode;

impl Catalogue {
    /// How wide a scope lets a window take a case of this owner.
    pub fn scope_between(&self, window: RegionCode, owner: RegionCode) -> Scope {
        let (w, o) = (window.division(), owner.division());
        // Districts of a municipality are one city; counties directly under their province (xx90nn) are one each.
        let one_city = is_municipality(window) || (w.number() / 100 % 100 != 90 && w.number() / 100 % 100 != 0);
        if w == o {
            Scope::Town
        } else if w.province() == o.province()
            && one_city
            && (w.prefecture() == o.prefecture() || is_municipality(owner))
        {
            Scope::City
        } else if w.province() == o.province() {
            Scope::Province
        } else {
            Scope::Nation
        }
    }

    /// Whether a window may take the item for this owner; hands back the scope it needs.
    ///
    /// An item offered nationwide is also offered nearer: its list names the farthest agreements it takes part in.
    ///
    /// # Errors
    /// [`CatalogueError::OutOfScope`].
    pub fn check_scope(&self, item: &Item, window: RegionCode, owner: RegionCode) -> Result<Scope, CatalogueError> {
        let (needed, widest) = (self.scope_between(window, owner), item.widest_scope());
        if needed <= widest { Ok(needed) } else { Err(CatalogueError::OutOfScope { item: item.code, needed, widest }) }
    }

    /// Whether the item is offered in a mode at all.
    ///
    /// # Errors
    /// [`CatalogueError::ModeNotOffered`].
    pub fn check_mode(&self, item: &Item, mode: Mode) -> Result<(), CatalogueError> {
        if item.modes.contains(&mode) { Ok(()) } else { Err(CatalogueError::ModeNotOffered { item: item.code, mode }) }
    }
}

/// Beijing, Tianjin, Shanghai, Chongqing.
pub(super) fn is_municipality(place: RegionCode) -> bool {
    matches!(place.division().number() / 10_000, 11 | 12 | 31 | 50)
}
