//! What a verdict was reached by, kept so that it can be reached again: anchors with their limits, certificates, revocation
//! lists and answers as of then. Step by step the same material gives the same verdict, whatever is trusted today.
//!
//! ```text
//!  Profile ─▶ list (JSON): settings, and the SHA-256 of every part ─▶ its own SHA-256 names it in the log
//!     └─────▶ parts (DER), each under its SHA-256; most stay the same from one check to the next
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::profile::{Anchors, CoverageRule, Profile, Revocation};
use super::report::TimeBasis;
use crate::terms::{Day, Digest, DivisionCode, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::crl::Crl;
use crate::trust::keyring::{Anchor, AnchorPurpose, TrustList};
use crate::trust::ocsp::Response;
use crate::trust::suite::Strengths;

const VERSION: u32 = 1;

/// The list and its parts.
pub struct Material {
    /// Names the material in evidence.
    pub digest: Digest,
    /// JSON.
    pub list: Vec<u8>,
    /// Octets of certificates, lists and answers by their SHA-256.
    pub parts: BTreeMap<Digest, Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    v: u32,
    signers: Vec<Digest>,
    makers: Vec<Digest>,
    tsas: Vec<Digest>,
    trust: Vec<Limited>,
    intermediates: Vec<Digest>,
    crls: Vec<Digest>,
    ocsp: Vec<Digest>,
    coverage: Word,
    revocation: Word,
    time_basis: Word,
    status_max_age_s: Option<i64>,
    /// Absent where all counts that can: what was kept before there was a choice says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strengths: Option<Lines>,
}

/// The policy of algorithms, line by line as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lines {
    digests: Vec<String>,
    curves: Vec<String>,
    rsa: Vec<String>,
}

/// An anchor of the trust list with its limits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limited {
    certificate: Digest,
    purposes: Vec<String>,
    divisions: Vec<DivisionCode>,
    licence_types: Vec<String>,
    from: Option<Day>,
    to: Option<Day>,
}

type Word = String;

impl Material {
    /// `None` for what is judged by more than certificates: keys of issuers, status lists of credentials, what a holder was
    /// asked to sign.
    pub fn of(profile: &Profile) -> Option<Self> {
        let plain = profile.issuer_keys.is_empty() && profile.status_lists.is_empty();
        let unasked = profile.binding.nonce.is_none() && profile.binding.audience.is_none();
        if !plain || !unasked {
            return None;
        }
        let mut parts = BTreeMap::new();
        let mut put = |octets: &[u8]| {
            let digest = Digest::of(octets);
            parts.entry(digest).or_insert_with(|| octets.to_vec());
            digest
        };
        let mut certificates = |all: &[Certificate]| all.iter().map(|c| put(c.der())).collect::<Vec<_>>();
        let (signers, makers) = (certificates(&profile.anchors.signers), certificates(&profile.anchors.makers));
        let (tsas, intermediates) = (certificates(&profile.anchors.tsas), certificates(&profile.intermediates));
        let limited = |anchor: &Anchor, certificate| Limited {
            certificate,
            purposes: anchor.purposes.iter().map(|purpose| purpose.word().to_owned()).collect(),
            divisions: anchor.divisions.clone(),
            licence_types: anchor.licence_types.clone(),
            from: anchor.from,
            to: anchor.to,
        };
        let anchors = profile.trust.anchors().iter();
        let list = List {
            v: VERSION,
            signers,
            makers,
            tsas,
            intermediates,
            trust: anchors.map(|anchor| limited(anchor, put(anchor.certificate.der()))).collect(),
            crls: profile.crls.iter().map(|list| put(list.der())).collect(),
            ocsp: profile.ocsp.iter().map(|answer| put(answer.der())).collect(),
            coverage: if profile.coverage == CoverageRule::Strict { "strict" } else { "protect" }.to_owned(),
            revocation: match profile.revocation {
                Revocation::Require => "require",
                Revocation::IfAvailable => "if-available",
                Revocation::Ignore => "ignore",
            }
            .to_owned(),
            time_basis: profile.time_basis.word().to_owned(),
            status_max_age_s: profile.status_max_age_s,
            strengths: (&profile.strengths != Strengths::shipped()).then(|| Lines {
                digests: profile.strengths.digests.iter().map(ToString::to_string).collect(),
                curves: profile.strengths.curves.iter().map(ToString::to_string).collect(),
                rsa: profile.strengths.rsa.iter().map(ToString::to_string).collect(),
            }),
        };
        let list = serde_json::to_vec(&list).ok()?;
        Some(Self { digest: Digest::of(&list), list, parts })
    }
}

/// The SHA-256 of every part that a list names.
pub fn named(list: &[u8]) -> Option<Vec<Digest>> {
    let list: List = serde_json::from_slice(list).ok()?;
    let anchors = list.trust.iter().map(|limited| limited.certificate);
    let all = [list.signers, list.makers, list.tsas, list.intermediates, list.crls, list.ocsp].concat();
    Some(all.into_iter().chain(anchors).collect())
}

