//! Which certificates were met, and what the responders of their issuers say of them (RFC 6960).
//!
//! ```text
//!  certificate met ──▶ by an issuer with a responder? ──▶ due ─▶ asked in the background; until then unknown is not valid
//!  answer ──▶ about this certificate? by its issuer? newer? ──▶ newest answer, per certificate
//! ```
//! Responders are configured: addresses inside a certificate are not asked. Bounded: only certificates that a configured
//! issuer signed are remembered, and so many of them.

use std::collections::BTreeMap;

use super::certificate::Certificate;
use super::name;
use super::ocsp::{self, Answer, Response};
use crate::formats::der::{DerError, only, write};
use crate::terms::{Digest, UnixMillis};

/// Most certificates asked about; the one not met for longest makes room.
const MOST: usize = 1_000;
/// A certificate not met for so long is not asked about any more, in seconds.
const FORGOTTEN_S: i64 = 2 * 86_400;
/// An answer without nextUpdate is asked for again after so long, in seconds.
const UNDATED_S: i64 = 600;

/// The next answer is asked for no sooner than after so long, in seconds: one that lasts a minute must not leave a gap.
const SOONEST_S: i64 = 5;

/// Why an answer is not taken; what was known stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("it is from the future: {0}")]
    Future(UnixMillis),
    #[error("it is older than what is known: {0}")]
    Older(UnixMillis),
    #[error("it says nothing about the certificate that was asked about")]
    OtherCertificate,
}

/// Clocks of authorities may be ahead by so much, in seconds.
const AHEAD_S: i64 = 300;

#[derive(Clone, Debug)]
struct Met {
    certificate: Certificate,
    issuer: Certificate,
    at: UnixMillis,
    answer: Option<Response>,
    /// When to ask again.
    due: UnixMillis,
}

/// All of it at one moment; a copy costs little.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    met: BTreeMap<Digest, Met>,
}

impl Answers {
    /// Remembers a certificate whose status somebody needed; `issuers` are those with a responder.
    /// `true` when it is to be asked about at once.
    pub fn meet(&mut self, certificate: &Certificate, issuers: &[Certificate], now: UnixMillis) -> bool {
        let id = certificate.fingerprint();
        if let Some(met) = self.met.get_mut(&id) {
            met.at = met.at.max(now);
            return met.due <= now;
        }
        // A namesake's certificate would fill the memory with what no responder knows.
        let signed =
            |by: &&Certificate| name::same(by.subject(), certificate.issuer()) && certificate.signed_by(by).is_ok();
        let Some(issuer) = issuers.iter().find(signed).cloned() else { return false };
        if self.met.len() >= MOST
            && let Some(oldest) = self.met.iter().min_by_key(|(_, met)| met.at).map(|(id, _)| *id)
        {
            self.met.remove(&oldest);
        }
        self.met.insert(id, Met { certificate: certificate.clone(), issuer, at: now, answer: None, due: now });
        true
    }

    /// Certificates to be asked about now, with their issuers. Each is put off by `wait_s`, so that a responder that is away
    /// is not asked all the time.
    pub fn due(&mut self, now: UnixMillis, wait_s: i64) -> Vec<(Certificate, Certificate)> {
        self.met.retain(|_, met| met.at.plus_seconds(FORGOTTEN_S) > now);
        let due = self.met.values_mut().filter(|met| met.due <= now);
        due.map(|met| {
            met.due = now.plus_seconds(wait_s);
            (met.certificate.clone(), met.issuer.clone())
        })
        .collect()
    }

    /// Takes an answer as fetched, and asks for the next when half of its life is over.
    ///
    /// # Errors
    /// An answer about another certificate, or by somebody who may not answer for its issuer; one from the future, or older
    /// than ours. "Unknown" is taken for what it is: it is no status.
    pub fn take_answer(&mut self, of: &Certificate, response: &Response, now: UnixMillis) -> Result<(), NotTaken> {
        let met = self.met.get_mut(&of.fingerprint()).ok_or(NotTaken::OtherCertificate)?;
        let (single, _) = response.about(&met.certificate, &met.issuer, now).ok_or(NotTaken::OtherCertificate)?;
        if single.this_update > now.plus_seconds(AHEAD_S) {
            return Err(NotTaken::Future(single.this_update));
        }
        let known = met.answer.as_ref().and_then(|known| known.about(&met.certificate, &met.issuer, now));
        if known.is_some_and(|(known, _)| known.this_update > single.this_update) {
            return Err(NotTaken::Older(single.this_update));
        }
        if single.answer != Answer::Unknown {
            let life = single.next_update.map_or(2 * UNDATED_S, |next| next.seconds() - now.seconds());
            met.due = now.plus_seconds((life / 2).clamp(SOONEST_S, 86_400));
            met.answer = Some(response.clone());
        }
        Ok(())
    }

