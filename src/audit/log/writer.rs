//! The one thread that writes. What a crash at each step leaves behind:
//!
//! ```text
//!  take what waits            nothing: nobody was answered
//!  make room on disk          zeros at the end; dropped
//!  write records and footer   a torn or whole batch nobody was told about; dropped, or kept as it is
//!  fdatasync ───────────────  the batch is kept
//!  write level files          missing hashes; rebuilt from the segment
//!  answer                     callers ask again, or find the entry by their trace
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::chain::{Before, CaseChain};
use super::disk::{Disk, DiskFile, is_full};
use super::levels::MAX_LEVELS;
use super::segment::{self, Chain, Footer, RECORD_HEAD, SEGMENT_ENTRIES};
use super::{Committed, Head, MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Shared, recover};
use crate::audit::AuditError;
use crate::audit::entry::Encoded;
use crate::audit::merkle::leaf_hash;
use crate::audit::tile::{HEIGHT, TileHashes};
use crate::terms::Digest;

pub(super) type Answer = Result<Committed, AuditError>;

/// Who waits for an entry: a task or a thread.
pub(super) enum Reply {
    Task(oneshot::Sender<Answer>),
    Thread(std::sync::mpsc::SyncSender<Answer>),
}

impl Reply {
    /// A caller that has gone away does not matter: the entry is kept all the same.
    fn send(self, answer: Answer) {
        match self {
            Self::Task(sender) => drop(sender.send(answer)),
            Self::Thread(sender) => drop(sender.try_send(answer)),
        }
    }
}

pub(super) enum Job {
    Append(Encoded, Reply),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub disk: Arc<dyn Disk>,
    pub folder: PathBuf,
    pub origin: String,
    pub chain: Chain,
    pub cases: CaseChain,
    pub segment: u64,
    pub file: Arc<dyn DiskFile>,
    pub end: u64,
    pub allocated: u64,
    pub preallocate: u64,
    /// Hashes in each level file.
    pub written: [u64; MAX_LEVELS],
    pub buffer: Vec<u8>,
}

