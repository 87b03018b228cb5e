//! Contracts as data, and the outlet a terminal's certificate belongs to.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::acts::Act;
use super::error::PartnerError;
use super::hours::Hours;
use super::masking::Masking;
use super::read;
use crate::terms::{CreditCode, Day, Digest, IdentifierError, ItemCode, Lang, Mistakes, OutletKind, RegionCode};

/// Name of an outlet, e.g. `bank-nanshan-01`: 3 to 48 small letters, digits and hyphens.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OutletId(String);

impl OutletId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OutletId {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !(3..=48).contains(&text.len()) || !plain || text.starts_with('-') || text.ends_with('-') {
            return Err(IdentifierError::Shape);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OutletId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::terms::json::as_text!(OutletId, TerminalId);

/// The signed mandate of a department (委托书) as it is written in a contract. What it says and whether it holds is judged
/// upstairs, where the registers' keys are.
#[derive(Clone, PartialEq, Eq)]
pub struct MandatePaper(String);

impl MandatePaper {
    /// As signed: a compact JWS.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How log and case name it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl FromStr for MandatePaper {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match text.split('.').count() == 3 && text.split('.').all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(IdentifierError::Shape),
        }
    }
}

impl fmt::Debug for MandatePaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MandatePaper({})", self.digest())
    }
}

/// What identifies a terminal: its certificate, or the name in it that outlives renewals.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum TerminalId {
    /// SHA-256 over the DER of the certificate; 64 hexadecimal digits.
    Fingerprint(Digest),
    /// The only URI among the certificate's subject alternative names, compared octet by octet.
    Uri(String),
}

impl FromStr for TerminalId {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let bytes = text.as_bytes();
        if bytes.len() == 64 && bytes.iter().all(u8::is_ascii_hexdigit) {
            return text.to_ascii_lowercase().parse().map(Self::Fingerprint);
        }
        let (scheme, rest) = text.split_once(':').ok_or(IdentifierError::Shape)?;
        let plain = bytes.iter().all(|b| b.is_ascii_graphic());
        let good_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase());
        if !plain || !good_scheme || rest.is_empty() || bytes.len() > 256 {
            return Err(IdentifierError::Shape);
        }
        Ok(Self::Uri(text.to_owned()))
    }
}

impl fmt::Display for TerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(digest) => digest.fmt(f),
            Self::Uri(uri) => f.write_str(uri),
        }
    }
}

/// A terminal of an outlet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    pub id: TerminalId,
    /// The terminal's own kill switch.
    pub revoked: bool,
    /// Where it stands; at the outlet's region when absent.
    pub place: Option<RegionCode>,
    /// It is carried about: it tells its place with each request, and does nothing without.
    pub moves: bool,
    /// What it told.
    pub told: Option<RegionCode>,
}

/// Daily limits of an outlet; `None` = not limited by the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub outlet: Option<u32>,
    pub clerk: Option<u32>,
    pub terminal: Option<u32>,
    /// For every item that `items` does not name.
    pub item: Option<u32>,
    pub items: BTreeMap<ItemCode, u32>,
    /// How often one citizen can come in a day before somebody should look.
    pub citizen: Option<u32>,
}

/// Requests of one terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: std::num::NonZeroU32,
    pub burst: std::num::NonZeroU32,
}

/// One outlet's contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub outlet: OutletId,
    pub name_zh: String,
    pub name_en: String,
    pub kind: OutletKind,
    /// Where the outlet is: the window whose scope decides how far an owner may be.
    pub region: RegionCode,
    /// Places it may act in; a terminal in a village of a town listed here counts.
    pub places: Vec<RegionCode>,
    pub terminals: Vec<Terminal>,
    pub items: Vec<ItemCode>,
    pub acts: Vec<Act>,
    pub hours: Hours,
    pub masking: Masking,
    pub limits: Limits,
    pub rate: Rate,
    /// First and last day; the contract ends at 24:00 of the last.
    pub from: Day,
    pub to: Day,
    /// The department that entrusts the outlet, by its credit code.
    pub authority: CreditCode,
    /// The signed mandate of that department, on which the contract rests.
    pub mandate: MandatePaper,
    /// The kill switch: why nothing is taken from this outlet now.
    pub suspended: Option<String>,
}

impl Contract {
    /// Where a terminal is now: where it stands, or what it tells where it moves.
    ///
    /// # Errors
    /// [`PartnerError::PlaceUntold`] for one that moves and does not tell.
    pub fn place_of(&self, terminal: &Terminal) -> Result<RegionCode, PartnerError> {
        let stands = terminal.place.unwrap_or(self.region);
        match (terminal.told, terminal.moves) {
            (Some(told), _) => Ok(told), // what stands and says that it is elsewhere is believed, too
            (None, false) => Ok(stands),
            (None, true) => Err(PartnerError::PlaceUntold { outlet: self.outlet.clone() }),
        }
    }

