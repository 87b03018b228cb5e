//! Administrative divisions: six digits (GB/T 2260) and their twelve-digit extension (GB/T 10114).

use std::fmt;
use std::str::FromStr;

use super::IdentifierError;

/// A division at county level or above, e.g. `440305` (GB/T 2260), or a functional zone such as `410772`.
///
/// The type promises the shape; the directory of divisions knows what exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DivisionCode(u32);

impl DivisionCode {
    /// The province part, e.g. `440000`.
    pub fn province(self) -> Self {
        Self(self.0 / 10_000 * 10_000)
    }

    /// The prefecture part, e.g. `440300`; of a county directly under its province, its `xx9000`.
    pub fn prefecture(self) -> Self {
        Self(self.0 / 100 * 100)
    }

    pub fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for DivisionCode {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let code: u32 = digits(text, 6)?.try_into().expect("six digits fit");
        match (code / 10_000, code / 100 % 100, code % 100) {
            (81 | 82, 0, _) => Ok(Self(code)), // districts of Hong Kong and Macau have no prefecture
            (11..=82, 0, 1..) => Err(IdentifierError::Part), // a county without its prefecture
            (11..=82, _, _) => Ok(Self(code)),
            _ => Err(IdentifierError::Part),
        }
    }
}

impl fmt::Display for DivisionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// A place down to the village: 6 digits of division, 3 of town, 3 of village, e.g. `152921102000`.
/// Unused tails are zeros; towns and villages are found by their longest known prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionCode(u64);

impl RegionCode {
    /// The division this place lies in.
    pub fn division(self) -> DivisionCode {
        DivisionCode((self.0 / 1_000_000) as u32)
    }

    /// How many leading digits say something: 2, 4, 6, 9 or 12.
    pub fn significant(self) -> usize {
        match self.0 {
            c if c % 1_000 != 0 => 12,
            c if c % 1_000_000 != 0 => 9,
            c if c % 100_000_000 != 0 => 6,
            c if c % 10_000_000_000 != 0 => 4,
            _ => 2,
        }
    }

    /// Whether `self` lies in `wider` or is it: compares the digits that say something in `wider`.
    pub fn lies_in(self, wider: RegionCode) -> bool {
        let unit = 10u64.pow(12 - wider.significant() as u32);
        self.0 / unit == wider.0 / unit
    }

    /// The next wider place, or `None` at the province.
    pub fn parent(self) -> Option<RegionCode> {
        let unit = match self.significant() {
            12 => 1_000,
            9 => 1_000_000,
            6 => 100_000_000,
            4 => 10_000_000_000,
            _ => return None,
        };
        Some(Self(self.0 / unit * unit))
    }
}

impl From<DivisionCode> for RegionCode {
    fn from(division: DivisionCode) -> Self {
        Self(u64::from(division.0) * 1_000_000)
    }
}

impl FromStr for RegionCode {
    type Err = IdentifierError;
    /// Takes 6, 9 or 12 digits.
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let padded = match text.len() {
            6 | 9 | 12 => format!("{text:0<12}"),
            _ => return Err(IdentifierError::Shape),
        };
        let code = digits(&padded, 12)?;
        padded[..6].parse::<DivisionCode>()?;
        if code / 1_000 % 1_000 == 0 && code % 1_000 != 0 {
            return Err(IdentifierError::Part); // a village without its town
        }
        Ok(Self(code))
    }
}

impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

/// Exactly `n` ASCII digits as a number.
pub(super) fn digits(text: &str, n: usize) -> Result<u64, IdentifierError> {
    if text.len() != n || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IdentifierError::Shape);
    }
    text.parse().map_err(|_| IdentifierError::Shape)
}

impl fmt::Debug for DivisionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DivisionCode({self})")
    }
}

impl fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegionCode({self})")
    }
}

super::json::as_text!(DivisionCode, RegionCode);

#[cfg(test)]
mod tests {
    use super::*;
    use IdentifierError::{Part, Shape};

    #[test]
    fn divisions_have_a_shape() {
        for (text, want) in [
            ("419001", Ok("410000")),     // a county-level city directly under its province
            ("410772", Ok("410000")),     // a functional zone, outside GB/T 2260 but with a real office
            ("４４０３０５", Err(Shape)), // full-width digits, as pasted from a form
            ("440005", Err(Part)),        // a county without its prefecture
            ("810001", Ok("810000")),     // a district of Hong Kong
            ("990101", Err(Part)),        // never assigned
            ("44030", Err(Shape)),
            ("+40305", Err(Shape)),
        ] {
            let got = text.parse::<DivisionCode>().map(|code| code.province().to_string());
            assert_eq!(got.as_deref(), want.as_ref().copied(), "{text}");
        }
    }

    #[test]
    fn places_lie_in_wider_places() {
        for (place, wider, want) in [
            ("152921102000", "152921", true),
            ("152921102000", "152900", true),
            ("152921102201", "152921102", true),
            ("152921", "152921102", false), // the county is not in its town
            ("419001", "410000", true),
            ("419001", "419002", false),
        ] {
            let (p, w): (RegionCode, RegionCode) = (place.parse().unwrap(), wider.parse().unwrap());
            assert_eq!(p.lies_in(w), want, "{place} in {wider}");
        }
    }

    #[test]
    fn parents_end_at_the_province() {
        let mut place: RegionCode = "152921102201".parse().unwrap();
        let mut chain = vec![place.to_string()];
        while let Some(parent) = place.parent() {
            chain.push(parent.to_string());
            place = parent;
        }
        assert_eq!(chain, ["152921102201", "152921102000", "152921000000", "152900000000", "150000000000"]);
    }
}
