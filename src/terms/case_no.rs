//! Case numbers: owner region 12 + day 8 + sequence 8 + check character = 29.

use std::fmt;
use std::str::FromStr;

use super::check_char::mod_37_36;
use super::{Day, IdentifierError, RegionCode};

/// A case number, e.g. `4190010000002026021300000017S`: case 17 of 2026-02-13 owned by Jiyuan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseNo {
    owner: RegionCode,
    day: Day,
    sequence: u32,
}

impl CaseNo {
    /// `None` when `sequence` has more than eight digits.
    pub fn new(owner: RegionCode, day: Day, sequence: u32) -> Option<Self> {
        (sequence < 100_000_000).then_some(Self { owner, day, sequence })
    }

    pub fn owner(self) -> RegionCode {
        self.owner
    }

    pub fn day(self) -> Day {
        self.day
    }

    /// Who gave the number out: the first four digits of the sequence are the gateway's slot in the federation.
    pub fn slot(self) -> u16 {
        (self.sequence / 10_000) as u16
    }
}

impl fmt::Display for CaseNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = format!("{}{}{:08}", self.owner, self.day.digits(), self.sequence);
        let check = mod_37_36(body.as_bytes()).expect("digits only");
        write!(f, "{body}{}", char::from(check))
    }
}

impl fmt::Debug for CaseNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaseNo({self})")
    }
}

impl FromStr for CaseNo {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let bytes = text.as_bytes();
        if bytes.len() != 29 || !bytes[..28].iter().all(u8::is_ascii_digit) {
            return Err(IdentifierError::Shape);
        }
        if mod_37_36(&bytes[..28]) != Some(bytes[28]) {
            return Err(IdentifierError::Check);
        }
        let owner = text[..12].parse()?;
        let day = Day::parse_digits(&text[12..20]).ok_or(IdentifierError::Date)?;
        let sequence = text[20..28].parse().map_err(|_| IdentifierError::Shape)?;
        Ok(Self { owner, day, sequence })
    }
}

super::json::as_text!(CaseNo);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_numbers_print_as_they_parse() {
        for (text, want) in [
            ("4190010000002026021300000017S", Ok(())),
            ("4190010000002026021300000010S", Err(IdentifierError::Check)), // one digit altered
            ("419001000000202602130000001", Err(IdentifierError::Shape)),
        ] {
            let got = text.parse::<CaseNo>();
            assert_eq!(got.map(drop), want, "{text}");
            if let Ok(case) = got {
                assert_eq!(case.to_string(), text);
            }
        }
    }
}
