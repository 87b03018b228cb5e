//! What somebody who can seal a bundle anew would like to have proven along with it.

use super::*;
use crate::audit::entry::Decision;

const OWN: &str = "own.example/gw";
const AT: i64 = 1_771_000_000_000;
/// Unix milliseconds.
const HOUR: i64 = 3_600_000;

fn line(kind: Kind, ts: i64) -> Entry {
    Entry::new(kind, UnixMillis(ts)).case(CASE)
}

/// The half of a log with these lines of the case and its map.
fn logged(lines: &[Entry], map_ts: i64) -> Half {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), OWN);
    for line in lines {
        log.append_blocking(line).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append_index(Entry::new(Kind::Index, UnixMillis(map_ts)))).unwrap();
    log.publish();
    drop(log);
    gathered(dir.path(), OWN, &CASE).unwrap()
}

/// A bundle of that half with what `change` makes of manifest and files.
fn bundle(half: &Half, change: impl FnOnce(&mut serde_json::Value, &mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let logs = [&half.part];
    let mut told = serde_json::json!({ "v": VERSION, "case": CASE.to_string(), "logs": logs, "documents": [],
        "certificates": [], "policies": [], "trust": [], "keys": [] });
    let mut files = half.files(0);
    change(&mut told, &mut files);
    files.insert(0, (MANIFEST.to_owned(), told.to_string().into_bytes()));
    seal(&files)
}

#[test]
fn a_file_that_no_entry_leads_to_does_not_ride_along() {
    let (rules, asked, list) = (Digest::of(b"rules"), Digest::of(b"asked"), Digest::of(b"list"));
    let dec = Decision { policy: Some(rules), ask: Some(asked), ..Decision::default() };
    let ev = Evidence { digest: Some(Digest::of(PAPER)), trust: Some(list), ..Evidence::default() };
    let ev = Evidence { verdict: Some(Word::new("NO_ANCHORS").unwrap()), ..ev };
    let half = logged(&[line(Kind::CaseEvent, AT).dec(dec).evidence(ev)], AT);
    let hex = |octets: &[u8]| Digest::of(octets).to_string();
    let sealed_by = {
        let open = asic::open(bundle(&half, |_, _| {}), &crate::formats::zip::Limits::default()).unwrap();
        open.signed.signer
    };
    let own = pem::encode("CERTIFICATE", sealed_by.der());
    let another = pem::encode("CERTIFICATE", Authority::new().root.der());
    let rows: Vec<(&str, &str, String, &[u8], u8)> = vec![
        ("the rules that decided", "policies", policy_path(rules, "10-people.cedar"), b"permit", 0),
        ("rules of another version", "policies", policy_path(Digest::of(b"x"), "10-people.cedar"), b"permit", 1),
        ("something deeper", "policies", policy_path(rules, "a/decision.ofd"), b"x", 1),
        ("a decision among the rules", "policies", "policy/decision.ofd".into(), b"x", 1),
        ("what was asked", "policies", asked_path(asked), b"asked", 0),
        ("something else under its name", "policies", asked_path(asked), b"other", 1),
        ("another question", "policies", asked_path(Digest::of(b"x")), b"x", 1),
        ("the list that it was judged by", "trust", trust_path(list), b"list", 0),
        ("another list under its name", "trust", trust_path(list), b"other", 1),
        // Nobody here reads lists: what they lead to is not known.
        ("a part of some list", "trust", format!("trust/{}", hex(b"x")), b"x", 2),
        ("the key of another case", "keys", key_path(&Pseudonym([8; 16])), b"{}", 1),
        ("who sealed it", "certificates", certificate_path(&sealed_by), own.as_bytes(), 0),
        ("another under that name", "certificates", certificate_path(&sealed_by), another.as_bytes(), 1),
        ("somebody else", "certificates", format!("certificates/{}.pem", hex(b"x")), another.as_bytes(), 1),
        ("a paper", "certificates", "documents/decision.ofd".into(), PAPER, 1),
    ];
    for (what, listed, path, octets, want) in rows {
        let made = bundle(&half, |told, files| {
            told[listed] = serde_json::json!([path]);
            files.push((path.clone(), octets.to_vec()));
        });
        let report = judged(made, &[key(OWN)], None);
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
    }
}

#[test]
fn a_log_that_no_receipt_names_does_not_ride_along() {
    let (ours, _theirs, peer) = world();
    let good = halves(ours.path(), &peer);
    let stranger = |change: fn(&mut LogPart)| {
        let mut all = good.clone();
        let mut half = all[1].clone();
        half.part.origin = "evil.example/log".into();
        change(&mut half.part);
        all.push(half);
        all
    };
    let mut more = good.clone();
    let (dir, origin) = (tempfile::tempdir().unwrap(), "peer.example/gw");
    let other = open(dir.path(), origin);
    for n in 0..5 {
        other.append_blocking(&event(n)).unwrap();
    }
    other.publish();
    // Another line of the peer's, beside the one that ours name.
    let receipt = crate::audit::entry::Receipt { origin: origin.into(), index: 1, leaf: Digest::of(b"") };
    let beside = named_by_peers(&&other, &key(origin), &[good[0].receipts(), vec![receipt]].concat()).unwrap().unwrap();
    more[1] = beside;
    for (what, all, want) in [
        ("what is named", good.clone(), 0),
        ("a log that nobody names or pinned", stranger(|_| {}), 1),
        (
            "one that says to be a replica's",
            stranger(|part| {
                part.entries.push(9);
                part.index = Some(IndexPart { entry: 9, shown: Vec::new() });
            }),
            2,
        ),
        ("one without entries", stranger(|part| part.entries.clear()), 1),
        ("another line of a peer", more, 1),
    ] {
        let report = judge(sealed(&all, &[]));
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
    }
}

/// Whoever asks nothing about time is shown no octets for a time-stamp that are none.
#[test]
fn what_stands_for_a_time_stamp_is_one() {
    let authority = Authority::new();
    let half = logged(&[line(Kind::CaseEvent, AT)], AT);
    let stamp = authority.stamp(&half.checkpoint, UnixMillis(AT)).to_string().into_bytes();
    for (what, octets, want) in [("a time-stamp", stamp, 0), ("a paper", PAPER.to_vec(), 1)] {
        let mut half = half.clone();
        half.anchor = Some(octets);
        half.part.anchor = Some(OtherHead { size: half.part.size, proof: Vec::new() });
        let report = judged(bundle(&half, |_, _| {}), &[key(OWN)], None);
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
    }
}

/// A peer's lines are those that ours name, whoever saw its log; who did not is told.
#[test]
fn a_peers_log_without_its_witnesses_is_told() {
    let (ours, _theirs, peer) = world();
    let witness = signer("w.example");
    let policy = format!("witness w {}\nquorum w\n", witness.verifier(KeyKind::Cosignature));
    let policy = Pinned::parse(&policy).unwrap();
    for seen in [true, false] {
        let mut all = halves(ours.path(), &peer);
        for half in &mut all[..if seen { 2 } else { 1 }] {
            let signed = half.checkpoint.split_once("\n\n").unwrap().0.to_owned() + "\n";
            half.checkpoint += &witness.cosign(&signed, MAP as u64 / 1_000);
        }
        let keys = [key(OWN), key("peer.example/gw")];
        let report = judged(sealed(&all, &[]), &keys, Some(&policy));
        assert_eq!(report.exit_code(), 0, "{}", report.text());
        assert_eq!(
            report.text().contains("peer.example/gw is a peer's log, and the quorum"),
            !seen,
            "{}",
            report.text()
        );
    }
}

#[test]
fn only_an_order_to_destroy_excuses_what_is_missing() {
    let named = |paper: &[u8]| Evidence { digest: Some(Digest::of(paper)), ..Evidence::default() };
    let order = |word: &str, verdict: &str, ts: i64| {
        let (name, word) = (Word::new("order").unwrap(), Word::new(word).unwrap());
        let dec = Decision { verdict: Word::new(verdict).ok(), ..Decision::default() };
        line(Kind::KeyShred, ts).fact(name, word).dec(dec).evidence(named(b"the order"))
    };
    let filed = line(Kind::CaseEvent, AT).evidence(named(b"gone"));
    let after = line(Kind::CaseEvent, AT + 3_000).evidence(named(PAPER));
    let document = |told: &mut serde_json::Value, files: &mut Vec<(String, Vec<u8>)>| {
        let part = DocumentPart {
            path: "documents/receipt".into(),
            media: "text/plain".into(),
            digest: Digest::of(PAPER),
            size: PAPER.len() as u64,
        };
        told["documents"] = serde_json::json!([part]);
        files.push(("documents/receipt".into(), PAPER.to_vec()));
    };
    for (what, shred, late, want) in [
        ("destroyed", order("shred", "allow", AT + 1_000), &b""[..], 0),
        ("not allowed", order("shred", "deny", AT + 1_000), b"", 2),
        ("held", order("hold", "allow", AT + 1_000), b"", 2),
        ("released", order("release", "allow", AT + 1_000), b"", 2),
        ("destroyed before it came", order("shred", "allow", AT - 1_000), b"", 2),
        ("something that came later", order("shred", "allow", AT + 1_000), b"later", 2),
    ] {
        let mut lines = vec![filed.clone(), shred, after.clone()];
        if !late.is_empty() {
            lines.push(line(Kind::CaseEvent, AT + 4_000).evidence(named(late)));
        }
        let report = judged(bundle(&logged(&lines, AT + 5_000), document), &[key(OWN)], None);
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
    }
}

/// Whoever writes the log may write any time into it; a witness, an authority and the auditor have clocks of their own.
#[test]
fn an_entry_is_no_later_than_others_saw_it() {
    let (witness, authority) = (signer("w.example"), Authority::new());
    let policy = format!("witness w {}\nquorum w\n", witness.verifier(KeyKind::Cosignature));
    let (policy, keys) = (Pinned::parse(&policy).unwrap(), [key(OWN)]);
    let chain = [authority.root.clone()];
    type Seen = (Option<i64>, Option<i64>, Option<i64>);
    let rows: [(&str, i64, i64, Seen, u8); 7] = [
        ("nobody was asked", AT, AT, (None, None, None), 0),
        ("all say the same", AT, AT, (Some(AT), Some(AT), Some(AT)), 0),
        ("within the hour that clocks may differ", AT, AT, (Some(AT - HOUR), None, Some(AT - HOUR)), 0),
        ("the witness saw it earlier", AT, AT, (Some(AT - HOUR - 1_000), None, None), 1),
        ("the time-stamp is earlier", AT, AT, (None, Some(AT - HOUR - 1_000), None), 1),
        ("the auditor's clock is not there yet", AT, AT, (None, None, Some(AT - HOUR - 1_000)), 1),
        ("a map from the future, to hide what came after it", AT, AT + 9 * HOUR, (Some(AT + 6 * HOUR), None, None), 1),
    ];
    for (what, line_ts, map_ts, (cosigned, stamped, now), want) in rows {
        let mut half = logged(&[line(Kind::CaseEvent, line_ts)], map_ts);
        if let Some(at) = stamped {
            half.anchor = Some(authority.stamp(&half.checkpoint, UnixMillis(at)).to_string().into_bytes());
            half.part.anchor = Some(OtherHead { size: half.part.size, proof: Vec::new() });
        }
        if let Some(at) = cosigned {
            let signed = half.checkpoint.split_once("\n\n").unwrap().0.to_owned() + "\n";
            half.checkpoint += &witness.cosign(&signed, (at / 1_000) as u64);
        }
        let by = Auditor {
            keys: &keys,
            policy: cosigned.map(|_| &policy),
            now: now.map(UnixMillis),
            time_authorities: if stamped.is_some() { &chain } else { &[] },
            ..Auditor::default()
        };
        let report = verify(bundle(&half, |_, _| {}), &by).report;
        assert_eq!(report.exit_code(), want, "{what}: {}", report.text());
    }
}
