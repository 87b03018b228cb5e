//! `tongban verify FILE…`: is this licence genuine? Offline; nothing is fetched.
//!
//! Exit codes: 0 all passed, 1 something failed, 2 something could not be confirmed (or the call was wrong).

mod files;
#[cfg(test)]
mod vectors;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Deserialize;

use files::{Found, Item};

use super::bar::bar;
use super::picture::Way;
use crate::formats::zip::{Archive, Source};
use crate::licences::{
    CoverageRule, Finding, Indication, IssuerKey, Profile, Report, Revocation, StatusList, SubIndication, TimeBasis,
    unreadable, verify_with,
};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::keyring::TrustList;
use crate::trust::ocsp::Response;
use crate::trust::pem;
use crate::trust::suite::{Accepted, Curve, DigestAlgorithm, LineError, RsaBits};

/// Check sealed and signed files, offline: OFD, PDF, ASiC, CMS, seals, credentials.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Files or folders; `-` reads one file from standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One JSON object a line and file.
    #[arg(long)]
    pub json: bool,
    /// What a detached signature (CMS, or the value of a seal's signature) is over.
    #[arg(long, value_name = "FILE")]
    pub content: Option<PathBuf>,
    /// Trust this certificate (DER or PEM) for signers and seal makers. Nothing in a certificate tells a maker from a signer: whoever has
    /// one under it can make a seal in another's name. Where that matters, use --signer-anchor and --maker-anchor.
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// Trust this certificate for signers only.
    #[arg(long, value_name = "FILE")]
    pub signer_anchor: Vec<PathBuf>,
    /// Trust this certificate for seal makers only.
    #[arg(long, value_name = "FILE")]
    pub maker_anchor: Vec<PathBuf>,
    /// Trust this certificate for time-stamps.
    #[arg(long, value_name = "FILE")]
    pub tsa_anchor: Vec<PathBuf>,
    /// Trust list: a folder with trust.toml, which says for what, where and when each anchor is trusted.
    #[arg(long, value_name = "FOLDER")]
    pub trust: Option<PathBuf>,
    /// May help to build a chain; not trusted by itself.
    #[arg(long, value_name = "FILE")]
    pub intermediate: Vec<PathBuf>,
    /// Revocation list (DER or PEM).
    #[arg(long, value_name = "FILE")]
    pub crl: Vec<PathBuf>,
    /// Answer of an OCSP responder (DER), fetched or archived.
    #[arg(long, value_name = "FILE")]
    pub ocsp: Vec<PathBuf>,
    /// Lists and answers older than this are stale, whatever they say; no bound by default.
    #[arg(long, value_name = "HOURS")]
    pub status_max_age_h: Option<u32>,
    /// Metadata of an issuer of credentials, with its keys (JSON: issuer, jwks).
    #[arg(long, value_name = "FILE")]
    pub issuer_keys: Vec<PathBuf>,
    /// Status list of credentials (statuslist+jwt).
    #[arg(long, value_name = "FILE")]
    pub status_list: Vec<PathBuf>,
    /// Whom a credential must be presented to (aud).
    #[arg(long, value_name = "TEXT")]
    pub audience: Option<String>,
    /// The number given out for its presentation (nonce).
    #[arg(long, value_name = "TEXT")]
    pub nonce: Option<String>,
    /// Whether the holder must have signed a credential's presentation [default: if-available].
    #[arg(long, value_enum)]
    pub key_binding: Option<BindingArg>,
    /// Time of validation, e.g. 2025-06-01T00:00:00Z; now by default.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Which time certificates are judged at [default: timestamp].
    #[arg(long, value_enum)]
    pub time_basis: Option<BasisArg>,
    /// Which files must be sealed [default: protect].
    #[arg(long, value_enum)]
    pub coverage: Option<CoverageArg>,
    /// Whether certificate status must be known [default: if-available].
    #[arg(long, value_enum)]
    pub revocation: Option<RevocationArg>,
    /// Which archives are taken [default: any].
    #[arg(long, value_enum)]
    pub container: Option<ContainerArg>,
    /// Digest that counts (sm3, sha256, sha384, sha512), and perhaps its last day, e.g. "sha256 until 2030-12-31" [default: all].
    #[arg(long, value_name = "NAME")]
    pub digest: Vec<Accepted<DigestAlgorithm>>,
    /// Curve that counts (sm2, p256, p384, ed25519), and perhaps its last day [default: all].
    #[arg(long, value_name = "NAME")]
    pub curve: Vec<Accepted<Curve>>,
    /// Least bits of an RSA key, and perhaps the last day, e.g. "2048 until 2028-12-31" beside 3072 [default: 2048].
    #[arg(long, value_name = "BITS")]
    pub rsa: Vec<Accepted<RsaBits>>,
    /// All of the above from a TOML file; options given here count more.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

