//! What an applicant is asked to bring, as the rules see it: what a licence or sharing gives is never demanded, nor what was
//! handed in before, nor what the guide does not list.
//!
//! ```text
//!  supplement notice ─▶ each material by its number in the guide, what is wrong with it, on paper or not ─┐
//!  filing at a counter ─▶ a file for what sharing was able to give ───────────────────────────────────────┴─▶ rules
//! ```

use crate::catalogue::Catalogue;
use crate::catalogue::items::{Item, Material as Listed};
use crate::catalogue::words::{SharingClass, Source as From};
use crate::exchange::Act;
use crate::exchange::message::{Demanded, Dossier};
use crate::policy::{Demand, Source};
use crate::terms::refusal::tolds;
use crate::terms::{Next, Refusal};

tolds! {
    /// A supplement notice that does not say what is asked for; or another act that asks for something.
    pub const WHAT_IS_MISSING = "TB-GW-0304", 422,
        "补正通知须逐项列明要补正的材料（办事指南中的编号、存在的问题），其他操作不得要求材料，请更正后重试。",
        "A supplement notice lists each material by its number in the guide and what is wrong with it; no other act asks for any.",
        Next::CorrectAndResend;
}

/// Materials that one notice may name.
const MOST: usize = 64;
/// Longest word about what is wrong with one, in characters.
const WRONG_MAX: usize = 200;

/// Whether an act names materials as it should: a supplement notice all that are missing or wrong, each once; another none.
///
/// # Errors
/// `TB-GW-0304`.
pub fn named(act: Act, asked: &[Demanded]) -> Result<(), Refusal> {
    let wrong = |why: &str| Err(Refusal::new(&WHAT_IS_MISSING, why));
    let asks = act == Act::RequestSupplement;
    if asks == asked.is_empty() {
        return wrong(if asks { "materials: none is named" } else { "materials: only a supplement notice names any" });
    }
    if asked.len() > MOST || asked.iter().enumerate().any(|(n, one)| asked[..n].iter().any(|other| other.no == one.no))
    {
        return wrong("materials: one is named twice, or there are too many");
    }
    let plain = |text: &String| text.chars().count() <= WRONG_MAX && !text.chars().any(char::is_control);
    match asked.iter().filter_map(|one| one.wrong.as_ref()).all(plain) {
        true => Ok(()),
        false => wrong("materials: what is wrong is said in at most 200 characters on one line"),
    }
}

/// Where a material of the guide can be had without the applicant.
fn source(catalogue: &Catalogue, listed: &Listed) -> Source {
    let denied = |id: &String| catalogue.resources.get(id).is_some_and(|data| data.class == SharingClass::Denied);
    match listed.source {
        From::Shared if !listed.reference.as_ref().is_some_and(denied) => Source::Shared,
        From::Licence => Source::Licence,
        _ => Source::Citizen,
    }
}

fn name(listed: Option<&Listed>, no: u32) -> String {
    let known = listed.map(|listed| listed.reference.clone().unwrap_or_else(|| listed.name.clone()));
    known.unwrap_or_else(|| format!("material {no}"))
}

/// What a notice demands. A licence may be asked for as long as its electronic form will do; what sharing has nothing of,
/// only the applicant has.
pub fn of_notice(catalogue: &Catalogue, item: Option<&Item>, dossier: &Dossier, asked: &[Demanded]) -> Vec<Demand> {
    let demand = |one: &Demanded| {
        let listed = item.and_then(|item| item.materials.iter().find(|m| u32::from(m.no) == one.no));
        let had = dossier.materials.iter().find(|m| m.no == one.no);
        let file = had.filter(|had| had.file.is_some());
        let verdict = had.and_then(|had| had.verdict.as_deref());
        let source = match listed.map_or(Source::Citizen, |listed| source(catalogue, listed)) {
            Source::Shared if matches!(verdict, Some("NOT_FOUND" | "NO_SOURCE")) => Source::Citizen,
            Source::Licence if !one.paper => Source::Citizen,
            Source::Citizen if one.paper && file.is_some() && verdict == Some("TOTAL-PASSED") => Source::Sealed,
            other => other,
        };
        // What was unreadable or wrong was as good as not handed in.
        let again = file.is_some() && one.wrong.as_deref().is_none_or(|wrong| wrong.trim().is_empty());
        Demand { material: name(listed, one.no), source, in_guide: listed.is_some(), again }
    };
    asked.iter().map(demand).collect()
}

/// What a counter took from the applicant though sharing was to give it.
pub fn shareable(catalogue: &Catalogue, listed: &Listed) -> Option<Demand> {
    let source = source(catalogue, listed);
    let material = name(Some(listed), listed.no.into());
    (source == Source::Shared).then_some(Demand { material, source, in_guide: true, again: false })
}

