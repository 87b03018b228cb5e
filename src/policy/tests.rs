//! The shipped rules, their cases, and what must hold whatever the rules say.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::terms::{Explain, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_770_000_000_000);

fn all(error: LoadError) -> String {
    error.faults.iter().map(|f| format!("{f}\n")).collect()
}

/// Loading is slow without optimisation: once for all tests.
static SHIPPED: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::embedded().unwrap_or_else(|e| panic!("{}", all(e))));
static RUN: LazyLock<CaseRun> =
    LazyLock::new(|| run_cases(&SHIPPED, &embedded_cases()).unwrap_or_else(|e| panic!("{}", all(e))));

fn shipped_asks() -> Vec<Ask> {
    RUN.outcomes.iter().map(|o| o.ask.clone()).collect()
}

#[test]
fn every_shipped_case_comes_out_and_every_rule_is_shown() {
    let run = &*RUN;
    let failed: Vec<String> = run
        .outcomes
        .iter()
        .filter(|o| !o.passed)
        .map(|o| format!("{}:{} {}\n  want {}\n  got  {}\n", o.file, o.line, o.en, o.want, o.got))
        .collect();
    assert!(failed.is_empty(), "{}", failed.concat());
    assert!(run.outcomes.len() >= 60, "{} cases", run.outcomes.len());
    assert_eq!(run.unshown, Vec::<String>::new(), "rules without a case");
    let names: BTreeSet<&str> = run.outcomes.iter().map(|o| o.en.as_str()).collect();
    assert_eq!(names.len(), run.outcomes.len(), "two cases of one name");
}

