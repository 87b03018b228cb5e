//! Vectors of other projects, read from `$TONGBAN_VECTORS/tlog` and never copied into this repository.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::checkpoint::{self, Checkpoint};
use super::merkle::tests::Leaves;
use super::merkle::{self, Frontier};
use super::note::{Note, VerifierKey};
use super::proof::TlogProof;
use super::tile::{Level, TilePath};
use super::verify;
use super::witness_policy::WitnessPolicy;
use crate::terms::{Digest, digest::hex, testing};

fn folder() -> Option<PathBuf> {
    testing::vectors("tlog")
}

fn vectors(file: &str) -> Vec<Value> {
    let Some(folder) = folder() else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let all = serde_json::from_str::<Value>(&text).unwrap()["vectors"].as_array().unwrap().clone();
    assert!(!all.is_empty(), "{file}");
    all
}

fn text<'a>(v: &'a Value, name: &str) -> &'a str {
    v[name].as_str().unwrap_or_default()
}

/// Compares a verdict with the expected one; `any` takes both.
fn judge(v: &Value, accepted: bool) {
    match text(&v["expect"], "verdict") {
        "any" => {}
        want => assert_eq!(want, if accepted { "accept" } else { "reject" }, "{}", text(v, "id")),
    }
}

fn keys(v: &Value) -> Vec<VerifierKey> {
    v["vkeys"].as_array().into_iter().flatten().map(|k| k.as_str().unwrap().parse().unwrap()).collect()
}

fn note_of(v: &Value) -> Vec<u8> {
    match v["note_b64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => text(v, "note").as_bytes().to_vec(),
    }
}

#[test]
fn proofs() {
    let hash = |v: &Value| STANDARD.decode(v.as_str()?).ok()?.try_into().ok().map(Digest);
    for v in vectors("merkle-upstream.json") {
        let proof: Option<Vec<Digest>> = v["proof"].as_array().into_iter().flatten().map(hash).collect();
        let n = |name: &str| v[name].as_u64().unwrap();
        let holds = || {
            let proof = proof?;
            if text(&v, "type") == "inclusion" {
                let (leaf, root) = (hash(&v["leafHash"])?, hash(&v["root"])?);
                merkle::check_inclusion(&leaf, n("leafIdx"), n("treeSize"), &root, &proof).ok()
            } else {
                let (a, b) = (hash(&v["root1"])?, hash(&v["root2"])?);
                merkle::check_consistency((n("size1"), &a), (n("size2"), &b), &proof).ok()
            }
        };
        judge(&v, holds().is_some());
    }
}

#[test]
fn trees() {
    for v in vectors("merkle-reference.json") {
        if text(&v, "type") == "roots" {
            let mut frontier = Frontier::new();
            let roots = v["expect"]["roots_hex"].as_array().unwrap();
            assert_eq!(hex(&frontier.root().0), roots[0].as_str().unwrap());
            for (leaf, root) in v["leaves_hex"].as_array().unwrap().iter().zip(&roots[1..]) {
                let digits = leaf.as_str().unwrap().as_bytes();
                let leaf: Vec<u8> = digits
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                    .collect();
                frontier.push(merkle::leaf_hash(&leaf));
                assert_eq!(hex(&frontier.root().0), root.as_str().unwrap());
            }
            continue;
        }
        let (limit, inclusion) = (v["limit"].as_u64().unwrap(), text(&v, "kind") == "subtree-inclusion");
        let tree = Leaves((0..limit).map(|i| merkle::leaf_hash(&[i as u8])).collect());
        let mut lines = String::new();
        for end in 0..=limit {
            for start in 0..=end {
                if start != end && !start.is_multiple_of((end - start).next_power_of_two()) {
                    continue;
                }
                if !inclusion {
                    let root = merkle::range_root(&tree, start, end).unwrap();
                    lines += &format!("[{start}, {end}) {root}\n");
                    continue;
                }
                for index in start..end {
                    lines += &format!("{index} [{start}, {end})");
                    for hash in merkle::range_inclusion(&tree, index, start, end).unwrap() {
                        lines += &format!(" {hash}");
                    }
                    lines.push('\n');
                }
            }
        }
        assert_eq!(Digest::of(lines.as_bytes()).to_string(), text(&v["expect"], "sha256"), "{}", text(&v, "id"));
    }
}

