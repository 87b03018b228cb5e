//! The gateway shows the provider who it is in each way that a provider may ask for, at the endpoint that reads opaque tokens
//! and at the one that gives tokens for codes; and is nobody under another's secret, key or certificate.

use super::*;

/// How the gateway is known, and the lines that say so to it.
const WAYS: [(&str, &str); 4] = [
    ("post", "client_auth = \"client_secret_post\"\nclient_secret_file = \"provider.secret\""),
    ("key", "client_auth = \"private_key_jwt\"\nclient_key_file = \"certs/tls.key\""),
    (
        "certificate",
        "client_auth = \"tls_client_auth\"\nclient_certificate_file = \"certs/tls.pem\"\nclient_key_file = \"certs/tls.key\"",
    ),
    (
        "pinned",
        "client_auth = \"self_signed_tls_client_auth\"\nclient_certificate_file = \"certs/tls.pem\"\n\
         client_key_file = \"certs/tls.key\"",
    ),
];

/// Signs in at a page; the page where that ended.
async fn page(house: &House) -> Page {
    let mut browser = Browser::new(&house.world, None);
    browser.go(&format!("{}/sign-in?next=/me&login_hint=lisi", house.gateway), "").await
}

pub async fn in_every_way(house: &House) {
    let portal = house.federation.anybody(0);
    let (own_certificate, own_key) = house.world.client("W-440305-01");
    fs::copy(own_certificate, house.home.join("other.pem")).expect("copied");
    fs::copy(own_key, house.home.join("other.key")).expect("copied");
    fs::write(house.home.join("other.secret"), "a-secret-that-nobody-knows").expect("written");
    for (name, lines) in WAYS {
        house.known_as((name, lines), (name, lines));
        let (asked, alias) = (house.counts("introspection").await, house.counts("alias").await);
        let token = house.token("opaque-app", "zhangsan", None).await;
        until(&portal, &bearer(&token), 200).await;
        let page = page(house).await;
        assert!(page.status == 200 && page.text.contains("李四"), "{name}: {} {}", page.status, page.text);
        assert!(house.counts("introspection").await > asked, "{name}: the provider was asked");
        let moved = house.counts("alias").await - alias;
        let shown = matches!(name, "certificate" | "pinned");
        assert!(if shown { moved >= 2 } else { moved == 0 }, "{name}: {moved} calls where certificates are shown");
    }
    // As somebody else we are told nothing, and nobody signs in; the word of a secret or a key is in no answer.
    for (name, lines) in WAYS {
        let other = lines.replace("certs/tls", "other").replace("provider.secret", "other.secret");
        house.known_as((name, &other), (name, &other));
        let token = house.token("opaque-app", "zhangsan", None).await;
        let answer = portal.get("/v1/cases", &bearer(&token)).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (503, Some("TB-IDN-0024")),
            "{name}: {}",
            answer.text()
        );
        let page = page(house).await;
        assert_eq!((page.status, code_of(&page)), (403, "TB-GW-0122"), "{name}: {}", page.text);
        assert!(!page.text.contains("a-secret"), "{name}: {}", page.text);
    }
    house.as_at_first();
    let token = house.token("opaque-app", "zhangsan", None).await;
    until(&portal, &bearer(&token), 200).await;
}
