//! A window that works on while gateways are killed, and an auditor who keeps every checkpoint that is shown: what either was told
//! holds afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::federation::{Federation, Headers, Window};
use super::tools;
use super::tools::acknowledged::Acknowledged;

/// Between two looks: some dozen between two kills.
const LOOK: Duration = Duration::from_millis(60);
/// Between two filings: each is carried to its end, by gateways that are killed meanwhile.
const FILING: Duration = Duration::from_millis(1_500);
/// Tokens live for some minutes.
const TOKENS: Duration = Duration::from_secs(60);

/// What each gateway said.
type Words = [Acknowledged; 2];

pub struct Meanwhile {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Words>>,
    folder: PathBuf,
}

impl Meanwhile {
    pub fn begin(folder: &Path) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicUsize::new(0));
        let (is_over, count, place) = (over.clone(), answers.clone(), folder.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work(&place, &is_over, &count))
        });
        Self { over, answers, thread: Some(thread), folder: folder.to_owned() }
    }

    /// How often it was told of a line that is kept.
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Ends it; what was said is to be held against the logs when the gateways have ended, too.
    pub fn end(mut self) -> Words {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("no panic")
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        // A test that fails says what the window was told, too: it ends with its folder.
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            println!("the window at {} was sent home", self.folder.display());
        }
    }
}

/// Holds what was said against both logs.
pub fn hold(words: &Words, folder: &Path) {
    let told = tools::announced(folder).expect("federation.json");
    for (gateway, word) in words.iter().enumerate() {
        let told = &told["gateways"][gateway];
        let log = folder.join(told["name"].as_str().expect("name")).join("data/log");
        let (lines, checkpoints) = word.counts();
        println!("{}: {lines} lines acknowledged, {checkpoints} checkpoints shown", told["name"]);
        assert!(
            lines >= 10 && checkpoints >= 3,
            "it worked between the kills: {lines} lines, {checkpoints} checkpoints"
        );
        word.hold(&log, told["log_key"].as_str().expect("log_key"), &folder.join(format!("held-{gateway}")));
    }
}

struct Desk {
    federation: Federation,
    both: Headers,
    licence: Vec<u8>,
    since: Instant,
}

impl Desk {
    fn open(folder: &Path) -> Option<Self> {
        let federation = Federation::running(folder)?;
        let both = vec![
            ("authorization", format!("Bearer {}", federation.token("clerk"))),
            ("tongban-subject-token", federation.token("citizen")),
        ];
        let licence = federation.licence();
        Some(Self { federation, both, licence, since: Instant::now() })
    }

    /// A client that was not answered five times in a row would rest: each has its own.
    fn window(&self, gateway: usize) -> Window {
        match gateway {
            0 => self.federation.client("window", 0),
            _ => self.federation.anybody(gateway),
        }
    }
}

async fn work(folder: &Path, over: &AtomicBool, answers: &AtomicUsize) -> Words {
    let mut words = Words::default();
    let (mut desk, mut filed) = (None::<Desk>, Instant::now());
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK).await;
        if desk.as_ref().is_none_or(|desk| desk.since.elapsed() > TOKENS) {
            desk = Desk::open(folder);
        }
        let Some(desk) = &desk else { continue };
        for (gateway, word) in words.iter_mut().enumerate() {
            let window = desk.window(gateway);
            let log = desk.federation.at_log(window.clone(), gateway);
            if let Ok(note) = log.ask("GET", "/checkpoint", &Headers::new(), None).await
                && note.status == 200
            {
                word.checkpoint(&note.bytes);
            }
            if let Ok(answer) = window.ask("GET", "/v1/nothing/here", &Headers::new(), None).await {
                word.answer(&answer.json);
            }
        }
        if filed.elapsed() > FILING {
            filed = Instant::now();
            let request = json!({
                "item": "002009901000", "places": {"household": "419001"}, "present": true, "consent": true,
                "form": {"use": "入学"}, "materials": [{"no": 1, "file": "id.ofd"}],
            });
            let files = [("id.ofd", desk.licence.clone())];
            let answer = desk.federation.try_filing(&desk.window(0), &desk.both, &request, &files).await;
            if let Ok(answer) = answer {
                words[0].answer(&answer.json);
            }
        }
        answers.store(words.iter().map(|word| word.counts().0).sum(), Ordering::Relaxed);
    }
    words
}