/// A rule that was only ever shown to say no may say no to everybody, and the other way round: each is in the scope of a
/// request that goes through and of one that does not.
#[test]
fn every_rule_is_shown_both_ways() {
    let (mut through, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for outcome in &RUN.outcomes {
        let seen = match outcome.want {
            Want::Permit(_) => &mut through,
            Want::Deny(_) => &mut refused,
        };
        let findings = SHIPPED.explain(&outcome.ask).unwrap_or_else(|e| panic!("{}: {e}", outcome.en));
        seen.extend(findings.iter().filter(|f| f.in_scope).map(|f| f.rule.id.to_string()));
    }
    let all = || SHIPPED.rules().iter().map(|rule| rule.id.to_string());
    let missing = |seen: &BTreeSet<String>| all().filter(|id| !seen.contains(id)).collect::<Vec<_>>();
    assert_eq!(missing(&through), NEVER_THROUGH, "rules without a request that goes through");
    assert_eq!(missing(&refused), Vec::<String>::new(), "rules without a request that is refused");
}

/// Rules whose scope nobody gets through: there is nothing that these people may do.
const NEVER_THROUGH: [&str; 2] = ["operators-never-handle", "outlet-never-decides"];

/// Whoever is told no is told which rule speaks, in both languages, and what to do next.
#[test]
fn every_denial_names_its_rule_and_its_sentence() {
    let (mut yes, mut no) = (0, 0);
    for outcome in &RUN.outcomes {
        let Err(denial) = SHIPPED.evaluate(&outcome.ask, NOW) else {
            yes += 1;
            continue;
        };
        no += 1;
        let (zh, en) = denial.sentence();
        assert!(zh.ends_with('。') && en.ends_with('.'), "{}: {zh} {en}", outcome.en);
        let speaking = denial.speaking().map(|id| SHIPPED.rule(id).is_some());
        assert!(speaking.unwrap_or(matches!(&outcome.want, Want::Deny(rule) if rule == "no rule")), "{}", outcome.en);
        let refusal = denial.refusal();
        for member in ["rules", "reason_zh", "reason_en", "policy", "asked"] {
            assert!(refusal.members.iter().any(|(name, _)| *name == member), "{member}: {}", outcome.en);
        }
    }
    assert!(yes >= 60 && no >= 60, "{yes} permits, {no} denials");
}

#[test]
fn every_ask_fits_the_schema_and_slices_agree_with_all_rules() {
    let set = &*SHIPPED;
    let whole = set.whole();
    for ask in shipped_asks() {
        let (permitted, rules) = set.evaluate_whole(&whole, &ask).expect("the ask fits the schema");
        let (got, spoke) = match set.evaluate(&ask, NOW) {
            Ok(permit) => (true, permit.rules().to_vec()),
            Err(denial) => (false, denial.rules().to_vec()),
        };
        let spoke: BTreeSet<String> = spoke.iter().map(ToString::to_string).collect();
        assert_eq!((got, spoke), (permitted, rules), "{ask:?}");
    }
}

#[test]
fn asks_read_as_they_are_written() {
    for ask in shipped_asks() {
        let json = serde_json::to_string(&ask).unwrap();
        assert_eq!(serde_json::from_str::<Ask>(&json).unwrap(), ask);
        assert_eq!(ask.text_bytes(), json.len());
        let toml = toml::to_string(&ask).unwrap();
        assert_eq!(toml::from_str::<Ask>(&toml).unwrap(), ask);
    }
}

#[test]
fn the_memo_says_what_evaluation_says() {
    let set = &*SHIPPED;
    for round in 0..3 {
        for ask in shipped_asks() {
            assert_eq!(set.decide(&ask, NOW), set.evaluate(&ask, NOW), "round {round}: {ask:?}");
        }
    }
}

#[test]
fn a_permit_is_for_its_request_only() {
    let set = &*SHIPPED;
    let asks = shipped_asks();
    let (first, permit) = asks.iter().find_map(|a| set.decide(a, NOW).ok().map(|p| (a, p))).unwrap();
    assert!(permit.is_for(first));
    assert_eq!((permit.at(), permit.version(), permit.act()), (NOW, set.version(), first.act()));
    let Ask::File(filing) = first else { panic!("the first permitted case files something") };
    let mut other = filing.clone();
    other.who.id.push('x');
    assert!(!permit.is_for(&Ask::File(other)));
    let mut other = filing.clone();
    other.item.code = "000711901000".parse().unwrap();
    assert!(!permit.is_for(&Ask::File(other)));
}

#[test]
fn a_denial_carries_code_sentence_and_step_up() {
    let set = &*SHIPPED;
    let run = &*RUN;
    let denial = |name: &str| {
        let outcome = run.outcomes.iter().find(|o| o.en == name).unwrap_or_else(|| panic!("no case {name}"));
        set.decide(&outcome.ask, NOW).unwrap_err()
    };
    let low = denial("Level 2 is not enough for an item of level 3");
    assert_eq!((low.told().code, low.step_up()), ("TB-POL-0202", Some((3, Some(60)))));
    let refusal = low.refusal();
    assert_eq!(refusal.told.status, 403);
    assert!(refusal.members.iter().any(|(name, value)| *name == "level_needed" && value == 3));
    assert!(refusal.members.iter().any(|(name, value)| *name == "rules" && value[0] == "level-high-enough"));

    let own = denial("Who only states a number, and was never verified, reads nothing");
    assert_eq!((own.told().code, own.step_up()), ("TB-POL-0202", Some((2, None))));
    assert!(own.refusal().members.iter().all(|(name, _)| *name != "max_age_s"));

    let stranger = denial("A stranger gets the same answer as for a case that is not there");
    assert_eq!((stranger.told().status, stranger.rules().len()), (404, 0));
    assert_eq!(stranger.nearest().unwrap().failed, ["when { resource.applicant == principal.id }"]);

    let nobody = denial("Only a peer gateway hands over cases");
    assert_eq!((nobody.told().code, nobody.nearest()), ("TB-POL-0001", None));
}

#[test]
fn odd_asks_are_refused_not_evaluated() {
    let set = &*SHIPPED;
    let Some(Ask::File(good)) = shipped_asks().into_iter().find(|a| matches!(a, Ask::File(_))) else { panic!() };
    type Bend = fn(&mut Filing);
    let bends: [(&str, Bend); 5] = [
        ("an empty id", |f| f.who.id.clear()),
        ("our own mark for nobody", |f| f.who.org = Some("(none)".into())),
        ("our own mark for nobody, as applicant", |f| f.applicant.id = "(open)".into()),
        ("a very long id", |f| f.applicant.id = "x".repeat(257)),
        ("a very long list", |f| f.who.scopes = (0..257).map(|n| n.to_string()).collect()),
    ];
    for (name, bend) in bends {
        let mut filing = good.clone();
        bend(&mut filing);
        assert_eq!(set.decide(&Ask::File(filing), NOW).unwrap_err().told().code, "TB-POL-0003", "{name}");
    }
    let mut quoted = good;
    quoted.who.id = "p\"); permit(principal, action, resource); //".into();
    quoted.applicant.id = "p-li".into();
    assert!(set.decide(&Ask::File(quoted), NOW).is_err(), "text never becomes a rule");
}

/// The shipped sources with one file changed.
fn bent(file: &str, change: impl Fn(&str) -> String) -> Result<PolicySet, LoadError> {
    PolicySet::from_sources(
        embedded::SOURCES
            .iter()
            .map(|(name, text)| ((*name).to_owned(), if *name == file { change(text) } else { (*text).to_owned() })),
    )
}

#[test]
fn mistakes_are_named_with_file_line_and_mend() {
    let rule = |body: &str| format!("// one\n// two\n@id(\"x\")\n@zh(\"甲。\")\n@en(\"A.\")\n{body}\n");
    let with = |text: String| bent("10-people.cedar", move |_| text.clone());
    for (name, text, line, what) in [
        ("not Cedar", rule("permit (principal, action, resource) when { 1 + };"), 6, "unexpected token"),
        (
            "unknown attribute",
            rule(
                "permit (principal is Tongban::Citizen, action == Tongban::Action::\"read\", resource)\nwhen { resource.colour == \"red\" };",
            ),
            7,
            "colour",
        ),
        ("unknown act", rule("permit (principal, action == Tongban::Action::\"reed\", resource);"), 3, "reed"),
        (
            "wrong type",
            rule(
                "permit (principal is Tongban::Citizen, action == Tongban::Action::\"read\", resource)\nwhen { principal.level == \"3\" };",
            ),
            7,
            "type",
        ),
        (
            "never applies",
            rule(
                "permit (principal is Tongban::Citizen, action == Tongban::Action::\"read\", resource)\nwhen { principal is Tongban::Clerk };",
            ),
            3,
            "impossible",
        ),
        ("no id", "@zh(\"甲。\")\n@en(\"A.\")\npermit (principal, action, resource);".into(), 1, "no @id"),
        ("no sentence", "@id(\"x\")\n@en(\"A.\")\npermit (principal, action, resource);".into(), 1, "no @zh"),
        (
            "unknown code",
            rule("permit (principal, action, resource);").replace("@en", "@code(\"TB-POL-9999\")\n@en"),
            3,
            "TB-POL-9999",
        ),
        (
            "misspelt annotation",
            rule("permit (principal, action, resource);").replace("@en", "@bassis(\"x\")\n@en"),
            3,
            "@bassis",
        ),
        (
            "an id with blanks",
            rule("permit (principal, action, resource);").replace("(\"x\")", "(\"x y\")"),
            3,
            "plain id",
        ),
        (
            "the same id again",
            rule("permit (principal, action, resource);").replace("(\"x\")", "(\"file-own\")"),
            0,
            "used before",
        ),
        ("a template", rule("permit (principal == ?principal, action, resource);"), 1, "slot"),
    ] {
        let error = with(text).expect_err(name);
        let fits = |f: &&Fault| (line == 0 || f.line == line) && f.what.contains(what) && !f.mend.is_empty();
        assert!(error.faults.iter().find(fits).is_some(), "{name}: {:#?}", error.faults);
    }
    let schema = bent("schema.cedarschema", |text| text.replacen("entity Gateway;", "entity Gateway", 1)).unwrap_err();
    assert_eq!(schema.faults[0].file, "schema.cedarschema");
    assert!(schema.faults[0].line > 80, "{:?}", schema.faults);
    let two = bent("10-people.cedar", |_| rule("permit (principal, action, resource) when { 1 + };"))
        .unwrap_err()
        .faults
        .len()
        + bent("20-outlets.cedar", |_| "nonsense".into()).unwrap_err().faults.len();
    assert!(two >= 2);
}

#[test]
fn the_version_follows_the_text_not_the_line_ends() {
    let version = |change: fn(&str) -> String| bent("40-materials.cedar", change).unwrap().version();
    let same = version(str::to_owned);
    assert_eq!(same, SHIPPED.version());
    assert_eq!(same, version(|text| text.replace('\n', "\r\n")));
    assert_ne!(same, version(|text| format!("{text}// a remark\n")));
}

/// Writes the shipped sources into `dir`, the last rule file followed by `more`.
fn write(dir: &std::path::Path, more: &str) {
    for (name, text) in embedded::SOURCES {
        let tail = if *name == "80-gateways.cedar" { more } else { "" };
        std::fs::write(dir.join(name), format!("{text}{tail}")).unwrap();
    }
}

const NO_READING: &str = "\n@id(\"closed\")\n@zh(\"暂停查看。\")\n@en(\"Reading is closed.\")\n\
    forbid (principal, action == Tongban::Action::\"read\", resource);\n";

#[test]
fn a_book_takes_a_folder_wholly_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let book = PolicyBook::new(PolicySet::embedded().unwrap());
    let reads = shipped_asks().into_iter().find(|a| a.act() == Act::Read && book.decide(a, NOW).is_ok()).unwrap();
    let before = book.current().version();

    write(dir.path(), "permit (principal, action, resource) when {");
    PolicySet::again(Some(dir.path()), Some(&book.current())).unwrap_err();
    assert_eq!(book.current().version(), before);
    assert!(book.decide(&reads, NOW).is_ok(), "the old set stays");

    write(dir.path(), NO_READING);
    let set = PolicySet::again(Some(dir.path()), Some(&book.current())).unwrap();
    assert_eq!(book.take(set), before);
    let new = book.current().version();
    assert_ne!(new, before);
    let again = PolicySet::again(Some(dir.path()), Some(&book.current())).unwrap();
    assert!(Arc::ptr_eq(&again, &book.current()), "nothing changed: nothing is read again");
    let denial = book.decide(&reads, NOW).unwrap_err();
    assert_eq!((denial.speaking(), denial.version()), (Some("closed"), new), "no verdict of the old set is left");
}

