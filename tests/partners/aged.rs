//! A proof of identity that is young enough for the window's gateway and too old for the owner's: the owner refuses the filing.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tongban::app::demo::tokens::Options;
use tongban::app::demo::{World, token_for};
use tongban::terms::UnixMillis;

use super::Operator;
use super::federation::{Federation, Headers};

/// Where the owner's own edition of the catalogue lies.
const FOLDER: &str = "catalogue-stricter";
const RULE: &str = "level-from-peer";

pub async fn proofs(federation: &Federation) {
    let there = Operator::at(federation, 1);
    let config = there.read("tongban.toml");
    let folder = there.home.join(FOLDER);
    fs::create_dir(&folder).expect("a folder");
    let item = "code = \"002009901000\"\n";
    let shipped = tongban::catalogue::EMBEDDED.items;
    let stricter = shipped.replacen(item, &format!("{item}max_identity_age_min = 2\n"), 1);
    assert_ne!(stricter, shipped);
    fs::write(folder.join("items.toml"), stricter).expect("written");
    there.write("tongban.toml", &format!("catalogue = {:?}\n{config}", folder.display().to_string()));
    there.reload();

    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let window = federation.client("W-440305-01", 0);
    let filed = async |minutes: i64| {
        let issued = Some(UnixMillis::now().plus_seconds(-60 * minutes));
        let citizen = token_for(&world, "citizen", &Options { issued, ..Options::default() }).expect("a token");
        let both: Headers = vec![
            ("authorization", format!("Bearer {}", federation.token("C-0001"))),
            ("tongban-subject-token", citizen),
        ];
        let filed = federation.file(&window, &both, "419001", None).await;
        assert_eq!(filed.status, 202, "{minutes} minutes are few for the window's gateway: {}", filed.text());
        (both, filed.json["case"].as_str().expect("a case").to_owned())
    };
    let refused = || {
        let lines = there.lines("deny");
        let spoke = |line: &&Value| line["dec"]["rules"].as_array().is_some_and(|ids| ids.contains(&RULE.into()));
        lines.iter().filter(spoke).count()
    };

    let (both, fresh) = filed(0).await;
    federation.until_over(&window, &both, &fresh).await;
    assert_eq!(refused(), 0);
    let (both, aged) = filed(4).await;
    for _ in 0..100 {
        if refused() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_ne!(refused(), 0, "the owner's gateway refuses, and has a line of it");
    let seen = window.get(&format!("/v1/cases/{aged}"), &both).await;
    assert_eq!((seen.status, &seen.json["state"]), (200, &"received".into()), "nothing is lost: {}", seen.text());

    there.write("tongban.toml", &config);
    there.reload();
}
