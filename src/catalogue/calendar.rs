//! The dated calendar and the clock of working days. Pure: an auditor recomputes every due date from the log alone.
//!
//! ```text
//!  Fri 02-13 event │ Sat 02-14 shifted workday 1 │ 02-15…23 holiday │ 24: 2 │ 25: 3 │ 26: 4 │ Fri 27: 5 = due, 24:00
//! ```
//! The day of the event is not counted; a limit ends at 24:00 of its last working day, in Asia/Shanghai
//! (Licensing Law art. 82: days are working days).

use std::collections::BTreeMap;

use serde::Serialize;

use super::csv;
use super::error::CatalogueError;
use crate::terms::words::words;
use crate::terms::{Day, Mistakes, UnixMillis};

words! {
    /// Whether the State Council's notice for a year is in the calendar.
    pub enum Certainty {
        Published = "published", "已公布", "published";
        /// Statutory days only; official shifts will still come.
        Provisional = "provisional", "暂定", "provisional";
    }
}

words! {
    /// Why a day is an exception.
    pub enum DayKind {
        Holiday = "holiday", "节假日", "holiday";
        HolidayInLieu = "holiday_in_lieu", "补休日", "holiday in lieu";
        ShiftedWorkday = "shifted_workday", "调休上班", "shifted workday";
    }
}

/// Exceptions to the rule of Monday to Friday.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    exceptions: BTreeMap<Day, DayKind>,
    years: BTreeMap<i32, Certainty>,
}

/// Days without a limit running: from the first to the last, both not counted. Open while `to` is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Pause {
    pub from: Day,
    pub to: Option<Day>,
}

impl Pause {
    fn covers(&self, day: Day) -> bool {
        day >= self.from && self.to.is_none_or(|to| day <= to)
    }
}

/// When a limit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    /// The last working day of the limit.
    pub day: Day,
    /// Whether the calendar of every day counted is published; a provisional date is recomputed when it is.
    pub certainty: Certainty,
}

impl Due {
    /// The first millisecond that is too late.
    pub fn ends(&self) -> UnixMillis {
        self.day.end()
    }
}

/// Longest limit in working days: more than any law knows, and a bound on the counting.
const LONGEST_LIMIT: u32 = 2_000;

/// Silence for five working days after receipt means accepted (Licensing Law art. 32(4)).
pub const ACCEPTANCE_DAYS: u32 = 5;

/// How a limit stands on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    Green,
    /// One working day left, or 80 % used.
    Warning,
    Overdue,
    /// A pause has no end yet: no date can be told.
    Paused,
}

