//! Divisions: names, parents, prefixes, codes of the past.

use super::*;

#[test]
fn every_division_is_there_and_lies_in_its_parent() {
    let all = &catalogue().divisions;
    let count = |level| all.iter().filter(|place| place.level == level).count();
    let counts = [PlaceLevel::Province, PlaceLevel::Prefecture, PlaceLevel::County, PlaceLevel::Functional].map(count);
    assert_eq!(counts, [34, 333, 2875, 125]);
    assert_eq!((count(PlaceLevel::Town), count(PlaceLevel::Village)), (55, 1226));
    assert_eq!(all.len(), 3367 + 55 + 1226);
    for place in all.iter() {
        let chain: Vec<_> = all.chain(place.code).collect();
        assert_eq!(chain.first(), Some(&place));
        assert_eq!(chain.last().map(|top| top.level), Some(PlaceLevel::Province), "{}", place.code);
    }
}

#[test]
fn places_have_names_from_the_province_down() {
    for (code, want) in [
        ("440305", "广东省/深圳市/南山区"),
        ("440305007003", "广东省/深圳市/南山区"), // a town nobody listed: the longest known prefix
        ("419001", "河南省/济源市"),
        ("110105", "北京市/朝阳区"),
        ("441900003000", "广东省/东莞市"),
        ("410772", "河南省/新乡市/新乡经济技术开发区"),
        ("152921102000", "内蒙古自治区/阿拉善盟/阿拉善左旗/温都尔勒图镇"),
        ("510000", "四川省"),
        ("160000", ""),
    ] {
        let got = catalogue().divisions.name_chain(region(code));
        assert_eq!(got, want, "{code}");
    }
}

#[test]
fn chains_of_names_find_places() {
    for (chain, want) in [
        ("广东省/深圳市/南山区", vec!["440305000000"]),
        ("广东省/南山区", vec!["440305000000"]),
        ("南山区", vec!["230404000000", "440305000000"]), // Hegang has one too
        ("河南省/济源市", vec!["419001000000"]),
        ("深圳市/广东省", vec![]),
        ("广东省//南山区/", vec!["440305000000"]),
        ("", vec![]),
        ("/", vec![]),
    ] {
        let got: Vec<String> = catalogue().divisions.find_chain(chain).iter().map(|p| p.code.to_string()).collect();
        assert_eq!(got, want, "{chain}");
    }
}

#[test]
fn old_codes_warn_and_never_refuse() {
    let all = &catalogue().divisions;
    let what = |code| match all.birth_place(code) {
        BirthPlace::Current(place) => format!("now {}", place.name),
        BirthPlace::Former(former) => format!("once {} until {}", former.name, former.last_seen),
        BirthPlace::Unknown => "unknown".to_owned(),
    };
    for (code, want) in [
        ("110105", "now 朝阳区"),
        ("110103", "once 崇文区 until 200912"),
        ("990101", "unknown"), // the demonstration persons'
        ("１１０１０５", "unknown"),
        ("", "unknown"),
    ] {
        assert_eq!(what(code), want, "{code}");
    }
}

#[test]
fn prefectures_without_counties() {
    let all = &catalogue().divisions;
    let found: Vec<&str> = all.iter().filter(|p| all.is_without_counties(p.code)).map(|p| p.name.as_str()).collect();
    for name in ["东莞市", "中山市", "儋州市", "嘉峪关市"] {
        assert!(found.contains(&name), "{name} in {found:?}");
    }
    assert!(!found.contains(&"深圳市"));
}

#[test]
fn a_directory_that_contradicts_itself_is_refused() {
    let head = "code,name,level,parent\n";
    for (rows, line, wrong) in [
        ("440000,广东省,province,\n440305,南山区,county,440300\n", 3, "not a known place around it"),
        ("440000,广东省,county,\n", 2, "does not fit the digits"),
        ("440000,广东省,province,\n440000,广东,province,\n", 3, "there twice"),
        ("440000,,province,\n", 2, "is empty"),
        ("44000,广东省,province,\n", 2, "not valid"),
        ("440000,广东省,province\n", 2, "has 3 fields"),
        ("440000,广东省,state,\n", 2, "not valid"),
    ] {
        let mut mistakes = Mistakes::default();
        Divisions::read(
            &format!("{head}{rows}"),
            "code,name,last_seen\n",
            "code12,name,level,parent12\n",
            &mut mistakes,
        );
        let found = mistakes.list().iter().any(|m| m.line == line && m.wrong.contains(wrong));
        assert!(found, "{rows}: {mistakes}");
    }
}
