//! XML as OFD packages use it: a small tree, read strictly.
//!
//! ```text
//!  bytes ──parse──▶ Element { name, attributes, children, text }
//!                      │
//!                      ├─ one("SignedInfo")   exactly one child of that name, here, not somewhere below
//!                      ├─ at_most_one("Seal")
//!                      └─ field("BaseLoc")    attribute or child element, whichever the producer chose
//! ```
//! Names are local names: producers mix namespace URIs within one package. There is no search among descendants, since
//! that is how one element is verified and another is read. No DTD, no entities but the five. UTF-8, UTF-16 with its mark,
//! and GB 18030 where it is declared: what is declared and what is there must agree.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use smol_str::SmolStr;

/// How much a document may ask of us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets.
    pub size: usize,
    /// Elements, attributes and pieces of text.
    pub nodes: usize,
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 8 << 20, nodes: 250_000, depth: 64 }
    }
}

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("not well formed: {0}")]
    Syntax(String),
    #[error("a document type declaration")]
    Dtd,
    #[error("an entity that is not one of the five")]
    Entity,
    #[error("characters in another encoding than the one declared, or in one that is not taken")]
    Encoding,
    #[error("too big: {0}")]
    TooBig(&'static str),
    #[error("<{0}> or attribute more than once")]
    Repeated(String),
    #[error("no <{child}> in <{parent}>")]
    Missing { parent: String, child: &'static str },
    #[error("<{0}> is not the element expected")]
    Unexpected(String),
}

impl XmlError {
    /// Fine code for reports; never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "XML_SYNTAX",
            Self::Dtd => "XML_DTD_FORBIDDEN",
            Self::Entity => "XML_ENTITY",
            Self::Encoding => "XML_ENCODING",
            Self::TooBig(_) => "XML_TOO_BIG",
            Self::Repeated(_) => "XML_REPEATED_ELEMENT",
            Self::Missing { .. } => "XML_MISSING_ELEMENT",
            Self::Unexpected(_) => "XML_UNEXPECTED_ELEMENT",
        }
    }
}

/// One element. Names without their prefix; they are short, and kept in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub name: SmolStr,
    /// In document order, namespace declarations left out; no name twice.
    pub attributes: Vec<(SmolStr, SmolStr)>,
    pub children: Vec<Element>,
    /// All text directly inside, joined.
    pub text: String,
}

impl Element {
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All children of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The only child of that name, if there is one.
    pub fn at_most_one(&self, name: &str) -> Result<Option<&Element>, XmlError> {
        let mut found = self.children.iter().filter(|c| c.name == name);
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(XmlError::Repeated(name.to_owned())),
        }
    }

    /// The only child of that name, which must be there.
    pub fn one(&self, name: &'static str) -> Result<&Element, XmlError> {
        self.at_most_one(name)?.ok_or_else(|| XmlError::Missing { parent: self.name.to_string(), child: name })
    }

    /// A value written as an attribute or, by some producers, as a child element. Both at once is a repetition.
    pub fn field(&self, name: &str) -> Result<Option<&str>, XmlError> {
        match (self.attr(name), self.at_most_one(name)?) {
            (Some(_), Some(_)) => Err(XmlError::Repeated(name.to_owned())),
            (Some(value), None) => Ok(Some(value.trim())),
            (None, child) => Ok(child.map(|c| c.text.trim())),
        }
    }

    /// Text without the blanks around it.
    pub fn trimmed(&self) -> &str {
        self.text.trim()
    }

    /// Fails unless the element has that name.
    pub fn named(self, name: &str) -> Result<Self, XmlError> {
        if self.name == name { Ok(self) } else { Err(XmlError::Unexpected(self.name.into())) }
    }
}

