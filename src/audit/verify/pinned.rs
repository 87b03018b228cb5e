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
//! ```
//! Other readers of tlog-policy skip these lines. A line of this kind that is not understood is refused: a limit that
//! is mistyped must not silently be none.

use crate::audit::checkpoint::decimal;
use crate::audit::witness_policy::{PolicyError, WitnessPolicy};

const MARK: &str = "#tongban";

/// Witnesses and quorum, and how old a checkpoint may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    pub witnesses: WitnessPolicy,
    /// Seconds since the cosignature; older ones do not count towards the quorum.
    pub max_checkpoint_age_s: Option<u64>,
    /// Seconds since the newest time-stamp.
    pub max_anchor_age_s: Option<u64>,
}

impl Pinned {
    /// Reads a policy file.
    ///
    /// # Errors
    /// The line that is not understood; lines count from 1.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let witnesses = WitnessPolicy::parse(text)?;
        let mut pinned = Self { witnesses, max_checkpoint_age_s: None, max_anchor_age_s: None };
        for (n, line) in text.lines().enumerate() {
            let Some(rest) = line.trim_start().strip_prefix(MARK) else { continue };
            let wrong = |reason| PolicyError::Line { line: n + 1, reason };
            let words: Vec<&str> = rest.split_ascii_whitespace().collect();
            let ["max-checkpoint-age" | "max-anchor-age", seconds] = words[..] else {
                return Err(wrong("after #tongban: max-checkpoint-age SECONDS or max-anchor-age SECONDS"));
            };
            let seconds = decimal(seconds).filter(|s| *s > 0).ok_or(wrong("a number of seconds above 0 is wanted"))?;
            let limit = match words[0] {
                "max-checkpoint-age" => &mut pinned.max_checkpoint_age_s,
                _ => &mut pinned.max_anchor_age_s,
            };
            if limit.replace(seconds).is_some() {
                return Err(wrong("a limit that was given before"));
            }
        }
        Ok(pinned)
    }
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
            ("quorum none\n#tongban max-checkpoint-age 10m\n", None),
            ("quorum none\n#tongban max-checkpoint-age 0\n", None),
            ("quorum none\n#tongban max-chekpoint-age 600\n", None),
            ("quorum none\n#tongban max-anchor-age 1\n#tongban max-anchor-age 2\n", None),
            ("#tongban max-anchor-age 1\n", None), // no quorum
        ] {
            let got = Pinned::parse(text).ok().map(|p| (p.max_checkpoint_age_s, p.max_anchor_age_s));
            assert_eq!(got, want, "{text}");
        }
    }
}
