//! The unified identity provider: discovery, keys, and tokens for the people of the demonstration.
//!
//! ```text
//!  GET  /.well-known/openid-configuration
//!  GET  /jwks
//!  POST /token   grant_type=urn:tongban:params:oauth:grant-type:demo & user= [& audience=…]   [DPoP: proof]
//! ```
//! Anybody may sign in as anybody: this stands in for passwords, faces and cards, and for nothing else.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;

use super::answer::{answer, body, not_found, run, tls, typed};
use super::directory::TOKEN_LIFE_S;
use super::files;
use super::people::Person;
use super::tokens::{Keys, Options, check_proof};
use super::world::{Door, World};
use crate::http::api::input::decoded;
use crate::http::serve::Connection;
use crate::terms::UnixMillis;
use crate::upstream::Body;

/// The grant that signs in without a secret.
pub const GRANT: &str = "urn:tongban:params:oauth:grant-type:demo";
/// Largest form in octets.
const FORM_MAX: usize = 16 << 10;

/// Serves until `stop`.
pub async fn start(world: &World, stop: watch::Receiver<bool>) -> Result<(), String> {
    let folder = world.federation();
    let tls = tls(&(folder.join("idp-tls.pem"), folder.join("idp-tls.key")), &[])?;
    let provider = Arc::new(Provider { world: world.clone(), keys: Keys::load(world)? });
    run("identity provider", world.address(Door::Idp), Some(tls), stop, move |request, _: Connection| {
        let provider = provider.clone();
        async move { provider.handle(request).await }
    })
    .await
}

/// Serves the signed directory until `stop`: `GET /v1/directory`.
pub async fn start_directory(world: &World, stop: watch::Receiver<bool>) -> Result<(), String> {
    let folder = world.federation();
    let tls = tls(&(folder.join("directory-tls.pem"), folder.join("directory-tls.key")), &[])?;
    let file = world.directory();
    run("directory", world.address(Door::Directory), Some(tls), stop, move |request, _: Connection| {
        let file = file.clone();
        async move {
            if request.method() != Method::GET || request.uri().path() != "/v1/directory" {
                return not_found();
            }
            match tokio::task::spawn_blocking(move || files::read(&file)).await {
                Ok(Ok(Some(bytes))) => typed(StatusCode::OK, "application/jose", bytes),
                _ => not_found(),
            }
        }
    })
    .await
}

struct Provider {
    world: World,
    keys: Keys,
}

impl Provider {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => self.discovery(),
            (&Method::GET, "/jwks") => match self.keys.jwks() {
                Ok(keys) => answer(StatusCode::OK, &keys),
                Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" })),
            },
            (&Method::POST, "/token") => {
                let proofs: Vec<_> = request.headers().get_all("dpop").iter().cloned().collect();
                let form = match body(request, FORM_MAX).await {
                    Ok(form) => form,
                    Err(no) => return no,
                };
                let proof = match proofs.as_slice() {
                    [] => None,
                    [one] => Some(one.to_str().unwrap_or_default()),
                    _ => return refused("invalid_dpop_proof", "more than one DPoP proof"),
                };
                self.token(&form, proof, UnixMillis::now())
            }
            _ => not_found(),
        }
    }

    fn discovery(&self) -> Response<Body> {
        let issuer = self.world.issuer();
        answer(
            StatusCode::OK,
            &json!({
                "issuer": issuer,
                "jwks_uri": format!("{issuer}/jwks"),
                "token_endpoint": format!("{issuer}/token"),
                "grant_types_supported": [GRANT],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256", "RS256"],
                "dpop_signing_alg_values_supported": ["ES256"],
            }),
        )
    }

    /// RFC 6749 §4.5, §5.
    fn token(&self, form: &[u8], proof: Option<&str>, now: UnixMillis) -> Response<Body> {
        let (mut grant, mut user, mut options) = (None, None, Options::default());
        let Some(pairs) = form_pairs(form) else { return refused("invalid_request", "the form cannot be read") };
        for (name, value) in pairs {
            match name.as_str() {
                "grant_type" if grant.is_none() => grant = Some(value),
                "user" if user.is_none() => user = Some(value),
                "audience" => options.audience.push(value),
                "grant_type" | "user" => return refused("invalid_request", "a parameter is there twice"),
                _ => {} // RFC 6749 §3.2: unknown parameters are ignored
            }
        }
        if grant.as_deref() != Some(GRANT) {
            return refused("unsupported_grant_type", GRANT);
        }
        let Some(person) = user.as_deref().and_then(Person::find) else {
            return refused("invalid_grant", "nobody of that name");
        };
        if let Some(proof) = proof {
            match check_proof(proof, &format!("{}/token", self.world.issuer()), now) {
                Ok(jkt) => options.jkt = Some(jkt),
                Err(why) => return refused("invalid_dpop_proof", why),
            }
        }
        let kind = if options.jkt.is_some() { "DPoP" } else { "Bearer" };
        match self.keys.token(&self.world, person, &options, now) {
            Ok(token) => answer(
                StatusCode::OK,
                &json!({ "access_token": token, "token_type": kind, "expires_in": TOKEN_LIFE_S }),
            ),
            Err(error) => {
                tracing::error!(error, "a token could not be signed");
                answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" }))
            }
        }
    }
}

fn refused(error: &str, description: &str) -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": description }))
}

/// `application/x-www-form-urlencoded`; `None` when it is not well formed.
fn form_pairs(form: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(form).ok()?;
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::form_pairs;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let pairs = |text: &str| form_pairs(text.as_bytes());
        let one = |n: &str, v: &str| Some(vec![(n.to_owned(), v.to_owned())]);
        for (text, want) in [
            ("user=%E5%BC%A0%E4%B8%89", one("user", "张三")),
            ("a=b+c%20d", one("a", "b c d")),
            ("a", one("a", "")),
            ("", Some(vec![])),
            ("a=%4", None),
            ("a=%zz", None),
            ("a=%ff", None),
        ] {
            assert_eq!(pairs(text), want, "{text}");
        }
    }
}
