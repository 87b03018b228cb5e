//! Who calls the gateway and whom it calls: windows, auditors, operators, terminals of outlets, systems of departments.

use std::path::{Path, PathBuf};

use super::keys::{KeyPair, fingerprint};
use crate::gateway::stationed::Stationed;
use crate::partners::Hours;
use crate::terms::strict_toml::Table;
use crate::terms::words::words;
use crate::terms::{CreditCode, Day, RegionCode};

/// Days that a terminal's certificate lives.
const TERMINAL_DAYS: u32 = 30;
/// Longest wait for a provider, in seconds.
const ANSWER_S: u32 = 5;

/// A service window of our own, known by its client certificate.
#[derive(Clone, Debug)]
pub struct Window {
    pub id: String,
    pub name: String,
    pub region: RegionCode,
    /// Organisation that the tokens of its staff must name; where absent, a token that names one must name the window.
    pub org: Option<String>,
    /// SHA-256 of the client certificate, 64 hexadecimal digits.
    pub certificate: String,
    /// Items it takes; every item whose scope reaches it when absent.
    pub items: Option<Vec<Listed>>,
    /// When it takes filings; at any time when absent.
    pub hours: Option<Hours>,
}

/// An item at a window, and the line that says so.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub one: Stationed,
    pub line: usize,
}

impl Listed {
    fn read(t: &Table<'_, '_>) -> Option<Self> {
        let code = t.need_parse("code", "12 digits of the catalogue");
        let (from, to) = (t.parse::<Day>("from", "a day, e.g. 2026-01-01"), t.parse::<Day>("to", "a day"));
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            t.wrong("to", "is before the first day", "write the last day of the period");
        }
        t.done();
        Some(Self { one: Stationed { item: code?, from, to }, line: t.line() })
    }
}

impl Window {
    pub(super) fn read(t: &Table<'_, '_>) -> Option<Self> {
        let (id, name) = (t.need_str("id"), t.need_str("name"));
        let region = t.need_parse("region", "6, 9 or 12 digits");
        if !t.has("certificate") {
            t.wrong("certificate", "missing", "write the SHA-256 fingerprint of the window's client certificate");
        }
        let certificate = fingerprint(t, "certificate");
        let org = t.str("org").map(str::to_owned);
        let hours = (t.has("hours") || t.has("closed")).then(|| Hours::read(t));
        if hours.as_ref().is_some_and(|hours| hours.as_ref().is_some_and(|hours| hours.spans.is_empty())) {
            t.wrong(
                "hours",
                "there are none",
                "write a [[window.hours]] with days, from and to, or leave `closed` out",
            );
        }
        let items: Option<Vec<_>> = t.has("item").then(|| t.tables("item").iter().map(Listed::read).collect());
        t.done();
        let items = match items {
            Some(items) => Some(items.into_iter().collect::<Option<_>>()?),
            None => None,
        };
        Some(Self {
            id: id?.to_owned(),
            name: name?.to_owned(),
            region: region?,
            org,
            certificate: certificate?,
            items,
            hours: match hours {
                Some(hours) => Some(hours?),
                None => None,
            },
        })
    }
}

words! {
    /// Who reads entries of the log.
    pub enum AuditorKind {
        Auditor = "auditor", "审计人员", "auditor";
        Mirror = "mirror", "镜像机构", "mirror";
    }
}

/// An auditor or a mirror, known by its client certificate; which places' logs it reads is for the rules.
#[derive(Clone, Debug)]
pub struct Auditor {
    pub id: String,
    pub kind: AuditorKind,
    pub places: Vec<RegionCode>,
    /// SHA-256 of the client certificate, 64 hexadecimal digits.
    pub certificate: String,
}

