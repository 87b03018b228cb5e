//! Rows of RFC 8725, 9068, 9449, 9700 and 8705 against a running gateway: each is refused with its code, repeats nothing of
//! the token, and stands in the log under that code.

use std::collections::BTreeMap;

use super::*;
use federation::peer::changed;
use tongban::identity::issue::random_id;
use tongban::terms::Digest;

/// The provider's own key and a good citizen's claims: attacks are what a stolen or careless provider could make.
pub struct Forge {
    pub key: SigningKey,
    claims: Value,
}

impl Forge {
    pub fn new(house: &House<'_>) -> Self {
        let text = fs::read(house.world.federation().join("idp-es256.key")).expect("a key");
        let der = &pem::decode(&text).expect("PEM")[0].octets;
        let key = SigningKey::from_pkcs8(Algorithm::ES256, der).expect("P-256").named("idp-es256");
        let claims = claims(&token_for(&house.world, "zhangsan", &Options::default()).expect("a token"));
        Self { key, claims }
    }

    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": "idp-es256", "typ": "at+jwt"})
    }

    /// A good token with members of the header changed; `null` takes one out.
    fn head(&self, change: Value) -> String {
        self.key.sign_with(&changed(self.header(), &change), &self.claims()).expect("signed")
    }

    pub fn claim(&self, change: Value) -> String {
        self.key.sign_with(&self.header(), &changed(self.claims(), &change)).expect("signed")
    }

    /// Claims with a number of their own, issued now.
    pub fn claims(&self) -> Value {
        let now = UnixMillis::now().seconds();
        let fresh = json!({"jti": random_id().unwrap(), "iat": now, "exp": now + 300, "auth_time": now});
        changed(self.claims.clone(), &fresh)
    }
}

