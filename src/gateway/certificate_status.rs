//! What responders told the gateway of the certificates under seals (OCSP); lists are in [`super::statuses`].
//!
//! ```text
//!  examination ◀─inform─ Answers ◀─ jobs::responders ◀─ responders of the configuration
//!       └─notice: whose status is needed ─▶ asked in the background; until then unknown is not valid
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::licences::{Profile, Report};
use crate::terms::UnixMillis;
use crate::trust::answers::Answers;
use crate::trust::certificate::Certificate;

/// Held for moments only.
#[derive(Debug, Default)]
pub struct CertificateStatus {
    answers: Mutex<Answers>,
    /// Issuers with a responder.
    issuers: Vec<Certificate>,
    /// See [`Profile::status_max_age_s`].
    max_age_s: Option<i64>,
    /// A certificate's status is needed that nobody has told yet.
    pub wanted: Notify,
}

impl CertificateStatus {
    /// `known` is what was known at the last stop.
    pub fn new(issuers: Vec<Certificate>, max_age_s: Option<i64>, known: Answers) -> Self {
        Self { issuers, max_age_s, answers: Mutex::new(known), ..Self::default() }
    }

    /// What is known, to be read or added to.
    pub fn known(&self) -> MutexGuard<'_, Answers> {
        // Nobody panics with it in hand, and it is whole at every step.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells an examination what is known.
    pub fn inform(&self, profile: &mut Profile) {
        profile.ocsp.extend(self.known().all());
        profile.status_max_age_s = self.max_age_s;
    }

    /// Notes whose status an examination needed. A person who is told to try later finds it known then.
    pub fn notice(&self, report: &Report, now: UnixMillis) {
        if self.issuers.is_empty() {
            return;
        }
        let mut known = self.known();
        let certificates = report.signatures.iter().flat_map(|signature| &signature.certificates);
        let mut wanted = false;
        for facts in certificates {
            wanted |= known.meet(&facts.certificate, &self.issuers, now);
        }
        if wanted {
            self.wanted.notify_one();
        }
    }
}
