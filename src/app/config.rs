//! The configuration file of a gateway: read strictly, all mistakes told at once, each with its line and the mend.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::gateway::rooms::PeopleRules;
use crate::licences::TimeBasis;
use crate::terms::strict_toml::{File, Table};
use crate::terms::words::words;
use crate::terms::{CreditCode, DivisionCode, Mistakes, RegionCode};
use crate::trust::suite::KeyPlace;
use crate::upstream::objects::Place;

/// Limits where the file says nothing.
const FILE_MIB: u32 = 64;
const FILES: u32 = 50;
const CONNECTIONS: u32 = 10_000;
const FILINGS: u32 = 50;
/// See [`Limits::leave_s`].
const LEAVE_S: u32 = 1;
/// Lists are looked at this often, in seconds.
const STATUSES_S: u32 = 3_600;
/// Days that entries of the log may be kept: at least six months (网络安全法 Art. 21 (3)), at most a century.
const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 184..=36_500;
/// Days that a terminal's certificate lives.
const TERMINAL_DAYS: u32 = 30;

/// Everything `tongban serve` needs to know. Relative paths are relative to the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from, and its text: a mistake in a file that it names is told with the line that names it.
    pub source: Source,
    pub gateway: Gateway,
    pub listen: Listen,
    pub tls: KeyPair,
    /// Who may connect with a client certificate: authorities of windows, outlets and departments.
    pub client_anchors: PathBuf,
    /// Revocation lists of those authorities, PEM or DER.
    pub client_lists: Vec<PathBuf>,
    pub seals: Seals,
    /// Signs assertions to peers and hand-off tokens to departments (P-256); its public half is in the directory.
    pub assertion: KeyPair,
    pub log: Log,
    pub directory: Directory,
    /// A folder of Cedar files; the shipped set when absent.
    pub policies: Option<PathBuf>,
    /// A folder with own catalogue data; the shipped data when absent.
    pub catalogue: Option<PathBuf>,
    /// Contracts of partner outlets; none when absent.
    pub partners: Option<PathBuf>,
    pub trust: Trust,
    /// Which tokens are bound how, who stands in for whom.
    pub people: PeopleRules,
    pub windows: Vec<Window>,
    pub auditors: Vec<Auditor>,
    pub operators: Vec<Operator>,
    /// Issues certificates for terminals of outlets; nobody does when absent.
    pub enrolment: Option<Enrolment>,
    pub systems: Vec<System>,
    /// Revocation and status lists fetched in the background; none when absent.
    pub statuses: Statuses,
    pub limits: Limits,
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

/// A configuration file as it was read.
#[derive(Clone, Default)]
pub struct Source {
    pub file: PathBuf,
    pub text: String,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.file.display()) // the text may hold a store's password
    }
}

impl Source {
    /// The line that names a file, from 1; 0 where none does.
    pub fn line_naming(&self, path: &Path) -> usize {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let quoted = |line: &str| line.contains(&format!("{name}\"")) && !line.trim_start().starts_with('#');
        self.text.lines().position(quoted).map_or(0, |n| n + 1)
    }

    /// Adds a mistake about a file that the configuration names.
    pub fn wrong(&self, mistakes: &mut Mistakes, field: &str, path: &Path, why: impl std::fmt::Display, mend: &str) {
        let (why, shown) = (why.to_string(), path.display().to_string());
        let why = why.strip_prefix(&format!("{shown}: ")).unwrap_or(&why).to_owned();
        let file = self.file.display().to_string();
        mistakes.add(&file, self.line_naming(path), field, format_args!("{shown}: {why}"), mend);
    }
}

#[derive(Clone, Debug)]
pub struct Gateway {
    /// Name in the federation directory, e.g. `gw-440305`.
    pub id: String,
    pub name: String,
    pub division: DivisionCode,
    pub data: PathBuf,
    /// Folder with files and keys that all replicas on one store share; `data` when absent.
    pub shared: Option<PathBuf>,
    /// Hosts we answer for besides the one in the directory, `host` or `host:port`.
    pub names: Vec<String>,
    /// `sqlite:FILE` or `postgres://…`.
    pub store: String,
    /// Enquiry and complaint number, printed on papers.
    pub enquiry: String,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub api: SocketAddr,
    pub log: SocketAddr,
    /// Plain HTTP; bind it to a loopback or management address.
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
}

