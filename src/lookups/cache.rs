//! The cache: bound to purpose and person, bounded in octets, wiped on drop.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Expiry;
use moka::future::Cache;
use serde_json::Value;
use zeroize::Zeroizing;

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
    /// Gateway that answers for it: its word that something changed counts.
    pub source: String,
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
    /// `fresh_s`: how long it holds, in seconds, where the provider says so.
    Found {
        fields: BTreeMap<String, Value>,
        source_version: String,
        fresh_s: Option<u64>,
    },
    NotFound,
}

struct Entry {
    resource: String,
    subject: String,
    source: String,
    /// JSON text, so that it can be wiped: it is when the last holder lets go.
    text: Zeroizing<Vec<u8>>,
    found: bool,
    source_version: String,
    fetched_at: UnixMillis,
    lives: Duration,
}

/// How long answers are kept, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// An answer is used again for so long, or less where it says so itself.
    pub fresh_s: u64,
    /// For so long beyond that it stands in while the provider is down; 0: never.
    pub stale_s: u64,
}

impl Keeping {
    pub fn fresh(fresh_s: u64) -> Self {
        Self { fresh_s, stale_s: 0 }
    }
}

/// Something changed at its source: what was kept of it is not used again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// Gateway that answers for it.
    pub source: String,
    pub resource: String,
    /// Pseudonym of the person; everybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Changed {
    fn is_about(&self, entry: &Entry) -> bool {
        entry.source == self.source
            && entry.resource == self.resource
            && self.subject.as_deref().is_none_or(|subject| subject == entry.person())
    }
}

/// A shared-data answer with purpose and age: only [`Lookups::ask`] makes one.
///
/// What the cache keeps is wiped when it goes. This is not: its fields are plain values, which whoever asked reads and lets
/// go with the request, as are the provider's answer before it was kept and what reading either left on the way.
#[derive(Clone, Debug)]
pub struct Fact {
    resource: String,
    purpose: String,
    fields: BTreeMap<String, Value>,
    fetched_at: UnixMillis,
    cached: bool,
    stale: bool,
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
    /// Whether it stands in, older than it should be, because the provider is down.
    pub fn stale(&self) -> bool {
        self.stale
    }
    pub fn source_version(&self) -> &str {
        &self.source_version
    }
}

impl Entry {
    /// Whom it is about: questions about a licence name the person before a slash.
    fn person(&self) -> &str {
        self.subject.split('/').next().unwrap_or_default()
    }

    /// The same for another while.
    fn kept_for(&self, lives: Duration) -> Self {
        Self {
            resource: self.resource.clone(),
            subject: self.subject.clone(),
            source: self.source.clone(),
            text: self.text.clone(),
            found: self.found,
            source_version: self.source_version.clone(),
            fetched_at: self.fetched_at,
            lives,
        }
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
    /// What may stand in.
    older: Cache<Digest, Arc<Entry>>,
    /// Counts changes: an answer that was on its way while one came is not kept.
    changes: Arc<AtomicU64>,
}

/// A "not found" may be mended any minute: it is kept for at most this long.
const NEGATIVE_S: u64 = 30;

impl Lookups {
    /// A cache of at most `octets` of answers.
    pub fn new(octets: u64) -> Self {
        let cache = |octets| {
            Cache::builder()
                .max_capacity(octets)
                .weigher(|_, entry: &Arc<Entry>| {
                    let names = entry.resource.len() + entry.subject.len() + entry.source.len();
                    u32::try_from(entry.text.len() + names + 192).unwrap_or(u32::MAX)
                })
                .expire_after(Lifetimes)
                .build()
        };
        Self { cache: cache(octets - octets / 4), older: cache(octets / 4), changes: Arc::default() }
    }