/// See [`TimeBasis`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BasisArg {
    Claimed,
    Timestamp,
    Now,
}

/// See [`CoverageRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoverageArg {
    Protect,
    Strict,
}

/// See [`Revocation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationArg {
    Require,
    IfAvailable,
    Ignore,
}

/// Whether [`crate::licences::Binding::required`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingArg {
    Require,
    IfAvailable,
}

/// What a file may hold besides what its seals speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerArg {
    /// Comments, attributes, gaps: seen in genuine files, and told.
    Any,
    /// Nothing: an octet changed anywhere in the file is found, also where no seal speaks for it.
    Exact,
}

/// The policy file: the same names as the options, paths relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct PolicyFile {
    anchor: Vec<PathBuf>,
    signer_anchor: Vec<PathBuf>,
    maker_anchor: Vec<PathBuf>,
    tsa_anchor: Vec<PathBuf>,
    trust: Option<PathBuf>,
    intermediate: Vec<PathBuf>,
    crl: Vec<PathBuf>,
    ocsp: Vec<PathBuf>,
    status_max_age_h: Option<u32>,
    issuer_keys: Vec<PathBuf>,
    status_list: Vec<PathBuf>,
    audience: Option<String>,
    nonce: Option<String>,
    key_binding: Option<BindingArg>,
    at: Option<String>,
    time_basis: Option<BasisArg>,
    coverage: Option<CoverageArg>,
    revocation: Option<RevocationArg>,
    container: Option<ContainerArg>,
    digest: Vec<String>,
    curve: Vec<String>,
    rsa: Vec<String>,
}

/// How the files are judged.
struct Judge {
    profile: Profile,
    container: ContainerArg,
    /// What a detached signature is about.
    content: Option<File>,
}

/// Runs the command.
pub fn run(args: VerifyArgs) -> ExitCode {
    let judge = match judge(&args) {
        Ok(judge) => judge,
        Err(message) => {
            eprintln!("tongban verify: {message}");
            return ExitCode::from(2);
        }
    };
    let found = Found::of(&args.files);
    if let Some(told) = found.left_out() {
        eprintln!("tongban verify: {told}");
    }
    if found.items.is_empty() {
        eprintln!("tongban verify: 没有可核验的文件 · nothing to verify");
    }
    let with_folder = args.files.iter().any(|path| path.is_dir());
    match examine_all(&found.items, &judge, args.json, with_folder) {
        None | Some(Indication::Indeterminate) => ExitCode::from(2),
        Some(Indication::TotalPassed) => ExitCode::SUCCESS,
        Some(Indication::TotalFailed) => ExitCode::from(1),
    }
}

