//! Floor 4: what can be filed, where it belongs, what it needs, and by when it is due.
//!
//! ```text
//!  items.toml ─┐                       ┌─▶ search · guide        what is there?
//!  divisions ──┤                       ├─▶ resolve · scope       whose is it, may it be filed here?
//!  registers ──┼─▶ Catalogue (frozen) ─┼─▶ plan                  what must the person bring?
//!  calendar ───┘   one digest          └─▶ calendar.due          by when?
//!       │ mistakes: all at once, with line and mend; the old catalogue stays
//! ```
//! A [`Catalogue`] never changes: upstairs holds it in an `ArcSwap` and puts a new one in its place.

pub mod basis;
pub mod calendar;
pub mod comparator;
mod csv;
pub mod divisions;
pub mod error;
pub mod guide;
pub mod items;
pub mod listed;
pub mod materials;
pub mod owner;
pub mod registers;
mod scope;
pub mod search;
#[cfg(test)]
mod tests;
pub mod words;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use basis::{Bases, Basis};
pub use calendar::{Calendar, Due, Pause};
pub use divisions::{BirthPlace, Divisions, Place, PlaceLevel};
pub use error::CatalogueError;
pub use guide::Guide;
pub use items::{Item, Material};
pub use materials::{Availability, Circumstances, How, Planned};
pub use owner::{Because, Choice, Office, Owner, Ownership, PlaceFact, PlaceFacts};
pub use registers::{Authorities, DataResource, DataResources, LicenceType, LicenceTypes};
pub use search::{Filters, Hit};

use crate::terms::{Digest, ItemCode, Mistakes, Told};

/// All answers of this room.
pub fn tolds() -> Vec<&'static Told> {
    error::TOLDS.to_vec()
}

/// The texts a catalogue is made of; the schemas are in `data/README.md`.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    pub divisions: &'a str,
    pub divisions_historic: &'a str,
    pub divisions_demo: &'a str,
    pub items: &'a str,
    pub licence_types: &'a str,
    pub data_resources: &'a str,
    pub authorities: &'a str,
    pub calendar: &'a str,
}

/// The data this program ships with; origins and licences in `data/README.md`.
pub const EMBEDDED: Files<'static> = Files {
    divisions: include_str!("data/divisions.csv"),
    divisions_historic: include_str!("data/divisions-historic.csv"),
    divisions_demo: include_str!("data/divisions-demo.csv"),
    items: include_str!("data/items.toml"),
    licence_types: include_str!("data/licence-types.csv"),
    data_resources: include_str!("data/data-resources.csv"),
    authorities: include_str!("data/authorities-demo.csv"),
    calendar: include_str!("data/calendar-2026-2027.csv"),
};

/// Names of the files in a deployment's folder, in the order of [`Files`].
pub const FILE_NAMES: [&str; 8] = [
    "divisions.csv",
    "divisions-historic.csv",
    "divisions-demo.csv",
    "items.toml",
    "licence-types.csv",
    "data-resources.csv",
    "authorities-demo.csv",
    "calendar-2026-2027.csv",
];

/// Largest file that is read: four times what every village of the country would need.
const LARGEST_FILE: u64 = 256 << 20;

impl<'a> Files<'a> {
    fn texts(&self) -> [&'a str; 8] {
        [
            self.divisions,
            self.divisions_historic,
            self.divisions_demo,
            self.items,
            self.licence_types,
            self.data_resources,
            self.authorities,
            self.calendar,
        ]
    }
}

/// The catalogue: an immutable snapshot of everything the data files say.
#[derive(Debug)]
pub struct Catalogue {
    pub divisions: Divisions,
    pub items: BTreeMap<ItemCode, Item>,
    /// What they rest on.
    pub bases: Bases,
    pub licence_types: LicenceTypes,
    pub resources: DataResources,
    pub authorities: Authorities,
    pub calendar: Calendar,
    digest: Digest,
}

impl Catalogue {
    /// Reads a catalogue from texts.
    ///
    /// # Errors
    /// [`CatalogueError::Faulty`] with every mistake of every file.
    pub fn read(files: &Files<'_>) -> Result<Self, CatalogueError> {
        let mut mistakes = Mistakes::default();
        let divisions = Divisions::read(files.divisions, files.divisions_historic, files.divisions_demo, &mut mistakes);
        let licence_types = LicenceTypes::read(files.licence_types, &mut mistakes);
        let resources = DataResources::read(files.data_resources, &mut mistakes);
        let authorities = Authorities::read(files.authorities, &mut mistakes);
        let calendar = Calendar::read(files.calendar, &mut mistakes);
        let (items, bases) = items::read(files.items, &licence_types, &resources).unwrap_or_else(|wrong| {
            mistakes.extend(wrong);
            Default::default()
        });
        if !mistakes.is_empty() {
            return Err(CatalogueError::Faulty(mistakes.sorted()));
        }
        // Length before text: no two sets of files give the same bytes.
        let all: String = files.texts().iter().map(|text| format!("{}\n{text}", text.len())).collect();
        let digest = Digest::of(all.as_bytes());
        Ok(Self { divisions, items, bases, licence_types, resources, authorities, calendar, digest })
    }

    /// The catalogue this program ships with.
    ///
    /// # Errors
    /// None in a built program: a test reads the same texts.
    pub fn embedded() -> Result<Arc<Self>, CatalogueError> {
        Self::read(&EMBEDDED).map(Arc::new)
    }

    /// Reads a deployment's own files from a folder; a file that is not there is taken from the shipped data.
    ///
    /// # Errors
    /// [`CatalogueError::File`] for a file that cannot be read, is too large or is not UTF-8; otherwise as
    /// [`Catalogue::read`].
    pub fn load(folder: &Path) -> Result<Arc<Self>, CatalogueError> {
        let mut own: Vec<Option<String>> = Vec::new();
        for name in FILE_NAMES {
            own.push(
                read_file(&folder.join(name))
                    .map_err(|e| CatalogueError::File { file: name.to_owned(), problem: e.to_string() })?,
            );
        }
        if own.iter().all(Option::is_none) {
            let problem = "the folder has none of the catalogue's files".to_owned();
            return Err(CatalogueError::File { file: folder.display().to_string(), problem });
        }
        let shipped = EMBEDDED.texts();
        let text = |n: usize| own[n].as_deref().unwrap_or(shipped[n]);
        let files = Files {
            divisions: text(0),
            divisions_historic: text(1),
            divisions_demo: text(2),
            items: text(3),
            licence_types: text(4),
            data_resources: text(5),
            authorities: text(6),
            calendar: text(7),
        };
        Self::read(&files).map(Arc::new)
    }

    /// Digest of all files: the version a log line and a directory cite.
    pub fn version(&self) -> Digest {
        self.digest
    }

    /// # Errors
    /// [`CatalogueError::UnknownItem`].
    pub fn item(&self, code: ItemCode) -> Result<&Item, CatalogueError> {
        self.items.get(&code).ok_or(CatalogueError::UnknownItem(code))
    }
}

fn read_file(path: &Path) -> std::io::Result<Option<String>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut text = String::new();
    if file.take(LARGEST_FILE + 1).read_to_string(&mut text)? as u64 > LARGEST_FILE {
        return Err(std::io::Error::other("the file is too large"));
    }
    Ok(Some(text))
}
