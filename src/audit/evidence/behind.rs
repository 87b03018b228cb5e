//! What stands behind the entries of a bundle: rules and questions, trust material, the case's key, who sealed it. Nothing else
//! may ride in it: a file that no entry leads to would seem to be proven with the others.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::again::examined;
use super::check::{Check, Proven};
use super::{Manifest, asked_path, key_path, policy_path, trust_path};
use crate::audit::Pseudonym;
use crate::audit::verify::{Question, Verdict};
use crate::formats::zip::Source;
use crate::terms::Digest;
use crate::trust::asic::Open;
use crate::trust::certificate::Certificate;
use crate::trust::pem;

/// Largest file of a question, a certificate or a part of trust material, in octets.
const MAX_BEHIND: u64 = 64 << 20;

impl Check<'_> {
    /// Each of these files is one that an entry leads to, and is what its name says.
    pub(super) fn behind<S: Source>(
        &mut self,
        manifest: &Manifest,
        case: &Pseudonym,
        entries: &[&Proven],
        open: &Open<S>,
    ) {
        let mut known = BTreeSet::from([key_path(case)]);
        let (mut folders, mut lists) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            let Decided { policy, ask } = decided(&entry.bytes);
            folders.extend(policy.map(|version| policy_path(version, "")));
            known.extend(ask.map(asked_path));
            lists.extend(examined(&entry.bytes).into_iter().map(|examined| examined.trust));
        }
        // What a list leads to, only whoever reads lists can say.
        let mut is_read = self.by.again.is_some();
        for list in lists {
            let path = trust_path(list);
            if manifest.trust.contains(&path)
                && let Some(again) = self.by.again
                && let Ok(octets) = open.archive.read(&path, MAX_BEHIND)
            {
                match again.material(&octets) {
                    Some(parts) => known.extend(parts.into_iter().map(trust_path)),
                    None => is_read = false,
                }
            }
            known.insert(path);
        }
        let is_rule = |path: &str| {
            let folder = path.rfind('/').map(|end| &path[..=end]);
            folder.is_some_and(|folder| folders.contains(folder))
        };
        let listed = [&manifest.policies, &manifest.trust, &manifest.keys].into_iter().flatten();
        for path in listed {
            let is_known = known.contains(path);
            let unread = path.starts_with("trust/") && !is_read;
            if !is_known && !is_rule(path) {
                let verdict = if unread { Verdict::Undecided } else { Verdict::Disproven };
                self.fault(Question::Content, verdict, path, None, "no entry leads to this file");
            } else if is_known && *path != key_path(case) && !is_its_name(path, open) {
                let what = "not the file whose digest is its name";
                self.fault(Question::Content, Verdict::Disproven, path, None, what);
            }
        }
        let sealed_by = &open.signed.certificates;
        for path in &manifest.certificates {
            let is_one = |certificate: &Certificate| *path == certificate_path(certificate);
            let certificate = sealed_by.iter().find(|certificate| is_one(certificate));
            let text = certificate.map(|certificate| pem::encode("CERTIFICATE", certificate.der()));
            let octets = open.archive.read(path, MAX_BEHIND).ok();
            if text.is_none_or(|text| octets.as_deref() != Some(text.as_bytes())) {
                let what = "not a certificate of whoever sealed the bundle";
                self.fault(Question::Integrity, Verdict::Disproven, path, None, what);
            }
        }
    }
}

/// Whether a file has the digest that is its name; one that cannot be read is found elsewhere.
fn is_its_name<S: Source>(path: &str, open: &Open<S>) -> bool {
    let octets = open.archive.read(path, MAX_BEHIND);
    octets.map_or(true, |octets| path.contains(&Digest::of(&octets).to_string()))
}

/// Path of a certificate of whoever sealed the bundle.
pub fn certificate_path(certificate: &Certificate) -> String {
    format!("certificates/{}.pem", certificate.fingerprint())
}

/// By which rules an entry was decided, and what they were asked.
#[derive(Default, Deserialize)]
struct Decided {
    policy: Option<Digest>,
    ask: Option<Digest>,
}

fn decided(entry: &[u8]) -> Decided {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        dec: Decided,
    }
    serde_json::from_slice::<Raw>(entry).map(|raw| raw.dec).unwrap_or_default()
}
