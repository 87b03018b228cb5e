//! Items: codes, levels, mistakes, search, guide and plan.

use super::super::comparator::{Element, differences};
use super::super::materials::{Availability, Circumstances, How};
use super::super::words::{Level, Mode, OwnerRule, Source};
use super::*;
use crate::terms::{ImplementationCode, Lang, OutletKind, Presence};

#[test]
fn all_seventy_items_read_and_fit_together() {
    let all = &catalogue().items;
    assert_eq!(all.len(), 70);
    assert_eq!(all.values().map(|i| i.materials.len()).sum::<usize>(), 220);
    for (code, item) in all {
        assert_eq!(*code, item.code);
        assert!(catalogue().licence_types.get(&item.result_licence).is_some(), "{code}");
        assert!(item.presence == Presence::None || item.outlet_kinds.is_empty(), "{code}");
    }
    let versions: std::collections::BTreeSet<_> = all.values().map(Item::version).collect();
    assert_eq!(versions.len(), 70);
}

#[test]
fn every_item_at_every_level_has_an_implementation_code() {
    let jiyuan = region("419001");
    for item in catalogue().items.values() {
        let authority = catalogue().authorities.of(item.code.department(), jiyuan).unwrap();
        for level in &item.levels {
            let code = ImplementationCode { authority: authority.code.clone(), level: level.digit(), item: item.code };
            assert_eq!(code.to_string().parse(), Ok(code));
        }
    }
    let digits: Vec<u8> = Level::ALL.iter().map(|level| level.digit()).collect();
    assert_eq!(digits, [2, 3, 4, 5, 6]);
}

#[test]
fn registers_are_complete() {
    let catalogue = catalogue();
    assert_eq!(catalogue.licence_types.iter().count(), 39);
    assert_eq!(catalogue.resources.iter().count(), 30);
    assert_eq!(catalogue.authorities.iter().count(), 161);
    let licence = catalogue.licence_types.by_type_code("11100000DT0000131P001").unwrap();
    assert_eq!((licence.id.as_str(), licence.name(Lang::En)), ("LT-BL", "Business licence"));
    // A national authority sets rules and takes no cases.
    assert!(catalogue.authorities.of(9, region("440305")).is_none());
}

/// A deployment's own register says more of a resource; what it leaves out follows class and sensitivity.
#[test]
fn a_register_tells_fields_freshness_and_consent() {
    const SHORT: &str = "id,name_zh,name_en,provider_sector,sharing_class,sensitivity";
    const LONG: &str = "id,name_zh,name_en,provider_sector,sharing_class,sensitivity,fields,fresh_s,stale_s,consent";
    let read = |header: &str, row: &str| {
        let text = format!("{header}\n{row}\n");
        Catalogue::read(&Files { data_resources: &text, items: "schema = 1\n", ..EMBEDDED })
    };
    for (header, row, want) in [
        (SHORT, "DR-A,甲,A,公安,conditional,1", (vec!["holds"], 3_600, 0, false)),
        (
            SHORT,
            "DR-HH,户籍,H,公安,conditional,3",
            (vec!["household_address", "household_no", "relation"], 300, 0, false),
        ),
        (SHORT, "DR-A,甲,A (yes/no only),公安,conditional,4", (vec![], 60, 0, true)),
        (SHORT, "DR-A,甲,A,公安,unconditional,2", (vec!["holds"], 900, 86_400, false)),
        (LONG, "DR-A,甲,A,公安,conditional,4,,,,", (vec!["holds"], 60, 0, true)),
        (LONG, "DR-A,甲,A,公安,conditional,4,a|b,7,8,no", (vec!["a", "b"], 7, 8, false)),
        (LONG, "DR-A,甲,A,公安,unconditional,1,yes_no,0,0,yes", (vec![], 0, 0, true)),
    ] {
        let catalogue = read(header, row).unwrap_or_else(|e| panic!("{row}: {e}"));
        let found = catalogue.resources.iter().next().unwrap();
        let fields: Vec<_> = found.fields.iter().map(String::as_str).collect();
        assert_eq!((fields, found.fresh_s, found.stale_s, found.needs_consent), want, "{row}");
        assert_eq!(found.answers_yes_no(), found.fields.is_empty());
    }
    for (row, column) in [
        ("DR-A,甲,A,公安,conditional,4,a||b,,,", "fields"),
        ("DR-A,甲,A,公安,conditional,4,a b,,,", "fields"),
        ("DR-A,甲,A,公安,conditional,4,,soon,,", "fresh_s"),
        ("DR-A,甲,A,公安,conditional,4,,,99999999,", "stale_s"),
        ("DR-A,甲,A,公安,conditional,4,,,,maybe", "consent"),
    ] {
        let told = read(LONG, row).map(drop).unwrap_err().to_string();
        assert!(told.contains("data-resources.csv:2: ") && told.contains(column), "{row}: {told}");
    }
}