/// The words of a notice: each material and what is wrong with it, then what the authority says besides.
pub fn words(item: Option<&Item>, asked: &[Demanded], note: Option<&str>) -> Option<String> {
    let line = |one: &Demanded| {
        let listed = item.and_then(|item| item.materials.iter().find(|m| u32::from(m.no) == one.no));
        let name = listed.map_or("", |listed| listed.name.as_str());
        let wrong = one.wrong.as_deref().map(str::trim).filter(|wrong| !wrong.is_empty()).unwrap_or("未提交");
        format!("{}. {name}：{wrong}", one.no)
    };
    let lines = asked.iter().map(line).chain(note.map(str::to_owned)).collect::<Vec<_>>().join("；");
    (!lines.is_empty()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dossier(materials: &serde_json::Value) -> Dossier {
        let item = "002009901000";
        let file = json!({"path": "m", "media": "m", "size": 1, "digest": "0".repeat(64)});
        let materials: Vec<_> = materials
            .as_array()
            .unwrap()
            .iter()
            .map(|m| {
                json!({"no": m[0], "name": "n", "source": "s", "file": m[1].as_bool().unwrap().then_some(&file), "verdict": m[2]})
            })
            .collect();
        serde_json::from_value(json!({
            "item": item, "item_name": "n", "guide": "0".repeat(64), "mode": "proxy", "scope": "nation",
            "window": "440305", "collector": {"kind": "window", "id": "W", "name": "n", "clerk": "c"}, "owner": "419001",
            "authority": "a", "authority_name": "n",
            "applicant": {"code_type": "111", "code": "990101199202290010", "level": 3, "level_at": 1},
            "received_at": 1, "materials": materials,
        }))
        .unwrap()
    }

    #[test]
    fn what_may_be_asked_for_and_what_may_not() {
        let catalogue = Catalogue::embedded().unwrap();
        let item = catalogue.items.get(&"002009901000".parse().unwrap());
        // Of the household certificate: 1 is a licence, 2 comes from sharing; there is no 3.
        let ask = |no, wrong: Option<&str>, paper| Demanded { no, wrong: wrong.map(str::to_owned), paper };
        for (what, had, asked, source, in_guide, again) in [
            (
                "the licence, electronically",
                json!([[1, false, null]]),
                ask(1, None, false),
                Source::Citizen,
                true,
                false,
            ),
            ("the licence on paper", json!([[1, false, null]]), ask(1, None, true), Source::Licence, true, false),
            ("again", json!([[1, true, "TOTAL-PASSED"]]), ask(1, None, false), Source::Citizen, true, true),
            (
                "again, for nothing",
                json!([[1, true, "TOTAL-PASSED"]]),
                ask(1, Some(" "), false),
                Source::Citizen,
                true,
                true,
            ),
            (
                "one that was unreadable",
                json!([[1, true, null]]),
                ask(1, Some("不清晰"), false),
                Source::Citizen,
                true,
                false,
            ),
            ("what sharing gives", json!([[2, false, null]]), ask(2, None, false), Source::Shared, true, false),
            (
                "while its source is down",
                json!([[2, false, "SOURCE_DOWN"]]),
                ask(2, None, false),
                Source::Shared,
                true,
                false,
            ),
            (
                "what sharing has nothing of",
                json!([[2, false, "NOT_FOUND"]]),
                ask(2, None, false),
                Source::Citizen,
                true,
                false,
            ),
            ("something else", json!([]), ask(3, Some("要"), false), Source::Citizen, false, false),
        ] {
            let got = of_notice(&catalogue, item, &dossier(&had), std::slice::from_ref(&asked));
            assert_eq!((got[0].source, got[0].in_guide, got[0].again), (source, in_guide, again), "{what}");
        }
        let two = [ask(1, Some("第2页不清晰"), false), ask(2, None, false)];
        let words = words(item, &two, Some("请于5日内补正"));
        assert_eq!(words.as_deref(), Some("1. 居民身份证：第2页不清晰；2. 户籍信息：未提交；请于5日内补正"));
        for (what, act, asked, good) in [
            ("a notice", Act::RequestSupplement, two.to_vec(), true),
            ("a notice of nothing", Act::RequestSupplement, vec![], false),
            ("one twice", Act::RequestSupplement, vec![two[0].clone(), two[0].clone()], false),
            ("two lines", Act::RequestSupplement, vec![ask(1, Some("a\nb"), false)], false),
            ("at length", Act::RequestSupplement, vec![ask(1, Some(&"长".repeat(201)), false)], false),
            ("another act", Act::Accept, vec![], true),
            ("another act that asks", Act::Accept, two.to_vec(), false),
        ] {
            assert_eq!(named(act, &asked).is_ok(), good, "{what}");
        }
    }
}