impl Auditor {
    pub(super) fn read(t: &Table<'_, '_>) -> Option<Self> {
        let (id, kind) = (t.need_str("id"), t.need_word::<AuditorKind>("kind"));
        let places = t.list::<RegionCode>("places", "regions whose logs are read, e.g. \"440000\"");
        if places.as_ref().is_none_or(Vec::is_empty) {
            t.wrong("places", "missing", "write places = [\"440000\"]: the regions whose logs are read");
        }
        if !t.has("certificate") {
            t.wrong("certificate", "missing", "write the SHA-256 fingerprint of the auditor's client certificate");
        }
        let certificate = fingerprint(t, "certificate");
        t.done();
        Some(Self { id: id?.to_owned(), kind: kind?, places: places?, certificate: certificate? })
    }
}

/// Somebody who gives orders, known by a signing key.
#[derive(Clone, Debug)]
pub struct Operator {
    pub id: String,
    /// Public key, P-256, PEM.
    pub key: PathBuf,
}

impl Operator {
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (id, key) = (t.need_str("id"), t.need_str("key"));
        t.done();
        Some(Self { id: id?.to_owned(), key: base.join(key?) })
    }
}

/// The authority for terminals of outlets.
#[derive(Clone, Debug)]
pub struct Enrolment {
    pub pair: KeyPair,
    /// How long a certificate lives, in days.
    pub days: u32,
}

impl Enrolment {
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (pair, days) = (KeyPair::read(t, base), t.int("days", 1..=397));
        t.done();
        Some(Self { pair: pair?, days: days.unwrap_or(TERMINAL_DAYS) })
    }
}

words! {
    /// What a system behind the gateway does.
    pub enum SystemKind {
        Office = "office", "审批系统", "approval system";
        Provider = "provider", "数据提供方", "data provider";
        Proxy = "proxy", "业务系统", "department system";
    }
}

/// A department's system behind the gateway.
#[derive(Clone, Debug)]
pub struct System {
    pub id: String,
    pub kind: SystemKind,
    pub url: String,
    pub authority: CreditCode,
    /// Which places it works for; a case goes to the system with the longest matching place.
    pub region: RegionCode,
    /// TLS anchors for its address.
    pub anchors: Option<PathBuf>,
    /// SHA-256 of the certificate with which it calls us.
    pub certificate: Option<String>,
    /// Shared-data resources it answers for.
    pub resources: Vec<String>,
    /// Longest wait for its answer to a lookup, in seconds: less than another gateway waits for us.
    pub answer_s: u32,
    /// Path prefix under which requests are passed to it, e.g. `/pass/social-security`.
    pub path: Option<String>,
    /// Host name under which requests are passed to it.
    pub host: Option<String>,
}

impl System {
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (id, kind) = (t.need_str("id"), t.need_word::<SystemKind>("kind"));
        let url = t.need_str("url");
        if let Some(url) = url
            && !(url.starts_with("https://") || url.starts_with("http://127.0.0.1:"))
        {
            t.wrong("url", "is not an https address", "write https://HOST:PORT/PATH; plain http only to 127.0.0.1");
        }
        let authority = t.need_parse("authority", "a unified social credit code, 18 characters");
        let region = t.need_parse("region", "6, 9 or 12 digits");
        let (path, host) = (t.str("path"), t.str("host"));
        if let Some(path) = path
            && (!path.starts_with("/pass/") || path.ends_with('/'))
        {
            t.wrong(
                "path",
                "is not a path under /pass/",
                "write e.g. /pass/social-security, without a slash at the end",
            );
        }
        let resources = t
            .list::<String>("resources", "an id of data-resources, e.g. DR-HH, or a type of licence, e.g. LT-ID")
            .unwrap_or_default();
        let certificate = fingerprint(t, "certificate");
        let anchors = t.str("anchors").map(|p| base.join(p));
        let answer_s = t.int("answer_s", 1..=12).unwrap_or(ANSWER_S);
        t.done();
        Some(Self {
            id: id?.to_owned(),
            kind: kind?,
            url: url?.trim_end_matches('/').to_owned(),
            authority: authority?,
            region: region?,
            anchors,
            certificate,
            resources,
            answer_s,
            path: path.map(str::to_owned),
            host: host.map(str::to_owned),
        })
    }
}