/// One change to the first item, and the mistake it must bring.
#[test]
fn each_mistake_in_an_item_is_told() {
    for (from, to, field, wrong) in [
        ("owner_rule = \"household\"", "owner_rule = \"home\"", "item[1].owner_rule", "`home` is not valid"),
        ("code = \"002009901000\"", "code = \"00200990100\"", "item[1].code", "not valid"),
        ("code = \"002009901000\"", "code = \"000209901000\"", "item[1].task_type", "differs from digits 3"),
        ("dept_code = \"09\"", "dept_code = \"11\"", "item[1].dept_code", "differs from digits 5"),
        ("task_type = \"20\"", "task_type = \"02\"", "item[1].task_type", "not valid"), // a penalty is never applied for
        ("promised_days = 0", "promised_days = 3", "item[1].promised_days", "case kind"),
        ("presence = \"none\"", "presence = \"both\"", "item[1].outlet_kinds", "presence"),
        ("fee = false", "excluded = \" \"\nfee = false", "item[1].excluded", "is empty"),
        ("min_identity_level = 3", "min_identity_level = 5", "item[1].min_identity_level", "out of range"),
        ("fee = false", "max_identity_age_min = 0\nfee = false", "item[1].max_identity_age_min", "out of range"),
        ("fee = false", "max_identity_age_min = 721\nfee = false", "item[1].max_identity_age_min", "out of range"),
        ("ref = \"DR-HH\"", "ref = \"DR-HH\", fields = [\"income\"]", "item[1].material[2].fields", "not fields of"),
        ("ref = \"DR-HH\"", "ref = \"DR-HH\", fields = []", "item[1].material[2].fields", "not fields of"),
        ("ref = \"LT-ID\"", "ref = \"LT-ID\", fields = [\"status\"]", "item[1].material[1].fields", "not fields of"),
        ("ref = \"DR-HH\"", "ref = \"DR-HH\", purposes = [\"查户口\"]", "item[1].material[2].purposes", "that is none"),
        ("ref = \"DR-HH\"", "ref = \"DR-HH\", purposes = [\"\"]", "item[1].material[2].purposes", "that is none"),
        (
            "source = \"shared\", ref = \"DR-HH\"",
            "source = \"citizen\", purposes = [\"dispute\"]",
            "item[1].material[2].purposes",
            "nothing is looked up",
        ),
        ("basis = \"hukou\"", "basis = \"hukuo\"", "item[1].basis", "none of the file"),
        ("ref = \"DR-HH\"", "ref = \"DR-HH\", basis = \"law\"", "item[1].material[2].basis", "none of the file"),
        ("id = \"hukou\"", "id = \"consent\"", "basis[1].id", "no name"),
        ("id = \"hukou\"", "id = \"户口\"", "basis[1].id", "no name"),
        ("id = \"id-card\"", "id = \"hukou\"", "basis[2].id", "twice"),
        ("text = \"《居住证暂行条例》\"", &format!("text = \"{}\"", "法".repeat(121)), "basis[5].text", "no citation"),
        (
            "source = \"shared\", ref = \"DR-HH\"",
            "source = \"citizen\", basis = \"hukou\"",
            "item[1].material[2].basis",
            "nothing is looked up",
        ),
        ("fee = false", "fee = \"no\"", "item[1].fee", "kind string"),
        ("fee = false\n", "", "item[1].fee", "missing"),
        ("fee = false", "attributes = [\"name\"]\nfee = false", "item[1].attributes", "lacks `number`"),
        (
            "fee = false",
            "attributes = [\"number\", \"age\"]\nfee = false",
            "item[1].attributes[2]",
            "`age` is not valid",
        ),
        ("fee = false", "form = [\"use\", \"phone\"]\nfee = false", "item[1].form", "attribute of the person"),
        ("fee = false", "form = [\" use\"]\nfee = false", "item[1].form", "a name that is none"),
        ("fee = false", "fees = false", "item[1].`fees`", "not a known field"),
        ("result_licence = \"LT-HHC\"", "result_licence = \"LT-XXX\"", "item[1].result_licence", "not a licence type"),
        ("modes = [\"online\", \"proxy\"]", "modes = []", "item[1].modes", "is empty"),
        ("modes = [\"online\", \"proxy\"]", "modes = [\"online\", \"online\"]", "item[1].modes[2]", "twice"),
        ("ref = \"LT-ID\"", "ref = \"DR-HH\"", "item[1].material[1].ref", "not a licence type"),
        ("ref = \"DR-HH\"", "ref = \"DR-ARC\"", "item[1].material[2].ref", "not shared"),
        ("no = 2, name = \"户籍信息\"", "no = 1, name = \"户籍信息\"", "item[1].material[2].no", "twice"),
        (
            "source = \"licence\", ref = \"LT-ID\"",
            "source = \"citizen\"",
            "item[1].material[1].source",
            "electronic licence can be had",
        ),
        (
            "name = \"户籍信息\", source = \"shared\", ref = \"DR-HH\"",
            "name = \"人口基础信息\", source = \"citizen\"",
            "item[1].material[2].source",
            "sharing can give this",
        ),
        (
            "name = \"户籍信息\", source = \"shared\", ref = \"DR-HH\"",
            "name = \"其他相关材料\", source = \"citizen\"",
            "item[1].material[2].name",
            "anything at all",
        ),
    ] {
        let text = EMBEDDED.items.replacen(from, to, 1);
        assert_ne!(text, EMBEDDED.items, "{from}");
        let Err(CatalogueError::Faulty(mistakes)) = Catalogue::read(&Files { items: &text, ..EMBEDDED }) else {
            panic!("{to} was accepted");
        };
        let line = EMBEDDED.items[..EMBEDDED.items.find(from).unwrap()].matches('\n').count() + 1;
        let found = mistakes.list().iter().find(|m| m.field == field && m.wrong.contains(wrong));
        let found = found.unwrap_or_else(|| panic!("{to}: {mistakes}"));
        assert!(
            found.line == line || wrong == "missing" || field.ends_with("outlet_kinds") || field.ends_with("task_type")
        );
        assert!(found.line > 0 && !found.mend.is_empty());
    }
}

