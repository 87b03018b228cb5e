//! Who is at the door: the terminal by its certificate, the people by their tokens.

use super::rooms::{Rooms, System, SystemKind, Window};
use crate::audit::entry::{Actor, Behalf, Subject};
use crate::audit::{Pseudonym, Word};
use crate::partners::error::TERMINAL_REVOKED;
use crate::partners::{Contract, Masking, PartnerError, Terminal as OutletTerminal};
use crate::policy;
use crate::terms::refusal::tolds;
use crate::terms::{Attributes, Digest, Next, Refusal, RegionCode, ResidentId, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::name;
use crate::trust::path::{PathError, Purpose, Question, Revocation, judge};
use crate::trust::suite::Strengths;

tolds! {
    /// The route needs a client certificate that we know.
    pub const NO_TERMINAL = "TB-GW-0101", 401,
        "未识别终端证书，请使用已登记的窗口或网点终端。",
        "This terminal's certificate is not known: use an enrolled window or outlet terminal.",
        Next::AskOperator;
    /// The person in whose name something is done is not named.
    pub const NO_SUBJECT = "TB-GW-0102", 401,
        "缺少申请人的登录凭证，请申请人先登录。",
        "The applicant's token is missing: the applicant must sign in.",
        Next::SignInAgain;
    /// The route is for people who act for others, or the other way round.
    pub const WRONG_KIND = "TB-GW-0103", 403,
        "当前身份不能使用该功能。",
        "Your kind of account cannot use this.",
        Next::GoToWindow;
    /// Staff at a terminal of another organisation or place.
    pub const NOT_YOUR_DESK = "TB-GW-0104", 403,
        "您不是该窗口或网点的工作人员，请使用本单位的终端。",
        "You do not work for this window or outlet: use a terminal of your own organisation.",
        Next::AskOperator;
    /// Whether a certificate was revoked cannot be known, and this gateway lets nobody in on trust.
    pub const NO_LIST = "TB-GW-0106", 503,
        "签发机构的证书吊销列表缺失或已过期，暂不能核实终端证书，请联系运维人员。",
        "The revocation list of this certificate's authority is missing or out of date, so that it cannot be let in: tell the operator.",
        Next::AskOperator;
}

/// What stands at the other end of the connection.
#[derive(Clone, Debug)]
pub enum Terminal {
    Window(Window),
    Outlet {
        contract: std::sync::Arc<Contract>,
        terminal: OutletTerminal,
    },
    /// A department's system.
    System(std::sync::Arc<System>),
    /// Another gateway, by its id in the directory.
    Peer(String),
    /// No certificate, or one we do not know.
    Unknown,
}

impl Terminal {
    /// Recognises a client certificate. Peers are known by the URI in their certificate, and only if that certificate
    /// was issued by the authority the directory names for exactly that member.
    pub fn recognise(
        rooms: &Rooms,
        chain: &[rustls_pki_types::CertificateDer<'_>],
        now: UnixMillis,
    ) -> Result<Self, Refusal> {
        let Some(leaf) = chain.first() else { return Ok(Self::Unknown) };
        let fingerprint = Digest::of(leaf);
        standing(rooms, leaf, now)?;
        if let Some(window) = rooms.windows.load().get(&fingerprint) {
            return Ok(Self::Window(window.clone()));
        }
        if let Some(system) = rooms.systems.load().caller(fingerprint) {
            return Ok(Self::System(system));
        }
        let Ok(certificate) = Certificate::parse(leaf) else { return Ok(Self::Unknown) };
        // A certificate with several names is nobody's: which of them it is for, it does not say.
        let mut uris = certificate.uris();
        let uri = uris.next().filter(|_| uris.next().is_none()).map(str::to_owned);
        if let Some(id) = uri.as_deref().and_then(|u| u.strip_prefix("urn:tongban:gateway:")) {
            return Self::peer(rooms, &certificate, chain, id, now);
        }
        // Every member's authority is good for TLS here, and could write any name: what a name says of an outlet counts
        // under our own authorities only.
        let uri = uri.filter(|_| under(rooms, &certificate, chain, &rooms.client_anchors.load(), now).is_ok());
        let contracts = rooms.contracts.load();
        match contracts.find_by_certificate(fingerprint, uri.as_deref()) {
            Ok((contract, _)) if rooms.stopped.load().has_outlet(&contract.outlet) => {
                Err(PartnerError::Suspended { outlet: contract.outlet.clone() }.into())
            }
            Ok((contract, terminal)) => Ok(Self::Outlet { contract: contract.clone(), terminal: terminal.clone() }),
            Err(PartnerError::UnknownTerminal) => Ok(Self::Unknown),
            Err(other) => Err(other.into()),
        }
    }

    /// Takes note of where a terminal of an outlet says that it is.
    ///
    /// # Errors
    /// `TB-PAR-0211` for a place that is none: one that cannot be read must not count as one that was not told.
    pub fn tells(&mut self, place: Option<&str>) -> Result<(), Refusal> {
        if let (Self::Outlet { contract, terminal }, Some(place)) = (self, place) {
            let untold = |_| PartnerError::PlaceUntold { outlet: contract.outlet.clone() };
            terminal.told = Some(place.parse().map_err(untold)?);
        }
        Ok(())
    }

    fn peer(
        rooms: &Rooms,
        certificate: &Certificate,
        chain: &[rustls_pki_types::CertificateDer<'_>],
        id: &str,
        now: UnixMillis,
    ) -> Result<Self, Refusal> {
        let directory = rooms.directory.load();
        let wrong = |why: String| Refusal::new(&crate::federation::NOT_THAT_MEMBER, why);
        let member = directory.member(id).ok_or_else(|| wrong(format!("no member {id}")))?;
        let anchors: Vec<_> = member.tls_anchors.iter().filter_map(|a| Certificate::parse(&a.0).ok()).collect();
        under(rooms, certificate, chain, &anchors, now).map_err(|e| wrong(format!("{id}: {e}")))?;
        let required = rooms.lists_required.load().members;
        if required && !has_current(directory.revocation_lists(), certificate.issuer(), now) {
            return Err(Refusal::new(&NO_LIST, format!("{id}: no current list of its authority in the directory")));
        }
        Ok(Self::Peer(id.to_owned()))
    }

    /// The word in records: `window:W-1`, `outlet:BANK-1`.
    pub fn word(&self, rooms: &Rooms) -> String {
        match self {
            Self::Window(window) => format!("window:{}", window.id),
            Self::Outlet { contract, .. } => format!("outlet:{}", contract.outlet),
            Self::System(system) => format!("system:{}", system.id),
            Self::Peer(id) => format!("peer:{id}"),
            // Whoever comes without a terminal comes through the portal.
            Self::Unknown => format!("portal:{}", rooms.me.id),
        }
    }

    /// Where the person stands.
    pub fn region(&self) -> Option<RegionCode> {
        match self {
            Self::Window(window) => Some(window.region),
            Self::Outlet { contract, .. } => Some(contract.region),
            _ => None,
        }
    }

    /// How an outlet sees people, by its contract; a government desk sees them as they are.
    pub fn masking(&self) -> Option<&Masking> {
        match self {
            Self::Outlet { contract, .. } => Some(&contract.masking),
            _ => None,
        }
    }

    /// Whether a person may stand behind this terminal. Staff do at terminals of their own organisation and place only;
    /// citizens, auditors and operators come with or without one.
    ///
    /// # Errors
    /// `TB-GW-0101` without an enrolled terminal, `TB-GW-0104` at somebody else's.
    pub fn takes(&self, person: &Person) -> Result<(), Refusal> {
        if !person.kind.is_staff() && person.kind != PersonKind::System {
            return Ok(());
        }
        let (org, must, region, kind) = match self {
            Self::Window(window) => {
                let org = window.org.as_deref();
                (org.unwrap_or(&window.id), org.is_some(), window.region, PersonKind::Clerk)
            }
            Self::Outlet { contract, .. } => (contract.outlet.as_str(), true, contract.region, PersonKind::Outlet),
            _ => return Err(Refusal::new(&NO_TERMINAL, "staff act at enrolled terminals only")),
        };
        // Who speaks for an outlet's employees does not speak for clerks.
        if person.kind != kind {
            return Err(Refusal::new(&NOT_YOUR_DESK, "a window is for clerks, an outlet for its employees"));
        }
        match person.org.as_deref() {
            Some(own) if own == org => {}
            None if !must => {}
            _ => return Err(Refusal::new(&NOT_YOUR_DESK, "the token names another organisation, or none")),
        }
        let here = person.places.iter().any(|place| region.lies_in(*place) || place.lies_in(region));
        if here || person.places.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(&NOT_YOUR_DESK, "the token is for another place"))
    }

    /// The approval system that calls, if it is one.
    pub fn office(&self) -> Option<&System> {
        match self {
            Self::System(system) => Some(system.as_ref()).filter(|s| s.kind == SystemKind::Office),
            _ => None,
        }
    }
}

/// Whether a client certificate, whoever shows it, still counts: no operator has switched it off, and no list of our own
/// authorities names it. Asked at each request: a connection that is open gives no right.
///
/// # Errors
/// `TB-PAR-0102`; `TB-GW-0106` where lists are required, and that of an authority of ours is not there or past its date.
pub fn standing(rooms: &Rooms, leaf: &[u8], now: UnixMillis) -> Result<(), Refusal> {
    let (stopped, lists, required) = (rooms.stopped.load(), rooms.client_lists.load(), rooms.lists_required.load());
    if stopped.spares_certificates() && lists.is_empty() && !required.clients {
        return Ok(());
    }
    let fingerprint = Digest::of(leaf);
    let dead = |why: &str| Err(Refusal::new(&TERMINAL_REVOKED, format!("certificate {fingerprint}: {why}")));
    if stopped.has_certificate(fingerprint) {
        return dead("revoked by an operator");
    }
    let Ok(certificate) = Certificate::parse(leaf) else { return Ok(()) }; // nobody will be known by it
    if certificate.uris().any(|uri| stopped.has_uri(uri, certificate.not_before())) {
        return dead("its terminal was revoked by an operator");
    }
    // That the lists are by our authorities was seen when they were taken.
    let mut own = lists.iter().filter(|list| name::same(list.issuer(), certificate.issuer()));
    if own.any(|list| list.entry(certificate.serial()).is_some()) {
        return dead("on its authority's list");
    }
    let is_ours =
        || rooms.client_anchors.load().iter().any(|anchor| name::same(anchor.subject(), certificate.issuer()));
    if required.clients && is_ours() && !has_current(&lists, certificate.issuer(), now) {
        return Err(Refusal::new(&NO_LIST, format!("certificate {fingerprint}: no current list of its authority")));
    }
    Ok(())
}

/// Whether there is a whole list of this authority that is not past its date. One without a date is never out of date, and so
/// proves nothing about today.
pub fn has_current(lists: &[Crl], authority: &[u8], now: UnixMillis) -> bool {
    let mut own = lists.iter().filter(|list| name::same(list.issuer(), authority) && list.partial().is_none());
    own.any(|list| list.next_update().is_some_and(|next| next > now))
}

/// Whether a client's certificate was issued under one of these authorities, and is not revoked as far as is known.
fn under(
    rooms: &Rooms,
    certificate: &Certificate,
    chain: &[rustls_pki_types::CertificateDer<'_>],
    anchors: &[Certificate],
    now: UnixMillis,
) -> Result<(), PathError> {
    let directory = rooms.directory.load();
    let question = Question {
        leaf: certificate,
        intermediates: &chain.iter().skip(1).filter_map(|c| Certificate::parse(c).ok()).collect::<Vec<_>>(),
        anchors,
        purpose: Purpose::TlsClient,
        at: now,
        crls: directory.revocation_lists(),
        ocsp: &[],
        revocation: Revocation::IfAvailable,
        strengths: Strengths::shipped(),
    };
    judge(&question).map(|_| ())
}

/// Whole minutes, rounded up.
pub fn minutes_between(earlier: UnixMillis, later: UnixMillis) -> u32 {
    let age_ms = (later.0 - earlier.0).max(0);
    u32::try_from((age_ms + 59_999) / 60_000).unwrap_or(u32::MAX)
}

/// What kind of account a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonKind {
    Citizen,
    Clerk,
    /// An employee of a partner outlet.
    Outlet,
    /// Software that acts in nobody's name: at no desk.
    System,
    Auditor,
    Operator,
}

impl PersonKind {
    /// Who works at a desk, a window's or an outlet's.
    pub fn is_staff(self) -> bool {
        matches!(self, Self::Clerk | Self::Outlet)
    }

    /// As peers and departments are told; at which kind of desk somebody works, the terminal says.
    pub fn word(self) -> &'static str {
        match self {
            Self::Citizen => "citizen",
            Self::Clerk | Self::Outlet | Self::System => "staff",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }
}

/// A person whose token has been checked.
#[derive(Clone, Debug)]
pub struct Person {
    pub kind: PersonKind,
    /// Issuer and subject: two issuers' equal subjects are two people.
    pub subject: String,
    /// Pairwise or staff number, as rules and records name the person.
    pub id: String,
    pub issuer: String,
    pub name: Option<String>,
    pub resident: Option<ResidentId>,
    /// Telephone, e-mail, postal address: of account only where an item asks for them.
    pub contact: Attributes,
    /// Real-name level 0–4, and when it was proven.
    pub level: u8,
    pub level_at: UnixMillis,
    /// By which methods (RFC 8176), where the token says so.
    pub method: Option<String>,
    pub org: Option<String>,
    pub roles: Vec<policy::Role>,
    pub places: Vec<RegionCode>,
    pub scopes: Vec<String>,
    /// Digest of the token.
    pub session: Digest,
    pub bound: bool,
    /// The paper under which an agent acts, found good for the act at hand.
    pub paper: Option<policy::Paper>,
    /// A or B post, and whether the B post may act now.
    pub post: policy::Post,
    /// Staff number of the first whose deputy this is.
    pub stands_in_for: Option<String>,
    /// For whom somebody acts, as the log says it.
    pub behalf: Option<Behalf>,
}

impl Person {
    /// The pseudonym under which log and records know a citizen.
    pub fn pseudonym(&self, rooms: &Rooms) -> Pseudonym {
        match &self.resident {
            Some(id) => rooms.pseudonyms.resident(id),
            None => rooms.pseudonyms.of("subject", &self.subject),
        }
    }

    /// Whole minutes since the level was proven, rounded up: an older proof never looks younger.
    pub fn level_age_min(&self, now: UnixMillis) -> u32 {
        minutes_between(self.level_at, now)
    }

    /// As the rules see the person in whose name something is done.
    pub fn as_person(&self, rooms: &Rooms, present: bool, now: UnixMillis) -> policy::Person {
        policy::Person {
            id: self.pseudonym(rooms).to_string(),
            level: self.level,
            level_age_min: self.level_age_min(now),
            present,
        }
    }

    /// As the log names who acted. Staff by number, citizens by pseudonym.
    pub fn actor(&self, rooms: &Rooms, terminal: &Terminal) -> Actor {
        let word = |text: &str| Word::new(text).ok();
        let staff = self.kind != PersonKind::Citizen;
        Actor {
            assurance: Some(self.level),
            issuer: word(&self.issuer),
            kind: word(match (self.kind, terminal) {
                (PersonKind::Citizen, _) if self.paper.is_some() => "agent",
                (PersonKind::Citizen, _) => "citizen",
                (PersonKind::Auditor, _) => "auditor",
                (PersonKind::Operator, _) => "operator",
                (_, Terminal::Outlet { .. }) => "proxy-point",
                (PersonKind::Clerk | PersonKind::Outlet, _) => "clerk",
                (PersonKind::System, _) => "system",
            }),
            method: self.method.as_deref().and_then(word),
            org: self.org.as_deref().and_then(|o| o.parse().ok()),
            pid: (!staff).then(|| self.pseudonym(rooms)),
            session: Some(self.session),
            staff: if staff { word(&self.id) } else { None },
            terminal: word(&terminal.word(rooms)),
        }
    }

    pub fn as_subject(&self, rooms: &Rooms) -> Subject {
        Subject { epoch: Some(rooms.pseudonyms.epoch()), pid: Some(self.pseudonym(rooms)) }
    }
}