    /// Asks about certificates of these issuers as soon as may be: somebody else answers for them now. What is known stays.
    pub fn ask_anew(&mut self, issuers: &[&Certificate], now: UnixMillis) {
        for met in self.met.values_mut().filter(|met| issuers.contains(&&met.issuer)) {
            met.due = met.due.min(now);
        }
    }

    /// Forgets certificates whose issuer is none of these.
    pub fn keep(&mut self, issuers: &[Certificate]) {
        self.met.retain(|_, met| issuers.contains(&met.issuer));
    }

    pub fn all(&self) -> Vec<Response> {
        self.met.values().filter_map(|met| met.answer.clone()).collect()
    }

    /// All answers with the certificates they are about, to be read again by [`Answers::restore`]: a DER SEQUENCE OF
    /// SEQUENCE { Certificate, OCSPResponse }.
    pub fn to_der(&self) -> Vec<u8> {
        let pair = |met: &Met| Some(write::sequence(&[met.certificate.der(), met.answer.as_ref()?.der()]));
        write::sequence(&self.met.values().filter_map(pair).collect::<Vec<_>>())
    }

    /// Takes again what [`Answers::to_der`] gave before a restart, as strictly as if it had just been fetched, and tells
    /// how many answers it took. What is past its end is dropped, but for revocations: those do not end.
    ///
    /// # Errors
    /// In words, for octets that are no such list; nothing is taken then.
    pub fn restore(&mut self, octets: &[u8], issuers: &[Certificate], now: UnixMillis) -> Result<usize, String> {
        let unreadable = |e: DerError| e.to_string();
        let mut list = only(octets).map_err(unreadable)?.inside();
        let mut pairs = Vec::new();
        while !list.is_empty() {
            let mut pair = list.sequence().map_err(unreadable)?;
            let of = Certificate::parse(pair.element().map_err(unreadable)?.full).map_err(|e| e.to_string())?;
            let response = Response::parse(pair.element().map_err(unreadable)?.full).map_err(|e| e.to_string())?;
            pair.done().map_err(unreadable)?;
            pairs.push((of, response));
        }
        let mut taken = 0;
        for (of, response) in pairs.iter().take(MOST) {
            let lasts = |single: &ocsp::Single| {
                matches!(single.answer, Answer::Revoked(_)) || single.next_update.is_none_or(|next| next >= now)
            };
            // One that is over is met all the same, and asked about at once.
            let met = self.meet(of, issuers, now);
            let holds = self
                .met
                .get(&of.fingerprint())
                .is_some_and(|met| response.about(of, &met.issuer, now).is_some_and(|(single, _)| lasts(single)));
            if met && holds && self.take_answer(of, response, now).is_ok() {
                taken += 1;
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::crl::Revoked;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    struct Party(SigningKey, Certificate);

    fn party(by: Option<&Party>, name: &str) -> Party {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
        let subject = Subject::named(name, "test");
        let (issuer, purpose) = match by {
            Some(by) => (Issuer::of(&by.0, &by.1), Use::Signer),
            None => (Issuer::root(&key, &subject), Use::Root),
        };
        let (from, to) = (NOW.plus_seconds(-86_400), NOW.plus_seconds(86_400));
        let der = issue::certificate(&issuer, &subject, &key.public_key().to_spki(), purpose, from, to).unwrap();
        let certificate = Certificate::parse(&der).unwrap();
        Party(key, certificate)
    }

    fn pair(of: &Party, answer: &Response) -> Vec<u8> {
        write::sequence(&[write::sequence(&[of.1.der(), answer.der()])])
    }

    #[test]
    fn certificates_met_are_asked_about_until_they_are_forgotten() {
        let (ca, namesake) = (party(None, "ca"), party(None, "ca"));
        let (leaf, stranger) = (party(Some(&ca), "leaf"), party(Some(&namesake), "leaf"));
        let issuers = [ca.1.clone()];
        let answer = |by: &Party, of: &Party, answer: Answer, made_s: i64| {
            let (from, to) = (NOW.plus_seconds(made_s), NOW.plus_seconds(made_s + 7_200));
            Response::parse(&ocsp::respond((&by.0, &by.1), of.1.serial(), &answer, from, to).unwrap()).unwrap()
        };
        let mut answers = Answers::default();
        assert!(!answers.meet(&stranger.1, &issuers, NOW), "nobody here answers for it");
        let spelt = Issuer { name: Issuer::root(&ca.0, &Subject::named("CA ", "Test")).name, signer: &ca.0 };
        let spki = leaf.0.public_key().to_spki();
        let (from, to) = (NOW.plus_seconds(-9), NOW.plus_seconds(9));
        let der = issue::certificate(&spelt, &Subject::named("leaf", "x"), &spki, Use::Signer, from, to).unwrap();
        let spelt = Certificate::parse(&der).unwrap();
        assert!(Answers::default().meet(&spelt, &issuers, NOW), "its issuer's name in another spelling");
        assert!(answers.meet(&leaf.1, &issuers, NOW));
        assert_eq!(answers.due(NOW, 60), [(leaf.1.clone(), ca.1.clone())]);
        assert_eq!(answers.due(NOW, 60), [], "asked a moment ago");
        let gone = Revoked { serial: leaf.1.serial().to_vec(), at: NOW, reason: Some(1) };
        for (name, response, want, count) in [
            ("unknown", answer(&ca, &leaf, Answer::Unknown, 0), Ok(()), 0),
            ("by a namesake", answer(&namesake, &leaf, Answer::Good, 0), Err(NotTaken::OtherCertificate), 0),
            ("good", answer(&ca, &leaf, Answer::Good, 0), Ok(()), 1),
            ("an older one", answer(&ca, &leaf, Answer::Good, -9), Err(NotTaken::Older(NOW.plus_seconds(-9))), 1),
            ("revoked", answer(&ca, &leaf, Answer::Revoked(gone), 1), Ok(()), 1),
        ] {
            assert_eq!(answers.take_answer(&leaf.1, &response, NOW), want, "{name}");
            assert_eq!(answers.all().len(), count, "{name}");
        }
        assert_eq!(answers.due(NOW.plus_seconds(3_000), 60), [], "half of the answer's life is not over");
        assert_eq!(answers.due(NOW.plus_seconds(3_700), 60).len(), 1);
        // After a restart: what still counts is there, and what was said once of a revoked one for good.
        let kept = answers.to_der();
        for (name, octets, issuers, after_s, want) in [
            ("at once", kept.clone(), &issuers[..], 10, Ok(1)),
            ("past its end, but revoked", kept.clone(), &issuers[..], 9_000, Ok(1)),
            ("no longer an issuer with a responder", kept.clone(), &[], 10, Ok(0)),
            ("a namesake", kept.clone(), std::slice::from_ref(&namesake.1), 10, Ok(0)),
            ("good and past its end", pair(&leaf, &answer(&ca, &leaf, Answer::Good, 0)), &issuers[..], 9_000, Ok(0)),
            ("good", pair(&leaf, &answer(&ca, &leaf, Answer::Good, 0)), &issuers[..], 9, Ok(1)),
            ("forged", pair(&leaf, &answer(&namesake, &leaf, Answer::Good, 0)), &issuers[..], 9, Ok(0)),
            ("cut off", kept[..kept.len() - 1].to_vec(), &issuers[..], 10, Err(())),
            ("nothing", Vec::new(), &issuers[..], 10, Err(())),
        ] {
            let (mut again, now) = (Answers::default(), NOW.plus_seconds(after_s));
            assert_eq!(again.restore(&octets, issuers, now).map_err(drop), want, "{name}");
            assert_eq!(again.all().len(), want.unwrap_or(0), "{name}");
        }
        assert!(!answers.meet(&leaf.1, &issuers, NOW.plus_seconds(3_701)));
        let mut others = answers.clone();
        others.keep(&issuers);
        assert_eq!(others.all().len(), 1, "its issuer still has a responder");
        others.keep(std::slice::from_ref(&namesake.1));
        assert_eq!(others.all().len(), 0, "its issuer has none any more");
        assert_eq!(answers.due(NOW.plus_seconds(3_701 + FORGOTTEN_S), 60), []);
        assert_eq!(answers.all().len(), 0);
    }
}