#[test]
fn mistakes_of_all_files_come_together() {
    let items = EMBEDDED.items.replacen("\"household\"", "\"home\"", 1).replacen("\"immediate\"", "\"quick\"", 1);
    let calendar = EMBEDDED.calendar.replacen("Thu", "Fri", 1);
    let Err(CatalogueError::Faulty(mistakes)) =
        Catalogue::read(&Files { items: &items, calendar: &calendar, ..EMBEDDED })
    else {
        panic!("accepted");
    };
    let files: Vec<&str> = mistakes.list().iter().map(|m| m.file.as_str()).collect();
    assert_eq!(files, ["calendar-2026-2027.csv", "items.toml", "items.toml"], "{mistakes}");
}

#[test]
fn a_folder_of_ones_own_replaces_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Catalogue::load(folder.path()), Err(CatalogueError::File { .. })));
    let text = EMBEDDED.items.replacen("Household status certificate", "Certificate of household", 1);
    std::fs::write(folder.path().join("items.toml"), text).unwrap();
    let own = Catalogue::load(folder.path()).unwrap();
    let code = "002009901000".parse().unwrap();
    assert_eq!(own.item(code).unwrap().name_en, "Certificate of household");
    assert_ne!(own.version(), catalogue().version());
    assert_ne!(own.item(code).unwrap().version(), item("002009901000").version());
    std::fs::write(folder.path().join("items.toml"), [0xff, 0xfe]).unwrap();
    assert!(matches!(Catalogue::load(folder.path()), Err(CatalogueError::File { .. })));
}