#[derive(Clone, Debug)]
pub struct KeyPair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Whom the gateway trusts for seals and licences, beside the directory.
#[derive(Clone, Debug)]
pub struct Trust {
    /// A folder with `trust.toml`.
    pub list: Option<PathBuf>,
    /// The time certificates are judged at.
    pub time_basis: TimeBasis,
}

/// A certificate and the place of its key.
#[derive(Clone, Debug)]
pub struct SealKey {
    pub certificate: PathBuf,
    pub key: KeyPlace,
}

/// The organisation's seals.
#[derive(Clone, Debug)]
pub struct Seals {
    /// Seals case files in flight (ASiC-E).
    pub envelope: SealKey,
    /// 收件专用章
    pub collection: Stamp,
    /// 业务受理专用章
    pub acceptance: Stamp,
    /// 业务审批专用章
    pub approval: Stamp,
}

/// A seal (`.esl`, GB/T 38540) with the SM2 certificate and key that apply it.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub seal: PathBuf,
    pub pair: SealKey,
}

#[derive(Clone, Debug)]
pub struct Log {
    /// Origin line of checkpoints, e.g. `tongban.example/gw-440305`.
    pub origin: String,
    pub key: PathBuf,
    /// Signs beside it while the log changes its key: the next one, then the one before.
    pub second_key: Option<PathBuf>,
    /// An SM2 key that signs checkpoints beside the log's own, and daily SM3 roots; none when absent.
    pub gm_key: Option<PathBuf>,
    /// Witnesses that are asked to cosign, with their addresses and quorum (C2SP tlog-policy); none when absent.
    pub witnesses: Option<PathBuf>,
    /// Address of a time-stamp authority (RFC 3161), and the certificates trusted for its tokens and its TLS.
    pub tsa: Option<(String, PathBuf)>,
    /// Days that entries are kept on this machine; for ever when absent.
    pub retention_days: Option<u32>,
    /// Object storage for sealed segments; none when absent.
    pub archive: Option<Archive>,
}

/// Object storage that speaks S3.
#[derive(Clone, Debug)]
pub struct Archive {
    pub place: Place,
    /// Lines as in `~/.aws/credentials`; the environment's when absent.
    pub credentials: Option<PathBuf>,
    /// TLS anchors for its address.
    pub anchors: Option<PathBuf>,
    /// Days for which objects are locked (S3 Object Lock, compliance mode).
    pub lock_days: Option<u32>,
}

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

/// Somebody who gives orders, known by a signing key.
#[derive(Clone, Debug)]
pub struct Operator {
    pub id: String,
    /// Public key, P-256, PEM.
    pub key: PathBuf,
}

/// The authority for terminals of outlets.
#[derive(Clone, Debug)]
pub struct Enrolment {
    pub pair: KeyPair,
    /// How long a certificate lives, in days.
    pub days: u32,
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
    /// Path prefix under which requests are passed to it, e.g. `/pass/social-security`.
    pub path: Option<String>,
    /// Host name under which requests are passed to it.
    pub host: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest file in MiB.
    pub file_mib: u32,
    /// Most files in one filing.
    pub files: u32,
    pub connections: u32,
    /// Filings one citizen may try in a day: each takes a case number.
    pub filings: u32,
    /// How long everything goes on after `/ready` has begun to say no, in seconds.
    pub leave_s: u32,
}

