//! What crosses between two gateways, inside a sealed container: `message.json` and the files it names.

use serde::{Deserialize, Serialize};

use super::case::Paper;
use super::state::{Act, State};
use super::{ExchangeError, Kept};
use crate::terms::{Attribute, CaseNo, Digest, ItemCode, LicenceId, RegionCode, ResidentId, UnixMillis};

/// The version of this form.
pub const VERSION: u32 = 1;
/// Name of the message inside its container.
pub const MESSAGE_FILE: &str = "message.json";

/// What marks the container of an ask in its path, before its number.
const ASK: &str = "ask-";

/// One message. Its `id` is kept through all retries: the same id has the same effect once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub v: u32,
    /// `<case number>/<sender>/<seq>`: one act of one side; of an ask `<case number>/<sender>/ask/<act>/<nth>`.
    pub id: String,
    pub from: String,
    pub to: String,
    pub at: UnixMillis,
    pub case: CaseNo,
    pub act: Act,
    /// The sender has not done the act but asks the owner to: only the owner moves a case that it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// State after the act (of an ask: before it), as the sender sees it.
    pub state: State,
    pub seq: u64,
    /// Who acts for whom at which level: a signed assertion of the sending gateway.
    pub assertion: String,
    /// What the registrar of an agent's power of attorney says of it, for this filing before the owner; of an act that a
    /// window asks the owner for, the owner's own mandate, as signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<String>,
    /// The filing itself; only with [`Act::Receive`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dossier: Option<Dossier>,
    /// Papers this act produced.
    #[serde(default)]
    pub papers: Vec<PaperRef>,
    /// Words of the authority, e.g. the reason of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a window under the owner's mandate asks the applicant for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<Demanded>,
}

/// A material that a supplement notice asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demanded {
    /// Number in the guide.
    pub no: u32,
    /// What is wrong with the one that was handed in; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
    /// It is to come on paper: an electronic one will not do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paper: bool,
}

/// Everything the owner needs to decide: the personal part of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dossier {
    pub item: ItemCode,
    pub item_name: String,
    /// Digest of the guide version in force at filing: nothing outside it can be asked later.
    pub guide: Digest,
    pub mode: String,
    pub scope: String,
    /// Where the person stands, and who collected.
    pub window: RegionCode,
    pub collector: Collector,
    pub owner: RegionCode,
    pub authority: String,
    pub authority_name: String,
    pub applicant: Applicant,
    /// The collecting point saw the applicant in person, as its clerk states.
    #[serde(default)]
    pub present: bool,
    /// To be served first (绿色通道): for whoever orders a queue, and for no check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub priority: bool,
    pub received_at: UnixMillis,
    /// What the applicant filled in.
    #[serde(default)]
    pub form: serde_json::Value,
    pub materials: Vec<Material>,
    /// Shared data looked up for this case.
    #[serde(default)]
    pub facts: Vec<FactRef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// `window` or the outlet's kind (`bank`, `post`, `shop`).
    pub kind: String,
    pub id: String,
    pub name: String,
    /// Staff number of the clerk; empty where somebody filed without a counter.
    pub clerk: String,
}

/// The person the case is about. Travels only inside sealed containers and rests only encrypted.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applicant {
    /// Empty where the item does not ask for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `111` resident number, `001` credit code (GB/T 36903 annex A).
    pub code_type: String,
    pub code: String,
    /// Real-name level at filing, 1–4, and when it was proven.
    pub level: u8,
    pub level_at: UnixMillis,
    /// Contact data, where the item asks for them and the applicant's issuer states them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Dossier {
    /// Whether a licence of this type and identifier was handed in, and its issuer asked about it.
    pub fn has_licence(&self, kind: &str, id: &LicenceId) -> bool {
        self.facts.iter().any(|fact| fact.resource == kind && fact.values["licence"] == id.as_str())
    }
}

