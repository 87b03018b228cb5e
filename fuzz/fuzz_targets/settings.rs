#![no_main]
//! Files that operators write: the configuration, contracts of outlets, items.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tongban::app::config::Config;
use tongban::catalogue::registers::{Authorities, DataResources, LicenceTypes};
use tongban::catalogue::{Calendar, items};
use tongban::partners::{Contracts, Standing};
use tongban::terms::Mistakes;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Config::parse(Path::new("tongban.toml"), text).is_ok();
    let _ = Contracts::read("partners.toml", text, &|_, _| Standing::Open, &|_| Vec::new()).is_ok();
    let mut mistakes = Mistakes::default();
    let (licences, resources) = (LicenceTypes::read(text, &mut mistakes), DataResources::read(text, &mut mistakes));
    let _ = items::read(text, &licences, &resources).is_ok();
    let _ = (Authorities::read(text, &mut mistakes), Calendar::read(text, &mut mistakes));
});
