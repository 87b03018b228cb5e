//! Witness policies (C2SP tlog-policy): whose cosignatures a verifier wants to see. Pinned by the verifier.
//!
//! ```text
//!  log     gov.example/gw/1+…                the log's key; may be left out
//!  witness hebei   hebei.example+…  https://…
//!  witness shanxi  shanxi.example+…
//!  witness office  office.example+…
//!  group   neighbours any hebei shanxi       any | all | a number
//!  group   enough     all neighbours office
//!  quorum  enough                            a witness, a group, or none
//! ```
//! Who is listed twice would count twice: a key has one line, whatever it is called there, and a name stands in one group.

use super::checkpoint::decimal;
use super::note::{KeyKind, NoteError, VerifierKey};

/// Longest policy read, in bytes.
const MAX_POLICY: usize = 64 * 1024;

const TWICE: &str = "a key that was listed before, under this name or another one";

/// A parsed policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    urls: Vec<Option<String>>,
    rules: Vec<(String, Rule)>,
    quorum: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// A place in `witnesses`.
    Witness(usize),
    /// At least `threshold` of these earlier rules.
    Group { threshold: usize, members: Vec<usize> },
}

/// Why a text is no policy; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("line {line}: {reason}")]
    Line { line: usize, reason: &'static str },
    #[error("line {line}: {source}")]
    Key { line: usize, source: NoteError },
    #[error("no quorum line, or a policy that is too long")]
    NoQuorum,
}

impl WitnessPolicy {
    /// Reads a policy by which checkpoints are judged: logs sign with type 0x01 there, and witnesses cosign with type 0x04. A log's own
    /// signature would otherwise pass for that of a witness.
    ///
    /// # Errors
    /// As [`Self::parse`], and a key that cannot do what its line wants of it.
    pub fn read(text: &str) -> Result<Self, PolicyError> {
        let policy = Self::parse(text)?;
        let odd = |keys: &[VerifierKey], word: &str, kind, reason| {
            let key = keys.iter().find(|key| key.kind() != kind)?.to_string();
            let names_it = |line: &str| {
                let mut words = line.split_ascii_whitespace();
                words.next() == Some(word) && words.any(|word| word == key)
            };
            Some(PolicyError::Line { line: text.lines().position(names_it).map_or(0, |n| n + 1), reason })
        };
        let wrong = odd(&policy.logs, "log", KeyKind::Ed25519, "a log signs with a key of type 0x01");
        let wrong = wrong.or_else(|| {
            let reason = "a witness cosigns with a key of type 0x04";
            odd(&policy.witnesses, "witness", KeyKind::Cosignature, reason)
        });
        wrong.map_or(Ok(policy), Err)
    }

