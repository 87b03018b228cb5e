//! Filings, verifications and streams that take their time: what an outlet may no more when a register has answered is not done,
//! and who may not read a case any more is told nothing more of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::entrusted::{end, given, with};
use super::federation::peer::Closed;
use super::federation::{Answer, Federation, Headers};
use super::provider::{Mood, Provider};
use super::{Counter, Operator, code};

/// The register of identity cards, behind gateway B.
const REGISTER: &str = "LT-ID";
/// A stream asks again whether it may go on at least this often.
const LOOKS: Duration = Duration::from_secs(5);

pub async fn judged_again(federation: &Federation) {
    at_an_outlet(federation).await;
    streams(federation).await;
}

/// What the operator or the department changes meanwhile.
enum Change {
    Nothing,
    Revoked,
    /// These words of the contracts become those.
    Contracts(&'static str, &'static str),
}

async fn at_an_outlet(federation: &Federation) {
    let (here, there) = (Operator::new(federation), Operator::at(federation, 1));
    let (contracts, theirs) = (here.read("partners.toml"), there.read("tongban.toml"));
    let provider = Provider::start();
    there.write("tongban.toml", &Provider::in_place_of("household-register", &theirs, &provider.url));
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    let outlet = "outlet = \"bank-440305-01\"\n";
    // What becomes of a filing, of a verification, and of what the register said in it.
    for (what, change, filed, verified, status) in [
        ("nothing", Change::Nothing, (202, ""), (200, ""), "valid"),
        ("the mandate is taken back", Change::Revoked, (403, "TB-PAR-0214"), (403, "TB-PAR-0214"), ""),
        (
            "the contract is switched off",
            Change::Contracts(outlet, "outlet = \"bank-440305-01\"\nsuspended = \"x\"\n"),
            (403, "TB-PAR-0203"),
            (403, "TB-PAR-0203"),
            "",
        ),
        (
            "nothing is received any more",
            Change::Contracts("\"receive\", ", ""),
            (403, "TB-PAR-0204"),
            (200, ""),
            "valid",
        ),
        (
            "nobody is identified any more",
            Change::Contracts("\"check_identity\", ", ""),
            (202, ""),
            (403, "TB-PAR-0204"),
            "",
        ),
        (
            "the item is taken off",
            Change::Contracts("\"002009901000\", ", ""),
            (403, "TB-PAR-0207"),
            (200, ""),
            "not_asked",
        ),
    ] {
        for files in [true, false] {
            let what = format!("{what}, {}", if files { "filed" } else { "verified" });
            let paper = given(federation, json!({})).await;
            let text = paper.json["paper"].as_str().expect("a paper");
            here.write("partners.toml", &with(&contracts, text));
            here.reload();
            provider.is(Mood::Well);
            let closed = Closed::new(federation);
            let case = counter.file(federation).await;
            assert_eq!(case.status, 202, "{what}: {}", case.text());
            // What is known already is forgotten: the register has to be asked.
            here.reload();
            there.reload();
            provider.is(Mood::Waits);
            let calls = provider.asked_about(REGISTER);
            let act = async {
                match files {
                    true => counter.file(federation).await,
                    false => verify(federation, &counter, &case).await,
                }
            };
            let meanwhile = async {
                while provider.asked_about(REGISTER) == calls {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                match change {
                    Change::Nothing => {}
                    Change::Revoked => end(federation, &paper).await,
                    Change::Contracts(old, new) => {
                        let changed = contracts.replacen(old, new, 1);
                        assert_ne!(changed, contracts, "{old}");
                        here.write("partners.toml", &with(&changed, text));
                        here.reload();
                    }
                }
                provider.is(Mood::Well);
            };
            let (answer, ()) = tokio::join!(act, meanwhile);
            drop(closed);
            assert_eq!(code(&answer), if files { filed } else { verified }, "{what}: {}", answer.text());
            if !files {
                let shown = answer.json["status"]["word"].as_str().unwrap_or_default();
                assert_eq!(shown, status, "{what}: {}", answer.text());
                assert_eq!(answer.json["indication"].is_null(), verified.0 != 200, "{what}: {}", answer.text());
            }
        }
    }
    here.write("partners.toml", &contracts);
    there.write("tongban.toml", &theirs);
    here.reload();
    there.reload();
}

async fn verify(federation: &Federation, counter: &Counter, case: &Answer) -> Answer {
    let path = format!("/v1/verify?purpose=case&consent=true&case={}", case.json["case"].as_str().expect("a case"));
    let card = Some(("application/ofd", federation.licence()));
    counter.terminal.send("POST", &path, &counter.headers, card).await
}

/// The rules that let somebody read a case are asked again while they watch it.
async fn streams(federation: &Federation) {
    let here = Operator::new(federation);
    let config = here.read("tongban.toml");
    let _closed = Closed::new(federation);
    let window = federation.client("W-440305-01", 0);
    let both: Headers = vec![
        ("authorization", format!("Bearer {}", federation.token("C-0001"))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    let filed = federation.file(&window, &both, "419001", None).await;
    let path = format!("/v1/cases/{}/events", filed.json["case"].as_str().expect("a case"));
    let watching = [both.clone(), vec![("accept", "text/event-stream".to_owned())]].concat();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let own = here.home.join("closed-policies");
    fs::create_dir(&own).expect("a folder");
    for entry in fs::read_dir(rules).expect("the shipped rules").flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), own.join(entry.file_name())).expect("a copy");
    }
    let nobody = "@id(\"nobody-reads\")\n@zh(\"今日不查阅。\")\n@en(\"Nobody reads today.\")\n@code(\"TB-POL-0203\")\n\
                  forbid (principal, action == Tongban::Action::\"read\", resource);\n";
    fs::write(own.join("90-today.cedar"), nobody).expect("written");
    let reloads = async {
        tokio::time::sleep(LOOKS + Duration::from_secs(1)).await;
        here.write("tongban.toml", &format!("policies = {:?}\n{config}", own.display().to_string()));
        here.reload();
        Instant::now()
    };
    let watched = async { (window.get(&path, &watching).await, Instant::now()) };
    let ((watched, ended), changed) = tokio::join!(watched, reloads);
    assert_eq!((watched.status, &watched.json), (200, &Value::Null), "{}", watched.text());
    assert!(watched.text().contains("still here"), "it went on before: {}", watched.text());
    let after = ended.saturating_duration_since(changed);
    // Twice that again for a machine that is busy.
    assert!(after < LOOKS * 3, "within the time that is promised: {after:?}");
    here.write("tongban.toml", &config);
    here.reload();
}
