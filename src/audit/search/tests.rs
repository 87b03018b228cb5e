use super::index::Index;
use super::*;
use crate::audit::entry::{Actor, Decision, Entry, Subject, Word};
use crate::audit::note::{KeyKind, Signer};
use crate::audit::verify::SegmentFolder;
use crate::audit::{Kind, Log, OpenOptions};
use crate::store::{Store, StoreError};

const FIRST: Page = Page { from: 0, skip: 0, limit: 100 };
const CASE: Pseudonym = Pseudonym([7; 16]);
const PERSON: Pseudonym = Pseudonym([9; 16]);

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// 300 events of others (two bundles), and among them four that are looked for.
fn world() -> (tempfile::TempDir, VerifierKey) {
    let (dir, signer) = (tempfile::tempdir().unwrap(), Signer::from_seed("own.example/gw", &[7; 32]).unwrap());
    let key = signer.verifier(KeyKind::Ed25519);
    let log = Log::open(dir.path(), OpenOptions::new(signer)).unwrap();
    let others = |ts| {
        for k in 0..150 {
            let entry = Entry::new(Kind::CaseEvent, UnixMillis(ts)).case(Pseudonym([100 + k % 9; 16]));
            log.append_blocking(&entry).unwrap();
        }
    };
    others(1);
    let clerk = Actor { staff: Some(word("S1")), terminal: Some(word("W7")), ..Actor::default() };
    let intent = Entry::new(Kind::CaseIntent, UnixMillis(1_000)).case(CASE).actor(clerk);
    let intent = log.append_blocking(&intent).unwrap();
    log.append_blocking(&Entry::new(Kind::Recovered, UnixMillis(2_000)).of(intent.leaf)).unwrap();
    let subject = Subject { pid: Some(PERSON), ..Subject::default() };
    let no = Decision { verdict: Some(word("deny")), rules: vec![word("r1"), word("r2")], ..Decision::default() };
    log.append_blocking(&Entry::new(Kind::Deny, UnixMillis(3_000)).subj(subject).dec(no)).unwrap();
    others(4_000);
    log.append_blocking(&Entry::new(Kind::CaseEvent, UnixMillis(5_000)).case(CASE)).unwrap();
    log.publish();
    (dir, key)
}

/// What is looked for, and where it stands.
fn looked_for() -> Vec<(&'static str, Filter, Vec<u64>)> {
    let text = |text: &str| Some(text.to_owned());
    let any = Filter::default;
    vec![
        ("a case with what closes its intents", Filter { case: Some(CASE), ..any() }, vec![150, 151, 303]),
        ("a person", Filter { person: Some(PERSON), ..any() }, vec![152]),
        ("a case is no person", Filter { person: Some(CASE), ..any() }, vec![]),
        ("a clerk", Filter { actor: text("S1"), ..any() }, vec![150]),
        ("a window", Filter { outlet: text("W7"), ..any() }, vec![150]),
        ("a verdict", Filter { decision: text("deny"), ..any() }, vec![152]),
        ("a rule", Filter { decision: text("r2"), ..any() }, vec![152]),
        ("a part of a rule's name is no rule", Filter { decision: text("r"), ..any() }, vec![]),
        ("a kind", Filter { kind: text("recovered"), ..any() }, vec![151]),
        ("an item that nobody asked for", Filter { item: text("000105103000"), ..any() }, vec![]),
        (
            "a time, its end left out",
            Filter { since: Some(UnixMillis(1_000)), until: Some(UnixMillis(3_000)), ..any() },
            vec![150, 151],
        ),
        (
            "all at once",
            Filter { case: Some(CASE), since: Some(UnixMillis(2_000)), kind: text("case.event"), ..any() },
            vec![303],
        ),
    ]
}

fn indexes(found: &Found) -> Vec<u64> {
    found.places.iter().map(|place| place.index).collect()
}

const PAGES: [(u64, u64, usize, &[u64]); 6] = [
    (0, 0, 2, &[150, 151]),
    (0, 2, 2, &[303]),
    (0, 3, 2, &[]),
    (0, 1, 1, &[151]),
    (151, 0, 9, &[151, 303]),
    (304, 0, 9, &[]),
];

