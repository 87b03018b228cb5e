//! Small values of entries: plain words, pseudonyms, bytes in hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use super::EntryError;
use crate::terms::{CaseNo, CreditCode, Digest, ResidentId, digest::hex_into};

/// A code, name or template without blanks: 1–128 characters of visible ASCII, no quotes, no backslash; or the number of an
/// official document (发文字号, GB/T 9704-2012 §7.2.5), such as 青监〔2026〕17号.
///
/// Everything in clear in an entry is a word; free text about people has no place outside `enc`. As a last net
/// a word that *contains* a valid resident number or looks like a mobile number is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(SmolStr);

impl Word {
    pub fn new(text: &str) -> Result<Self, EntryError> {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if text.is_empty() || text.len() > 128 || !(text.bytes().all(plain) || is_document_number(text)) {
            return Err(EntryError::Word);
        }
        // Shorter than a telephone number there is nothing to look for, and most words are.
        if text.len() >= 11 && (text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_personal) || is_spelt(text)) {
            return Err(EntryError::Personal);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The issuing office in Chinese characters, the year in brackets of any kind that people type, a number, 号.
fn is_document_number(text: &str) -> bool {
    let parts = || {
        let (office, rest) = text.split_once(['〔', '[', '（', '(', '【'])?;
        let (year, rest) = rest.split_once(['〕', ']', '）', ')', '】'])?;
        let number = rest.strip_prefix('第').unwrap_or(rest).strip_suffix('号')?;
        Some((office, year, number))
    };
    let is_number = |text: &str| !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    let is_office = |text: &str| !text.is_empty() && text.chars().all(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    parts().is_some_and(|(office, year, number)| {
        is_office(office) && year.len() == 4 && [year, number].map(is_number) == [true; 2]
    })
}

/// A run of letters and digits with a resident number anywhere in it, or with eleven digits of a mobile number that stand
/// apart from others. Digests and pseudonyms are let through: by chance some of them hold what looks like either.
fn is_personal(run: &str) -> bool {
    let is_digest = matches!(run.len(), 32 | 64) && run.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    !is_digest && (holds_resident(run) || run.split(|c: char| !c.is_ascii_digit()).any(is_mobile))
}

/// A number that is written in groups: nothing but digits, what stands between groups, and at most the last letter of a
/// resident number.
fn is_spelt(text: &str) -> bool {
    let between = |c: char| matches!(c, '-' | '.' | '_' | '/' | '+' | '(' | ')' | ':' | ',');
    if !text.contains(between) {
        return false;
    }
    let run: String = text.chars().filter(|c| !between(*c)).collect();
    let number = run.strip_suffix(['X', 'x']).unwrap_or(&run);
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    digits && (run.len() == 18 && holds_resident(&run) || is_mobile(&run))
}

/// Looked for at every place: a letter or digit before or behind it hides no number.
fn holds_resident(run: &str) -> bool {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let places = run.as_bytes().windows(18).filter(|window| digits(&window[..17]));
    let mut texts = places.filter_map(|window| std::str::from_utf8(window).ok());
    texts.any(|text| ResidentId::normalise(text).parse::<ResidentId>().is_ok())
}

fn is_mobile(digits: &str) -> bool {
    let digits = digits.strip_prefix("86").filter(|rest| rest.len() == 11).unwrap_or(digits);
    digits.len() == 11 && digits.starts_with('1') && !digits[1..2].contains(['0', '1', '2'])
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl FromStr for Word {
    type Err = EntryError;
    fn from_str(text: &str) -> Result<Self, EntryError> {
        Self::new(text)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Sixteen bytes that stand for a person, company or case; made by [`Pseudonymiser`], printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym(pub [u8; 16]);

impl FromStr for Pseudonym {
    type Err = EntryError;
    fn from_str(text: &str) -> Result<Self, EntryError> {
        unhex(text).map(Self).ok_or(EntryError::Word)
    }
}

/// `N` bytes from exactly `2 N` lower-case hexadecimal digits.
pub(in crate::audit) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (o, [high, low]) in out.iter_mut().zip(pairs) {
        *o = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(out)
}

/// Appends lower-case hexadecimal digits.
pub(in crate::audit) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex_into(&mut [0; 32], &self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({self})")
    }
}

impl Serialize for Pseudonym {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hex_into(&mut [0; 32], &self.0))
    }
}

/// Makes pseudonyms: the first 16 bytes of HMAC-SHA256(year key, type ‖ 0 ‖ number).
///
/// A plain or once-salted hash of a resident number is no protection: 18 digits can be searched. The key differs
/// by province and year and is destroyed when retention ends.
pub struct Pseudonymiser {
    key: ring::hmac::Key,
    epoch: u32,
}

impl Pseudonymiser {
    /// `epoch` names the key, e.g. the year.
    pub fn new(key: &[u8; 32], epoch: u32) -> Self {
        Self { key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), epoch }
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Names the key, and tells nothing of it: whoever goes on with another one gives every case another name.
    pub fn print(&self) -> Pseudonym {
        self.of("key", "pseudonyms")
    }

    pub fn resident(&self, id: &ResidentId) -> Pseudonym {
        self.of("resident", id.reveal())
    }

    pub fn company(&self, code: &CreditCode) -> Pseudonym {
        self.of("company", code.as_str())
    }

    pub fn case(&self, case: CaseNo) -> Pseudonym {
        self.of("case", &case.to_string())
    }

    /// Of any other number; `kind` keeps equal numbers of different kinds apart.
    pub fn of(&self, kind: &str, number: &str) -> Pseudonym {
        let mut out = [0; 16];
        out.copy_from_slice(&self.digest(kind, number.as_bytes()).0[..16]);
        Pseudonym(out)
    }

    /// A digest that only the holder of the key can make: a yes or no has nothing else to hide behind.
    pub fn digest(&self, kind: &str, octets: &[u8]) -> Digest {
        let tag = ring::hmac::sign(&self.key, &[kind.as_bytes(), &[0], octets].concat());
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        Digest(out)
    }
}

impl fmt::Debug for Pseudonymiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonymiser(epoch {})", self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_codes_and_no_people() {
        for (text, want) in [
            ("/v1/cases/{no}", Ok(())),
            ("91371500MA3DE00X1U", Ok(())),
            ("11010519491231002X", Err(EntryError::Personal)),
            ("id=11010519491231002x;", Err(EntryError::Personal)),
            ("SJ11010519491231002X", Err(EntryError::Personal)),
            ("11010519491231002X1", Err(EntryError::Personal)),
            ("a11010519491231002x", Err(EntryError::Personal)),
            ("9911010519491231002X", Err(EntryError::Personal)),
            ("SJ-2026-990101199202290010-17", Err(EntryError::Personal)),
            ("tel:13800138000", Err(EntryError::Personal)),
            ("+8613800138000", Err(EntryError::Personal)),
            ("138-0013-8000", Err(EntryError::Personal)),
            ("+86-138.0013.8000", Err(EntryError::Personal)),
            ("110105-19491231-002X", Err(EntryError::Personal)),
            ("110105.19491231.002x", Err(EntryError::Personal)),
            ("2026-11-27-0001", Ok(())),
            ("86-0755-82000000", Ok(())),
            ("tel13800138000", Err(EntryError::Personal)),
            ("4190010000002026112600010008F", Ok(())), // a case number
            ("1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U", Ok(())),
            ("00000000013800138000abcdef0123456789abcdef11010519491231002fabcd", Ok(())), // a digest
            ("SJ-2026-17", Ok(())),
            ("010-65120000", Ok(())),
            ("青监〔2026〕17号", Ok(())),
            ("粤政务服（2026）第3号", Ok(())),
            ("青监[2026]17号", Ok(())),
            ("张三", Err(EntryError::Word)),
            ("张三〔2026〕", Err(EntryError::Word)),
            ("青监〔2026〕17号，张三", Err(EntryError::Word)),
            ("青 监〔2026〕17号", Err(EntryError::Word)),
            ("青监〔20261〕17号", Err(EntryError::Word)),
            ("青监〔2026〕11010519491231002X号", Err(EntryError::Word)),
            ("〔2026〕17号", Err(EntryError::Word)),
            ("two words", Err(EntryError::Word)),
            ("", Err(EntryError::Word)),
        ] {
            assert_eq!(Word::new(text).map(drop), want, "{text}");
        }
    }

    #[test]
    fn pseudonyms_need_the_key() {
        let (a, b) = (Pseudonymiser::new(&[1; 32], 2026), Pseudonymiser::new(&[2; 32], 2026));
        let id: ResidentId = "11010519491231002X".parse().unwrap();
        assert_eq!(a.resident(&id), a.resident(&id));
        assert_ne!(a.resident(&id), b.resident(&id));
        assert_ne!(a.of("case", "1"), a.of("company", "1"));
        assert_eq!(a.resident(&id).to_string().parse(), Ok(a.resident(&id)));
    }
}
