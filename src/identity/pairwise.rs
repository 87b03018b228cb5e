//! Names of people that only one peer knows: what a gateway calls somebody tells the next one nothing.

use ring::hmac;

use super::jose;

/// A key for names that only one peer knows. Made per gateway; never leaves it.
pub struct PairwiseKey(hmac::Key);

impl PairwiseKey {
    /// `secret` should be 32 random octets.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The name of a subject for one peer: the same each time, another for every other peer, telling nothing.
    pub fn name(&self, peer: &str, issuer: &str, subject: &str) -> String {
        let input = format!("sub\n{}:{peer}{}:{issuer}{subject}", peer.len(), issuer.len());
        jose::encode(hmac::sign(&self.0, input.as_bytes()).as_ref())
    }
}

impl std::fmt::Debug for PairwiseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairwiseKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_one_peer_only() {
        let (key, other) = (PairwiseKey::new(&[7; 32]), PairwiseKey::new(&[8; 32]));
        let (citizens, staff) = ("https://id.henan.example", "https://staff.henan.example");
        let name = key.name("gw-b", citizens, "c-100");
        assert_eq!(name, key.name("gw-b", citizens, "c-100"), "the same person twice");
        for stranger in [
            key.name("gw-c", citizens, "c-100"),
            key.name("gw-b", staff, "c-100"),
            key.name("gw-b", citizens, "c-101"),
            key.name("gw-b", "https://id.henan.examplec", "-100"),
            other.name("gw-b", citizens, "c-100"),
        ] {
            assert_ne!(name, stranger);
        }
    }
}