#[test]
fn what_fits_is_found_and_nothing_else() {
    let (dir, key) = world();
    let folder = SegmentFolder::new(dir.path().to_owned());
    for (name, filter, want) in looked_for() {
        let found = search(&folder, &key, &filter, FIRST).unwrap();
        assert_eq!((indexes(&found), found.matched, found.unread), (want.clone(), want.len() as u64, 0), "{name}");
        let (entries, prover) = (Entries::new(&folder, found.size), Prover::new(&folder, &key, &found).unwrap());
        for place in &found.places {
            let hit = entries.hit(*place).unwrap();
            let proof = prover.prove(&hit).unwrap().to_string();
            assert!(TlogProof::parse(&proof).unwrap().verify(&hit.bytes, &key).is_ok(), "{name}");
        }
    }
    let case = Filter { case: Some(CASE), ..Filter::default() };
    for (from, skip, limit, want) in PAGES {
        let page = search(&folder, &key, &case, Page { from, skip, limit }).unwrap();
        let all = [150, 151, 303].into_iter().filter(|at| *at >= from).count() as u64;
        assert_eq!((&indexes(&page)[..], page.matched), (want, all), "{from} {skip} {limit}");
    }
}

/// An index of the folder, made in steps; the file lies beside the folder.
async fn indexed(folder: &dyn Fetch, key: &VerifierKey, file: &std::path::Path) -> Keeper {
    let mut keeper = Keeper::open(file, key).await.unwrap();
    while keeper.take(step(folder, key, keeper.index().head().await.unwrap()).unwrap()).await.unwrap() {}
    keeper
}

async fn by_rows(
    index: &Index,
    folder: &dyn Fetch,
    key: &VerifierKey,
    filter: &Filter,
    page: Page,
) -> Result<Found, SearchError> {
    let rows = index.find(filter, page, 304).await.unwrap();
    search_rows(folder, key, filter, page, &rows)
}

#[tokio::test]
async fn an_index_finds_the_same() {
    let (dir, key) = world();
    let folder = SegmentFolder::new(dir.path().to_owned());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("log-index.db");
    // Of 200 entries first: the rest is read from the log.
    let half = Keeper::open(&file, &key).await.unwrap();
    let Step::Entries(0, mut entries) = step(&folder, &key, (0, None)).unwrap() else { panic!("a first step") };
    entries.truncate(200);
    assert_eq!(half.index().add(0, &entries).await.unwrap(), 200);
    assert!(matches!(half.index().add(0, &entries).await, Err(StoreError::Conflict(_))), "what is in goes in once");
    let case = Filter { case: Some(CASE), ..Filter::default() };
    for whole in [false, true] {
        let keeper = if whole { indexed(&folder, &key, &file).await } else { Keeper::open(&file, &key).await.unwrap() };
        for (name, filter, want) in looked_for() {
            let found = by_rows(keeper.index(), &folder, &key, &filter, FIRST).await.unwrap();
            let sure = (found.unread, found.indexed);
            assert_eq!((indexes(&found), found.matched), (want.clone(), want.len() as u64), "{name}, {whole}");
            assert_eq!(sure, (0, if whole { 304 } else { 200 }), "{name}");
        }
        for (from, skip, limit, want) in PAGES {
            let page = by_rows(keeper.index(), &folder, &key, &case, Page { from, skip, limit }).await.unwrap();
            let all = [150, 151, 303].into_iter().filter(|at| *at >= from).count() as u64;
            assert_eq!((&indexes(&page)[..], page.matched), (want, all), "{from} {skip} {limit} {whole}");
        }
        keeper.index().close().await;
    }
}

