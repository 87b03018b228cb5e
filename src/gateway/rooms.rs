//! What a request needs from the rooms below, held together; every request gets the same.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

use super::certificate_status::CertificateStatus;
use super::decisions::Decisions;
use super::duty::Pair;
use super::enrol::Authority;
use super::intake::Bounds;
use super::issuers::Issuers;
use super::log_state::LogState;
use super::lookup::Askers;
use super::material::Materials;
use super::opaque::Introspected;
use super::orders::Operators;
use super::pace::{Paces, Waiting};
use super::sign_in::SignIn;
use super::stationed::Stationed;
use super::statuses::Statuses;
use super::strangers::Strangers;
pub use super::systems::{System, SystemKind, Systems};
use super::who::has_current;
use super::word::Voice;
use crate::audit::{Log, Pseudonymiser};
use crate::catalogue::Catalogue;
use crate::exchange::{Key, Vault};
use crate::federation::directory::Octets;
use crate::federation::{Directory, FederationError};
use crate::identity::IdentityError;
use crate::identity::book::{Bindings, IssuerBook};
use crate::identity::cache::VerdictCache;
use crate::identity::exchanged::Cover;
use crate::identity::nonce::Nonces;
use crate::identity::pairwise::PairwiseKey;
use crate::identity::revocation::Revocations;
use crate::licences::TimeBasis;
use crate::lookups::Lookups;
use crate::partners::{Contracts, Hours, Rates, Stopped};
use crate::policy::PolicyBook;
use crate::store::Store;
use crate::terms::refusal::tolds;
use crate::terms::{CaseNo, Digest, Next, Refusal, RegionCode, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::keyring::TrustList;
use crate::trust::suite::{Signer, Strengths};
use crate::upstream::Client;

tolds! {
    /// The authority has no approval system behind this gateway.
    pub const NO_OFFICE = "TB-GW-0302", 422,
        "承办部门的业务系统尚未接入，未予收件，请到承办部门窗口办理。",
        "The authority's system is not connected yet and nothing was received: go to a window of the authority.",
        Next::GoToOwner;
}

/// Who we are.
#[derive(Clone, Debug)]
pub struct Me {
    /// Name in the federation directory.
    pub id: String,
    pub name: String,
    pub region: RegionCode,
    /// Enquiry and complaint number, printed on papers.
    pub enquiry: String,
    pub version: &'static str,
}

/// A service window of ours.
#[derive(Clone, Debug)]
pub struct Window {
    pub id: String,
    pub name: String,
    pub region: RegionCode,
    /// Organisation that tokens of its staff name; the window's id when absent, if a token names any.
    pub org: Option<String>,
    /// Items it takes, where it does not take every item whose scope reaches it.
    pub items: Option<Vec<Stationed>>,
    /// When it takes filings, where the gateway is to see to it; a hall closes its own doors.
    pub hours: Option<Hours>,
}

/// A key with the certificates that vouch for it.
pub struct Envelope {
    pub key: Box<dyn Signer>,
    pub chain: Vec<Certificate>,
}

/// A seal with the key and certificate that apply it.
pub struct Stamp {
    pub seal: Vec<u8>,
    pub key: Box<dyn Signer>,
    pub certificate: Certificate,
}

/// The operator's own trust list, and the time certificates are judged at.
pub struct Trusted {
    pub list: Arc<TrustList>,
    pub time_basis: TimeBasis,
    /// A licence counts only under a seal of the body that it says issued it.
    pub sealed_by_issuer: bool,
    /// Which algorithms and keys count under seals, and until when.
    pub strengths: Strengths,
}

/// The keys we speak under, with what vouches for them; a reload may put others in their place.
pub struct Keys {
    /// Seals case files.
    pub envelope: Envelope,
    pub collection: Stamp,
    pub acceptance: Stamp,
    pub approval: Stamp,
    /// Signs assertions and hand-off tokens.
    pub assertion: Voice,
}

/// What all replicas derive from the one secret they share.
#[derive(Debug)]
pub struct Secrets {
    /// Covers people in our own tokens.
    pub cover: Cover,
    /// Names of people that one peer knows.
    pub names: PairwiseKey,
    pub nonces: Nonces,
}

impl Secrets {
    /// # Errors
    /// When the machine has no randomness.
    pub fn derive(master: &Key) -> Result<Self, IdentityError> {
        let secret = master.octets();
        let names = Digest::of(&[&secret[..], b"tongban pairwise names 1"].concat());
        Ok(Self { cover: Cover::derive(secret)?, names: PairwiseKey::new(&names.0), nonces: Nonces::derive(secret) })
    }
}

/// What the configuration says of people.
#[derive(Clone, Debug, Default)]
pub struct PeopleRules {
    /// DPoP proofs carry nonces of ours.
    pub nonces: bool,
    pub bindings: Bindings,
    /// A and B posts.
    pub posts: Vec<Pair>,
    /// Issuers of opaque tokens.
    pub introspected: Vec<Introspected>,
    /// Where people sign in at pages; pages are not offered when absent.
    pub sign_in: Option<SignIn>,
}

/// Whose authorities must have a revocation list that is in date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListsRequired {
    /// Clients of our own authorities: windows, outlets, departments, auditors.
    pub clients: bool,
    /// Other members' gateways.
    pub members: bool,
}

