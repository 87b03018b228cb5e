//! Distinguished names: for people, and whether two are the same.

use crate::formats::der::{Reader, tag};

/// One attribute of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub oid: String,
    pub value: String,
}

/// The attributes of a Name, in the order they stand. What is not text is left out.
pub fn attributes(name: &[u8]) -> Vec<Attribute> {
    let mut out = Vec::new();
    let Ok(mut rdns) = Reader::new(name).sequence() else { return out };
    while let Ok(mut rdn) = rdns.set() {
        while let Ok(mut pair) = rdn.sequence() {
            let (Ok(oid), Ok(value)) = (pair.oid(), pair.element()) else { break };
            let text = match value.tag {
                tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
                    String::from_utf8(value.content.to_vec()).ok()
                }
                0x14 => Some(value.content.iter().map(|b| char::from(*b)).collect()), // T61String, read as Latin-1
                tag::BMP_STRING => {
                    let units: Vec<u16> =
                        value.content.chunks(2).map(|c| c.iter().fold(0, |a, b| a << 8 | u16::from(*b))).collect();
                    String::from_utf16(&units).ok()
                }
                _ => None,
            };
            out.extend(text.map(|value| Attribute { oid: oid.to_string(), value }));
        }
    }
    out
}

/// Whether two names are the same (RFC 5280 §7.1): the same attributes in the same order, text without regard to case, outer
/// and repeated blanks, and to whether it is a PrintableString or a UTF8String; all else octet for octet. The same octets
/// are the same name, whatever they are.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || compared(a, folded).zip(compared(b, folded)).is_some_and(|(a, b)| a == b)
}

/// As [`same`], but letter for letter: only the kind of string may be another. What is copied from a certificate to name it
/// is no other name, and nothing signed says which letters it had.
pub fn same_letters(a: &[u8], b: &[u8]) -> bool {
    let text = |text: &str| text.to_owned();
    a == b || compared(a, text).zip(compared(b, text)).is_some_and(|(a, b)| a == b)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Compared<'a> {
    Text(String),
    Other(&'a [u8]),
}

/// Attributes of one RDN in one order, as those of a SET have none.
type Rdn<'a> = Vec<(&'a [u8], Compared<'a>)>;

/// `None` for what is no Name.
fn compared(name: &[u8], spelt: impl Fn(&str) -> String) -> Option<Vec<Rdn<'_>>> {
    let mut whole = Reader::new(name);
    let (mut rdns, mut out) = (whole.sequence().ok()?, Vec::new());
    while !rdns.is_empty() {
        let (mut rdn, mut pairs) = (rdns.set().ok()?, Vec::new());
        while !rdn.is_empty() {
            let mut pair = rdn.sequence().ok()?;
            let (oid, value) = (pair.element().ok()?.full, pair.element().ok()?);
            pair.done().ok()?;
            let text = matches!(value.tag, tag::UTF8_STRING | tag::PRINTABLE_STRING)
                .then(|| std::str::from_utf8(value.content).ok())
                .flatten();
            pairs.push((oid, text.map_or(Compared::Other(value.full), |text| Compared::Text(spelt(text)))));
        }
        pairs.sort_unstable();
        out.push(pairs);
    }
    whole.done().ok()?;
    Some(out)
}

/// Text as it is compared: case and outer and repeated blanks do not count.
pub fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// `CN=…, O=…`, control and direction characters replaced.
pub fn text(name: &[u8]) -> String {
    let parts = attributes(name).into_iter().map(|a| {
        let short = match a.oid.as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "2.5.4.5" => "SERIALNUMBER",
            other => other,
        };
        let value: String = a.value.chars().take(200).map(|c| if is_plain(c) { c } else { '\u{fffd}' }).collect();
        format!("{short}={value}")
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first common name.
pub fn common_name(name: &[u8]) -> Option<String> {
    attributes(name).into_iter().find(|a| a.oid == "2.5.4.3").map(|a| a.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::der::write;

    #[test]
    fn names_that_are_the_same() {
        let text = |kind, text: &str| write::tlv(kind, text.as_bytes());
        let (utf8, printable) = (|t: &str| text(tag::UTF8_STRING, t), |t: &str| text(tag::PRINTABLE_STRING, t));
        let pair = |oid: &str, value: &[u8]| write::sequence(&[write::oid(oid), value.to_vec()]);
        let (cn, o) = (|value: &[u8]| pair("2.5.4.3", value), |value: &[u8]| pair("2.5.4.10", value));
        let name =
            |rdns: &[&[Vec<u8>]]| write::sequence(&rdns.iter().map(|rdn| write::set_of(rdn)).collect::<Vec<_>>());
        let root = name(&[&[cn(&printable("Test Root"))]]);
        for (what, other, want) in [
            ("another string type", name(&[&[cn(&utf8("Test Root"))]]), true),
            ("case", name(&[&[cn(&printable("TEST root"))]]), true),
            ("blanks", name(&[&[cn(&utf8("  Test   Root "))]]), true),
            ("no blank", name(&[&[cn(&utf8("TestRoot"))]]), false),
            ("another attribute", name(&[&[o(&printable("Test Root"))]]), false),
            ("one RDN more", name(&[&[cn(&printable("Test Root"))], &[o(&printable("x"))]]), false),
            ("one attribute more", name(&[&[cn(&printable("Test Root")), o(&printable("x"))]]), false),
            ("a type compared by octets", name(&[&[cn(&text(tag::IA5_STRING, "Test Root"))]]), false),
            ("octets that are no text", name(&[&[cn(&write::tlv(tag::UTF8_STRING, b"Test Root\xff"))]]), false),
            ("octets after it", [&root[..], b"\x05\x00"].concat(), false),
            ("no name", b"\x05\x00".to_vec(), false),
            ("no name at all", write::sequence::<Vec<u8>>(&[]), false),
        ] {
            assert_eq!((same(&root, &other), same(&other, &root)), (want, want), "{what}");
        }
        let both = [cn(&utf8("某局")), o(&utf8("广东省"))];
        let turned = [both[1].clone(), both[0].clone()];
        let unsorted = |rdn: &[Vec<u8>]| write::sequence(&[write::tlv(tag::SET, &rdn.concat())]);
        assert!(same(&unsorted(&both), &unsorted(&turned)), "a SET has no order");
        assert!(!same(&name(&[&both[..1], &both[1..]]), &name(&[&both[1..], &both[..1]])), "a SEQUENCE has one");
        assert!(same(b"\xff", b"\xff"), "the same octets");
    }
}