impl Config {
    /// Reads `text`; `file` names it in mistakes and is the base of relative paths.
    ///
    /// # Errors
    /// Every mistake of the file at once.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Mistakes> {
        let base = file.parent().unwrap_or(Path::new("."));
        let mut config = File::read(&file.display().to_string(), text, |root| read(root, base))?;
        config.source = Source { file: file.to_owned(), text: text.to_owned() };
        Ok(config)
    }

    /// Reads the file and also checks that every file it names can be read.
    pub fn load(file: &Path) -> Result<Self, Mistakes> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) => {
                let mut mistakes = Mistakes::default();
                mistakes.add(&file.display().to_string(), 0, "file", e, "name a configuration file that can be read");
                return Err(mistakes);
            }
        };
        let config = Self::parse(file, &text)?;
        let mut mistakes = Mistakes::default();
        for (field, path) in config.files() {
            if let Err(e) = std::fs::metadata(path) {
                config.source.wrong(&mut mistakes, &field, path, e, "name a file that is there");
            }
        }
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// Every file the configuration names, with its field.
    fn files(&self) -> Vec<(String, &Path)> {
        let mut all: Vec<(String, &Path)> = Vec::new();
        let seals = [
            ("seals.envelope", &self.seals.envelope),
            ("seals.collection", &self.seals.collection.pair),
            ("seals.acceptance", &self.seals.acceptance.pair),
            ("seals.approval", &self.seals.approval.pair),
        ];
        let seals = seals.map(|(field, pair)| (field, &pair.certificate, pair.key.file()));
        let pairs = [("tls", &self.tls), ("assertion", &self.assertion)];
        let pairs = pairs.map(|(field, pair)| (field, &pair.certificate, pair.key.as_path()));
        for stamp in [&self.seals.collection, &self.seals.acceptance, &self.seals.approval] {
            all.push(("seals.….seal".into(), &stamp.seal));
        }
        for (field, certificate, key) in pairs.into_iter().chain(seals) {
            all.push((format!("{field}.certificate"), certificate));
            all.push((format!("{field}.key"), key));
        }
        all.push(("tls.client_anchors".into(), &self.client_anchors));
        all.extend(self.client_lists.iter().map(|list| ("tls.client_lists".to_owned(), list.as_path())));
        for (n, operator) in self.operators.iter().enumerate() {
            all.push((format!("operator[{}].key", n + 1), &operator.key));
        }
        if let Some(enrolment) = &self.enrolment {
            all.push(("enrolment.certificate".into(), &enrolment.pair.certificate));
            all.push(("enrolment.key".into(), &enrolment.pair.key));
        }
        for (n, (_, issuer)) in self.statuses.responders.iter().enumerate() {
            all.push((format!("responder[{}].issuer", n + 1), issuer));
        }
        all.push(("log.key".into(), &self.log.key));
        all.push(("directory.file".into(), &self.directory.file));
        all.push(("directory.operator_key".into(), &self.directory.operator_key));
        all.extend(self.log.second_key.as_deref().map(|file| ("log.second_key".to_owned(), file)));
        if let Some(archive) = &self.log.archive {
            all.extend(archive.credentials.as_deref().map(|file| ("log.archive.credentials".to_owned(), file)));
            all.extend(archive.anchors.as_deref().map(|file| ("log.archive.anchors".to_owned(), file)));
        }
        let optional = [
            ("directory.anchors", &self.directory.anchors),
            ("policies", &self.policies),
            ("catalogue", &self.catalogue),
            ("partners", &self.partners),
            ("trust.list", &self.trust.list),
        ];
        all.extend(optional.into_iter().filter_map(|(f, p)| Some((f.to_owned(), p.as_deref()?))));
        all.extend(
            self.systems
                .iter()
                .enumerate()
                .filter_map(|(n, s)| Some((format!("system[{}].anchors", n + 1), s.anchors.as_deref()?))),
        );
        all
    }
}

/// `[log.archive]`
fn archive(t: &Table<'_, '_>, base: &Path) -> Option<Archive> {
    let (url, bucket) = (t.need_str("url"), t.need_str("bucket"));
    let (prefix, region) = (t.str("prefix").unwrap_or_default(), t.str("region").unwrap_or("us-east-1"));
    let (credentials, anchors) = (t.str("credentials").map(|f| base.join(f)), t.str("anchors").map(|f| base.join(f)));
    let lock_days = t.int("lock_days", 1..=36_500);
    if let Some(url) = url {
        let secure = url.starts_with("https://");
        if !secure && !url.starts_with("http://") {
            t.wrong("url", format_args!("{url} is not an address"), "write https://HOST:PORT");
        } else if secure != anchors.is_some() {
            t.wrong(
                "anchors",
                "and an https address go together",
                "name a PEM file of the authorities of that address",
            );
        }
    }
    t.done();
    let (url, bucket) = (url?.to_owned(), bucket?.to_owned());
    let prefix = prefix.trim_matches('/').to_owned();
    let place = Place { url, bucket, prefix, region: region.to_owned() };
    Some(Archive { place, credentials, anchors, lock_days })
}