#[test]
fn replay_says_what_would_change() {
    let old = &*SHIPPED;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), NO_READING);
    let new = PolicySet::load(dir.path()).unwrap();
    let records: Vec<_> = shipped_asks().iter().map(|ask| replay::Recorded::of(old, ask, NOW)).collect();

    let same = replay::replay(&records, old);
    assert_eq!((same.changes.len(), same.unchanged), (0, records.len()));

    let changed = replay::replay(&records, &new);
    assert_eq!(changed.changes.len() + changed.unchanged, records.len());
    for change in &changed.changes {
        let record = &records[change.index];
        assert_eq!(record.ask.act(), Act::Read);
        let want = if record.permitted { replay::Turn::NowDenied } else { replay::Turn::OtherRules };
        assert_eq!(change.turn, want);
        assert!(change.would_be.iter().any(|id| id == "closed"));
    }
    assert_eq!(changed.changes.len(), records.iter().filter(|r| r.ask.act() == Act::Read).count());

    let back: Vec<_> = shipped_asks().iter().map(|ask| replay::Recorded::of(&new, ask, NOW)).collect();
    assert!(replay::replay(&back, old).changes.iter().any(|c| c.turn == replay::Turn::NowPermitted));
}

#[test]
fn every_code_is_named_once_and_used() {
    let codes: BTreeSet<&str> = tolds().iter().map(|t| t.code).collect();
    assert_eq!(codes.len(), tolds().len());
    let set = &*SHIPPED;
    let mut used: BTreeSet<&str> = set.rules().iter().map(|r| r.told.code).collect();
    used.extend(["TB-POL-0001", "TB-POL-0002", "TB-POL-0003", "TB-POL-0101"]); // said by the room, not by a rule
    assert_eq!(codes, used);
}

