//! A second and a third issuer, careless or hostile: whom they may speak for, what their key sets may hold, and what
//! happens when they are asked too often, or do not answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tongban::http::serve::{Connection, Limits, serve};
use tongban::http::tls;
use tongban::identity::issue::{jwks, random_id};
use tongban::upstream::Body;
use tongban::upstream::body::full;
use tongban::upstream::tls::Identity;

use super::attacks::{Row, judged};
use super::federation::peer::changed;
use super::*;

/// How the issuers' server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    Fails,
    Hangs,
    /// The set ends in the middle, as a whole answer.
    Half,
    /// The connection ends in the middle of the set.
    CutOff,
    /// A set of ten megabytes.
    Floods,
    /// The discovery document is another issuer's.
    Another,
}

/// What is said of a token that only its issuer can read.
#[derive(Clone)]
pub struct Spoken {
    pub status: StatusCode,
    pub text: String,
    pub after: Duration,
    pub breaks_off: bool,
}

impl Spoken {
    pub fn text(text: &str) -> Self {
        Self { status: StatusCode::OK, text: text.to_owned(), after: Duration::ZERO, breaks_off: false }
    }
}

/// The first half of a text, and then nothing more.
fn half(text: &str) -> Body {
    let half = bytes::Bytes::from(text[..text.len() / 2].to_owned());
    let frames = [Ok(http_body::Frame::data(half)), Err("broken off".into())];
    http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
}

/// Two issuers at one address, each with its key set and how often that was fetched.
pub struct Issuers {
    pub names: [String; 2],
    keys: [SigningKey; 2],
    sets: Arc<Mutex<[Value; 2]>>,
    mood: Arc<Mutex<Mood>>,
    fetched: Arc<AtomicUsize>,
    spoken: Arc<Mutex<Spoken>>,
    introspections: Arc<AtomicUsize>,
    _stop: watch::Sender<bool>,
}

impl Issuers {
    async fn start(house: &House<'_>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("https://{}", listener.local_addr().expect("an address"));
        let names = ["second", "third"].map(|name| format!("{base}/{name}"));
        let keys =
            ["key-second", "key-third"].map(|kid| SigningKey::generate(Algorithm::ES256).expect("a key").named(kid));
        let own = |n: usize| jwks(&[&keys[n]]).expect("a set");
        let sets = Arc::new(Mutex::new([own(0), own(1)]));
        let (mood, fetched) = (Arc::new(Mutex::new(Mood::Well)), Arc::new(AtomicUsize::new(0)));
        let folder = house.world.federation();
        let identity = Identity::read(&folder.join("idp-tls.pem"), &folder.join("idp-tls.key")).expect("an identity");
        let tls = tls::server(identity, tls::Clients::Anyone).expect("TLS settings");
        let (stop, stopped) = watch::channel(false);
        let (own_names, own_sets, own_mood, own_fetched) = (names.clone(), sets.clone(), mood.clone(), fetched.clone());
        let (spoken, introspections) = (Arc::new(Mutex::new(Spoken::text("{}"))), Arc::new(AtomicUsize::new(0)));
        let (own_spoken, own_introspections) = (spoken.clone(), introspections.clone());
        let handler = move |request: Request<Body>, _: Connection| {
            let path = request.uri().path().to_owned();
            let nth = usize::from(path.starts_with("/third"));
            let mood = *own_mood.lock().expect("whole");
            let is_set = path.ends_with("/jwks");
            let spoken = path.ends_with("/introspect").then(|| {
                own_introspections.fetch_add(1, Ordering::SeqCst);
                own_spoken.lock().expect("whole").clone()
            });
            let mut answer = if is_set {
                own_fetched.fetch_add(usize::from(nth == 0), Ordering::SeqCst);
                own_sets.lock().expect("whole")[nth].to_string()
            } else {
                let named = if mood == Mood::Another { &own_names[1 - nth] } else { &own_names[nth] };
                let at = |place: &str| format!("{}/{place}", own_names[nth]);
                json!({"issuer": named, "jwks_uri": at("jwks"), "introspection_endpoint": at("introspect")}).to_string()
            };
            match mood {
                Mood::Half if is_set => answer.truncate(answer.len() / 2),
                Mood::Floods if is_set => answer.push_str(&" ".repeat(10 << 20)),
                _ => {}
            }
            async move {
                if let Some(spoken) = spoken {
                    tokio::time::sleep(spoken.after).await;
                    let body = if spoken.breaks_off { half(&spoken.text) } else { full(spoken.text) };
                    let mut response = Response::new(body);
                    *response.status_mut() = spoken.status;
                    return response;
                }
                if mood == Mood::Hangs {
                    // Longer than anybody waits.
                    tokio::time::sleep(Duration::from_secs(120)).await;
                }
                let body = if mood == Mood::CutOff && is_set { half(&answer) } else { full(answer) };
                let mut response = Response::new(body);
                if mood == Mood::Fails {
                    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                }
                response
            }
        };
        tokio::spawn(serve(listener, Some(Arc::new(ArcSwap::new(tls))), Limits::default(), stopped, handler));
        Self { names, keys, sets, mood, fetched, spoken, introspections, _stop: stop }
    }