#[test]
fn people_find_items() {
    for (text, first) in [
        ("002009901000", "开具户籍类证明"),
        ("户籍类证明", "开具户籍类证明"),
        ("household status", "开具户籍类证明"),
        ("结婚", "结婚登记"),
        ("医保转移", "基本医疗保险关系转移接续"),
        ("住房公积金 退休", "正常退休提取住房公积金"),
        ("PENSION attestation", "领取养老金人员待遇资格认证"),
        ("排污", "排污许可"),
    ] {
        let hits = catalogue().search(text, &Filters::default(), 5);
        assert_eq!(hits.first().map(|hit| hit.item.name_zh.as_str()), Some(first), "{text}");
    }
    assert!(catalogue().search("火星移民", &Filters::default(), 5).is_empty());
    assert_eq!(catalogue().search("", &Filters::default(), 100).len(), 70);
    let bank = Filters { outlet: Some(OutletKind::Bank), mode: Some(Mode::Proxy), ..Filters::default() };
    let hits = catalogue().search("", &bank, 100);
    assert!(!hits.is_empty() && hits.iter().all(|h| h.item.outlet_kinds.contains(&OutletKind::Bank)));
}

#[test]
fn a_guide_reads_in_both_languages() {
    let facts = PlaceFacts::default().with(PlaceFact::Household, region("419001"));
    let item = item("002009901000");
    let owner = catalogue().resolve(item, &facts, region("440305"), None).unwrap().settled().unwrap();
    let zh = catalogue().guide(item, Some(&owner), Lang::Zh);
    let en = catalogue().guide(item, Some(&owner), Lang::En);
    assert_eq!(zh.version, en.version);
    assert_eq!(zh.implementation_code.as_deref(), Some("11419001DT000018264002009901000")); // the published vector
    assert_eq!(zh.authority.as_deref(), Some("济源市公安部门(演示)"));
    assert_eq!((zh.case_kind.name, en.case_kind.name), ("即办件", "immediate"));
    assert_eq!((zh.result.name.as_str(), en.result.name.as_str()), ("户籍类证明", "Household status certificate"));
    assert_eq!((zh.time_limit.as_str(), en.time_limit.as_str()), ("承诺当日办结", "promised the same day"));
    assert_eq!(en.materials[0].name, "Resident identity card");
    assert!(
        serde_json::to_string(&zh).unwrap().contains("\"owner_rule\":{\"word\":\"household\",\"name\":\"户籍地\"}")
    );
}

