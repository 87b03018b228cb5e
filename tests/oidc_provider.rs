//! The gateway with an identity provider that nobody here wrote: npm's oidc-provider, a certified OpenID provider. It signs
//! people in, rotates its keys, revokes, binds tokens to keys and certificates.

mod federation;
#[path = "oidc_provider/known_as.rs"]
mod known_as;
mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as URL64};
use federation::{Federation, Headers, Window};
use http::{Request, header};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tongban::app::demo::World;
use tongban::federation::{Directory, signed};
use tongban::identity::issue::SigningKey;
use tongban::terms::{Digest, UnixMillis};
use tongban::trust::suite::load_key;
use tongban::upstream::body::{empty, full};
use tongban::upstream::tls::{Identity, certificates};
use tongban::upstream::{Client, ClientTls};

const WAIT: Duration = Duration::from_secs(30);
const SECRET: &str = "a-secret-of-the-tests-only";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-standard-0123456789";

/// The provider's process, and where it answers.
struct Provider {
    process: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Provider {
    /// Installs the provider where it is missing, and starts it.
    fn start(world: &World, gateway: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/oidc-provider");
        let installed = Command::new(script).arg(&folder).status().expect("the script runs");
        assert!(installed.success(), "npm's oidc-provider could not be installed");
        let port = world.port_base + 27;
        let file = |name: &str| world.federation().join(name);
        let own = |name: &str| world.gateway(0).join("certs").join(name);
        let Identity { chain, key } =
            Identity::read(&own("tls.pem"), &own("tls.key")).expect("the gateway's certificate");
        let key = SigningKey::from_pkcs8(Algorithm::ES256, key.secret_der()).expect("its key");
        let jwk = key.jwk().expect("its public half");
        let setup = json!({
            "known": {
                "jwk": jwk, "chain": [STANDARD.encode(&chain[0])], "uri": "urn:tongban:gateway:gw-440305",
                "ca": world.tls_anchors(0),
            },
            "port": port, "cert": file("idp-tls.pem"), "key": file("idp-tls.key"), "gateway": gateway, "secret": SECRET,
            "accounts": {
                "zhangsan": {"kind": "citizen", "name": "张三", "resident_id": "990101199202290010"},
                "lisi": {"kind": "citizen", "name": "李四", "resident_id": "990101198506150020"},
                "C-0001": {"kind": "clerk", "name": "王敏", "org": "W-440305-01", "roles": ["receive", "issue"], "division": "440305"},
            },
        });
        let process = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .arg(setup.to_string())
            .current_dir(&folder)
            .env("NODE_EXTRA_CA_CERTS", world.tls_anchors(0))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut process = process.expect("node runs");
        let mut said = String::new();
        BufReader::new(process.stdout.as_mut().expect("its output")).read_line(&mut said).expect("it says something");
        assert_eq!(said.trim(), "ready");
        Self { process, issuer: format!("https://127.0.0.1:{port}") }
    }
}

/// A browser: follows redirects, keeps cookies by host and port, has a certificate or not.
struct Browser {
    client: Client,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a page answered, and where one ended.
struct Page {
    status: u16,
    url: String,
    headers: http::HeaderMap,
    text: String,
}

impl Page {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// A parameter of the address.
    fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.url.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Browser {
    fn new(world: &World, certificate: Option<&str>) -> Self {
        let mut anchors = certificates(&world.service_anchors()).expect("a CA");
        anchors.extend(certificates(&world.tls_anchors(0)).expect("a CA"));
        let identity = certificate.map(|name| {
            let (cert, key) = world.client(name);
            Identity::read(&cert, &key).expect("an identity")
        });
        Self { client: Client::new(&ClientTls::new(&anchors, identity).expect("TLS")), cookies: BTreeMap::new() }
    }

    fn host(url: &str) -> String {
        url.split('/').nth(2).unwrap_or_default().split('?').next().unwrap_or_default().to_owned()
    }

    /// One request, without following.
    async fn once(&mut self, method: &str, url: &str, headers: &Headers, form: Option<String>) -> Page {
        let jar = self.cookies.entry(Self::host(url)).or_default();
        let cookies = jar.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
        let mut request = Request::builder().method(method).uri(url);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = match form {
            Some(form) => request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(full(form)),
            None => request.body(empty()),
        };
        let response = self.client.fetch(request.expect("a request"), WAIT, 1 << 20).await;
        let response = response.unwrap_or_else(|e| panic!("{method} {url}: {e}"));
        let jar = self.cookies.entry(Self::host(url)).or_default();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().expect("text");
            let (name, value) = text.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            if value.is_empty() || text.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.trim().to_owned(), value.to_owned());
            }
        }
        Page {
            status: response.status().as_u16(),
            url: url.to_owned(),
            headers: response.headers().clone(),
            text: String::from_utf8_lossy(response.body()).into_owned(),
        }
    }