fn read(root: &Table<'_, '_>, base: &Path) -> Option<Config> {
    let at = |text: &str| base.join(text);
    let section = |key: &'static str| {
        let table = root.table(key);
        if table.is_none() && !root.has(key) {
            root.wrong(key, "missing", format_args!("write a table [{key}]; see deploy/tongban.example.toml"));
        }
        table
    };
    let gateway = section("gateway").and_then(|t| {
        let (id, name) = (t.need_str("id"), t.need_str("name"));
        let division = t.need_parse("division", "six digits, e.g. 440305");
        let (data, store, enquiry) = (t.need_str("data"), t.need_str("store"), t.str("enquiry"));
        let shared = t.str("shared").map(&at);
        let names =
            t.list::<String>("names", "a host, with or without port, e.g. tongban.example.cn").unwrap_or_default();
        if let Some(store) = store
            && !["sqlite:", "postgres://", "postgresql://"].iter().any(|p| store.starts_with(p))
        {
            t.wrong("store", "is not an address of a store", "write sqlite:FILE or postgres://USER@HOST/DATABASE");
        }
        t.done();
        let store = store?;
        let store = match store.strip_prefix("sqlite:") {
            Some(file) => format!("sqlite:{}", at(file).display()),
            None => store.to_owned(),
        };
        Some(Gateway {
            id: id?.to_owned(),
            name: name?.to_owned(),
            division: division?,
            data: at(data?),
            shared,
            names,
            store,
            enquiry: enquiry.unwrap_or("12345").to_owned(),
        })
    });
    let listen = section("listen").and_then(|t| {
        let form = "an address and port, e.g. 0.0.0.0:8443";
        let all = (
            t.need_parse("api", form),
            t.need_parse("log", form),
            t.need_parse("admin", form),
            t.need_parse("metrics", form),
        );
        t.done();
        Some(Listen { api: all.0?, log: all.1?, admin: all.2?, metrics: all.3? })
    });
    let tls = section("tls").and_then(|t| {
        let (pair, anchors) = (pair(&t, base), t.need_str("client_anchors"));
        let lists = t.list::<String>("client_lists", "files of revocation lists").unwrap_or_default();
        t.done();
        Some((pair?, at(anchors?), lists.iter().map(|list| at(list)).collect::<Vec<_>>()))
    });
    let seals = section("seals").and_then(|t| {
        let one = |key: &'static str| match t.table(key) {
            Some(inner) => {
                let found = seal_key(&inner, base);
                inner.done();
                found
            }
            None => {
                t.wrong(key, "missing", format_args!("write {key} = {{ certificate = …, key = … }}"));
                None
            }
        };
        let stamp = |key: &'static str| {
            let seal = t.table(key).and_then(|inner| inner.need_str("seal").map(&at));
            let pair = match t.table(key) {
                Some(inner) => {
                    let found = seal_key(&inner, base);
                    inner.str("seal");
                    inner.done();
                    found
                }
                None => {
                    t.wrong(key, "missing", format_args!("write {key} = {{ seal = …, certificate = …, key = … }}"));
                    None
                }
            };
            Some(Stamp { seal: seal?, pair: pair? })
        };
        let all = (one("envelope"), stamp("collection"), stamp("acceptance"), stamp("approval"));
        t.done();
        Some(Seals { envelope: all.0?, collection: all.1?, acceptance: all.2?, approval: all.3? })
    });
    let assertion = section("assertion").and_then(|t| {
        let found = pair(&t, base);
        t.done();
        found
    });
    let log = section("log").and_then(|t| {
        let (origin, key, witnesses) = (t.need_str("origin"), t.need_str("key"), t.str("witnesses").map(&at));
        let (tsa, trusted) = (t.str("tsa"), t.str("tsa_anchors"));
        if tsa.is_some() != trusted.is_some() {
            t.wrong("tsa_anchors", "and `tsa` go together", "write tsa = \"http://…\" and tsa_anchors = \"FILE\"");
        }
        let (gm_key, second_key) = (t.str("gm_key").map(&at), t.str("second_key").map(&at));
        let tsa = tsa.zip(trusted).map(|(url, file)| (url.to_owned(), at(file)));
        let archive = t.table("archive").and_then(|inner| archive(&inner, base));
        let retention_days = t.table("retention").and_then(|inner| {
            let days = inner.need_int("entries_days", RETENTION_DAYS);
            inner.done();
            days
        });
        t.done();
        Some(Log {
            origin: origin?.to_owned(),
            key: at(key?),
            second_key,
            gm_key,
            witnesses,
            tsa,
            retention_days,
            archive,
        })
    });
    let directory = section("directory").and_then(|t| {
        let (file, key) = (t.need_str("file"), t.need_str("operator_key"));
        let (url, anchors) = (t.str("url").map(str::to_owned), t.str("anchors").map(&at));
        t.done();
        Some(Directory { file: at(file?), url, anchors, operator_key: at(key?) })
    });
    let windows: Vec<_> = root.tables("window").iter().map(window).collect();
    let auditors: Vec<_> = root.tables("auditor").iter().map(auditor).collect();
    let operators: Vec<_> = root.tables("operator").iter().map(|t| operator(t, base)).collect();
    let enrolment = root.table("enrolment").map(|t| {
        let (pair, days) = (pair(&t, base), t.int("days", 1..=397));
        t.done();
        Some(Enrolment { pair: pair?, days: days.unwrap_or(TERMINAL_DAYS) })
    });
    let systems: Vec<_> = root.tables("system").iter().map(|t| system(t, base)).collect();
    let limits = root.table("limits").map(|t| {
        let limits = Limits {
            file_mib: t.int("file_mib", 1..=4_096).unwrap_or(FILE_MIB),
            files: t.int("files", 1..=1_000).unwrap_or(FILES),
            connections: t.int("connections", 1..=1_000_000).unwrap_or(CONNECTIONS),
            filings: t.int("filings", 1..=1_000).unwrap_or(FILINGS),
            leave_s: t.int("leave_s", 0..=600).unwrap_or(LEAVE_S),
        };
        t.done();
        limits
    });
    let mut statuses = root.table("statuses").map_or_else(Statuses::default, |t| {
        let addresses = |key| {
            let all = t.list::<String>(key, "addresses, e.g. \"http://crl.example.cn/ca.crl\"").unwrap_or_default();
            for url in all.iter().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
                t.wrong(key, format_args!("{url} is not an address"), "write http://… or https://…");
            }
            all
        };
        let (lists, credentials) = (addresses("lists"), addresses("credentials"));
        let every_s = t.int("every_s", 10..=86_400).unwrap_or(STATUSES_S);
        let max_age_h = t.int("max_age_h", 1..=8_760);
        t.done();
        Statuses { lists, credentials, every_s: every_s.into(), max_age_h, responders: Vec::new() }
    });
    for t in root.tables("responder") {
        let (url, issuer) = (t.need_str("url"), t.need_str("issuer"));
        if let Some(url) = url.filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            t.wrong("url", format_args!("{url} is not an address"), "write http://… or https://…");
        }
        t.done();
        statuses.responders.extend(url.zip(issuer).map(|(url, file)| (url.to_owned(), at(file))));
    }
    let people = super::people::read(root, base);
    let policies = root.str("policies").map(&at);
    let catalogue = root.str("catalogue").map(&at);
    let partners = root.str("partners").map(&at);
    let trust = match root.table("trust") {
        None => Some(Trust { list: None, time_basis: TimeBasis::Claimed }),
        Some(t) => {
            let list = t.str("list").map(&at);
            let basis = match t.str("time_basis") {
                None | Some("claimed") => Some(TimeBasis::Claimed),
                Some("timestamp") => Some(TimeBasis::TimeStamp),
                Some("now") => Some(TimeBasis::Now),
                Some(other) => {
                    t.wrong("time_basis", format_args!("{other} is no basis"), "write claimed, timestamp or now");
                    None
                }
            };
            t.done();
            basis.map(|time_basis| Trust { list, time_basis })
        }
    };
    root.done();
    let (tls, client_anchors, client_lists) = tls?;
    Some(Config {
        source: Source::default(),
        gateway: gateway?,
        listen: listen?,
        tls,
        client_anchors,
        client_lists,
        seals: seals?,
        assertion: assertion?,
        log: log?,
        directory: directory?,
        policies,
        catalogue,
        partners,
        trust: trust?,
        people,
        windows: windows.into_iter().collect::<Option<_>>()?,
        auditors: auditors.into_iter().collect::<Option<_>>()?,
        operators: operators.into_iter().collect::<Option<_>>()?,
        enrolment: match enrolment {
            Some(enrolment) => Some(enrolment?),
            None => None,
        },
        systems: systems.into_iter().collect::<Option<_>>()?,
        statuses,
        limits: limits.unwrap_or(Limits {
            file_mib: FILE_MIB,
            files: FILES,
            connections: CONNECTIONS,
            filings: FILINGS,
            leave_s: LEAVE_S,
        }),
    })
}

