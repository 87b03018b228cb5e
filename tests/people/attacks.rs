//! Rows of RFC 8725, 9068, 9449, 9700 and 8705 against a running gateway: each is refused with its code, repeats nothing of
//! the token, and stands in the log under that code.

use std::collections::BTreeMap;

use super::*;
use tongban::identity::issue::random_id;
use tongban::terms::Digest;

/// The provider's own key and a good citizen's claims: attacks are what a stolen or careless provider could make.
struct Forge {
    key: SigningKey,
    claims: Value,
}

impl Forge {
    fn new(house: &House<'_>) -> Self {
        let text = fs::read(house.world.federation().join("idp-es256.key")).expect("a key");
        let der = &pem::decode(&text).expect("PEM")[0].octets;
        let key = SigningKey::from_pkcs8(Algorithm::ES256, der).expect("P-256").named("idp-es256");
        let claims = claims(&token_for(&house.world, "zhangsan", &Options::default()).expect("a token"));
        Self { key, claims }
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": "idp-es256", "typ": "at+jwt"})
    }

    /// A good token with members of the header changed; `null` takes one out.
    fn head(&self, change: Value) -> String {
        self.key.sign_with(&changed(self.header(), change), &self.claims()).expect("signed")
    }

    fn claim(&self, change: Value) -> String {
        self.key.sign_with(&self.header(), &changed(self.claims(), change)).expect("signed")
    }

    /// Claims with a number of their own, issued now.
    fn claims(&self) -> Value {
        let now = UnixMillis::now().seconds();
        let fresh = json!({"jti": random_id().unwrap(), "iat": now, "exp": now + 300, "auth_time": now});
        changed(self.claims.clone(), fresh)
    }
}

