//! Whose case is it: nine rules, seventy items, and divisions of every shape.

use super::super::owner::PlaceFact;
use super::super::words::{Level, Mode, OwnerRule, Scope};
use super::*;

const WINDOW: &str = "440305";

fn with(fact: PlaceFact, places: &[&str]) -> PlaceFacts {
    places.iter().fold(PlaceFacts::default(), |facts, place| facts.with(fact, region(place)))
}

fn resolve(code: &str, facts: &PlaceFacts) -> Result<Owner, CatalogueError> {
    catalogue().resolve(item(code), facts, region(WINDOW), None)
}

#[test]
fn each_of_the_nine_rules_asks_for_its_own_fact() {
    for (code, fact, place, owner, office) in [
        ("002009901000", PlaceFact::Household, "419001", "419001000000", "济源市公安部门(演示)"),
        ("002014901000", PlaceFact::Residence, "510114", "510114000000", "新都区人社部门(演示)"),
        ("001009901000", PlaceFact::Destination, "370304", "370304000000", "博山区公安部门(演示)"),
        ("002036904000", PlaceFact::InsuredAt, "152921", "152921000000", "阿拉善左旗医保部门(演示)"),
        ("002017901000", PlaceFact::FundAt, "370304", "370300000000", "淄博市住建部门(演示)"),
        ("000715901000", PlaceFact::PropertyAt, "410772", "410772000000", "新乡市自然资源部门(演示)"),
        ("000131901000", PlaceFact::RegisteredAt, "510114", "510114000000", "新都区市场监管部门(演示)"),
        ("001009910000", PlaceFact::Issuer, "510114", "510100000000", "成都市公安部门(演示)"),
        ("002012901000", PlaceFact::Window, WINDOW, "440305000000", "深圳市南山区司法部门"),
    ] {
        let facts = if fact == PlaceFact::Window { PlaceFacts::default() } else { with(fact, &[place]) };
        let owner_of = resolve(code, &facts).unwrap().settled().unwrap();
        assert_eq!((owner_of.region.to_string().as_str(), owner_of.office.name.as_str()), (owner, office), "{code}");
        assert_eq!(owner_of.because, Because::Fact(fact), "{code}");
        if fact != PlaceFact::Window {
            let nothing = resolve(code, &PlaceFacts::default()).unwrap();
            assert_eq!(nothing, Owner::Missing { item: item(code).code, fact, coarse: None }, "{code}");
            // Any other fact is no answer: nobody guesses.
            let other = if fact == PlaceFact::Household { PlaceFact::Residence } else { PlaceFact::Household };
            assert!(matches!(resolve(code, &with(other, &[place])).unwrap(), Owner::Missing { .. }), "{code}");
        }
    }
    let rules: std::collections::BTreeSet<OwnerRule> = catalogue().items.values().map(|i| i.owner_rule).collect();
    assert_eq!(rules.len(), OwnerRule::ALL.len());
}

#[test]
fn all_items_have_an_owner_in_divisions_of_every_shape() {
    for place in [
        "440305",       // a district of a city; the register has no authority there
        "419001",       // a county-level city directly under its province
        "152921102000", // a town of a banner
        "152921102201", // a village
        "370304",
        "410772",       // a functional zone, outside GB/T 2260
        "110105",       // a district of a municipality
        "500101",       // a district of Chongqing
        "441900",       // Dongguan: no counties
        "441900003000", // a town of Dongguan, directly under the prefecture
        "460400",       // Danzhou
        "620200",       // Jiayuguan
        "469001",       // a county of Hainan directly under the province
        "659001",       // Shihezi
        "540102",
        "510114",
    ] {
        for item in catalogue().items.values() {
            let facts =
                item.owner_rule.facts().iter().fold(PlaceFacts::default(), |f, fact| f.with(*fact, region(place)));
            let owner = catalogue().resolve(item, &facts, region(place), None).and_then(Owner::settled);
            let owner = owner.unwrap_or_else(|e| panic!("{place} {}: {e}", item.name_zh));
            assert!(region(place).lies_in(owner.region), "{place} {}: {}", item.name_zh, owner.region);
            assert!(owner.office.name.contains(&item.sector), "{place}: {}", owner.office.name);
            assert!(catalogue().check_scope(item, region(place), owner.region).is_ok(), "{place} {}", item.name_zh);
        }
    }
}