fn pair(t: &Table<'_, '_>, base: &Path) -> Option<KeyPair> {
    let (certificate, key) = (t.need_str("certificate"), t.need_str("key"));
    Some(KeyPair { certificate: base.join(certificate?), key: base.join(key?) })
}

/// As [`pair`], with a key that may be under a password or in a token.
fn seal_key(t: &Table<'_, '_>, base: &Path) -> Option<SealKey> {
    let (certificate, key, password) = (t.need_str("certificate"), t.need_str("key"), t.str("password"));
    match KeyPlace::parse(key?, password, base) {
        Ok(key) => Some(SealKey { certificate: base.join(certificate?), key }),
        Err(why) => {
            t.wrong("key", why, "a file with the key as PKCS#8, or pkcs11:token=…;object=…?module-path=…&pin-source=…");
            None
        }
    }
}

/// SHA-256 of a certificate as people copy it: colons and capitals are taken.
fn fingerprint(t: &Table<'_, '_>, key: &'static str) -> Option<String> {
    let text = t.str(key)?.replace(':', "").to_ascii_lowercase();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text);
    }
    t.wrong(
        key,
        "is not a SHA-256 fingerprint",
        "write 64 hexadecimal digits, e.g. of `openssl x509 -fingerprint -sha256`",
    );
    None
}