/// What stands before the point in a P-256 key (RFC 5480).
const SPKI_P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Order of the group of P-256.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same token with the other signature that is as good: `s` in place of its negative. Whoever has one can make it.
pub fn negated(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').expect("a signature");
    let mut signature = B64.decode(signature).expect("base64url");
    let mut borrow = 0;
    for (n, order) in P256_ORDER.iter().enumerate().rev() {
        let less = i16::from(*order) - i16::from(signature[32 + n]) - borrow;
        borrow = i16::from(less < 0);
        signature[32 + n] = u8::try_from(less.rem_euclid(256)).expect("an octet");
    }
    format!("{input}.{}", B64.encode(signature))
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
    rows.extend(kinds(house, &forge).await);
    rows.extend(an_operator(house, &forge).await);
    // Times may have fractions (RFC 7519 §2).
    let fraction = UnixMillis::now().seconds() as f64 + 200.5;
    for (what, change) in [("as it is", json!({})), ("with a fraction of a second", json!({"exp": fraction}))] {
        let good = portal.get("/v1/cases", &bearer(&forge.claim(change))).await;
        assert_eq!(good.status, 200, "what is not bent is good, {what}: {}", good.text());
    }
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
        let status = matches!(answer.status, 400 | 401 | 403 | 404 | 431);
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

/// What a token says that somebody is, beyond what its issuer may say, or than the desk is for.
async fn kinds(house: &House<'_>, forge: &Forge) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (what, user, client, kind, code) in [
        ("an outlet's employee at a window", "C-0001", "W-440305-01", "outlet", "TB-GW-0104"),
        ("a clerk at an outlet", "E-9001", "bank-440305-01", "clerk", "TB-GW-0104"),
        ("an operator whom the directory lets nobody make", "C-0001", "W-440305-01", "operator", "TB-IDN-0011"),
        ("a machine at a window", "C-0001", "W-440305-01", "system", "TB-IDN-0011"),
    ] {
        let own = claims(&token_for(&house.world, user, &Options::default()).expect("a token"));
        let signed = |claims: &Value| bearer(&forge.key.sign_with(&forge.header(), claims).expect("signed"));
        let client = house.federation.client(client, 0);
        let answer = client.get("/v1/cases", &signed(&own)).await;
        assert_eq!(answer.status, 200, "{what}: as they are: {}", answer.text());
        let fresh = json!({ "kind": kind, "jti": random_id().unwrap() });
        rows.push((what.to_owned(), client.get("/v1/cases", &signed(&changed(own, &fresh))).await, code));
    }
    rows
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
    let with = |name: &str, value: &str| {
        let rest = changed(forge.claims(), &json!({ name: null })).to_string();
        format!("{{\"{name}\":{value},{}", &rest[1..])
    };
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
    // The same key as it stands in files (RFC 5480): algorithm and curve, then the point.
    let point = ["x", "y"].map(|half| B64.decode(jwk[half].as_str().unwrap()).unwrap());
    let spki = [&SPKI_P256[..], &point[0], &point[1]].concat();
    let spki_pem = pem::encode("PUBLIC KEY", &spki);
    let unsigned = |alg: Value| {
        let header = changed(forge.header(), &json!({"alg": alg}));
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
        ("3 HMAC over the key in DER", hmac(&spki), "TB-IDN-0003"),
        ("3 HMAC over the key in PEM", hmac(spki_pem.as_bytes()), "TB-IDN-0003"),
        ("4 HMAC with nothing", hmac(b""), "TB-IDN-0003"),
        ("4 HMAC with what anybody guesses", hmac(b"secret"), "TB-IDN-0003"),
        ("5 another algorithm", forge.head(json!({"alg": "ES384"})), "TB-IDN-0003"),
        ("5 RS256 over an EC key", forge.head(json!({"alg": "RS256"})), "TB-IDN-0003"),
        ("5 alg in small letters", forge.head(json!({"alg": "es256"})), "TB-IDN-0003"),
        ("6 signature stripped", with_signature(""), "TB-IDN-0004"),
        ("6 signature bent in r", bent(3), "TB-IDN-0004"),
        ("6 signature bent in s", bent(40), "TB-IDN-0004"),
        ("6 signature zero", with_signature(&B64.encode([0; 64])), "TB-IDN-0004"),
        (
            "6 signature of the group's order",
            with_signature(&B64.encode([P256_ORDER, P256_ORDER].concat())),
            "TB-IDN-0004",
        ),
        ("6 signature in DER", with_signature(&B64.encode(&der)), "TB-IDN-0004"),
        ("6 signature longer", with_signature(&B64.encode([&raw[..], &[0]].concat())), "TB-IDN-0004"),
        ("7 tail bits of the signature", format!("{}.{}.{}", parts[0], parts[1], spelt(parts[2])), "TB-IDN-0002"),
        ("7 padding", format!("{good}=="), "TB-IDN-0002"),
        ("7 padding of the header", format!("{}=.{}.{}", parts[0], parts[1], parts[2]), "TB-IDN-0002"),
        ("7 letters of plain base64", format!("{}.{}.+/{}", parts[0], parts[1], &parts[2][2..]), "TB-IDN-0002"),
        ("7 octets behind the header", text(&format!("{header}x"), &body), "TB-IDN-0002"),
        ("7 octets behind the claims", text(&header, &format!("{body}{{}}")), "TB-IDN-0002"),
        ("7 a mark before the claims", text(&header, &format!("\u{feff}{body}")), "TB-IDN-0002"),
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
        ("10 kid with a mark that nobody sees", forge.head(json!({"kid": "idp-es256\u{200b}"})), "TB-IDN-0005"),
        ("10 kid in full-width letters", forge.head(json!({"kid": "ｉｄｐ-es256"})), "TB-IDN-0005"),
        ("10 kid in capitals", forge.head(json!({"kid": "IDP-ES256"})), "TB-IDN-0005"),
        ("10 kid with NUL", forge.head(json!({"kid": "idp-es256\u{0}"})), "TB-IDN-0005"),
        ("10 kid empty", forge.head(json!({"kid": ""})), "TB-IDN-0005"),
        ("10 kid a number", forge.head(json!({"kid": 0})), "TB-IDN-0005"),
        ("10 kid of 4 KB", forge.head(json!({"kid": "k".repeat(4_096)})), "TB-IDN-0005"),
        ("10 kid of 8 KB", forge.head(json!({"kid": "k".repeat(8_192)})), "TB-IDN-0005"),
        ("14 crit", forge.head(json!({"crit": ["exp"]})), "TB-IDN-0006"),
        ("14 crit empty", forge.head(json!({"crit": []})), "TB-IDN-0006"),
        ("14 b64", forge.head(json!({"b64": false})), "TB-IDN-0002"),
        ("14 b64 and crit", forge.head(json!({"b64": false, "crit": ["b64"]})), "TB-IDN-0006"),
        ("15 alg twice", text(&format!("{{\"alg\":\"none\",{}", &header[1..]), &body), "TB-IDN-0002"),
        (
            "15 alg twice, once escaped",
            text(&format!("{{\"\\u0061lg\":\"none\",{}", &header[1..]), &body),
            "TB-IDN-0002",
        ),
        (
            "15 sub twice, once escaped",
            text(&header, &format!("{{\"s\\u0075b\":\"lisi\",{}", &body[1..])),
            "TB-IDN-0002",
        ),
        (
            "15 a member twice within a claim",
            text(&header, &format!("{{\"act\":{{\"sub\":\"a\",\"sub\":\"b\"}},{}", &body[1..])),
            "TB-IDN-0002",
        ),
        (
            "15 a member twice within a list within a claim",
            text(&header, &format!("{{\"entitlements\":[[{{\"a\":{{\"b\":1,\"b\":2}}}}]],{}", &body[1..])),
            "TB-IDN-0002",
        ),
        (
            "15 the binding twice, one of them escaped",
            text(&header, &format!("{{\"cnf\":{{\"jkt\":\"a\",\"j\\u006bt\":\"b\"}},{}", &body[1..])),
            "TB-IDN-0002",
        ),
        ("15 sub twice", text(&header, &format!("{{\"sub\":\"lisi\",{}", &body[1..])), "TB-IDN-0002"),
        ("15 acr twice", text(&header, &format!("{{\"acr\":\"urn:tongban:acr:4\",{}", &body[1..])), "TB-IDN-0002"),
        (
            "16 deep nesting",
            forge.key.sign_text(&header, &format!("{}{}", "[".repeat(3_000), "]".repeat(3_000))).unwrap(),
            "TB-IDN-0002",
        ),
        ("16 claims a list", text(&header, "[1,2,3,4,5]"), "TB-IDN-0002"),
        ("16 JWE", format!("{}.a.b.c.d", B64.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)), "TB-IDN-0002"),
        (
            "16 a token within a token",
            text(&changed(forge.header(), &json!({"cty": "JWT"})).to_string(), &format!("\"{good}\"")),
            "TB-IDN-0002",
        ),
        ("16 JWE that says it is signed", format!("{}.a.b.c.d", parts[0]), "TB-IDN-0002"),
        ("16 enc in a signed token", forge.head(json!({"enc": "A256GCM"})), "TB-IDN-0002"),
        ("16 exp beyond every number", text(&header, &with("exp", "1e400")), "TB-IDN-0002"),
        ("16 exp of twenty digits", text(&header, &with("exp", "99999999999999999999")), "TB-IDN-0002"),
        ("16 exp beyond the calendar", text(&header, &with("exp", "9007199254740993")), "TB-IDN-0002"),
        ("16 iat negative", text(&header, &with("iat", "-1")), "TB-IDN-0002"),
        ("16 nbf negative", text(&header, &with("nbf", "-1")), "TB-IDN-0002"),
        ("16 auth_time negative", text(&header, &with("auth_time", "-1.5")), "TB-IDN-0002"),
        ("16 exp a fraction beyond the calendar", text(&header, &with("exp", "9007199254740993.5")), "TB-IDN-0002"),
        ("16 exp as large as numbers are", text(&header, &with("exp", "1e308")), "TB-IDN-0002"),
        ("16 exp a fraction of what is over", text(&header, &with("exp", &format!("{}.9", now - 60))), "TB-IDN-0007"),
        ("16 nbf NaN", text(&header, &with("nbf", "NaN")), "TB-IDN-0002"),
        ("16 17 KB", forge.claim(json!({"pad": "x".repeat(17_000)})), "TB-HTTP-0010"),
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

/// Who runs the gateway, as the directory has it, looks at nobody: refused, on record, and shown to the person.
async fn an_operator(house: &House<'_>, forge: &Forge) -> Vec<Row> {
    let portal = house.federation.anybody(0);
    let citizen = bearer(&house.federation.token("citizen"));
    let filed = house.federation.file_as(&portal, &citizen, "419001", "online").await;
    let case = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    let listed = |operators: bool| {
        house.publish(|directory| {
            let populations = &mut directory.issuers[0].populations;
            populations.retain(|word| word != "operator");
            populations.extend(operators.then(|| "operator".to_owned()));
        });
        house.configured("");
    };
    listed(true);
    let own = claims(&token_for(&house.world, "C-0001", &Options::default()).expect("a token"));
    let change = json!({
        "kind": "operator", "sub": "op-1", "jti": random_id().unwrap(), "acr": "urn:tongban:acr:4", "org": null, "roles": null,
    });
    let operator = bearer(&forge.key.sign_with(&forge.header(), &changed(own, &change)).expect("signed"));
    let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case"}).to_string().into_bytes();
    let rows = vec![
        ("an operator at a case".to_owned(), portal.get(&format!("/v1/cases/{case}"), &operator).await, "TB-EXC-0005"),
        (
            "an operator at shared data".to_owned(),
            portal.send("POST", "/v1/lookups", &operator, Some(("application/json", ask))).await,
            "TB-EXC-0005",
        ),
        ("an operator at a person's view".to_owned(), portal.get("/v1/me/lookups", &operator).await, "TB-GW-0103"),
    ];
    let seen = portal.get("/v1/me/lookups", &citizen).await;
    let tried = seen.json["lookups"].as_array().unwrap_or_else(|| panic!("{}", seen.text())).iter();
    let tried = tried.filter(|line| line["who"]["kind"] == "operator" && line["result"] == "refused");
    assert_eq!(tried.filter(|line| line["what"] == "case").count(), 2, "{}", seen.json);
    listed(false);
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
        // With somebody's number in it and nothing behind it, such a token reads nothing either.
        for path in ["/v1/cases", "/v1/me/lookups"] {
            let answer = portal.get(path, &bearer(&low)).await;
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("insufficient_user_authentication"), "{what}, {path}: {}", answer.text());
            rows.push((format!("{what}, {path}"), answer, "TB-POL-0202"));
        }
        // Nor is who only states a number the holder of a licence under it.
        let licence = Some(("application/octet-stream", house.federation.licence()));
        let answer = portal.send("POST", "/v1/verify?purpose=own", &bearer(&low), licence).await;
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains("insufficient_user_authentication"), "{what}: {}", answer.text());
        rows.push((format!("{what}, verifying"), answer, "TB-POL-0202"));
    }
    // At the gateway whose system it is; its line is in that gateway's log.
    let social_security = house.federation.anybody(1);
    for (what, scope) in [
        ("another word", json!("passport")),
        ("a part of the word", json!("pas")),
        ("a comma list", json!("file,pass")),
        ("capitals", json!("PASS")),
        ("a list", json!(["pass"])),
        ("none", Value::Null),
    ] {
        let other = forge.claim(json!({"scope": scope}));
        let answer = social_security.get("/pass/social-security/status", &bearer(&other)).await;
        let told = (answer.status, answer.json["code"].as_str().unwrap_or_default().to_owned());
        let want = if scope.is_array() { (401, "TB-IDN-0002") } else { (403, "TB-POL-0602") };
        assert_eq!((told.0, told.1.as_str()), want, "23 {what}: {}", answer.text());
        let lines = house.lines_of("gw-419001", "deny");
        let line = lines.iter().find(|line| line["trace"] == answer.json["trace"]);
        assert_eq!(line.map(|line| &line["dec"]["reason"]), Some(&json!(told.1)), "23 {what} is not on record");
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
        device.0.sign_with(&changed(base, &header), &changed(body, &claims)).unwrap()
    };
    let send = async |proofs: &[String]| {
        let mut headers = vec![("authorization", format!("DPoP {token}"))];
        headers.extend(proofs.iter().map(|proof| ("dpop", proof.clone())));
        portal.get("/v1/cases", &headers).await
    };
    let mut private = jwk.clone();
    private["d"] = json!("AAAA");
    let mut off_curve = jwk.clone();
    off_curve["y"] = off_curve["x"].clone();
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
        ("33 htm with a space", json!({}), json!({"htm": "GET "})),
        ("33 htu without TLS", json!({}), json!({"htu": url.replace("https:", "http:")})),
        ("33 htu with a slash more", json!({}), json!({"htu": format!("{url}/")})),
        ("33 htu with dots that lead elsewhere", json!({}), json!({"htu": url.replace("/v1/", "/v1/../v1/x/")})),
        ("33 htu in capitals", json!({}), json!({"htu": url.replace("/v1/cases", "/V1/CASES")})),
        ("33 htu with an escaped slash", json!({}), json!({"htu": url.replace("/v1/cases", "/v1%2Fcases")})),
        ("33 htu with a user", json!({}), json!({"htu": url.replace("https://", "https://root@")})),
        ("33 htu without a port", json!({}), json!({"htu": "https://127.0.0.1/v1/cases"})),
        ("33 htu a path", json!({}), json!({"htu": "/v1/cases"})),
        ("33 htu a list", json!({}), json!({"htu": [url]})),
        ("33 ath a list", json!({}), json!({"ath": [ath]})),
        ("33 ath in hexadecimal", json!({}), json!({"ath": Digest::of(token.as_bytes()).to_string()})),
        ("33 ath padded", json!({}), json!({"ath": format!("{ath}=")})),
        ("33 iat a text", json!({}), json!({"iat": now.to_string()})),
        ("33 iat in milliseconds", json!({}), json!({"iat": now * 1_000})),
        ("33 iat far ahead", json!({}), json!({"iat": now + 31_536_000})),
        ("33 jti empty", json!({}), json!({"jti": ""})),
        ("33 jti a number", json!({}), json!({"jti": 1})),
        ("33 a symmetric key", json!({"jwk": {"kty": "oct", "k": "AAAA"}}), json!({})),
        ("33 RSA of 1,024 bits", json!({"jwk": {"kty": "RSA", "e": "AQAB", "n": B64.encode([0xC3; 128])}}), json!({})),
        (
            "33 RSA that says RS256",
            json!({"alg": "RS256", "jwk": {"kty": "RSA", "e": "AQAB", "n": B64.encode([0xC3; 256])}}),
            json!({}),
        ),
        (
            "33 a key of another curve",
            json!({"jwk": {"kty": "EC", "crv": "secp256k1", "x": jwk["x"], "y": jwk["y"]}}),
            json!({}),
        ),
        ("33 another algorithm", json!({"alg": "ES384"}), json!({})),
        ("33 a key that is a text", json!({"jwk": jwk.to_string()}), json!({})),
        ("33 an address of a key", json!({"jku": "https://127.0.0.1:1/jwks"}), json!({})),
        ("33 b64", json!({"b64": false}), json!({})),
        ("33 zip", json!({"zip": "DEF"}), json!({})),
        ("33 typ of an access token", json!({"typ": "at+jwt"}), json!({})),
        ("33 no typ", json!({"typ": null}), json!({})),
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
    rows.push(("33 the token for a proof".to_owned(), send(std::slice::from_ref(&token)).await, "TB-IDN-0015"));
    let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}).to_string();
    let twice = format!(
        "{{\"htm\":\"POST\",\"htm\":\"GET\",\"htu\":\"{url}\",\"iat\":{now},\"jti\":\"twice\",\"ath\":\"{ath}\"}}"
    );
    let twice = device.0.sign_text(&header, &twice).unwrap();
    // Another key than the token names, whatever else it is.
    let bent = proof(json!({"jwk": off_curve}), json!({}));
    rows.push(("33 a key off its curve".to_owned(), send(&[bent]).await, "TB-IDN-0014"));
    rows.push(("33 htm twice".to_owned(), send(&[twice]).await, "TB-IDN-0015"));
    // Another spelling of the same address is no attack (RFC 9449 §4.3, RFC 3986 §6.2).
    for same in [url.replace("https", "HTTPS"), format!("{url}?q=1#f"), url.replace("/cases", "/%63ases")] {
        let answer = send(&[proof(json!({}), json!({"htu": same}))]).await;
        assert_eq!(answer.status, 200, "{same}: {}", answer.text());
    }
    // A number counts once, for whatever it was used; also when hundreds of others came in between.
    let first = proof(json!({}), json!({"jti": "flooded-0"}));
    assert_eq!(send(std::slice::from_ref(&first)).await.status, 200);
    let plan = format!("/v1/items/{ITEM}/plan");
    let elsewhere = json!({"jti": "flooded-0", "htm": "POST", "htu": format!("https://{}{plan}", portal.authority)});
    let headers = vec![("authorization", format!("DPoP {token}")), ("dpop", proof(json!({}), elsewhere))];
    let answer = portal.send("POST", &plan, &headers, json_body(&json!({}))).await;
    rows.push(("30 one number for two requests".to_owned(), answer, "TB-IDN-0017"));
    for round in 0..20 {
        let more = (0..25).map(|n| {
            let fresh = proof(json!({}), json!({"jti": format!("flooded-{round}-{n}")}));
            let headers = vec![("authorization", format!("DPoP {token}")), ("dpop", fresh)];
            let own = portal.clone();
            tokio::spawn(async move { own.get("/v1/cases", &headers).await.status })
        });
        for task in more.collect::<Vec<_>>() {
            assert_eq!(task.await.expect("an answer"), 200);
        }
    }
    rows.push(("32 the first again, after five hundred others".to_owned(), send(&[first]).await, "TB-IDN-0017"));
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
        changed(claims, &change)
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
        ("for ever", json!({"exp": i64::MAX})),
        ("for longer than numbers go", json!({"iat": -100, "exp": i64::MAX - 10})),
        ("since ever", json!({"iat": i64::MIN})),
        ("at a fraction of a second", json!({"exp": now.seconds() as f64 + 30.5})),
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
