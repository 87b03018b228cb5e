//! Which items a window takes, on which days (进驻) and at what hours: a department moves an item into a hall from one day on, and out of it.

use crate::partners::Hours;
use crate::terms::refusal::tolds;
use crate::terms::{Day, ItemCode, Next, Refusal, UnixMillis};

tolds! {
    /// The item is not stationed at the window, or not on this day.
    pub const NOT_STATIONED = "TB-GW-0303", 403,
        "该事项未进驻本窗口，或不在进驻期内，请到其他窗口办理。",
        "This window does not take this item, or not on this day: go to another window.",
        Next::GoToWindow;
    /// The window takes no filings at this time.
    pub const CLOSED = "TB-GW-0305", 403,
        "现在不在本窗口的服务时间内，请在服务时间来办理，或在网上申请。",
        "This window is closed now: come in its hours, or file online.",
        Next::TryLater;
}

/// An item at a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stationed {
    pub item: ItemCode,
    /// First day; from ever when absent.
    pub from: Option<Day>,
    /// Last day, to its end; for ever when absent.
    pub to: Option<Day>,
}

impl Stationed {
    fn is_there(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }
}

/// Asks a window's list about an item; a window without a list takes every item whose scope reaches it.
///
/// # Errors
/// `TB-GW-0303`; `days` names the periods of an item that is listed for other days.
pub fn ask(list: Option<&[Stationed]>, item: ItemCode, now: UnixMillis) -> Result<(), Refusal> {
    let Some(list) = list else { return Ok(()) };
    let of_item: Vec<_> = list.iter().filter(|one| one.item == item).collect();
    if of_item.iter().any(|one| one.is_there(now.day())) {
        return Ok(());
    }
    let refusal = Refusal::new(&NOT_STATIONED, format!("{item} is not at this window today"));
    let day = |day: Option<Day>| day.map_or_else(|| "..".to_owned(), |day| day.to_string());
    let days: Vec<_> = of_item.iter().map(|one| format!("{}/{}", day(one.from), day(one.to))).collect();
    Err(if days.is_empty() { refusal } else { refusal.with("days", days) })
}

/// Asks whether a window is open; one without hours is.
///
/// # Errors
/// `TB-GW-0305`.
pub fn open(hours: Option<&Hours>, now: UnixMillis) -> Result<(), Refusal> {
    match hours.is_none_or(|hours| hours.is_open(now)) {
        true => Ok(()),
        false => Err(Refusal::new(&CLOSED, "outside the window's hours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_at_a_window_from_day_to_day() {
        let day = |text: &str| Some(text.parse::<Day>().unwrap());
        let (household, social) = ("002009901000".parse().unwrap(), "002014901000".parse().unwrap());
        let list = [
            Stationed { item: household, from: day("2026-03-01"), to: day("2026-06-30") },
            Stationed { item: household, from: day("2026-09-01"), to: None }, // and back again
            Stationed { item: social, from: None, to: None },
        ];
        for (list, item, at, want) in [
            (None, household, "2026-01-01T00:00:00", Ok(())),
            (Some(&list[..]), household, "2026-02-28T23:59:59.999", Err(true)), // not yet
            (Some(&list), household, "2026-03-01T00:00:00", Ok(())),
            (Some(&list), household, "2026-06-30T23:59:59.999", Ok(())), // the last day, to its end
            (Some(&list), household, "2026-07-01T00:00:00", Err(true)),
            (Some(&list), household, "2026-09-01T08:00:00", Ok(())),
            (Some(&list), social, "2020-01-01T08:00:00", Ok(())),
            (Some(&list[2..]), household, "2026-09-01T08:00:00", Err(false)), // never
            (Some(&[]), social, "2026-09-01T08:00:00", Err(false)),           // a window that takes nothing
        ] {
            let now = UnixMillis::parse_rfc3339(&format!("{at}+08:00")).unwrap();
            let got = ask(list, item, now).map_err(|refusal| {
                assert_eq!(refusal.told.code, "TB-GW-0303");
                refusal.members.iter().any(|(name, _)| *name == "days")
            });
            assert_eq!(got, want, "{item} at {at}");
        }
    }
}
