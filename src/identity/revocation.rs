//! Tokens ended before their time: by token, by session, or all of a subject's issued before a moment.

use std::collections::{HashMap, HashSet};

use crate::terms::{Digest, UnixMillis};

use super::caller::Caller;

/// Answers whether a token has been revoked or its session ended. A snapshot kept fresh by somebody upstairs.
pub trait RevocationView: Sync {
    /// Judged by `jti`, `sid` and subject, never by the token's text: one token has several spellings.
    fn is_revoked(&self, caller: &Caller) -> bool;

    /// One token alone, by issuer and `jti`.
    fn is_token_revoked(&self, _issuer: &str, _jti: &str) -> bool {
        false
    }
}

/// For issuers whose tokens are too short-lived to be revoked.
#[derive(Clone, Copy, Debug)]
pub struct NothingRevoked;

impl RevocationView for NothingRevoked {
    fn is_revoked(&self, _: &Caller) -> bool {
        false
    }
}

/// A deny-list in memory. Entries of different issuers never meet.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    tokens: HashSet<Digest>,
    sessions: HashSet<Digest>,
    before: HashMap<Digest, UnixMillis>,
}

impl Revocations {
    pub fn token(&mut self, issuer: &str, jti: &str) {
        self.tokens.insert(pair(issuer, jti));
    }

    /// Back-channel logout of one session (`sid`).
    pub fn session(&mut self, issuer: &str, sid: &str) {
        self.sessions.insert(pair(issuer, sid));
    }

    /// Whether the issuer has ended this session of its own.
    pub fn is_session_ended(&self, issuer: &str, sid: &str) -> bool {
        self.sessions.contains(&pair(issuer, sid))
    }

    /// All tokens of the subject issued at `at` or before.
    pub fn subject(&mut self, issuer: &str, subject: &str, at: UnixMillis) {
        let until = self.before.entry(pair(issuer, subject)).or_insert(at);
        *until = at.max(*until);
    }
}

impl RevocationView for Revocations {
    fn is_revoked(&self, caller: &Caller) -> bool {
        let listed =
            |set: &HashSet<Digest>, id: Option<&str>| id.is_some_and(|id| set.contains(&pair(caller.issuer(), id)));
        let subject = self.before.get(&pair(caller.issuer(), caller.subject()));
        listed(&self.tokens, caller.jti())
            || listed(&self.sessions, caller.session())
            || subject.is_some_and(|until| caller.issued() <= *until)
    }

    fn is_token_revoked(&self, issuer: &str, jti: &str) -> bool {
        self.tokens.contains(&pair(issuer, jti))
    }
}

/// Two texts as one key; the length keeps `("a","bc")` and `("ab","c")` apart.
fn pair(issuer: &str, id: &str) -> Digest {
    Digest::of(format!("{}:{issuer}{id}", issuer.len()).as_bytes())
}
