//! What responders told the gateway of the certificates under seals (OCSP); lists are in [`super::statuses`].
//!
//! ```text
//!  examination ◀─inform─ Answers ◀─ jobs::responders ◀─ responders of the configuration
//!       └─notice: whose status is needed ─▶ asked in the background; until then unknown is not valid
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::licences::{Profile, Report};
use crate::terms::UnixMillis;
use crate::trust::answers::Answers;
use crate::trust::certificate::Certificate;

/// Who is asked, and how old an answer may be: as the configuration in force says.
#[derive(Debug, Default)]
pub struct Asked {
    /// Addresses of responders.
    pub responders: Vec<String>,
    /// The issuer that each answers for, in the same order.
    pub issuers: Vec<Certificate>,
    /// See [`Profile::status_max_age_s`].
    pub max_age_s: Option<i64>,
}

impl Asked {
    /// Responders, each with the certificate of the issuer it answers for.
    pub fn new(sources: Vec<(String, Certificate)>, max_age_s: Option<i64>) -> Self {
        let (responders, issuers) = sources.into_iter().unzip();
        Self { responders, issuers, max_age_s }
    }

    /// The address that answers for an issuer.
    pub fn responder(&self, issuer: &Certificate) -> Option<&str> {
        let at = self.issuers.iter().position(|by| by == issuer)?;
        self.responders.get(at).map(String::as_str)
    }
}

/// Held for moments only.
#[derive(Debug, Default)]
pub struct CertificateStatus {
    answers: Mutex<Answers>,
    asked: ArcSwap<Asked>,
    /// A certificate's status is needed that nobody has told yet.
    pub wanted: Notify,
    /// Others are asked from now on: whoever waits for an answer of the old ones waits in vain.
    pub replaced: Notify,
}

impl CertificateStatus {
    /// `known` is what was known at the last stop.
    pub fn new(asked: Asked, known: Answers) -> Self {
        Self { asked: ArcSwap::from_pointee(asked), answers: Mutex::new(known), ..Self::default() }
    }

    /// From now on these are asked, at once where an issuer's responder is another one. What others said of their issuers'
    /// certificates is forgotten with them: nobody would ask them again.
    pub fn ask(&self, asked: Asked, now: UnixMillis) {
        let (old, asked) = (self.asked(), Arc::new(asked));
        let moved = |issuer: &&Certificate| old.responder(issuer) != asked.responder(issuer);
        let moved: Vec<_> = asked.issuers.iter().filter(moved).collect();
        let mut known = self.known();
        known.keep(&asked.issuers);
        known.ask_anew(&moved, now);
        drop(known);
        let changes = !moved.is_empty() || old.issuers.len() != asked.issuers.len();
        self.asked.store(asked.clone());
        if changes {
            self.replaced.notify_waiters();
        }
        self.wanted.notify_one();
    }

    /// Who is asked.
    pub fn asked(&self) -> Arc<Asked> {
        self.asked.load_full()
    }

    /// What is known, to be read or added to.
    pub fn known(&self) -> MutexGuard<'_, Answers> {
        // Nobody panics with it in hand, and it is whole at every step.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells an examination what is known.
    pub fn inform(&self, profile: &mut Profile) {
        profile.ocsp.extend(self.known().all());
        profile.status_max_age_s = self.asked.load().max_age_s;
    }

    /// Notes whose status an examination needed. A person who is told to try later finds it known then.
    pub fn notice(&self, report: &Report, now: UnixMillis) {
        let asked = self.asked.load();
        if asked.issuers.is_empty() {
            return;
        }
        let mut known = self.known();
        let certificates = report.signatures.iter().flat_map(|signature| &signature.certificates);
        let mut wanted = false;
        for facts in certificates {
            wanted |= known.meet(&facts.certificate, &asked.issuers, now);
        }
        if wanted {
            self.wanted.notify_one();
        }
    }
}
