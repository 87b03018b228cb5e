//! What options and policy file make of a verification: whom to trust, when, and how strictly.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::options::{BasisArg, BindingArg, ContainerArg, CoverageArg, PolicyFile, RevocationArg, VerifyArgs};
use crate::licences::{CoverageRule, IssuerKey, Profile, Revocation, StatusList, TimeBasis};
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::keyring::TrustList;
use crate::trust::ocsp::Response;
use crate::trust::pem;
use crate::trust::suite::{Accepted, LineError};

/// How the files are judged.
pub(super) struct Judge {
    pub profile: Profile,
    pub container: ContainerArg,
    /// What a detached signature is about.
    pub content: Option<File>,
}

impl Judge {
    /// By the options and the policy file; options count more.
    ///
    /// # Errors
    /// In words, with the option or the file.
    pub fn of(args: &VerifyArgs) -> Result<Self, String> {
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
            Some(text) => {
                UnixMillis::parse_rfc3339(text).ok_or_else(|| format!("--at {text}: not an RFC 3339 time"))?
            }
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
        let content =
            args.content.as_ref().map(|path| File::open(path).map_err(|e| format!("{}: {e}", path.display())));
        let container = args.container.or(policy.container).unwrap_or(ContainerArg::Any);
        Ok(Self { profile, container, content: content.transpose()? })
    }
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

/// One DER value, also in bare base64, or all of a PEM file.
fn ders(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let ders = pem::ders(&bytes, &|_| true).map_err(|e| format!("{}: {e}", path.display()))?;
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
        Judge::of(&Cli::try_parse_from([&["verify"], line].concat()).map_err(|e| e.to_string())?.args)
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
}
