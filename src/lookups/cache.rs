//! The cache: bound to purpose and person, bounded in octets, wiped on drop.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moka::Expiry;
use moka::future::Cache;
use serde_json::Value;
use zeroize::Zeroize;

use super::LookupError;
use crate::terms::json::canonical;
use crate::terms::{Digest, UnixMillis};

/// What is asked, about whom, and what for. The subject appears as a pseudonym only.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Question {
    pub resource: String,
    pub subject: String,
    /// What for: item and purpose class. Another purpose is another question.
    pub purpose: String,
    pub fields: BTreeSet<String>,
}

impl Question {
    /// Equal questions have equal keys; any difference makes another.
    pub fn key(&self) -> Digest {
        Digest::of(&canonical(self).unwrap_or_default())
    }
}

/// What a provider said: the asked fields, or that it knows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Found { fields: BTreeMap<String, Value>, source_version: String },
    NotFound,
}

struct Entry {
    /// JSON text, so that it can be wiped.
    text: Vec<u8>,
    found: bool,
    source_version: String,
    fetched_at: UnixMillis,
    lives: Duration,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// A shared-data answer with purpose and age: only [`Lookups::ask`] makes one.
#[derive(Clone, Debug)]
pub struct Fact {
    resource: String,
    purpose: String,
    fields: BTreeMap<String, Value>,
    fetched_at: UnixMillis,
    cached: bool,
    source_version: String,
}

impl Fact {
    pub fn resource(&self) -> &str {
        &self.resource
    }
    pub fn purpose(&self) -> &str {
        &self.purpose
    }
    pub fn fields(&self) -> &BTreeMap<String, Value> {
        &self.fields
    }
    pub fn fetched_at(&self) -> UnixMillis {
        self.fetched_at
    }
    /// Whether it came from the cache.
    pub fn cached(&self) -> bool {
        self.cached
    }
    pub fn source_version(&self) -> &str {
        &self.source_version
    }
}

struct Lifetimes;

impl Expiry<Digest, Arc<Entry>> for Lifetimes {
    fn expire_after_create(&self, _: &Digest, entry: &Arc<Entry>, _: std::time::Instant) -> Option<Duration> {
        Some(entry.lives)
    }
}

/// All lookups of one gateway.
#[derive(Clone)]
pub struct Lookups {
    cache: Cache<Digest, Arc<Entry>>,
}

/// A "not found" may be mended any minute: it is kept for at most this long.
const NEGATIVE_S: u64 = 30;

impl Lookups {
    /// A cache of at most `octets` of answers.
    pub fn new(octets: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(octets)
            .weigher(|_, entry: &Arc<Entry>| u32::try_from(entry.text.len() + 128).unwrap_or(u32::MAX))
            .expire_after(Lifetimes)
            .support_invalidation_closures()
            .build();
        Self { cache }
    }

    /// Answers from the cache while the answer is no older than `fresh_s`, else from `fetch`; equal questions asked at
    /// once make one call.
    ///
    /// # Errors
    /// [`LookupError::UnknownSubject`] when the provider knows nobody, or what `fetch` failed with. Failures are not
    /// kept.
    pub async fn ask<F>(
        &self,
        question: &Question,
        fresh_s: u64,
        now: UnixMillis,
        fetch: F,
    ) -> Result<Fact, LookupError>
    where
        F: Future<Output = Result<Answer, LookupError>>,
    {
        let mut called = false;
        let entry = self
            .cache
            .try_get_with(question.key(), async {
                called = true;
                let answer = fetch.await?;
                entry(question, answer, fresh_s, now)
            })
            .await
            .map_err(|e: Arc<LookupError>| (*e).clone())?;
        if !entry.found {
            return Err(LookupError::UnknownSubject(question.resource.clone()));
        }
        let fields = serde_json::from_slice(&entry.text)
            .map_err(|e| LookupError::BadAnswer { resource: question.resource.clone(), why: e.to_string() })?;
        Ok(Fact {
            resource: question.resource.clone(),
            purpose: question.purpose.clone(),
            fields,
            fetched_at: entry.fetched_at,
            cached: !called,
            source_version: entry.source_version.clone(),
        })
    }

