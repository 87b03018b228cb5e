//! Asks responders about the certificates that were met, in the background and at configured addresses only (OCSP).
//!
//! ```text
//!  certificate met, or its answer half way to its end ─▶ responder of its issuer ─▶ in force ─▶ on disk for the next start
//! ```
//! A responder that is away stops nothing: what is known stays until it is stale; then unknown is not valid.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use tokio::sync::watch;

use crate::gateway::certificate_status::CertificateStatus;
use crate::gateway::stopped;
use crate::terms::UnixMillis;
use crate::trust::answers::Answers;
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
/// Most octets of kept answers read: as many as are ever written.
const KEPT_MAX: u64 = 128 << 20;

/// The file of answers in the folder of lists.
pub fn file(statuses: &Path) -> PathBuf {
    statuses.join("answers")
}

/// What responders had told before the last stop, verified again. What cannot be read is asked anew.
pub fn kept(file: &Path, issuers: &[Certificate], now: UnixMillis) -> Answers {
    let mut answers = Answers::default();
    let read = || {
        let mut octets = Vec::new();
        File::open(file)?.take(KEPT_MAX).read_to_end(&mut octets)?;
        Ok::<_, io::Error>(octets)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(file = %file.display(), %error, "kept answers cannot be read"),
        Ok(octets) => match answers.restore(&octets, issuers, now) {
            Ok(taken) => tracing::debug!(taken, "answers about certificates are known from before"),
            Err(error) => tracing::warn!(file = %file.display(), error, "kept answers cannot be read"),
        },
    }
    answers
}

/// Keeps answers current.
pub struct Responders {
    client: Box<dyn Fn() -> Client + Send + Sync>,
    status: Arc<CertificateStatus>,
    file: PathBuf,
}

impl Responders {
    /// `client` gives the client in force: its anchors come with each version of the directory. `file` is where answers are
    /// kept for the next start, see [`file`].
    pub fn new(
        client: impl Fn() -> Client + Send + Sync + 'static,
        status: Arc<CertificateStatus>,
        file: PathBuf,
    ) -> Self {
        Self { client: Box::new(client), status, file }
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
                () = self.turn(UnixMillis::now()) => {}
            }
        }
    }

    /// A round, cut short when others are to be asked: an answer that is on its way is asked for again, of them.
    async fn turn(&self, now: UnixMillis) {
        tokio::select! {
            () = self.status.replaced.notified() => {}
            () = self.round(now) => {}
        }
    }

    /// Asks about all that is due.
    pub async fn round(&self, now: UnixMillis) {
        let due = self.status.known().due(now, AGAIN_S);
        let mut told = false;
        for (certificate, issuer) in due {
            match self.ask(&certificate, &issuer, now).await {
                Ok(()) => told = true,
                Err(error) => tracing::warn!(issuer = issuer.subject_text(), error, "no answer about a certificate"),
            }
        }
        // In force first: a crash here costs one more question after the start.
        if told && let Err(error) = self.keep() {
            tracing::warn!(file = %self.file.display(), %error, "answers are not kept for the next start");
        }
    }

    fn keep(&self) -> io::Result<()> {
        let octets = self.status.known().to_der();
        std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
        let part = self.file.with_extension("part");
        // Whose certificates were met is nobody's business.
        let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        out.write_all(&octets)?;
        std::fs::rename(&part, &self.file)
    }

    async fn ask(&self, certificate: &Certificate, issuer: &Certificate, now: UnixMillis) -> Result<(), String> {
        let asked = self.status.asked();
        let url = asked.responder(issuer).ok_or("nobody answers for this issuer")?;
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/ocsp-request")
            .body(full(ocsp::request(certificate, issuer)))
            .map_err(|e| e.to_string())?;
        let answer = (self.client)().fetch(request, WAIT, ANSWER_MAX).await.map_err(|e| e.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("HTTP {}", answer.status().as_u16()));
        }
        let response = Response::parse(answer.body()).map_err(|e| e.to_string())?;
        self.status.known().take_answer(certificate, &response, now).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
