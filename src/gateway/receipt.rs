//! The receipt for a sealed message: a peer's signed word that it has this container, kept as proof of delivery.

use serde::{Deserialize, Serialize};

use super::rooms::Rooms;
use super::word;
use crate::terms::{Digest, Refusal, UnixMillis};

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
}

/// Signs a receipt; it is kept, so that the same message gets the same one again.
pub fn give(rooms: &Rooms, message: &str, digest: Digest, at: UnixMillis) -> Result<String, Refusal> {
    let claims = Claims {
        iss: rooms.me.id.clone(),
        message: message.to_owned(),
        digest,
        received_at: at.to_string(),
        log: rooms.log.key().name().to_owned(),
    };
    word::sign(rooms, TYP, &claims)
}

/// Whether `receipt` is `peer`'s word that it has exactly this container.
///
/// # Errors
/// A sentence for the operator.
pub fn check(rooms: &Rooms, peer: &str, message: &str, digest: Digest, receipt: &str) -> Result<(), String> {
    let (claims, _) = word::read::<Claims>(rooms, peer, TYP, receipt).map_err(|e| e.to_string())?;
    if claims.iss != peer || claims.message != message || claims.digest != digest {
        return Err(format!("{peer}: a receipt for something else"));
    }
    Ok(())
}
