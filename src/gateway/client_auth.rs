//! Who we are at an issuer, shown in the one way that it knows us by, at every endpoint that asks.
//!
//! ```text
//!  form ─▶ secret in the head · secret in the form · word signed by our key · certificate of the connection ─▶ issuer
//! ```
//! | way | as a client sends it |
//! |---|---|
//! | `client_secret_basic` | both halves in the head (RFC 6749 §2.3.1) |
//! | `client_secret_post` | both halves in the form (RFC 6749 §2.3.1) |
//! | `private_key_jwt` | a word of a minute, for this issuer, once (RFC 7523 §2.2, OpenID Connect Core 1.0 §9) |
//! | `tls_client_auth`, `self_signed_tls_client_auth` | our name in the form, the certificate with the connection (RFC 8705 §2) |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use http::{HeaderValue, Request, header};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use zeroize::Zeroizing;

use crate::identity::issue::{SigningKey, random_id};
use crate::terms::{Digest, UnixMillis};
use crate::upstream::body::full;
use crate::upstream::tls::Identity;
use crate::upstream::{Body, Client, ClientTls, UpstreamError};

/// How long a word for an issuer lives, in seconds: it is sent at once, and clocks differ.
const WORD_S: i64 = 60;
const WORD_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Our name at an issuer, and how we show that we bear it. Shows itself by the name only.
#[derive(Clone)]
pub struct Credentials {
    pub client_id: String,
    pub way: Arc<Way>,
}

/// How a client shows who it is.
pub enum Way {
    Basic(Zeroizing<String>),
    Post(Zeroizing<String>),
    /// Under this `kid`, where the issuer knows our key by one.
    Key(Box<SigningKey>, Option<String>),
    Certificate(ClientCertificate),
}

/// A certificate chain with its key, to be shown on each connection that is made.
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    print: Digest,
}

impl ClientCertificate {
    /// # Errors
    /// [`UpstreamError::Tls`] where the key is not the certificate's.
    pub fn new(identity: Identity) -> Result<Self, UpstreamError> {
        let Identity { chain, key } = identity;
        let print = Digest::of(&chain.iter().flat_map(|one| one.to_vec()).collect::<Vec<_>>());
        let own = Self { chain, key, print };
        own.client(&[]).map(|_| own)
    }

    /// A client with connections of its own: one that was made without the certificate shows nobody.
    fn client(&self, anchors: &[CertificateDer<'static>]) -> Result<Client, UpstreamError> {
        let identity = Identity { chain: self.chain.clone(), key: self.key.clone_key() };
        Ok(Client::new(&ClientTls::new(anchors, Some(identity))?))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.client_id)
    }
}

impl Credentials {
    pub fn new(client_id: &str, way: Way) -> Self {
        Self { client_id: client_id.to_owned(), way: Arc::new(way) }
    }

    /// Known by the certificate of the connection: an issuer may have endpoints of their own for that (RFC 8705 §5).
    pub fn by_certificate(&self) -> bool {
        matches!(*self.way, Way::Certificate(_))
    }

    /// A form for `endpoint` of `issuer`, with what shows who sends it.
    ///
    /// # Errors
    /// In words: a name or secret that cannot stand in a head, a key that does not sign, an address that is none.
    pub fn form(
        &self,
        issuer: &str,
        endpoint: &str,
        pairs: &[(&str, &str)],
        now: UnixMillis,
    ) -> Result<Request<Body>, String> {
        let mut pairs: Vec<(&str, &str)> = pairs.to_vec();
        let mut head = None;
        let word;
        match &*self.way {
            Way::Basic(secret) => head = Some(self.basic(secret)?),
            Way::Post(secret) => pairs.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]),
            Way::Key(key, kid) => {
                word = self.word(issuer, key, kid.as_deref(), now)?;
                pairs.extend([("client_assertion_type", WORD_TYPE), ("client_assertion", &word)]);
            }
            Way::Certificate(_) => pairs.push(("client_id", &self.client_id)),
        }
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mut request = Request::post(endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if let Some(head) = head {
            request = request.header(header::AUTHORIZATION, head);
        }
        request.body(full(pairs.join("&"))).map_err(|e| e.to_string())
    }

    fn basic(&self, secret: &str) -> Result<HeaderValue, String> {
        let pair = Zeroizing::new(format!("{}:{}", encoded(&self.client_id), encoded(secret)));
        let value = HeaderValue::try_from(format!("Basic {}", B64.encode(pair.as_bytes())));
        let mut value = value.map_err(|_| "the client's name or secret cannot stand in a header")?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// For the issuer by its name, whichever endpoint it goes to: a word for an address could be asked for by whoever names
    /// that address as their own.
    fn word(&self, issuer: &str, key: &SigningKey, kid: Option<&str>, now: UnixMillis) -> Result<String, String> {
        let mut head = json!({"alg": format!("{:?}", key.algorithm())});
        if let Some(kid) = kid {
            head["kid"] = kid.into();
        }
        let claims = json!({
            "iss": self.client_id, "sub": self.client_id, "aud": issuer, "jti": random_id().map_err(|e| e.to_string())?,
            "iat": now.seconds(), "exp": now.seconds() + WORD_S,
        });
        key.sign_with(&head, &claims).map_err(|e| e.to_string())
    }
}

