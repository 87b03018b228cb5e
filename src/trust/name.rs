//! Distinguished names, for people; comparisons are done on octets.

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
