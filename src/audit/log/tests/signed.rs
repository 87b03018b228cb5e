//! Who signs checkpoints: witnesses beside the log, and the log with another key.

use super::*;

/// Shows a witness what is to be witnessed, as of `old` entries, and adds its line.
pub(super) fn cosigned(log: &Log, witness: &Witness, old: u64, now: u64) {
    let target = log.unwitnessed();
    let body = crate::audit::witness::request(old, &log.consistency(old, target.size).unwrap(), &target.note);
    let line = witness.add_checkpoint(body.as_bytes(), &[signer().verifier(KeyKind::Ed25519)], now).unwrap();
    let text = target.note.split_once("\n\n").unwrap().0;
    assert!(log.add_cosignatures(&format!("{text}\n\n{line}"), &[witness.key()]).unwrap());
}

fn cosigned_at(log: &Log, witness: &Witness) -> Vec<Option<u64>> {
    let note = log.checkpoint().note.clone();
    let note = Note::parse(note.as_bytes()).unwrap();
    let signed = note.verify(&[signer().verifier(KeyKind::Ed25519), witness.key()]).unwrap();
    assert_eq!(signed.len(), note.signatures().len(), "no line stands there twice");
    signed.iter().map(|by| by.time).collect()
}

#[test]
fn what_a_witness_has_seen_waits_for_space_and_is_served_then() {
    let (dir, kept, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), FaultyDisk::default());
    let witness = Witness::open(kept.path(), Signer::from_seed("w.example", &[9; 32]).unwrap()).unwrap();
    let patience = Duration::from_secs(3600);
    let log = Log::open(dir.path(), OpenOptions { disk: Arc::new(disk.clone()), patience, ..options() }).unwrap();
    fill(&log, 5);
    log.publish();
    cosigned(&log, &witness, 0, 1);
    log.release();
    fill(&log, 4);
    log.publish();
    cosigned(&log, &witness, 5, 2);
    disk.set(Faults { full: true, ..Faults::default() });
    for _ in 0..3 {
        log.release();
        log.publish();
        assert_eq!((log.checkpoint().size, log.unwitnessed().size), (5, 9), "what the witness saw is not forgotten");
    }
    disk.set(Faults::default());
    log.release();
    assert_eq!((log.checkpoint().size, cosigned_at(&log, &witness)), (9, vec![None, Some(2)]));
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

#[test]
fn a_renewed_cosignature_takes_the_place_of_the_older_one() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = Witness::open(kept.path(), Signer::from_seed("w.example", &[9; 32]).unwrap()).unwrap();
    let log = open(dir.path());
    fill(&log, 5);
    log.publish();
    cosigned(&log, &witness, 0, 1_000);
    for now in [1_300, 1_600, 1_900] {
        cosigned(&log, &witness, 5, now);
        assert_eq!(cosigned_at(&log, &witness), [None, Some(now)]);
    }
    drop(log);
    assert_eq!(judge(dir.path()).exit_code(), 0);
}