    /// Answers from the cache while the answer is fresh, else from `fetch`; equal questions asked at once make one call.
    /// Where the provider is down, or answers what nobody can read, and the resource allows it, an older answer stands in
    /// and says so.
    ///
    /// # Errors
    /// [`LookupError::UnknownSubject`] when the provider knows nobody, or what `fetch` failed with. Failures are not
    /// kept.
    pub async fn ask<F>(
        &self,
        question: &Question,
        keeping: Keeping,
        now: UnixMillis,
        fetch: F,
    ) -> Result<Fact, LookupError>
    where
        F: Future<Output = Result<Answer, LookupError>>,
    {
        let (mut called, mut stale, key) = (false, false, question.key());
        let before = self.changes.load(Ordering::SeqCst);
        let asked = self
            .cache
            .try_get_with(key, async {
                called = true;
                let answer = fetch.await?;
                entry(question, answer, keeping.fresh_s, now)
            })
            .await;
        let entry = match asked.map_err(|e: Arc<LookupError>| (*e).clone()) {
            Ok(entry) => entry,
            Err(error @ (LookupError::Down { .. } | LookupError::BadAnswer { .. })) if keeping.stale_s > 0 => {
                let older = self.older.get(&key).await;
                let oldest = now.0.saturating_sub(keeping.fresh_s.saturating_add(keeping.stale_s) as i64 * 1_000);
                stale = true;
                called = false;
                older.filter(|entry| entry.fetched_at.0 >= oldest).ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        if called {
            if keeping.stale_s > 0 && entry.found {
                let lives = entry.lives.saturating_add(Duration::from_secs(keeping.stale_s));
                self.older.insert(key, Arc::new(entry.kept_for(lives))).await;
            }
            // A change that came while the answer was on its way may be what it lacks.
            if self.changes.load(Ordering::SeqCst) != before {
                self.forget(question).await;
            }
        }
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
            stale,
            source_version: entry.source_version.clone(),
        })
    }

    /// The provider says its data about this resource changed: nothing kept is used again.
    pub async fn forget(&self, question: &Question) {
        self.cache.invalidate(&question.key()).await;
        self.older.invalidate(&question.key()).await;
    }

    /// Something changed at its source: nothing kept of it is used again, nor what is on its way now.
    pub async fn changed(&self, change: &Changed) {
        self.forget_where(|entry| change.is_about(entry)).await;
    }

    /// A person took a paper back: nothing kept about them is used again, nor what is on its way now.
    pub async fn forget_person(&self, subject: &str) {
        self.forget_where(|entry| entry.person() == subject).await;
    }

    async fn forget_where(&self, which: impl Fn(&Entry) -> bool) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        for cache in [&self.cache, &self.older] {
            let about: Vec<Digest> = cache.iter().filter(|(_, entry)| which(entry)).map(|(key, _)| *key).collect();
            for key in about {
                cache.invalidate(&key).await;
            }
        }
    }

    pub fn forget_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate_all();
        self.older.invalidate_all();
    }
}