#[test]
fn all_items_have_an_owner_in_every_county_and_functional_zone() {
    let mut resolved = 0;
    for place in catalogue().divisions.iter().filter(|p| matches!(p.level, PlaceLevel::County | PlaceLevel::Functional))
    {
        let outside = matches!(place.code.division().number() / 10_000, 71 | 81 | 82);
        for item in catalogue().items.values() {
            let facts = item.owner_rule.facts().iter().fold(PlaceFacts::default(), |f, fact| f.with(*fact, place.code));
            match catalogue().resolve(item, &facts, place.code, None) {
                Ok(Owner::Known(owner)) if !outside => {
                    assert!(place.code.lies_in(owner.region), "{} {}", place.code, item.name_zh);
                    resolved += 1;
                }
                Err(CatalogueError::NobodyOwns { .. }) if outside => {}
                other => panic!("{} {}: {other:?}", place.code, item.name_zh),
            }
        }
    }
    assert_eq!(resolved, 70 * (2875 + 125 - 26)); // 18 districts of Hong Kong and 8 of Macau are outside
}

#[test]
fn items_are_offered_in_their_modes_only() {
    let online_only = item("002017901000"); // housing fund balance
    assert!(catalogue().check_mode(online_only, Mode::Online).is_ok());
    let no = catalogue().check_mode(online_only, Mode::Proxy).unwrap_err();
    assert_eq!(crate::terms::Explain::told(&no).code, "TB-CAT-0302");
}

#[test]
fn powers_move_where_divisions_are_irregular() {
    for (levels, place, want) in [
        ("prefecture", "370304", Ok(("370300000000", Level::Prefecture))),
        ("prefecture", "419001", Ok(("419001000000", Level::Prefecture))), // exercises both
        ("prefecture", "110105", Ok(("110000000000", Level::Prefecture))), // the municipality itself
        ("county", "441900", Ok(("441900000000", Level::County))),
        ("town village", "441900", Ok(("441900000000", Level::County))),
        ("county town", "152921102201", Ok(("152921102000", Level::Town))),
        ("town village", "152921102201", Ok(("152921102201", Level::Village))),
        ("town village", "152921", Ok(("152921000000", Level::County))), // the county hands it down
        ("county", "410772", Ok(("410772000000", Level::County))),
        ("county", "370300", Err("coarse")), // eight counties: which?
        ("county", "370000", Err("coarse")),
        ("prefecture", "370000", Err("coarse")),
        ("county", "110000", Err("coarse")),
        ("province prefecture", "370000", Ok(("370000000000", Level::Province))),
        ("county", "810001", Err("TB-CAT-0201")), // Hong Kong
        ("province", "710000", Err("TB-CAT-0201")),
        ("county", "160101", Err("TB-CAT-0102")),
    ] {
        let mut test_item = item("002009901000").clone();
        test_item.levels = levels.split(' ').map(|level| level.parse().unwrap()).collect();
        let facts = with(PlaceFact::Household, &[place]);
        let got = match catalogue().resolve(&test_item, &facts, region(WINDOW), None) {
            Ok(Owner::Known(owner)) => Ok((owner.region.to_string(), owner.level)),
            Ok(Owner::Missing { coarse: Some(_), .. }) => Err("coarse"),
            Ok(other) => panic!("{other:?}"),
            Err(e) => Err(crate::terms::Explain::told(&e).code),
        };
        let want = want.map(|(code, level)| (code.to_owned(), level));
        assert_eq!(got, want, "{levels} at {place}");
    }
}