/// One client for each peer, which trusts that peer's TLS authority and no one else's: no member of the federation can
/// stand in for another.
#[derive(Default)]
pub struct Peers(pub HashMap<String, Peer>);

/// The ways to one peer: while deliveries wait for it to come up, a person at a counter need not.
#[derive(Clone)]
pub struct Peer {
    pub deliveries: Client,
    pub lookups: Client,
}

impl Peer {
    pub fn new(client: Client) -> Self {
        Self { lookups: client.apart().relaying(), deliveries: client }
    }
}

/// How far the log is archived, for whoever asks: metrics, readiness, retention.
#[derive(Debug)]
pub struct ArchiveState {
    /// Entries that are archived; [`UNKNOWN`] until the archive was asked.
    archived: AtomicU64,
    sealed: AtomicU64,
    /// Since when something sealed is not archived, Unix milliseconds; 0 while nothing is.
    behind: AtomicI64,
}

const UNKNOWN: u64 = u64::MAX;

impl Default for ArchiveState {
    fn default() -> Self {
        Self { archived: AtomicU64::new(UNKNOWN), sealed: AtomicU64::new(0), behind: AtomicI64::new(0) }
    }
}

impl ArchiveState {
    /// Entries that are archived; `None` until the archive was asked, or where there is none.
    pub fn archived(&self) -> Option<u64> {
        Some(self.archived.load(Ordering::Acquire)).filter(|size| *size != UNKNOWN)
    }

    /// Segments are sealed up to here; archived or not.
    pub fn sealed(&self, size: u64, now: UnixMillis) {
        self.sealed.store(size, Ordering::Release);
        self.look(now);
    }

    /// The archive is whole up to here.
    pub fn reached(&self, size: u64, now: UnixMillis) {
        self.archived.store(size, Ordering::Release);
        self.look(now);
    }

    fn look(&self, now: UnixMillis) {
        let is_behind = self.archived().unwrap_or(0) < self.sealed.load(Ordering::Acquire);
        let since = if is_behind { now.0 } else { 0 };
        // The first moment stays.
        if since == 0 || self.behind.load(Ordering::Acquire) == 0 {
            self.behind.store(since, Ordering::Release);
        }
    }

    /// Entries that are sealed and not archived.
    pub fn waiting(&self) -> u64 {
        self.sealed.load(Ordering::Acquire).saturating_sub(self.archived().unwrap_or(0))
    }

    /// Milliseconds for which something has waited.
    pub fn behind_for(&self, now: UnixMillis) -> i64 {
        match self.behind.load(Ordering::Acquire) {
            0 => 0,
            since => now.0.saturating_sub(since),
        }
    }
}