    /// The federation operator lists them: the second for citizens, found at `place`, the third for staff of Jiyuan.
    fn list(&self, house: &House<'_>, place: &str) {
        let jiyuan = vec!["419001".parse().expect("a place")];
        house.publish(|directory| {
            directory.issuers.retain(|issuer| !self.names.contains(&issuer.issuer));
            let like = directory.issuers[0].clone();
            for (name, population, places) in [(&self.names[0], "citizen", vec![]), (&self.names[1], "staff", jiyuan)] {
                let mut issuer = like.clone();
                issuer.issuer.clone_from(name);
                issuer.discovery = format!("{name}/{place}");
                issuer.algorithms = vec!["ES256".into(), "RS256".into()];
                issuer.populations = vec![population.to_owned()];
                issuer.places = places;
                directory.issuers.push(issuer);
            }
        });
        house.configured("");
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().expect("whole") = mood;
    }

    /// What is said of whatever token comes next.
    pub fn speaks(&self, spoken: Spoken) {
        *self.spoken.lock().expect("whole") = spoken;
    }

    pub fn introspections(&self) -> usize {
        self.introspections.load(Ordering::SeqCst)
    }

    /// A token of one of them, for somebody of the demonstration, with claims changed.
    fn token(&self, house: &House<'_>, nth: usize, user: &str, change: Value) -> String {
        self.signed(&self.keys[nth], &self.claims(house, nth, user, change))
    }

    pub fn claims(&self, house: &House<'_>, nth: usize, user: &str, change: Value) -> Value {
        let good = claims(&token_for(&house.world, user, &Options::default()).expect("a token"));
        let own = json!({"iss": self.names[nth], "jti": random_id().unwrap()});
        changed(changed(good, &own), &change)
    }

    fn signed(&self, key: &SigningKey, claims: &Value) -> String {
        let alg = format!("{:?}", key.algorithm());
        key.sign_with(&json!({"alg": alg, "kid": key.kid(), "typ": "at+jwt"}), claims).expect("signed")
    }
}