impl Calendar {
    /// Reads `calendar-….csv`.
    pub fn read(text: &str, mistakes: &mut Mistakes) -> Self {
        const FILE: &str = "calendar-2026-2027.csv";
        const COLUMNS: [&str; 7] = ["date", "weekday", "is_working", "kind", "name_zh", "name_en", "status"];
        let mut calendar = Self::default();
        csv::rows(FILE, text, &COLUMNS, mistakes, |row, mistakes| {
            let day = row.parse::<Day>(0, "a date, e.g. 2026-02-14", mistakes);
            let kind = row.word::<DayKind>(3, mistakes);
            let certainty = row.word::<Certainty>(6, mistakes);
            let (Some(day), Some(kind), Some(certainty)) = (day, kind, certainty) else { return };
            let weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][usize::from(day.weekday() - 1)];
            if row.text(1) != weekday {
                row.wrong(1, mistakes, "is not that day's weekday", format_args!("write {weekday}"));
            }
            let working = if kind == DayKind::ShiftedWorkday { "1" } else { "0" };
            if row.text(2) != working {
                row.wrong(2, mistakes, "does not fit the kind", format_args!("write {working}"));
            }
            if calendar.exceptions.insert(day, kind).is_some() {
                row.wrong(0, mistakes, "is there twice", "keep one row");
            }
            let year = calendar.years.entry(day.year()).or_insert(certainty);
            if *year != certainty {
                row.wrong(6, mistakes, "differs within the year", format_args!("write {year}"));
            }
        });
        calendar
    }

    pub fn is_working(&self, day: Day) -> bool {
        match self.exceptions.get(&day) {
            Some(DayKind::ShiftedWorkday) => true,
            Some(_) => false,
            None => day.weekday() <= 5,
        }
    }

    /// A year the calendar says nothing about is provisional.
    pub fn certainty(&self, day: Day) -> Certainty {
        self.years.get(&day.year()).copied().unwrap_or(Certainty::Provisional)
    }

    /// The last day of a limit of `working_days` that began with an event on `event`.
    ///
    /// A limit of 0 days ends on the day of the event, or on the next working day when that is none. `None` while a
    /// pause without an end keeps the limit from ending.
    ///
    /// # Errors
    /// [`CatalogueError::LimitTooLong`], [`CatalogueError::PauseBackwards`], [`CatalogueError::CalendarEnds`].
    pub fn due(&self, event: Day, working_days: u32, pauses: &[Pause]) -> Result<Option<Due>, CatalogueError> {
        if working_days > LONGEST_LIMIT {
            return Err(CatalogueError::LimitTooLong(working_days));
        }
        for pause in pauses {
            if let Some(to) = pause.to.filter(|to| *to < pause.from) {
                return Err(CatalogueError::PauseBackwards { from: pause.from, to });
            }
        }
        let mut certainty = self.certainty(event);
        let mut day = event;
        let mut left = working_days;
        if left == 0 {
            if self.counts(day, pauses) {
                return Ok(Some(Due { day, certainty }));
            }
            left = 1;
        }
        while left > 0 {
            day = day.next().ok_or(CatalogueError::CalendarEnds(event))?;
            if let Some(pause) = pauses.iter().filter(|pause| pause.covers(day)).max_by_key(|pause| pause.to.is_none())
            {
                match pause.to {
                    None => return Ok(None),
                    Some(to) => day = to, // jump: a pause may be decades long
                }
                continue;
            }
            if self.certainty(day) == Certainty::Provisional {
                certainty = Certainty::Provisional;
            }
            left -= u32::from(self.is_working(day));
        }
        Ok(Some(Due { day, certainty }))
    }

    fn counts(&self, day: Day, pauses: &[Pause]) -> bool {
        self.is_working(day) && !pauses.iter().any(|pause| pause.covers(day))
    }

    /// Working days of a limit used up by the end of `today`, without the day of the event and without pauses.
    pub fn used(&self, event: Day, today: Day, pauses: &[Pause]) -> u32 {
        let days = std::iter::successors(event.next(), |day| day.next()).take_while(|day| *day <= today);
        // Bounded like a limit: an old open case does not need the exact number of decades.
        days.take(LONGEST_LIMIT as usize * 4).filter(|day| self.counts(*day, pauses)).count() as u32
    }

    /// Silence until the end of this day means accepted, as of the day of receipt. `received` is the receipt day at the
    /// collecting point; supplement periods are pauses.
    ///
    /// # Errors
    /// As [`Calendar::due`].
    pub fn deemed_acceptance(&self, received: Day, pauses: &[Pause]) -> Result<Option<Due>, CatalogueError> {
        self.due(received, ACCEPTANCE_DAYS, pauses)
    }

    /// How a limit stands on `today`: warning at one working day left or 80 % used.
    ///
    /// # Errors
    /// As [`Calendar::due`].
    pub fn light(&self, event: Day, limit: u32, pauses: &[Pause], today: Day) -> Result<Light, CatalogueError> {
        let Some(due) = self.due(event, limit, pauses)? else { return Ok(Light::Paused) };
        if today > due.day {
            return Ok(Light::Overdue);
        }
        let used = self.used(event, today, pauses);
        let warn = used.saturating_add(1) >= limit || used.saturating_mul(5) >= limit.saturating_mul(4);
        Ok(if warn { Light::Warning } else { Light::Green })
    }

    /// Both dates of a limit when `newer` moves it, e.g. when a provisional year is published.
    ///
    /// # Errors
    /// As [`Calendar::due`].
    pub fn moved(
        &self,
        newer: &Calendar,
        event: Day,
        limit: u32,
        pauses: &[Pause],
    ) -> Result<Option<(Due, Due)>, CatalogueError> {
        let both = self.due(event, limit, pauses)?.zip(newer.due(event, limit, pauses)?);
        Ok(both.filter(|(old, new)| old != new))
    }
}
