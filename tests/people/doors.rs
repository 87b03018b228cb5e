//! The same thing shown at two doors: what was used or is bound at one is of no use at the other.

use super::attacks::Forge;
use super::*;
use tongban::identity::issue::random_id;
use tongban::terms::Digest;

pub async fn all(house: &House<'_>) {
    one_number(house).await;
    bound_at_the_desk(house).await;
    crossed_errands(house).await;
}

/// A number of a proof counts once, whether the API or the token endpoint saw it first.
async fn one_number(house: &House<'_>) {
    let (window, portal) = (house.federation.client("window", 0), house.federation.anybody(0));
    let (phone, clerk) = (Device::new(), house.federation.token("clerk"));
    let token = phone.token(house, "zhangsan");
    let jwk = Value::Object(phone.0.public_jwk().expect("a key"));
    let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
    let proof = |method: &str, path: &str, jti: &str| {
        let claims = json!({
            "htm": method, "htu": format!("https://{}{path}", window.authority), "iat": UnixMillis::now().seconds(),
            "jti": jti, "ath": B64.encode(Digest::of(token.as_bytes()).0),
        });
        phone.0.sign_with(&header, &claims).expect("a proof")
    };
    let at_api = async |jti: &str| {
        let headers = vec![("authorization", format!("DPoP {token}")), ("dpop", proof("GET", "/v1/cases", jti))];
        portal.get("/v1/cases", &headers).await
    };
    let at_token = async |jti: &str| {
        let shown = proof("POST", "/v1/token", jti);
        exchange(&window, &Headers::new(), (&token, &clerk), &[("subject_proof", &shown)]).await
    };
    let (one, other) = (random_id().expect("a number"), random_id().expect("a number"));
    assert_eq!(at_api(&one).await.status, 200);
    assert_eq!(at_token(&other).await.status, 200);
    for (what, answer, status) in [
        ("used at the API, at the token endpoint", at_token(&one).await, 400),
        ("used at the token endpoint, at the API", at_api(&other).await, 401),
    ] {
        let got = (answer.status, answer.json["code"].as_str());
        assert_eq!(got, (status, Some("TB-IDN-0017")), "{what}: {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
    }
}

/// A citizen's token that is bound to the certificate of one terminal works there, beside the clerk's or exchanged with it, and
/// at no other desk.
async fn bound_at_the_desk(house: &House<'_>) {
    let forge = Forge::new(house);
    let text = fs::read(house.federation.folder.path().join("clients/W-440305-01.pem")).expect("a certificate");
    let print = Digest::of(&pem::decode(&text).expect("PEM")[0].octets);
    let bound = forge.claim(json!({"cnf": {"x5t#S256": B64.encode(print.0)}}));
    let federation = house.federation;
    let (window, bank) = (federation.client("W-440305-01", 0), federation.client("bank-440305-01", 0));
    let beside = |who: &str| -> Headers {
        vec![("authorization", format!("Bearer {}", federation.token(who))), ("tongban-subject-token", bound.clone())]
    };
    let plan = format!("/v1/items/{ITEM}/plan");
    let empty = || Some(("application/json", b"{}".to_vec()));
    assert_eq!(window.send("POST", &plan, &beside("C-0001"), empty()).await.status, 200);
    let exchanged = async |client: &Window, who: &str| {
        exchange(client, &Headers::new(), (&bound, &federation.token(who)), &[]).await
    };
    given(&exchanged(&window, "C-0001").await);
    let other = federation.client("W-419001-02", 1);
    for (what, answer, status) in [
        ("beside a bank's", bank.send("POST", &plan, &beside("E-9001"), empty()).await, 401),
        ("alone, from anywhere", federation.anybody(0).get("/v1/cases", &bearer(&bound)).await, 401),
        ("alone, at a bank", bank.get("/v1/cases", &bearer(&bound)).await, 401),
        ("beside another hall's, at its gateway", other.send("POST", &plan, &beside("C-0002"), empty()).await, 401),
        ("exchanged at a bank", exchanged(&bank, "E-9001").await, 400),
        ("exchanged at another gateway", exchanged(&other, "C-0002").await, 400),
    ] {
        let got = (answer.status, answer.json["code"].as_str());
        assert_eq!(got, (status, Some("TB-IDN-0014")), "{what}: {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
    }
}

/// A token that was exchanged for one purpose serves no other: neither a filing, which looks data up for its case, nor a
/// lookup, nor a look at a licence.
async fn crossed_errands(house: &House<'_>) {
    let federation = house.federation;
    let window = federation.client("window", 0);
    let (citizen, clerk) = (federation.token("citizen"), federation.token("clerk"));
    let token = async |more: &[(&str, &str)]| {
        bearer(&given(&exchange(&window, &Headers::new(), (&citizen, &clerk), more).await))
    };
    let (for_case, for_dispute) = (token(&[]).await, token(&[("purpose", "dispute")]).await);
    let filed = federation.file(&window, &for_case, "419001", None).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    let look = async |headers: &Headers, purpose: &str| {
        let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": purpose}).to_string();
        window.send("POST", "/v1/lookups", headers, Some(("application/json", ask.into_bytes()))).await
    };
    let verify = async |headers: &Headers, purpose: &str| {
        let licence = Some(("application/ofd", federation.licence()));
        window.send("POST", &format!("/v1/verify?purpose={purpose}&consent=true"), headers, licence).await
    };
    assert_eq!(verify(&for_dispute, "dispute").await.status, 200);
    for (what, answer, want) in [
        ("a filing", federation.file(&window, &for_dispute, "419001", None).await, (403, "TB-GW-0110")),
        ("a lookup for the case", look(&for_dispute, "case").await, (403, "TB-GW-0110")),
        ("a lookup for another purpose than the token's", look(&for_case, "dispute").await, (403, "TB-GW-0110")),
        ("a licence for the case", verify(&for_dispute, "case").await, (403, "TB-GW-0110")),
        // Named in the token, and not in the item's entry.
        ("a lookup for what the item does not name", look(&for_dispute, "dispute").await, (403, "TB-POL-0507")),
        ("a licence for what no log can hold", verify(&for_case, "%E6%9F%A5").await, (422, "TB-HTTP-0009")),
    ] {
        let got = (answer.status, answer.json["code"].as_str().unwrap_or_default());
        // Who decides quickly ends the case: then no purpose is any good.
        let over = got.1 == "TB-POL-0502" && want.1 == "TB-POL-0507";
        assert!(got == want || over, "{what}: {got:?} {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
    }
}
