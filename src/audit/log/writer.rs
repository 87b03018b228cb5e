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
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::chain::{Before, CaseChain};
use super::crowd::Crowd;
use super::disk::{Disk, DiskFile, is_full};
use super::levels::MAX_LEVELS;
use super::segment::{self, Chain, Footer, RECORD_HEAD, SEGMENT_ENTRIES};
use super::{Committed, Head, MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Shared, recover};
use crate::audit::AuditError;
use crate::audit::entry::{Encoded, Entry, MAX_ENTRY, Pseudonym, Word};
use crate::audit::evidence::index;
use crate::audit::merkle::leaf_hash;
use crate::audit::tile::{HEIGHT, TileHashes};
use crate::terms::Digest;

pub(super) type Answer = Result<Committed, AuditError>;

/// Who waits for an entry: a task or a thread.
pub(super) enum Reply {
    Task(oneshot::Sender<Delivered>),
    Thread(std::sync::mpsc::SyncSender<Answer>),
}

impl Reply {
    /// A caller that has gone away does not matter: the entry is kept all the same.
    fn send(self, answer: Answer) {
        match self {
            Self::Task(sender) => drop(sender.send(Delivered { answer, rest: Rest(Vec::new()) })),
            Self::Thread(sender) => drop(sender.try_send(answer)),
        }
    }
}

/// An answer, and those of others to be handed on.
///
/// To wake a task from this thread costs its runtime a lock and often a system call; to wake it from another task costs
/// next to nothing. So the writer wakes a few tasks of a batch, and each of them wakes [`GROUP`] others.
pub(super) struct Delivered {
    pub answer: Answer,
    rest: Rest,
}

/// Handed on when dropped: also when the one who was to do it has gone away meanwhile.
struct Rest(Vec<(oneshot::Sender<Delivered>, Answer)>);

impl Drop for Rest {
    fn drop(&mut self) {
        for (sender, answer) in self.0.drain(..) {
            drop(sender.send(Delivered { answer, rest: Rest(Vec::new()) }));
        }
    }
}

/// Tasks that one task wakes.
const GROUP: usize = 32;

/// Answers a batch.
fn answer_all(replies: Vec<(Reply, Answer)>) {
    let mut group = Vec::with_capacity(GROUP);
    for (reply, answer) in replies {
        match reply {
            Reply::Thread(_) => reply.send(answer),
            Reply::Task(sender) => group.push((sender, answer)),
        }
        if group.len() == GROUP {
            lead(std::mem::replace(&mut group, Vec::with_capacity(GROUP)));
        }
    }
    lead(group);
}

/// Wakes the first that is still there; it wakes the others.
fn lead(mut group: Vec<(oneshot::Sender<Delivered>, Answer)>) {
    while let Some((sender, answer)) = group.pop() {
        match sender.send(Delivered { answer, rest: Rest(group) }) {
            Ok(()) => return,
            Err(mut gone) => group = std::mem::take(&mut gone.rest.0),
        }
    }
}

pub(super) enum Job {
    Append(Encoded, Reply),
    /// An `index` entry, to be filled in with the map of all cases before it.
    Index(Box<Entry>, Reply),
    /// Whether the log has an entry of a case.
    Knows(Pseudonym, oneshot::Sender<bool>),
    /// Whether there is space for one more entry.
    Room(oneshot::Sender<Result<(), AuditError>>),
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
    pub crowd: Crowd,
}

