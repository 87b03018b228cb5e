//! Where the gateway has from whom it trusts: the directory, trust lists, revocation and status lists.

use std::path::{Path, PathBuf};

use crate::licences::TimeBasis;
use crate::terms::strict_toml::Table;
use crate::trust::suite::Strengths;

/// Lists are looked at this often, in seconds.
const STATUSES_S: u32 = 3_600;

#[derive(Clone, Debug)]
pub struct Directory {
    /// The signed directory as last received.
    pub file: PathBuf,
    /// Where newer ones come from; never when absent.
    pub url: Option<String>,
    /// TLS anchors for that address.
    pub anchors: Option<PathBuf>,
    /// Public key of the federation operator (PEM).
    pub operator_key: PathBuf,
}

impl Directory {
    /// `[directory]`
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let at = |text: &str| base.join(text);
        let (file, key) = (t.need_str("file"), t.need_str("operator_key"));
        let (url, anchors) = (t.str("url").map(str::to_owned), t.str("anchors").map(at));
        t.done();
        Some(Self { file: at(file?), url, anchors, operator_key: at(key?) })
    }
}

/// Whom the gateway trusts for seals and licences, beside the directory.
#[derive(Clone, Debug)]
pub struct Trust {
    /// A folder with `trust.toml`.
    pub list: Option<PathBuf>,
    /// The time certificates are judged at.
    pub time_basis: TimeBasis,
    /// A licence counts only under a seal of the body that it says issued it.
    pub sealed_by_issuer: bool,
    /// Which algorithms and keys count, and until when.
    pub strengths: Strengths,
}

impl Default for Trust {
    fn default() -> Self {
        Self { list: None, time_basis: TimeBasis::Claimed, sealed_by_issuer: true, strengths: Strengths::default() }
    }
}

impl Trust {
    /// `[trust]`
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let list = t.str("list").map(|list| base.join(list));
        let basis = match t.str("time_basis") {
            None | Some("claimed") => Some(TimeBasis::Claimed),
            Some("timestamp") => Some(TimeBasis::TimeStamp),
            Some("now") => Some(TimeBasis::Now),
            Some(other) => {
                t.wrong("time_basis", format_args!("{other} is no basis"), "write claimed, timestamp or now");
                None
            }
        };
        let sealed_by_issuer = t.bool("sealed_by_issuer").unwrap_or(true);
        let strengths = strengths(t);
        t.done();
        Some(Self { list, time_basis: basis?, sealed_by_issuer, strengths })
    }
}

/// What of the shipped lists the operator narrows. An empty list would take nothing, which nobody means.
fn strengths(t: &Table<'_, '_>) -> Strengths {
    let mut strengths = Strengths::default();
    if let Some(digests) = t.list("digests", "sm3, sha256, sha384 or sha512, perhaps with \" until 2030-12-31\"") {
        some(t, "digests", digests, &mut strengths.digests);
    }
    if let Some(curves) = t.list("curves", "sm2, p256, p384, p521 or ed25519, perhaps with \" until 2030-12-31\"") {
        some(t, "curves", curves, &mut strengths.curves);
    }
    if let Some(rsa) = t.list("rsa", "least bits in quotation marks, 2048 to 8192, perhaps with \" until 2028-12-31\"")
    {
        some(t, "rsa", rsa, &mut strengths.rsa);
    }
    strengths
}

fn some<T>(t: &Table<'_, '_>, key: &'static str, found: Vec<T>, place: &mut Vec<T>) {
    if found.is_empty() {
        t.wrong(key, "the list is empty", "name what counts, or leave the line out");
    }
    *place = found;
}

/// Addresses of lists; nothing else is ever fetched to judge a seal.
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    /// Revocation lists of certificates, complete and delta.
    pub lists: Vec<String>,
    /// Status lists of credentials; each is also what credentials call it by.
    pub credentials: Vec<String>,
    /// Seconds between two looks at one address.
    pub every_s: i64,
    /// Hours after which lists and answers are stale whatever they say.
    pub max_age_h: Option<u32>,
    /// Addresses of OCSP responders, each with the certificate of the issuer it answers for.
    pub responders: Vec<(String, PathBuf)>,
}

impl Statuses {
    /// `[statuses]` and every `[[responder]]`
    pub(super) fn read(root: &Table<'_, '_>, base: &Path) -> Self {
        let mut statuses = root.table("statuses").map_or_else(Self::default, |t| {
            let (lists, credentials) = (addresses(&t, "lists"), addresses(&t, "credentials"));
            let every_s = t.int("every_s", 10..=86_400).unwrap_or(STATUSES_S);
            let max_age_h = t.int("max_age_h", 1..=8_760);
            t.done();
            Self { lists, credentials, every_s: every_s.into(), max_age_h, responders: Vec::new() }
        });
        for t in root.tables("responder") {
            let (url, issuer) = (t.need_str("url"), t.need_str("issuer"));
            if let Some(url) = url {
                is_address(&t, "url", url);
            }
            t.done();
            statuses.responders.extend(url.zip(issuer).map(|(url, file)| (url.to_owned(), base.join(file))));
        }
        statuses
    }
}

fn addresses(t: &Table<'_, '_>, key: &'static str) -> Vec<String> {
    let all = t.list::<String>(key, "addresses, e.g. \"http://crl.example.cn/ca.crl\"").unwrap_or_default();
    all.iter().for_each(|url| is_address(t, key, url));
    all
}

fn is_address(t: &Table<'_, '_>, key: &str, url: &str) {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        t.wrong(key, format_args!("{url} is not an address"), "write http://… or https://…");
    }
}