    /// Follows redirects until a page, or an address that begins with `end`.
    async fn go(&mut self, url: &str, end: &str) -> Page {
        let mut url = url.to_owned();
        for _ in 0..12 {
            let page = self.once("GET", &url, &Headers::new(), None).await;
            let Some(location) = page.headers.get(header::LOCATION).and_then(|l| l.to_str().ok()) else { return page };
            url = match location.starts_with('/') {
                true => format!("https://{}{location}", Self::host(&url)),
                false => location.to_owned(),
            };
            if !end.is_empty() && url.starts_with(end) {
                return Page { url, ..page };
            }
        }
        panic!("redirected for ever: {url}");
    }
}

fn escaped(text: &str) -> String {
    tongban::gateway::client_auth::encoded(text)
}

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(n, v)| format!("{n}={}", escaped(v))).collect::<Vec<_>>().join("&")
}

/// One federation whose gateway A knows the provider.
struct House {
    federation: Federation,
    world: World,
    home: PathBuf,
    provider: Provider,
    gateway: String,
}

impl House {
    async fn open() -> Self {
        let federation = Federation::start(6).await;
        let world = World::open(federation.folder.path()).expect("the demonstration's folder");
        let gateway = federation.told["gateways"][0]["api"].as_str().expect("an address").to_owned();
        let provider = Provider::start(&world, &gateway);
        let home = world.gateway(0);
        let house = Self { federation, world, home, provider, gateway };
        house.list_issuer();
        fs::write(house.home.join("provider.secret"), SECRET).expect("written");
        house.as_at_first();
        house
    }

    /// The gateway is known by a secret, under a name for each of its two errands.
    fn as_at_first(&self) {
        let secret = "client_secret_file = \"provider.secret\"";
        self.known_as(("introspector", secret), ("gateway", secret));
    }

    /// Who the gateway is at the provider when it asks about tokens and when it signs people in: a name, and lines that say
    /// how it shows that.
    fn known_as(&self, (reader, reader_lines): (&str, &str), (page, page_lines): (&str, &str)) {
        const MARK: &str = "# known as";
        let issuer = &self.provider.issuer;
        let more = format!(
            "\n{MARK}\n[[introspection]]\nissuer = {issuer:?}\nclient_id = {reader:?}\n{reader_lines}\nbelieved_s = 2\n\
             [sign_in]\nissuer = {issuer:?}\nclient_id = {page:?}\n{page_lines}\nscope = \"openid profile\"\n"
        );
        let file = self.home.join("tongban.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let before = text.split(&format!("\n{MARK}")).next().unwrap_or_default();
        fs::write(&file, format!("{before}{more}")).expect("written");
        let done = tools::tongban(&["reload", "--config", &file.display().to_string()]);
        assert!(done.status.success(), "{}", tools::text(&done));
    }

    /// The federation operator lists the provider: for citizens and staff, everywhere.
    fn list_issuer(&self) {
        let mut directory = tongban::app::demo::directory::read(&self.world, UnixMillis::now()).expect("the directory");
        let mut issuer = directory.issuers[0].clone();
        issuer.issuer = self.provider.issuer.clone();
        issuer.discovery = format!("{}/.well-known/openid-configuration", self.provider.issuer);
        issuer.algorithms = vec!["ES256".into()];
        directory.issuers.push(issuer);
        directory.version += 1;
        let operator = load_key(&self.world.federation().join("operator.key")).expect("the operator's key");
        let input = signed::signing_input(&serde_json::to_vec::<Directory>(&directory).expect("JSON"));
        let signature = operator.sign_jose(input.as_bytes()).expect("signed");
        fs::write(self.world.directory(), signed::assemble(&input, &signature)).expect("written");
    }

    /// Authorization Code with PKCE, as an application of the person's own does it.
    async fn sign_in(&self, browser: &mut Browser, app: &str, user: &str, headers: &Headers) -> Value {
        let issuer = &self.provider.issuer;
        let callback = format!("{}/sign-in/callback", self.gateway);
        let challenge = URL64.encode(Digest::of(VERIFIER.as_bytes()).0);
        let query = form(&[
            ("client_id", app),
            ("response_type", "code"),
            ("redirect_uri", &callback),
            ("scope", "openid profile"),
            ("state", "s"),
            ("nonce", "n"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", user),
        ]);
        let page = browser.go(&format!("{issuer}/auth?{query}"), &callback).await;
        let code = page.query("code").unwrap_or_else(|| panic!("no code: {} {}", page.url, page.text)).to_owned();
        let asked = form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("client_id", app),
            ("code_verifier", VERIFIER),
            ("redirect_uri", &callback),
        ]);
        let page = browser.once("POST", &format!("{issuer}/token"), headers, Some(asked)).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.json()
    }

