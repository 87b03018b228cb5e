//! A data provider that is away, hangs, fails or talks nonsense: the clerk is told what to do, the case goes on, the citizen
//! is not sent home; what is older stands in only where the resource allows it; and when the provider is back, it is asked.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::Operator;
use super::federation::{Answer, Federation, Headers, Window};

/// Longest wait for a provider that a gateway may be set to: what is changed meanwhile takes a slow machine some seconds.
const PATIENCE_S: u32 = 12;

/// How the provider answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Well,
    /// Well, after a while.
    Slow,
    /// Well, as soon as it is told to be otherwise.
    Waits,
    Hangs,
    Fails,
    Garbles,
    BreaksOff,
    Withholds,
    Floods,
    Refuses,
}

/// A provider that behaves as it is told; the next call already.
pub struct Provider {
    pub url: String,
    mood: Arc<Mutex<Mood>>,
    questions: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mood = Arc::new(Mutex::new(Mood::Well));
        let own = mood.clone();
        let questions = Arc::new(Mutex::new(Vec::new()));
        let heard = questions.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mood, moods) = (*own.lock().expect("whole"), own.clone());
                let heard = heard.clone();
                std::thread::spawn(move || answer(stream, (mood, &moods), &heard));
            }
        });
        Self { url, mood, questions }
    }

    /// How often it was asked about this resource: whoever files, or takes a case file, asks about licences, too.
    pub fn asked_about(&self, resource: &str) -> usize {
        self.questions.lock().expect("whole").iter().filter(|asked| *asked == resource).count()
    }

    /// A configuration in which the system of this name is found at another address.
    pub fn in_place_of(system: &str, config: &str, address: &str) -> String {
        let at = config.find(&format!("[[system]]\nid = \"{system}\"")).expect("the provider");
        let url = config[at..].lines().find(|line| line.starts_with("url = ")).expect("its address");
        config.replace(url, &format!("url = {address:?}\nanswer_s = {PATIENCE_S}"))
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.lock().expect("whole") = mood;
    }
}

fn answer(mut stream: TcpStream, (mood, moods): (Mood, &Mutex<Mood>), heard: &Mutex<Vec<String>>) {
    let asked = question(&mut stream);
    heard.lock().expect("whole").extend(asked["resource"].as_str().map(str::to_owned));
    let fields = |value: &dyn Fn(&str) -> Value| -> Value {
        let names = asked["fields"].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), value(name))).collect()
    };
    let word = |name: &str| if name == "status" { json!("valid") } else { json!("一") };
    let good = json!({"found": true, "fields": fields(&word), "version": "7"}).to_string();
    let sent = |status: &str, length: usize, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    };
    let text = match mood {
        Mood::Well => sent("200 OK", good.len(), &good),
        Mood::Slow => {
            std::thread::sleep(Duration::from_secs(2));
            sent("200 OK", good.len(), &good)
        }
        Mood::Waits => {
            while *moods.lock().expect("whole") == Mood::Waits {
                std::thread::sleep(Duration::from_millis(20));
            }
            sent("200 OK", good.len(), &good)
        }
        Mood::Hangs => {
            // Longer than anybody waits; the thread ends with the test.
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        Mood::Fails => sent("500 Internal Server Error", 0, ""),
        Mood::Garbles => sent("200 OK", 33, "<html>张三 990101199202290010</html>".get(..33).unwrap_or_default()),
        Mood::BreaksOff => sent("200 OK", good.len(), &good[..good.len() / 2]),
        Mood::Withholds => sent("200 OK", 42, r#"{"found":true,"fields":{},"version":"7"}  "#),
        Mood::Floods => sent("200 OK", 1 << 20, &" ".repeat(1 << 20)),
        Mood::Refuses => sent("403 Forbidden", 0, ""),
    };
    let _ = stream.write_all(text.as_bytes());
}

/// The JSON of a request.
fn question(stream: &mut TcpStream) -> Value {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return serde_json::from_str(body).unwrap_or_default();
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return Value::Null,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

/// The clerk at window A with the citizen before them; the data are behind gateway B.
struct Desk<'f> {
    federation: &'f Federation,
    here: Operator<'f>,
    window: Window,
    headers: Headers,
}

impl Desk<'_> {
    async fn file(&self) -> Answer {
        self.federation.file(&self.window, &self.headers, "419001", None).await
    }

    /// By hand, for a case that is open. The office may decide in between: then once more.
    async fn look_up(&self) -> Answer {
        for _ in 0..20 {
            let case = self.file().await.json["case"].clone();
            let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case"}).to_string().into_bytes();
            let answer = self.window.send("POST", "/v1/lookups", &self.headers, Some(("application/json", ask))).await;
            if answer.json["code"] != "TB-POL-0502" {
                return answer;
            }
        }
        panic!("no case stays open");
    }

    /// How the last lookup of the household went, as the log has it: class of the answer, age.
    fn last(&self) -> (String, String) {
        let lines = self.here.lines("data.read");
        let line = lines.iter().rev().find(|line| line["ev"][0]["type"] == "DR-HH").expect("a lookup on record");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (word(&line["up"]["result"]), word(&line["ev"][0]["age"]))
    }

    /// What became of the material that the household register gives.
    async fn verdict(&self, filed: &Answer) -> Value {
        let path = format!("/v1/cases/{}", filed.json["case"].as_str().expect("a case"));
        let seen = self.window.get(&path, &self.headers).await;
        let materials = seen.json["materials"].as_array().unwrap_or_else(|| panic!("{}", seen.text())).clone();
        materials.iter().find(|m| m["source"] == "shared").expect("a shared material")["verdict"].clone()
    }
}

