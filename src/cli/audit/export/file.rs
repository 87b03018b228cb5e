//! The file that an export writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::existing_key;
use super::seal::Seal;
use crate::audit::Pseudonym;
use crate::audit::entry::{CaseKeys, LogKey};
use crate::audit::evidence::{self, DocumentPart, Half, MANIFEST, Manifest, VERSION};
use crate::exchange::message::Stored;
use crate::exchange::{Key, Vault, records};
use crate::store::Store;
use crate::terms::{CaseNo, UnixMillis};
use crate::trust::asic::{self, Part};
use crate::trust::pem;

/// A bundle being written: for nobody else to read, and gone again when it does not come to an end.
pub(super) struct Unfinished {
    aim: PathBuf,
    path: PathBuf,
    file: File,
}

impl Unfinished {
    pub(super) fn beside(out: &Path) -> Result<Self, String> {
        let mut name = out.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = PathBuf::from(name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Self { aim: out.to_owned(), file: file.map_err(|e| format!("{}: {e}", path.display()))?, path })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Renamed, it is not there any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file of the case, decrypted into memory only while it is copied.
pub(super) struct Document {
    stored: Stored,
    key: Key,
    vault: std::sync::Arc<Vault>,
}

/// The documents of a case, and what opens the sealed parts of its lines.
pub(super) fn documents(no: CaseNo, store: &str, data: &Path) -> Result<(Vec<Document>, Option<LogKey>), String> {
    let master = existing_key(&data.join("master.key"))?;
    let vault = std::sync::Arc::new(Vault::open(&data.join("vault")).map_err(|e| e.to_string())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let store = Store::open(store, &crate::app::wire::migrations()).await.map_err(|e| e.to_string())?;
        let mut tx = store.read().await.map_err(|e| e.to_string())?;
        let wrapped = match records::wrapped_key(&mut tx, no).await {
            Ok(wrapped) => wrapped,
            // Shredded, or never here: the entries stand without their documents.
            Err(why) => {
                eprintln!("文件不可用 · the documents are not at hand: {why}");
                return Ok((Vec::new(), None));
            }
        };
        let key = master.unwrap(&no.to_string(), &wrapped).map_err(|e| e.to_string())?;
        let rows = records::files(&mut tx, no, &key).await.map_err(|e| e.to_string())?;
        drop(tx);
        store.close().await;
        let document = |stored| Document { stored, key: key.clone(), vault: vault.clone() };
        let log_key = LogKey::of_case(key.octets());
        Ok((rows.into_iter().map(|row| document(row.stored)).collect(), Some(log_key)))
    })
}

/// All that goes into a bundle.
pub(super) struct Taken {
    pub case: Pseudonym,
    pub no: Option<CaseNo>,
    /// Our own half first, then those of replicas, then those of peers.
    pub halves: Vec<Half>,
    /// Rules, questions and trust material that entries name, by path.
    pub behind: BTreeMap<String, Vec<u8>>,
    /// What opens the sealed parts of our entries.
    pub log_key: Option<LogKey>,
    pub documents: Vec<Document>,
}

impl Taken {
    /// Gives what was written, for people.
    pub(super) fn write(self, seal: &Seal, out: &Unfinished) -> Result<String, String> {
        let Self { case, no, halves, behind, log_key, mut documents } = self;
        documents.sort_by(|a, b| a.stored.path.cmp(&b.stored.path));
        let newest = UnixMillis(halves.iter().map(|half| half.newest).max().unwrap_or(0));
        let (signer, chain) = seal.open(newest)?;
        let certificates: Vec<(String, Vec<u8>)> = chain
            .iter()
            .map(|c| (evidence::certificate_path(c), pem::encode("CERTIFICATE", c.der()).into_bytes()))
            .collect();
        let path = |document: &Document| format!("documents/{}", document.stored.path);
        let manifest = Manifest {
            v: VERSION,
            case: case.to_string(),
            case_no: no.map(|no| no.to_string()),
            logs: halves.iter().map(|half| half.part.clone()).collect(),
            policies: behind.keys().filter(|path| path.starts_with("policy/")).cloned().collect(),
            trust: behind.keys().filter(|path| path.starts_with("trust/")).cloned().collect(),
            keys: log_key.iter().map(|_| evidence::key_path(&case)).collect(),
            documents: documents
                .iter()
                .map(|d| DocumentPart {
                    path: path(d),
                    media: d.stored.media.clone(),
                    digest: d.stored.kept.digest,
                    size: d.stored.kept.size,
                })
                .collect(),
            certificates: certificates.iter().map(|(name, _)| name.clone()).collect(),
        };
        let mut manifest = serde_json::to_vec_pretty(&manifest).map_err(|e| e.to_string())?;
        manifest.push(b'\n');
        let mut files = vec![(MANIFEST.to_owned(), manifest)];
        files.extend(halves.iter().enumerate().flat_map(|(log, half)| half.files(log)));
        files.extend(behind);
        files.extend(log_key.map(|key| (evidence::key_path(&case), CaseKeys::file(&case, &key))));
        files.extend(certificates);
        let media = |name: &str| match name.rsplit('.').next() {
            Some("json") => "application/json",
            Some("pem") => "application/pem-certificate-chain",
            _ if name.starts_with("trust/") => "application/octet-stream",
            _ => "text/plain",
        };
        let mut parts: Vec<Part<'_>> =
            files.iter().map(|(name, bytes)| Part::whole(name, media(name), bytes)).collect();
        let (entries, papers) = (halves.iter().map(|half| half.entries.len()).sum::<usize>(), documents.len());
        for document in &documents {
            let reading = document.vault.read(&document.key, &document.stored.kept).map_err(|e| e.to_string())?;
            parts.push(Part {
                name: path(document),
                media: document.stored.media.clone(),
                digest: document.stored.kept.digest,
                content: Box::new(reading.stream()),
            });
        }
        let named = |e: &dyn std::fmt::Display| format!("{}: {e}", out.aim.display());
        let sealed = asic::seal(std::io::BufWriter::new(&out.file), parts, &*signer, &chain, newest);
        sealed.map_err(|e| named(&e))?.into_inner().map_err(|e| named(&e))?;
        out.file.sync_all().and_then(|()| std::fs::rename(&out.path, &out.aim)).map_err(|e| named(&e))?;
        Ok(format!(
            "{}: 条目 {entries}，文件 {papers} · {entries} entries of {} logs, {papers} documents",
            out.aim.display(),
            halves.len()
        ))
    }
}