    async fn token(&self, app: &str, user: &str, certificate: Option<&str>) -> String {
        let mut browser = Browser::new(&self.world, certificate);
        let answer = self.sign_in(&mut browser, app, user, &Headers::new()).await;
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    async fn ask_provider(&self, method: &str, path: &str, form: Option<String>) -> Page {
        let url = format!("{}{path}", self.provider.issuer);
        Browser::new(&self.world, None).once(method, &url, &Headers::new(), form).await
    }

    async fn counts(&self, what: &str) -> u64 {
        self.ask_provider("GET", "/test/counts", None).await.json()[what].as_u64().expect("a number")
    }
}

fn bearer(token: &str) -> Headers {
    vec![("authorization", format!("Bearer {token}"))]
}

/// Asks until the answer is this status; gives its code and how long it took.
async fn until(window: &Window, headers: &Headers, status: u16) -> (String, Duration) {
    let since = Instant::now();
    loop {
        let answer = window.get("/v1/cases", headers).await;
        if answer.status == status {
            return (answer.json["code"].as_str().unwrap_or_default().to_owned(), since.elapsed());
        }
        assert!(since.elapsed() < WAIT, "stays: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_nobody_here_wrote() {
    let house = House::open().await;
    signed_in_and_rotated(&house).await;
    opaque_and_revoked(&house).await;
    bound_to_a_key(&house).await;
    bound_to_a_certificate(&house).await;
    at_a_page(&house).await;
    known_as::in_every_way(&house).await;
    answers_to_nobodys_question(&house).await;
    signed_out_at_the_provider(&house).await;
}

async fn signed_in_and_rotated(house: &House) {
    let portal = house.federation.anybody(0);
    let old = house.token("app", "zhangsan", None).await;
    until(&portal, &bearer(&old), 200).await;
    // A new key: known within seconds of the first token it signed; the old one goes on, also when it has left the set.
    house.ask_provider("POST", "/test/rotate", None).await;
    let new = house.token("app", "zhangsan", None).await;
    let (_, took) = until(&portal, &bearer(&new), 200).await;
    println!("a new key was known after {} ms", took.as_millis());
    assert_eq!(portal.get("/v1/cases", &bearer(&old)).await.status, 200);
    house.ask_provider("POST", "/test/drop", None).await;
    // A flood of keys that nobody has: the provider is asked a few times at most, and others are served.
    let before = house.counts("jwks").await;
    let since = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..60 {
        let head = URL64.encode(json!({"alg": "ES256", "typ": "at+jwt", "kid": format!("nobody-{n}")}).to_string());
        let rest = new.split_once('.').expect("parts").1.to_owned();
        let portal = house.federation.anybody(0);
        tasks.push(tokio::spawn(async move { portal.get("/v1/cases", &bearer(&format!("{head}.{rest}"))).await }));
    }
    for task in tasks {
        let answer = task.await.expect("an answer");
        assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("TB-IDN-0005")), "{}", answer.text());
    }
    let most = 2 + since.elapsed().as_secs() / 5;
    let fetched = house.counts("jwks").await - before;
    assert!(fetched <= most, "{fetched} fetches for sixty unknown keys");
    assert_eq!(portal.get("/v1/cases", &bearer(&old)).await.status, 200, "tokens from before the rotation go on");
    // ID tokens are no access tokens.
    let mut browser = Browser::new(&house.world, None);
    let both = house.sign_in(&mut browser, "app", "zhangsan", &Headers::new()).await;
    let answer = portal.get("/v1/cases", &bearer(both["id_token"].as_str().expect("an ID token"))).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("TB-IDN-0012")), "{}", answer.text());
}

