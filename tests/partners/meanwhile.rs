//! What changes while a register takes its time: an outlet that may ask no more when the answer comes gets the refusal that it
//! would get now; and what was permitted stands in the log on what it was permitted on.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::entrusted::{end, given, with};
use super::federation::peer::Closed;
use super::federation::{Federation, Headers};
use super::provider::{Mood, Provider};
use super::{Counter, Operator, code};

const FOLDER: &str = "meanwhile";
/// A provider has five seconds. Where a slow machine needs longer to make the change, the row says nothing, and is tried again.
const TRIES: usize = 3;

/// What becomes of the gateway's files, or of the mandate.
enum Change {
    Nothing,
    Revoked,
    Contracts(String),
    Items(String),
    /// The owner says no to the case.
    Decided,
}

pub async fn judged_again(federation: &Federation) {
    let (here, there) = (Operator::new(federation), Operator::at(federation, 1));
    let [config, contracts, theirs] =
        [here.read("tongban.toml"), here.read("partners.toml"), there.read("tongban.toml")];
    // Data about a household are too sensitive for an outlet: here they are not.
    let folder = here.home.join(FOLDER);
    fs::create_dir(&folder).expect("a folder");
    let shipped = tongban::catalogue::EMBEDDED;
    let plain = shipped.data_resources.replacen("公安,conditional,3", "公安,conditional,2", 1);
    fs::write(folder.join("data-resources.csv"), plain).expect("written");
    here.write("tongban.toml", &format!("catalogue = {:?}\n{config}", folder.display().to_string()));
    let provider = Provider::start();
    there.write("tongban.toml", &Provider::in_place_of("household-register", &theirs, &provider.url));

    let stated = "basis = \"hukou\"\n";
    let entry = "ref = \"DR-HH\", required = true";
    let contract = |old: &str, new: &str| {
        let changed = contracts.replacen(old, new, 1);
        assert_ne!(changed, contracts, "{old}");
        changed
    };
    for (what, change, want) in [
        ("nothing", Change::Nothing, (200, "")),
        ("the department takes its mandate back", Change::Revoked, (403, "TB-PAR-0214")),
        (
            "the contract is switched off",
            Change::Contracts(contract(
                "outlet = \"bank-440305-01\"\n",
                "outlet = \"bank-440305-01\"\nsuspended = \"x\"\n",
            )),
            (403, "TB-PAR-0203"),
        ),
        ("the act is taken off it", Change::Contracts(contract("\"check_identity\", ", "")), (403, "TB-PAR-0204")),
        ("the item is taken off it", Change::Contracts(contract("\"002009901000\", ", "")), (403, "TB-POL-0203")),
        (
            "the entry for the data rests on something else",
            Change::Items(shipped.items.replacen(entry, &format!("{entry}, basis = \"id-card\""), 1)),
            (200, ""),
        ),
        ("the item rests on nothing", Change::Items(shipped.items.replacen(stated, "", 1)), (403, "TB-POL-0506")),
        ("the case is decided", Change::Decided, (403, "TB-POL-0502")),
    ] {
        let mut tries = 1..=TRIES;
        let (answer, calls) = loop {
            let is_last = tries.next() == Some(TRIES);
            fs::write(folder.join("items.toml"), shipped.items).expect("written");
            let paper = given(federation, json!({})).await;
            here.write("partners.toml", &with(&contracts, paper.json["paper"].as_str().expect("a paper")));
            here.reload();
            there.reload();
            provider.is(Mood::Well);
            let counter = Counter::of(federation, "bank-440305-01", "E-9001");
            let closed = Closed::new(federation);
            let filed = counter.file(federation).await;
            assert_eq!(filed.status, 202, "{what}: {}", filed.text());
            // What is known already is forgotten: the register has to be asked.
            here.reload();
            there.reload();
            provider.is(Mood::Waits);
            let calls = provider.asked_about("DR-HH");
            let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "case"}).to_string();
            let body = Some(("application/json", ask.into_bytes()));
            let asked = counter.terminal.send("POST", "/v1/lookups", &counter.headers, body);
            let meanwhile = async {
                while provider.asked_about("DR-HH") == calls {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                match &change {
                    Change::Nothing => {}
                    Change::Revoked => end(federation, &paper).await,
                    Change::Contracts(text) => {
                        here.write("partners.toml", &with(text, paper.json["paper"].as_str().expect("a paper")));
                        here.reload();
                    }
                    Change::Decided => {
                        let no = filed.json["case"].as_str().expect("a number");
                        let order =
                            json!({"act": "not_accept", "by": "O-0001", "note": "不属于本机关职权"}).to_string();
                        let office = federation.client("office-419001", 1);
                        let path = format!("/office/v1/cases/{no}/acts");
                        let body = Some(("application/json", order.into_bytes()));
                        // An outlet sees a case while it is open.
                        let own = format!("/v1/cases/{no}");
                        let mut seen = counter.terminal.get(&own, &counter.headers).await;
                        assert_eq!(seen.status, 200, "{}", seen.text());
                        let done = office.send("POST", &path, &Headers::new(), body).await;
                        assert_eq!(done.status, 200, "{}", done.text());
                        for _ in 0..40 {
                            if seen.status == 404 {
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            seen = counter.terminal.get(&own, &counter.headers).await;
                        }
                        assert_eq!(seen.status, 404, "known to the outlet's gateway: {}", seen.text());
                    }
                    Change::Items(text) => {
                        fs::write(folder.join("items.toml"), text).expect("written");
                        here.reload();
                    }
                }
                provider.is(Mood::Well);
            };
            let (answer, ()) = tokio::join!(asked, meanwhile);
            drop(closed);
            if is_last || code(&answer) != (503, "TB-LKP-0002") {
                break (answer, calls);
            }
        };
        assert_eq!(provider.asked_about("DR-HH"), calls + 1, "{what}: the register was asked");
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
        assert_eq!(answer.json["fields"].is_object(), want.0 == 200, "{what}: {}", answer.text());
        // The data came, on what was permitted; that they went no further is on record, too.
        let of = |kind: &str| {
            let line =
                here.lines(kind).into_iter().rev().find(|line| line["actor"]["terminal"] == "outlet:bank-440305-01");
            line.unwrap_or_else(|| panic!("{what}: no {kind}"))
        };
        let read = of("data.read");
        assert_eq!((&read["why"]["basis"], &read["up"]["result"]), (&json!("hukou"), &json!("2xx")), "{what}: {read}");
        if want.0 != 200 {
            let refused = of("deny");
            let got = (&refused["trace"], &refused["dec"]["reason"]);
            assert_eq!(got, (&answer.json["trace"], &Value::from(want.1)), "{what}: {refused}");
        }
    }
    for (operator, file, text) in
        [(&here, "tongban.toml", &config), (&here, "partners.toml", &contracts), (&there, "tongban.toml", &theirs)]
    {
        operator.write(file, text);
    }
    here.reload();
    there.reload();
}
