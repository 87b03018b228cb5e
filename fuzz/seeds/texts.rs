//! Seeds that are texts, or hold some: what logs say, what operators write, what gateways send each other.

use serde_json::json;

use super::{AT, Done, Keep};
use tongban::audit::checkpoint::Checkpoint;
use tongban::audit::entry::{Outcome, PeerReceipt, Upstream};
use tongban::audit::note::{KeyKind, Signer};
use tongban::audit::proof::TlogProof;
use tongban::audit::retention::{Pruning, Retention};
use tongban::audit::verify::State;
use tongban::audit::{Entry, Kind, Pseudonym, Word, bundle, merkle};
use tongban::exchange::message::Message;
use tongban::federation::Directory;
use tongban::formats::der::write;
use tongban::terms::{CaseNo, Day, Digest};
use tongban::trust::pem;

pub(super) fn all(keep: Keep<'_>) -> Done<()> {
    formats(keep)?;
    log(keep)?;
    operator(keep)?;
    wire(keep)
}

fn formats(keep: Keep<'_>) -> Done<()> {
    keep(
        "xml",
        "prefix",
        "<?xml version='1.0'?><o:a xmlns:o='u' b='&lt;'>证<c/><![CDATA[d]]>&#x4e2d;</o:a>".as_bytes(),
    )?;
    let utf16: Vec<u8> = "\u{feff}<a>证照</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    keep("xml", "utf16", &utf16)?;
    keep(
        "der",
        "times",
        &write::sequence(&[write::generalized_time(AT), write::certificate_time(AT), write::small(300)]),
    )?;
    keep("ber", "pieces", &[0x30, 0x80, 0x24, 0x80, 4, 2, 1, 2, 4, 1, 3, 0, 0, 0, 0])?;
    keep("json", "object", br#"{"a":[1,2.5,-3e2,"\u4e2d",true,null],"b":{"c":""}}"#)?;
    keep("token", "jwt", b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImEiLCJ0eXAiOiJhdCtqd3QifQ.eyJpc3MiOiJhIn0.AAAA")?;
    let words = [
        "440305",
        "4403050010000",
        "002009901000",
        "4190010000002026021300000017S",
        "11100000DT0000131P001",
        "2020-10-23T11:45:37.377Z",
        "20201023114537.25+0800",
        "/pass/419001/hukou/a?b=%E5%8A%9E",
    ];
    words.iter().zip(0..).try_for_each(|(word, n): (_, u32)| keep("words", &n.to_string(), word.as_bytes()))
}

fn word(text: &str) -> Done<Word> {
    Ok(Word::new(text)?)
}

fn log(keep: Keep<'_>) -> Done<()> {
    let key = Signer::from_seed("example.com/log", &[7; 32])?;
    let leaf = merkle::leaf_hash(b"entry");
    let note = key.sign(&Checkpoint::new(key.name(), 1, leaf).to_string());
    keep("note", "checkpoint", note.as_bytes())?;
    keep("note", "cosigned", [&note[..], &key.cosign(&note, 1_790_000_000)].concat().as_bytes())?;
    let proof = TlogProof { extra: Some(b"extra".to_vec()), index: 0, hashes: vec![], checkpoint: note.clone() };
    keep("proof", "of-one", proof.to_string().as_bytes())?;
    keep("proof", "of-more", TlogProof { hashes: vec![leaf; 3], extra: None, ..proof }.to_string().as_bytes())?;
    keep("proof", "anchor", format!("tongban-anchor/v1\nMAMCAQI=\n\n{note}").as_bytes())?;
    let kept = Retention { origin: key.name().to_owned(), minimum: 65_536, days: Some(3_650) };
    keep("proof", "retention", kept.to_string().as_bytes())?;
    let (vkey, witness) = (key.verifier(KeyKind::Ed25519), key.verifier(KeyKind::Cosignature));
    let policy = format!("log {vkey}\nwitness w {witness} https://w\ngroup g any w\nquorum g\n#tongban retention 30\n");
    keep("pinned", "policy", policy.as_bytes())?;
    let mut state = State::default();
    state.note = note.into_bytes();
    let state = state.encode();
    // Without its digest: the target adds it.
    keep("pinned", "state", &state[..state.len() - 32])?;
    keep("words", "key", vkey.to_string().as_bytes())?;
    keep("tile", "full", b"tile/0/x001/234")?;
    keep("tile", "partial", b"tile/1/000.p/7")?;
    keep("tile", "hashes", &[&[0, 2][..], &[7; 64]].concat())?;

    let receipt = PeerReceipt { index: Some(5), leaf: Some(leaf), origin: Some(word("peer")?) };
    let pruning = Pruning { minimum: 65_536, root: leaf, newest: AT.0, days: 30 };
    let mut two = vec![0, 2];
    for (name, entry) in [
        (
            "case",
            Entry::new(Kind::DataRead, AT)
                .case(Pseudonym([1; 16]))
                .out(Outcome { status: Some(202), ..Outcome::default() }),
        ),
        ("peer", Entry::new(Kind::DataRead, AT).up(Upstream { receipt: Some(receipt), ..Upstream::default() })),
        ("pruning", pruning.write(Entry::new(Kind::Lifecycle, AT))),
    ] {
        let mut octets = Vec::new();
        entry.encode()?.link(2, Some(&leaf), &mut octets);
        keep("entry", name, &octets)?;
        if two.len() < 1_000 && !bundle::push(&mut two, &octets) {
            return Err("an entry that fits no bundle".into());
        }
    }
    keep("entry", "bundle", &two)
}

fn operator(keep: Keep<'_>) -> Done<()> {
    keep("policy", "rule", b"@id(\"a\") permit(principal, action, resource) when { context.a == 1 };")?;
    for (name, text) in [
        ("tongban", include_str!("../../deploy/tongban.example.toml")),
        ("partners", tongban::partners::EXAMPLE),
        ("items", include_str!("../../src/catalogue/data/items.toml")),
        ("licences", include_str!("../../src/catalogue/data/licence-types.csv")),
        ("resources", include_str!("../../src/catalogue/data/data-resources.csv")),
        ("authorities", include_str!("../../src/catalogue/data/authorities-demo.csv")),
        ("calendar", include_str!("../../src/catalogue/data/calendar-2026-2027.csv")),
    ] {
        keep("settings", name, text.as_bytes())?;
    }
    let der = pem::decode(pem::encode("X", b"der").as_bytes())?.remove(0).octets;
    let octets = pem::encode("X", &der).lines().nth(1).unwrap_or_default().to_owned();
    let log = Signer::from_seed("gw.example/log", &[7; 32])?.verifier(KeyKind::Ed25519);
    let directory = json!({
        "federation": "f", "version": 1, "issued": AT, "expires": AT.plus_seconds(86_400),
        "members": [{
            "id": "gw-419001", "name": "a", "slot": 1, "places": ["419001", "410000"], "api": "https://a:1",
            "logs": [{ "url": "https://a:2", "keys": [log] }], "tls_anchors": [octets], "seal_certificates": [],
            "assertion_keys": { "keys": [{ "kty": "EC", "nbf": 1, "exp": 2 }] },
        }],
        "issuers": [{
            "issuer": "https://i", "discovery": "https://i/d", "algorithms": ["ES256"], "populations": ["citizen"],
            "places": [], "levels": { "l": 2 }, "max_lifetime_s": 600,
        }],
        "anchors": { "signers": [], "makers": [], "envelopes": [], "services": [], "intermediates": [], "crls": [octets] },
    });
    let octets = serde_json::to_vec(&directory)?;
    serde_json::from_slice::<Directory>(&octets)?;
    keep("directory", "one-member", &octets)
}

fn wire(keep: Keep<'_>) -> Done<()> {
    for (name, text) in [
        ("get", "GET /v1/items?q=a HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("length", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /b HTTP/1.0\r\n\r\n"),
        ("chunks", "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nDigest: x\r\n\r\n"),
    ] {
        keep("heads", name, text.as_bytes())?;
    }
    let form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\n\
                Content-Disposition: form-data; name=\"f\"\r\n\r\n\r\n--b--\r\n";
    keep("multipart", "two-parts", form.as_bytes())?;
    let case =
        CaseNo::new("419001000000".parse()?, Day::parse_digits("20260213").ok_or("a day")?, 17).ok_or("a number")?;
    let file = json!({ "path": "documents/a", "media": "application/ofd", "size": 1, "digest": Digest::of(b"a") });
    let message = json!({
        "v": 1, "id": Message::id_of(case, "a", "b", 1), "from": "a", "to": "b", "at": AT, "case": case, "act": "accept",
        "state": "accepted", "seq": 1, "assertion": "x.y.z", "papers": [{ "kind": "acceptance_voucher", "number": "1", "file": file }], "note": "好",
    });
    let octets = serde_json::to_vec(&message)?;
    Message::parse(&octets).map_err(|e| format!("the seed is no message: {e}"))?;
    keep("message", "accepted", &octets)
}
