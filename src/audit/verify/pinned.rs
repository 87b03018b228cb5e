//! The auditor's own policy, pinned on the auditor's side: nothing is taken from the log that is judged.
//!
//! A C2SP tlog-policy file; what that format has no words for stands in its comments, behind `#tongban`:
//!
//! ```text
//!  log     gov.example/gw/1+…              keys of logs that may be judged by this policy
//!  witness hebei   hebei.example+…
//!  group   neighbours any hebei
//!  quorum  neighbours
//!  #tongban max-checkpoint-age 600         seconds: older cosignatures do not count
//!  #tongban max-anchor-age 7200            seconds: an older newest time-stamp is too old
//!  #tongban retention 730                  days: older entries may have been pruned, on record
//!  #tongban gm gov.example/gw/1+…          the log's SM2 key: commercial cryptography is asked about
//! ```
//! Other readers of tlog-policy skip these lines. A line of this kind that is not understood is refused: a limit that
//! is mistyped must not silently be none.

use super::report::{Fault, Question, Report, Verdict};
use crate::audit::checkpoint::{SignedCheckpoint, decimal};
use crate::audit::gm::GmKey;
use crate::audit::note::Note;
use crate::audit::witness_policy::{PolicyError, WitnessPolicy};
use crate::terms::UnixMillis;

const MARK: &str = "#tongban";
const LIMITS: [&str; 2] = ["max-checkpoint-age", "max-anchor-age"];
/// How far a witness's clock may run ahead of ours, in seconds.
const CLOCK_LEEWAY_S: u64 = 300;

/// Witnesses and quorum, and how old a checkpoint may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    pub witnesses: WitnessPolicy,
    /// Seconds since the cosignature; older ones do not count towards the quorum.
    pub max_checkpoint_age_s: Option<u64>,
    /// Seconds since the newest time-stamp.
    pub max_anchor_age_s: Option<u64>,
    /// Days that entries must be kept; without it every entry must be there.
    pub retention_days: Option<u64>,
    /// SM2 keys of the logs.
    pub gm: Vec<GmKey>,
}

impl Pinned {
    /// Reads a policy file.
    ///
    /// # Errors
    /// The line that is not understood; lines count from 1.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let witnesses = WitnessPolicy::read(text)?;
        let mut pinned = Self {
            witnesses,
            max_checkpoint_age_s: None,
            max_anchor_age_s: None,
            retention_days: None,
            gm: Vec::new(),
        };
        for (n, line) in text.lines().enumerate() {
            let wrong = |reason| PolicyError::Line { line: n + 1, reason };
            let Some(rest) = line.trim_start().strip_prefix(MARK) else {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                let is_limit =
                    matches!(words[..], [.., name, number] if LIMITS.contains(&name) && decimal(number).is_some());
                if is_limit && !line.trim_start().starts_with("##") {
                    return Err(wrong(
                        "a limit behind another mark than #tongban: one that is not meant begins with ##",
                    ));
                }
                continue;
            };
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            if let ["gm", key] = words[..] {
                pinned.gm.push(key.parse().map_err(|_| wrong("after #tongban gm: an SM2 note verifier key"))?);
                continue;
            }
            let [name @ ("max-checkpoint-age" | "max-anchor-age" | "retention"), number] = words[..] else {
                return Err(wrong(
                    "after #tongban: max-checkpoint-age SECONDS, max-anchor-age SECONDS, retention DAYS or gm VKEY",
                ));
            };
            let number = decimal(number).filter(|n| *n > 0).ok_or(wrong("a number above 0 is wanted"))?;
            let limit = match name {
                "max-checkpoint-age" => &mut pinned.max_checkpoint_age_s,
                "max-anchor-age" => &mut pinned.max_anchor_age_s,
                _ => &mut pinned.retention_days,
            };
            if limit.replace(number).is_some() {
                return Err(wrong("a limit that was given before"));
            }
        }
        Ok(pinned)
    }

    /// When the first of these witnesses cosigned a checkpoint, in Unix milliseconds.
    pub(in crate::audit) fn cosigned_at(&self, note: &[u8]) -> Option<i64> {
        let signed = Note::parse(note).ok()?.verify(self.witnesses.witnesses()).ok()?;
        let times = signed.iter().filter_map(|by| i64::try_from(by.time?).ok()?.checked_mul(1_000));
        times.min()
    }
}