#[tokio::test]
async fn an_index_can_hide_but_neither_invent_nor_change() {
    let (dir, key) = world();
    let folder = SegmentFolder::new(dir.path().to_owned());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("log-index.db");
    indexed(&folder, &key, &file).await.index().close().await;
    let case = Filter { case: Some(CASE), ..Filter::default() };
    let of_case = format!("field = 1 AND value = '{CASE}'");
    for (name, sql, want) in [
        ("a row more", format!("INSERT INTO word VALUES (1, '{CASE}', 200)"), None),
        ("another case's intent", format!("UPDATE word SET at = 149 WHERE at = 150 AND {of_case}"), None),
        ("the log's end", "UPDATE head SET leaf = (SELECT leaf FROM intent)".into(), None),
        ("a row less", format!("DELETE FROM word WHERE at = 303 AND {of_case}"), Some(vec![150, 151])),
        ("nothing", "DELETE FROM word WHERE at = 1000".into(), Some(vec![150, 151, 303])),
        ("an end before its rows", "UPDATE head SET next = 0".into(), Some(vec![150, 151, 303])),
        ("an end that is none", "UPDATE head SET next = -9".into(), Some(vec![150, 151, 303])),
    ] {
        let copy = place.path().join("copy.db");
        std::fs::copy(&file, &copy).unwrap();
        let store = Store::open(&format!("sqlite:{}", copy.display()), index::MIGRATIONS).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(tx.run()).await.unwrap();
        tx.commit(()).await.unwrap();
        store.close().await;
        let index = Index::open_to_read(&copy, &key).await.unwrap();
        let found = by_rows(&index, &folder, &key, &case, FIRST).await;
        index.close().await;
        match (found, want) {
            (Ok(found), Some(want)) => {
                assert_eq!((indexes(&found), found.matched), (want.clone(), want.len() as u64), "{name}");
            }
            (Err(SearchError::Index(_)), None) => {}
            (other, _) => panic!("{name}: {other:?}"),
        }
        Index::remove(&copy).unwrap();
    }
    assert_eq!(indexes(&search(&folder, &key, &case, FIRST).unwrap()), [150, 151, 303], "all of it is read");
}

#[tokio::test]
async fn an_index_that_is_no_good_is_made_anew() {
    let (dir, key) = world();
    let folder = SegmentFolder::new(dir.path().to_owned());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("log-index.db");
    indexed(&folder, &key, &file).await.index().close().await;
    let whole = std::fs::read(&file).unwrap();
    let other = Signer::from_seed("other.example/gw", &[9; 32]).unwrap().verifier(KeyKind::Ed25519);
    for (name, bytes) in [
        ("of another layout", None),
        ("no database", Some(b"this is a text of some length, and no database at all".repeat(200))),
        ("cut short", Some(whole[..whole.len() / 2].to_vec())),
        ("zeros in the middle", {
            let mut bytes = whole.clone();
            bytes[4096..].fill(0);
            Some(bytes)
        }),
        ("empty", Some(Vec::new())),
    ] {
        Index::remove(&file).unwrap();
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => Store::open(&format!("sqlite:{}", file.display()), &[]).await.unwrap().close().await,
        }
        let keeper = indexed(&folder, &key, &file).await;
        let case = Filter { case: Some(CASE), ..Filter::default() };
        let found = by_rows(keeper.index(), &folder, &key, &case, FIRST).await.unwrap();
        assert_eq!((indexes(&found), found.indexed), (vec![150, 151, 303], 304), "{name}");
        keeper.index().close().await;
    }
    assert!(Index::open_to_read(&file, &other).await.is_err(), "another log's index is not read");
    // Under another log's key it begins anew; a log that lost its end is another log.
    let anew = Index::open(&file, &other).await.unwrap();
    assert_eq!(anew.head().await.unwrap(), (0, None));
    anew.close().await;
    let past = Some(Place { index: 399, leaf: Digest([1; 32]) });
    assert_eq!(step(&folder, &key, (400, past)).unwrap(), Step::Foreign);
    let wrong = Some(Place { index: 99, leaf: Digest([1; 32]) });
    assert_eq!(step(&folder, &key, (100, wrong)).unwrap(), Step::Foreign);
}

/// The first bundle with one byte changed; it holds what is looked for, and much that is not.
struct Changed<'a>(&'a SegmentFolder, usize);

impl Fetch for Changed<'_> {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let mut found = self.0.get(path)?;
        if let Some(bytes) = found.as_mut().filter(|_| path.starts_with("tile/entries/000")) {
            let at = self.1 % bytes.len();
            bytes[at] ^= 1;
        }
        Ok(found)
    }
}

#[test]
fn a_changed_byte_anywhere_leaves_nothing_found() {
    let (dir, key) = world();
    let folder = SegmentFolder::new(dir.path().to_owned());
    let filter = Filter { person: Some(PERSON), ..Filter::default() };
    for at in (0..40_000).step_by(1_009) {
        let error = search(&Changed(&folder, at), &key, &filter, FIRST).unwrap_err();
        assert!(error.is_proof(), "byte {at}: {error}");
    }
    let stranger = Signer::from_seed("own.example/gw", &[8; 32]).unwrap().verifier(KeyKind::Ed25519);
    assert!(matches!(search(&folder, &stranger, &filter, FIRST), Err(SearchError::Checkpoint(_))));
}
