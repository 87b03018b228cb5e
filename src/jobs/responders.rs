//! Asks responders about the certificates that were met, in the background and at configured addresses only (OCSP).
//!
//! ```text
//!  certificate met, or its answer half way to its end ─▶ responder of its issuer ─▶ in force
//! ```
//! A responder that is away stops nothing: what is known stays until it is stale; then unknown is not valid.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use tokio::sync::watch;

use crate::gateway::certificate_status::CertificateStatus;
use crate::gateway::stopped;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::ocsp::{self, Response};
use crate::upstream::Client;
use crate::upstream::body::full;

/// How often it is looked whether somebody is to be asked about.
const LOOK: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(20);
/// After no answer a responder is asked again after so long, in seconds.
const AGAIN_S: i64 = 60;
/// Largest answer, in octets.
const ANSWER_MAX: usize = 64 << 10;

/// Addresses of responders, each with the certificate of the issuer it answers for.
pub type Sources = Vec<(String, Certificate)>;

/// Keeps answers current.
pub struct Responders {
    sources: Sources,
    client: Client,
    status: Arc<CertificateStatus>,
}

impl Responders {
    pub fn new(sources: Sources, client: Client, status: Arc<CertificateStatus>) -> Self {
        Self { sources, client, status }
    }

    /// Runs until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(LOOK) => {}
                () = self.status.wanted.notified() => {}
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = self.round(UnixMillis::now()) => {}
            }
        }
    }

    /// Asks about all that is due.
    pub async fn round(&self, now: UnixMillis) {
        let due = self.status.known().due(now, AGAIN_S);
        for (certificate, issuer) in due {
            if let Err(error) = self.ask(&certificate, &issuer, now).await {
                tracing::warn!(issuer = issuer.subject_text(), error, "no answer about a certificate");
            }
        }
    }

    async fn ask(&self, certificate: &Certificate, issuer: &Certificate, now: UnixMillis) -> Result<(), String> {
        let responder = self.sources.iter().find(|(_, by)| by == issuer);
        let (url, _) = responder.ok_or("nobody answers for this issuer")?;
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/ocsp-request")
            .body(full(ocsp::request(certificate, issuer)))
            .map_err(|e| e.to_string())?;
        let answer = self.client.fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("HTTP {}", answer.status().as_u16()));
        }
        let response = Response::parse(answer.body()).map_err(|e| e.to_string())?;
        self.status.known().take_answer(certificate, &response, now).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
