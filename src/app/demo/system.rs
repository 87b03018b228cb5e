//! An ordinary HTTP system of a department, as there are thousands: `GET /status` tells whom the gateway vouches for.

use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::answer::{answer, not_found, run};
use super::jws;
use super::stamps;
use super::world::{B, Door, World};
use crate::http::serve::Connection;
use crate::terms::UnixMillis;
use crate::trust::suite::PublicKey;
use crate::upstream::Body;

/// The header in which the gateway hands on who asks.
pub const IDENTITY: &str = "tongban-identity";
/// Names under which programs elsewhere take an identity from a header; none may arrive.
const FOREIGN: [&str; 8] = [
    "x-user",
    "x-user-id",
    "x-remote-user",
    "remote-user",
    "x-forwarded-user",
    "x-auth-request-user",
    "x-forwarded-email",
    "x-tongban-identity",
];

/// Serves until `stop`, plain HTTP on the loopback address.
pub async fn start(world: &World, stop: watch::Receiver<bool>) -> Result<(), String> {
    let certificate = stamps::certificate(&world.gateway(B).join("certs/assertion.pem"))?;
    let key = certificate.public_key().map_err(|e| e.to_string())?;
    run("social security", world.address(Door::System), None, stop, move |request, _: Connection| {
        let key = key.clone();
        async move { handle(&request, &key, UnixMillis::now()) }
    })
    .await
}

fn handle(request: &Request<Body>, key: &PublicKey, now: UnixMillis) -> Response<Body> {
    if request.method() != Method::GET || request.uri().path() != "/status" {
        return not_found();
    }
    answer(StatusCode::OK, &status(request.headers(), key, now))
}

fn status(headers: &HeaderMap, key: &PublicKey, now: UnixMillis) -> Value {
    let foreign: Vec<&str> = FOREIGN.into_iter().filter(|name| headers.contains_key(*name)).collect();
    let words: Vec<_> = headers.get_all(IDENTITY).iter().collect();
    let identity = match words.as_slice() {
        [one] => one.to_str().ok().and_then(|token| vouched(token, key, now)),
        _ => None,
    };
    json!({
        "system": "social-security",
        "status": "ok",
        "vouched": identity.is_some(),
        "identity": identity,
        "identity_headers_of_client": foreign,
    })
}

/// The claims of a hand-off token that the gateway signed and that has not run out.
fn vouched(token: &str, key: &PublicKey, now: UnixMillis) -> Option<Value> {
    let (header, claims) = jws::read(token)?;
    let fresh = claims["exp"].as_i64().is_some_and(|exp| now.seconds() < exp);
    (header["alg"] == "ES256" && fresh && jws::verifies(token, key)).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

    #[test]
    fn only_the_gateways_word_counts() {
        let make =
            || SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap()).unwrap();
        let (gateway, other) = (make(), make());
        let now = UnixMillis(1_790_000_000_000);
        let word = |key: &SigningKey, lives_s: i64| {
            jws::token(key, "t", json!({}), &json!({ "sub": "p", "exp": now.seconds() + lives_s })).unwrap()
        };
        let told = |tokens: &[String], client: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            for token in tokens {
                headers.append(IDENTITY, token.parse().unwrap());
            }
            if let Some(name) = client {
                headers.insert(name, "root".parse().unwrap());
            }
            status(&headers, &gateway.public_key(), now)
        };
        let good = told(&[word(&gateway, 60)], None);
        assert_eq!((good["identity"]["sub"].as_str(), good["vouched"].as_bool()), (Some("p"), Some(true)));
        for tokens in [vec![], vec![word(&other, 60)], vec![word(&gateway, 0)], vec![word(&gateway, 60); 2]] {
            assert_eq!(told(&tokens, None)["vouched"], false);
        }
        assert_eq!(told(&[], Some("x-user"))["identity_headers_of_client"], json!(["x-user"]));
    }
}
