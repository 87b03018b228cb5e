//! The parties over real sockets, with a gateway B that only takes notes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::world::{A, B, Door, World};
use super::*;
use crate::terms::{CaseNo, UnixMillis};
use crate::trust::asic::{self, Part};
use crate::trust::suite::{SigningKey, load_key};
use crate::upstream::body::full;
use crate::upstream::tls::{Identity, certificates};
use crate::upstream::{Body, Client, ClientTls};

const WAIT: Duration = Duration::from_secs(10);

/// A client that trusts `anchors` and shows a gateway's TLS certificate.
fn client(world: &World, anchors: &std::path::Path, gateway: Option<usize>) -> Client {
    let identity = gateway.map(|g| {
        let certs = world.gateway(g).join("certs");
        Identity::read(&certs.join("tls.pem"), &certs.join("tls.key")).unwrap()
    });
    Client::new(&ClientTls::new(&certificates(anchors).unwrap(), identity).unwrap())
}

async fn ask(client: &Client, request: Request<Body>) -> Result<(StatusCode, Value), String> {
    let response = client.fetch(request, WAIT, 1 << 20).await.map_err(|e| e.to_string())?;
    let (head, body): (_, Bytes) = response.into_parts();
    Ok((head.status, serde_json::from_slice(&body).unwrap_or_default()))
}

fn get(url: String) -> Request<Body> {
    Request::get(url).body(crate::upstream::body::empty()).unwrap()
}

