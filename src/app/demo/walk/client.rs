//! A window's software: mutual TLS, two tokens, multipart, and patience with a gateway that is being started again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::app::demo::World;
use crate::app::demo::idp::GRANT;
use crate::app::demo::world::Door;
use crate::terms::UnixMillis;
use crate::upstream::body::{empty, full};
use crate::upstream::tls::{Identity, certificates};
use crate::upstream::{Client, ClientTls};

const WAIT: Duration = Duration::from_secs(20);
const ANSWER_MAX: usize = 16 << 20;
/// Longest time without an answer of the gateway's own, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);

/// What is asked.
pub struct Asking<'a> {
    pub path: &'a str,
    pub headers: &'a [(&'a str, String)],
    /// Media type and octets.
    pub body: Option<(&'a str, Bytes)>,
}

/// An answer, read.
pub struct Answer {
    pub status: StatusCode,
    pub bytes: Bytes,
    pub json: Value,
}

impl Answer {
    /// The answer if it is a success, else what it says.
    pub fn good(self) -> Result<Self, String> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(format!("{} {} {}", self.status, self.json["code"].as_str().unwrap_or("?"), self.json["reason"]))
    }
}

/// A client of one gateway, with a certificate of its own.
pub struct Window {
    client: Client,
    tls: ClientTls,
    base: String,
}

impl Window {
    pub fn new(world: &World, client: &str, gateway: usize) -> Result<Self, String> {
        let (cert, key) = world.client(client);
        let identity = Identity::read(&cert, &key).map_err(|e| e.to_string())?;
        Self::with(world, Some(identity), gateway)
    }

    /// Without a certificate: anybody.
    pub fn stranger(world: &World, gateway: usize) -> Result<Self, String> {
        Self::with(world, None, gateway)
    }

    fn with(world: &World, identity: Option<Identity>, gateway: usize) -> Result<Self, String> {
        let anchors = certificates(&world.tls_anchors(gateway)).map_err(|e| e.to_string())?;
        let tls = ClientTls::new(&anchors, identity).map_err(|e| e.to_string())?;
        Ok(Self { client: Client::new(&tls), tls, base: world.url(Door::Api(gateway)) })
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks until the gateway itself has answered: one that is down is started again, and what a request meant to do is
    /// done once, however often it is sent.
    async fn send(&self, request: &Asking<'_>) -> Result<Answer, String> {
        let until = Instant::now() + PATIENCE;
        let mut answer = self.once(request).await;
        loop {
            let passing = answer.as_ref().map_or(true, |a| matches!(a.status.as_u16(), 502..=504));
            if !passing || Instant::now() > until {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
            // A client of its own: a breaker would leave the gateway alone long after it is back.
            answer = self.ask(&Client::new(&self.tls), request).await;
        }
    }

    /// Asks once.
    pub async fn once(&self, asking: &Asking<'_>) -> Result<Answer, String> {
        self.ask(&self.client, asking).await
    }

    async fn ask(&self, client: &Client, asking: &Asking<'_>) -> Result<Answer, String> {
        let method = if asking.body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().uri(self.url(asking.path)).method(method);
        for (name, value) in asking.headers {
            request = request.header(*name, value);
        }
        let request = match &asking.body {
            Some((media, bytes)) => request.header(header::CONTENT_TYPE, *media).body(full(bytes.clone())),
            None => request.body(empty()),
        };
        let request = request.map_err(|e| e.to_string())?;
        let response = client.fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
        let json = serde_json::from_slice(response.body()).unwrap_or_default();
        Ok(Answer { status: response.status(), json, bytes: response.into_body() })
    }

    /// A request with headers; a body makes it a POST.
    pub async fn call(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Answer, String> {
        let body = body.map(|(media, bytes)| (media, Bytes::from(bytes)));
        self.send(&Asking { path, headers, body }).await
    }

    /// Files a case: the JSON part and one file a material. `key` makes two filings one.
    pub async fn file(
        &self,
        headers: &[(&str, String)],
        key: &str,
        request: &Value,
        files: &[(&str, &[u8])],
    ) -> Result<Answer, String> {
        const BOUNDARY: &str = "----tongban-demonstration";
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"request\"\r\nContent-Type: application/json\r\n\r\n{request}\r\n"
        )
        .into_bytes();
        for (name, bytes) in files {
            body.extend(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: application/ofd\r\n\r\n").bytes(),
            );
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend(format!("--{BOUNDARY}--\r\n").bytes());
        let headers = [headers, &[("idempotency-key", key.to_owned())]].concat();
        self.call("/v1/cases", &headers, Some((&format!("multipart/form-data; boundary={BOUNDARY}"), body))).await
    }
}

/// A name for one filing, which no other filing has.
pub fn filing_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("demo-{}-{}", UnixMillis::now().0, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Signs in at the identity provider, as an application would.
pub async fn sign_in(world: &World, user: &str) -> Result<String, String> {
    let anchors = certificates(&world.service_anchors()).map_err(|e| e.to_string())?;
    let client = Client::new(&ClientTls::new(&anchors, None).map_err(|e| e.to_string())?);
    let request = Request::post(format!("{}/token", world.url(Door::Idp)))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(full(format!("grant_type={GRANT}&user={user}")))
        .map_err(|e| e.to_string())?;
    let response = client.fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
    let json: Value = serde_json::from_slice(response.body()).map_err(|e| e.to_string())?;
    json["access_token"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {json}"))
}

/// The clerk's token and, for somebody at the counter, the applicant's.
pub fn tokens(clerk: &str, citizen: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("authorization", format!("Bearer {clerk}"))];
    headers.extend(citizen.map(|token| ("tongban-subject-token", token.to_owned())));
    headers
}

/// The filing of the household certificate for somebody whose household is in `place`.
pub fn household(place: &str) -> Value {
    json!({
        "item": "002009901000", "places": {"household": place}, "present": true, "consent": true,
        "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
    })
}