    /// Whether the contract covers a place.
    pub fn covers(&self, place: RegionCode) -> bool {
        self.places.iter().any(|wider| place.lies_in(*wider))
    }

    pub fn name(&self, lang: Lang) -> &str {
        lang.pick(&self.name_zh, &self.name_en)
    }
}

/// All contracts: an immutable snapshot.
#[derive(Clone, Debug)]
pub struct Contracts {
    by_outlet: BTreeMap<OutletId, Arc<Contract>>,
    by_terminal: HashMap<TerminalId, OutletId>,
    digest: Digest,
}

impl Default for Contracts {
    fn default() -> Self {
        Self { by_outlet: BTreeMap::new(), by_terminal: HashMap::new(), digest: Digest::of(b"") }
    }
}

impl Contracts {
    /// Reads `[[contract]]` tables; `file` is its name for messages, `known` tells which items the catalogue has and
    /// whether outlets of a kind may take them, `mandated` what is wrong with the mandate that a contract names.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn read(
        file: &str,
        text: &str,
        known: &dyn Fn(ItemCode, OutletKind) -> read::Standing,
        mandated: &dyn Fn(&Contract) -> Vec<read::Unmandated>,
    ) -> Result<Self, Mistakes> {
        let contracts = read::read(file, text, known, mandated)?;
        let mut all = Self { digest: Digest::of(text.as_bytes()), ..Self::default() };
        for contract in contracts {
            for terminal in &contract.terminals {
                all.by_terminal.insert(terminal.id.clone(), contract.outlet.clone());
            }
            all.by_outlet.insert(contract.outlet.clone(), Arc::new(contract));
        }
        Ok(all)
    }

    /// Digest of the text: what a log line cites.
    pub fn version(&self) -> Digest {
        self.digest
    }

    pub fn get(&self, outlet: &OutletId) -> Option<&Arc<Contract>> {
        self.by_outlet.get(outlet)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Contract>> {
        self.by_outlet.values()
    }

    /// The contract and terminal of a client certificate, by its fingerprint.
    ///
    /// # Errors
    /// [`PartnerError::UnknownTerminal`] and [`PartnerError::TerminalRevoked`].
    pub fn find_by_terminal(&self, fingerprint: Digest) -> Result<(&Arc<Contract>, &Terminal), PartnerError> {
        self.find(&TerminalId::Fingerprint(fingerprint))
    }

    /// As [`Contracts::find_by_terminal`], by either kind of name; a fingerprint listed wins over a URI.
    ///
    /// # Errors
    /// As there.
    pub fn find_by_certificate(
        &self,
        fingerprint: Digest,
        uri: Option<&str>,
    ) -> Result<(&Arc<Contract>, &Terminal), PartnerError> {
        match (self.find_by_terminal(fingerprint), uri) {
            (Err(PartnerError::UnknownTerminal), Some(uri)) => self.find(&TerminalId::Uri(uri.to_owned())),
            (found, _) => found,
        }
    }

    fn find(&self, id: &TerminalId) -> Result<(&Arc<Contract>, &Terminal), PartnerError> {
        let contract = self.by_terminal.get(id).and_then(|outlet| self.by_outlet.get(outlet));
        let contract = contract.ok_or(PartnerError::UnknownTerminal)?;
        let terminal = contract.terminals.iter().find(|terminal| terminal.id == *id);
        let terminal = terminal.ok_or(PartnerError::UnknownTerminal)?;
        if terminal.revoked {
            return Err(PartnerError::TerminalRevoked { outlet: contract.outlet.clone() });
        }
        Ok((contract, terminal))
    }

    /// The same contracts with one outlet switched off: what an operator's kill switch swaps in at once.
    /// `None` when there is no such outlet.
    pub fn with_suspended(&self, outlet: &OutletId, reason: &str) -> Option<Self> {
        let mut all = self.clone();
        let contract = Arc::make_mut(all.by_outlet.get_mut(outlet)?);
        contract.suspended = Some(reason.to_owned());
        Some(all)
    }

    /// The same contracts with one terminal switched off; `None` when nobody has it.
    pub fn with_revoked(&self, terminal: &TerminalId) -> Option<Self> {
        let mut all = self.clone();
        let contract = Arc::make_mut(all.by_outlet.get_mut(self.by_terminal.get(terminal)?)?);
        contract.terminals.iter_mut().find(|t| t.id == *terminal)?.revoked = true;
        Some(all)
    }
}

pub use read::{Standing, Unmandated};
