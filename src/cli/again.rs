//! Decisions of a log, decided again: the rules of then must say to the question that was kept what the log says they said.
//!
//! ```text
//!  entry ─▶ verdict · rules · version · digest of the question
//!  a gateway's folder: decisions/<day>.jsonl, policies/<version>/ ─┐
//!  a bundle: policy/asked/<digest>.json, policy/<version>/ ────────┴─▶ the same? (or somebody lied)
//! ```

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;

use crate::audit::evidence::{self, Again, Examined, ReadFile};
use crate::audit::verify::Verdict;
use crate::licences::{self, material};
use crate::policy::replay::{self, Asked, Logged};
use crate::policy::{Ask, PolicySet, archive};
use crate::terms::{Day, Digest, UnixMillis};

/// Largest file of one day's questions, in octets.
const DAY_MAX_BYTES: u64 = 4 << 30;

/// Where the set says something else than the log says it said: both verdicts.
pub fn differs(set: &PolicySet, logged: &Logged, ask: &Ask) -> Option<String> {
    let (permitted, rules) = match set.evaluate(ask, logged.at) {
        Ok(permit) => (true, permit.rules().to_vec()),
        Err(denial) => (false, denial.rules().to_vec()),
    };
    let same = permitted == logged.permitted && rules.iter().map(|r| &**r).eq(logged.rules.iter().map(String::as_str));
    let word = |yes: bool| if yes { "allow" } else { "deny" };
    (!same).then(|| format!("{} ≠ {}", word(logged.permitted), word(permitted)))
}

/// The questions of a file, each under its own digest: one that was changed answers to another.
pub fn questions(file: &Path) -> Result<HashMap<Digest, Asked>, String> {
    let named = |what: String| format!("{}: {what}", file.display());
    if std::fs::metadata(file).is_ok_and(|meta| meta.len() > DAY_MAX_BYTES) {
        return Err(named("larger than a day's questions are".into()));
    }
    let text = std::fs::read_to_string(file).map_err(|e| named(e.to_string()))?;
    let asked = replay::read(&text).map_err(|line| named(format!("line {line} is not a question")))?;
    Ok(asked.into_iter().map(|asked| (asked.digest(), asked)).collect())
}

type Set = Result<Rc<PolicySet>, String>;

/// The rules and questions of a gateway's folder, or of a copy of its `policies` and `decisions`.
pub struct Archive<'d> {
    folder: &'d Path,
    sets: RefCell<HashMap<Digest, Set>>,
    days: RefCell<HashMap<Day, HashMap<Digest, Asked>>>,
}

impl<'d> Archive<'d> {
    pub fn new(folder: &'d Path) -> Self {
        Self { folder, sets: RefCell::default(), days: RefCell::default() }
    }

    pub fn set(&self, version: Digest) -> Set {
        let find = || archive::find(&self.folder.join("policies"), version).map(Rc::new).map_err(|e| e.to_string());
        self.sets.borrow_mut().entry(version).or_insert_with(find).clone()
    }

    /// The question of a decision: kept on its day, or on the day before when it was asked just before midnight.
    ///
    /// # Errors
    /// A file of questions that cannot be read.
    pub fn asked(&self, logged: &Logged) -> Result<Option<Asked>, String> {
        let mut days = self.days.borrow_mut();
        for at in [logged.at, logged.at.plus_seconds(-60)] {
            let day = at.day();
            let asked = match days.entry(day) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let file = self.folder.join("decisions").join(format!("{day}.jsonl"));
                    new.insert(if file.is_file() { questions(&file)? } else { HashMap::new() })
                }
            };
            if let Some(ask) = asked.get(&logged.asked) {
                return Ok(Some(ask.clone()));
            }
        }
        Ok(None)
    }

    /// As [`Again::decision`], from this folder.
    pub fn again(&self, entry: &[u8]) -> Option<Result<(), (Verdict, String)>> {
        let logged = Logged::read(entry)?;
        let undecided = |why: String| (Verdict::Undecided, why);
        let judged = self.set(logged.version).map_err(undecided).and_then(|set| {
            let ask = self.asked(&logged).map_err(undecided)?;
            let ask = ask.ok_or_else(|| undecided("the question that was asked was not kept".into()))?;
            same(&set, &logged, &ask.ask)
        });
        Some(judged)
    }

    /// Files of the rules, questions and material behind some entries, for a bundle; what is not kept is left out.
    pub fn files(&self, entries: &[&[u8]]) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let mut files = BTreeMap::new();
        let mut versions = BTreeSet::new();
        for logged in entries.iter().filter_map(|entry| Logged::read(entry)) {
            versions.insert(logged.version);
            if let Some(asked) = self.asked(&logged)? {
                files.insert(evidence::asked_path(logged.asked), asked.text);
            }
        }
        for digest in entries.iter().flat_map(|entry| evidence::examined(entry)).map(|examined| examined.trust) {
            let read = |digest: Digest| std::fs::read(self.folder.join("trust").join(digest.to_string())).ok();
            let Some(list) = read(digest) else { continue };
            for part in material::named(&list).unwrap_or_default() {
                files.extend(read(part).map(|octets| (evidence::trust_path(part), octets)));
            }
            files.insert(evidence::trust_path(digest), list);
        }
        for version in versions {
            let Ok(set) = self.set(version) else { continue };
            let sources = set.sources().iter();
            files.extend(sources.map(|(name, text)| (evidence::policy_path(version, name), text.clone().into_bytes())));
        }
        Ok(files)
    }
}