fn window(t: &Table<'_, '_>) -> Option<Window> {
    let (id, name) = (t.need_str("id"), t.need_str("name"));
    let region = t.need_parse("region", "6, 9 or 12 digits");
    if !t.has("certificate") {
        t.wrong("certificate", "missing", "write the SHA-256 fingerprint of the window's client certificate");
    }
    let certificate = fingerprint(t, "certificate");
    let org = t.str("org").map(str::to_owned);
    t.done();
    Some(Window { id: id?.to_owned(), name: name?.to_owned(), region: region?, org, certificate: certificate? })
}

fn auditor(t: &Table<'_, '_>) -> Option<Auditor> {
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
    Some(Auditor { id: id?.to_owned(), kind: kind?, places: places?, certificate: certificate? })
}

fn operator(t: &Table<'_, '_>, base: &Path) -> Option<Operator> {
    let (id, key) = (t.need_str("id"), t.need_str("key"));
    t.done();
    Some(Operator { id: id?.to_owned(), key: base.join(key?) })
}

fn system(t: &Table<'_, '_>, base: &Path) -> Option<System> {
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
        t.wrong("path", "is not a path under /pass/", "write e.g. /pass/social-security, without a slash at the end");
    }
    let resources = t
        .list::<String>("resources", "an id of data-resources, e.g. DR-HH, or a type of licence, e.g. LT-ID")
        .unwrap_or_default();
    let certificate = fingerprint(t, "certificate");
    let anchors = t.str("anchors").map(|p| base.join(p));
    t.done();
    Some(System {
        id: id?.to_owned(),
        kind: kind?,
        url: url?.trim_end_matches('/').to_owned(),
        authority: authority?,
        region: region?,
        anchors,
        certificate,
        resources,
        path: path.map(str::to_owned),
        host: host.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../deploy/tongban.example.toml");

    #[test]
    fn the_example_is_a_configuration() {
        let config = Config::parse(Path::new("deploy/tongban.example.toml"), EXAMPLE).unwrap_or_else(|m| panic!("{m}"));
        assert_eq!(config.gateway.division.to_string(), "440305");
        assert_eq!(config.limits.file_mib, 64);
        assert_eq!(config.systems.len(), 3);
    }

    #[test]
    fn sources_of_status_are_addresses() {
        let parse = |more: &str| Config::parse(Path::new("x.toml"), &format!("{EXAMPLE}\n{more}"));
        let good = "[statuses]\nlists = [\"http://crl.example.cn/a.crl\"]\nmax_age_h = 48\n\
                    [[responder]]\nurl = \"http://ocsp.example.cn/\"\nissuer = \"ca.pem\"\n";
        let statuses = parse(good).unwrap_or_else(|m| panic!("{m}")).statuses;
        assert_eq!((statuses.lists.len(), statuses.every_s, statuses.max_age_h), (1, 3_600, Some(48)));
        assert_eq!(statuses.responders, [("http://ocsp.example.cn/".to_owned(), PathBuf::from("ca.pem"))]);
        for (from, to, field) in [
            ("http://crl", "ldap://crl", "statuses.lists"),
            ("http://ocsp.example.cn/", "ocsp", "responder[1].url"),
            ("max_age_h = 48", "max_age_h = 0", "statuses.max_age_h"),
            ("issuer", "issuers", "responder[1].issuer"),
        ] {
            let mistakes = parse(&good.replace(from, to)).expect_err(to).to_string();
            assert!(mistakes.contains(field), "{to}: {mistakes}");
        }
    }

    #[test]
    fn the_log_is_kept_and_archived_as_the_file_says() {
        let parse = |more: &str| Config::parse(Path::new("x.toml"), &format!("{EXAMPLE}\n{more}"));
        let good = "[log.retention]\nentries_days = 730\n[log.archive]\nurl = \"https://s3.example:9000\"\n\
                    bucket = \"audit\"\nprefix = \"/gw-1/\"\nanchors = \"s3.pem\"\nlock_days = 3650\n";
        let log = parse(good).unwrap_or_else(|m| panic!("{m}")).log;
        let archive = log.archive.expect("an archive");
        assert_eq!(
            (log.retention_days, archive.place.prefix.as_str(), archive.lock_days),
            (Some(730), "gw-1", Some(3_650))
        );
        for (from, to, field) in [
            ("= 730", "= 183", "retention.entries_days"), // less than six months
            ("entries_days", "days", "retention"),
            ("https://", "s3://", "archive.url"),
            ("https://", "http://", "archive.anchors"), // anchors for an address without TLS
            ("anchors", "anchor", "archive"),
            ("bucket", "bukket", "archive.bucket"),
            ("lock_days = 3650", "lock_days = 0", "archive.lock_days"),
        ] {
            let mistakes = parse(&good.replacen(from, to, 1)).expect_err(to).to_string();
            assert!(mistakes.contains(field), "{to}: {mistakes}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = EXAMPLE
            .replace("division = \"440305\"", "division = \"44030\"")
            .replace("file_mib = 64", "file_mib = 0")
            .replace("kind = \"office\"", "kind = \"offce\"")
            .replace("[log]", "[logg]");
        let mistakes = Config::parse(Path::new("x.toml"), &text).unwrap_err();
        let fields: Vec<_> = mistakes.list().iter().map(|m| m.field.as_str()).collect();
        for want in ["gateway.division", "limits.file_mib", "system[1].kind", "log", "`logg`"] {
            assert!(fields.contains(&want), "{want} is not told: {fields:?}");
        }
        assert!(mistakes.list().iter().all(|m| !m.mend.is_empty()));
    }
}