#[test]
fn the_folder_and_what_is_compiled_in_are_the_same() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    assert_eq!(PolicySet::load(&folder).unwrap().version(), SHIPPED.version());
    let mut compiled_in = embedded_cases();
    compiled_in.sort();
    assert_eq!(read_cases(&folder).unwrap(), compiled_in);
}

#[test]
fn case_files_with_mistakes_are_named_by_line() {
    let base = "[base.log]\nask = \"read_log\"\nlog = \"x\"\nplace = \"440305\"\nunmasked = false\n\
        who = { kind = \"Auditor\", id = \"u\", level_age_min = 0 }\n";
    let case = |tail: &str| format!("{base}\n[[case]]\nzh = \"甲\"\nen = \"A\"\n{tail}\n");
    for (name, text, line, what) in [
        ("no such base", case("like = \"lag\"\npermit = \"log-by-oversight\""), 8, "base.lag"),
        ("neither permit nor deny", case("like = \"log\""), 8, "either permit"),
        ("both", case("like = \"log\"\npermit = \"a\"\ndeny = \"b\""), 8, "either permit"),
        ("a word the request does not have", case("like = \"log\"\nset.colour = 1\ndeny = \"b\""), 8, "colour"),
        ("takes away what is not there", case("like = \"log\"\nwithout = [\"ground\"]\ndeny = \"b\""), 8, "ground"),
        ("not TOML", case("like = "), 11, ""),
    ] {
        let error = run_cases(&SHIPPED, &[("cases/x.toml".to_owned(), text)]).expect_err(name);
        let fault = &error.faults[0];
        assert!(fault.line == line && fault.what.contains(what), "{name}: {fault:?}");
    }
    let wrong = case("like = \"log\"\ndeny = \"log-by-oversight\"\nset.who.places = [\"440000\"]");
    let run = run_cases(&SHIPPED, &[("cases/x.toml".to_owned(), wrong)]).unwrap();
    assert!(!run.passed() && run.outcomes[0].got == "permit by log-by-oversight", "{:?}", run.outcomes);
}

#[test]
fn the_invariants_name_rules_that_are_there() {
    let page = include_str!("../../policies/README.md");
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
    let rows: Vec<_> = rows.iter().filter(|cells| cells.len() == 6 && cells[1].parse::<u8>().is_ok()).collect();
    assert_eq!(rows.len(), 10);
    for cells in rows {
        let named: Vec<&str> = cells[3].split('`').skip(1).step_by(2).collect();
        assert_eq!(named.is_empty(), cells[3].starts_with("none: "), "{cells:?}");
        for id in named {
            assert!(SHIPPED.rule(id).is_some(), "{id}");
        }
    }
}