    /// The provider says its data about this resource changed: nothing kept is used again.
    pub async fn forget(&self, question: &Question) {
        self.cache.invalidate(&question.key()).await;
    }

    pub fn forget_all(&self) {
        self.cache.invalidate_all();
    }
}

fn entry(question: &Question, answer: Answer, fresh_s: u64, now: UnixMillis) -> Result<Arc<Entry>, LookupError> {
    let (text, found, source_version, lives) = match answer {
        Answer::NotFound => (Vec::new(), false, String::new(), fresh_s.min(NEGATIVE_S)),
        Answer::Found { mut fields, source_version } => {
            fields.retain(|name, _| question.fields.contains(name)); // nothing that was not asked for is kept
            let missing: Vec<_> = question.fields.iter().filter(|f| !fields.contains_key(*f)).cloned().collect();
            if !missing.is_empty() {
                let why = format!("fields missing: {}", missing.join(", "));
                return Err(LookupError::BadAnswer { resource: question.resource.clone(), why });
            }
            (serde_json::to_vec(&fields).unwrap_or_default(), true, source_version, fresh_s)
        }
    };
    Ok(Arc::new(Entry { text, found, source_version, fetched_at: now, lives: Duration::from_secs(lives) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn question(purpose: &str, subject: &str) -> Question {
        Question {
            resource: "DR-HH".into(),
            subject: subject.into(),
            purpose: purpose.into(),
            fields: ["address".to_owned()].into(),
        }
    }

    fn answer() -> Answer {
        let fields = [("address".to_owned(), Value::from("济源")), ("phone".to_owned(), Value::from("1"))].into();
        Answer::Found { fields, source_version: "7".into() }
    }

    #[tokio::test]
    async fn a_thousand_equal_questions_make_one_call() {
        let lookups = Lookups::new(1 << 20);
        let calls = Arc::new(AtomicUsize::new(0));
        let asked: Vec<_> = (0..1_000)
            .map(|_| {
                let (lookups, calls) = (lookups.clone(), calls.clone());
                tokio::spawn(async move {
                    let fetch = async {
                        calls.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        Ok(answer())
                    };
                    lookups.ask(&question("item-a", "p1"), 60, UnixMillis(1), fetch).await
                })
            })
            .collect();
        let mut from_cache = 0;
        for a in asked {
            let fact = a.await.unwrap().unwrap();
            assert_eq!(fact.fields().keys().collect::<Vec<_>>(), ["address"], "only what was asked for");
            from_cache += usize::from(fact.cached());
        }
        assert_eq!((calls.load(Ordering::SeqCst), from_cache), (1, 999));
    }

    #[tokio::test]
    async fn another_purpose_or_person_is_another_lookup() {
        let lookups = Lookups::new(1 << 20);
        for (purpose, subject, cached) in
            [("a", "p1", false), ("a", "p1", true), ("b", "p1", false), ("a", "p2", false), ("b", "p1", true)]
        {
            let fact =
                lookups.ask(&question(purpose, subject), 60, UnixMillis(1), async { Ok(answer()) }).await.unwrap();
            assert_eq!(fact.cached(), cached, "{purpose} {subject}");
        }
        lookups.forget(&question("a", "p1")).await;
        let fact = lookups.ask(&question("a", "p1"), 60, UnixMillis(1), async { Ok(answer()) }).await.unwrap();
        assert!(!fact.cached(), "revoked answers are not used again");
    }

    #[tokio::test]
    async fn failures_are_not_kept_and_missing_fields_are_failures() {
        let lookups = Lookups::new(1 << 20);
        let down = LookupError::Down { resource: "DR-HH".into(), why: "x".into() };
        assert!(lookups.ask(&question("a", "p"), 60, UnixMillis(1), async { Err(down) }).await.is_err());
        let thin = Answer::Found { fields: BTreeMap::new(), source_version: String::new() };
        let got = lookups.ask(&question("a", "p"), 60, UnixMillis(1), async { Ok(thin) }).await;
        assert!(matches!(got, Err(LookupError::BadAnswer { .. })));
        let got = lookups.ask(&question("a", "p"), 60, UnixMillis(1), async { Ok(Answer::NotFound) }).await;
        assert!(matches!(got, Err(LookupError::UnknownSubject(_))));
    }
}
