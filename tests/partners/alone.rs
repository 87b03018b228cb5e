//! An outlet's employee without the customer: what was begun while they stood there is no licence to go on alone.

use serde_json::json;

use tongban::app::demo::tokens::Options;
use tongban::app::demo::{World, token_for};

use super::federation::peer::Closed;
use super::federation::{Federation, Headers, Window};
use super::{Counter, Operator, code};

const SYSTEM: &str = "/pass/419001/social-security/status";

pub async fn without_the_customer(federation: &Federation) {
    let operator = Operator::new(federation);
    let contracts = operator.read("partners.toml");
    // Data about a household are too sensitive for an outlet: here they are not, so that the customer alone decides.
    let config = operator.read("tongban.toml");
    let folder = operator.home.join("plain-data");
    std::fs::create_dir(&folder).expect("a folder");
    let shipped = tongban::catalogue::EMBEDDED.data_resources;
    let plain = shipped.replacen("公安,conditional,3", "公安,conditional,2", 1);
    std::fs::write(folder.join("data-resources.csv"), plain).expect("written");
    operator.write("tongban.toml", &format!("catalogue = {:?}\n{config}", folder.display().to_string()));
    operator.reload();
    let closed = Closed::new(federation);
    let counter = Counter::of(federation, "bank-440305-01", "E-9001");
    let filed = counter.file(federation).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "case"}).to_string();
    let alone: Headers = counter.headers[..1].to_vec();
    let look = async |headers: &Headers| {
        counter
            .terminal
            .send("POST", "/v1/lookups", headers, Some(("application/json", ask.clone().into_bytes())))
            .await
    };
    let verify = async |headers: &Headers| {
        let licence = Some(("application/ofd", federation.licence()));
        counter.terminal.send("POST", "/v1/verify?purpose=counter&consent=true", headers, licence).await
    };
    let pass = async |terminal: &Window, headers: &Headers| terminal.get(SYSTEM, headers).await;
    for (what, with, without) in [
        ("a lookup", look(&counter.headers).await, look(&alone).await),
        ("a licence", verify(&counter.headers).await, verify(&alone).await),
        ("a system", pass(&counter.terminal, &counter.headers).await, pass(&counter.terminal, &alone).await),
    ] {
        assert_eq!(with.status, 200, "{what}, with the customer: {}", with.text());
        assert_eq!(code(&without), (403, "TB-POL-0205"), "{what}, without: {}", without.text());
        assert!(without.json["leaf"].is_u64(), "{what} is not on record");
    }
    // A hall of the government asks in the course of its duty.
    let clerk = vec![("authorization", format!("Bearer {}", federation.token("C-0001")))];
    assert_eq!(pass(&federation.client("W-440305-01", 0), &clerk).await.status, 200);
    // Who holds somebody else's token is not that person: for others one asks at a counter, or under a paper.
    let portal = federation.anybody(0);
    let of_li = vec![("authorization", format!("Bearer {}", federation.token("lisi")))];
    let with_zhang = [of_li.clone(), vec![("tongban-subject-token", federation.token("citizen"))]].concat();
    assert_eq!(pass(&portal, &of_li).await.status, 200);
    let for_another = pass(&portal, &with_zhang).await;
    assert_eq!(code(&for_another), (403, "TB-POL-0206"), "{}", for_another.text());
    // And the level is that of the person for whom a clerk asks, who can mend it.
    let world = World::open(federation.folder.path()).expect("the demonstration's folder");
    let low = Options { level: Some(1), ..Options::default() };
    let low = token_for(&world, "zhangsan", &low).expect("a token");
    let hardly_known = [clerk.clone(), vec![("tongban-subject-token", low)]].concat();
    let refused = pass(&federation.client("W-440305-01", 0), &hardly_known).await;
    assert_eq!(code(&refused), (403, "TB-POL-0202"), "{}", refused.text());
    assert!(refused.header("www-authenticate").contains("insufficient_user_authentication"), "{}", refused.text());
    // The item leaves the contract: what was filed before is no ground to look more up.
    let household = "\"002009901000\", ";
    assert!(contracts.contains(household), "{contracts}");
    operator.write("partners.toml", &contracts.replace(household, ""));
    operator.reload();
    let after = look(&counter.headers).await;
    assert_eq!(code(&after), (403, "TB-POL-0203"), "{}", after.text());
    drop(closed);
    operator.write("partners.toml", &contracts);
    operator.write("tongban.toml", &config);
    operator.reload();
}
