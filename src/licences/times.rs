//! The spellings of time found in seals and signature files.

use crate::terms::{Day, UnixMillis};

/// A time as a producer wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub at: UnixMillis,
    /// No zone was written; China Standard Time was taken.
    pub local: bool,
}

/// Reads `20201023114537Z`, `20201023114537.25+0800`, `201023114537Z`, `2020-10-23 11:45:37`, `2020-10-23T11:45:37.377Z`,
/// `2020/10/23 11:45:37`, `2020/1/3 9:45:37`, `2020-10-23 11:45`. A time without a zone is taken as China Standard Time. `None` for anything else.
pub fn read(text: &str) -> Option<Written> {
    let text = text.trim();
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let (body, zone_s) = split_zone(text)?;
    let (body, fraction) = match body.split_once(['.', ',']) {
        Some((body, digits)) => (body, millis(digits)?),
        None => (body, 0),
    };
    let digits = to_digits(body)?;
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // `Day::start` is midnight in Shanghai: add the eight hours to get to midnight UTC.
    let midnight = Day::parse_digits(digits.get(..8)?)?.start().0 + CHINA_S * 1_000;
    let seconds = hour * 3_600 + minute * 60 + second - zone_s.unwrap_or(CHINA_S);
    // A leap second is the last of a day of UTC, and there is no other sixtieth.
    if second == 60 && seconds.rem_euclid(86_400) != 0 {
        return None;
    }
    Some(Written { at: UnixMillis(midnight + seconds * 1_000 + fraction), local: zone_s.is_none() })
}

/// As [`read`], for a GeneralizedTime: seconds may be left out of it, as BER allows, where a UTCTime has as many digits.
pub fn read_generalized(text: &str) -> Option<Written> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (moment, rest) = text.split_at_checked(digits)?;
    if digits == 12 && !rest.starts_with(['.', ',']) { read(&format!("{moment}00{rest}")) } else { read(text) }
}

/// UTC+8.
const CHINA_S: i64 = 8 * 3_600;

/// Offset from UTC in seconds, `None` when none is written.
fn split_zone(text: &str) -> Option<(&str, Option<i64>)> {
    if let Some(body) = text.strip_suffix(['Z', 'z']) {
        return Some((body, Some(0)));
    }
    // A sign after the date part is an offset; before that it is a dash of the date.
    let Some(at) = text.rfind(['+', '-']).filter(|&at| at >= 12 && text.as_bytes()[at - 1] != b' ') else {
        return Some((text, None));
    };
    let written = &text[at + 1..];
    let digits = match written.split_once(':') {
        Some((hours, minutes)) if hours.len() == 2 && minutes.len() == 2 => format!("{hours}{minutes}"),
        None if written.len() == 2 => format!("{written}00"), // whole hours, as databases print them
        None if written.len() == 4 => written.to_owned(),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = (digits[..2].parse::<i64>().ok()?, digits[2..].parse::<i64>().ok()?);
    let offset = hours * 3_600 + minutes * 60;
    (hours <= 14 && minutes < 60)
        .then_some((&text[..at], Some(if text.as_bytes()[at] == b'-' { -offset } else { offset })))
}

fn millis(digits: &str) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<3}").get(..3)?.parse().ok()
}

/// Fourteen digits.
fn to_digits(body: &str) -> Option<String> {
    if body.bytes().all(|b| b.is_ascii_digit()) {
        return match body.len() {
            14 => Some(body.to_owned()),
            12 => Some(format!("{}{body}", if body < "50" { "20" } else { "19" })), // UTCTime
            _ => None,
        };
    }
    let (date, clock) = body.split_once([' ', 'T'])?;
    let dash = if date.contains('/') { '/' } else { '-' };
    let (date, clock): (Vec<&str>, Vec<&str>) = (date.split(dash).collect(), clock.split(':').collect());
    let ([year, month, day], [hour, minute, rest @ ..]) = (&date[..], &clock[..]) else { return None };
    let second = match rest {
        [] => "00",
        [second] => second,
        _ => return None,
    };
    let is = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    // .NET in China writes month, day and hour without the zero before them.
    let good = is(year, 4..=4) && [month, day, hour].iter().all(|part| is(part, 1..=2));
    (good && is(minute, 2..=2) && is(second, 2..=2))
        .then(|| format!("{year}{month:0>2}{day:0>2}{hour:0>2}{minute}{second}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_moment() {
        for (text, local) in [
            ("20201023114537Z", false),
            ("20201023114537.000Z", false),
            ("201023114537Z", false),
            ("20201023194537+0800", false),
            ("20201023194537", true),
            ("2020-10-23 19:45:37", true),
            ("2020/10/23 19:45:37", true),
            ("2020-10-23T11:45:37Z", false),
            ("2020-10-23T19:45:37+08:00", false),
            ("2020-10-23T06:45:37-05:00", false),
            ("2020-10-23 19:45:37+08", false),
            ("20201023194537+08", false),
            ("2020-10-23T11:45:37.000Z", false),
            ("2020-10-23 3:45:37-08:00", false),
        ] {
            let got = read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((got.at.to_string().as_str(), got.local), ("2020-10-23T11:45:37.000Z", local), "{text}");
        }
        for text in ["202010231145Z", "202010231945+0800", "202010231945", "20201023114500Z"] {
            assert_eq!(read_generalized(text).unwrap().at.to_string(), "2020-10-23T11:45:00.000Z", "{text}");
        }
        for (text, want) in [
            ("20000101000000+0800", Some("1999-12-31T16:00:00.000Z")),
            ("000229120000Z", Some("2000-02-29T12:00:00.000Z")),
            ("491231235959Z", Some("2049-12-31T23:59:59.000Z")),
            ("500101000000Z", Some("1950-01-01T00:00:00.000Z")),
            ("20500101000000Z", Some("2050-01-01T00:00:00.000Z")),
            ("20161231235960Z", Some("2017-01-01T00:00:00.000Z")), // a leap second
            ("2017-01-01 07:59:60", Some("2017-01-01T00:00:00.000Z")),
            ("20161231235961Z", None),
            ("20161231225960Z", None),
            ("20230229000000Z", None),
            ("2020/1/3 9:45:07", Some("2020-01-03T01:45:07.000Z")),
            ("2020-1-3 19:45", Some("2020-01-03T11:45:00.000Z")),
            ("2020-01-03T01:45Z", Some("2020-01-03T01:45:00.000Z")),
            ("2020/1-3 9:45:07", None),
            ("2020/1/3 9:5:07", None),
            ("2020/1/3 9", None),
            ("2020/001/3 9:45:07", None),
            ("20/1/3 9:45:07", None),
            ("2020/1/3/4 9:45:07", None),
            ("2020/1/3 9:45:07:01", None),
        ] {
            assert_eq!(read(text).map(|w| w.at.to_string()).as_deref(), want, "{text}");
        }
        assert_eq!(read_generalized("202010231145.5Z"), None, "half a minute, which nobody writes");
        assert_eq!(read("2020-01-25T07:31:56.377Z").unwrap().at.to_string(), "2020-01-25T07:31:56.377Z");
        for text in [
            "",
            "2020",
            "20201323114537Z",
            "20201023250000Z",
            "2020-10-23",
            "昨天",
            "20201023114537+9999",
            "20201023194537+0:8",
            "20201023194537+08:",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9TZ:/ +.-]{0,30}") {
            let _ = read(&text);
        }
    }
}
