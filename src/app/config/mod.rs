//! The configuration file of a gateway: read strictly, all mistakes told at once, each with its line and the mend.

mod callers;
mod gateway;
mod keys;
mod log;
mod source;
mod sources;

use std::path::{Path, PathBuf};

use crate::gateway::pace::Rates;
use crate::gateway::rooms::{ListsRequired, PeopleRules};
use crate::terms::Mistakes;
use crate::terms::strict_toml::{File, Table};

pub use callers::{Auditor, AuditorKind, Enrolment, Operator, System, SystemKind, Window};
pub use gateway::{Gateway, Limits, Listen};
pub use keys::{KeyPair, SealKey, Seals, Stamp};
pub use log::{Archive, Log};
pub use source::Source;
pub use sources::{Directory, Statuses, Trust};

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
    /// Whose lists must be there and in date.
    pub lists_required: ListsRequired,
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
    pub rates: Rates,
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

fn read(root: &Table<'_, '_>, base: &Path) -> Option<Config> {
    let at = |text: &str| base.join(text);
    let section = |key: &'static str| {
        let table = root.table(key);
        if table.is_none() && !root.has(key) {
            root.wrong(key, "missing", format_args!("write a table [{key}]; see deploy/tongban.example.toml"));
        }
        table
    };
    let gateway = section("gateway").and_then(|t| Gateway::read(&t, base));
    let listen = section("listen").and_then(|t| Listen::read(&t));
    let tls = section("tls").and_then(|t| {
        let (pair, anchors) = (KeyPair::read(&t, base), t.need_str("client_anchors"));
        let lists = t.list::<String>("client_lists", "files of revocation lists").unwrap_or_default();
        let required = ListsRequired {
            clients: t.bool("client_lists_required").unwrap_or(false),
            members: t.bool("member_lists_required").unwrap_or(false),
        };
        t.done();
        Some((pair?, at(anchors?), lists.iter().map(|list| at(list)).collect(), required))
    });
    let seals = section("seals").and_then(|t| Seals::read(&t, base));
    let assertion = section("assertion").and_then(|t| {
        let found = KeyPair::read(&t, base);
        t.done();
        found
    });
    let log = section("log").and_then(|t| Log::read(&t, base));
    let directory = section("directory").and_then(|t| Directory::read(&t, base));
    let windows: Vec<_> = root.tables("window").iter().map(Window::read).collect();
    let auditors: Vec<_> = root.tables("auditor").iter().map(Auditor::read).collect();
    let operators: Vec<_> = root.tables("operator").iter().map(|t| Operator::read(t, base)).collect();
    let enrolment = root.table("enrolment").map(|t| Enrolment::read(&t, base));
    let systems: Vec<_> = root.tables("system").iter().map(|t| System::read(t, base)).collect();
    let limits = root.table("limits").map_or_else(Limits::default, |t| Limits::read(&t));
    let rates = root.table("rates").map_or_else(Rates::default, |t| gateway::rates(&t));
    let statuses = Statuses::read(root, base);
    let people = super::people::read(root, base);
    let (policies, catalogue) = (root.str("policies").map(at), root.str("catalogue").map(at));
    let partners = root.str("partners").map(at);
    let trust = root.table("trust").map_or_else(|| Some(Trust::default()), |t| Trust::read(&t, base));
    root.done();
    let (tls, client_anchors, client_lists, lists_required) = tls?;
    Some(Config {
        source: Source::default(),
        gateway: gateway?,
        listen: listen?,
        tls,
        client_anchors,
        client_lists,
        lists_required,
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
        limits,
        rates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/tongban.example.toml");

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
        let log = |more: &str| {
            let text = EXAMPLE.replacen("[log]\n", &format!("[log]\n{more}"), 1);
            Config::parse(Path::new("x.toml"), &text)
                .map(|config| config.log.fail_closed_after_s)
                .map_err(|m| m.to_string())
        };
        assert_eq!(log(""), Ok(None), "an alarm, and service goes on");
        assert_eq!(log("witnesses = \"w.txt\"\nfail_closed_after_s = 900\n"), Ok(Some(900)));
        for more in ["fail_closed_after_s = 900\n", "witnesses = \"w.txt\"\nfail_closed_after_s = 9\n"] {
            assert!(log(more).is_err_and(|told| told.contains("fail_closed_after_s")), "{more}");
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
