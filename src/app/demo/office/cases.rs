//! The office's cases on disk: the sealed case file of every message, and where each case stands.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::files::{self, PRIVATE, said};
use crate::exchange::Act;
use crate::exchange::message::{MESSAGE_FILE, Message};
use crate::federation::Directory;
use crate::formats::zip::Limits;
use crate::terms::{CaseNo, Digest, ItemCode};
use crate::trust::asic;

/// Largest `message.json` in octets.
const MESSAGE_MAX: u64 = 8 << 20;

/// Why a case file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    #[error("the case file: {0}")]
    Container(#[from] asic::AsicError),
    #[error("the message: {0}")]
    Message(String),
    #[error("{0} did not seal this case file")]
    Sender(String),
    #[error("message {0} came before with another content")]
    Other(String),
    #[error("{0}")]
    Disk(String),
}

impl TakeError {
    pub fn answer(&self) -> (StatusCode, String) {
        let status = match self {
            Self::Container(_) | Self::Message(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Sender(_) => StatusCode::FORBIDDEN,
            Self::Other(_) => StatusCode::CONFLICT,
            Self::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string())
    }
}

/// What the office answers: the same for the same message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub receipt: String,
    /// Whether it had come before.
    pub again: bool,
}

/// Where a case stands with the office.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub case: CaseNo,
    pub item: ItemCode,
    /// Acts done, in order: how far [`super::worker::PLAN`] has got.
    pub done: usize,
    /// Why nothing more happens, if so.
    pub stopped: Option<String>,
}

/// The folder of the office; cheap to clone.
#[derive(Clone, Debug)]
pub struct Cases {
    folder: PathBuf,
    next: Arc<AtomicU64>,
    /// Held while a standing is read and written: messages are taken while the worker works.
    changing: Arc<Mutex<()>>,
}

impl Cases {
    pub fn open(folder: &Path) -> Result<Self, String> {
        for sub in ["messages", "cases", "incoming"] {
            let path = folder.join(sub);
            std::fs::create_dir_all(&path).map_err(|e| said(&path, e))?;
        }
        // What was on its way when we stopped will be sent again; what was half written replaced nothing.
        let half = list(&folder.join("cases"))?.into_iter().filter(|file| file.extension().is_some_and(|e| e == "new"));
        for left in list(&folder.join("incoming"))?.into_iter().chain(half) {
            std::fs::remove_file(&left).map_err(|e| said(&left, e))?;
        }
        Ok(Self { folder: folder.to_owned(), next: Arc::default(), changing: Arc::default() })
    }