/// The profile of then, to judge at `at`. `part` gives octets by their SHA-256; others than those asked for are refused.
///
/// # Errors
/// What is missing or is no longer understood.
pub fn profile(list: &[u8], at: UnixMillis, part: &dyn Fn(Digest) -> Option<Vec<u8>>) -> Result<Profile, &'static str> {
    let list: List = serde_json::from_slice(list).map_err(|_| "not a list of material")?;
    if list.v != VERSION {
        return Err("a list of another version");
    }
    let octets = |digest: Digest| {
        let octets = part(digest).ok_or("a certificate, list or answer is missing")?;
        if Digest::of(&octets) == digest { Ok(octets) } else { Err("a certificate, list or answer was changed") }
    };
    let certificate =
        |digest: Digest| Certificate::parse(&octets(digest)?).map_err(|_| "a certificate that cannot be read");
    let certificates = |all: &[Digest]| all.iter().map(|digest| certificate(*digest)).collect::<Result<Vec<_>, _>>();
    let mut profile = Profile::new(at);
    profile.anchors = Anchors {
        signers: certificates(&list.signers)?,
        makers: certificates(&list.makers)?,
        tsas: certificates(&list.tsas)?,
    };
    profile.intermediates = certificates(&list.intermediates)?;
    for digest in list.crls {
        profile.crls.push(Crl::parse(&octets(digest)?).map_err(|_| "a revocation list that cannot be read")?);
    }
    for digest in list.ocsp {
        profile.ocsp.push(Response::parse(&octets(digest)?).map_err(|_| "an answer that cannot be read")?);
    }
    let mut anchors = Vec::new();
    for limited in list.trust {
        let purpose = |word: &String| AnchorPurpose::ALL.iter().copied().find(|purpose| purpose.word() == word);
        anchors.push(Anchor {
            certificate: certificate(limited.certificate)?,
            purposes: limited
                .purposes
                .iter()
                .map(purpose)
                .collect::<Option<_>>()
                .ok_or("a purpose of another version")?,
            divisions: limited.divisions,
            licence_types: limited.licence_types,
            from: limited.from,
            to: limited.to,
        });
    }
    profile.trust = Arc::new(TrustList::new(anchors, Vec::new(), Vec::new()));
    profile.coverage = match &*list.coverage {
        "strict" => CoverageRule::Strict,
        "protect" => CoverageRule::Protect,
        _ => return Err("a coverage of another version"),
    };
    profile.revocation = match &*list.revocation {
        "require" => Revocation::Require,
        "if-available" => Revocation::IfAvailable,
        "ignore" => Revocation::Ignore,
        _ => return Err("a rule of another version"),
    };
    let basis = [TimeBasis::Claimed, TimeBasis::TimeStamp, TimeBasis::Now];
    let basis = basis.into_iter().find(|basis| basis.word() == list.time_basis);
    profile.time_basis = basis.ok_or("a time basis of another version")?;
    profile.status_max_age_s = list.status_max_age_s;
    if let Some(lines) = list.strengths {
        let other = "an algorithm of another version";
        profile.strengths = Strengths {
            digests: read(&lines.digests).ok_or(other)?,
            curves: read(&lines.curves).ok_or(other)?,
            rsa: read(&lines.rsa).ok_or(other)?,
        };
    }
    Ok(profile)
}

fn read<T: FromStr>(lines: &[String]) -> Option<Vec<T>> {
    lines.iter().map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licences::variations::kit::{Draft, World};
    use crate::licences::verify;

    #[test]
    fn the_same_material_gives_the_same_verdict() {
        let (world, other) = (World::new(), World::new());
        let package = Draft::default().package(&world);
        let mut limited = world.profile();
        let anchor = |party: &Certificate, purpose| Anchor {
            certificate: party.clone(),
            purposes: vec![purpose],
            divisions: vec!["440000".parse().unwrap()],
            licence_types: vec!["1110".into()],
            from: Some("2025-01-01".parse().unwrap()),
            to: None,
        };
        limited.anchors = Anchors::default();
        let anchors = vec![
            anchor(&world.signer.cert, AnchorPurpose::Signer),
            anchor(&world.maker.cert, AnchorPurpose::SealMaker),
        ];
        limited.trust = Arc::new(TrustList::new(anchors, Vec::new(), Vec::new()));
        let mut narrow = world.profile();
        narrow.strengths.curves = vec!["p256".parse().unwrap(), "sm2 until 2020-12-31".parse().unwrap()];
        let all = [("good", world.profile()), ("strangers", other.profile()), ("limited", limited), ("narrow", narrow)];
        for (name, profile) in all {
            let material = Material::of(&profile).unwrap();
            let strengths = String::from_utf8_lossy(&material.list).contains("strengths");
            assert_eq!(strengths, name == "narrow", "{name}: told only where it says something");
            assert_eq!(named(&material.list).unwrap().len(), 2, "{name}");
            let again =
                super::profile(&material.list, profile.at, &|digest| material.parts.get(&digest).cloned()).unwrap();
            let (then, now) = (verify("f", package.clone(), &profile), verify("f", package.clone(), &again));
            assert_eq!((then.indication, then.code), (now.indication, now.code), "{name}");
            assert_eq!(Material::of(&again).unwrap().digest, material.digest, "{name}");
            // Less than all of it, or something else in its place, is refused.
            assert!(super::profile(&material.list, profile.at, &|_| None).is_err());
            assert!(super::profile(&material.list, profile.at, &|_| Some(b"other".to_vec())).is_err());
        }
        assert!(super::profile(b"{}", UnixMillis(0), &|_| None).is_err());
        let mut asked = world.profile();
        asked.binding.nonce = Some("1".into());
        assert!(Material::of(&asked).is_none());
    }
}
