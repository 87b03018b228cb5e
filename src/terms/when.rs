//! Points in time and calendar days. Days are days in Asia/Shanghai (UTC+8, no summer time).

use std::fmt;

use time::{Date, Month, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Milliseconds since 1970-01-01T00:00:00Z. Prints as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Reads the wall clock. Only for the edges: gateway, jobs, console, cli; everywhere else `now` is an argument.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |d| d.as_millis() as i64))
    }

    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000)))
    }

    /// The calendar day in Asia/Shanghai.
    pub fn day(self) -> Day {
        Day(self.offset(UtcOffset::from_hms(8, 0, 0).expect("+08:00")).date())
    }

    /// RFC 3339 text with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self((at.unix_timestamp_nanos() / 1_000_000) as i64))
    }

    /// `2026-02-13 10:00:00` in Asia/Shanghai, as papers print it.
    pub fn on_paper(self) -> String {
        let at = self.offset(UtcOffset::from_hms(8, 0, 0).expect("+08:00"));
        format!("{} {:02}:{:02}:{:02}", Day(at.date()), at.hour(), at.minute(), at.second())
    }

    fn offset(self, offset: UtcOffset) -> OffsetDateTime {
        let nanos = i128::from(self.0.clamp(MIN_MILLIS, MAX_MILLIS)) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("clamped to years 1 to 9998").to_offset(offset)
    }
}

/// Years 1 to 9998: what a calendar date can hold in every offset.
const MIN_MILLIS: i64 = -62_135_510_400_000;
const MAX_MILLIS: i64 = 253_370_764_800_000;

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.offset(UtcOffset::UTC);
        let (d, ms) = (Day(at.date()), at.millisecond());
        write!(f, "{d}T{:02}:{:02}:{:02}.{ms:03}Z", at.hour(), at.minute(), at.second())
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A calendar day in Asia/Shanghai, printed `2026-02-13`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(Date);

impl Day {
    pub fn from_ymd(year: i32, month: u8, day: u8) -> Option<Self> {
        Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok().map(Self)
    }

    /// Eight digits, `20260213`.
    pub fn parse_digits(text: &str) -> Option<Self> {
        if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Self::from_ymd(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?)
    }

    pub fn digits(self) -> String {
        format!("{:04}{:02}{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }

    pub fn year(self) -> i32 {
        self.0.year()
    }

    /// Monday = 1 … Sunday = 7.
    pub fn weekday(self) -> u8 {
        self.0.weekday().number_from_monday()
    }

    pub fn next(self) -> Option<Self> {
        self.0.next_day().map(Self)
    }

    /// The first millisecond after this day: a limit that ends "at 24:00" ends here.
    pub fn end(self) -> UnixMillis {
        UnixMillis(self.start().0 + 86_400_000)
    }

    /// 00:00 of this day in Asia/Shanghai.
    pub fn start(self) -> UnixMillis {
        UnixMillis((self.0.midnight().assume_utc().unix_timestamp() - 8 * 3_600) * 1_000)
    }
}

impl std::str::FromStr for Day {
    type Err = super::IdentifierError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' || !text.is_ascii() {
            return Err(super::IdentifierError::Shape);
        }
        Self::parse_digits(&text.replace('-', "")).ok_or(super::IdentifierError::Date)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

super::json::as_text!(Day);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_shanghai() {
        for (utc, day) in [
            ("2026-02-12T15:59:59.999Z", "2026-02-12"),
            ("2026-02-12T16:00:00.000Z", "2026-02-13"),
            ("2026-02-13T16:00:00.000Z", "2026-02-14"),
        ] {
            let at = UnixMillis::parse_rfc3339(utc).unwrap();
            assert_eq!((at.to_string().as_str(), at.day().to_string().as_str()), (utc, day));
        }
        let day: Day = "2026-02-13".parse().unwrap();
        assert_eq!(day.start().to_string(), "2026-02-12T16:00:00.000Z");
        assert_eq!(day.end().day().to_string(), "2026-02-14");
    }

    #[test]
    fn no_time_panics() {
        for at in [i64::MIN, i64::MAX, 0, -1] {
            let at = UnixMillis(at);
            let _ = (at.to_string(), at.day(), at.on_paper(), at.seconds());
        }
    }
}