async fn opaque_and_revoked(house: &House) {
    let portal = house.federation.anybody(0);
    let token = house.token("opaque-app", "zhangsan", None).await;
    assert!(!token.contains('.'), "an opaque token");
    until(&portal, &bearer(&token), 200).await;
    let before = house.counts("introspection").await;
    let since = Instant::now();
    for _ in 0..40 {
        assert_eq!(portal.get("/v1/cases", &bearer(&token)).await.status, 200);
    }
    let most = 1 + since.elapsed().as_secs() / 2;
    let asked = house.counts("introspection").await - before;
    assert!(asked <= most, "asked {asked} times for forty requests");
    let gone = form(&[("token", &token), ("client_id", "opaque-app")]);
    assert_eq!(house.ask_provider("POST", "/token/revocation", Some(gone)).await.status, 200);
    let (code, took) = until(&portal, &bearer(&token), 401).await;
    assert_eq!(code, "TB-IDN-0013");
    println!("a revocation was honoured after {} ms; the bound is 2 s", took.as_millis());
    let answer = portal.get("/v1/cases", &bearer("nobodys-opaque-token")).await;
    assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("TB-IDN-0013")), "{}", answer.text());
    // Guesses cost the issuer little, and others nothing.
    let known = house.token("opaque-app", "zhangsan", None).await;
    until(&portal, &bearer(&known), 200).await;
    let (before, since, mut refused) = (house.counts("introspection").await, Instant::now(), 0);
    for n in 0..300 {
        let answer = portal.get("/v1/cases", &bearer(&format!("guess-{n}"))).await;
        refused += usize::from((answer.status, answer.json["code"].as_str()) == (429, Some("TB-IDN-0025")));
    }
    let most = 200 + 20 * (1 + since.elapsed().as_secs());
    let asked = house.counts("introspection").await - before;
    assert!(asked <= most && (refused > 0 || most >= 300), "asked {asked} times, {refused} refused, {most} at most");
    assert_eq!(portal.get("/v1/cases", &bearer(&known)).await.status, 200, "a token that was good goes on");
    let odd = portal.get("/v1/cases", &bearer(&"x".repeat(5_000))).await;
    assert_eq!((odd.status, odd.json["code"].as_str()), (401, Some("TB-IDN-0002")), "{}", odd.text());
}

async fn bound_to_a_key(house: &House) {
    let portal = house.federation.anybody(0);
    let (key, other) =
        (SigningKey::generate(Algorithm::ES256).unwrap(), SigningKey::generate(Algorithm::ES256).unwrap());
    let url = format!("{}/token", house.provider.issuer);
    let proof = key.dpop_proof("POST", &url, None, None, UnixMillis::now()).unwrap();
    let mut browser = Browser::new(&house.world, None);
    let answer = house.sign_in(&mut browser, "phone", "lisi", &vec![("dpop", proof)]).await;
    assert_eq!(answer["token_type"], "DPoP");
    let token = answer["access_token"].as_str().expect("a token").to_owned();
    let with = |key: &SigningKey| {
        let url = format!("https://{}/v1/cases", portal.authority);
        let proof = key.dpop_proof("GET", &url, Some(&token), None, UnixMillis::now()).unwrap();
        vec![("authorization", format!("DPoP {token}")), ("dpop", proof)]
    };
    assert_eq!(portal.get("/v1/cases", &with(&key)).await.status, 200);
    for (what, headers) in [("as a bearer token", bearer(&token)), ("under another key", with(&other))] {
        let answer = portal.get("/v1/cases", &headers).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (401, Some("TB-IDN-0014")),
            "{what}: {}",
            answer.text()
        );
    }
}

/// A clerk's token bound to the window's certificate, then exchanged together with a citizen's.
async fn bound_to_a_certificate(house: &House) {
    let window = house.federation.client("W-440305-01", 0);
    let clerk = house.token("desk", "C-0001", Some("W-440305-01")).await;
    let claims: Value = serde_json::from_slice(&URL64.decode(clerk.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert!(claims["cnf"]["x5t#S256"].is_string(), "{claims}");
    assert_eq!(window.get("/v1/cases", &bearer(&clerk)).await.status, 200);
    for other in [house.federation.client("outlet", 0), house.federation.anybody(0)] {
        let answer = other.get("/v1/cases", &bearer(&clerk)).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (401, Some("TB-IDN-0014")), "{}", answer.text());
    }
    let citizen = house.token("opaque-app", "zhangsan", None).await;
    const TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    let asked = form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &citizen),
        ("subject_token_type", TOKEN),
        ("actor_token", &clerk),
        ("actor_token_type", TOKEN),
        ("item", "002009901000"),
        ("present", "true"),
    ]);
    let body = Some(("application/x-www-form-urlencoded", asked.into_bytes()));
    let answer = window.send("POST", "/v1/token", &Headers::new(), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json["access_token"].as_str().expect("a token");
    let filed = house.federation.file(&window, &bearer(token), "419001", None).await;
    assert_eq!(filed.status, 202, "{}", filed.text());
    // The person takes theirs back at the provider: what was made of it ends with it, within the same bound.
    let gone = form(&[("token", &citizen), ("client_id", "opaque-app")]);
    assert_eq!(house.ask_provider("POST", "/token/revocation", Some(gone)).await.status, 200);
    let (code, took) = until(&window, &bearer(token), 401).await;
    assert_eq!(code, "TB-IDN-0013");
    println!("an exchanged token ended {} ms after the opaque one in it; the bound is 2 s", took.as_millis());
    assert!(took < Duration::from_secs(10), "{took:?}: not within five minutes, but at once");
}

