//! Client certificates whose names say two things, or almost the right one: nobody is known by them.

use tongban::app::demo::pki::{authority, issued};
use tongban::app::demo::stamps;
use tongban::federation::directory::Octets;
use tongban::trust::certificate::Certificate;
use tongban::trust::crl::Crl;
use tongban::trust::issue::{Issuer, Subject, Use, crl};
use tongban::trust::suite::SignatureAlgorithm;

use super::attacks::{Row, judged};
use super::*;

const TERMINAL: &str = "urn:tongban:outlet:bank-440305-01:t1";

/// All of them by the gateway's own authority for clients: the handshake takes them, the name does not count.
pub async fn names(house: &House<'_>) {
    let own = house.home.join("authorities");
    let now = UnixMillis::now();
    let kept = stamps::certificate(&own.join("clients.pem")).expect("our authority");
    let name = kept.common_name().expect("a name");
    let ca = authority(&own, "clients", SignatureAlgorithm::EcdsaP256Sha256, &Subject::named(&name, &name), now);
    let ca = ca.expect("our authority");
    assert_eq!(ca.certificate.fingerprint(), kept.fingerprint(), "it is the one that is in force");
    let employee = bearer(&house.federation.token("E-9001"));
    let good = house.federation.client("bank-440305-01", 0).get("/v1/cases", &employee).await;
    assert_eq!(good.status, 200, "the terminal itself: {}", good.text());
    let folder = tempfile::tempdir().expect("a folder");
    let (upper, tail) = (TERMINAL.replace("bank", "BANK"), format!("{TERMINAL}/x"));
    let (longer, nul) = (format!("{TERMINAL}2"), format!("{TERMINAL}\0.other"));
    let mut rows: Vec<Row> = Vec::new();
    for (what, common_name, uris, dns, code) in [
        ("two names, the right one first", "t1", vec![TERMINAL, "urn:tongban:outlet:other:t1"], vec![], "TB-GW-0101"),
        ("two names, the right one last", "t1", vec!["urn:tongban:outlet:other:t1", TERMINAL], vec![], "TB-GW-0101"),
        ("a terminal and a gateway", "t1", vec![TERMINAL, "urn:tongban:gateway:gw-419001"], vec![], "TB-GW-0101"),
        ("the right name as common name only", TERMINAL, vec![], vec![], "TB-GW-0101"),
        ("the right name as DNS name", "t1", vec![], vec![TERMINAL], "TB-GW-0101"),
        ("other letters", "t1", vec![upper.as_str()], vec![], "TB-GW-0101"),
        ("with a tail", "t1", vec![tail.as_str()], vec![], "TB-GW-0101"),
        ("one letter more", "t1", vec![longer.as_str()], vec![], "TB-GW-0101"),
        ("with NUL and a tail", "t1", vec![nul.as_str()], vec![], "TB-GW-0101"),
        ("without a name", "t1", vec![], vec![], "TB-GW-0101"),
        ("another gateway, by our authority", "gw", vec!["urn:tongban:gateway:gw-419001"], vec![], "TB-FED-0003"),
    ] {
        let subject = Subject { uris: &uris, dns: &dns, ..Subject::named(common_name, "bank") };
        let file = format!("forged-{}", rows.len());
        let forged = issued(folder.path(), &file, &ca, &subject, Use::TlsClient, now).expect("a certificate");
        let client = house.federation.with(0, &forged.certificate_file, &forged.key_file);
        rows.push((what.to_owned(), client.get("/v1/cases", &employee).await, code));
    }
    judged(house, &rows);
}

/// Where lists of members are required, a gateway whose authority has none in the directory, or an old one, is let in no
/// more; what it had to say waits, and arrives once there is one.
pub async fn member_lists(house: &House<'_>) {
    let (folder, federation) = (house.federation.folder.path(), house.federation);
    let config = folder.join("gw-419001/tongban.toml");
    let before = fs::read_to_string(&config).expect("a configuration");
    let reload = || {
        let done = tools::tongban(&["reload", "--config", &config.display().to_string()]);
        assert!(done.status.success(), "{}", tools::text(&done));
    };
    let own = house.home.join("authorities");
    let ca = stamps::certificate(&own.join("tls.pem")).expect("A's authority for TLS");
    let key = load_key(&own.join("tls.key")).expect("its key");
    let list = |good_for_s: i64| {
        let now = UnixMillis::now();
        let (from, to) = (now.plus_seconds(-3_600), now.plus_seconds(good_for_s));
        Octets(crl(&Issuer::of(&key, &ca), &[], 1, from, to).expect("a list"))
    };
    let publish = |lists: Vec<Octets>| {
        house.publish(|directory| {
            let others = directory.anchors.crls.der().iter().filter(|list| !is_of(list, &ca)).cloned();
            directory.anchors.crls = others.chain(lists).collect::<Vec<_>>().into();
        });
        reload();
    };
    let lacking = || {
        let metrics = tools::plain(federation.told["gateways"][1]["metrics"].as_str().expect("an address"), "/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix("tongban_required_lists_lacking "));
        line.unwrap_or_else(|| panic!("{metrics}")).to_owned()
    };
    let peer = federation.with(1, &house.home.join("certs/tls.pem"), &house.home.join("certs/tls.key"));
    let asked = async || peer.get("/v1/cases", &Headers::new()).await;
    let (window, both) = (federation.client("window", 0), {
        let clerk = ("authorization", format!("Bearer {}", federation.token("clerk")));
        vec![clerk, ("tongban-subject-token", federation.token("citizen"))]
    });
    assert_eq!(asked().await.json["code"], "TB-IDN-0001", "known by its certificate, and without a token");
    fs::write(&config, before.replacen("client_anchors =", "member_lists_required = true\nclient_anchors =", 1))
        .expect("written");
    let mut waiting = None;
    for (what, lists, lacks) in
        [("not there", vec![], true), ("past its date", vec![list(-60)], true), ("in date", vec![list(86_400)], false)]
    {
        publish(lists);
        let answer = asked().await;
        let want = if lacks { (503, "TB-GW-0106") } else { (401, "TB-IDN-0001") };
        assert_eq!(
            (answer.status, answer.json["code"].as_str().unwrap_or_default()),
            want,
            "{what}: {}",
            answer.text()
        );
        assert_eq!(lacking(), if lacks { "1" } else { "0" }, "{what}");
        if lacks {
            let lines = house.lines_of("gw-419001", "deny");
            let on_record =
                |line: &Value| line["trace"] == answer.json["trace"] && line["dec"]["reason"] == "TB-GW-0106";
            assert!(lines.iter().any(on_record), "{what}: {}", answer.json);
            let filed = federation.file(&window, &both, "419001", None).await;
            assert_eq!(filed.status, 202, "{what}: nobody is sent home: {}", filed.text());
            waiting = filed.json["case"].as_str().map(str::to_owned);
        }
    }
    federation.until(&window, &both, &waiting.expect("a case"), "closed").await;
    fs::write(&config, before).expect("written");
    publish(vec![]);
    assert_eq!(asked().await.json["code"], "TB-IDN-0001", "not required");
}

fn is_of(list: &Octets, authority: &Certificate) -> bool {
    Crl::parse(&list.0).is_ok_and(|list| list.issuer() == authority.subject())
}