#[test]
fn the_plan_never_asks_for_what_sharing_or_licences_give() {
    let set_up = item("000131901000"); // enterprise registration
    let know = |list: &[(&str, Availability)]| Circumstances {
        sources: list.iter().map(|(id, a)| ((*id).to_owned(), *a)).collect(),
        ..Circumstances::default()
    };
    let household = item("002009901000");
    for (circumstances, want) in [
        (know(&[]), [How::Present, How::LookUp]),
        (know(&[("LT-ID", Availability::Absent)]), [How::BringOriginal, How::LookUp]),
        (know(&[("DR-HH", Availability::Down)]), [How::Present, How::Undertake]), // nobody is sent home
        (know(&[("DR-HH", Availability::Absent)]), [How::Present, How::Bring]),
        (
            Circumstances { consent_needed: vec!["DR-HH".to_owned()], ..Circumstances::default() },
            [How::Present, How::LookUpWithConsent],
        ),
    ] {
        let plan = catalogue().plan(household, &circumstances, Lang::Zh);
        assert_eq!(plan.iter().map(|p| p.how).collect::<Vec<_>>(), want, "{circumstances:?}");
    }
    for (by_agent, want) in [(false, How::NotNeeded), (true, How::Bring)] {
        let plan = catalogue().plan(set_up, &Circumstances { by_agent, ..Circumstances::default() }, Lang::En);
        let agent = set_up.materials.iter().position(|m| m.source == Source::Agent).unwrap();
        assert_eq!(plan[agent].how, want);
        let deferred: Vec<_> = plan.iter().filter(|p| p.how == How::Defer).map(|p| p.why.as_str()).collect();
        assert_eq!(deferred, ["may follow later, in time: within 10 working days of acceptance"]);
    }
    for item in catalogue().items.values() {
        for (planned, material) in
            catalogue().plan(item, &Circumstances::default(), Lang::Zh).iter().zip(&item.materials)
        {
            let obtainable = matches!(material.source, Source::Licence | Source::Shared);
            assert!(!(obtainable && planned.in_hand()), "{}: {}", item.name_zh, material.name);
        }
    }
}

#[test]
fn implementations_are_compared_element_by_element() {
    assert_eq!(Element::ALL.len(), 32);
    let item = item("002009901000");
    let owner = |place| {
        let facts = PlaceFacts::default().with(PlaceFact::Household, region(place));
        catalogue().resolve(item, &facts, region("440305"), None).unwrap().settled().unwrap()
    };
    let left = catalogue().implementation(item, &owner("419001"));
    let mut right = catalogue().implementation(item, &owner("370304"));
    assert_eq!(differences(&left, &right), []); // only the authority differs, as it may
    right.insert(Element::PromisedDays, "3".to_owned());
    right.remove(&Element::FeeFlag);
    right.insert(Element::Flow, "申请—受理—审查—决定".to_owned());
    let found: Vec<Element> = differences(&left, &right).iter().map(|d| d.element).collect();
    assert_eq!(found, [Element::PromisedDays, Element::Flow, Element::FeeFlag]);
}

#[test]
fn lookups_need_the_item_to_name_the_resource() {
    assert!(item("002009901000").may_look_up("DR-HH"));
    assert!(!item("002009901000").may_look_up("DR-CRI"));
    assert!(item("002009901000").may_look_up("LT-ID"), "the status of the licence it asks for");
    assert!(!item("002009901000").may_look_up("LT-DL"));
    assert_eq!(OwnerRule::ALL.len(), 9);
}

/// Each item of the shipped catalogue rests on something, and so do its lookups; an entry for the data says what, where that is
/// something else.
#[test]
fn items_and_lookups_rest_on_something() {
    let catalogue = Catalogue::embedded().unwrap();
    for item in catalogue.items.values() {
        let basis = item.basis.as_ref().unwrap_or_else(|| panic!("{}", item.code));
        assert_eq!(catalogue.bases.get(&basis.id), Some(basis));
        for resource in item.materials.iter().filter_map(|material| material.reference.as_deref()) {
            assert_eq!(item.basis_of(resource, "case"), Some(basis), "{} {resource}", item.code);
        }
    }
    let plain = item("002009901000");
    assert_eq!(plain.basis_of("DR-CRI", "case"), None, "what it does not list rests on nothing");
    let text = EMBEDDED.items.replacen("ref = \"DR-HH\"", "ref = \"DR-HH\", basis = \"id-card\"", 1);
    let text = text.replacen("basis = \"hukou\"\n", "", 1);
    let read = Catalogue::read(&Files { items: &text, ..EMBEDDED }).unwrap();
    let own = read.item("002009901000".parse().unwrap()).unwrap();
    let of = |resource| own.basis_of(resource, "case").map(|basis| basis.id.as_str());
    assert_eq!((&own.basis, of("DR-HH"), of("LT-ID")), (&None, Some("id-card"), None));
    assert_eq!(own.basis_of("DR-HH", "dispute"), None, "what is stated is stated for the purpose of its entry");
    assert_ne!(own.version(), plain.version());
}

