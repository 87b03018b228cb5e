//! The working-day clock: every row of the table, and what must hold for any limit.

use proptest::prelude::*;

use super::super::calendar::{Certainty, Light};
use super::*;
use crate::terms::{Day, UnixMillis};

fn day(text: &str) -> Day {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn pauses(text: &str) -> Vec<Pause> {
    let one = |pause: &str| {
        let (from, to) = pause.split_once('/').unwrap();
        Pause { from: day(from), to: (!to.is_empty()).then(|| day(to)) }
    };
    text.split_whitespace().map(one).collect()
}

#[test]
fn every_row_of_the_clock_table() {
    let mut rows = 0;
    for line in include_str!("../data/vectors-clock.csv").lines().skip(1) {
        let [accepted, days, paused, due, ..] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let got = catalogue().calendar.due(day(accepted), days.parse().unwrap(), &pauses(paused)).unwrap().unwrap();
        assert_eq!(got.day.to_string(), due, "{line}");
        let provisional = due.starts_with("2027");
        assert_eq!(got.certainty == Certainty::Provisional, provisional, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 11);
}

#[test]
fn limits_end_at_midnight_in_shanghai() {
    let due = catalogue().calendar.due(day("2026-02-13"), 5, &[]).unwrap().unwrap();
    assert_eq!(due.ends().to_string(), "2026-02-27T16:00:00.000Z");
}

#[test]
fn silence_for_five_working_days_means_accepted() {
    for (received, supplement, want) in [
        ("2026-02-13", "", "2026-02-27"),
        ("2026-03-02", "", "2026-03-09"),
        ("2026-03-02", "2026-03-04/2026-03-10", "2026-03-16"), // one day used, then the applicant's period
    ] {
        let due = catalogue().calendar.deemed_acceptance(day(received), &pauses(supplement)).unwrap().unwrap();
        assert_eq!(due.day.to_string(), want, "{received} {supplement}");
    }
    assert_eq!(catalogue().calendar.deemed_acceptance(day("2026-03-02"), &pauses("2026-03-04/")).unwrap(), None);
}

#[test]
fn pauses_overlap_stay_open_or_run_backwards() {
    let calendar = &catalogue().calendar;
    for (event, days, paused, want) in [
        ("2026-03-02", 20, "2026-03-09/2026-03-13 2026-03-12/2026-03-20", Some("2026-04-14")),
        ("2026-03-02", 4, "2026-03-09/", Some("2026-03-06")), // over before the pause begins
        ("2026-03-02", 5, "2026-03-09/", None),
        ("2026-03-02", 0, "2026-03-02/2026-03-03", Some("2026-03-04")),
        ("2026-03-02", 3, "2026-02-01/2026-02-10", Some("2026-03-05")), // before the limit: no matter
    ] {
        let got = calendar.due(day(event), days, &pauses(paused)).unwrap();
        assert_eq!(got.map(|due| due.day.to_string()).as_deref(), want, "{event} {days} {paused}");
    }
    let backwards = calendar.due(day("2026-03-02"), 5, &pauses("2026-03-09/2026-03-08"));
    assert!(matches!(backwards, Err(CatalogueError::PauseBackwards { .. })));
    assert!(matches!(calendar.due(day("2026-03-02"), 2_001, &[]), Err(CatalogueError::LimitTooLong(2_001))));
    assert!(matches!(calendar.due(day("9999-12-30"), 5, &[]), Err(CatalogueError::CalendarEnds(_))));
    assert!(calendar.due(day("2026-03-02"), 1, &pauses("2026-03-03/9999-12-31")).is_err());
}

#[test]
fn lights_turn_with_the_days() {
    let calendar = &catalogue().calendar;
    for (today, want) in [
        ("2026-03-02", Light::Green),
        ("2026-03-20", Light::Green), // 14 of 20 days used
        ("2026-03-23", Light::Green),
        ("2026-03-24", Light::Warning), // 16 of 20: 80 %
        ("2026-03-30", Light::Warning),
        ("2026-03-31", Light::Overdue),
    ] {
        assert_eq!(calendar.light(day("2026-03-02"), 20, &[], day(today)).unwrap(), want, "{today}");
    }
    let open = pauses("2026-03-04/");
    assert_eq!(calendar.light(day("2026-03-02"), 20, &open, day("2026-03-30")).unwrap(), Light::Paused);
    assert_eq!(calendar.light(day("2026-03-02"), 0, &[], day("2026-03-03")).unwrap(), Light::Overdue);
}

#[test]
fn a_published_year_moves_provisional_dates() {
    let text = EMBEDDED.calendar.replace("provisional", "published");
    let text = text + "2027-01-02,Sat,1,shifted_workday,元旦,New Year,published\n";
    let mut mistakes = Mistakes::default();
    let newer = Calendar::read(&text, &mut mistakes);
    assert!(mistakes.is_empty(), "{mistakes}");
    let (old, new) = catalogue().calendar.moved(&newer, day("2026-12-31"), 3, &[]).unwrap().unwrap();
    assert_eq!((old.day, old.certainty), (day("2027-01-06"), Certainty::Provisional));
    assert_eq!((new.day, new.certainty), (day("2027-01-05"), Certainty::Published));
    assert_eq!(catalogue().calendar.moved(&newer, day("2026-03-02"), 20, &[]).unwrap(), None);
}

#[test]
fn a_calendar_that_contradicts_itself_is_refused() {
    let head = "date,weekday,is_working,kind,name_zh,name_en,status\n";
    for (row, wrong) in [
        ("2026-01-01,Fri,0,holiday,元旦,New Year,published", "weekday"),
        ("2026-01-01,Thu,1,holiday,元旦,New Year,published", "does not fit the kind"),
        ("2026-02-30,Mon,0,holiday,元旦,New Year,published", "not valid"),
        ("2026-01-01,Thu,0,party,元旦,New Year,published", "not valid"),
        ("2027-01-01,Fri,0,holiday,元旦,New Year,published\n2027-02-05,Fri,0,holiday,春节,x,provisional", "differs"),
    ] {
        let mut mistakes = Mistakes::default();
        Calendar::read(&format!("{head}{row}\n"), &mut mistakes);
        assert!(mistakes.to_string().contains(wrong), "{row}: {mistakes}");
    }
}

prop_compose! {
    fn any_day()(offset in 0i64..900) -> Day {
        UnixMillis(day("2026-01-01").start().0 + offset * 86_400_000).day()
    }
}

prop_compose! {
    fn any_pause()(from in any_day(), length in 0i64..60) -> Pause {
        Pause { from, to: Some(UnixMillis(from.start().0 + length * 86_400_000).day()) }
    }
}

proptest! {
    #[test]
    fn a_limit_has_exactly_its_working_days(event in any_day(), n in 1u32..80, pauses in prop::collection::vec(any_pause(), 0..4)) {
        let calendar = &catalogue().calendar;
        let due = calendar.due(event, n, &pauses).unwrap().unwrap();
        prop_assert!(calendar.is_working(due.day));
        prop_assert!(due.day > event);
        prop_assert_eq!(calendar.used(event, due.day, &pauses), n);
    }

    #[test]
    fn more_days_or_more_pauses_never_end_earlier(event in any_day(), n in 0u32..80, pause in any_pause()) {
        let calendar = &catalogue().calendar;
        let plain = calendar.due(event, n, &[]).unwrap().unwrap().day;
        let longer = calendar.due(event, n + 1, &[]).unwrap().unwrap().day;
        // Filed on a rest day, "the same day" is the next working day, and so is "one day".
        prop_assert!(longer > plain || (n == 0 && longer == plain && !calendar.is_working(event)));
        prop_assert!(calendar.due(event, n, &[pause]).unwrap().unwrap().day >= plain);
    }

    #[test]
    fn lights_and_dates_agree(event in any_day(), n in 0u32..40, later in 0i64..90) {
        let calendar = &catalogue().calendar;
        let today = UnixMillis(event.start().0 + later * 86_400_000).day();
        let due = calendar.due(event, n, &[]).unwrap().unwrap();
        let overdue = calendar.light(event, n, &[], today).unwrap() == Light::Overdue;
        prop_assert_eq!(overdue, today.start() >= due.ends());
    }
}