    /// A name for a file on its way in.
    pub fn incoming(&self) -> PathBuf {
        self.folder.join("incoming").join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Judges and keeps the case file at `path`. A message that came before gets its receipt again.
    pub fn take(&self, id: &str, path: &Path, directory: &Directory) -> Result<Taken, TakeError> {
        let disk = |file: &Path, e: std::io::Error| TakeError::Disk(said(file, e));
        let open = || std::fs::File::open(path).map_err(|e| disk(path, e));
        let opened = asic::open(open()?, &Limits::default())?;
        let message = opened.archive.read(MESSAGE_FILE, MESSAGE_MAX).map_err(asic::AsicError::from)?;
        let message = Message::parse(&message).map_err(|e| TakeError::Message(e.to_string()))?;
        if message.id != id {
            return Err(TakeError::Message("the header names another message".into()));
        }
        for file in message.files() {
            if !opened.files.iter().any(|sealed| sealed.name == file.path && sealed.digest == file.digest) {
                return Err(TakeError::Message(format!("{} is named, but not in the case file", file.path)));
            }
        }
        let sender = directory.member(&message.from).ok_or_else(|| TakeError::Sender(message.from.clone()))?;
        let seal = opened.signed.signer.der();
        if !sender.seal_certificates.iter().any(|own| own.0 == seal) {
            return Err(TakeError::Sender(message.from));
        }
        let digest = digest_of(open()?).map_err(|e| disk(path, e))?;
        let receipt = format!("office-419001:{}", &Digest::of(id.as_bytes()).to_string()[..24]);
        let kept = self.folder.join("messages").join(format!("{}.asice", Digest::of(id.as_bytes())));
        let again = match std::fs::File::open(&kept) {
            Ok(have) => digest_of(have).map(|have| have == digest).map_err(|e| disk(&kept, e))?,
            Err(_) => false,
        };
        if !again && kept.exists() {
            return Err(TakeError::Other(id.to_owned()));
        }
        // The case first: a crash in between lets the message come again, and it finds its case there.
        self.note(&message)?;
        if !again {
            std::fs::rename(path, &kept).map_err(|e| disk(&kept, e))?;
            let folder = self.folder.join("messages");
            std::fs::File::open(&folder).and_then(|f| f.sync_all()).map_err(|e| disk(&folder, e))?;
        }
        Ok(Taken { receipt, again })
    }

    fn note(&self, message: &Message) -> Result<(), TakeError> {
        let after = |have: Option<Standing>| match (have, &message.dossier, message.act) {
            (None, Some(dossier), _) => {
                Some(Standing { case: message.case, item: dossier.item, done: 0, stopped: None })
            }
            (Some(standing), _, Act::Withdraw | Act::Terminate) => {
                Some(Standing { stopped: Some(message.act.word().to_owned()), ..standing })
            }
            (have, ..) => have,
        };
        self.change(message.case, after).map(|_| ()).map_err(TakeError::Disk)
    }

    fn file(&self, case: CaseNo) -> PathBuf {
        self.folder.join("cases").join(format!("{case}.json"))
    }

    pub fn standing(&self, case: CaseNo) -> Result<Option<Standing>, String> {
        let file = self.file(case);
        match files::read(&file)? {
            Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| said(&file, e)),
            None => Ok(None),
        }
    }

    /// Reads where a case stands and writes what `after` makes of it; one at a time.
    pub fn change(
        &self,
        case: CaseNo,
        after: impl FnOnce(Option<Standing>) -> Option<Standing>,
    ) -> Result<Option<Standing>, String> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = after(self.standing(case)?);
        if let Some(standing) = &standing {
            let bytes = serde_json::to_vec(standing).map_err(|e| e.to_string())?;
            files::write(&self.file(case), &bytes, PRIVATE)?;
        }
        Ok(standing)
    }

    /// All cases, by number.
    pub fn all(&self) -> Result<Vec<Standing>, String> {
        let mut all = Vec::new();
        for file in list(&self.folder.join("cases"))? {
            if file.extension().is_some_and(|e| e == "json")
                && let Some(bytes) = files::read(&file)?
            {
                all.push(serde_json::from_slice::<Standing>(&bytes).map_err(|e| said(&file, e))?);
            }
        }
        all.sort_by_key(|s| s.case.to_string());
        Ok(all)
    }

    /// Who applied: read from the case file, so that personal data lie in one place only.
    pub fn applicant(&self, standing: &Standing) -> Result<(String, String), String> {
        for file in list(&self.folder.join("messages"))? {
            let source = std::fs::File::open(&file).map_err(|e| said(&file, e))?;
            let archive = crate::formats::zip::Archive::open(source, &Limits::default()).map_err(|e| said(&file, e))?;
            let message = archive.read(MESSAGE_FILE, MESSAGE_MAX).map_err(|e| said(&file, e))?;
            let message = Message::parse(&message).map_err(|e| said(&file, e))?;
            if message.case == standing.case
                && let Some(dossier) = message.dossier
            {
                return Ok((dossier.applicant.name.clone(), dossier.applicant.code.clone()));
            }
        }
        Err(format!("case {}: no filing among the messages", standing.case))
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| said(folder, e))?;
    entries.map(|entry| entry.map(|e| e.path()).map_err(|e| said(folder, e))).collect()
}

fn digest_of(mut file: std::fs::File) -> std::io::Result<Digest> {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    Ok(Digest(out))
}
