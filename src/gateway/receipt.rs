//! What a peer gives us to keep: its signed word that it has a container, and the leaf of its log that says so.
//!
//! ```text
//!  sealed message ─▶ { "receipt": JWT: message, digest, log, index, leaf }   signed: a leaf that is not there is a lie on record
//!  live request   ─▶ tongban-leaf: <origin> <index> <leaf hash>              on the answer
//! ```
//! Both go into our own line (`up.receipt`), so that a gap in one log shows in the other.

use serde::{Deserialize, Serialize};

use http::{HeaderMap, HeaderValue};

use super::ledger;
use super::rooms::Rooms;
use super::word;
use crate::audit::Committed;
use crate::audit::entry::PeerReceipt;
use crate::terms::{Digest, Refusal, UnixMillis};

/// Header of an answer: the leaf of our log about this exchange.
pub const LEAF: &str = "tongban-leaf";
const TYP: &str = "tongban-receipt+jwt";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// Id of the message.
    message: String,
    /// SHA-256 of the container.
    digest: Digest,
    received_at: String,
    /// Origin of the log in which the arrival is.
    log: String,
    /// Where it is there; absent when a crash parted the keeping from the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<Digest>,
}

/// Signs a receipt; it is kept, so that the same message gets the same one again. `line` is the arrival in our log.
pub fn give(
    rooms: &Rooms,
    message: &str,
    digest: Digest,
    at: UnixMillis,
    line: Option<Committed>,
) -> Result<String, Refusal> {
    let claims = Claims {
        iss: rooms.me.id.clone(),
        message: message.to_owned(),
        digest,
        received_at: at.to_string(),
        log: rooms.log.key().name().to_owned(),
        index: line.map(|line| line.index),
        leaf: line.map(|line| line.leaf),
    };
    word::sign(rooms, TYP, &claims)
}

/// Whether `receipt` is `peer`'s word that it has exactly this container, and the leaf it names for it.
///
/// # Errors
/// A sentence for the operator.
pub fn check(
    rooms: &Rooms,
    peer: &str,
    message: &str,
    digest: Digest,
    receipt: &str,
) -> Result<Option<PeerReceipt>, String> {
    let (claims, _) = word::read::<Claims>(rooms, peer, TYP, receipt, UnixMillis::now()).map_err(|e| e.to_string())?;
    if claims.iss != peer || claims.message != message || claims.digest != digest {
        return Err(format!("{peer}: a receipt for something else"));
    }
    Ok(leaf_of(&claims.log, claims.index, claims.leaf))
}

fn leaf_of(origin: &str, index: Option<u64>, leaf: Option<Digest>) -> Option<PeerReceipt> {
    let (index, leaf, origin) = (index.filter(|index| *index < 1 << 53)?, leaf?, ledger::word(origin)?);
    Some(PeerReceipt { index: Some(index), leaf: Some(leaf), origin: Some(origin) })
}

/// Names our line on an answer.
pub fn name(headers: &mut HeaderMap, rooms: &Rooms, line: Committed) {
    let text = format!("{} {} {}", rooms.log.key().name(), line.index, line.leaf);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(LEAF, value);
    }
}

/// The line that a peer names on its answer; nothing where it names none or writes it in another way.
pub fn named(headers: &HeaderMap) -> Option<PeerReceipt> {
    let mut all = headers.get_all(LEAF).iter();
    let (only, None) = (all.next()?.to_str().ok()?, all.next()) else { return None };
    let mut parts = only.split(' ');
    let (origin, index, leaf) = (parts.next()?, parts.next()?, parts.next()?);
    let canonical = parts.next().is_none() && index.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| leaf_of(origin, index.parse().ok(), leaf.parse().ok())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_read_as_it_is_written_or_not_at_all() {
        let hash = Digest([7; 32]).to_string();
        for (values, index) in [
            (vec![format!("gw.example/log 17 {hash}")], Some(17)),
            (vec![format!("gw.example/log 17 {hash}"), format!("gw.example/log 18 {hash}")], None),
            (vec![format!("gw.example/log 17 {hash} more")], None),
            (vec![format!("gw.example/log +17 {hash}")], None),
            (vec![format!("gw.example/log {} {hash}", u64::MAX)], None),
            (vec![format!("gw.example/log 17 {}", &hash[1..])], None),
            (vec!["gw.example/log".into()], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(LEAF, value.parse().unwrap());
            }
            assert_eq!(named(&headers).and_then(|r| r.index), index, "{values:?}");
        }
    }
}