/// Waits until a server answers.
async fn up(client: &Client, url: &str) -> (StatusCode, Value) {
    for _ in 0..100 {
        match ask(client, get(url.to_owned())).await {
            Ok(answer) => return answer,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    ask(client, get(url.to_owned())).await.unwrap()
}

fn filing(world: &World, case: CaseNo, seq: u64, now: UnixMillis) -> (String, Vec<u8>) {
    let id = format!("{case}/gw-440305/{seq}");
    let message = json!({
        "v": 1, "id": id, "from": "gw-440305", "to": "gw-419001", "at": now, "case": case, "act": "receive",
        "state": "received", "seq": seq, "assertion": "a.b.c",
        "dossier": {
            "item": "002009901000", "item_name": "开具户籍类证明", "guide": "0".repeat(64), "mode": "proxy",
            "scope": "nation", "window": "440305",
            "collector": { "kind": "window", "id": "W-440305-01", "name": "窗口", "clerk": "C-0001" },
            "owner": "419001", "authority": world::POLICE_B, "authority_name": world::POLICE_B_NAME,
            "applicant": { "name": "张三", "code_type": "111", "code": "990101199202290010", "level": 3, "level_at": 0 },
            "received_at": now, "materials": [],
        },
    });
    let certs = world.gateway(A).join("certs");
    let key = load_key(&certs.join("envelope.key")).unwrap();
    let chain = [stamps::certificate(&certs.join("envelope.pem")).unwrap()];
    let bytes = serde_json::to_vec(&message).unwrap();
    let parts = vec![Part::whole("message.json", "application/json", &bytes)];
    (id, asic::seal(Vec::new(), parts, &key, &chain, now).unwrap())
}

fn delivery(world: &World, id: &str, container: Vec<u8>) -> Request<Body> {
    Request::post(format!("{}/cases", world.url(Door::Office)))
        .header("content-type", "application/vnd.etsi.asic-e+zip")
        .header("tongban-message-id", id)
        .body(full(container))
        .unwrap()
}

type Acts = Arc<Mutex<Vec<(String, Value)>>>;

/// Gateway B's place: takes notes of what the office does; its first answer is a 503.
async fn gateway(world: World, acts: Acts, stop: watch::Receiver<bool>) -> Result<(), String> {
    let certs = world.gateway(B).join("certs");
    let clients = world.client_anchors(B);
    let tls = answer::tls(&(certs.join("tls.pem"), certs.join("tls.key")), &[&clients])?;
    answer::run("gateway", world.address(Door::Api(B)), Some(tls), stop, move |request, _| {
        let acts = acts.clone();
        async move {
            let path = request.uri().path().to_owned();
            let Ok(body) = answer::body(request, 1 << 20).await else { return Response::new(full("")) };
            let mut acts = acts.lock().unwrap();
            acts.push((path, serde_json::from_slice(&body).unwrap()));
            let status = if acts.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            answer::answer(status, &json!({}))
        }
    })
    .await
}

fn laid() -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let base = 24_000 + (std::process::id() % 1_000) as u16 * 25;
    let world = lay(folder.path(), base, None).unwrap();
    (folder, world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parties_speak_as_the_gateways_expect() {
    let (_folder, world) = laid();
    let left = half_done(&world);
    let (stopper, stop) = watch::channel(false);
    let (acts, calls) = (Acts::default(), provider::Calls::default());
    let walk = async {
        identity_provider(&world).await;
        register(&world, &calls).await;
        let plain = client(&world, &world.service_anchors(), None);
        let (status, told) = up(&plain, &format!("{}/status", world.url(Door::System))).await;
        assert_eq!((status, told["vouched"].as_bool()), (StatusCode::OK, Some(false)));
        approval_office(&world, &acts, left).await;

        stopper.send(true).unwrap();
    };
    let notes = gateway(world.clone(), acts.clone(), stop.clone());
    let (served, noted, ()) = tokio::join!(start(&world, calls.clone(), stop), notes, walk);
    assert_eq!((served, noted), (Ok(()), Ok(())));

    for file in std::fs::read_dir(world.office().join("cases")).unwrap() {
        let standing: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        assert_eq!(standing["done"], office::PLAN.len(), "a restart would do nothing again");
    }
}

async fn identity_provider(world: &World) {
    let client = client(world, &world.service_anchors(), None);
    let (_, discovery) = up(&client, &format!("{}/.well-known/openid-configuration", world.issuer())).await;
    assert_eq!(discovery["issuer"], world.issuer());
    let (_, jwks) = up(&client, discovery["jwks_uri"].as_str().unwrap()).await;
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2));
    let url = discovery["token_endpoint"].as_str().unwrap();
    let key = load_key(&world.gateway(B).join("certs/assertion.key")).unwrap();
    let proof = tokens::proof(&key, "POST", url, None, UnixMillis::now()).unwrap();
    let grant = idp::GRANT;
    for (form, proof, status, alg) in [
        (format!("grant_type={grant}&user=zhangsan"), None, 200, Some("ES256")),
        (format!("grant_type={grant}&user=C-0001"), None, 200, Some("RS256")),
        (format!("grant_type={grant}&user=zhangsan&audience=gw-440305"), Some(proof.as_str()), 200, Some("ES256")),
        (format!("grant_type={grant}&user=zhangsan"), Some("a.b.c"), 400, None),
        (format!("grant_type={grant}&user=nobody"), None, 400, None),
        ("grant_type=password&user=zhangsan".into(), None, 400, None),
    ] {
        let mut request = Request::post(url).header("content-type", "application/x-www-form-urlencoded");
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        let (got, told) = ask(&client, request.body(full(form.clone())).unwrap()).await.unwrap();
        assert_eq!(got.as_u16(), status, "{form}: {told}");
        let Some(alg) = alg else { continue };
        let token = told["access_token"].as_str().unwrap();
        let (header, claims) = jws::read(token).unwrap();
        assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some(alg), Some("at+jwt")));
        assert_eq!(claims["cnf"]["jkt"].is_string(), proof.is_some(), "{form}");
        assert_eq!(claims["resident_id"].is_string(), alg == "ES256", "{form}");
        verified(world, token, &jwks, &key);
    }
    let (status, directory) = up(&client, &format!("{}/v1/directory", world.url(Door::Directory))).await;
    assert_eq!((status, directory), (StatusCode::OK, Value::Null), "a JWS, not JSON");
}

/// The gateways take the token, under the directory's word about its issuer, from its holder and nobody else.
fn verified(world: &World, token: &str, jwks: &Value, key: &SigningKey) {
    use crate::identity::access::{Presented, check};
    use crate::identity::keys::IssuerKeys;
    use jsonwebtoken::Algorithm::{ES256, RS256};
    let now = UnixMillis::now();
    let (keys, dropped) = IssuerKeys::from_jwks(jwks.to_string().as_bytes(), &[ES256, RS256]).unwrap();
    assert!(dropped.is_empty());
    let book = crate::app::issuers::book(&directory::read(world, now).unwrap(), "gw-440305").unwrap();
    let book = book.with_keys(&world.issuer(), Some(keys));
    let (header, claims) = jws::read(token).unwrap();
    let url = "https://127.0.0.1:1/v1/cases";
    let proof = tokens::proof(key, "POST", url, Some(token), now).unwrap();
    let bound = claims["cnf"]["jkt"].is_string();
    let (scheme, proofs) = if bound { ("DPoP", vec![proof.as_str()]) } else { ("Bearer", vec![]) };
    let presented = Presented { scheme, method: "POST", url, proofs, certificate: None, token_endpoint: false };
    let checked = check(token, &presented, &book, now).unwrap();
    assert_eq!(checked.caller.level(), 3);
    assert_eq!(checked.caller.resident().is_some(), header["alg"] == "ES256");
    assert!(checked.caller.scopes().contains("pass"));
    let later = now.plus_seconds(directory::TOKEN_LIFE_S as i64 + 60);
    assert!(check(token, &presented, &book, later).is_err(), "expired");
    let bare = Presented { scheme: "Bearer", proofs: vec![], ..presented };
    assert_eq!(check(token, &bare, &book, now).is_err(), bound, "a bound token without proof");
}