    /// Reads the form of a policy.
    ///
    /// # Errors
    /// The line that is not understood; lines count from 1.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError::NoQuorum);
        }
        let mut policy =
            Self { logs: Vec::new(), witnesses: Vec::new(), urls: Vec::new(), rules: Vec::new(), quorum: None };
        let mut quorum_seen = false;
        let mut grouped: Vec<usize> = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let wrong = |reason| PolicyError::Line { line: n + 1, reason };
            let key = |text: &str| text.parse().map_err(|source| PolicyError::Key { line: n + 1, source });
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                [] => {}
                ["log", vkey] | ["log", vkey, _] => {
                    let vkey: VerifierKey = key(vkey)?;
                    if policy.logs.iter().any(|known| known.has_key_of(&vkey)) {
                        return Err(wrong(TWICE));
                    }
                    policy.logs.push(vkey);
                }
                ["witness", name, vkey, ref url @ ..] if url.len() <= 1 => {
                    policy.new_name(name).map_err(wrong)?;
                    let vkey: VerifierKey = key(vkey)?;
                    if policy.witnesses.iter().any(|known| known.has_key_of(&vkey)) {
                        return Err(wrong(TWICE));
                    }
                    policy.rules.push((name.to_owned(), Rule::Witness(policy.witnesses.len())));
                    policy.witnesses.push(vkey);
                    policy.urls.push(url.first().map(|url| (*url).to_owned()));
                }
                ["group", name, threshold, ref names @ ..] if !names.is_empty() => {
                    policy.new_name(name).map_err(wrong)?;
                    let mut members = Vec::new();
                    for member in names {
                        let place = policy.place(member).ok_or(wrong("a name that is not known yet"))?;
                        if grouped.contains(&place) {
                            return Err(wrong("a member named twice, here or in another group"));
                        }
                        grouped.push(place);
                        members.push(place);
                    }
                    let threshold = match threshold {
                        "any" => Some(1),
                        "all" => Some(members.len()),
                        number => decimal(number).and_then(|n| usize::try_from(n).ok()),
                    };
                    let threshold = threshold.filter(|t| (1..=members.len()).contains(t));
                    let threshold = threshold.ok_or(wrong("a threshold outside its group"))?;
                    policy.rules.push((name.to_owned(), Rule::Group { threshold, members }));
                }
                ["quorum", name] if !quorum_seen => {
                    quorum_seen = true;
                    policy.quorum = match name {
                        "none" => None,
                        name => Some(policy.place(name).ok_or(wrong("a name that is not known yet"))?),
                    };
                }
                _ => return Err(wrong("not a log, witness, group or (single) quorum line")),
            }
        }
        if quorum_seen { Ok(policy) } else { Err(PolicyError::NoQuorum) }
    }

    fn new_name(&self, name: &str) -> Result<(), &'static str> {
        match name {
            "none" | "any" | "all" => Err("a reserved name"),
            name if self.place(name).is_some() => Err("a name that was given before"),
            _ => Ok(()),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.rules.iter().position(|(known, _)| known == name)
    }

    /// Keys of the logs this policy is for; empty when it names none.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Keys of the witnesses, in order.
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// Where the witness whose key stands at `place` is asked: the prefix of its `add-checkpoint`.
    pub fn witness_url(&self, place: usize) -> Option<&str> {
        self.urls.get(place)?.as_deref()
    }

    /// Name of the witness whose key stands at `place` of [`Self::witnesses`].
    pub fn witness_name(&self, place: usize) -> Option<&str> {
        let rule = Rule::Witness(place);
        self.rules.iter().find(|(_, known)| *known == rule).map(|(name, _)| name.as_str())
    }

    /// Whether the quorum is met when `signed(place)` says which of [`Self::witnesses`] cosigned.
    pub fn is_met(&self, signed: impl Fn(usize) -> bool) -> bool {
        let mut met: Vec<bool> = Vec::with_capacity(self.rules.len());
        for (_, rule) in &self.rules {
            let holds = match rule {
                Rule::Witness(place) => signed(*place),
                Rule::Group { threshold, members } => members.iter().filter(|m| met[**m]).count() >= *threshold,
            };
            met.push(holds);
        }
        self.quorum.is_none_or(|place| met[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::note::{KeyKind, Signer};

    fn key(n: u8) -> VerifierKey {
        Signer::from_seed(&format!("w{n}.example"), &[n; 32]).unwrap().verifier(KeyKind::Cosignature)
    }

    #[test]
    fn two_of_three_and_the_office() {
        let text = format!(
            "# neighbours\nwitness a {}\nwitness b {}\nwitness c {} https://c.example/\nwitness office {}\n\
             group neighbours 2 a b c\ngroup enough all neighbours office\nquorum enough\n",
            key(1),
            key(2),
            key(3),
            key(4)
        );
        let policy = WitnessPolicy::parse(&text).unwrap();
        for (signed, want) in [(&[0, 1, 3][..], true), (&[0, 1, 2], false), (&[0, 3], false), (&[], false)] {
            assert_eq!(policy.is_met(|place| signed.contains(&place)), want, "{signed:?}");
        }
        assert_eq!(policy.witness_name(3), Some("office"));
    }

    /// One witness is one voice, under however many names; the log itself is none.
    #[test]
    fn nobody_counts_twice_and_no_log_counts_as_its_witness() {
        let same = |name: &str| Signer::from_seed(name, &[1; 32]).unwrap();
        let (again, log) = (same("other.example").verifier(KeyKind::Cosignature), same("log.example"));
        let (a, b, c, d) = (key(1), key(2), key(3), key(4));
        let (log, as_witness) = (log.verifier(KeyKind::Ed25519), log.verifier(KeyKind::Cosignature));
        let four = format!("witness a {a}\nwitness b {b}\nwitness c {c}\nwitness d {d}\n");
        for (text, want) in [
            (format!("witness a {a}\nwitness b {b}\ngroup g all a b\nquorum g\n"), None),
            (format!("witness a {a}\nwitness b {again}\ngroup g all a b\nquorum g\n"), Some(2)), // one key, two names
            (format!("witness a {a}\nwitness b {a}\ngroup g all a b\nquorum g\n"), Some(2)),
            (format!("{four}group x any a b\ngroup y any c d\ngroup g all x y\nquorum g\n"), None),
            (format!("{four}group x any a b\ngroup y any a c\ngroup g all x y\nquorum g\n"), Some(6)), // a is enough
            (format!("{four}group x any a b\ngroup g all x a\nquorum g\n"), Some(6)),
            (format!("log {log}\nwitness a {b}\nquorum a\n"), None),
            (format!("log {log}\nlog {log}\nquorum none\n"), Some(2)),
            (format!("log {log}\nwitness a {log}\nquorum a\n"), Some(2)), // the log's own signature
            (format!("witness a {log}\nquorum a\n"), Some(1)),
            (format!("quorum none\nlog {as_witness}\n"), Some(2)),
        ] {
            let line = match WitnessPolicy::read(&text) {
                Ok(_) => None,
                Err(PolicyError::Line { line, .. }) => Some(line),
                Err(other) => panic!("{text}: {other}"),
            };
            assert_eq!(line, want, "{text}");
        }
    }

    #[test]
    fn policies_that_say_nothing_are_refused() {
        for text in ["", "quorum x\n", "quorum none\nquorum none\n", "group g any\nquorum g\n", "hello\nquorum none\n"]
        {
            assert!(WitnessPolicy::parse(text).is_err(), "{text}");
        }
        assert!(WitnessPolicy::parse("quorum none\n").unwrap().is_met(|_| false));
    }
}