/// The code of a refusal's page.
fn code_of(page: &Page) -> &str {
    page.text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map_or("", |(title, _)| title)
}

fn location(page: &Page) -> String {
    page.headers.get(header::LOCATION).and_then(|l| l.to_str().ok()).unwrap_or_default().to_owned()
}

/// A person at a browser: signs in, sees their own cases, signs out. The browser never holds a token.
async fn at_a_page(house: &House) {
    let gateway = &house.gateway;
    let mut browser = Browser::new(&house.world, None);
    let page = browser.go(&format!("{gateway}/sign-in?next=/me&login_hint=lisi"), "").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.url.ends_with("/me") && page.text.contains("李四") && page.text.contains("谁查过我"),
        "{} {}",
        page.url,
        page.text
    );
    assert!(!page.text.contains("990101198506150020") && !page.text.contains("eyJ"), "{}", page.text);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.headers["cache-control"], "no-store");
    let jar = browser.cookies[&Browser::host(gateway)].clone();
    assert_eq!(jar.keys().collect::<Vec<_>>(), ["__Host-tongban"], "{jar:?}");
    assert!(jar["__Host-tongban"].len() >= 40 && !jar["__Host-tongban"].contains('.'));
    // Of another browser's number there is no session.
    let mut stranger = Browser::new(&house.world, None);
    stranger.cookies.entry(Browser::host(gateway)).or_default().insert("__Host-tongban".into(), "A".repeat(44));
    assert_eq!(stranger.once("GET", &format!("{gateway}/me"), &Headers::new(), None).await.status, 303);
    // The session is no credential of the API, and the API's none of the pages.
    let cookie = vec![("cookie", format!("__Host-tongban={}", jar["__Host-tongban"]))];
    assert_eq!(house.federation.anybody(0).get("/v1/cases", &cookie).await.json["code"], "TB-IDN-0001");
    // Signing out takes the page's own key.
    let end = format!("{gateway}/sign-out");
    for key in ["", "AAAAAAAAAAAAAAAAAAAAAA"] {
        let page = browser.once("POST", &end, &Headers::new(), Some(form(&[("key", key)]))).await;
        assert_eq!((page.status, code_of(&page)), (403, "TB-GW-0124"), "{}", page.text);
    }
    let key = page.text.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key");
    let out = browser.once("POST", &end, &Headers::new(), Some(form(&[("key", key)]))).await;
    assert_eq!(out.status, 303);
    assert!(location(&out).starts_with(&format!("{}/session/end?id_token_hint=", house.provider.issuer)));
    browser
        .cookies
        .entry(Browser::host(gateway))
        .or_default()
        .insert("__Host-tongban".into(), jar["__Host-tongban"].clone());
    let after = browser.once("GET", &format!("{gateway}/me"), &Headers::new(), None).await;
    assert_eq!(after.status, 303, "the number is worth nothing any more: {}", after.text);
}

