//! Codes of service items: basic (12), implementation (31), handling item (33).

use std::fmt;
use std::str::FromStr;

use super::division::digits;
use super::{CreditCode, IdentifierError};

/// Basic code of a catalogue entry (基本编码), e.g. `002009901000`:
/// 2 origin + 2 item type + 2 department + 3 main + 3 sub.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemCode(u64);

impl ItemCode {
    /// Item type, e.g. `20` for a public service.
    pub fn item_type(self) -> u8 {
        (self.0 / 100_000_000 % 100) as u8
    }

    /// Department digits, e.g. `09` for public security.
    pub fn department(self) -> u8 {
        (self.0 / 1_000_000 % 100) as u8
    }
}

impl FromStr for ItemCode {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let code = Self(digits(text, 12)?);
        let origin = code.0 / 10_000_000_000;
        match code.item_type() {
            1..=10 | 20 if origin == 0 || (11..=82).contains(&origin) => Ok(code),
            _ => Err(IdentifierError::Part),
        }
    }
}

impl fmt::Display for ItemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

/// Implementation code (实施编码): credit code of the authority 18 + level 1 + basic code 12.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ImplementationCode {
    pub authority: CreditCode,
    /// 1 national … 6 village.
    pub level: u8,
    pub item: ItemCode,
}

impl FromStr for ImplementationCode {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        if text.len() != 31 || !text.is_ascii() {
            return Err(IdentifierError::Shape);
        }
        let level = text.as_bytes()[18].wrapping_sub(b'0');
        if !(1..=6).contains(&level) {
            return Err(IdentifierError::Part);
        }
        Ok(Self { authority: text[..18].parse()?, level, item: text[19..].parse()? })
    }
}

impl fmt::Display for ImplementationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.authority, self.level, self.item)
    }
}

/// Handling-item code (业务办理项编码): what a person actually files; implementation code + 2 digits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HandlingCode {
    pub implementation: ImplementationCode,
    pub number: u8,
}

impl FromStr for HandlingCode {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        if text.len() != 33 || !text.is_ascii() {
            return Err(IdentifierError::Shape);
        }
        let number = digits(&text[31..], 2)?.try_into().expect("two digits fit");
        Ok(Self { implementation: text[..31].parse()?, number })
    }
}

impl fmt::Display for HandlingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.implementation, self.number)
    }
}

impl fmt::Debug for ItemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemCode({self})")
    }
}

super::json::as_text!(ItemCode, ImplementationCode, HandlingCode);

#[cfg(test)]
mod tests {
    use super::*;
    use IdentifierError::{Part, Shape};

    #[test]
    fn codes_of_items() {
        for (text, want) in [
            ("11370800MB285591843370117002011", Ok(())), // public sample
            ("11419001DT000018264002009901000", Ok(())),
            ("11370800MB28559184337011700201", Err(Shape)),
            ("11370800MB285591847370117002011", Err(Part)), // level 7 does not exist
        ] {
            let got = text.parse::<ImplementationCode>();
            assert_eq!(got.as_ref().map(drop).map_err(|e| *e), want, "{text}");
            if let Ok(code) = got {
                assert_eq!(code.to_string(), text);
                assert_eq!(format!("{text}01").parse::<HandlingCode>().unwrap().to_string(), format!("{text}01"));
            }
        }
    }
}