/// A copy of the shipped catalogue in which answers of the household register are fresh for a second and may stand in.
fn patient(folder: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue/data/data-resources.csv");
    let text = fs::read_to_string(shipped).expect("the register");
    let (head, rest) = text.split_once('\n').expect("a header");
    let row = |row: &str| match row.starts_with("DR-HH,") {
        true => format!("{row},,1,600,"),
        false => format!("{row},,,,"),
    };
    let rows: Vec<_> = rest.lines().map(row).collect();
    fs::create_dir_all(folder).expect("a folder");
    fs::write(
        folder.join("data-resources.csv"),
        format!("{head},fields,fresh_s,stale_s,consent\n{}\n", rows.join("\n")),
    )
    .expect("written");
}

pub async fn down(federation: &Federation) {
    let desk = Desk {
        federation,
        here: Operator::new(federation),
        window: federation.client("W-440305-01", 0),
        headers: vec![
            ("authorization", format!("Bearer {}", federation.token("C-0001"))),
            ("tongban-subject-token", federation.token("citizen")),
        ],
    };
    let there = Operator::at(federation, 1);
    let (own, theirs) = (desk.here.read("tongban.toml"), there.read("tongban.toml"));
    let provider = Provider::start();
    // One that hangs is not waited for longer than has to be.
    let with = |address: &str| {
        let patient = Provider::in_place_of("household-register", &theirs, address);
        patient.replace(&format!("answer_s = {PATIENCE_S}"), "answer_s = 2")
    };
    there.write("tongban.toml", &with(&provider.url));

    for (mood, why, told) in [
        (Mood::Well, Value::Null, None),
        (Mood::Fails, json!("SOURCE_DOWN"), Some("TB-LKP-0002")),
        (Mood::BreaksOff, json!("SOURCE_DOWN"), Some("TB-LKP-0002")),
        (Mood::Floods, json!("SOURCE_DOWN"), Some("TB-LKP-0002")),
        (Mood::Garbles, json!("BAD_ANSWER"), Some("TB-LKP-0004")),
        (Mood::Withholds, json!("BAD_ANSWER"), Some("TB-LKP-0004")),
        (Mood::Refuses, json!("BAD_ANSWER"), Some("TB-LKP-0004")),
        (Mood::Hangs, json!("SOURCE_DOWN"), Some("TB-LKP-0002")),
    ] {
        // Nothing is left of what was looked up before, and no breaker rests.
        there.reload();
        desk.here.reload();
        provider.is(mood);
        let filed = desk.file().await;
        assert_eq!(filed.status, 202, "{mood:?}: nobody is sent home: {}", filed.text());
        let gaps = filed.json["gaps"].as_array().expect("a list");
        assert_eq!(gaps.first().and_then(|gap| gap["code"].as_str()), told, "{mood:?}: {}", filed.text());
        assert_eq!(desk.verdict(&filed).await, why, "{mood:?}: the owner sees what is missing");
        let lines = desk.here.lines("case.event");
        let line = lines.iter().rfind(|line| line["out"]["status"] == 202).expect("the filing on record");
        let missing = told.map_or(Value::Null, |_| json!([format!("material-{}", gaps[0]["no"])]));
        assert_eq!(line["dec"]["missing"], missing, "{mood:?}: {line}");
        let (result, age) = desk.last();
        assert_eq!((result.as_str(), age.as_str()), (if told.is_some() { "5xx" } else { "2xx" }, "fresh"), "{mood:?}");
        if let Some(told) = told {
            let gap = &gaps[0];
            assert!(gap["zh"].as_str().is_some_and(|zh| zh.contains("承诺书") && zh.contains("重试")), "{gap}");
            assert_eq!(gap["next"], "try_later", "{gap}");
            if mood != Mood::Hangs {
                let by_hand = desk.look_up().await;
                assert_eq!(by_hand.json["code"], told, "{mood:?}: {}", by_hand.text());
                assert!(by_hand.json["leaf"].is_u64(), "{mood:?} is on record");
                assert!(!by_hand.text().contains("张三"), "{mood:?}: what came is not told: {}", by_hand.text());
            }
        }
    }

    // Nobody at its address. Then back, without anything being reloaded: whoever asks again has fresh data.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    there.write("tongban.toml", &with(&format!("http://{closed}")));
    there.reload();
    desk.here.reload();
    for _ in 0..8 {
        // More often than a breaker bears: at rest or not, the case goes on.
        let filed = desk.file().await;
        assert_eq!(filed.json["gaps"][0]["code"], "TB-LKP-0002", "{}", filed.text());
    }
    let passed = federation.anybody(1);
    let citizen: Headers = vec![("authorization", format!("Bearer {}", federation.token("citizen")))];
    let reached = passed.get("/pass/social-security/status", &citizen).await;
    assert_eq!(reached.status, 200, "other systems behind the same gateway are reached: {}", reached.text());
    there.write("tongban.toml", &with(&provider.url));
    there.reload();
    desk.here.reload();
    provider.is(Mood::Fails);
    for _ in 0..6 {
        assert_eq!(desk.file().await.json["gaps"][0]["code"], "TB-LKP-0002");
    }
    provider.is(Mood::Well);
    let mut back = false;
    for _ in 0..100 {
        back = desk.file().await.json["gaps"] == json!([]);
        if back {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(back, "a provider that is back is asked again");

    // What is older stands in, and says so, only where the register allows it.
    let folder = desk.here.home.join("catalogue");
    patient(&folder);
    for (allowed, want) in [(false, json!("SOURCE_DOWN")), (true, json!("STALE"))] {
        let catalogue = own.replacen("partners =", "catalogue = \"catalogue\"\npartners =", 1);
        desk.here.write("tongban.toml", if allowed { &catalogue } else { &own });
        desk.here.reload();
        there.reload();
        provider.is(Mood::Well);
        let first = desk.file().await;
        assert_eq!(desk.verdict(&first).await, Value::Null, "{}", first.text());
        if allowed {
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        } else {
            desk.here.reload(); // forgotten, as if it were out of date
        }
        provider.is(Mood::Fails);
        let second = desk.file().await;
        assert_eq!(second.status, 202, "{}", second.text());
        assert_eq!(desk.verdict(&second).await, want, "allowed: {allowed}");
        if allowed {
            assert_eq!(desk.last().1, "stale", "and the log says so");
            let path = format!("/v1/cases/{}", second.json["case"].as_str().unwrap());
            let seen = desk.window.get(&path, &desk.headers).await;
            let fact = seen.json["facts"].as_array().unwrap().iter().find(|f| f["resource"] == "DR-HH").cloned();
            let fact = fact.unwrap_or_else(|| panic!("{}", seen.text()));
            let taken = seen.json["received_at"].as_str().unwrap();
            assert!(fact["fetched_at"].as_str().unwrap() < taken, "its age is told: {fact} {taken}");
            let by_hand = desk.look_up().await;
            assert_eq!((by_hand.status, &by_hand.json["stale"]), (200, &json!(true)), "{}", by_hand.text());
        }
    }
    desk.here.write("tongban.toml", &own);
    there.write("tongban.toml", &theirs);
    desk.here.reload();
    there.reload();
}