/// `application/x-www-form-urlencoded`.
pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Connections to issuers: one pool without a certificate, one for each certificate that we show. All trust the same
/// anchors.
pub struct Lines {
    anchors: Vec<CertificateDer<'static>>,
    plain: Client,
    shown: Mutex<HashMap<Digest, Client>>,
}

impl Lines {
    /// # Errors
    /// [`UpstreamError::Tls`] for an anchor that is no certificate.
    pub fn new(anchors: Vec<CertificateDer<'static>>) -> Result<Self, UpstreamError> {
        let plain = Client::new(&ClientTls::new(&anchors, None)?);
        Ok(Self { anchors, plain, shown: Mutex::default() })
    }

    pub fn plain(&self) -> &Client {
        &self.plain
    }

    /// The client for these credentials.
    ///
    /// # Errors
    /// [`UpstreamError::Tls`].
    pub fn of(&self, who: &Credentials) -> Result<Client, UpstreamError> {
        let Way::Certificate(own) = &*who.way else { return Ok(self.plain.clone()) };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = shown.get(&own.print) {
            return Ok(client.clone());
        }
        let client = own.client(&self.anchors)?;
        shown.insert(own.print, client.clone());
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use jsonwebtoken::Algorithm;

    use super::*;
    use crate::identity::jose;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    async fn sent(way: Way) -> (String, String) {
        let who = Credentials::new("gw 1", way);
        assert_eq!(format!("{who:?}"), "Credentials(gw 1)");
        let form = who.form("https://id", "https://id/token", &[("token", "a b")], NOW).unwrap();
        let (head, body) = form.into_parts();
        let head = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
        (head, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_way_shows_who_we_are_and_no_other() {
        let secret = || Zeroizing::new("s:1".to_owned());
        // RFC 6749 §2.3.1: both halves in form encoding.
        let basic = format!("Basic {}", B64.encode("gw%201:s%3A1"));
        assert_eq!(sent(Way::Basic(secret())).await, (basic, "token=a%20b".into()));
        let post = "token=a%20b&client_id=gw%201&client_secret=s%3A1";
        assert_eq!(sent(Way::Post(secret())).await, (String::new(), post.into()));

        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let mut words = Vec::new();
        for kid in [None, Some("k-1".to_owned())] {
            let own = SigningKey::from_pkcs8(Algorithm::ES256, key.pkcs8()).unwrap();
            let (head, body) = sent(Way::Key(Box::new(own), kid.clone())).await;
            let want = format!("token=a%20b&client_assertion_type={}&client_assertion=", encoded(WORD_TYPE));
            let word = body.strip_prefix(&want).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(head, "");
            let part = |n: usize| jose::decode(word.split('.').nth(n).unwrap()).unwrap();
            let head: serde_json::Value = serde_json::from_slice(&part(0)).unwrap();
            assert_eq!(head.get("kid").and_then(|kid| kid.as_str()), kid.as_deref());
            let mut claims: serde_json::Value = serde_json::from_slice(&part(1)).unwrap();
            words.push(claims["jti"].take());
            let want = json!({
                "iss": "gw 1", "sub": "gw 1", "aud": "https://id", "jti": null, "iat": NOW.seconds(),
                "exp": NOW.seconds() + 60,
            });
            assert_eq!(claims, want);
        }
        assert_ne!(words[0], words[1], "a word for each request");
    }
}
