//! Tokens that only their issuers can read: which issuer one is shown to, and how often anybody may have them asked.
//!
//! A token is a secret between its issuer and its holder: it is shown to the one issuer that may have made it, and to no other.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;

use super::client_auth::Credentials;
use super::issuers::REMEMBERED;
use crate::identity::IdentityError;
use crate::terms::Digest;

/// An issuer whose opaque tokens we have it read.
#[derive(Clone, Debug)]
pub struct Introspected {
    pub issuer: String,
    pub credentials: Credentials,
    /// How long an answer is believed, in seconds: the bound within which a revocation is honoured.
    pub believed_s: u32,
    /// Its tokens begin so; empty where they begin anyhow.
    pub prefix: String,
    /// Who brings its tokens: terminals as records name them, or [`PORTAL`]; anybody when empty.
    pub callers: Vec<String>,
}

/// Whoever comes without a certificate that is known, as [`Introspected::callers`] names them.
pub const PORTAL: &str = "portal";

impl Introspected {
    /// Whether some token of some caller might be either's: then one of the two would see tokens of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let begin = self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix);
        let anybody = self.callers.is_empty() || other.callers.is_empty();
        begin && (anybody || self.callers.iter().any(|caller| other.callers.contains(caller)))
    }

    fn may_have_made(&self, token: &str, from: &Source<'_>) -> bool {
        match from {
            Source::Session { issuer } => self.issuer == *issuer,
            Source::Caller { terminal, .. } => {
                token.starts_with(&self.prefix)
                    && (self.callers.is_empty() || self.callers.iter().any(|own| own == terminal))
            }
        }
    }
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A terminal as records name it, or [`PORTAL`]; `key` is its certificate, or the network of its address.
    Caller { terminal: &'a str, key: Digest },
    /// A session at a page, begun with a token of this issuer.
    Session { issuer: &'a str },
}

/// Unknown tokens a second that one caller may have an issuer asked about, and at once after quiet; and all callers together.
const EACH: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const EACH_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const ALL: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const ALL_AT_ONCE: NonZeroU32 = NonZeroU32::new(2_000).expect("not zero");
/// Callers remembered before those whose share is whole again are forgotten.
const CALLERS: usize = 8_192;
/// A token that was active goes free for so long: it is asked about again and again for the sake of its revocation.
const ACTIVE: Duration = Duration::from_secs(600);

/// Counts questions about tokens that were never seen active, per replica: guesses are the caller's, and the issuer's load.
pub(super) struct Unknown {
    active: Cache<Digest, ()>,
    each: RateLimiter<Digest, DefaultKeyedStateStore<Digest>, DefaultClock>,
    all: DefaultDirectRateLimiter,
}

impl Unknown {
    pub(super) fn new() -> Self {
        Self {
            active: Cache::builder().max_capacity(REMEMBERED).time_to_live(ACTIVE).build(),
            each: RateLimiter::keyed(Quota::per_second(EACH).allow_burst(EACH_AT_ONCE)),
            all: RateLimiter::direct(Quota::per_second(ALL).allow_burst(ALL_AT_ONCE)),
        }
    }

    /// Takes one question about `token` out of the caller's share.
    pub(super) fn take(&self, token: &Digest, from: &Source<'_>) -> Result<(), IdentityError> {
        let Source::Caller { key, .. } = from else { return Ok(()) };
        if self.active.contains_key(token) {
            return Ok(());
        }
        if self.each.len() > CALLERS {
            self.each.retain_recent();
        }
        // The own share first: who has used it up takes nothing from the others.
        match self.each.check_key(key).is_ok() && self.all.check().is_ok() {
            true => Ok(()),
            false => Err(IdentityError::TooManyUnknown),
        }
    }

    pub(super) async fn was_active(&self, token: Digest) {
        self.active.insert(token, ()).await;
    }
}

/// The issuer that a token is shown to: the only one that may have made it.
pub(super) fn whose<'w>(token: &str, whom: &'w [Introspected], from: &Source<'_>) -> Option<&'w Introspected> {
    let mut possible = whom.iter().filter(|one| one.may_have_made(token, from));
    possible.next().filter(|_| possible.next().is_none())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::client_auth::Way;
    use super::*;

    fn issuer(name: &str, prefix: &str, callers: &[&str]) -> Introspected {
        Introspected {
            issuer: name.into(),
            credentials: Credentials::new("us", Way::Basic(Zeroizing::new("secret".into()))),
            believed_s: 5,
            prefix: prefix.into(),
            callers: callers.iter().map(|caller| (*caller).to_owned()).collect(),
        }
    }

    #[test]
    fn a_token_is_shown_to_one_issuer() {
        let one = [issuer("a", "", &[])];
        let two = [issuer("a", "ga_", &[]), issuer("b", "gb_", &[])];
        let desks = [issuer("a", "", &["window:W-1"]), issuer("b", "", &["portal"])];
        let unclear = [issuer("a", "", &[]), issuer("b", "", &[])];
        for (what, whom, token, terminal, want) in [
            ("the only one there is", &one[..], "x", "portal", Some("a")),
            ("by its beginning", &two[..], "gb_x", "portal", Some("b")),
            ("a beginning nobody has", &two[..], "x", "portal", None),
            ("another case", &two[..], "GB_x", "portal", None),
            ("by who brings it", &desks[..], "x", "window:W-1", Some("a")),
            ("by nobody's terminal", &desks[..], "x", "portal", Some("b")),
            ("by a terminal of neither", &desks[..], "x", "window:W-10", None),
            ("either's: nobody is asked", &unclear[..], "x", "portal", None),
            ("none", &[][..], "x", "portal", None),
        ] {
            let from = Source::Caller { terminal, key: Digest::of(b"k") };
            assert_eq!(whose(token, whom, &from).map(|one| one.issuer.as_str()), want, "{what}");
        }
        let session = Source::Session { issuer: "b" };
        assert_eq!(whose("x", &unclear, &session).map(|one| one.issuer.as_str()), Some("b"), "a session knows");
        for (what, pair, overlap) in [
            ("no hints", &unclear, true),
            ("other beginnings", &two, false),
            ("one beginning within the other", &[issuer("a", "g", &[]), issuer("b", "gb_", &[])], true),
            ("a hint for one of the two only", &[issuer("a", "", &[]), issuer("b", "gb_", &[])], true),
            ("other callers", &desks, false),
            ("a caller in both", &[issuer("a", "", &["portal"]), issuer("b", "", &["portal"])], true),
        ] {
            assert_eq!((pair[0].overlaps(&pair[1]), pair[1].overlaps(&pair[0])), (overlap, overlap), "{what}");
        }
    }

    #[tokio::test]
    async fn guesses_are_few_and_the_guessers_own() {
        let unknown = Unknown::new();
        let from = |who: &[u8]| Source::Caller { terminal: PORTAL, key: Digest::of(who) };
        let token = |n: u32| Digest::of(&n.to_be_bytes());
        let asked = (0..5_000).filter(|n| unknown.take(&token(*n), &from(b"guesser")).is_ok()).count();
        assert!((200..400).contains(&asked), "{asked}");
        assert!(unknown.take(&token(1), &from(b"another")).is_ok());
        unknown.was_active(token(7)).await;
        assert!(unknown.take(&token(7), &from(b"guesser")).is_ok(), "a token that was active");
        assert!(unknown.take(&token(8), &Source::Session { issuer: "a" }).is_ok(), "ours, sealed");
    }
}
