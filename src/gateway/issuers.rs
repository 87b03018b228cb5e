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
use bytes::Bytes;
use http::Response;
use moka::future::Cache;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;

use super::client_auth::{Credentials, Lines};
use super::opaque::{Introspected, Source, Unknown, whose};
use crate::identity::jose::Object;
use crate::identity::{IdentityError, strict};
use crate::terms::{Digest, UnixMillis};
use crate::upstream::{Client, UpstreamError};

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
    #[serde(default)]
    pub mtls_endpoint_aliases: Aliases,
    /// The issuer names itself in its answers to the browser (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Where clients go that are known by the certificate of their connection, where that is elsewhere (RFC 8705 §5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Aliases {
    #[serde(default)]
    pub introspection_endpoint: Option<String>,
    #[serde(default)]
    pub token_endpoint: Option<String>,
}

impl Endpoints {
    /// Where codes become tokens, for a client that is known in this way.
    pub fn token(&self, who: &Credentials) -> Option<&str> {
        let alias = self.mtls_endpoint_aliases.token_endpoint.as_ref().filter(|_| who.by_certificate());
        alias.or(self.token_endpoint.as_ref()).map(String::as_str)
    }

    /// Where opaque tokens are asked about.
    pub fn introspection(&self, who: &Credentials) -> Option<&str> {
        let alias = self.mtls_endpoint_aliases.introspection_endpoint.as_ref().filter(|_| who.by_certificate());
        alias.or(self.introspection_endpoint.as_ref()).map(String::as_str)
    }

    /// Everything that we send something to, or the browser.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let aliases = &self.mtls_endpoint_aliases;
        let optional = [
            &self.introspection_endpoint,
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.end_session_endpoint,
            &aliases.introspection_endpoint,
            &aliases.token_endpoint,
        ];
        optional.into_iter().flatten().chain([&self.jwks_uri]).map(String::as_str)
    }
}

/// What an issuer said of a token: whose it is and its claims, or that it is not active.
type Said = Result<Arc<Object>, IdentityError>;

/// The issuers' services.
pub struct Issuers {
    lines: ArcSwap<Lines>,
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
    /// # Errors
    /// [`UpstreamError::Tls`] for an anchor that is no certificate.
    pub fn new(anchors: Vec<CertificateDer<'static>>) -> Result<Self, UpstreamError> {
        Ok(Self {
            lines: ArcSwap::from_pointee(Lines::new(anchors)?),
            endpoints: ArcSwap::default(),
            answers: Cache::builder().max_capacity(REMEMBERED).expire_after(Believed).build(),
            unknown: Unknown::new(),
        })
    }

    /// Other anchors: every connection is made anew.
    ///
    /// # Errors
    /// [`UpstreamError::Tls`]; the former ones stay.
    pub fn trust(&self, anchors: Vec<CertificateDer<'static>>) -> Result<(), UpstreamError> {
        self.lines.store(Arc::new(Lines::new(anchors)?));
        Ok(())
    }

    /// For whatever is fetched without saying who we are.
    pub fn client(&self) -> Client {
        self.lines.load().plain().clone()
    }

    /// Sends a form to an endpoint of `issuer`, as the client that we are there.
    ///
    /// # Errors
    /// In words, for the operator.
    pub async fn post(
        &self,
        (issuer, endpoint): (&str, &str),
        who: &Credentials,
        form: &[(&str, &str)],
        (wait, max): (Duration, usize),
    ) -> Result<Response<Bytes>, String> {
        let request = who.form(issuer, endpoint, form, UnixMillis::now())?;
        let client = self.lines.load().of(who).map_err(|e| e.to_string())?;
        client.fetch(request, wait, max).await.map_err(|e| e.to_string())
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
        let endpoint = endpoints.get(&one.issuer).and_then(|found| found.introspection(&one.credentials));
        let place = (one.issuer.as_str(), endpoint.ok_or("no introspection endpoint is known")?);
        let form = [("token", token), ("token_type_hint", "access_token")];
        let response = self.post(place, &one.credentials, &form, (WAIT, ANSWER_MAX)).await?;
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
