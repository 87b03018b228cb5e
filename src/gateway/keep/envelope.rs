//! Files of a case on their way into the vault; containers that are sealed from file to file.

use std::io::Write;
use std::sync::Arc;

use crate::exchange::message::{Message, Stored};
use crate::exchange::{ExchangeError, Kept as File, Key, VaultError};
use crate::formats::zip::ZipError;
use crate::gateway::rooms::Rooms;
use crate::terms::Refusal;
use crate::trust::asic::{self, AsicError, Part};

/// Media type of sealed containers.
pub const ASICE: &str = "application/vnd.etsi.asic-e+zip";

pub fn keep(rooms: &Rooms, key: &Key, path: &str, media: &str, bytes: &[u8]) -> Result<Stored, Refusal> {
    let kept = rooms.vault.keep(key, bytes).map_err(ExchangeError::from)?;
    Ok(Stored { path: path.to_owned(), media: media.to_owned(), kept })
}

/// Builds the sealed container of a message, file to file: no material is ever whole in memory.
pub async fn envelope(rooms: &Arc<Rooms>, key: &Key, message: &Message, files: Vec<Stored>) -> Result<Stored, Refusal> {
    let (rooms, key) = (rooms.clone(), key.clone());
    let path = message.container_path();
    let at = message.at;
    let text = serde_json::to_vec(message).map_err(|e| ExchangeError::Message(e.to_string()))?;
    let work = move || -> Result<File, ExchangeError> {
        let mut parts = vec![Part::whole(crate::exchange::message::MESSAGE_FILE, "application/json", &text)];
        for file in &files {
            let reading = rooms.vault.read(&key, &file.kept)?;
            parts.push(Part {
                name: file.path.clone(),
                media: file.media.clone(),
                digest: file.kept.digest,
                content: Box::new(reading.stream()),
            });
        }
        let mut out = rooms.vault.write(&key, u64::MAX)?;
        let envelope = &rooms.keys.load_full().envelope;
        let written = asic::seal(&mut out, parts, &*envelope.key, &envelope.chain, at);
        let written = written.map_err(|error| match error {
            AsicError::Io(error) | AsicError::Zip(ZipError::Io(error)) => ExchangeError::Vault(error.into()),
            other => ExchangeError::Message(other.to_string()),
        });
        written?.flush().map_err(VaultError::from)?;
        Ok(out.finish()?)
    };
    let kept = tokio::task::spawn_blocking(work).await;
    let kept = kept.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "sealing was cut off"))??;
    Ok(Stored { path, media: ASICE.to_owned(), kept })
}