fn same(set: &PolicySet, logged: &Logged, ask: &Ask) -> Result<(), (Verdict, String)> {
    match differs(set, logged, ask) {
        None => Ok(()),
        Some(why) => Err((Verdict::Disproven, format!("not what the rules of then say: {why}"))),
    }
}

/// Decides from the rules and questions in a bundle.
#[derive(Default)]
pub struct InBundle(RefCell<HashMap<Digest, Set>>);

impl Again for InBundle {
    fn decision(&self, entry: &[u8], names: &[String], read: ReadFile<'_>) -> Option<Result<(), (Verdict, String)>> {
        let logged = Logged::read(entry)?;
        let undecided = |why: &str| (Verdict::Undecided, why.to_owned());
        let set = || {
            let folder = evidence::policy_path(logged.version, "");
            let mut sources = Vec::new();
            for name in names.iter().filter_map(|name| name.strip_prefix(&folder)) {
                let text = read(&evidence::policy_path(logged.version, name)).and_then(|b| String::from_utf8(b).ok());
                sources.push((name.to_owned(), text.ok_or("a file of rules is missing, or no text")?));
            }
            match PolicySet::from_sources(sources) {
                Ok(set) if set.version() == logged.version => Ok(Rc::new(set)),
                _ => Err("the rules that decided are not in the bundle".to_owned()),
            }
        };
        let set = self.0.borrow_mut().entry(logged.version).or_insert_with(set).clone();
        let judged = set.map_err(|why| undecided(&why)).and_then(|set| {
            let text = read(&evidence::asked_path(logged.asked));
            let text = text.ok_or_else(|| undecided("the question that was asked is not in the bundle"))?;
            if Digest::of(&text) != logged.asked {
                return Err((Verdict::Disproven, "not the question that the entry names".to_owned()));
            }
            let ask = serde_json::from_slice(&text).map_err(|_| undecided("a question of another version"))?;
            same(&set, &logged, &ask)
        });
        Some(judged)
    }

    fn licence(&self, examined: &Examined, document: Vec<u8>, read: ReadFile<'_>) -> Result<(), (Verdict, String)> {
        let part = |digest| read(&evidence::trust_path(digest));
        examined_again(examined, document, &part)
    }

    fn material(&self, list: &[u8]) -> Option<Vec<Digest>> {
        material::named(list)
    }
}

