//! Is what it was made with still strong enough? Steps 6 and 17, by the policy's list, at the time certificates are judged at.
//!
//! EN 319 102-1 §5.2.8 knows two answers. What never counts, or was made after its last day, is CRYPTO_CONSTRAINTS_FAILURE; what
//! may have been made before, and nothing proves it, is CRYPTO_CONSTRAINTS_FAILURE_NO_POE: a time-stamp could still mend that.

use super::profile::Profile;
use super::report::SignatureVerdict;
use super::verdict::{Finding, SubIndication, SubIndication::*};
use super::when::Times;
use crate::terms::UnixMillis;
use crate::trust::suite::{DigestAlgorithm, Weakness};

/// Which of the two. `made` is the earliest that it can have been made: the signer's own word, the certificate's first day.
pub(super) fn why(weakness: &Weakness, made: Option<UnixMillis>) -> SubIndication {
    match weakness.since {
        Some(since) if made.is_none_or(|made| made < since) => CryptoConstraintsFailureNoPoe,
        _ => CryptoConstraintsFailure,
    }
}

/// Step 6 for the digests of files, and of what `by` says besides: each is told once.
pub(super) fn digests(profile: &Profile, by: &[DigestAlgorithm], times: &Times, verdict: &mut SignatureVerdict) {
    let mut asked: Vec<DigestAlgorithm> = Vec::new();
    for algorithm in verdict.digested.iter().chain(by).copied() {
        if asked.contains(&algorithm) {
            continue;
        }
        asked.push(algorithm);
        if let Err(weakness) = profile.strengths.digest(algorithm, times.judged_at) {
            let why = why(&weakness, times.claimed);
            verdict.findings.push(Finding::doubt(6, "DIGEST_NOT_ACCEPTED", why, weakness.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;
    use crate::formats::zip::Source;
    use crate::licences::variations::kit::{Cms, Draft, World, at, party_of};
    use crate::licences::{Profile, verify, verify_with};
    use crate::trust::cms::{self, Spelling};
    use crate::trust::issue::Use;
    use crate::trust::suite::{SignatureAlgorithm, Signer as _, SigningKey};
    use crate::trust::timestamp;

    fn lines<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
        text.split(", ").map(|line| line.parse().unwrap()).collect()
    }

    /// The profile with one of its three lists in place of the shipped one.
    fn narrowed(profile: &Profile, list: &str, text: &str) -> Profile {
        let mut profile = profile.clone();
        match list {
            "digests" => profile.strengths.digests = lines(text),
            "curves" => profile.strengths.curves = lines(text),
            _ => profile.strengths.rsa = lines(text),
        }
        profile
    }

    type Want = Option<(&'static str, SubIndication)>;

    fn found(report: &crate::licences::Report) -> Want {
        report.code.zip(report.sub_indication)
    }

    /// Sealed and signed on 13 February 2026, judged on 1 March.
    #[test]
    fn seals_count_as_long_as_what_they_are_made_with() {
        let world = World::new();
        let seal = Draft::default().package(&world);
        let sign = Draft { cms: Some(Cms { attributes: true, ..Cms::default() }), ..Draft::default() }.package(&world);
        let mut sha = Draft { check_digest: DigestAlgorithm::Sha256, ..Draft::default() };
        sha.edit("Signature.xml", |xml| xml.replace("=\"SM3\"", "=\"SHA256\"").into_bytes());
        let sha = sha.package(&world);
        let (digest, key) = ("DIGEST_NOT_ACCEPTED", "SIGNER_NOT_ACCEPTED");
        let now = crate::licences::TimeBasis::Now;
        let claimed = crate::licences::TimeBasis::Claimed;
        for (what, file, list, text, basis, want) in [
            ("all that is needed", &seal, "digests", "sm3", now, None),
            ("another digest only", &seal, "digests", "sha256", now, Some((digest, CryptoConstraintsFailure))),
            ("not that of files", &sha, "digests", "sm3", now, Some((digest, CryptoConstraintsFailure))),
            ("both", &sha, "digests", "sm3, sha256", now, None),
            ("another digest, Sign", &sign, "digests", "sha256", now, Some((digest, CryptoConstraintsFailure))),
            (
                "over, nothing proves",
                &seal,
                "digests",
                "sm3 until 2026-02-20",
                now,
                Some((digest, CryptoConstraintsFailureNoPoe)),
            ),
            ("over, claimed before", &seal, "digests", "sm3 until 2026-02-20", claimed, None),
            ("its last day", &seal, "digests", "sm3 until 2026-02-13", claimed, None),
            (
                "over when claimed",
                &seal,
                "digests",
                "sm3 until 2026-02-12",
                claimed,
                Some((digest, CryptoConstraintsFailure)),
            ),
            ("another curve only", &seal, "curves", "p256", now, Some((key, CryptoConstraintsFailure))),
            (
                "a curve that ended",
                &seal,
                "curves",
                "sm2 until 2026-02-20",
                now,
                Some((key, CryptoConstraintsFailureNoPoe)),
            ),
            ("the same, claimed", &seal, "curves", "sm2 until 2026-02-20", claimed, None),
            (
                "before the certificate",
                &seal,
                "curves",
                "sm2 until 2024-12-31",
                now,
                Some((key, CryptoConstraintsFailure)),
            ),
            ("RSA is nothing to it", &seal, "rsa", "8192", now, None),
        ] {
            let mut profile = narrowed(&world.profile(), list, text);
            profile.time_basis = basis;
            let report = verify("f", file.clone(), &profile);
            assert_eq!(found(&report), want, "{what}: {}", report.to_text());
        }
        // Maker and signer are told alike.
        let report = verify("f", seal, &narrowed(&world.profile(), "curves", "p256"));
        let codes: Vec<_> = report.signatures[0].findings.iter().map(|f| f.code).collect();
        assert!(codes.contains(&"MAKER_NOT_ACCEPTED") && codes.contains(&key), "{codes:?}");
    }

    #[test]
    fn a_stamp_proves_that_it_was_made_in_time_and_only_a_strong_one() {
        let party = |algorithm, purpose| {
            let pkcs8 = SigningKey::generate(algorithm).unwrap();
            party_of(SigningKey::from_pkcs8(&pkcs8).unwrap(), "测试", purpose)
        };
        let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
        let tsa = party(SignatureAlgorithm::Sm2Sm3, Use::TimeStamping);
        let stamp = |value: &[u8]| {
            let request = timestamp::Request::over(DigestAlgorithm::Sm3, value, [7; 8]);
            let chain = std::slice::from_ref(&tsa.cert);
            let reply = timestamp::respond(&request, &tsa.key, chain, "1.2.3", 1, at("2026-02-14T00:00:00Z")).unwrap();
            Ok(timestamp::token_of(&reply, &request).unwrap().der().to_vec())
        };
        let (content, claimed) = (b"content".to_vec(), Some(at("2026-02-13T02:00:00Z")));
        let digest = signer.key.algorithm().digest().of(&content);
        let chain = std::slice::from_ref(&signer.cert);
        let made = |stamp: Option<cms::TimeStamp<'_>>| {
            cms::sign_detached_with(&signer.key, chain, &digest, claimed, Spelling::International, stamp).unwrap()
        };
        let (stamped, plain) = (made(Some(&stamp)), made(None));
        let mut profile = Profile::new(at("2026-03-01T00:00:00Z"));
        profile.anchors.signers = vec![signer.cert.clone()];
        profile.anchors.tsas = vec![tsa.cert.clone()];
        let over = Some(("DIGEST_NOT_ACCEPTED", CryptoConstraintsFailureNoPoe));
        for (what, file, list, text, want, proven) in [
            ("in time", &stamped, "digests", "sha256 until 2026-02-20, sm3", None, true),
            ("without a stamp", &plain, "digests", "sha256 until 2026-02-20, sm3", over, false),
            ("stamped too late", &stamped, "digests", "sha256 until 2026-02-13, sm3", over, true),
            // The authority's own algorithm is asked for now: nothing is over the stamp that proves when it was made.
            ("a weak stamp", &stamped, "digests", "sha256 until 2026-02-20, sm3 until 2026-02-20", over, false),
            ("an authority with a weak key", &stamped, "curves", "p256", None, false),
            ("a curve in time", &stamped, "curves", "p256 until 2026-02-20, sm2", None, true),
        ] {
            let content: &dyn Source = &content;
            let report = verify_with("f", file.clone(), Some(content), &narrowed(&profile, list, text));
            assert_eq!(found(&report), want, "{what}: {}", report.to_text());
            assert_eq!(report.signatures[0].proven_at.is_some(), proven, "{what}: {}", report.to_text());
        }
    }
}