/// All cores take files from one list; results are printed in the order of the list. Gives the worst of them; none when there is nothing,
/// or when not all could be told of.
fn examine_all(files: &[Item], judge: &Judge, json: bool, with_folder: bool) -> Option<Indication> {
    let bar = if with_folder { bar(files.len() as u64, "份 files") } else { ProgressBar::hidden() };
    let next = AtomicUsize::new(0);
    let way = Way::of(|name| std::env::var(name).ok()).filter(|_| !json && io::stdout().is_terminal());
    let printer = Mutex::new(Printer { waiting: Default::default(), next: 0, json, way, worst: None, broken: false });
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(files.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = files.get(n) else { break };
                    let report = examine(item, judge);
                    bar.inc(1);
                    let mut printer = printer.lock().unwrap_or_else(|e| e.into_inner());
                    bar.suspend(|| printer.take(n, &report));
                    if printer.broken {
                        break; // nobody reads any more
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let printer = printer.into_inner().unwrap_or_else(|e| e.into_inner());
    // Where nobody read to the end, some were not examined.
    if printer.broken && printer.worst == Some(Indication::TotalPassed) { None } else { printer.worst }
}

/// Keeps finished reports until it is their turn.
struct Printer {
    waiting: std::collections::BTreeMap<usize, String>,
    next: usize,
    json: bool,
    /// How seals are shown, where they can be.
    way: Option<Way>,
    worst: Option<Indication>,
    broken: bool,
}

impl Printer {
    /// Pictures of the seals of a file that passed: of others it would be the forger's picture.
    fn seals(&self, report: &Report) -> String {
        let Some(way) = self.way.filter(|_| report.passed()) else { return String::new() };
        let seals = report.signatures.iter().filter_map(|signature| signature.seal.as_ref());
        seals.filter_map(|seal| way.drawn(&seal.image)).collect()
    }

    fn take(&mut self, n: usize, report: &Report) {
        self.worst = self.worst.max(Some(report.indication));
        let text = if self.json {
            format!("{}\n", report.to_json())
        } else {
            format!("{}{}\n", report.to_text(), self.seals(report))
        };
        self.waiting.insert(n, text);
        let mut out = io::stdout().lock();
        while let Some(text) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.broken |= out.write_all(text.as_bytes()).is_err();
        }
        self.broken |= out.flush().is_err();
    }
}

/// More than this through standard input is refused.
const STDIN_MAX: u64 = 1 << 30;

/// Standard input in a file without a name: archives are read from their end, and memory stays small.
fn spooled() -> io::Result<File> {
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let mut file =
        File::from(rustix::fs::open(std::env::temp_dir(), flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?);
    let taken = io::copy(&mut io::stdin().lock().take(STDIN_MAX + 1), &mut file)?;
    if taken > STDIN_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(file) }
}

fn examine(item: &Item, judge: &Judge) -> Report {
    let name = item.path.display().to_string();
    if let Some(why) = &item.refused {
        return unreadable(&name, why, &judge.profile);
    }
    let opened = if item.path.as_os_str() == "-" { spooled() } else { files::open(&item.path) };
    match opened {
        Ok(file) => judged(&name, &file, judge),
        Err(error) => unreadable(&name, &error.to_string(), &judge.profile),
    }
}

fn judged<S: Source>(name: &str, source: &S, judge: &Judge) -> Report {
    let content = judge.content.as_ref().map(|file| file as &dyn Source);
    let mut report = verify_with(name, source, content, &judge.profile);
    let mut start = [0; 2];
    let is_archive = source.read_at(0, &mut start).is_ok() && start == *b"PK";
    if is_archive && judge.container == ContainerArg::Exact && report.indication != Indication::TotalFailed {
        let loose =
            Archive::open(source, &judge.profile.zip).and_then(|zip| Ok(zip.loose_end()?.map(|e| e.name.clone())));
        match loose {
            Ok(None) => {}
            Ok(Some(entry)) => report.findings.push(Finding::note(1, "ZIP_LOOSE_END", entry)),
            Err(error) => report.findings.push(Finding::note(1, error.code(), error.to_string())),
        }
        nothing_odd(&mut report);
    }
    report
}

/// What is odd about the archive, and otherwise only told, decides.
fn nothing_odd(report: &mut Report) {
    let is_odd = |f: &Finding| f.outcome.is_none() && f.code.starts_with("ZIP_");
    for finding in report.findings.iter_mut().filter(|f| is_odd(f)) {
        let outcome = (Indication::TotalFailed, SubIndication::FormatFailure);
        finding.outcome = Some(outcome);
        if report.indication != Indication::TotalFailed {
            (report.indication, report.sub_indication, report.code) = (outcome.0, Some(outcome.1), Some(finding.code));
        }
    }
}

fn judge(args: &VerifyArgs) -> Result<Judge, String> {
    let mut policy = PolicyFile::default();
    if let Some(path) = &args.policy {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        policy = toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let lists = [
            &mut policy.anchor,
            &mut policy.signer_anchor,
            &mut policy.maker_anchor,
            &mut policy.tsa_anchor,
            &mut policy.intermediate,
            &mut policy.crl,
            &mut policy.ocsp,
            &mut policy.issuer_keys,
            &mut policy.status_list,
        ];
        lists.into_iter().flatten().chain(&mut policy.trust).for_each(|p| *p = folder.join(&*p));
    }
    let at = match args.at.as_ref().or(policy.at.as_ref()) {
        None => UnixMillis::now(),
        Some(text) => UnixMillis::parse_rfc3339(text).ok_or_else(|| format!("--at {text}: not an RFC 3339 time"))?,
    };
    let mut profile = Profile::new(at);
    let both = [&args.anchor[..], &policy.anchor].concat();
    let certificates = |more: &[PathBuf], own: &[PathBuf], with_both: bool| {
        let both = if with_both { &both[..] } else { &[] };
        certificates(both.iter().chain(more).chain(own))
    };
    profile.anchors.signers = certificates(&args.signer_anchor, &policy.signer_anchor, true)?;
    profile.anchors.makers = certificates(&args.maker_anchor, &policy.maker_anchor, true)?;
    profile.anchors.tsas = certificates(&args.tsa_anchor, &policy.tsa_anchor, true)?;
    profile.intermediates = certificates(&args.intermediate, &policy.intermediate, false)?;
    if let Some(folder) = args.trust.as_ref().or(policy.trust.as_ref()) {
        let list = TrustList::load(folder).map_err(|mistakes| format!("{}:\n{mistakes}", folder.display()))?;
        profile.intermediates.extend_from_slice(&list.intermediates);
        profile.crls.extend_from_slice(&list.crls);
        profile.trust = Arc::new(list);
    }
    for path in args.crl.iter().chain(&policy.crl) {
        for der in ders(path)? {
            profile.crls.push(Crl::parse(&der).map_err(|e| format!("{}: {e}", path.display()))?);
        }
    }
    for path in args.ocsp.iter().chain(&policy.ocsp) {
        let answer = read(path).and_then(|octets| Response::parse(&octets).map_err(|e| e.to_string()));
        profile.ocsp.push(answer.map_err(|e| format!("{}: {e}", path.display()))?);
    }
    let max_age_h = args.status_max_age_h.or(policy.status_max_age_h);
    profile.status_max_age_s = max_age_h.map(|hours| i64::from(hours) * 3_600);
    for path in args.issuer_keys.iter().chain(&policy.issuer_keys) {
        let keys = read(path).and_then(|octets| IssuerKey::read(&octets).map_err(str::to_owned));
        profile.issuer_keys.extend(keys.map_err(|e| format!("{}: {e}", path.display()))?);
    }
    for path in args.status_list.iter().chain(&policy.status_list) {
        let list = read(path).and_then(|octets| StatusList::parse(&octets).map_err(|e| e.to_string()));
        profile.status_lists.push(list.map_err(|e| format!("{}: {e}", path.display()))?);
    }
    profile.binding.required = args.key_binding.or(policy.key_binding) == Some(BindingArg::Require);
    profile.binding.audience = args.audience.clone().or(policy.audience);
    profile.binding.nonce = args.nonce.clone().or(policy.nonce);
    profile.time_basis = match args.time_basis.or(policy.time_basis) {
        Some(BasisArg::Claimed) => TimeBasis::Claimed,
        Some(BasisArg::Now) => TimeBasis::Now,
        Some(BasisArg::Timestamp) | None => TimeBasis::TimeStamp,
    };
    profile.coverage = match args.coverage.or(policy.coverage) {
        Some(CoverageArg::Strict) => CoverageRule::Strict,
        Some(CoverageArg::Protect) | None => CoverageRule::Protect,
    };
    profile.revocation = match args.revocation.or(policy.revocation) {
        Some(RevocationArg::Require) => Revocation::Require,
        Some(RevocationArg::Ignore) => Revocation::Ignore,
        Some(RevocationArg::IfAvailable) | None => Revocation::IfAvailable,
    };
    let strengths = &mut profile.strengths;
    counted(&mut strengths.digests, &args.digest, &policy.digest)?;
    counted(&mut strengths.curves, &args.curve, &policy.curve)?;
    counted(&mut strengths.rsa, &args.rsa, &policy.rsa)?;
    let content = args.content.as_ref().map(|path| File::open(path).map_err(|e| format!("{}: {e}", path.display())));
    let container = args.container.or(policy.container).unwrap_or(ContainerArg::Any);
    Ok(Judge { profile, container, content: content.transpose()? })
}

/// What counts: by the options, else by the policy file, else as it is.
fn counted<T: Copy>(lines: &mut Vec<Accepted<T>>, options: &[Accepted<T>], file: &[String]) -> Result<(), String>
where
    Accepted<T>: FromStr<Err = LineError>,
{
    let written =
        file.iter().map(|line| line.parse()).collect::<Result<Vec<_>, LineError>>().map_err(|e| e.to_string())?;
    if let Some(chosen) = [options, &written].into_iter().find(|list| !list.is_empty()) {
        *lines = chosen.to_vec();
    }
    Ok(())
}

fn certificates<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<Vec<Certificate>, String> {
    let mut out = Vec::new();
    for path in paths {
        for der in ders(path)? {
            match Certificate::parse(&der) {
                Ok(cert) => out.push(cert),
                // Nobody is trusted by what cannot be read; the others on the list still are.
                Err(error) => eprintln!("tongban verify: {}: {error}: left out", path.display()),
            }
        }
    }
    Ok(out)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| e.to_string())
}

