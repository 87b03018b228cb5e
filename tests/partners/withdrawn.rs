//! Papers that are taken back while a register takes its time: what was agreed to when it was asked is not used any more when
//! it answers.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tongban::app::demo::tokens::Options;
use tongban::app::demo::{World, token_for};
use tongban::identity::issue::SigningKey;
use tongban::terms::UnixMillis;

use super::federation::peer::Closed;
use super::federation::{Answer, Federation, Headers, Window};
use super::provider::{Mood, Provider};
use super::{Operator, code};

const POLICE_B: &str = "11419001DT00001826";
/// A register answers after two seconds; by then the paper has been gone for more than one.
const MEANWHILE: Duration = Duration::from_millis(700);

struct Person<'f> {
    federation: &'f Federation,
}

impl Person<'_> {
    fn headers(&self) -> Headers {
        vec![("authorization", format!("Bearer {}", self.federation.token("citizen")))]
    }

    async fn gives(&self, gateway: usize, draft: &Value) -> (String, String) {
        let body = Some(("application/json", draft.to_string().into_bytes()));
        let given = self.federation.anybody(gateway).send("POST", "/v1/papers", &self.headers(), body).await;
        assert_eq!(given.status, 200, "{}", given.text());
        let text = |name: &str| given.json[name].as_str().expect("a text").to_owned();
        (text("id"), text("paper"))
    }

    async fn takes_back(&self, gateway: usize, id: &str) {
        tokio::time::sleep(MEANWHILE).await;
        let path = format!("/v1/papers/{id}/revoke");
        let done = self.federation.anybody(gateway).send("POST", &path, &self.headers(), None).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
}

/// A desk with its clerk's token and the citizen's.
fn desk(federation: &Federation, gateway: usize) -> (Window, Headers) {
    let (window, clerk) = [("W-440305-01", "C-0001"), ("W-419001-02", "C-0002")][gateway];
    let headers = vec![
        ("authorization", format!("Bearer {}", federation.token(clerk))),
        ("tongban-subject-token", federation.token("citizen")),
    ];
    (federation.client(window, gateway), headers)
}

