//! What is known of certificates and credentials besides what the directory says: lists from configured addresses.
//!
//! ```text
//!  app::statuses fetches ─▶ taken: readable, not older than the one at hand ─▶ Statuses ─▶ every examination
//! ```
//! A revocation list is taken only from an authority of the directory: a forged one with a late date would keep all genuine
//! ones out. Whose certificates it speaks for is judged where it is used.

use std::collections::BTreeMap;

use crate::federation::Directory;
use crate::licences::{Profile, StatusList};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;

/// Who may sign revocation lists: the anchors of a directory.
pub fn authorities(directory: &Directory) -> Vec<Certificate> {
    let anchors = &directory.anchors;
    let all = anchors.signers.iter().chain(&anchors.makers).chain(&anchors.envelopes).chain(&anchors.intermediates);
    all.filter_map(|der| Certificate::parse(&der.0).ok()).collect()
}

/// What an address gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusKind {
    /// A revocation list of certificates, complete or delta.
    Crl,
    /// A status list of credentials (statuslist+jwt).
    Credentials,
}

/// The newest list of each address.
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    crls: BTreeMap<String, Crl>,
    lists: BTreeMap<String, StatusList>,
}

impl Statuses {
    /// Takes what an address gave; `false` when the one at hand is as new.
    ///
    /// # Errors
    /// In words, when it is no list, by none of `authorities`, a credential list of another address, or older than the one
    /// at hand.
    pub fn take(
        &mut self,
        (kind, url): (StatusKind, &str),
        octets: &[u8],
        authorities: &[Certificate],
    ) -> Result<bool, String> {
        let (known, new) = match kind {
            StatusKind::Crl => {
                let crl = read_crl(octets)?;
                if !authorities.iter().any(|by| crl.is_by(by) == Ok(true)) {
                    return Err("no authority that is known here signed it".to_owned());
                }
                let times = (self.crls.get(url).map(|known| known.this_update()), crl.this_update());
                if times.0.is_none_or(|known| known < times.1) {
                    self.crls.insert(url.to_owned(), crl);
                }
                times
            }
            StatusKind::Credentials => {
                let list = StatusList::parse(octets).map_err(|e| e.to_string())?;
                if list.uri != url {
                    return Err("the list is about another address".to_owned());
                }
                let times = (self.lists.get(url).map(|list| list.issued), list.issued);
                if times.0.is_none_or(|known| known < times.1) {
                    self.lists.insert(url.to_owned(), list);
                }
                times
            }
        };
        match known {
            Some(known) if known > new => Err(format!("older ({new}) than the one at hand ({known})")),
            Some(known) => Ok(known < new),
            None => Ok(true),
        }
    }

    /// When the list of an address is to be replaced, as it says itself.
    pub fn until(&self, url: &str) -> Option<UnixMillis> {
        self.crls
            .get(url)
            .and_then(|list| list.next_update())
            .or_else(|| self.lists.get(url).and_then(|list| list.until))
    }

    /// Puts all of it beside what a profile has already.
    pub fn put_into(&self, profile: &mut Profile) {
        profile.crls.extend(self.crls.values().cloned());
        profile.status_lists.extend(self.lists.values().cloned());
    }
}

fn read_crl(octets: &[u8]) -> Result<Crl, String> {
    let ders = crate::trust::pem::lists(octets).map_err(|e| e.to_string())?;
    Crl::parse(ders.first().ok_or("nothing in it")?).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

    #[test]
    fn only_newer_lists_are_taken() {
        let pkcs8 = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
        let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
        let subject = Subject::named("ca", "test");
        let issuer = Issuer::root(&key, &subject);
        let (spki, to) = (key.public_key().to_spki(), UnixMillis(9_000_000));
        let own = issue::certificate(&issuer, &subject, &spki, Use::Root, UnixMillis(0), to).unwrap();
        let known = [Certificate::parse(&own).unwrap()];
        let namesake = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
        let forged = {
            let (this, next) = (UnixMillis(8_000_000), UnixMillis(9_000_000));
            issue::crl(&Issuer::root(&namesake, &subject), &[], 1, this, next).unwrap()
        };
        let made = |at: i64| {
            let (this, next) = (UnixMillis(at * 1_000), UnixMillis((at + 600) * 1_000));
            issue::crl(&issuer, &[], 1, this, next).unwrap()
        };
        let mut all = Statuses::default();
        for (octets, want) in [
            (forged.clone(), Err(())),
            (made(1_000), Ok(true)),
            (forged, Err(())),
            (made(1_000), Ok(false)),
            (made(2_000), Ok(true)),
            (made(1_500), Err(())),
            (b"<html>".to_vec(), Err(())),
            (Vec::new(), Err(())),
        ] {
            assert_eq!(all.take((StatusKind::Crl, "http://ca/crl"), &octets, &known).map_err(drop), want);
        }
        assert_eq!(all.until("http://ca/crl"), Some(UnixMillis(2_600_000)));
        let mut profile = Profile::new(UnixMillis(0));
        all.put_into(&mut profile);
        assert_eq!(profile.crls.len(), 1);
        assert!(all.take((StatusKind::Credentials, "http://ca/list"), b"eyJ", &known).is_err());
    }
}
