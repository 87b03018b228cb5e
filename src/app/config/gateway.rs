//! Who the gateway is, where it listens, and what it bears.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::gateway::pace::Rates;
use crate::partners::contract::Rate;
use crate::terms::DivisionCode;
use crate::terms::strict_toml::Table;

/// Limits where the file says nothing.
const FILE_MIB: u32 = 64;
const FILES: u32 = 50;
const CONNECTIONS: u32 = 10_000;
const FILINGS: u32 = 50;
/// See [`Limits::leave_s`].
const LEAVE_S: u32 = 1;
/// More requests a second, or at once, than this are a slip of the pen.
const MOST_A_SECOND: u32 = 1_000_000;

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

impl Gateway {
    /// `[gateway]`
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (id, name) = (t.need_str("id"), t.need_str("name"));
        let division = t.need_parse("division", "six digits, e.g. 440305");
        let (data, store, enquiry) = (t.need_str("data"), t.need_str("store"), t.str("enquiry"));
        let shared = t.str("shared").map(|folder| base.join(folder));
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
            Some(file) => format!("sqlite:{}", base.join(file).display()),
            None => store.to_owned(),
        };
        Some(Self {
            id: id?.to_owned(),
            name: name?.to_owned(),
            division: division?,
            data: base.join(data?),
            shared,
            names,
            store,
            enquiry: enquiry.unwrap_or("12345").to_owned(),
        })
    }
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub api: SocketAddr,
    pub log: SocketAddr,
    /// Plain HTTP; bind it to a loopback or management address.
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
}

impl Listen {
    /// `[listen]`
    pub(super) fn read(t: &Table<'_, '_>) -> Option<Self> {
        let form = "an address and port, e.g. 0.0.0.0:8443";
        let all = (
            t.need_parse("api", form),
            t.need_parse("log", form),
            t.need_parse("admin", form),
            t.need_parse("metrics", form),
        );
        t.done();
        Some(Self { api: all.0?, log: all.1?, admin: all.2?, metrics: all.3? })
    }
}

/// `[rates]`: requests a second of each kind of caller.
pub(super) fn rates(t: &Table<'_, '_>) -> Rates {
    let usual = Rates::default();
    let read = |key: &'static str, usual: Rate| {
        let Some(inner) = t.table(key) else { return usual };
        let (per_second, burst) =
            (inner.need_int("per_second", 1..=MOST_A_SECOND), inner.need_int("burst", 1..=MOST_A_SECOND));
        inner.done();
        let read = per_second.and_then(NonZeroU32::new).zip(burst.and_then(NonZeroU32::new));
        read.map_or(usual, |(per_second, burst)| Rate { per_second, burst })
    };
    let rates = Rates {
        citizen: read("citizen", usual.citizen),
        window: read("window", usual.window),
        system: read("system", usual.system),
        peer: read("peer", usual.peer),
    };
    t.done();
    rates
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

impl Default for Limits {
    fn default() -> Self {
        Self { file_mib: FILE_MIB, files: FILES, connections: CONNECTIONS, filings: FILINGS, leave_s: LEAVE_S }
    }
}

impl Limits {
    /// `[limits]`
    pub(super) fn read(t: &Table<'_, '_>) -> Self {
        let limits = Self {
            file_mib: t.int("file_mib", 1..=4_096).unwrap_or(FILE_MIB),
            files: t.int("files", 1..=1_000).unwrap_or(FILES),
            connections: t.int("connections", 1..=1_000_000).unwrap_or(CONNECTIONS),
            filings: t.int("filings", 1..=1_000).unwrap_or(FILINGS),
            leave_s: t.int("leave_s", 0..=600).unwrap_or(LEAVE_S),
        };
        t.done();
        limits
    }
}