/// What comes back without having been asked, twice, from another issuer or for another browser.
async fn answers_to_nobodys_question(house: &House) {
    let gateway = &house.gateway;
    let begin = async || {
        let mut browser = Browser::new(&house.world, None);
        let begun =
            browser.once("GET", &format!("{gateway}/sign-in?next=//evil.example/"), &Headers::new(), None).await;
        assert_eq!(begun.status, 303, "{}", begun.text);
        let set = begun.headers["set-cookie"].to_str().unwrap().to_owned();
        for part in ["__Host-tongban-signin=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(set.contains(part) && !set.contains("Domain"), "{set}");
        }
        let asked = Page { url: location(&begun), ..begun };
        for (name, want) in [("response_type", "code"), ("code_challenge_method", "S256"), ("client_id", "gateway")] {
            assert_eq!(asked.query(name), Some(want));
        }
        (browser, asked.query("state").expect("a state").to_owned())
    };
    let back = async |browser: &mut Browser, pairs: &[(&str, &str)]| {
        browser.once("GET", &format!("{gateway}/sign-in/callback?{}", form(pairs)), &Headers::new(), None).await
    };
    let issuer = house.provider.issuer.as_str();
    let mut stranger = Browser::new(&house.world, None);
    let (mut browser, state) = begin().await;
    let (mut other, _) = begin().await;
    for (what, page, want) in [
        (
            "another browser",
            back(&mut stranger, &[("code", "c"), ("state", &state), ("iss", issuer)]).await,
            (400, "TB-GW-0121"),
        ),
        (
            "another sign-in of it",
            back(&mut other, &[("code", "c"), ("state", &state), ("iss", issuer)]).await,
            (400, "TB-GW-0121"),
        ),
        ("no state", back(&mut browser, &[("code", "c"), ("iss", issuer)]).await, (400, "TB-GW-0121")),
        (
            "another issuer",
            back(&mut browser, &[("code", "c"), ("state", &state), ("iss", "https://id.example")]).await,
            (400, "TB-GW-0121"),
        ),
        ("no issuer", back(&mut browser, &[("code", "c"), ("state", &state)]).await, (400, "TB-GW-0121")),
        (
            "a code of nobody",
            back(&mut browser, &[("code", "c"), ("state", &state), ("iss", issuer)]).await,
            (403, "TB-GW-0122"),
        ),
        (
            "the answer again",
            back(&mut browser, &[("code", "c"), ("state", &state), ("iss", issuer)]).await,
            (400, "TB-GW-0121"),
        ),
    ] {
        assert_eq!((page.status, code_of(&page)), want, "{what}: {}", page.text);
    }
    let (mut browser, state) = begin().await;
    let page = back(&mut browser, &[("error", "access_denied"), ("state", &state), ("iss", issuer)]).await;
    assert_eq!((page.status, code_of(&page)), (403, "TB-GW-0122"), "{}", page.text);
    // A good sign-in, cut in two: its answer counts once, and leads nowhere but home.
    let (mut browser, _) = begin().await;
    let mut browser_two = Browser::new(&house.world, None);
    let asked = browser
        .once("GET", &format!("{gateway}/sign-in?next=//evil.example/&login_hint=lisi"), &Headers::new(), None)
        .await;
    let answer = browser.go(&location(&asked), &format!("{gateway}/sign-in/callback")).await;
    browser_two.cookies = browser.cookies.clone();
    let first = browser.once("GET", &answer.url, &Headers::new(), None).await;
    assert_eq!((first.status, location(&first).as_str()), (303, "/me"), "{}", first.text);
    let second = browser_two.once("GET", &answer.url, &Headers::new(), None).await;
    assert_eq!((second.status, code_of(&second)), (400, "TB-GW-0121"), "{}", second.text);
}

/// Signing out at the provider ends the session here (back-channel logout), and the tokens of the person.
async fn signed_out_at_the_provider(house: &House) {
    let gateway = &house.gateway;
    let portal = house.federation.anybody(0);
    let token = house.token("app", "zhangsan", None).await;
    until(&portal, &bearer(&token), 200).await;
    let mut browser = Browser::new(&house.world, None);
    let page = browser.go(&format!("{gateway}/me"), "").await;
    assert!(page.text.contains("张三"), "{}", page.text);
    let asked = browser.once("GET", &format!("{}/session/end", house.provider.issuer), &Headers::new(), None).await;
    let xsrf = asked.text.split("name=\"xsrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let xsrf = xsrf.unwrap_or_else(|| panic!("no form: {}", asked.text)).to_owned();
    let confirm = format!("{}/session/end/confirm", house.provider.issuer);
    let done = browser.once("POST", &confirm, &Headers::new(), Some(form(&[("xsrf", &xsrf), ("logout", "yes")]))).await;
    assert!((300..400).contains(&done.status), "{} {}", done.status, done.text);
    let (code, took) = until(&portal, &bearer(&token), 401).await;
    assert_eq!(code, "TB-IDN-0013");
    println!("a sign-out at the provider was known after {} ms", took.as_millis());
    let after = browser.once("GET", &format!("{gateway}/me"), &Headers::new(), None).await;
    assert_eq!(after.status, 303, "{}", after.text);
}