pub async fn in_mid_request(federation: &Federation) {
    let (here, there) = (Operator::new(federation), Operator::at(federation, 1));
    let theirs = there.read("tongban.toml");
    let provider = Provider::start();
    there.write("tongban.toml", &Provider::in_place_of("household-register", &theirs, &provider.url));
    there.reload();
    let closed = Closed::new(federation);
    let person = Person { federation };
    for (registrar, at, once) in
        [(1, 1, false), (1, 1, true), (0, 1, false), (0, 0, false), (1, 0, false), (1, 0, true)]
    {
        provider.is(Mood::Well);
        let (window, both) = desk(federation, at);
        let filed = federation.file(&window, &both, "419001", None).await;
        assert_eq!(filed.status, 202, "{}", filed.text());
        let draft = json!({
            "kind": "consent", "to": POLICE_B, "resources": ["DR-HH"], "purpose": "case", "case": filed.json["case"],
            "once": once,
        });
        let what = format!("registered at {registrar}, asked at {at}, for one use: {once}");
        for taken_back in [true, false] {
            let (id, paper) = person.gives(registrar, &draft).await;
            let ask = json!({
                "resource": "DR-HH", "case": filed.json["case"], "purpose": "case", "consent_paper": paper,
            });
            // What is known already is forgotten: the register has to be asked.
            here.reload();
            there.reload();
            provider.is(Mood::Slow);
            let calls = provider.asked_about("DR-HH");
            let asked = async {
                let body = Some(("application/json", ask.to_string().into_bytes()));
                window.send("POST", "/v1/lookups", &both, body).await
            };
            let meanwhile = async {
                if taken_back {
                    person.takes_back(registrar, &id).await;
                }
            };
            let (answer, ()) = tokio::join!(asked, meanwhile);
            assert_eq!(provider.asked_about("DR-HH"), calls + 1, "{what}: the register was asked");
            let want = if taken_back { (403, "TB-IDN-0104") } else { (200, "") };
            assert_eq!(code(&answer), want, "{what}, taken back: {taken_back}: {}", answer.text());
            assert_eq!(answer.json["fields"].is_object(), !taken_back, "{what}: {}", answer.text());
        }
    }
    // What was given under one paper lies in the cache for the next; not any more once either was taken back.
    provider.is(Mood::Well);
    let (window, both) = desk(federation, 0);
    let filed = federation.file(&window, &both, "419001", None).await;
    let draft = json!({"kind": "consent", "to": POLICE_B, "resources": ["DR-HH"], "purpose": "case"});
    let (_, stays) = person.gives(0, &draft).await;
    let (goes_id, goes) = person.gives(0, &draft).await;
    here.reload();
    let look = async |paper: &str| {
        let ask = json!({"resource": "DR-HH", "case": filed.json["case"], "purpose": "case", "consent_paper": paper});
        let answer =
            window.send("POST", "/v1/lookups", &both, Some(("application/json", ask.to_string().into_bytes()))).await;
        assert_eq!(code(&answer), (200, ""), "{}", answer.text());
        answer.json["cached"] == json!(true)
    };
    assert_eq!((look(&goes).await, look(&stays).await), (false, true));
    person.takes_back(0, &goes_id).await;
    assert!(!look(&stays).await, "who took a paper back is asked about anew");
    // An agent's filing: to the owner behind another gateway, which is told what the registrar says, and to one's own.
    for (at, taken_back) in [(0, true), (0, false), (1, true), (1, false)] {
        let agent = Agent::of(federation, at);
        provider.is(Mood::Well);
        let draft = json!({
            "kind": "attorney", "to": agent.name, "items": ["002009901000"], "acts": ["file", "read"],
        });
        let (id, paper) = person.gives(at, &draft).await;
        let token = agent.exchanged(&person, &paper).await;
        here.reload();
        there.reload();
        provider.is(Mood::Slow);
        let headers = agent.headers("POST", "/v1/cases", &token);
        let filed = async { federation.file_as(&agent.portal, &headers, "419001", "proxy").await };
        let meanwhile = async {
            if taken_back {
                person.takes_back(at, &id).await;
            }
        };
        let (answer, ()) = tokio::join!(filed, meanwhile);
        let want = if taken_back { (403, "TB-IDN-0104") } else { (202, "") };
        assert_eq!(code(&answer), want, "filed by an agent at {at}, taken back: {taken_back}: {}", answer.text());
    }
    drop(closed);
    there.write("tongban.toml", &theirs);
    there.reload();
    here.reload();
}

/// Somebody with a power of attorney, at home, with a device of their own.
struct Agent {
    portal: Window,
    device: SigningKey,
    token: String,
    name: String,
}

impl Agent {
    fn of(federation: &Federation, gateway: usize) -> Self {
        let world = World::open(federation.folder.path()).expect("the demonstration's folder");
        let device = SigningKey::generate(Algorithm::ES256).expect("a key");
        let options = Options { jkt: Some(device.jkt().expect("a thumbprint")), ..Options::default() };
        let token = token_for(&world, "lisi", &options).expect("a token");
        Self { portal: federation.anybody(gateway), device, token, name: format!("{}#lisi", world.issuer()) }
    }

    fn proof(&self, method: &str, path: &str, token: Option<&str>) -> String {
        let url = format!("https://{}{path}", self.portal.authority);
        self.device.dpop_proof(method, &url, token, None, UnixMillis::now()).expect("a proof")
    }

    fn headers(&self, method: &str, path: &str, token: &str) -> Headers {
        vec![("authorization", format!("DPoP {token}")), ("dpop", self.proof(method, path, Some(token)))]
    }

    async fn exchanged(&self, person: &Person<'_>, paper: &str) -> String {
        const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
        let subject = person.federation.token("citizen");
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject.as_str()),
            ("subject_token_type", ACCESS),
            ("actor_token", self.token.as_str()),
            ("actor_token_type", ACCESS),
            ("item", "002009901000"),
            ("paper", paper),
        ];
        let form = pairs.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A"))).join("&");
        let headers = vec![("dpop", self.proof("POST", "/v1/token", None))];
        let body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
        let answer: Answer = self.portal.send("POST", "/v1/token", &headers, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json["access_token"].as_str().expect("a token").to_owned()
    }
}
