//! Whoever asks too fast waits: citizens, windows, departments, peers and outlets, each by who was authenticated.

use std::fs;
use std::time::Instant;

use super::*;
use federation::{Answer, Window};

const BURST: usize = 5;
const TRIES: usize = 20;

/// Other names for the same caller, as it would like to be known.
fn disguise(n: usize) -> Headers {
    vec![
        ("x-forwarded-for", format!("198.51.100.{n}")),
        ("forwarded", format!("for=198.51.100.{n}")),
        ("x-real-ip", format!("198.51.100.{n}")),
        ("user-agent", format!("client {n}")),
    ]
}

pub async fn each_caller_waits_for_itself(federation: &Federation) {
    let home = federation.folder.path().join("gw-440305");
    let (config, contracts) = (home.join("tongban.toml"), home.join("partners.toml"));
    let before = [&config, &contracts].map(|file| fs::read_to_string(file).expect("a file"));
    let reload = || {
        let done = tools::tongban(&["reload", "--config", &config.display().to_string()]);
        assert!(done.status.success(), "{}", tools::text(&done));
    };
    let slow = before[0].replace("{ per_second = 10000, burst = 20000 }", "{ per_second = 1, burst = 5 }");
    assert_ne!(slow, before[0]);
    fs::write(&config, slow).expect("written");
    // Of the two outlets the first only.
    let slow = before[1].replacen("per_second = 50\nburst = 100", "per_second = 1\nburst = 5", 1);
    assert_ne!(slow, before[1]);
    fs::write(&contracts, slow).expect("written");
    reload();

    let signed_in = |who: &str| -> Headers { vec![("authorization", format!("Bearer {}", federation.token(who)))] };
    let there = federation.folder.path().join("gw-419001/certs");
    let peer = federation.with(0, &there.join("tls.pem"), &there.join("tls.key"));
    let portal = federation.anybody(0);
    for (who, client, headers, path, code) in [
        ("citizen", portal.clone(), signed_in("citizen"), "/v1/cases", "TB-GW-0107"),
        ("window:W-440305-01", federation.client("window", 0), Headers::new(), "/v1/items", "TB-GW-0107"),
        ("system:bureau-440305", federation.client("bureau-440305", 0), Headers::new(), "/v1/items", "TB-GW-0107"),
        ("peer:gw-419001", peer, Headers::new(), "/v1/items", "TB-GW-0107"),
        ("outlet:bank-440305-01", federation.client("bank-440305-01", 0), Headers::new(), "/v1/items", "TB-PAR-0304"),
    ] {
        let refused_before = count(federation, "tongban_too_fast");
        let begun = Instant::now();
        let answers = at_once(&client, &headers, path).await;
        let served = served(&answers);
        let waits: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert_eq!(served + waits.len(), TRIES, "{who}");
        // The peer itself may have spoken meanwhile.
        let least = if who.starts_with("peer") { 1 } else { BURST };
        assert!((least..=most(begun)).contains(&served), "{who}: {served} served");
        for wait in &waits {
            assert_eq!(wait.json["code"], code, "{who}: {}", wait.text());
            assert!(wait.header("retry-after").parse::<u32>().is_ok_and(|s| (1..=5).contains(&s)), "{who}");
        }
        // One line, and the others are counted.
        assert_eq!(waits.iter().filter(|wait| wait.json["leaf"].is_u64()).count(), 1, "{who}");
        let lines: Vec<_> = waits.iter().filter_map(|wait| wait.json["trace"].as_str()).collect();
        let logged = logged(federation);
        let told: Vec<_> = lines.iter().filter_map(|trace| logged.get(*trace)).collect();
        assert_eq!(told, [code], "{who}");
        let refused = count(federation, "tongban_too_fast") - refused_before;
        assert!(refused >= waits.len() as i64, "{who}: {refused}");
        // Others of the kind are served, and so is this one when it has waited.
        if who == "citizen" {
            assert_eq!(portal.get(path, &signed_in("lisi")).await.status, 200, "another person");
        }
        if who.starts_with("outlet") {
            let other = federation.client("bank-440305-02", 0).get(path, &headers).await;
            assert_eq!(other.status, 200, "another outlet: {}", other.text());
        }
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        let after = client.get(path, &headers).await;
        assert_eq!(after.status, 200, "{who}, later: {}", after.text());
    }
    whatever_is_asked(federation).await;
    agents_by_name(federation).await;
    // A reload is no pardon: nobody is served more for it.
    let mine = signed_in("citizen");
    let begun = Instant::now();
    let first = at_once(&portal, &mine, "/v1/cases").await;
    reload();
    let second = at_once(&portal, &mine, "/v1/cases").await;
    assert!(served(&first) + served(&second) <= most(begun), "{} and {}", served(&first), served(&second));
    for (file, text) in [&config, &contracts].into_iter().zip(&before) {
        fs::write(file, text).expect("written");
    }
    reload();
    assert_eq!(portal.get("/v1/cases", &mine).await.status, 200, "as before");
}