async fn register(world: &World, calls: &provider::Calls) {
    let url = format!("{}/lookups", world.url(Door::Provider));
    let question = |subject: &str, purpose: &str| {
        let question = json!({ "resource": "DR-HH", "subject": subject, "fields": ["household_address"],
            "purpose": purpose, "basis": "item", "item": "002009901000", "case": null });
        Request::post(&url).body(full(question.to_string())).unwrap()
    };
    let ours = client(world, &world.client_anchors(B), Some(B));
    up(&ours, &format!("{}/calls", world.url(Door::Provider))).await;
    let (_, told) = ask(&ours, question("990101199202290010", "household")).await.unwrap();
    assert_eq!(told["fields"], json!({ "household_address": "济源市五龙口镇示范街1号" }));
    assert_eq!(ask(&ours, question("990101199202290029", "household")).await.unwrap().1["found"], false);
    assert_eq!(ask(&ours, question("990101199202290010", " ")).await.unwrap().0, StatusCode::FORBIDDEN);
    assert_eq!(calls.count(), 3);
    for stranger in [None, Some(A)] {
        let stranger = client(world, &world.client_anchors(B), stranger);
        assert!(ask(&stranger, question("990101199202290010", "household")).await.is_err(), "only gateway B asks");
    }
}

/// A case of which an earlier start of the office had done all but the last act.
fn half_done(world: &World) -> CaseNo {
    let case = CaseNo::new("419001".parse().unwrap(), UnixMillis::now().day(), 10_000).unwrap();
    let standing = json!({ "case": case, "item": "002009901000", "done": 3, "stopped": null });
    let file = world.office().join("cases").join(format!("{case}.json"));
    files::write(&file, standing.to_string().as_bytes(), files::PRIVATE).unwrap();
    case
}

async fn approval_office(world: &World, acts: &Acts, left: CaseNo) {
    let now = UnixMillis::now();
    let ours = client(world, &world.client_anchors(B), Some(B));
    let case = CaseNo::new("419001".parse().unwrap(), now.day(), 10_001).unwrap();
    let (id, container) = filing(world, case, 2, now);
    let mut bent = container.clone();
    let at = bent.windows(6).position(|w| w == "张三".as_bytes()).unwrap();
    bent[at] ^= 1;
    let send = async |id: &str, container: Vec<u8>| ask(&ours, delivery(world, id, container)).await.unwrap();
    up(&ours, &format!("{}/cases", world.url(Door::Office))).await;
    assert_eq!(send(&id, bent).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(send("another", container.clone()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, first) = send(&id, container.clone()).await;
    assert_eq!((status, first["again"].as_bool()), (StatusCode::OK, Some(false)), "{first}");
    let (_, second) = send(&id, container).await;
    assert_eq!((second["again"].as_bool(), &second["receipt"]), (Some(true), &first["receipt"]));
    let (_, other) = filing(world, case, 2, now.plus_seconds(1));
    assert_eq!(send(&id, other).await.0, StatusCode::CONFLICT);

    for _ in 0..200 {
        if acts.lock().unwrap().len() > 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let acts = acts.lock().unwrap().clone();
    let of = |case: CaseNo| {
        let path = format!("/office/v1/cases/{case}/acts");
        let orders = acts.iter().filter(move |(to, _)| *to == path).map(|(_, order)| order);
        orders.map(|o| format!("{} {}", o["act"], o["by"]).replace('"', "")).collect::<Vec<_>>()
    };
    // The first answer was a 503: that act came again.
    assert_eq!(of(left), ["close O-0001", "close O-0001"]);
    assert_eq!(of(case), ["accept O-0001", "begin_review O-0002", "grant O-0003", "close O-0001"]);
    let grant = acts.iter().find(|(_, order)| order["act"] == "grant").map(|(_, order)| order["result"].clone());
    assert_eq!(grant.unwrap()["media"], "application/ofd");
}
