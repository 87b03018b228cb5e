//! The shipped policies and cases, compiled in.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../policies/", $name)))),+]
    };
}

/// Schema and rules.
pub(super) const SOURCES: &[(&str, &str)] = files![
    "schema.cedarschema",
    "10-people.cedar",
    "20-outlets.cedar",
    "30-filing.cedar",
    "40-materials.cedar",
    "50-cases.cedar",
    "60-reading.cedar",
    "70-data.cedar",
    "80-gateways.cedar",
];

/// They, as a folder with them is read.
pub(super) fn sources() -> Vec<(String, String)> {
    let mut sources: Vec<_> = SOURCES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    sources.sort();
    sources
}

/// Cases.
pub(super) const CASES: &[(&str, &str)] = files![
    "cases/requests.toml",
    "cases/people.toml",
    "cases/outlets.toml",
    "cases/filing.toml",
    "cases/materials.toml",
    "cases/lifecycle.toml",
    "cases/reading.toml",
    "cases/data.toml",
    "cases/gateways.toml",
];
