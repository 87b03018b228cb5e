//! Verdicts remembered for a short while, so that a session's next request costs no signature check.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::terms::{Digest, UnixMillis};

use super::IdentityError;
use super::access::{Checked, Expect, Presented, Verdict};
use super::book::IssuerBook;
use super::revocation::RevocationView;

/// Verdicts by SHA-256 of the token. Times, revocation, audience, holder, level and scope are judged anew each time;
/// a verdict read under another book of issuers is never used. Refusals are not remembered.
#[derive(Clone, Debug)]
pub struct VerdictCache(Cache<Digest, Arc<Verdict>>);

/// A verdict weighs about its token plus this, in octets.
const OVERHEAD: u32 = 1_024;

impl VerdictCache {
    /// `octets` bounds the memory; `lives` the time a verdict is kept, however often it is used.
    pub fn new(octets: u64, lives: Duration) -> Self {
        let cache = Cache::builder()
            .max_capacity(octets)
            .weigher(|_: &Digest, verdict: &Arc<Verdict>| verdict.octets().saturating_add(OVERHEAD))
            .time_to_live(lives)
            .build();
        Self(cache)
    }

    /// As [`super::access::check_for`].
    pub fn check(
        &self,
        token: &str,
        presented: &Presented<'_>,
        book: &IssuerBook,
        expect: &Expect<'_>,
        revoked: &dyn RevocationView,
        now: UnixMillis,
    ) -> Result<Checked, IdentityError> {
        let key = Digest::of(token.as_bytes());
        let known = self.0.get(&key).filter(|verdict| verdict.generation() == book.generation());
        let verdict = match known {
            Some(verdict) => verdict,
            None => {
                let verdict = Arc::new(Verdict::read(token, book)?);
                self.0.insert(key, verdict.clone());
                verdict
            }
        };
        verdict.judge(token, presented, expect, revoked, now)
    }
}

impl Default for VerdictCache {
    /// 16 MiB, one minute.
    fn default() -> Self {
        Self::new(16 << 20, Duration::from_secs(60))
    }
}