pub struct Rooms {
    /// How far the log is archived.
    pub log_archive: ArchiveState,
    /// How the log stands with its witnesses and its time-stamp authority.
    pub log_state: LogState,
    pub me: Me,
    pub store: Store,
    pub vault: Vault,
    pub master: Key,
    pub log: Log,
    pub pseudonyms: Pseudonymiser,
    pub catalogue: ArcSwap<Catalogue>,
    pub policies: PolicyBook,
    /// What the rules were asked, for a replay.
    pub decisions: Arc<Decisions>,
    /// Where every set that decided is kept, by version.
    pub archive: PathBuf,
    pub contracts: ArcSwap<Contracts>,
    pub rates: ArcSwap<Rates>,
    /// What operators switched off; it outweighs every contract.
    pub stopped: ArcSwap<Stopped>,
    /// Who may give orders.
    pub operators: ArcSwap<Operators>,
    /// Issues certificates for terminals, where there is such an authority.
    pub enrolment: ArcSwap<Option<Authority>>,
    /// Revocation lists of our own clients' authorities.
    pub client_lists: ArcSwap<Vec<Crl>>,
    /// Who is let in only while the list of their authority is there and in date.
    pub lists_required: ArcSwap<ListsRequired>,
    /// Whom seals and licences are judged by, beside the directory.
    pub trusted: ArcSwap<Trusted>,
    /// What verdicts were reached by.
    pub materials: Materials,
    /// What responders said of the certificates under seals.
    pub certificate_status: Arc<CertificateStatus>,
    /// Revocation and status lists from configured addresses.
    pub statuses: ArcSwap<Statuses>,
    /// How fast each caller may ask, and who was told to wait.
    pub paces: ArcSwap<Paces>,
    pub waiting: Waiting,
    /// Refusals of people whom nobody knows.
    pub strangers: Strangers,
    pub directory: ArcSwap<Directory>,
    pub issuers: ArcSwap<IssuerBook>,
    /// Tokens judged a moment ago.
    pub verdicts: VerdictCache,
    /// Sessions and subjects that their issuers ended.
    pub ended: ArcSwap<Revocations>,
    /// Where issuers answer, and what they said of tokens that only they can read.
    pub services: Issuers,
    /// A token named a key we do not know: the refresher looks for a newer key set.
    pub keys_wanted: tokio::sync::Notify,
    /// Keys that all replicas derive from one secret.
    pub secrets: Secrets,
    /// Who must use which binding, who stands in for whom.
    pub people: ArcSwap<PeopleRules>,
    /// By SHA-256 of the client certificate.
    pub windows: ArcSwap<HashMap<Digest, Window>>,
    /// Authorities of our own clients' certificates; a member's authority vouches for that member's gateway only.
    pub client_anchors: ArcSwap<Vec<Certificate>>,
    /// Departments' systems behind us.
    pub systems: ArcSwap<Systems>,
    pub lookups: Lookups,
    /// Peers that asked shared data of us, to be told when they change.
    pub askers: Askers,
    /// Speaks to peers, under our own certificate; made anew with each directory.
    pub peers: ArcSwap<Peers>,
    /// Names this process among the replicas on one store.
    pub replica: String,
    /// Hosts we answer for, `host` or `host:port`.
    pub names: Vec<String>,
    pub keys: ArcSwap<Keys>,
    pub bounds: ArcSwap<Bounds>,
    /// The house is about to stop: balancers are to send nobody here any more.
    pub leaving: AtomicBool,
    /// Tells watchers that a case moved.
    pub news: broadcast::Sender<CaseNo>,
}

impl Rooms {
    /// The system of a kind that works for a place: the longest matching one.
    pub fn system_for(
        &self,
        kind: SystemKind,
        place: RegionCode,
        fits: impl Fn(&System) -> bool,
    ) -> Option<Arc<System>> {
        self.systems.load().for_place(kind, place, fits)
    }

    /// The office that will work on a case, or the no that spares a person a receipt for a case that nobody takes up.
    ///
    /// # Errors
    /// `TB-GW-0302` where the authority's system is not connected to this gateway.
    pub fn office_of(&self, owner: RegionCode, authority: &str) -> Result<Arc<System>, Refusal> {
        let office = self.system_for(SystemKind::Office, owner, |s| s.authority.as_str() == authority);
        office.ok_or_else(|| Refusal::new(&NO_OFFICE, format!("no office system of {authority} for {owner}")))
    }

    /// Whether this gateway itself works for a place.
    pub fn is_ours(&self, place: RegionCode) -> bool {
        let directory = self.directory.load();
        directory.member_for(place).is_ok_and(|m| m.id == self.me.id)
    }

    /// The ways to a peer.
    ///
    /// # Errors
    /// The directory ran out, or lists no such member.
    pub fn peer(&self, id: &str, now: UnixMillis) -> Result<Peer, FederationError> {
        self.directory.load().in_force(now)?;
        let client = self.peers.load().0.get(id).cloned();
        client.ok_or_else(|| FederationError::NotThatMember(format!("no member {id}")))
    }

    /// Our name as issuer of tokens: the address in the directory.
    ///
    /// # Errors
    /// The directory in force does not list us any more.
    pub fn issuer(&self) -> Result<String, FederationError> {
        let api = self.directory.load().member(&self.me.id).map(|member| member.api.trim_end_matches('/').to_owned());
        api.ok_or_else(|| FederationError::NotThatMember("this gateway is not in the directory".into()))
    }

    /// The nonce to give out for DPoP proofs, where they carry one.
    pub fn nonce(&self, now: UnixMillis) -> Option<String> {
        self.people.load().nonces.then(|| self.secrets.nonces.current(now))
    }

    /// Nonces a DPoP proof may carry; none where none is asked for.
    pub fn nonces(&self, now: UnixMillis) -> Vec<String> {
        if self.people.load().nonces { self.secrets.nonces.taken(now).to_vec() } else { Vec::new() }
    }