/// What is not there, not so, or a page, counts like anything else that an outlet or a window asks.
async fn whatever_is_asked(federation: &Federation) {
    for (kind, code) in [("bank-440305-01", "TB-PAR-0304"), ("window", "TB-GW-0107")] {
        let client = federation.client(kind, 0);
        for (path, status) in [("/nothing", 404), ("/v1/lookups", 405), ("/v1//items", 400), ("/signed-out", 200)] {
            tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
            let begun = Instant::now();
            let answers = at_once(&client, &Headers::new(), path).await;
            let waits = answers.iter().filter(|answer| answer.status == 429).count();
            let others = answers.iter().filter(|answer| answer.status == status).count();
            assert_eq!(
                waits + others,
                TRIES,
                "{kind} {path}: {:?}",
                answers.iter().map(|a| a.status).collect::<Vec<_>>()
            );
            assert!((1..=most(begun)).contains(&others), "{kind} {path}: {others} were not told to wait");
            let mut told = answers.iter().filter(|answer| answer.status == 429 && answer.json.is_object());
            assert!(told.all(|answer| answer.json["code"] == code), "{kind} {path}");
        }
        // Nothing is left of its share, and still whoever sat there may sign out.
        let form = || Some(("application/x-www-form-urlencoded", b"key=none".to_vec()));
        let out = client.send("POST", "/sign-out", &Headers::new(), form()).await;
        assert_ne!(out.status, 429, "{kind}: {}", out.text());
    }
}

/// Who asks for tokens too fast is on record by name, with a line of their own, whoever else had one in that minute.
async fn agents_by_name(federation: &Federation) {
    const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &federation.token("citizen")),
        ("subject_token_type", ACCESS),
        ("actor_token", &federation.token("lisi")),
        ("actor_token_type", ACCESS),
        ("item", "002009901000"),
    ];
    let form = pairs.map(|(name, value)| format!("{name}={}", value.replace(':', "%3A"))).join("&");
    // At once: a slow machine would give them all the time that they are to be refused for.
    let all: Vec<_> = (0..TRIES)
        .map(|_| {
            let (client, form) = (federation.anybody(0), form.clone().into_bytes());
            let body = Some(("application/x-www-form-urlencoded", form));
            tokio::spawn(async move { client.send("POST", "/v1/token", &Headers::new(), body).await })
        })
        .collect();
    let mut leaves = Vec::new();
    for one in all {
        let answer = one.await.expect("an answer");
        if answer.status == 429 {
            assert_eq!(answer.json["error"], "temporarily_unavailable", "{}", answer.text());
            leaves.push(answer.json["leaf"].is_u64());
        }
    }
    assert_eq!(leaves.iter().filter(|leaf| **leaf).count(), 1, "of {} that were told to wait", leaves.len());
    let too_fast = refusals(federation).into_values().filter(|line| line["dec"]["reason"] == "TB-GW-0107");
    let (tokens, others): (Vec<_>, Vec<_>) = too_fast.partition(|line| line["req"]["route"] == "/v1/token");
    let pids = |lines: &[Value]| -> Vec<String> {
        let people = lines.iter().filter(|line| line["actor"]["kind"] == "citizen");
        people.map(|line| line["actor"]["pid"].as_str().expect("a name").to_owned()).collect()
    };
    let (agent, citizen) = (pids(&tokens), pids(&others));
    assert_eq!((agent.len(), citizen.len()), (1, 1), "{tokens:?} {others:?}");
    assert_ne!(agent, citizen);
}

fn served(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

/// What one caller can have had since then.
fn most(begun: Instant) -> usize {
    BURST + 1 + begun.elapsed().as_secs() as usize
}

/// Many requests at once, each under another disguise.
async fn at_once(client: &Window, headers: &Headers, path: &'static str) -> Vec<Answer> {
    let mut all = Vec::new();
    for n in 0..TRIES {
        let (client, headers) = (client.clone(), [headers.clone(), disguise(n)].concat());
        all.push(tokio::spawn(async move { client.get(path, &headers).await }));
    }
    let mut answers = Vec::new();
    for one in all {
        answers.push(one.await.expect("an answer"));
    }
    answers
}
