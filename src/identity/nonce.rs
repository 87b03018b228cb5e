//! Nonces for DPoP proofs (RFC 9449 §8, §9): made from the time and a secret that all replicas share, so that none is kept
//! and every replica takes what another gave out.

use ring::hmac;

use crate::terms::UnixMillis;

use super::jose;

/// A nonce is given out for this long, in seconds, and taken for as long again on either side.
pub const ROTATES_S: i64 = 60;

/// Makes and names nonces.
pub struct Nonces(hmac::Key);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    /// `secret`: 32 octets that all replicas share.
    pub fn derive(secret: &[u8]) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, b"tongban dpop nonces 1").as_ref()))
    }

    /// The one to give out.
    pub fn current(&self, now: UnixMillis) -> String {
        self.of(now.seconds().div_euclid(ROTATES_S))
    }

    /// Those to take: the current, the one before, and the next, which a replica with a faster clock gives out already.
    pub fn taken(&self, now: UnixMillis) -> [String; 3] {
        let slot = now.seconds().div_euclid(ROTATES_S);
        [slot, slot - 1, slot + 1].map(|slot| self.of(slot))
    }

    fn of(&self, slot: i64) -> String {
        jose::encode(&hmac::sign(&self.0, &slot.to_be_bytes()).as_ref()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_for_a_while_everywhere_and_then_nowhere() {
        let (one, other, stranger) = (Nonces::derive(&[1; 32]), Nonces::derive(&[1; 32]), Nonces::derive(&[2; 32]));
        let given = UnixMillis::from_seconds(1_790_000_000);
        let nonce = one.current(given);
        for (later_s, taken) in [(0, true), (ROTATES_S, true), (-ROTATES_S, true), (2 * ROTATES_S, false)] {
            let at = given.plus_seconds(later_s);
            assert_eq!(other.taken(at).contains(&nonce), taken, "{later_s}");
        }
        assert!(!stranger.taken(given).contains(&nonce));
    }
}