/// What an entry says of a resource: for what, and which fields. An entry that says nothing is what it always was.
#[test]
fn an_item_says_for_what_and_which_fields() {
    let all = vec!["household_address", "household_no", "relation"];
    let plain = item("002009901000").version();
    for (entry, dispute, fields, same) in [
        ("", false, all.clone(), true),
        (", purposes = [\"case\"]", false, all.clone(), true),
        (", purposes = [\"dispute\"]", true, all, false),
        (", fields = [\"relation\", \"household_no\"]", false, vec!["household_no", "relation"], false),
    ] {
        let text = EMBEDDED.items.replacen("ref = \"DR-HH\"", &format!("ref = \"DR-HH\"{entry}"), 1);
        let read = Catalogue::read(&Files { items: &text, ..EMBEDDED }).unwrap_or_else(|e| panic!("{entry}: {e}"));
        let item = read.item("002009901000".parse().unwrap()).unwrap();
        let may = |purpose| item.may_look_up_for("DR-HH", purpose);
        assert_eq!((may("case"), may("dispute"), may("")), (true, dispute, false), "{entry}");
        assert!(!item.may_look_up_for("DR-POP", "case") && item.may_look_up_for("LT-ID", "case"), "{entry}");
        let register = read.resources.get("DR-HH").unwrap();
        assert_eq!(item.fields_of(register).iter().collect::<Vec<_>>(), fields, "{entry}");
        assert_eq!(
            item.version() == plain,
            same,
            "{entry}: another entry is another version, and the same is the same"
        );
    }
    let text = EMBEDDED.items.replacen("fee = false", "max_identity_age_min = 5\nfee = false", 1);
    let read = Catalogue::read(&Files { items: &text, ..EMBEDDED }).unwrap();
    let item = read.item("002009901000".parse().unwrap()).unwrap();
    assert_eq!((item.max_identity_age_min, item.version() == plain), (5, false));
}

#[test]
fn codes_are_distinct_and_answers_complete() {
    let mut codes: Vec<&str> = tolds().iter().map(|told| told.code).collect();
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!((codes.len(), count), (count, 11));
    assert!(tolds().iter().all(|told| told.code.starts_with("TB-CAT-") && !told.zh.is_empty() && !told.en.is_empty()));
}

#[test]
fn outlets_may_take_what_the_item_says() {
    for (code, kind, want) in [
        ("002009901000", OutletKind::Bank, true),
        ("002009901000", OutletKind::Shop, false),
        ("000711901000", OutletKind::Bank, false), // marriage: both must be present
        ("002017901000", OutletKind::Post, false), // housing fund: banks only
    ] {
        assert_eq!(item(code).open_to(kind), want, "{code} {kind}");
    }
}

proptest::proptest! {
    #[test]
    fn no_search_panics(text in "\\PC{0,80}", limit in 0usize..100) {
        let hits = catalogue().search(&text, &Filters::default(), limit);
        proptest::prop_assert!(hits.len() <= limit);
        proptest::prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }

    #[test]
    fn no_text_panics_as_a_catalogue(text in "\\PC{0,60}", cut in 0usize..3_000) {
        let mut at = cut;
        while !EMBEDDED.items.is_char_boundary(at) {
            at -= 1;
        }
        let items = format!("{}{text}{}", &EMBEDDED.items[..at], &EMBEDDED.items[at..]);
        let _ = super::super::items::read(&items, &catalogue().licence_types, &catalogue().resources);
    }
}