/// Examines a licence by what was trusted and known then, at that time.
fn examined_again(
    examined: &Examined,
    document: Vec<u8>,
    part: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Result<(), (Verdict, String)> {
    let undecided = |why: &str| (Verdict::Undecided, why.to_owned());
    let list = part(examined.trust).ok_or_else(|| undecided("what the licence was judged by is not here"))?;
    if Digest::of(&list) != examined.trust {
        return Err((Verdict::Disproven, "not what the entry says the licence was judged by".to_owned()));
    }
    let profile = material::profile(&list, UnixMillis(examined.at), part).map_err(undecided)?;
    let report = licences::verify("licence", document, &profile);
    let words = [Some(report.indication.word()), report.code];
    match words.contains(&Some(&*examined.verdict)) {
        true => Ok(()),
        false => {
            Err((Verdict::Disproven, format!("the log says {}, it is {}", examined.verdict, report.indication.word())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::{Decision, Word};
    use crate::audit::{Entry as Line, Kind};
    use crate::policy::replay::Recorded;
    use crate::policy::{embedded_cases, run_cases};
    use crate::terms::json::canonical;

    const AT: UnixMillis = UnixMillis(1_771_000_000_000);

    fn entry(recorded: &Recorded, permitted: bool) -> Vec<u8> {
        let word = |text: &str| Word::new(text).unwrap();
        let decision = Decision {
            ask: Some(replay::digest(&recorded.ask)),
            policy: Some(recorded.version),
            rules: recorded.rules.iter().map(|rule| word(rule)).collect(),
            verdict: Some(word(if permitted { "allow" } else { "deny" })),
            ..Decision::default()
        };
        let mut bytes = Vec::new();
        Line::new(Kind::Deny, AT).dec(decision).encode().unwrap().link(0, None, &mut bytes);
        bytes
    }

    #[test]
    fn a_bundle_decides_again_and_what_was_changed_in_it_is_found() {
        let set = PolicySet::embedded().unwrap();
        let asks = run_cases(&set, &embedded_cases()).unwrap().outcomes.into_iter().map(|outcome| outcome.ask);
        let all: Vec<Recorded> = asks.map(|ask| Recorded::of(&set, &ask, AT)).collect();
        for permitted in [true, false] {
            let recorded = all.iter().find(|recorded| recorded.permitted == permitted).unwrap();
            let asked = evidence::asked_path(replay::digest(&recorded.ask));
            let mut files = BTreeMap::from([(asked.clone(), canonical(&recorded.ask).unwrap())]);
            let sources = set.sources().iter();
            let path = |name: &str| evidence::policy_path(set.version(), name);
            files.extend(sources.map(|(name, text)| (path(name), text.clone().into_bytes())));
            let rules = files.keys().find(|name| name.ends_with(".cedar")).unwrap().clone();
            let judge = |entry: &[u8], files: &BTreeMap<String, Vec<u8>>| {
                let names: Vec<String> = files.keys().cloned().collect();
                let again = InBundle::default().decision(entry, &names, &|path| files.get(path).cloned());
                again.unwrap().map_err(|(verdict, _)| verdict)
            };
            let with = |name: &str, octets: Option<&[u8]>| {
                let mut files = files.clone();
                match octets {
                    Some(octets) => files.insert(name.to_owned(), octets.to_vec()),
                    None => files.remove(name),
                };
                judge(&entry(recorded, permitted), &files)
            };
            assert_eq!(judge(&entry(recorded, permitted), &files), Ok(()));
            assert_eq!(judge(&entry(recorded, !permitted), &files), Err(Verdict::Disproven));
            assert_eq!(with(&asked, None), Err(Verdict::Undecided));
            assert_eq!(with(&asked, Some(b"{}")), Err(Verdict::Disproven));
            assert_eq!(with(&rules, None), Err(Verdict::Undecided));
            assert_eq!(with(&rules, Some(b"permit (principal, action, resource);")), Err(Verdict::Undecided));
        }
        assert!(InBundle::default().decision(b"{\"kind\":\"login\",\"ts\":1}", &[], &|_| None).is_none());
    }

    /// Rules and questions of before the entries of items named purposes.
    #[test]
    fn questions_of_before_purposes_were_named_are_judged_as_what_they_were() {
        let now = PolicySet::embedded().unwrap();
        let then: Vec<(String, String)> = now
            .sources()
            .iter()
            .map(|(name, text)| match text.split_once("@id(\"lookup-purpose-listed\")") {
                Some((before, after)) => {
                    let (_, after) = after.split_once("unless { context.purposeListed };").expect("the rule's end");
                    (name.clone(), format!("{before}{after}"))
                }
                None => {
                    let kept = text.lines().filter(|line| !line.trim_start().starts_with("purposeListed:"));
                    (name.clone(), kept.map(|line| format!("{line}\n")).collect())
                }
            })
            .collect();
        let then = PolicySet::from_sources(then).unwrap();
        assert!(then.rule("lookup-purpose-listed").is_none());
        let asks = run_cases(&now, &embedded_cases()).unwrap().outcomes.into_iter().map(|outcome| outcome.ask);
        let good = asks
            .filter(|ask| matches!(ask, Ask::LookUp(asked) if asked.purpose.as_deref() == Some("case")))
            .find(|ask| now.evaluate(ask, AT).is_ok())
            .expect("a lookup for a case");
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("decisions")).unwrap();
        archive::keep(&folder.path().join("policies"), &then).unwrap();
        let mut entries = Vec::new();
        let mut lines = String::new();
        for purpose in ["case", "dispute"] {
            let mut ask = serde_json::to_value(&good).unwrap();
            assert!(ask.as_object_mut().unwrap().remove("purpose_listed").is_some());
            ask["purpose"] = purpose.into();
            let digest = Digest::of(&canonical(&ask).unwrap());
            lines.push_str(&format!("{}\n", serde_json::json!({ "at": AT, "ask": ask })));
            let ask: Ask = serde_json::from_value(ask).unwrap();
            let recorded = Recorded::of(&then, &ask, AT);
            assert!(recorded.permitted, "{purpose}: nothing was said of purposes");
            assert_eq!(replay::digest(&recorded.ask), digest, "it is written as it was");
            entries.push((recorded.clone(), entry(&recorded, true)));
        }
        std::fs::write(folder.path().join("decisions").join(format!("{}.jsonl", AT.day())), lines).unwrap();
        let archive = Archive::new(folder.path());
        for (_, entry) in &entries {
            assert_eq!(archive.again(entry), Some(Ok(())), "under the rules of then");
            let files = archive.files(&[entry]).unwrap();
            let names: Vec<String> = files.keys().cloned().collect();
            let again = InBundle::default().decision(entry, &names, &|path| files.get(path).cloned());
            assert_eq!(again, Some(Ok(())), "in a bundle");
        }
        let records: Vec<Recorded> = entries.into_iter().map(|(recorded, _)| recorded).collect();
        let replayed = replay::replay(&records, &now);
        // For its case a lookup is permitted as before; no entry of then named another purpose.
        assert_eq!((replayed.unchanged, replayed.changes.len()), (1, 1), "{:?}", replayed.changes);
        let change = &replayed.changes[0];
        assert_eq!((change.index, change.turn), (1, replay::Turn::NowDenied));
        assert_eq!(change.would_be, ["lookup-purpose-listed"]);
    }

    /// A page, signed by a key of its own, and the profile that trusts it.
    fn signed_page() -> (Vec<u8>, licences::Profile) {
        use crate::licences::make::{PdfApply, sign_pdf};
        use crate::trust::certificate::Certificate;
        use crate::trust::issue::{self, Issuer, Subject, Use};
        use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};
        let key = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
        let key = SigningKey::from_pkcs8(&key).unwrap();
        let (subject, spki) = (Subject::named("测试", "测试"), key.public_key().to_spki());
        let (from, to) = (UnixMillis(0), UnixMillis(4_000_000_000_000));
        let der = issue::certificate(&Issuer::root(&key, &subject), &subject, &spki, Use::Signer, from, to).unwrap();
        let chain = [Certificate::parse(&der).unwrap()];
        let (mut pdf, mut table) = ("%PDF-1.7\n".to_owned(), "0000000000 65535 f\r\n".to_owned());
        for (n, object) in
            ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R>>"]
                .iter()
                .enumerate()
        {
            table += &format!("{:010} 00000 n\r\n", pdf.len());
            pdf += &format!("{} 0 obj\n{object}\nendobj\n", n + 1);
        }
        let at = pdf.len();
        pdf += &format!("xref\n0 4\n{table}trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n");
        let with = PdfApply { signer: &key, chain: &chain, at: AT, time_stamp: None, reason: None };
        let update = sign_pdf(pdf.clone().into_bytes(), &with).unwrap();
        let mut profile = licences::Profile::new(AT);
        profile.anchors.signers = chain.to_vec();
        ([pdf.into_bytes(), update].concat(), profile)
    }

    #[test]
    fn a_licence_is_examined_again_by_what_was_trusted_then() {
        let (page, profile) = signed_page();
        let material = licences::Material::of(&profile).unwrap();
        let said =
            |verdict: &str, trust| Examined { at: AT.0, digest: Digest::of(&page), verdict: verdict.into(), trust };
        let here = |digest: Digest| match digest == material.digest {
            true => Some(material.list.clone()),
            false => material.parts.get(&digest).cloned(),
        };
        let again = |examined: &Examined, document: &[u8], part: &dyn Fn(Digest) -> Option<Vec<u8>>| {
            examined_again(examined, document.to_vec(), part).map_err(|(verdict, _)| verdict)
        };
        let good = said("TOTAL-PASSED", material.digest);
        assert_eq!(again(&good, &page, &here), Ok(()));
        assert_eq!(again(&said("TOTAL-FAILED", material.digest), &page, &here), Err(Verdict::Disproven));
        let mut bent = page.clone();
        bent[20] ^= 1;
        assert_eq!(again(&good, &bent, &here), Err(Verdict::Disproven));
        assert_eq!(again(&good, &page, &|_| None), Err(Verdict::Undecided));
        assert_eq!(again(&good, &page, &|_| Some(b"other".to_vec())), Err(Verdict::Disproven));
        let list_only = |digest: Digest| (digest == material.digest).then(|| material.list.clone());
        assert_eq!(again(&good, &page, &list_only), Err(Verdict::Undecided));
        // The same page, had nobody been trusted then.
        let strangers = licences::Material::of(&licences::Profile::new(AT)).unwrap();
        let there = |_: Digest| Some(strangers.list.clone());
        assert_eq!(again(&said("NO_ANCHORS", strangers.digest), &page, &there), Ok(()));
    }
}