#[test]
fn witnesses_sign_beside_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, 3);
    log.publish();
    let witness = Signer::from_seed("witness.example", &[9; 32]).unwrap();
    let keys = [witness.verifier(KeyKind::Cosignature)];
    let text = Checkpoint::new(ORIGIN, 3, log.checkpoint().root).to_string();
    let line = witness.cosign(&text, 1_771_000_000);
    // It may sign with other keys as well, and somebody may send along what looks like a second line of its own.
    let more = Signer::from_seed("witness.example", &[8; 32]).unwrap().cosign(&text, 1);
    let twice = witness.cosign("another text\n", 5);
    assert!(log.add_cosignatures(&format!("{text}\n{more}{line}{twice}"), &keys).unwrap());
    let served = log.checkpoint();
    assert!(served.note.contains(&line) && !served.note.contains(&more) && !served.note.contains(&twice));
    assert!(!log.add_cosignatures(&format!("{text}\n{line}"), &keys).unwrap(), "once is enough");
    let other = Checkpoint::new(ORIGIN, 2, log.checkpoint().root).to_string();
    assert!(!log.add_cosignatures(&format!("{other}\n{}", witness.cosign(&other, 1)), &keys).unwrap());
    assert!(log.add_cosignatures(&format!("{other}\n{line}"), &keys).is_err(), "a line over another text");
    drop(log);
    // Without a policy no witness counts, and yet no octet of theirs may change.
    assert_eq!(judge(dir.path()).exit_code(), 0, "{}", judge(dir.path()).text());
    for name in ["checkpoint", "cosigners"] {
        let whole = std::fs::read(dir.path().join(name)).unwrap();
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            std::fs::write(dir.path().join(name), &bent).unwrap();
            assert_ne!(judge(dir.path()).exit_code(), 0, "{name} byte {at}");
        }
        std::fs::write(dir.path().join(name), &whole).unwrap();
    }
    let mut asked = verify::Options::new(signer().verifier(KeyKind::Ed25519));
    for (quorum, want) in [("w", Verdict::Proven), ("both", Verdict::Disproven)] {
        let stranger = Signer::from_seed("other.example", &[3; 32]).unwrap().verifier(KeyKind::Cosignature);
        let policy = format!("witness w {}\nwitness o {stranger}\ngroup both all w o\nquorum {quorum}\n", keys[0]);
        asked.policy = Some(verify::Pinned::parse(&policy).unwrap());
        assert_eq!(verify::verify(dir.path(), &asked, &mut |_, _| {}).verdict(Question::Witnessed), want);
    }
}

#[test]
fn a_log_changes_its_key_with_both_lines_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let next = || Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let with = |signer: Signer, second: Option<Signer>| {
        Log::open(dir.path(), OpenOptions { second, interval: Duration::from_secs(3600), ..OpenOptions::new(signer) })
    };
    let (old, new) = (signer().verifier(KeyKind::Ed25519), next().verifier(KeyKind::Ed25519));
    let judged = |key: &VerifierKey, other: &[&VerifierKey], before: &[Vec<u8>]| {
        let other_keys = other.iter().map(|key| (*key).clone()).collect();
        let options = verify::Options { other_keys, old: before.to_vec(), ..verify::Options::new(key.clone()) };
        verify::verify(dir.path(), &options, &mut |_, _| {}).exit_code()
    };
    let log = with(signer(), None).unwrap();
    fill(&log, 3);
    log.publish();
    let before = vec![log.checkpoint().note.clone().into_bytes()];
    drop(log);
    assert!(matches!(with(next(), None), Err(AuditError::Foreign(_))), "another key without the one that is known");
    let other = Signer::from_seed("gov.example/gw/2", &[9; 32]).unwrap();
    assert!(matches!(with(signer(), Some(other)), Err(AuditError::Foreign(_))), "a second key of another log");

    // A witness that the directory tells of both keys goes on cosigning: one origin, one history.
    let held = tempfile::tempdir().unwrap();
    let witness = Witness::open(held.path(), Signer::from_seed("w.example", &[3; 32]).unwrap()).unwrap();
    let mut seen = 0;
    // The next key beside the old one, then the other way round, then alone.
    for (primary, second, by_old, by_new) in
        [(signer(), Some(next()), 0, 0), (next(), Some(signer()), 0, 0), (next(), None, 1, 0)]
    {
        let log = with(primary, second).unwrap();
        assert!(log.keys_changed());
        fill(&log, 2);
        log.adopt_keys().unwrap();
        log.publish();
        let note = log.checkpoint().note.clone();
        let proof = log.consistency(seen, log.size()).unwrap();
        let ask = crate::audit::witness::request(seen, &proof, &note);
        witness.add_checkpoint(ask.as_ref(), &[old.clone(), new.clone()], 1).unwrap();
        seen = log.size();
        let (known, want) = (log.keys().to_vec(), log.keys().len());
        assert_eq!(Note::parse(note.as_bytes()).unwrap().verify(&known).unwrap().len(), want, "a line of each");
        drop(log);
        assert_eq!((judged(&old, &[], &[]), judged(&new, &[], &[])), (by_old, by_new));
        assert_eq!(judged(&new, &[&old], &before), 0, "a checkpoint from before holds for who pinned both");
        assert_eq!(judged(&new, &[], &before), 2, "and tells nothing to who knows the new key only");
    }
    assert!(!with(next(), None).unwrap().keys_changed());
}