impl Applicant {
    /// What it tells of the person.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> {
        [
            (Attribute::Name, !self.name.is_empty()),
            (Attribute::Number, true),
            (Attribute::Phone, self.phone.is_some()),
            (Attribute::Email, self.email.is_some()),
            (Attribute::Address, self.address.is_some()),
        ]
        .into_iter()
        .filter_map(|(attribute, told)| told.then_some(attribute))
    }

    /// The name as papers and screens show it.
    pub fn shown_name(&self) -> &str {
        if self.name.is_empty() { "—" } else { &self.name }
    }

    /// The resident number, where it is one.
    pub fn resident(&self) -> Option<ResidentId> {
        if self.code_type == "111" { self.code.parse().ok() } else { None }
    }

    /// For screens and papers: first 3 and last 2 characters.
    pub fn masked_code(&self) -> String {
        let chars: Vec<char> = self.code.chars().collect();
        match chars.len() {
            n if n > 5 => chars.iter().enumerate().map(|(i, c)| if i < 3 || i + 2 >= n { *c } else { '*' }).collect(),
            n => "*".repeat(n),
        }
    }
}

impl std::fmt::Debug for Applicant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Applicant({})", self.masked_code())
    }
}

/// One material as handed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Material {
    /// Number in the guide.
    pub no: u32,
    pub name: String,
    /// `citizen`, `agent`, `licence`, `shared`.
    pub source: String,
    /// The file in the container, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRef>,
    /// What the check of a licence said (code of the verdict).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Path in the container.
    pub path: String,
    pub media: String,
    pub size: u64,
    pub digest: Digest,
}

/// A shared-data answer, by what it was for and what it was; the answer's values stay in the dossier's form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactRef {
    pub resource: String,
    pub purpose: String,
    pub fetched_at: UnixMillis,
    pub cached: bool,
    pub values: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperRef {
    pub kind: Paper,
    pub number: String,
    pub file: FileRef,
}

/// A file of a case with where it lies in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    pub path: String,
    pub media: String,
    pub kept: Kept,
}

impl Stored {
    pub fn reference(&self) -> FileRef {
        FileRef { path: self.path.clone(), media: self.media.clone(), size: self.kept.size, digest: self.kept.digest }
    }
}

impl Message {
    /// The id of an act that its sender has done, as told to `to`; what a gateway tells the office behind it has an id of
    /// its own, and so has an ask.
    pub fn id_of(case: CaseNo, sender: &str, to: &str, seq: u64) -> String {
        let office = if sender == to { "/office" } else { "" };
        format!("{case}/{sender}/{seq}{office}")
    }

    /// The id of the `nth` time that an act is asked for: what was refused may be asked again.
    pub fn ask_id(case: CaseNo, sender: &str, act: Act, nth: usize) -> String {
        format!("{case}/{sender}/ask/{}/{nth}", act.word())
    }

    /// Which time it is, of an ask.
    fn nth(&self) -> Option<usize> {
        let digits = self.id.rsplit('/').next().filter(|d| d.len() <= 4 && d.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok()
    }

    /// Where the container of this message lies among the case's files, the same on both sides. Sorts by act.
    pub fn container_path(&self) -> String {
        let ask = if self.ask { format!("{ASK}{}-", self.nth().unwrap_or_default()) } else { String::new() };
        format!("containers/{:06}-{}-{}-{ask}{}.asice", self.seq, self.from, self.to, self.act.word())
    }

    /// Parses and checks what can be checked without knowing anybody: version, id, paths.
    pub fn parse(bytes: &[u8]) -> Result<Self, ExchangeError> {
        let wrong = |why: String| ExchangeError::Message(why);
        let message: Self = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if message.v != VERSION {
            return Err(wrong(format!("form version {} is not known", message.v)));
        }
        let id = match message.ask {
            true => Self::ask_id(message.case, &message.from, message.act, message.nth().unwrap_or_default()),
            false => Self::id_of(message.case, &message.from, &message.to, message.seq),
        };
        if message.id != id {
            return Err(wrong("the id does not name this case, sender and act".into()));
        }
        if (message.act == Act::Receive && !message.ask) != message.dossier.is_some() {
            return Err(wrong("a dossier comes with the first message of a case, and only then".into()));
        }
        if let Some(dossier) = &message.dossier
            && dossier.owner != message.case.owner()
        {
            return Err(wrong("the case number names another owner".into()));
        }
        Ok(message)
    }

    /// Every file the message names.
    pub fn files(&self) -> impl Iterator<Item = &FileRef> {
        let materials = self.dossier.iter().flat_map(|d| d.materials.iter().filter_map(|m| m.file.as_ref()));
        materials.chain(self.papers.iter().map(|p| &p.file))
    }
}