#[test]
fn the_clerk_chooses_only_where_answers_are_open() {
    let code = "002009901000";
    let two = with(PlaceFact::Household, &["419001", "370304"]);
    let one = with(PlaceFact::Household, &["419001"]);
    let none = PlaceFacts::default();
    let coarse = with(PlaceFact::Household, &["370000"]);
    for (facts, choice, reason, want) in [
        (&two, "370304", "持有博山区户口簿原件", Ok("chosen 370304000000")),
        (&two, "440305", "方便", Err("TB-CAT-0204")),
        (&two, "370304", " ", Err("TB-CAT-0205")),
        (&one, "419001", "同意", Ok("fact 419001000000")),
        (&one, "440305", "申请人要求", Err("TB-CAT-0204")), // the one known answer is never overruled
        (&none, "419001", "户籍数据源不可用，申请人陈述", Ok("declared 419001000000")),
        (&none, "810001", "申请人陈述", Err("TB-CAT-0201")),
        (&coarse, "370304", "申请人陈述", Ok("chosen 370304000000")),
        (&coarse, "419001", "申请人陈述", Err("TB-CAT-0204")), // outside the province that is known
    ] {
        let choice = Choice { region: region(choice), reason };
        let got = match catalogue().resolve(item(code), facts, region(WINDOW), Some(choice)) {
            Ok(Owner::Known(Ownership { region, because, .. })) => Ok(match because {
                Because::Fact(_) => format!("fact {region}"),
                Because::Chosen { .. } => format!("chosen {region}"),
                Because::Declared { .. } => format!("declared {region}"),
            }),
            Ok(other) => panic!("{other:?}"),
            Err(e) => Err(crate::terms::Explain::told(&e).code),
        };
        assert_eq!(got, want.map(str::to_owned), "{choice:?}");
    }
    let asked = resolve(code, &two).unwrap();
    assert!(matches!(&asked, Owner::Ask { candidates, .. } if candidates.len() == 2));
    assert!(matches!(asked.settled(), Err(CatalogueError::OwnerAmbiguous { count: 2, .. })));
    // Two villages of one banner have one owner for a county's power.
    let villages = with(PlaceFact::Household, &["152921102201", "152921102000"]);
    assert!(matches!(resolve(code, &villages).unwrap(), Owner::Known(_)));
}

#[test]
fn any_authority_is_the_nearest_unless_the_person_wants_another() {
    let code = "002012901000"; // notarised diploma
    let facts = with(PlaceFact::Household, &["419001"]);
    assert!(matches!(resolve(code, &facts).unwrap(), Owner::Ask { candidates, .. } if candidates.len() == 2));
    let choice = Choice { region: region("510114"), reason: "学校所在地" };
    let owner = catalogue().resolve(item(code), &facts, region(WINDOW), Some(choice)).unwrap().settled().unwrap();
    assert_eq!(owner.region, region("510114"));
}

#[test]
fn scopes_between_window_and_owner() {
    for (window, owner, want) in [
        ("152921102000", "152921101000", Scope::Town),
        ("440305", "440305", Scope::Town),
        ("441900003000", "441900004000", Scope::Town), // towns of Dongguan
        ("370304", "370300", Scope::City),             // the city's own office
        ("370304", "370303", Scope::City),
        ("110101", "110105", Scope::City),
        ("110101", "110000", Scope::City),
        ("500101", "500229", Scope::City), // Chongqing has two groups of counties
        ("419001", "410702", Scope::Province),
        ("429004", "429005", Scope::Province), // two cities directly under Hubei are no one city
        ("440305", "440000", Scope::Province),
        ("440305", "419001", Scope::Nation),
    ] {
        assert_eq!(catalogue().scope_between(region(window), region(owner)), want, "{window} → {owner}");
    }
}

#[test]
fn items_go_as_far_as_their_scopes() {
    for (code, window, owner, allowed) in [
        ("000131904000", "370303", "370304", true), // food licence: city only
        ("000131904000", "370303", "370102", false),
        ("001009901000", "440305", "419001", true), // nationwide
        ("001009901000", "370303", "370304", true), // so nearer too
        ("000536901000", "370303", "370102", true), // up to the province
        ("000536901000", "440305", "419001", false),
    ] {
        let got = catalogue().check_scope(item(code), region(window), region(owner));
        assert_eq!(got.is_ok(), allowed, "{code} {window} → {owner}: {got:?}");
    }
}