pub fn changed(mut base: Value, change: Value) -> Value {
    let members = base.as_object_mut().expect("an object");
    for (name, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    base
}

/// What was tried, the answer, and the code it must have.
pub type Row = (String, Answer, &'static str);

pub async fn all(house: &House<'_>) {
    let forge = Forge::new(house);
    let portal = house.federation.anybody(0);
    let mut rows: Vec<Row> = Vec::new();
    for (what, token, code) in tokens(&forge) {
        rows.push((what.to_owned(), portal.get("/v1/cases", &bearer(&token)).await, code));
    }
    rows.extend(carriage(house, &forge, &portal).await);
    rows.extend(bindings(house, &portal).await);
    let good = forge.claim(json!({}));
    assert_eq!(portal.get("/v1/cases", &bearer(&good)).await.status, 200, "what is not bent is good");
    judged(house, &rows);
}

/// Each attack has its status and code, and stands in gateway A's log under that code; no token is told back, nor is one in
/// the gateway's own log.
pub fn judged(house: &House<'_>, rows: &[Row]) {
    let mut lines = BTreeMap::new();
    for line in [house.lines("deny"), house.lines("input.reject")].concat() {
        let trace = line["trace"].as_str().unwrap_or_default().to_owned();
        lines.insert(trace, line["dec"]["reason"].as_str().unwrap_or_default().to_owned());
    }
    let mut wrong = Vec::new();
    for (what, answer, code) in rows {
        let got = answer.json["code"].as_str().unwrap_or_default();
        let line = lines.get(answer.json["trace"].as_str().unwrap_or_default()).map_or("no line", String::as_str);
        let status = matches!(answer.status, 400 | 401 | 403 | 404);
        let challenged = answer.status != 401 || !answer.header("www-authenticate").is_empty();
        if got != *code || line != *code || !status || !challenged {
            wrong.push(format!("{what}: wants {code}, got {got}, in the log {line}: {}", answer.text()));
        }
        assert!(!answer.text().contains("eyJ"), "{what}: the token is told back");
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} attacks refused, each with its code and its line", rows.len());
    let output = fs::read_to_string(house.world.gateway_log(0)).unwrap_or_default();
    assert!(!output.contains("eyJ"), "a token stands in the gateway's own log");
}

/// Form, signature and claims: rows 1 to 28.
fn tokens(forge: &Forge) -> Vec<(&'static str, String, &'static str)> {
    let now = UnixMillis::now().seconds();
    let good = forge.claim(json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let with_signature = |signature: &str| format!("{}.{}.{signature}", parts[0], parts[1]);
    let raw = B64.decode(parts[2]).unwrap();
    let bent = |n: usize| {
        let mut other = raw.clone();
        other[n] ^= 1;
        with_signature(&B64.encode(other))
    };
    let der = [&[0x30, 0x44, 0x02, 0x20][..], &raw[..32], &[0x02, 0x20], &raw[32..]].concat();
    let spelt = |text: &str| {
        // Another last letter for the same octets.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.find(text.chars().next_back().unwrap()).unwrap();
        format!("{}{}", &text[..text.len() - 1], &alphabet[last + 1..last + 2])
    };
    let foreign = SigningKey::generate(Algorithm::ES256).unwrap().named("idp-es256");
    let header = forge.header().to_string();
    let body = forge.claims().to_string();
    let text = |header: &str, body: &str| forge.key.sign_text(header, body).unwrap();
    let hmac = |secret: &[u8]| {
        let input = format!(
            "{}.{}",
            B64.encode(json!({"alg": "HS256", "kid": "idp-es256", "typ": "at+jwt"}).to_string()),
            B64.encode(&body)
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        format!("{input}.{}", B64.encode(ring::hmac::sign(&key, input.as_bytes())))
    };
    let jwk = Value::Object(forge.key.public_jwk().unwrap());
    let unsigned = |alg: Value| {
        let header = changed(forge.header(), json!({"alg": alg}));
        format!("{}.{}.", B64.encode(header.to_string()), B64.encode(&body))
    };
    let mut rows = vec![
        ("1 malformed", "a.b.c".to_owned(), "TB-IDN-0002"),
        ("1 one part", "abc".to_owned(), "TB-IDN-0002"),
        ("1 four parts", format!("{good}.AAAA"), "TB-IDN-0002"),
        ("1 no JSON", format!("{}.{}.{}", B64.encode("x"), parts[1], parts[2]), "TB-IDN-0002"),
        ("2 alg none", unsigned(json!("none")), "TB-IDN-0003"),
        ("2 alg None", unsigned(json!("None")), "TB-IDN-0003"),
        ("2 alg nOnE", unsigned(json!("nOnE")), "TB-IDN-0003"),
        ("2 alg NONE", unsigned(json!("NONE")), "TB-IDN-0003"),
        ("2 alg missing", unsigned(Value::Null), "TB-IDN-0003"),
        ("2 alg a list", unsigned(json!(["ES256"])), "TB-IDN-0003"),
        ("3 HMAC over the JWK", hmac(jwk.to_string().as_bytes()), "TB-IDN-0003"),
        ("3 HMAC over x", hmac(jwk["x"].as_str().unwrap().as_bytes()), "TB-IDN-0003"),
        ("4 HMAC with nothing", hmac(b""), "TB-IDN-0003"),
        ("5 another algorithm", forge.head(json!({"alg": "ES384"})), "TB-IDN-0003"),
        ("5 RS256 over an EC key", forge.head(json!({"alg": "RS256"})), "TB-IDN-0003"),
        ("5 alg in small letters", forge.head(json!({"alg": "es256"})), "TB-IDN-0003"),
        ("6 signature stripped", with_signature(""), "TB-IDN-0004"),
        ("6 signature bent in r", bent(3), "TB-IDN-0004"),
        ("6 signature bent in s", bent(40), "TB-IDN-0004"),
        ("6 signature zero", with_signature(&B64.encode([0; 64])), "TB-IDN-0004"),
        ("6 signature in DER", with_signature(&B64.encode(&der)), "TB-IDN-0004"),
        ("6 signature longer", with_signature(&B64.encode([&raw[..], &[0]].concat())), "TB-IDN-0004"),
        ("7 tail bits of the signature", format!("{}.{}.{}", parts[0], parts[1], spelt(parts[2])), "TB-IDN-0002"),
        ("7 padding", format!("{good}=="), "TB-IDN-0002"),
        (
            "8 foreign key under a known kid",
            foreign.sign_with(&forge.header(), &forge.claims()).unwrap(),
            "TB-IDN-0004",
        ),
        ("9 jwk", forge.head(json!({"jwk": jwk})), "TB-IDN-0005"),
        ("9 jku", forge.head(json!({"jku": "https://127.0.0.1:1/jwks"})), "TB-IDN-0005"),
        ("9 x5u", forge.head(json!({"x5u": "https://127.0.0.1:1/x"})), "TB-IDN-0005"),
        ("9 x5c", forge.head(json!({"x5c": ["AAAA"]})), "TB-IDN-0005"),
        ("10 kid a path", forge.head(json!({"kid": "../../../etc/passwd"})), "TB-IDN-0005"),
        ("10 kid SQL", forge.head(json!({"kid": "' OR 1=1 --"})), "TB-IDN-0005"),
        ("10 kid a list", forge.head(json!({"kid": ["idp-es256"]})), "TB-IDN-0005"),
        ("10 kid of 4 KB", forge.head(json!({"kid": "k".repeat(4_096)})), "TB-IDN-0005"),
        ("14 crit", forge.head(json!({"crit": ["exp"]})), "TB-IDN-0006"),
        ("14 crit empty", forge.head(json!({"crit": []})), "TB-IDN-0006"),
        ("15 alg twice", text(&format!("{{\"alg\":\"none\",{}", &header[1..]), &body), "TB-IDN-0002"),
        ("15 sub twice", text(&header, &format!("{{\"sub\":\"lisi\",{}", &body[1..])), "TB-IDN-0002"),
        ("15 acr twice", text(&header, &format!("{{\"acr\":\"urn:tongban:acr:4\",{}", &body[1..])), "TB-IDN-0002"),
        (
            "16 deep nesting",
            forge.key.sign_text(&header, &format!("{}{}", "[".repeat(3_000), "]".repeat(3_000))).unwrap(),
            "TB-IDN-0002",
        ),
        ("16 claims a list", text(&header, "[1,2,3,4,5]"), "TB-IDN-0002"),
        ("16 JWE", format!("{}.a.b.c.d", B64.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)), "TB-IDN-0002"),
        ("16 compressed", forge.head(json!({"zip": "DEF"})), "TB-IDN-0002"),
    ];
    for (what, change, code) in [
        ("17 expired", json!({"iat": now - 400, "exp": now - 60}), "TB-IDN-0007"),
        ("17 exp missing", json!({"exp": null}), "TB-IDN-0002"),
        ("17 exp a text", json!({"exp": "tomorrow"}), "TB-IDN-0002"),
        ("17 exp a list", json!({"exp": [now + 300]}), "TB-IDN-0002"),
        ("17 nbf ahead", json!({"nbf": now + 300}), "TB-IDN-0008"),
        ("17 nbf a text", json!({"nbf": "now"}), "TB-IDN-0002"),
        ("17 iat ahead", json!({"iat": now + 300, "exp": now + 600}), "TB-IDN-0008"),
        ("18 lives for a day", json!({"exp": now + 86_400}), "TB-IDN-0009"),
        ("19 aud of another gateway", json!({"aud": "gw-419001"}), "TB-IDN-0010"),
        ("19 aud missing", json!({"aud": null}), "TB-IDN-0010"),
        ("19 aud a number", json!({"aud": 1}), "TB-IDN-0010"),
        ("19 aud an object", json!({"aud": {"gw-440305": true}}), "TB-IDN-0010"),
        ("19 aud a near miss", json!({"aud": "gw-440305 "}), "TB-IDN-0010"),
        ("20 iss unknown", json!({"iss": "https://id.example"}), "TB-IDN-0011"),
        ("20 iss a list", json!({"iss": [forge.claims["iss"]]}), "TB-IDN-0011"),
        ("20 iss with a slash", json!({"iss": format!("{}/", forge.claims["iss"].as_str().unwrap())}), "TB-IDN-0011"),
        ("20 iss missing", json!({"iss": null}), "TB-IDN-0011"),
        ("24 act", json!({"act": {"sub": "lisi"}}), "TB-IDN-0020"),
        ("24 act of oneself", json!({"act": {"sub": "zhangsan"}}), "TB-IDN-0020"),
        ("24 act a text", json!({"act": "lisi"}), "TB-IDN-0020"),
        (
            "24 act deep",
            json!({"act": {"sub": "a", "act": {"sub": "b", "act": {"sub": "c", "act": {"sub": "d"}}}}}),
            "TB-IDN-0020",
        ),
        ("28 sub with a line end", json!({"sub": "zhang\r\nX-Admin: 1"}), "TB-IDN-0002"),
        ("28 sub with NUL", json!({"sub": "zhang\u{0}san"}), "TB-IDN-0002"),
        ("28 sub with a direction mark", json!({"sub": "zhang\u{202e}san"}), "TB-IDN-0002"),
        ("28 sub empty", json!({"sub": ""}), "TB-IDN-0002"),
        ("28 kind unknown", json!({"kind": "mayor"}), "TB-IDN-0002"),
        ("34 cnf empty", json!({"cnf": {}}), "TB-IDN-0014"),
        ("34 cnf unknown", json!({"cnf": {"kid": "x"}}), "TB-IDN-0014"),
        ("34 cnf of another certificate", json!({"cnf": {"x5t#S256": B64.encode([9; 32])}}), "TB-IDN-0014"),
    ] {
        rows.push((what, forge.claim(change), code));
    }
    for (what, typ, code) in [
        ("21 an ID token", json!("JWT"), "TB-IDN-0012"),
        ("21 no typ", Value::Null, "TB-IDN-0012"),
        ("21 a DPoP proof", json!("dpop+jwt"), "TB-IDN-0012"),
        ("21 a logout token", json!("logout+jwt"), "TB-IDN-0012"),
        ("21 a paper of delegation", json!("tongban-poa+jwt"), "TB-IDN-0012"),
        ("21 a gateway's word", json!("tongban-assertion+jwt"), "TB-IDN-0012"),
        ("21 typ a number", json!(1), "TB-IDN-0002"),
    ] {
        rows.push((what, forge.head(json!({"typ": typ})), code));
    }
    rows
}

/// Where a token stands: rows 36 to 38; levels and scopes: rows 22 and 23.
async fn carriage(house: &House<'_>, forge: &Forge, portal: &Window) -> Vec<Row> {
    let token = forge.claim(json!({}));
    let none = Headers::new();
    let two = [bearer(&token), bearer(&token)].concat();
    let in_body = Some(("application/x-www-form-urlencoded", format!("access_token={token}").into_bytes()));
    let plan = format!("/v1/items/{ITEM}/plan");
    let mut rows = Vec::new();
    for (what, answer, code) in [
        ("1 no token", portal.get("/v1/cases", &none).await, "TB-IDN-0001"),
        ("1 an empty one", portal.get("/v1/cases", &bearer("")).await, "TB-IDN-0001"),
        ("1 basic", portal.get("/v1/cases", &vec![("authorization", "Basic enM6enM=".into())]).await, "TB-IDN-0001"),
        ("36 in the query", portal.get(&format!("/v1/cases?access_token={token}"), &none).await, "TB-IDN-0001"),
        ("36 in the body", portal.send("POST", &plan, &none, in_body).await, "TB-IDN-0001"),
        (
            "36 in a cookie",
            portal.get("/v1/cases", &vec![("cookie", format!("access_token={token}"))]).await,
            "TB-IDN-0001",
        ),
        (
            "36 in another header",
            portal.get("/v1/cases", &vec![("x-access-token", token.clone())]).await,
            "TB-IDN-0001",
        ),
        (
            "36 in Proxy-Authorization",
            portal.get("/v1/cases", &vec![("proxy-authorization", format!("Bearer {token}"))]).await,
            "TB-IDN-0001",
        ),
        (
            "36 as an identity header",
            portal.get("/v1/cases", &vec![("x-forwarded-user", "zhangsan".into())]).await,
            "TB-IDN-0001",
        ),
        ("37 two headers", portal.get("/v1/cases", &two).await, "TB-IDN-0021"),
        ("37 two in one", portal.get("/v1/cases", &bearer(&format!("{token} {token}"))).await, "TB-IDN-0021"),
        ("37 two with a comma", portal.get("/v1/cases", &bearer(&format!("{token},{token}"))).await, "TB-IDN-0021"),
        (
            "37 two applicants",
            portal
                .get(
                    "/v1/cases",
                    &vec![
                        ("authorization", format!("Bearer {token}")),
                        ("tongban-subject-token", token.clone()),
                        ("tongban-subject-token", token.clone()),
                    ],
                )
                .await,
            "TB-IDN-0021",
        ),
    ] {
        rows.push((what.to_owned(), answer, code));
    }
    // On one connection, the next request has no token of its own.
    assert_eq!(portal.get("/v1/cases", &bearer(&token)).await.status, 200);
    rows.push(("38 second request".into(), portal.get("/v1/cases", &none).await, "TB-IDN-0001"));
    for (what, acr) in [
        ("22 too low", json!("urn:tongban:acr:1")),
        ("22 unknown", json!("urn:tongban:acr:9")),
        ("22 a list", json!(["urn:tongban:acr:3"])),
        ("22 a number", json!(4)),
        ("22 missing", Value::Null),
    ] {
        let low = forge.claim(json!({"acr": acr}));
        let answer = house.federation.file_as(portal, &bearer(&low), "419001", "online").await;
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains("insufficient_user_authentication"), "{what}: {challenge} {}", answer.text());
        assert!(challenge.contains("urn:tongban:acr:3"), "{what}: {challenge}");
        rows.push((what.to_owned(), answer, "TB-POL-0202"));
    }
    let social_security = house.federation.anybody(1);
    for (what, scope) in [
        ("23 another word", json!("passport")),
        ("23 a comma list", json!("file,pass")),
        ("23 capitals", json!("PASS")),
        ("23 none", Value::Null),
    ] {
        // At the gateway whose system it is; its log is another, so the line is looked at by its index alone.
        let other = forge.claim(json!({"scope": scope}));
        let answer = social_security.get("/pass/social-security/status", &bearer(&other)).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{what}: {}", answer.text());
    }
    rows
}

/// In whose hands a token is: rows 29 to 34.
async fn bindings(house: &House<'_>, portal: &Window) -> Vec<Row> {
    let (device, thief) = (Device::new(), Device::new());
    let token = device.token(house, "zhangsan");
    let url = format!("https://{}/v1/cases", portal.authority);
    let now = UnixMillis::now().seconds();
    let ath = B64.encode(Digest::of(token.as_bytes()).0);
    let jwk = Value::Object(device.0.public_jwk().unwrap());
    let proof = |header: Value, claims: Value| {
        let base = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk});
        let body = json!({"htm": "GET", "htu": url, "iat": now, "jti": random_id().unwrap(), "ath": ath});
        device.0.sign_with(&changed(base, header), &changed(body, claims)).unwrap()
    };
    let send = async |proofs: &[String]| {
        let mut headers = vec![("authorization", format!("DPoP {token}"))];
        headers.extend(proofs.iter().map(|proof| ("dpop", proof.clone())));
        portal.get("/v1/cases", &headers).await
    };
    let mut private = jwk.clone();
    private["d"] = json!("AAAA");
    let mut rows = Vec::new();
    rows.push(("29 as a bearer token".to_owned(), portal.get("/v1/cases", &bearer(&token)).await, "TB-IDN-0014"));
    rows.push(("29 without a proof".to_owned(), send(&[]).await, "TB-IDN-0014"));
    let stolen = thief.headers(portal, "GET", "/v1/cases", &token);
    rows.push(("29 under the thief's key".to_owned(), portal.get("/v1/cases", &stolen).await, "TB-IDN-0014"));
    let free =
        portal.get("/v1/cases", &thief.headers(portal, "GET", "/v1/cases", &house.federation.token("lisi"))).await;
    rows.push(("29 an unbound token with a proof".to_owned(), free, "TB-IDN-0014"));
    for (what, header, claims) in [
        ("33 htm", json!({}), json!({"htm": "POST"})),
        ("33 htm in small letters", json!({}), json!({"htm": "get"})),
        ("33 htu of another path", json!({}), json!({"htu": format!("{url}/x")})),
        ("33 htu of another host", json!({}), json!({"htu": "https://gw.example/v1/cases"})),
        ("33 htu missing", json!({}), json!({"htu": null})),
        ("33 ath of another token", json!({}), json!({"ath": B64.encode([0; 32])})),
        ("33 ath missing", json!({}), json!({"ath": null})),
        ("33 iat long ago", json!({}), json!({"iat": now - 300})),
        ("33 iat ahead", json!({}), json!({"iat": now + 300})),
        ("33 iat missing", json!({}), json!({"iat": null})),
        ("33 jti missing", json!({}), json!({"jti": null})),
        ("33 jti overlong", json!({}), json!({"jti": "j".repeat(1_000)})),
        ("33 typ", json!({"typ": "JWT"}), json!({})),
        ("33 alg none", json!({"alg": "none"}), json!({})),
        ("33 alg HMAC", json!({"alg": "HS256"}), json!({})),
        ("33 no key", json!({"jwk": null}), json!({})),
        ("33 the private key inside", json!({"jwk": private}), json!({})),
        ("33 crit", json!({"crit": ["jti"]}), json!({})),
    ] {
        rows.push((what.to_owned(), send(&[proof(header, claims)]).await, "TB-IDN-0015"));
    }
    let two = [proof(json!({}), json!({})), proof(json!({}), json!({}))];
    rows.push(("33 two proofs".to_owned(), send(&two).await, "TB-IDN-0015"));
    let bent = proof(json!({}), json!({}));
    let bent = format!("{}AAAA", &bent[..bent.len() - 4]);
    rows.push(("33 signature".to_owned(), send(&[bent]).await, "TB-IDN-0015"));

    // One proof, thirty at once: one is served.
    let headers = device.headers(portal, "GET", "/v1/cases", &token);
    let mut tasks = Vec::new();
    for _ in 0..30 {
        let (own, headers) = (house.federation.anybody(0), headers.clone());
        tasks.push(tokio::spawn(async move { own.get("/v1/cases", &headers).await }));
    }
    let mut served = 0;
    for task in tasks {
        let answer = task.await.expect("an answer");
        match answer.status {
            200 => served += 1,
            _ => rows.push(("30 one proof at once".to_owned(), answer, "TB-IDN-0017")),
        }
    }
    assert_eq!(served, 1, "one of thirty");
    rows
}