impl Writer {
    pub fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut waiting = Vec::with_capacity(MAX_BATCH_ENTRIES);
        let mut closers = Vec::new();
        while closers.is_empty() && queue.blocking_recv_many(&mut waiting, MAX_BATCH_ENTRIES) > 0 {
            if let Some(moment) = self.crowd.moment(waiting.len()) {
                std::thread::sleep(moment);
                while waiting.len() < MAX_BATCH_ENTRIES
                    && let Ok(job) = queue.try_recv()
                {
                    waiting.push(job);
                }
            }
            let mut jobs = Vec::with_capacity(waiting.len());
            for job in waiting.drain(..) {
                match job {
                    Job::Append(entry, reply) => jobs.push((entry, reply)),
                    Job::Index(entry, reply) => {
                        self.batches(std::mem::take(&mut jobs));
                        match self.index(*entry) {
                            // Alone: a checkpoint ends with it.
                            Ok(entry) => self.batch(&mut vec![(entry, reply)].into_iter().peekable(), true),
                            Err(error) => reply.send(Err(error)),
                        }
                    }
                    Job::Knows(case, reply) => {
                        self.batches(std::mem::take(&mut jobs));
                        let _ = reply.send(self.cases.next(&case).1 != Before::Nothing);
                    }
                    Job::Room(reply) => {
                        self.batches(std::mem::take(&mut jobs));
                        let _ = reply.send(self.room());
                    }
                    Job::Close(done) => closers.push(done),
                }
            }
            self.batches(jobs);
        }
        queue.close();
        while let Ok(job) = queue.try_recv() {
            match job {
                Job::Append(_, reply) | Job::Index(_, reply) => reply.send(Err(AuditError::Closed)),
                Job::Knows(..) | Job::Room(..) => {}
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

    fn batches(&mut self, jobs: Vec<(Encoded, Reply)>) {
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            self.batch(&mut jobs, false);
        }
    }

    /// Nothing waits to be written now: the map is that of exactly the entries before this one. Holds up the log for
    /// about a second per two million cases.
    fn index(&self, entry: Entry) -> Result<Encoded, AuditError> {
        let all = self.cases.lasts();
        let (cases, root) = (all.len().to_string(), index::root(all).to_string());
        let entry = entry.fact(Word::new(index::CASES)?, Word::new(&cases)?);
        Ok(entry.fact(Word::new(index::ROOT)?, Word::new(&root)?).encode()?)
    }

    /// Writes one batch from the front of `jobs` and answers it.
    fn batch(&mut self, jobs: &mut std::iter::Peekable<std::vec::IntoIter<(Encoded, Reply)>>, is_map: bool) {
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
            buffer.extend_from_slice(&[0; RECORD_HEAD]);
            let link = match self.link(&entry) {
                Ok(link) => link,
                Err(error) => {
                    buffer.truncate(start);
                    reply.send(Err(error));
                    continue;
                }
            };
            // Not before the entry is sure to stand here: a bundle that began twice would be found where the one before it is.
            if index.is_multiple_of(256) {
                offsets.push((self.end + start as u64) as u32);
            }
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
        let begun = Instant::now();
        let outcome = self.commit(&buffer, &hashes);
        self.crowd = Crowd { entries: replies.len(), took: begun.elapsed() };
        let len = buffer.len() as u64;
        self.buffer = buffer;
        match outcome {
            Err(error) => self.refuse(replies.into_iter().map(|(reply, _)| reply).collect(), error),
            Ok(()) => {
                self.shared.full.store(false, Ordering::Relaxed);
                self.end += len;
                self.cases.keep();
                for (count, hashes) in self.written.iter_mut().zip(&hashes) {
                    *count += (hashes.len() / 32) as u64;
                }
                self.shared.grown(Head { size: footer_size(&next), root: next.frontier.root() }, &offsets, is_map);
                self.chain = next;
                answer_all(replies.into_iter().map(|(reply, committed)| (reply, Ok(committed))).collect());
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
            let mut to = (self.end + len).next_multiple_of(self.preallocate);
            let mut taken = self.file.allocate(self.allocated, to - self.allocated);
            // The last of a disk serves as long as it lasts.
            if taken.as_ref().is_err_and(is_full) && to > self.end + len {
                to = self.end + len;
                taken = self.file.allocate(self.allocated, to - self.allocated);
            }
            taken.map_err(classify)?;
            self.allocated = to;
        }
        for (level, bytes) in hashes.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let count = (bytes.len() / 32) as u64;
            self.shared.levels.reserve(level, self.written[level], count).map_err(classify)?;
        }
        Ok(())
    }

    /// Tries the disk where nothing stands yet with as much as a batch takes, its hashes on every level included: room for
    /// one entry alone would be found and lost with every other question. Zeros there are no entry.
    fn room(&mut self) -> Result<(), AuditError> {
        if let Some(reason) = self.shared.dead() {
            return Err(AuditError::Dead(reason));
        }
        if let Err(error) = self.next_segment() {
            if let AuditError::Dead(reason) = &error {
                self.shared.die(reason.clone());
            }
            return Err(error);
        }
        let blank = vec![0; RECORD_HEAD + MAX_ENTRY];
        let (from, to) = (self.chain.frontier.size(), self.chain.frontier.size() + MAX_BATCH_ENTRIES as u64);
        let hashes = std::array::from_fn(|level| {
            let below = |size: u64| size >> (HEIGHT as usize * level);
            vec![0; 32 * (below(to) - below(from)) as usize]
        });
        let room = self.reserve(MAX_BATCH_BYTES as u64, &hashes).and_then(|()| {
            // Where space cannot be taken in advance, only a write tells.
            self.file.write_at(&blank, self.end).map_err(|error| match is_full(&error) {
                true => AuditError::Full(error.to_string()),
                false => AuditError::Dead(format!("trying the disk: {error}")),
            })
        });
        match &room {
            Ok(()) => self.shared.full.store(false, Ordering::Relaxed),
            Err(AuditError::Dead(reason)) => self.shared.die(reason.clone()),
            Err(_) => {}
        }
        room
    }

    /// Seals a full segment and begins the next one.
    fn next_segment(&mut self) -> Result<(), AuditError> {
        if self.chain.frontier.size() < (self.segment + 1) * SEGMENT_ENTRIES {
            return Ok(());
        }
        // Sealed once: on a full disk this is tried again with every batch.
        if self.allocated > self.end {
            let sealed = self.file.set_len(self.end).and_then(|()| self.file.sync());
            sealed.map_err(|error| AuditError::Dead(format!("sealing a segment: {error}")))?;
            self.allocated = self.end;
        }
        let next = recover::new_segment(&self.disk, &self.folder, self.segment + 1, &self.origin);
        self.file = next.map_err(|error| match error {
            AuditError::Full(_) => error,
            other => AuditError::Dead(other.to_string()),
        })?;
        self.segment += 1;
        self.end = segment::HEADER_LEN as u64;
        self.allocated = self.end;
        Ok(())
    }

    fn refuse(&mut self, replies: Vec<Reply>, error: AuditError) {
        self.cases.forget();
        match &error {
            AuditError::Dead(reason) => self.shared.die(reason.clone()),
            AuditError::Full(_) => self.shared.full.store(true, Ordering::Relaxed),
            _ => {}
        }
        answer_all(replies.into_iter().map(|reply| (reply, Err(error.clone()))).collect());
    }
}

fn footer_size(chain: &Chain) -> u64 {
    chain.frontier.size()
}
