//! What an operator switched off: outlets, terminals, single certificates. It outweighs every contract, at once.

use std::collections::{BTreeMap, BTreeSet};

use super::contract::OutletId;
use crate::terms::{Digest, UnixMillis};

/// Everything that is switched off now: an immutable snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    outlets: BTreeSet<OutletId>,
    certificates: BTreeSet<Digest>,
    uris: BTreeMap<String, UnixMillis>,
}

impl Stopped {
    pub fn stop_outlet(&mut self, outlet: OutletId) {
        self.outlets.insert(outlet);
    }

    /// One certificate, by its SHA-256.
    pub fn stop_certificate(&mut self, fingerprint: Digest) {
        self.certificates.insert(fingerprint);
    }

    /// Every certificate of this name that was issued until `at`: a terminal that is enrolled anew afterwards works.
    pub fn stop_uri(&mut self, uri: &str, at: UnixMillis) {
        self.uris.insert(uri.to_owned(), at);
    }

    pub fn has_outlet(&self, outlet: &OutletId) -> bool {
        self.outlets.contains(outlet)
    }

    pub fn has_certificate(&self, fingerprint: Digest) -> bool {
        self.certificates.contains(&fingerprint)
    }

    /// Whether a certificate of this name, issued at `issued`, is switched off.
    pub fn has_uri(&self, uri: &str, issued: UnixMillis) -> bool {
        self.uris.get(uri).is_some_and(|at| issued <= *at)
    }

    /// Whether nothing at all is about certificates: then none needs to be looked at.
    pub fn spares_certificates(&self) -> bool {
        self.certificates.is_empty() && self.uris.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stopped_until_it_is_issued_anew() {
        let mut stopped = Stopped::default();
        assert!(stopped.spares_certificates());
        stopped.stop_uri("urn:t", UnixMillis(100));
        stopped.stop_certificate(Digest::of(b"a"));
        stopped.stop_outlet("bank-1".parse().unwrap());
        for (uri, issued, want) in
            [("urn:t", 99, true), ("urn:t", 100, true), ("urn:t", 101, false), ("urn:u", 1, false)]
        {
            assert_eq!(stopped.has_uri(uri, UnixMillis(issued)), want, "{uri} {issued}");
        }
        assert!(stopped.has_certificate(Digest::of(b"a")) && !stopped.has_certificate(Digest::of(b"b")));
        assert!(stopped.has_outlet(&"bank-1".parse().unwrap()) && !stopped.has_outlet(&"bank-2".parse().unwrap()));
        assert!(!stopped.spares_certificates());
    }
}