/// Parses a whole document.
///
/// # Errors
/// [`XmlError`]; never panics, and memory stays within a small multiple of `limits`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Element, XmlError> {
    if bytes.len() > limits.size {
        return Err(XmlError::TooBig("octets"));
    }
    let (text, coding) = decode(bytes)?;
    let text: &str = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut root): (Vec<Element>, Option<Element>) = (Vec::new(), None);
    let mut nodes = 0usize;
    loop {
        nodes += 1;
        if nodes > limits.nodes {
            return Err(XmlError::TooBig("nodes"));
        }
        match reader.read_event().map_err(|e| syntax(&e))? {
            Event::Start(start) => {
                if open.len() >= limits.depth {
                    return Err(XmlError::TooBig("depth"));
                }
                if root.is_some() {
                    return Err(XmlError::Syntax("a second root element".to_owned()));
                }
                let element = begin(&start, &mut nodes)?;
                open.push(element);
            }
            Event::End(_) => {
                // The reader has matched the names.
                let done = open.pop().ok_or_else(|| XmlError::Syntax("an end without a start".to_owned()))?;
                match open.last_mut() {
                    Some(parent) => push(&mut parent.children, done),
                    None => root = Some(done),
                }
            }
            Event::Text(piece) => add(&mut open, &piece.xml10_content())?,
            Event::CData(piece) => match open.last_mut() {
                Some(element) => element.text.push_str(&piece.xml10_content()),
                None => return Err(XmlError::Syntax("text outside the root element".to_owned())),
            },
            Event::GeneralRef(name) => {
                let c = match name.resolve_char_ref() {
                    Ok(Some(c)) if is_xml_char(c) => c,
                    Ok(None) => five(&name.xml10_content())?,
                    _ => return Err(XmlError::Entity),
                };
                match open.last_mut() {
                    Some(element) => element.text.push(c),
                    None => return Err(XmlError::Syntax("text outside the root element".to_owned())),
                }
            }
            Event::Decl(decl) => {
                let agree = match decl.encoding() {
                    None => true,
                    Some(Ok(name)) => coding.is_called(name.as_ref(), text),
                    Some(Err(_)) => false,
                };
                if !agree {
                    return Err(XmlError::Encoding);
                }
            }
            Event::DocType(_) => return Err(XmlError::Dtd),
            Event::PI(_) | Event::Comment(_) => {}
            Event::Empty(_) => return Err(XmlError::Syntax("an empty element unexpanded".to_owned())),
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err(XmlError::Syntax("cut off".to_owned()));
    }
    root.ok_or_else(|| XmlError::Syntax("no element".to_owned()))
}

/// How characters were found to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Utf8,
    Utf16,
    Gb18030,
}

impl Coding {
    /// Whether a declaration may call it so.
    fn is_called(self, name: &str, text: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match self {
            // Declared otherwise but plain ASCII: every reader sees the same text.
            Self::Utf8 => matches!(name.as_str(), "utf-8" | "utf8") || text.is_ascii() && !name.starts_with("utf-"),
            Self::Utf16 => name.starts_with("utf-16"),
            Self::Gb18030 => GB.contains(&name.as_str()),
        }
    }
}

const GB: [&str; 3] = ["gb18030", "gbk", "gb2312"];

/// To characters, without replacing any.
fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, Coding), XmlError> {
    let units: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                return Ok((Cow::Borrowed(text), Coding::Utf8));
            }
            // Only a declaration tells GB 18030 from damage.
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).to_ascii_lowercase();
            let declared = head.starts_with("<?xml")
                && head.split("?>").next().is_some_and(|d| d.contains("\"gb") || d.contains("'gb"));
            let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
            return match text {
                Some(text) if declared => Ok((text, Coding::Gb18030)),
                _ => Err(XmlError::Encoding),
            };
        }
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| units(*pair))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok((Cow::Owned(text), Coding::Utf16)),
        _ => Err(XmlError::Encoding),
    }
}

/// Most attributes of one element, with its namespaces.
const ATTRIBUTES: usize = 256;

fn begin(start: &BytesStart<'_>, nodes: &mut usize) -> Result<Element, XmlError> {
    let mut element = Element { name: local(start.name().as_ref()), ..Element::default() };
    for (n, attribute) in start.attributes().enumerate() {
        // Each is compared with all before it.
        if n == ATTRIBUTES {
            return Err(XmlError::TooBig("attributes of one element"));
        }
        *nodes += 1;
        let attribute = attribute.map_err(|e| match e {
            quick_xml::events::attributes::AttrError::Duplicated(..) => XmlError::Repeated(element.name.to_string()),
            other => XmlError::Syntax(other.to_string()),
        })?;
        let key: &str = attribute.key.as_ref();
        if key == "xmlns" || key.starts_with("xmlns:") {
            continue;
        }
        let name = local(key);
        if element.attr(&name).is_some() {
            return Err(XmlError::Repeated(name.into())); // a:ID and ID: which one would a reader take?
        }
        if attribute.value.contains('<') {
            return Err(XmlError::Syntax("'<' in an attribute".to_owned()));
        }
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|e| match e {
            quick_xml::Error::Escape(_) => XmlError::Entity,
            other => syntax(&other),
        })?;
        push(&mut element.attributes, (name, value.into()));
    }
    Ok(element)
}

/// Room for one first: most elements have one child or attribute, and a list makes room for four otherwise.
fn push<T>(list: &mut Vec<T>, one: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(one);
}

fn add(open: &mut [Element], text: &str) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.chars().all(char::is_whitespace) => {}
        None => return Err(XmlError::Syntax("text outside the root element".to_owned())),
    }
    Ok(())
}