fn entry(question: &Question, answer: Answer, fresh_s: u64, now: UnixMillis) -> Result<Arc<Entry>, LookupError> {
    let (text, found, source_version, lives) = match answer {
        Answer::NotFound => (Vec::new(), false, String::new(), fresh_s.min(NEGATIVE_S)),
        Answer::Found { mut fields, source_version, fresh_s: said } => {
            let fresh_s = said.map_or(fresh_s, |said| said.min(fresh_s)); // it knows better, but the register has the last word
            fields.retain(|name, _| question.fields.contains(name)); // nothing that was not asked for is kept
            let missing: Vec<_> = question.fields.iter().filter(|f| !fields.contains_key(*f)).cloned().collect();
            if !missing.is_empty() {
                let why = format!("fields missing: {}", missing.join(", "));
                return Err(LookupError::BadAnswer { resource: question.resource.clone(), why });
            }
            (serde_json::to_vec(&fields).unwrap_or_default(), true, source_version, fresh_s)
        }
    };
    Ok(Arc::new(Entry {
        resource: question.resource.clone(),
        subject: question.subject.clone(),
        source: question.source.clone(),
        text: Zeroizing::new(text),
        found,
        source_version,
        fetched_at: now,
        lives: Duration::from_secs(lives),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn question(purpose: &str, subject: &str) -> Question {
        Question {
            resource: "DR-HH".into(),
            subject: subject.into(),
            purpose: purpose.into(),
            fields: ["address".to_owned()].into(),
            source: "gw-b".into(),
        }
    }

    fn answer() -> Answer {
        let fields = [("address".to_owned(), Value::from("济源")), ("phone".to_owned(), Value::from("1"))].into();
        Answer::Found { fields, source_version: "7".into(), fresh_s: None }
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
                    lookups.ask(&question("item-a", "p1"), Keeping::fresh(60), UnixMillis(1), fetch).await
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
            let fact = lookups
                .ask(&question(purpose, subject), Keeping::fresh(60), UnixMillis(1), async { Ok(answer()) })
                .await
                .unwrap();
            assert_eq!(fact.cached(), cached, "{purpose} {subject}");
        }
        lookups.forget(&question("a", "p1")).await;
        let fact =
            lookups.ask(&question("a", "p1"), Keeping::fresh(60), UnixMillis(1), async { Ok(answer()) }).await.unwrap();
        assert!(!fact.cached(), "revoked answers are not used again");
    }

    #[tokio::test]
    async fn failures_are_not_kept_and_missing_fields_are_failures() {
        let lookups = Lookups::new(1 << 20);
        let down = LookupError::Down { resource: "DR-HH".into(), why: "x".into() };
        assert!(
            lookups.ask(&question("a", "p"), Keeping::fresh(60), UnixMillis(1), async { Err(down) }).await.is_err()
        );
        let thin = Answer::Found { fields: BTreeMap::new(), source_version: String::new(), fresh_s: None };
        let got = lookups.ask(&question("a", "p"), Keeping::fresh(60), UnixMillis(1), async { Ok(thin) }).await;
        assert!(matches!(got, Err(LookupError::BadAnswer { .. })));
        let got =
            lookups.ask(&question("a", "p"), Keeping::fresh(60), UnixMillis(1), async { Ok(Answer::NotFound) }).await;
        assert!(matches!(got, Err(LookupError::UnknownSubject(_))));
    }

    /// What the two caches hold stays below their bound, whether answers, names or neither are long.
    #[tokio::test]
    async fn answers_are_bounded_in_octets() {
        const BOUND: u64 = 64 << 10;
        for (subject, value, most) in [(1, 1_000, 60), (1_000, 1, 60), (1, 1, 360), (1, 100_000, 0)] {
            let lookups = Lookups::new(BOUND);
            for n in 0..1_000 {
                let fields = [("address".to_owned(), Value::from("x".repeat(value)))].into();
                let answer = Answer::Found { fields, source_version: String::new(), fresh_s: None };
                let asked = question("a", &format!("{n:0subject$}"));
                let keeping = Keeping { fresh_s: 60, stale_s: 600 };
                let fact = lookups.ask(&asked, keeping, UnixMillis(1), async { Ok(answer) }).await.unwrap();
                assert_eq!(fact.fields()["address"].as_str().map(str::len), Some(value), "kept or not, it is answered");
            }
            let (mut octets, mut kept) = (0, 0);
            for cache in [&lookups.cache, &lookups.older] {
                cache.run_pending_tasks().await;
                octets += cache.iter().map(|(_, entry)| entry.text.len() + entry.subject.len()).sum::<usize>();
                kept += cache.iter().count();
            }
            assert!(octets as u64 <= BOUND, "{subject} {value}: {octets} octets");
            assert!(kept <= most && (kept > 0 || most == 0), "{subject} {value}: {kept} answers");
        }
    }

    /// That a register knows nobody may be mended any minute: it holds for half a minute at most, and never stands in.
    #[tokio::test]
    async fn negative_answers_are_kept_for_a_shorter_time() {
        for (register, found, nobody) in [(0, 0, 0), (10, 10, 10), (30, 30, 30), (31, 31, 30), (86_400, 86_400, 30)] {
            for (answer, want) in [(answer(), found), (Answer::NotFound, nobody)] {
                let kept = entry(&question("a", "p"), answer.clone(), register, UnixMillis(1)).unwrap();
                assert_eq!(kept.lives, Duration::from_secs(want), "{register} s: {answer:?}");
            }
        }
        let lookups = Lookups::new(1 << 20);
        let keeping = Keeping { fresh_s: 60, stale_s: 600 };
        let asked = question("a", "p");
        for (what, said) in [("asked", Answer::NotFound), ("kept", answer())] {
            let got = lookups.ask(&asked, keeping, UnixMillis(1), async { Ok(said) }).await;
            assert!(matches!(got, Err(LookupError::UnknownSubject(_))), "{what}: {got:?}");
        }
        assert!(lookups.older.get(&asked.key()).await.is_none());
    }

    /// The provider may say that an answer holds for less than the register has it, never for more.
    #[tokio::test]
    async fn an_answer_holds_as_long_as_it_says_and_the_register_allows() {
        for (said, register, cached) in [
            (None, 60, true),
            (Some(600), 60, true),
            (Some(0), 60, false),
            (Some(600), 0, false), // the register has the last word
        ] {
            let lookups = Lookups::new(1 << 20);
            let said = || async move {
                let Answer::Found { fields, source_version, .. } = answer() else { panic!("found") };
                Ok(Answer::Found { fields, source_version, fresh_s: said })
            };
            let asked = question("a", "p");
            lookups.ask(&asked, Keeping::fresh(register), UnixMillis(1), said()).await.unwrap();
            let again = lookups.ask(&asked, Keeping::fresh(register), UnixMillis(1), said()).await.unwrap();
            assert_eq!(again.cached(), cached, "{register}");
        }
    }

    #[tokio::test]
    async fn older_answers_stand_in_only_where_they_may() {
        let down = || async { Err(LookupError::Down { resource: "DR-HH".into(), why: "x".into() }) };
        for (keeping, minutes, want) in [
            (Keeping { fresh_s: 0, stale_s: 600 }, 0, Some(true)),
            (Keeping { fresh_s: 0, stale_s: 600 }, 10, Some(true)),
            (Keeping { fresh_s: 0, stale_s: 600 }, 11, None), // too old even for that
            (Keeping { fresh_s: 0, stale_s: 0 }, 0, None),    // never for this resource
        ] {
            let lookups = Lookups::new(1 << 20);
            let start = UnixMillis(1_000_000);
            let first = lookups.ask(&question("a", "p"), keeping, start, async { Ok(answer()) }).await.unwrap();
            assert!(!first.stale() && !first.cached());
            let later = UnixMillis(start.0 + minutes * 60_000);
            let got = lookups.ask(&question("a", "p"), keeping, later, down()).await.ok();
            assert_eq!(got.as_ref().map(Fact::stale), want, "{keeping:?} after {minutes} min");
            assert!(got.is_none_or(|fact| fact.cached() && fact.fetched_at() == start), "it tells its age");
            let garbled = || async { Err(LookupError::BadAnswer { resource: "DR-HH".into(), why: "x".into() }) };
            let got = lookups.ask(&question("a", "p"), keeping, later, garbled()).await.ok();
            assert_eq!(got.as_ref().map(Fact::stale), want, "an answer of no use is no answer");
            let other = lookups.ask(&question("b", "p"), keeping, later, down()).await;
            assert!(other.is_err(), "another purpose has no older answer");
        }
    }

    #[tokio::test]
    async fn what_changed_at_its_source_is_not_used_again() {
        let change = |source: &str, resource: &str, subject: Option<&str>| Changed {
            source: source.into(),
            resource: resource.into(),
            subject: subject.map(str::to_owned),
        };
        let keeping = Keeping { fresh_s: 60, stale_s: 600 };
        for (change, forgotten) in [
            (change("gw-b", "DR-HH", Some("p1")), true),
            (change("gw-b", "DR-HH", None), true),
            (change("gw-b", "DR-HH", Some("p2")), false),
            (change("gw-b", "DR-POP", None), false),
            (change("gw-c", "DR-HH", None), false), // it does not answer for this
        ] {
            for subject in ["p1", "p1/licence-7"] {
                let lookups = Lookups::new(1 << 20);
                let asked = question("a", subject);
                lookups.ask(&asked, keeping, UnixMillis(1), async { Ok(answer()) }).await.unwrap();
                lookups.changed(&change).await;
                let down = async { Err(LookupError::Down { resource: "DR-HH".into(), why: "x".into() }) };
                let got = lookups.ask(&asked, keeping, UnixMillis(1), down).await;
                assert_eq!(got.is_err(), forgotten, "{change:?} {subject}");
            }
        }
    }

    #[tokio::test]
    async fn who_takes_a_paper_back_is_asked_about_anew() {
        for (taken_back_by, subject, forgotten) in [
            ("p1", "p1", true),
            ("p1", "p1/licence-7", true),
            ("p2", "p1", false),
            ("p", "p1", false),
            ("", "p1", false),
        ] {
            let lookups = Lookups::new(1 << 20);
            let asked = question("a", subject);
            lookups.ask(&asked, Keeping::fresh(60), UnixMillis(1), async { Ok(answer()) }).await.unwrap();
            lookups.forget_person(taken_back_by).await;
            let again = lookups.ask(&asked, Keeping::fresh(60), UnixMillis(1), async { Ok(answer()) }).await.unwrap();
            assert_eq!(again.cached(), !forgotten, "{taken_back_by}: {subject}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_a_change_overtook_is_not_kept() {
        let lookups = Lookups::new(1 << 20);
        let keeping = Keeping { fresh_s: 60, stale_s: 600 };
        let change = Changed { source: "gw-b".into(), resource: "DR-HH".into(), subject: None };
        let overtaken = async {
            lookups.changed(&change).await;
            Ok(answer())
        };
        assert!(lookups.ask(&question("a", "p"), keeping, UnixMillis(1), overtaken).await.is_ok());
        let again = lookups.ask(&question("a", "p"), keeping, UnixMillis(1), async { Ok(answer()) }).await.unwrap();
        assert!(!again.cached());
    }
}