impl Writer {
    pub fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut waiting = Vec::with_capacity(MAX_BATCH_ENTRIES);
        let mut closers = Vec::new();
        while closers.is_empty() && queue.blocking_recv_many(&mut waiting, MAX_BATCH_ENTRIES) > 0 {
            let mut jobs = Vec::with_capacity(waiting.len());
            for job in waiting.drain(..) {
                match job {
                    Job::Append(entry, reply) => jobs.push((entry, reply)),
                    Job::Close(done) => closers.push(done),
                }
            }
            let mut jobs = jobs.into_iter().peekable();
            while jobs.peek().is_some() {
                self.batch(&mut jobs);
            }
        }
        queue.close();
        while let Ok(job) = queue.try_recv() {
            match job {
                Job::Append(_, reply) => reply.send(Err(AuditError::Closed)),
                Job::Close(done) => closers.push(done),
            }
        }
        if self.shared.dead().is_none() {
            let size = self.chain.frontier.size();
            let trimmed = self.file.set_len(self.end).and_then(|()| self.file.sync());
            if let Err(error) = trimmed.and_then(|()| self.shared.levels.trim(size)) {
                self.shared.die(format!("closing the log: {error}"));
            }
        }
        self.shared.stop_publisher();
        // Dropped, these tell that the log is closed; `Log::close` waits for the publisher as well.
        for done in closers {
            let _ = done.send(());
        }
    }

    /// Writes one batch from the front of `jobs` and answers it.
    fn batch(&mut self, jobs: &mut std::iter::Peekable<std::vec::IntoIter<(Encoded, Reply)>>) {
        if let Some(reason) = self.shared.dead() {
            jobs.for_each(|(_, reply)| reply.send(Err(AuditError::Dead(reason.clone()))));
            return;
        }
        if let Err(error) = self.next_segment() {
            return self.refuse(jobs.map(|(_, reply)| reply).collect(), error);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut next = self.chain.clone();
        let first = next.frontier.size();
        let room = ((self.segment + 1) * SEGMENT_ENTRIES - first).min(MAX_BATCH_ENTRIES as u64) as usize;
        let mut hashes: [Vec<u8>; MAX_LEVELS] = Default::default();
        let (mut replies, mut offsets) = (Vec::new(), Vec::new());
        while replies.len() < room {
            let fits = |entry: &Encoded| buffer.is_empty() || buffer.len() + entry.max_len() < MAX_BATCH_BYTES;
            let Some((entry, reply)) = jobs.next_if(|(entry, _)| fits(entry)) else { break };
            let (index, start) = (next.frontier.size(), buffer.len());
            if index.is_multiple_of(256) {
                offsets.push((self.end + start as u64) as u32);
            }
            buffer.extend_from_slice(&[0; RECORD_HEAD]);
            let link = match self.link(&entry) {
                Ok(link) => link,
                Err(error) => {
                    buffer.truncate(start);
                    reply.send(Err(error));
                    continue;
                }
            };
            entry.link(link.0, link.1.as_ref(), &mut buffer);
            segment::close_record(&mut buffer, start);
            // Hashed from the very bytes that are written, so that a flipped bit cannot come between.
            let leaf = leaf_hash(&buffer[start + RECORD_HEAD..]);
            next.frontier.push_with(leaf, |height, hash| {
                if height.is_multiple_of(HEIGHT)
                    && let Some(level) = hashes.get_mut((height / HEIGHT) as usize)
                {
                    level.extend_from_slice(&hash.0);
                }
            });
            if let Some(case) = entry.case {
                self.cases.add(case, link.0, index, leaf);
            }
            if entry.intent {
                self.cases.open_intent(leaf, index);
            }
            if let Some(of) = entry.of {
                self.cases.close_intent(of);
            }
            replies.push((reply, Committed { index, leaf }));
        }
        if replies.is_empty() {
            self.buffer = buffer;
            return;
        }
        let footer = Footer {
            first,
            count: replies.len() as u32,
            size: next.frontier.size(),
            root: next.frontier.root(),
            previous: next.last_footer,
        }
        .encode();
        buffer.extend_from_slice(&footer);
        next.last_footer = Digest::of(&footer);
        let outcome = self.commit(&buffer, &hashes);
        let len = buffer.len() as u64;
        self.buffer = buffer;
        match outcome {
            Err(error) => self.refuse(replies.into_iter().map(|(reply, _)| reply).collect(), error),
            Ok(()) => {
                self.end += len;
                self.cases.keep();
                for (count, hashes) in self.written.iter_mut().zip(&hashes) {
                    *count += (hashes.len() / 32) as u64;
                }
                self.shared.grown(Head { size: footer_size(&next), root: next.frontier.root() }, &offsets);
                self.chain = next;
                replies.into_iter().for_each(|(reply, committed)| reply.send(Ok(committed)));
            }
        }
    }

    /// `seq` and `prev` of an entry.
    fn link(&self, entry: &Encoded) -> Result<(u32, Option<Digest>), AuditError> {
        let Some(case) = &entry.case else { return Ok((0, None)) };
        let (seq, before) = self.cases.next(case);
        let prev = match before {
            Before::Nothing => None,
            Before::Leaf(leaf) => Some(leaf),
            Before::Index(index) => self.shared.levels.hashes(0, index, 1)?.pop(),
        };
        Ok((seq, prev))
    }

    /// Makes the batch durable. `Full` leaves the log as it was; every other failure is its death, since after a
    /// failed `fdatasync` nobody knows what the disk holds: it is never tried again.
    fn commit(&mut self, batch: &[u8], hashes: &[Vec<u8>; MAX_LEVELS]) -> Result<(), AuditError> {
        self.reserve(batch.len() as u64, hashes)?;
        let written = self.file.write_at(batch, self.end);
        if let Err(error) = written {
            // Only file systems without preallocation come here with a full disk. Half a batch must not stay.
            let blank = vec![0; batch.len().min((self.allocated - self.end) as usize)];
            if is_full(&error) && self.file.write_at(&blank, self.end).is_ok() {
                return Err(AuditError::Full(error.to_string()));
            }
            return Err(AuditError::Dead(format!("writing a batch: {error}")));
        }
        self.file.sync().map_err(|error| AuditError::Dead(format!("fdatasync: {error}")))?;
        for (level, bytes) in hashes.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let written = self.shared.levels.write(level, self.written[level], bytes);
            written.map_err(|error| AuditError::Dead(format!("writing level {level}: {error}")))?;
        }
        Ok(())
    }

    /// Takes all the space the batch needs before a byte of it is written.
    fn reserve(&mut self, len: u64, hashes: &[Vec<u8>; MAX_LEVELS]) -> Result<(), AuditError> {
        let classify = |error: std::io::Error| match is_full(&error) {
            true => AuditError::Full(error.to_string()),
            false => AuditError::Dead(format!("taking space: {error}")),
        };
        if self.end + len > self.allocated {
            let to = (self.end + len).next_multiple_of(self.preallocate);
            self.file.allocate(self.allocated, to - self.allocated).map_err(classify)?;
            self.allocated = to;
        }
        for (level, bytes) in hashes.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let count = (bytes.len() / 32) as u64;
            self.shared.levels.reserve(level, self.written[level], count).map_err(classify)?;
        }
        Ok(())
    }

    /// Seals a full segment and begins the next one.
    fn next_segment(&mut self) -> Result<(), AuditError> {
        if self.chain.frontier.size() < (self.segment + 1) * SEGMENT_ENTRIES {
            return Ok(());
        }
        let sealed = self.file.set_len(self.end).and_then(|()| self.file.sync());
        sealed.map_err(|error| AuditError::Dead(format!("sealing a segment: {error}")))?;
        self.allocated = self.end;
        let next = recover::new_segment(&self.disk, &self.folder, self.segment + 1, &self.origin);
        self.file = next.map_err(|error| AuditError::Dead(error.to_string()))?;
        self.segment += 1;
        self.end = segment::HEADER_LEN as u64;
        self.allocated = self.end;
        Ok(())
    }

    fn refuse(&mut self, replies: Vec<Reply>, error: AuditError) {
        self.cases.forget();
        if let AuditError::Dead(reason) = &error {
            self.shared.die(reason.clone());
        }
        replies.into_iter().for_each(|reply| reply.send(Err(error.clone())));
    }
}

fn footer_size(chain: &Chain) -> u64 {
    chain.frontier.size()
}