fn local(name: &str) -> SmolStr {
    name.rsplit(':').next().unwrap_or(name).into()
}

fn five(name: &str) -> Result<char, XmlError> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(XmlError::Entity),
    }
}

fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn syntax(error: &quick_xml::Error) -> XmlError {
    XmlError::Syntax(error.to_string().chars().take(200).collect())
}

/// Escapes text or an attribute value.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if is_xml_char(c) && c != '\r' => out.push(c),
            _ => {} // cannot be written in XML 1.0, or would be read back as another character
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Element, XmlError> {
        parse(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#;
        for (text, want) in [
            ("\u{feff}<?xml version='1.0' encoding='UTF-8'?><o:a xmlns:o='x'/>", Ok("a")),
            ("<a><!-- c --><?p i?><b>1 &lt; 2 &#x4e2d;</b></a>\n", Ok("a")),
            ("<?xml version='1.0' encoding='GBK'?><a/>", Ok("a")),
            ("<?xml version='1.0' encoding='GBK'?><a>办</a>", Err("XML_ENCODING")),
            (bomb, Err("XML_DTD_FORBIDDEN")),
            ("<a>&b;</a>", Err("XML_ENTITY")),
            ("<a b='&c;'/>", Err("XML_ENTITY")),
            ("<a>&#0;</a>", Err("XML_ENTITY")),
            ("<a b='1' b='2'/>", Err("XML_REPEATED_ELEMENT")),
            ("<a x:b='1' b='2'/>", Err("XML_REPEATED_ELEMENT")),
            ("<a></b>", Err("XML_SYNTAX")),
            ("<a>", Err("XML_SYNTAX")),
            ("<a/><b/>", Err("XML_SYNTAX")),
            ("<a/>text", Err("XML_SYNTAX")),
            ("", Err("XML_SYNTAX")),
        ] {
            let got = read(text);
            assert_eq!(got.as_ref().map(|e| e.name.as_str()).map_err(XmlError::code), want, "{text}");
        }
        let deep = "<a>".repeat(20_000) + &"</a>".repeat(20_000);
        assert_eq!(read(&deep), Err(XmlError::TooBig("depth")));
    }

    #[test]
    fn characters_are_read_as_declared() {
        let utf16 = |text: &str, big: bool| -> Vec<u8> {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
        };
        let gb = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
        let with = |name: &str| format!("<?xml version=\"1.0\" encoding=\"{name}\"?><a>证照</a>");
        for (bytes, want) in [
            (with("UTF-8").into_bytes(), true),
            (utf16(&with("UTF-16"), true), true),
            (utf16(&with("utf-16le"), false), true),
            (utf16("<a>证照</a>", false), true),
            (gb(&with("GB18030")), true),
            (gb(&with("gb2312")), true),
            (gb("<a>证照</a>"), false),        // nobody says what it is
            (with("GBK").into_bytes(), false), // a reader that believes the declaration sees something else
            (utf16(&with("UTF-8"), true), false),
            (with("UTF-16").into_bytes(), false),
            (gb(&with("Big5")), false),
            ([&utf16("<a>证照</a>", false)[..], &[0]].concat(), false),
            (vec![0xff, 0xfe, 0x00, 0xd8], false), // half of a pair
        ] {
            let got = parse(&bytes, &Limits::default());
            match got {
                Ok(element) => assert!(want && element.text == "证照", "{bytes:02x?}"),
                Err(error) => assert!(!want && error.code() == "XML_ENCODING", "{error} {bytes:02x?}"),
            }
        }
    }

    #[test]
    fn lookups_stay_in_their_parent() {
        let root = read("<s><i x='1'><v>2</v></i><w><i/></w><d/><d/></s>").unwrap();
        assert_eq!(root.one("i").unwrap().field("v").unwrap(), Some("2"));
        assert_eq!(root.one("i").unwrap().field("x").unwrap(), Some("1"));
        assert_eq!(root.one("v").map_err(|e| e.code()), Err("XML_MISSING_ELEMENT"));
        assert_eq!(root.one("d").map_err(|e| e.code()), Err("XML_REPEATED_ELEMENT"));
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, &Limits::default());
        }

        #[test]
        fn no_markup_panics(text in "[<>/a:b='\"&;!\\[\\]\\-? x#0-9]{0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn what_is_escaped_comes_back(text in "[^\\r\\p{C}]{0,40}") {
            let doc = format!("<a b=\"{0}\">{0}</a>", escape(&text));
            let root = read(&doc).unwrap();
            prop_assert_eq!(&root.text, &text);
            prop_assert_eq!(root.attr("b"), Some(text.as_str()));
        }
    }
}
