//! Issuers as services: where they answer, and what they say of a token that only they can read (RFC 7662).
//!
//! ```text
//!  discovery (in the background) ─▶ Endpoints
//!  opaque token ─▶ whose may it be? ─▶ asked a moment ago? ─▶ not too many unknown ones from there? ─▶ issuer ─▶ claims, or inactive
//!                   the one issuer, or nobody   └─ for `believed_s`, and no longer
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use http::{HeaderValue, Request, header};
use moka::future::Cache;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::opaque::{Introspected, Source, Unknown, whose};
use crate::identity::jose::Object;
use crate::identity::{IdentityError, strict};
use crate::terms::Digest;
use crate::upstream::Client;
use crate::upstream::body::full;

/// Longest wait for an issuer's answer while a person waits for ours.
const WAIT: Duration = Duration::from_secs(3);
/// Largest answer, in octets.
const ANSWER_MAX: usize = 64 << 10;
/// Longest opaque token, in octets.
pub const OPAQUE_MAX: usize = 4_096;
/// Answers remembered, at most.
pub(super) const REMEMBERED: u64 = 20_000;
/// How often an issuer is asked again when it does not answer.
const SILENT: Duration = Duration::from_secs(1);

/// Where an issuer answers, as its discovery document says (OpenID Connect Discovery 1.0, RFC 8414).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Endpoints {
    pub issuer: String,
    pub jwks_uri: String,
    #[serde(default)]
    pub introspection_endpoint: Option<String>,
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    #[serde(default)]
    pub token_endpoint: Option<String>,
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
    /// The issuer names itself in its answers to the browser (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// A client's name and secret at an issuer.
#[derive(Clone)]
pub struct Credentials {
    pub client_id: String,
    pub secret: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.client_id)
    }
}

impl Credentials {
    /// `client_secret_basic` (RFC 6749 §2.3.1): both halves in form encoding.
    pub fn basic(&self) -> Option<HeaderValue> {
        let pair = Zeroizing::new(format!("{}:{}", encoded(&self.client_id), encoded(&self.secret)));
        let mut value = HeaderValue::try_from(format!("Basic {}", B64.encode(pair.as_bytes()))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// `application/x-www-form-urlencoded`.
pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What an issuer said of a token: whose it is and its claims, or that it is not active.
type Said = Result<Arc<Object>, IdentityError>;

/// The issuers' services.
pub struct Issuers {
    pub client: ArcSwap<Client>,
    pub endpoints: ArcSwap<BTreeMap<String, Endpoints>>,
    answers: Cache<Digest, (Said, Duration)>,
    unknown: Unknown,
}

/// Each answer lives as long as it is believed.
struct Believed;

impl moka::Expiry<Digest, (Said, Duration)> for Believed {
    fn expire_after_create(
        &self,
        _: &Digest,
        (_, lives): &(Said, Duration),
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(*lives)
    }
}

impl Issuers {
    pub fn new(client: Client) -> Self {
        Self {
            client: ArcSwap::from_pointee(client),
            endpoints: ArcSwap::default(),
            answers: Cache::builder().max_capacity(REMEMBERED).expire_after(Believed).build(),
            unknown: Unknown::new(),
        }
    }

    /// Claims of an opaque token, from the one issuer in `whom` that may have made it. Equal questions at one time are one
    /// call; an answer is believed for `believed_s`, a no as long, silence for a second.
    ///
    /// # Errors
    /// `token_malformed` for what cannot be a token of any of them, `token_revoked` for one that is not active,
    /// `too_many_unknown` for a caller with many unknown ones, `issuer_silent` when the issuer gave no answer.
    pub async fn introspect(&self, token: &str, whom: &[Introspected], from: &Source<'_>) -> Said {
        let octet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        if token.len() > OPAQUE_MAX || !token.bytes().all(octet) {
            return Err(IdentityError::TokenMalformed("not three parts"));
        }
        let one = whose(token, whom, from).ok_or(IdentityError::TokenMalformed("not three parts"))?;
        // Whose it is depends on who brings it: another issuer's answer is another answer.
        let key = Digest::of(format!("{}\n{token}", one.issuer).as_bytes());
        let asked = async {
            self.unknown.take(&key, from)?;
            let (said, lives) = self.ask(token, one).await;
            if said.is_ok() {
                self.unknown.was_active(key).await;
            }
            Ok((said, lives))
        };
        // A share that is used up is an answer to nobody else's question: it is not remembered.
        self.answers.try_get_with(key, asked).await.map_err(|e: Arc<IdentityError>| (*e).clone())?.0
    }

    async fn ask(&self, token: &str, one: &Introspected) -> (Said, Duration) {
        let believed = Duration::from_secs(u64::from(one.believed_s));
        match self.call(token, one).await {
            Ok(Some(claims)) => (Ok(Arc::new(claims)), believed),
            Ok(None) => (Err(IdentityError::TokenRevoked), believed),
            Err(error) => {
                tracing::warn!(issuer = one.issuer, error, "a token could not be introspected");
                (Err(IdentityError::IssuerSilent { issuer: one.issuer.clone() }), SILENT)
            }
        }
    }

    /// One question (RFC 7662 §2); `None` for a token that is not active.
    async fn call(&self, token: &str, one: &Introspected) -> Result<Option<Object>, String> {
        let endpoints = self.endpoints.load();
        let endpoint = endpoints.get(&one.issuer).and_then(|found| found.introspection_endpoint.as_deref());
        let endpoint = endpoint.ok_or("no introspection endpoint is known")?;
        let basic = one.credentials.basic().ok_or("the client's name or secret cannot stand in a header")?;
        let form = format!("token={}&token_type_hint=access_token", encoded(token));
        let request = Request::post(endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, basic)
            .body(full(form))
            .map_err(|e| e.to_string())?;
        let client = self.client.load_full();
        let response = client.fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
        if !response.status().is_success() {
            return Err(format!("introspection: {}", response.status()));
        }
        let mut claims = strict::object(response.body()).map_err(|_| "the answer is not a plain JSON object")?;
        if claims.remove("active") != Some(true.into()) {
            return Ok(None);
        }
        // An issuer speaks for its own tokens; one that leaves `iss` out means itself.
        match claims.get("iss") {
            None => {
                claims.insert("iss".into(), one.issuer.clone().into());
            }
            Some(iss) if *iss == one.issuer.as_str() => {}
            Some(_) => return Err("the answer is about another issuer's token".into()),
        }
        Ok(Some(claims))
    }
}