#[test]
fn notes() {
    for v in vectors("notes-upstream.json") {
        let accepted = match text(&v, "type") {
            "vkey" => text(&v, "vkey").parse::<VerifierKey>().is_ok(),
            "note" => {
                let (note, keys) = (note_of(&v), keys(&v));
                let signed = Note::parse(&note).and_then(|note| note.verify(&keys));
                if let (Ok(signed), Some(want)) = (&signed, v["expect"]["verified"].as_array()) {
                    let name =
                        |by: &super::note::SignedBy| format!("{}+{:08x}", keys[by.key].name(), keys[by.key].id());
                    let names: Vec<String> = signed.iter().map(name).collect();
                    assert_eq!(&names, want, "{}", text(&v, "id"));
                }
                signed.is_ok()
            }
            "checkpoint" => Checkpoint::parse(text(&v, "text")).is_ok(),
            "open" => {
                let opened = checkpoint::open(&note_of(&v), &keys(&v)[0], v["origin"].as_str());
                if let (Ok(signed), Some(size)) = (&opened, v["expect"]["size"].as_u64()) {
                    assert_eq!(signed.size(), size);
                }
                opened.is_ok()
            }
            other => panic!("unknown type {other}"),
        };
        judge(&v, accepted);
    }
}

#[test]
fn syntax() {
    for v in vectors("syntax-upstream.json") {
        let accepted = match text(&v, "type") {
            "proof-syntax" => TlogProof::parse(text(&v, "proof")).is_ok(),
            "policy" => WitnessPolicy::parse(text(&v, "policy")).is_ok(),
            "quorum" => WitnessPolicy::parse(text(&v, "policy")).unwrap().is_met(|place| {
                let name = format!("W{}", place + 1);
                v["have"].as_array().unwrap().iter().any(|have| *have == *name)
            }),
            "path" => {
                let tile = TilePath::parse(text(&v, "path"));
                if let (Some(tile), Some(index)) = (tile, v["expect"]["index"].as_u64()) {
                    let level = v["expect"]["level"].as_u64().unwrap() as u8;
                    let width = v["expect"]["width"].as_u64().unwrap() as u16;
                    assert_eq!(tile, TilePath { level: Level::Hashes(level), index, width });
                }
                tile.is_some()
            }
            other => panic!("unknown type {other}"),
        };
        judge(&v, accepted);
    }
}

#[test]
fn whole_logs() {
    let Some(root) = folder() else { return };
    for v in vectors("logs.json") {
        let dir = root.join(text(&v, "dir"));
        let mut options = verify::Options::new(keys(&v).remove(0));
        options.entries_are_ours = false;
        for old in v["old"].as_array().into_iter().flatten() {
            options.old.push(std::fs::read(dir.join(old.as_str().unwrap())).unwrap());
        }
        // The old checkpoints lie in the log's folder itself; they are no resources of the log.
        let report = verify::verify(&dir, &options, &mut |_, _| {});
        judge(&v, report.exit_code() == 0);
        if let Some(size) = v["expect"]["size"].as_u64() {
            assert_eq!(report.size, size, "{}", report.text());
        }
    }
}

#[test]
fn witnesses() {
    let Some(folder) = folder() else { return };
    let text_of = std::fs::read_to_string(folder.join("witness-litewitness.json")).unwrap();
    let v: Value = serde_json::from_str(&text_of).unwrap();
    let (state, keys) = (tempfile::tempdir().unwrap(), keys(&v["setup"]));
    let signer = super::note::Signer::from_seed("witness.example", &[1; 32]).unwrap();
    let witness = super::witness::Witness::open(state.path(), signer).unwrap();
    for step in v["steps"].as_array().unwrap() {
        let got = witness.add_checkpoint(text(step, "body").as_bytes(), &keys, 1_771_000_000);
        let status = got.as_ref().map_or_else(|e| e.status(), |_| 200);
        assert_eq!(u64::from(status), step["status"].as_u64().unwrap(), "{}", text(step, "id"));
        if let (Err(super::witness::WitnessError::Size(size)), Some(answer)) = (&got, step["answer"].as_str()) {
            assert_eq!(format!("{size}\n"), answer, "{}", text(step, "id"));
        }
    }
}