/// Gateway A's word to gateway B: for B alone, about this request, once, within A's own places, under a key of A.
pub async fn words_of_gateways(house: &House<'_>) {
    let home = &house.home;
    let b = house.federation.with(1, &home.join("certs/tls.pem"), &home.join("certs/tls.key"));
    let (path, now) = ("/social-security/status", UnixMillis::now());
    let voice = house.voice();
    let good = |change: Value| {
        let claims = json!({
            "iss": "gw-440305", "aud": "gw-419001", "iat": now.seconds(), "exp": now.seconds() + 60,
            "jti": random_id().unwrap(), "digest": Digest::of(format!("GET {path}").as_bytes()), "place": "440305000000",
            "actor": "C-0001", "actor_kind": "staff", "level": 3, "level_at": now, "terminal": "window:W-440305-01",
        });
        changed(claims, change)
    };
    let word = |typ: &str, change: Value| voice.sign(typ, good(change).as_object().unwrap()).unwrap();
    let ask = async |client: &Window, word: &str| {
        client.get(&format!("/peer/v1/pass{path}"), &vec![("tongban-assertion", word.to_owned())]).await
    };
    const TYP: &str = "tongban-assertion+jwt";
    let fine = word(TYP, json!({}));
    let answer = ask(&b, &fine).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let foreign = SigningKey::generate(Algorithm::ES256).unwrap().named(voice.kid());
    let mut rows = vec![
        ("used twice", ask(&b, &fine).await),
        ("a foreign key", ask(&b, &foreign.sign(TYP, good(json!({})).as_object().unwrap()).unwrap()).await),
        ("another kind of token", ask(&b, &word("at+jwt", json!({}))).await),
        ("no word at all", b.get(&format!("/peer/v1/pass{path}"), &Headers::new()).await),
    ];
    for (what, change) in [
        ("for another gateway", json!({"aud": "gw-440305"})),
        ("in another's name", json!({"iss": "gw-419001"})),
        ("for people outside its divisions", json!({"place": "419001000000"})),
        ("for the whole province", json!({"place": "440000000000"})),
        ("about another request", json!({"digest": Digest::of(b"GET /social-security/pay")})),
        ("over", json!({"iat": now.seconds() - 300, "exp": now.seconds() - 240})),
        ("not yet", json!({"iat": now.seconds() + 300, "exp": now.seconds() + 360})),
        ("for an hour", json!({"exp": now.seconds() + 3_600})),
        ("with a member nobody knows", json!({"admin": true})),
    ] {
        rows.push((what, ask(&b, &word(TYP, change)).await));
    }
    for (what, answer) in rows {
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (401, Some("TB-GW-0201")),
            "{what}: {}",
            answer.text()
        );
        assert!(answer.json["leaf"].is_u64(), "{what} is not on record");
    }
    // A window is no gateway, whatever it holds.
    let window = house.federation.client("W-419001-02", 1);
    let answer = ask(&window, &word(TYP, json!({}))).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("TB-GW-0101")), "{}", answer.text());
}