/// One DER value, or all of a PEM file.
fn ders(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let blocks = pem::decode(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let ders: Vec<_> = blocks.iter().map(|b| b.octets.to_vec()).collect();
    if ders.is_empty() { Err(format!("{}: neither DER nor PEM", path.display())) } else { Ok(ders) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: VerifyArgs,
    }

    fn judge_of(line: &[&str]) -> Result<Judge, String> {
        judge(&Cli::try_parse_from([&["verify"], line].concat()).map_err(|e| e.to_string())?.args)
    }

    fn profile_of(line: &[&str]) -> Result<Profile, String> {
        judge_of(line).map(|judge| judge.profile)
    }

    #[test]
    fn options_and_policy_file_say_the_same_and_options_count_more() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy.toml");
        std::fs::write(
            &policy,
            "at = \"2025-06-01T00:00:00Z\"\ntime-basis = \"claimed\"\ncoverage = \"strict\"\nrevocation = \"require\"\n\
             container = \"exact\"\nstatus-max-age-h = 48\n",
        )
        .unwrap();
        let policy = policy.to_str().unwrap();
        let options = [
            "--at",
            "2025-06-01T00:00:00Z",
            "--time-basis",
            "claimed",
            "--coverage",
            "strict",
            "--revocation",
            "require",
            "--container",
            "exact",
            "--status-max-age-h",
            "48",
        ];
        for line in [&["f", "--policy", policy][..], &[&["f"][..], &options].concat()] {
            let Judge { profile, container, .. } = judge_of(line).unwrap();
            assert_eq!(container, ContainerArg::Exact);
            assert_eq!(profile.at.to_string(), "2025-06-01T00:00:00.000Z");
            assert_eq!((profile.time_basis, profile.coverage), (TimeBasis::Claimed, CoverageRule::Strict));
            assert_eq!((profile.revocation, profile.status_max_age_s), (Revocation::Require, Some(172_800)));
        }
        let mixed =
            profile_of(&["f", "--policy", policy, "--time-basis", "now", "--revocation", "if-available"]).unwrap();
        assert_eq!((mixed.time_basis, mixed.revocation), (TimeBasis::Now, Revocation::IfAvailable));
        assert_eq!(judge_of(&["f"]).unwrap().container, ContainerArg::Any);
        let plain = profile_of(&["f"]).unwrap();
        assert_eq!((plain.time_basis, plain.coverage), (TimeBasis::TimeStamp, CoverageRule::Protect));
        for wrong in
            [&["f", "--at", "yesterday"][..], &["f", "--anchor", "/no/such/file"], &["f", "--coverage", "all"], &[]]
        {
            assert!(profile_of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn help_says_what_a_common_anchor_cannot_tell_apart() {
        use clap::CommandFactory;
        let help = Cli::command().render_long_help().to_string();
        let (_, anchor) = help.split_once("--anchor <FILE>").unwrap();
        let (anchor, _) = anchor.split_once("--signer-anchor <FILE>").unwrap();
        let anchor = anchor.split_whitespace().collect::<Vec<_>>().join(" ");
        for says in ["for signers and seal makers", "can make a seal in another's name", "--maker-anchor"] {
            assert!(anchor.contains(says), "{says}: {anchor}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_of_and_not_confirmed() {
        let item = |name: &str, refused: Option<&str>| Item { path: name.into(), refused: refused.map(str::to_owned) };
        let judge = Judge { profile: Profile::new(UnixMillis(0)), container: ContainerArg::Any, content: None };
        for (item, code) in [
            (item("/no/such.ofd", None), "FILE_UNREADABLE"),
            (item("/dev/null", None), "FILE_UNREADABLE"),
            (item("x.ofd", Some("a link")), "FILE_UNREADABLE"),
        ] {
            let report = examine(&item, &judge);
            assert_eq!((report.indication, report.code), (Indication::Indeterminate, Some(code)), "{item:?}");
            assert_eq!(report.file, item.path.display().to_string());
        }
        let empty = tempfile::NamedTempFile::new().unwrap();
        let report = examine(&item(empty.path().to_str().unwrap(), None), &judge);
        assert_eq!(report.indication, Indication::TotalFailed, "an empty file is there, and no archive");
    }
}
