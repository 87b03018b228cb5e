//! Who holds a paper: resident number (GB 11643) and unified social credit code (GB 32100).

use std::fmt;
use std::str::FromStr;

use super::check_char::mod_11_2;
use super::{Day, IdentifierError};

/// A resident identity number. Shows itself only masked (first 3, last 2); [`ResidentId::reveal`] gives the digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResidentId(String);

impl ResidentId {
    /// The full number. For comparing and for the sealed case file; never for a log line or an error.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Day of birth.
    pub fn born(&self) -> Day {
        Day::parse_digits(&self.0[6..14]).expect("checked when parsed")
    }
}

impl FromStr for ResidentId {
    type Err = IdentifierError;
    /// Takes the normalised form: 17 digits and a check character, `X` in upper case. See [`ResidentId::normalise`].
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let bytes = text.as_bytes();
        if bytes.len() != 18 {
            return Err(IdentifierError::Shape);
        }
        match mod_11_2(&bytes[..17]) {
            None => return Err(IdentifierError::Shape),
            Some(want) if want != bytes[17] => return Err(IdentifierError::Check),
            Some(_) => {}
        }
        if !(b'1'..=b'9').contains(&bytes[0]) {
            return Err(IdentifierError::Part);
        }
        match Day::parse_digits(&text[6..14]) {
            Some(day) if day.year() >= 1850 => Ok(Self(text.to_owned())),
            _ => Err(IdentifierError::Date),
        }
    }
}

impl ResidentId {
    /// Trims blanks and raises a final `x`, as people type it.
    pub fn normalise(text: &str) -> String {
        text.trim().to_ascii_uppercase()
    }

    /// As [`FromStr`], and refuses a day of birth after `today`.
    pub fn parse_on(text: &str, today: Day) -> Result<Self, IdentifierError> {
        let id: Self = text.parse()?;
        if id.born() > today { Err(IdentifierError::Date) } else { Ok(id) }
    }
}

impl fmt::Display for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*************{}", &self.0[..3], &self.0[16..])
    }
}

impl fmt::Debug for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResidentId({self})")
    }
}

/// A unified social credit code: 18 characters, the last a check character.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CreditCode(String);

impl CreditCode {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CreditCode {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
        let bytes = text.as_bytes();
        if bytes.len() != 18 {
            return Err(IdentifierError::Shape);
        }
        let value = |c: u8| ALPHABET.iter().position(|&a| a == c).ok_or(IdentifierError::Shape);
        let (mut sum, mut weight) = (0, 1);
        for &c in &bytes[..17] {
            sum += value(c)? * weight;
            weight = weight * 3 % 31;
        }
        if value(bytes[17])? != (31 - sum % 31) % 31 {
            return Err(IdentifierError::Check);
        }
        if !bytes[2..8].iter().all(u8::is_ascii_digit) {
            return Err(IdentifierError::Part); // the division
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CreditCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::json::as_text!(CreditCode);

#[cfg(test)]
mod tests {
    use super::*;
    use IdentifierError::{Check, Date, Shape};

    #[test]
    fn resident_numbers() {
        let today = Day::from_ymd(2026, 11, 25).unwrap();
        for (text, want) in [
            ("11010519491231002X", Ok(())), // sample printed in GB 11643
            ("440524188001010014", Ok(())),
            ("11010519491231002x", Err(Check)), // normalise before checking
            ("110105194912310021", Err(Check)),
            ("990101199002290016", Err(Date)), // 1990 was no leap year
            ("990101199202290010", Ok(())),
            ("990101203012310032", Err(Date)),   // not born yet
            ("110105491231002", Err(Shape)),     // first generation, 15 digits
            ("1101051949123100２X", Err(Shape)), // a full-width digit
        ] {
            assert_eq!(ResidentId::parse_on(text, today).map(drop), want, "{text}");
        }
    }

    #[test]
    fn a_number_never_shows_itself() {
        let id: ResidentId = "990101199202290010".parse().unwrap();
        assert_eq!(format!("{id} {id:?}"), "990*************10 ResidentId(990*************10)");
    }

    #[test]
    fn credit_codes() {
        for (text, want) in [
            ("11100000000013338W", Ok(())),
            ("11100000MB0341032Y", Ok(())),
            ("11419001DT0000991H", Ok(())),
            ("11100000000013338V", Err(Shape)), // V is outside the alphabet
            ("111000000000133389", Err(Check)),
            ("152900000000000000", Err(Check)), // an index number printed in a notice
        ] {
            assert_eq!(text.parse::<CreditCode>().map(drop), want, "{text}");
        }
    }
}