/// Judges the cosignatures of a checkpoint: enough of them, true, and young enough where `now` is known.
pub(in crate::audit) fn witnessed(
    report: &mut Report,
    pinned: &Pinned,
    now: Option<UnixMillis>,
    signed: &SignedCheckpoint,
) {
    let policy = &pinned.witnesses;
    let fault = |report: &mut Report, verdict: Verdict, what: String| {
        let (question, file) = (Question::Witnessed, "checkpoint".to_owned());
        report.fault(Fault { question, verdict, file, offset: None, index: None, what });
    };
    let signed_by = match signed.cosigned_by(policy.witnesses()) {
        Err(error) => return fault(report, Verdict::Disproven, error.to_string()),
        Ok(signed_by) => signed_by,
    };
    for by in &signed_by {
        let name = policy.witness_name(by.key).unwrap_or("?").to_owned();
        report.witnesses.insert(name, by.time.unwrap_or(0));
    }
    let now_s = now.map(|now| u64::try_from(now.0 / 1000).unwrap_or(0));
    let is_fresh = |time: Option<u64>| match (pinned.max_checkpoint_age_s, now_s) {
        (Some(max), Some(now)) => {
            time.is_some_and(|t| t.saturating_add(max) >= now && t <= now.saturating_add(CLOCK_LEEWAY_S))
        }
        _ => true,
    };
    let met = |fresh: bool| {
        policy.is_met(|place| signed_by.iter().any(|by| by.key == place && (!fresh || is_fresh(by.time))))
    };
    // A quorum of none says nothing about age: with a limit, some witness must have signed lately.
    let lately = pinned.max_checkpoint_age_s.is_none() || signed_by.iter().any(|by| is_fresh(by.time));
    use Verdict::{Disproven, Undecided};
    // Old is not false: a copy grows old, and so does the log of a gateway whose witness is away.
    let (verdict, what) = match (met(true) && lately, met(false)) {
        (true, _) => return report.answer(Question::Witnessed, Verdict::Proven),
        (false, true) if signed_by.is_empty() => {
            (Undecided, "no witness cosigned, so the checkpoint's age is not known")
        }
        (false, true) => (Undecided, "cosigned, but not within the age that the policy allows"),
        (false, false) => (Disproven, "the quorum of the policy did not cosign"),
    };
    fault(report, verdict, what.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_comments_and_are_never_mistyped_away() {
        for (text, want) in [
            ("quorum none\n", Some((None, None))),
            ("quorum none\n# tongban is fine\n#tongban max-checkpoint-age 600\n", Some((Some(600), None))),
            ("#tongban max-anchor-age 7200 \nquorum none\n", Some((None, Some(7200)))),
            ("quorum none\n#tongban retention 730\n", Some((None, None))),
            ("quorum none\n#tongban retention two years\n", None),
            ("quorum none\n#tongban max-checkpoint-age 10m\n", None),
            ("quorum none\n#tongban max-checkpoint-age 0\n", None),
            ("quorum none\n#tongban max-chekpoint-age 600\n", None),
            ("quorum none\n#tongban max-anchor-age 1\n#tongban max-anchor-age 2\n", None),
            ("#tongban max-anchor-age 1\n", None), // no quorum
            ("quorum none\n#tonban max-checkpoint-age 600\n", None),
            ("quorum none\n# tongban max-checkpoint-age 600\n", None),
            ("quorum none # max-anchor-age 600\n", None),
            ("quorum none\n##tongban max-anchor-age 600\n", Some((None, None))), // not meant
            ("quorum none\n# no max-anchor-age here\n", Some((None, None))),
        ] {
            let got = Pinned::parse(text).ok().map(|p| (p.max_checkpoint_age_s, p.max_anchor_age_s));
            assert_eq!(got, want, "{text}");
        }
    }
}