    /// The slot of the numbers that we give out, of our own line in the directory.
    ///
    /// # Errors
    /// The directory in force does not list us any more.
    pub fn slot(&self) -> Result<u16, FederationError> {
        let slot = self.directory.load().member(&self.me.id).map(|member| member.slot);
        slot.ok_or_else(|| FederationError::NotThatMember("this gateway is not in the directory".into()))
    }

    /// Whether our catalogue is the one that the federation works by.
    pub fn catalogue_is_current(&self) -> bool {
        let want = self.directory.load().catalogue;
        want.is_none_or(|want| want == self.catalogue.load().version())
    }

    /// Revocation lists that should have been replaced by `now`: of our clients' authorities, and of the directory. They
    /// still count for what they name; whom they ought to name by now, nobody knows.
    pub fn lists_overdue(&self, now: UnixMillis) -> (usize, usize) {
        let overdue =
            |lists: &[Crl]| lists.iter().filter(|list| list.next_update().is_some_and(|at| at <= now)).count();
        (overdue(&self.client_lists.load()), overdue(self.directory.load().revocation_lists()))
    }

    /// Lists, of the same two kinds, that will soon be past their date.
    pub fn lists_ending(&self, now: UnixMillis) -> (usize, usize) {
        let ending = |lists: &[Crl]| lists.iter().filter(|list| list.is_ending(now)).count();
        (ending(&self.client_lists.load()), ending(self.directory.load().revocation_lists()))
    }

    /// Authorities whose clients, or members, are refused because no list of theirs is in date.
    pub fn lists_lacking(&self, now: UnixMillis) -> usize {
        let (required, lists) = (self.lists_required.load(), self.client_lists.load());
        let (anchors, directory) = (self.client_anchors.load(), self.directory.load());
        let clients = anchors.iter().filter(|_| required.clients);
        let clients = clients.filter(|anchor| !has_current(&lists, anchor.subject(), now)).count();
        let others = directory.members.iter().filter(|member| required.members && member.id != self.me.id);
        let of = |octets: &Octets| Certificate::parse(&octets.0).ok();
        let members = others.flat_map(|member| &member.tls_anchors).filter_map(of);
        clients + members.filter(|anchor| !has_current(directory.revocation_lists(), anchor.subject(), now)).count()
    }

    /// Counts and states that operators watch.
    pub async fn gauges(self: &Arc<Self>) -> BTreeMap<&'static str, i64> {
        let mut gauges = BTreeMap::new();
        gauges.insert("tongban_log_size", self.log.size() as i64);
        gauges.insert("tongban_log_minimum_index", self.log.minimum() as i64);
        gauges.insert("tongban_archive_waiting", self.log_archive.waiting() as i64);
        gauges.insert("tongban_strangers_unlogged", self.strangers.unlogged() as i64);
        let (refused, unlogged) = self.waiting.counts();
        gauges.insert("tongban_too_fast", refused as i64);
        gauges.insert("tongban_too_fast_unlogged", unlogged as i64);
        gauges.insert("tongban_log_healthy", i64::from(self.log.takes_entries().await.is_ok()));
        if let Some(is_met) = self.log_state.quorum() {
            gauges.insert("tongban_log_witnessed", i64::from(is_met));
            gauges.insert("tongban_log_contradicted", i64::from(self.log_state.is_contradicted()));
        }
        if let Some(is_closed) = self.log_state.is_closed(UnixMillis::now()) {
            gauges.insert("tongban_log_fail_closed", i64::from(is_closed));
        }
        if let Some(age) = self.log_state.unstamped_for(UnixMillis::now()) {
            gauges.insert("tongban_log_unstamped_seconds", age / 1000);
        }
        gauges.insert("tongban_catalogue_current", i64::from(self.catalogue_is_current()));
        let (clients, directory) = self.lists_overdue(UnixMillis::now());
        gauges.insert("tongban_client_lists_overdue", clients as i64);
        gauges.insert("tongban_required_lists_lacking", self.lists_lacking(UnixMillis::now()) as i64);
        gauges.insert("tongban_directory_lists_overdue", directory as i64);
        let (clients, directory) = self.lists_ending(UnixMillis::now());
        gauges.insert("tongban_client_lists_ending", clients as i64);
        gauges.insert("tongban_directory_lists_ending", directory as i64);
        gauges.insert("tongban_directory_version", self.directory.load().version as i64);
        if let Ok(mut tx) = self.store.read().await
            && let Ok((waiting, refused)) = crate::exchange::outbox::waiting(&mut tx).await
        {
            gauges.insert("tongban_outbox_waiting", waiting);
            gauges.insert("tongban_outbox_refused", refused);
        }
        gauges
    }
}
