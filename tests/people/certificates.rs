//! Client certificates whose names say two things, or almost the right one: nobody is known by them.

use tongban::app::demo::pki::{authority, issued};
use tongban::app::demo::stamps;
use tongban::trust::issue::{Subject, Use};
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
    let longer = format!("{TERMINAL}2");
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
