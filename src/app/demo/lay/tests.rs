//! A federation is laid once and found again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::federation::Directory;
use crate::partners::{Contracts, Standing};
use crate::terms::Digest;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const DAY_S: i64 = 86_400;

fn everything(folder: &Path) -> BTreeMap<PathBuf, Digest> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let digest = Digest::of(&std::fs::read(&path).unwrap());
                all.insert(path, digest);
            }
        }
    }
    all
}

fn changed(old: &BTreeMap<PathBuf, Digest>, new: &BTreeMap<PathBuf, Digest>) -> Vec<String> {
    let names = new.iter().filter(|(path, digest)| old.get(*path) != Some(digest));
    names.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

fn directory(world: &World, now: UnixMillis) -> Directory {
    super::super::directory::read(world, now).unwrap()
}

#[test]
fn laying_twice_changes_nothing_and_ports_change_configurations_only() {
    let folder = tempfile::tempdir().unwrap();
    let world = lay_at(folder.path(), 20_000, None, NOW).unwrap();
    let first = everything(folder.path());
    assert_eq!(lay_at(folder.path(), 20_000, None, NOW.plus_seconds(60)).unwrap(), world);
    assert_eq!(changed(&first, &everything(folder.path())), Vec::<String>::new());
    assert!(World::open(&world.folder).is_err(), "nothing is announced before it is ready");
    announce::write(&world, [Some(7), None], NOW).unwrap();
    assert_eq!(World::open(&world.folder).unwrap(), world);
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(world.announcement()).unwrap()).unwrap();
    let gateways = &told["gateways"];
    assert_eq!((&gateways[0]["pid"], &gateways[1]["pid"]), (&serde_json::json!(7), &serde_json::Value::Null));
    assert!(gateways[0]["log_key"].is_string());

    let one = directory(&world, NOW);
    let moved = lay_at(folder.path(), 21_000, None, NOW.plus_seconds(120)).unwrap();
    assert!(!moved.announcement().exists(), "what was announced holds no longer");
    let second = everything(folder.path());
    let mut names = changed(&first, &second);
    names.sort();
    assert_eq!(names, ["federation.jws", "tongban.toml", "tongban.toml", "witnesses.txt", "witnesses.txt"]);
    let two = directory(&moved, NOW);
    assert_eq!((one.version, two.version), (1, 2));
    assert_eq!(two.member("gw-419001").unwrap().api, "https://127.0.0.1:21010");

    // Half a day later the revocation lists are new, and with them the directory; keys and certificates stay.
    lay_at(folder.path(), 21_000, None, NOW.plus_seconds(DAY_S)).unwrap();
    let mut names = changed(&second, &everything(folder.path()));
    names.sort();
    assert_eq!(names, ["envelopes-ca.crl", "federation.jws", "makers-ca.crl", "signers-ca.crl"]);
    assert!(lay_at(folder.path(), 65_530, None, NOW).is_err());
}

#[test]
fn configurations_contracts_and_directory_are_what_the_gateways_read() {
    let folder = tempfile::tempdir().unwrap();
    let world = lay_at(folder.path(), 20_000, None, NOW).unwrap();
    for gateway in 0..GATEWAYS.len() {
        let config = crate::app::config::Config::load(&world.config(gateway)).unwrap_or_else(|m| panic!("{m}"));
        assert_eq!(config.gateway.id, GATEWAYS[gateway].id);
        assert_eq!(config.windows.len(), [1, 2][gateway]);
        assert_eq!(config.systems.len(), [1, 3][gateway]);
        assert_eq!(config.auditors.len(), 1);
        let file = world.gateway(gateway).join("partners.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let catalogue = crate::catalogue::Catalogue::embedded().unwrap();
        let known = |item, kind| match catalogue.item(item) {
            Ok(item) if item.open_to(kind) => Standing::Open,
            Ok(_) => Standing::NotForKind,
            Err(_) => Standing::Unknown,
        };
        let contracts =
            Contracts::read("partners.toml", &text, &known, &|_| Vec::new()).unwrap_or_else(|m| panic!("{m}"));
        assert_eq!(contracts.iter().count(), [2, 0][gateway]);
    }
    let directory = directory(&world, NOW);
    let of = |place: &str| directory.member_for(place.parse().unwrap()).unwrap().id.clone();
    assert_eq!((of("440305"), of("419001101003")), ("gw-440305".into(), "gw-419001".into()));
}
