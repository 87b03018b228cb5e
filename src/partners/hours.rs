//! Opening hours: days of the week and times of day in Asia/Shanghai.

use std::fmt;
use std::str::FromStr;

use crate::terms::strict_toml::Table;
use crate::terms::words::words;
use crate::terms::{Day, IdentifierError, UnixMillis};

words! {
    pub enum Weekday {
        Mon = "mon", "周一", "Monday";
        Tue = "tue", "周二", "Tuesday";
        Wed = "wed", "周三", "Wednesday";
        Thu = "thu", "周四", "Thursday";
        Fri = "fri", "周五", "Friday";
        Sat = "sat", "周六", "Saturday";
        Sun = "sun", "周日", "Sunday";
    }
}

/// Minutes since midnight, 0 to 1440; `24:00` is the end of the day. Written `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// The time of day in Asia/Shanghai, full minutes.
    pub fn of(now: UnixMillis) -> Self {
        let since = now.0.saturating_sub(now.day().start().0).clamp(0, 86_399_999);
        Self((since / 60_000) as u16)
    }
}

impl FromStr for TimeOfDay {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let bytes = text.as_bytes();
        let digit = |n: usize| bytes.get(n).filter(|b| b.is_ascii_digit()).map(|b| u16::from(b - b'0'));
        let (Some(a), Some(b), Some(c), Some(d)) = (digit(0), digit(1), digit(3), digit(4)) else {
            return Err(IdentifierError::Shape);
        };
        if bytes.len() != 5 || bytes[2] != b':' {
            return Err(IdentifierError::Shape);
        }
        let (hour, minute) = (a * 10 + b, c * 10 + d);
        if minute > 59 || hour * 60 + minute > 1_440 {
            return Err(IdentifierError::Part);
        }
        Ok(Self(hour * 60 + minute))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// One span of opening hours; `to` is the first minute closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub days: Vec<Weekday>,
    pub from: TimeOfDay,
    pub to: TimeOfDay,
}

/// When an outlet or a window is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    pub spans: Vec<Span>,
    /// Dates the outlet is closed all day.
    pub closed: Vec<Day>,
}

impl Hours {
    /// Reads the `hours` tables and the `closed` days of an outlet or window; without spans where it has none. `None` where one
    /// of them cannot be read.
    pub fn read(table: &Table<'_, '_>) -> Option<Self> {
        let closed = table.list("closed", "a date, e.g. 2026-12-31").unwrap_or_default();
        let mut hours = Self { spans: Vec::new(), closed };
        let mut good = true;
        for inner in table.tables("hours") {
            let days = inner.need_words::<Weekday>("days");
            let from = inner.need_parse::<TimeOfDay>("from", "a time of day, e.g. 09:00");
            let to = inner.need_parse::<TimeOfDay>("to", "a time of day up to 24:00");
            inner.done();
            let (Some(days), Some(from), Some(to)) = (days, from, to) else {
                good = false;
                continue;
            };
            if to <= from {
                inner.wrong("to", "is not after `from`", "split hours over midnight into two entries");
            }
            hours.spans.push(Span { days, from, to });
        }
        good.then_some(hours)
    }

    pub fn is_open(&self, now: UnixMillis) -> bool {
        let day = now.day();
        if self.closed.contains(&day) {
            return false;
        }
        let weekday = Weekday::ALL[usize::from(day.weekday() - 1)];
        let time = TimeOfDay::of(now);
        self.spans.iter().any(|span| span.days.contains(&weekday) && (span.from..span.to).contains(&time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        for (text, want) in [
            ("00:00", Some(0)),
            ("09:30", Some(570)),
            ("24:00", Some(1_440)),
            ("24:01", None),
            ("12:60", None),
            ("9:30", None),
            ("09.30", None),
            ("０9:30", None),
            ("+9:30", None),
        ] {
            assert_eq!(text.parse::<TimeOfDay>().ok(), want.map(TimeOfDay), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn times_print_as_they_parse(minutes in 0u16..=1_440) {
            let time = TimeOfDay(minutes);
            proptest::prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn no_instant_panics(now in proptest::num::i64::ANY) {
            let _ = Hours::default().is_open(UnixMillis(now));
            proptest::prop_assert!(TimeOfDay::of(UnixMillis(now)).0 < 1_440);
        }
    }
}
