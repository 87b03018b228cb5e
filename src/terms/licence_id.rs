//! Licence identifiers (GB/T 36904).

use std::fmt;
use std::str::FromStr;

use super::check_char::mod_37_36;
use super::{IdentifierError, RegionCode};

/// A licence identifier, e.g. `1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U`.
///
/// The type promises the shape. Whether the check character matches is a finding, not a condition
/// ([`LicenceId::check_matches`]): genuine identifiers of some provinces compute it another way.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LicenceId(String);

const ROOT: &str = "1.2.156.3005.2.";

impl LicenceId {
    /// Builds an identifier with its check character; parts in the order they are printed.
    pub fn new(type_code: &str, issuer: &str, serial: &str, version: u16) -> Result<Self, IdentifierError> {
        let body = format!("{type_code}{issuer}{serial}{version:03}");
        let check = mod_37_36(body.as_bytes()).ok_or(IdentifierError::Shape)?;
        format!("{ROOT}{type_code}.{issuer}.{serial}.{version:03}.{}", char::from(check)).parse()
    }

    fn part(&self, n: usize) -> &str {
        self.0[ROOT.len()..].split('.').nth(n).expect("five parts")
    }

    /// 21 characters: credit code of the body that defines the type + 3 digits.
    pub fn type_code(&self) -> &str {
        self.part(0)
    }

    /// Issuer: a credit code, or a 6-digit division in some provinces.
    pub fn issuer(&self) -> &str {
        self.part(1)
    }

    /// Division of the issuer: digits 3 to 8 of its credit code (GB 32100), or the issuer itself where that is a
    /// division; `None` where they name no place.
    pub fn place(&self) -> Option<RegionCode> {
        let issuer = self.issuer();
        let digits = if issuer.len() == 6 { Some(issuer) } else { issuer.get(2..8) };
        digits?.parse().ok()
    }

    pub fn serial(&self) -> &str {
        self.part(2)
    }

    pub fn version(&self) -> &str {
        self.part(3)
    }

    /// ISO 7064 MOD 37,36 over type, issuer, serial and version without dots and root.
    pub fn check_matches(&self) -> bool {
        let body: String = (0..4).map(|n| self.part(n)).collect();
        mod_37_36(body.as_bytes()) == self.part(4).bytes().next()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LicenceId {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let rest = text.strip_prefix(ROOT).ok_or(IdentifierError::Shape)?;
        let parts: Vec<&str> = rest.split('.').collect();
        let [type_code, issuer, serial, version, check] = parts[..] else { return Err(IdentifierError::Shape) };
        let plain = |t: &str| t.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        let sizes = type_code.len() == 21
            && matches!(issuer.len(), 6 | 18)
            && (1..=64).contains(&serial.len())
            && version.len() == 3
            && check.len() == 1;
        if !sizes || !parts.iter().all(|p| plain(p)) {
            return Err(IdentifierError::Shape);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LicenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LicenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LicenceId({self})")
    }
}

super::json::as_text!(LicenceId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_their_check_characters() {
        for (tail, matches) in [
            ("11100000000013338W011.11430000006122244L.20230000403.001.U", true), // from a public interface description
            ("11100000000013338W011.11430000006122244L.20230000403.001.V", false),
            ("11100000000013338W011.11430000006122244L.20230000403.002.U", false),
            ("11100000DT0000131P001.11419001DT000030XW.2026DEM000000017.001.B", true),
        ] {
            let id: LicenceId = format!("{ROOT}{tail}").parse().unwrap();
            assert_eq!(id.check_matches(), matches, "{tail}");
        }
        let made = LicenceId::new("11100000DT0000131P001", "11419001DT000030XW", "2026DEM000000017", 1).unwrap();
        assert_eq!(made.part(4), "B");
        assert!("1.2.156.3005.2.short.x.1.001.U".parse::<LicenceId>().is_err());
    }
}