/// Asks until the answer is this status, as long as a refresh may take.
async fn until(portal: &Window, token: &str, status: u16) -> Answer {
    let mut answer = portal.get("/v1/cases", &bearer(token)).await;
    for _ in 0..150 {
        if answer.status == status {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = portal.get("/v1/cases", &bearer(token)).await;
    }
    assert_eq!(answer.status, status, "{}", answer.text());
    answer
}

pub async fn all(house: &House<'_>) {
    let issuers = Issuers::start(house).await;
    issuers.list(house, ".well-known/openid-configuration");
    let portal = house.federation.anybody(0);
    until(&portal, &issuers.token(house, 0, "lisi", json!({})), 200).await;
    let mut rows = confused(house, &issuers, &portal).await;
    let good = SigningKey::generate(Algorithm::ES256).expect("a key").named("good");
    rows.extend(key_sets(house, &issuers, &portal, &good).await);
    judged(house, &rows);
    flood(house, &issuers, &portal).await;
    introspected::all(house, &issuers).await;
    away(house, &issuers, &portal, &good).await;
    moved(house, &issuers, &portal, &good).await;
}

/// Issuers that speak in each other's names, for others' people, for others' places.
async fn confused(house: &House<'_>, issuers: &Issuers, portal: &Window) -> Vec<Row> {
    // The same subject at two issuers is two people.
    let zhang = house.federation.token("citizen");
    let filed = house.federation.file_as(portal, &bearer(&zhang), "419001", "online").await;
    let no = filed.json["case"].as_str().unwrap_or_else(|| panic!("{}", filed.text())).to_owned();
    let namesake = issuers.token(house, 0, "lisi", json!({"sub": "zhangsan"}));
    let listed = portal.get("/v1/cases", &bearer(&namesake)).await;
    assert!(listed.status == 200 && !listed.text().contains(&no), "{}", listed.text());
    let read = portal.get(&format!("/v1/cases/{no}"), &bearer(&namesake)).await;
    // Answered like one that is not there; the line has what the rules were asked, and stands in no chain.
    let denied = house.lines("deny").into_iter().find(|line| line["trace"] == read.json["trace"]).expect("a line");
    assert!(denied["dec"]["ask"].is_string() && denied["dec"]["policy"].is_string(), "{denied}");
    assert!(denied["case"].is_null() && read.json.get("rules").is_none(), "{denied}");
    let mut rows: Vec<Row> = vec![("two issuers, one subject: the other's case".into(), read, "TB-EXC-0005")];
    let first = house.world.issuer();
    let window = house.federation.client("window", 0);
    for (what, client, token, code) in [
        (
            "an issuer in another's name, under its own key",
            portal,
            issuers.token(house, 0, "zhangsan", json!({"iss": first})),
            "TB-IDN-0011",
        ),
        (
            "an issuer in another's name, under the other's key number",
            portal,
            {
                let claims = issuers.claims(house, 0, "zhangsan", json!({"iss": first}));
                let header = json!({"alg": "ES256", "kid": "idp-es256", "typ": "at+jwt"});
                issuers.keys[0].sign_with(&header, &claims).unwrap()
            },
            "TB-IDN-0004",
        ),
        (
            "two new issuers, each with the other's key",
            portal,
            issuers.signed(&issuers.keys[1], &issuers.claims(house, 0, "lisi", json!({}))),
            "TB-IDN-0011",
        ),
        ("an issuer of citizens about staff", &window, issuers.token(house, 0, "C-0001", json!({})), "TB-IDN-0011"),
        (
            "an issuer of staff about an auditor",
            &window,
            issuers.token(house, 1, "A-0001", json!({"places": ["419001"], "division": ["419001"]})),
            "TB-IDN-0011",
        ),
        (
            "an issuer of staff about an operator",
            &window,
            issuers.token(house, 1, "C-0002", json!({"kind": "operator"})),
            "TB-IDN-0011",
        ),
        ("an issuer of staff about a citizen", portal, issuers.token(house, 1, "zhangsan", json!({})), "TB-IDN-0011"),
        (
            "an issuer of one place about staff of another",
            &window,
            issuers.token(house, 1, "C-0001", json!({})),
            "TB-IDN-0011",
        ),
        (
            "an issuer of one place about staff of the whole province",
            &window,
            issuers.token(house, 1, "C-0001", json!({"places": ["440000"], "division": ["440000"]})),
            "TB-IDN-0011",
        ),
    ] {
        rows.push((what.to_owned(), client.get("/v1/cases", &bearer(&token)).await, code));
    }
    rows
}

/// Key sets with keys that are none: left out, and the good ones go on.
async fn key_sets(house: &House<'_>, issuers: &Issuers, portal: &Window, good: &SigningKey) -> Vec<Row> {
    let jwk = |key: &SigningKey| Value::Object(key.jwk().expect("a JWK"));
    let fresh = |kid: &str| SigningKey::generate(Algorithm::ES256).unwrap().named(kid);
    let (encrypting, twin_a, twin_b, burnt, bent) =
        (fresh("encrypting"), fresh("twin"), fresh("twin"), fresh("burnt"), fresh("bent"));
    let secret = b"a secret that is in the set";
    let symmetric = json!({"kty": "oct", "kid": "shared", "alg": "HS256", "k": B64.encode(secret)});
    let mut off_curve = jwk(&bent);
    off_curve["y"] = off_curve["x"].clone();
    let mut private = jwk(&burnt);
    private["d"] = json!(B64.encode([7; 32]));
    let weak = json!({"kty": "RSA", "kid": "weak", "alg": "RS256", "e": "AQAB", "n": B64.encode([0xC3; 64])});
    issuers.sets.lock().expect("whole")[0] = json!({"keys": [
        symmetric, weak, changed(jwk(&encrypting), &json!({"use": "enc"})), jwk(&twin_a), jwk(&twin_b), private, off_curve,
        jwk(good),
    ]});
    let claims = |user: &str| issuers.claims(house, 0, user, json!({}));
    // The set is read for the sake of a key that is not known yet; from then on the rest of it is known, too.
    until(portal, &issuers.signed(good, &claims("lisi")), 200).await;
    let hmac = {
        let header = json!({"alg": "HS256", "kid": "shared", "typ": "at+jwt"});
        let input = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims("lisi").to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        format!("{input}.{}", B64.encode(ring::hmac::sign(&key, input.as_bytes())))
    };
    let mut rows: Vec<Row> =
        vec![("a symmetric key in the set".into(), portal.get("/v1/cases", &bearer(&hmac)).await, "TB-IDN-0003")];
    let of_weak = {
        let header = json!({"alg": "RS256", "kid": "weak", "typ": "at+jwt"});
        let signed = good.sign_with(&header, &claims("lisi")).unwrap();
        let (input, _) = signed.rsplit_once('.').unwrap();
        format!("{input}.{}", B64.encode([1; 64]))
    };
    rows.push(("a weak key in the set".into(), portal.get("/v1/cases", &bearer(&of_weak)).await, "TB-IDN-0005"));
    for (what, key) in [
        ("a key for encryption in the set", &encrypting),
        ("a key number given twice, the first", &twin_a),
        ("a key number given twice, the second", &twin_b),
        ("a key whose private half is in the set", &burnt),
        ("a key off its curve", &bent),
    ] {
        let answer = portal.get("/v1/cases", &bearer(&issuers.signed(key, &claims("lisi")))).await;
        rows.push((what.to_owned(), answer, "TB-IDN-0005"));
    }
    let said = fs::read_to_string(house.world.gateway_log(0)).unwrap_or_default();
    for why in ["private or symmetric key", "not a signing key", "kid twice"] {
        assert!(said.contains(why), "the gateway's own log does not say: {why}");
    }
    rows
}

/// Many tokens under keys that nobody has: a few fetches, and everybody else is served.
async fn flood(house: &House<'_>, issuers: &Issuers, portal: &Window) {
    let before = issuers.fetched.load(Ordering::SeqCst);
    let since = std::time::Instant::now();
    let mut tasks = Vec::new();
    for n in 0..300 {
        let claims = issuers.claims(house, 0, "lisi", json!({}));
        let header = json!({"alg": "ES256", "kid": format!("nobody-{n}"), "typ": "at+jwt"});
        let token = issuers.keys[0].sign_with(&header, &claims).unwrap();
        let own = portal.clone();
        tasks.push(tokio::spawn(async move { own.get("/v1/cases", &bearer(&token)).await }));
    }
    let citizen = bearer(&house.federation.token("citizen"));
    assert_eq!(portal.get("/v1/cases", &citizen).await.status, 200, "others are served meanwhile");
    for task in tasks {
        let answer = task.await.expect("an answer");
        assert_eq!((answer.status, &answer.json["code"]), (401, &json!("TB-IDN-0005")), "{}", answer.text());
        assert!(answer.json["leaf"].is_u64(), "{}", answer.text());
    }
    // At most one in five seconds, and one that was due anyway.
    let most = 2 + since.elapsed().as_secs() / 5;
    let fetched = issuers.fetched.load(Ordering::SeqCst) - before;
    assert!(fetched as u64 <= most, "{fetched} fetches for 300 tokens, {most} at most");
}

/// An issuer that fails, hangs, breaks off or tells nonsense, with a new key in its set: keys that are known go on, the new one
/// does not count, and nobody waits for it. When it is well again, it does.
async fn away(house: &House<'_>, issuers: &Issuers, portal: &Window, good: &SigningKey) {
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap().named("not-there");
    let token = |key: &SigningKey| issuers.signed(key, &issuers.claims(house, 0, "lisi", json!({})));
    issuers.is(Mood::Fails);
    issuers.sets.lock().expect("whole")[0] = jwks(&[good, &stranger]).expect("a set");
    let not_fetched = || {
        let said = fs::read_to_string(house.world.gateway_log(0)).unwrap_or_default();
        let of_it = |line: &&str| line.contains("key set not fetched") && line.contains(&issuers.names[0]);
        said.lines().filter(of_it).count()
    };
    for mood in [Mood::Fails, Mood::Hangs, Mood::Half, Mood::CutOff, Mood::Floods, Mood::Another] {
        let before = not_fetched();
        issuers.is(mood);
        // Until it has been asked in this mood, and nothing came of it: of a fetch that began before, and of one after.
        for _ in 0..200 {
            let answer = portal.get("/v1/cases", &bearer(&token(&stranger))).await;
            let told = (answer.status, &answer.json["code"]);
            assert_eq!(told, (401, &json!("TB-IDN-0005")), "{mood:?}: {}", answer.text());
            if not_fetched() >= before + 2 {
                break;
            }
        }
        assert!(not_fetched() >= before + 2, "{mood:?}: it was not asked, or something came of it");
        let known = portal.get("/v1/cases", &bearer(&token(good))).await;
        assert_eq!(known.status, 200, "{mood:?}: a key that is known goes on: {}", known.text());
        let first = bearer(&house.federation.token("citizen"));
        assert_eq!(portal.get("/v1/cases", &first).await.status, 200, "{mood:?}: other issuers' people");
    }
    issuers.is(Mood::Well);
    until(portal, &token(&stranger), 200).await;
}

/// An issuer that the directory finds elsewhere: no key of the old place counts, whether the new one answers or not.
async fn moved(house: &House<'_>, issuers: &Issuers, portal: &Window, old: &SigningKey) {
    let token = |key: &SigningKey| issuers.signed(key, &issuers.claims(house, 0, "lisi", json!({})));
    until(portal, &token(old), 200).await;
    issuers.is(Mood::Fails);
    issuers.list(house, "elsewhere");
    for after in ["at once", "a second later", "two seconds later"] {
        let answer = portal.get("/v1/cases", &bearer(&token(old))).await;
        assert_eq!((answer.status, &answer.json["code"]), (503, &json!("TB-IDN-0022")), "{after}: {}", answer.text());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let new = SigningKey::generate(Algorithm::ES256).unwrap().named("of-the-new-place");
    issuers.sets.lock().expect("whole")[0] = jwks(&[&new]).expect("a set");
    issuers.is(Mood::Well);
    until(portal, &token(&new), 200).await;
    let answer = portal.get("/v1/cases", &bearer(&token(old))).await;
    assert_eq!((answer.status, &answer.json["code"]), (401, &json!("TB-IDN-0005")), "{}", answer.text());
}
