//! PEM (RFC 7468): blocks of base64 between BEGIN and END lines; and base64 with no lines around it, as forms and mails carry DER.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;

/// One block.
pub struct Block {
    pub label: String,
    pub octets: zeroize::Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("PEM: line {0}: END does not match BEGIN, or is missing")]
    Unbalanced(usize),
    #[error("PEM: block before line {0} is not base64")]
    Base64(usize),
}

/// Editors put it before a text in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a line of these octets, the first of a file, begins a block. Text that explains it may stand before (RFC 7468 §2).
pub fn begins(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    head.split(|b| *b == b'\n').any(|line| line.trim_ascii().starts_with(b"-----BEGIN "))
}

/// Whether these octets, the first of a file, are base64 of a SEQUENCE with no lines around it. A longer text may still turn out to be
/// something else: [`bare`] says so.
pub fn begins_bare(head: &[u8]) -> bool {
    let plain = plain(head);
    // What ends in the middle of a group of four is looked at as far as it goes.
    let first = plain.get(..plain.len() / 4 * 4).and_then(|whole| B64.decode(whole.get(..4)?).ok());
    plain.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        && first.is_some_and(|first| first.first() == Some(&SEQUENCE))
}

/// What base64 with no lines around it stands for.
///
/// # Errors
/// [`PemError::Base64`] where it is damaged.
pub fn bare(text: &[u8]) -> Result<Vec<u8>, PemError> {
    let line = text.split(|b| *b == b'\n').count();
    B64.decode(&*plain(text)).map_err(|_| PemError::Base64(line))
}

/// What DER of all that is read here begins with.
const SEQUENCE: u8 = 0x30;

/// The text without what lines it up.
fn plain(text: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<u8>>().into()
}

/// All blocks of a text; text between blocks is a comment in whatever encoding has ASCII in it, such as GBK, whose second octets are
/// neither line ends nor hyphens; and blanks in a block say nothing (RFC 7468 §2).
pub fn decode(text: &[u8]) -> Result<Vec<Block>, PemError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut blocks = Vec::new();
    let mut open: Option<(String, zeroize::Zeroizing<String>)> = None;
    let mut last = 0;
    for (n, line) in text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n').enumerate() {
        last = n + 1;
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let marker = |word: &str| line.strip_prefix(word).and_then(|l| l.strip_suffix("-----"));
        if let Some(label) = marker("-----BEGIN ") {
            if open.is_some() {
                return Err(PemError::Unbalanced(last));
            }
            open = Some((label.to_owned(), Default::default()));
        } else if let Some(label) = marker("-----END ") {
            let (begun, body) = open.take().filter(|(begun, _)| begun == label).ok_or(PemError::Unbalanced(last))?;
            let octets = B64.decode(body.as_bytes()).map_err(|_| PemError::Base64(last))?;
            blocks.push(Block { label: begun, octets: octets.into() });
        } else if let Some((_, body)) = &mut open {
            body.extend(line.chars().filter(|c| !matches!(c, ' ' | '\t')));
        }
    }
    if open.is_some() { Err(PemError::Unbalanced(last)) } else { Ok(blocks) }
}

/// One block as text.
pub fn encode(label: &str, octets: &[u8]) -> String {
    let body = B64.encode(octets);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The octets of all blocks of a PEM text whose label `is` good, or of one DER file, also in base64 with no lines around it. None where
/// it is nothing of these.
///
/// # Errors
/// For a text that begins as one of these and is damaged.
pub fn ders(bytes: &[u8], is: &dyn Fn(&str) -> bool) -> Result<Vec<Vec<u8>>, PemError> {
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![bytes.to_vec()]);
    }
    if begins_bare(bytes) {
        return Ok(vec![bare(bytes)?]);
    }
    let blocks = decode(bytes)?;
    Ok(blocks.into_iter().filter(|b| is(&b.label)).map(|b| b.octets.to_vec()).collect())
}

/// The certificates of a file, as [`ders`] reads it.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    ders(bytes, &|label| label.ends_with("CERTIFICATE"))
}

/// The revocation lists of a file, as [`ders`] reads it.
pub fn lists(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    ders(bytes, &|label| label == "X509 CRL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_as_people_and_editors_leave_them() {
        const BASE64: usize = 3;
        for (name, text, want) in [
            ("plain", "-----BEGIN A-----\nAQID\nBA==\n-----END A-----\n", Ok(1)),
            ("lines of Windows", "-----BEGIN A-----\r\nAQID\r\nBA==\r\n-----END A-----\r\n", Ok(1)),
            ("a byte order mark", "\u{feff}-----BEGIN A-----\nAQIDBA==\n-----END A-----", Ok(1)),
            ("explained", "Subject: 测试\n\n-----BEGIN A-----\nAQIDBA==\n-----END A-----\nthe end", Ok(1)),
            ("blanks", " -----BEGIN A----- \n\n AQ ID\n\tBA == \n\n-----END A-----\t\n", Ok(1)),
            (
                "two",
                "-----BEGIN A-----\nAQIDBA==\n-----END A-----\n-----BEGIN B-----\nAQIDBA==\n-----END B-----",
                Ok(2),
            ),
            ("no padding", "-----BEGIN A-----\nAQIDBA\n-----END A-----", Err(PemError::Base64(BASE64))),
            ("bits left over", "-----BEGIN A-----\nAQIDBB==\n-----END A-----", Err(PemError::Base64(BASE64))),
            ("of URLs", "-----BEGIN A-----\nAQ-_BA==\n-----END A-----", Err(PemError::Base64(BASE64))),
            ("full width", "-----BEGIN A-----\nＡＱID\n-----END A-----", Err(PemError::Base64(BASE64))),
            ("another end", "-----BEGIN A-----\nAQIDBA==\n-----END B-----", Err(PemError::Unbalanced(BASE64))),
            ("no end", "-----BEGIN A-----\nAQIDBA==\n", Err(PemError::Unbalanced(2))),
        ] {
            let got = decode(text.as_bytes());
            assert!(begins(text.as_bytes()), "{name}");
            assert_eq!(got.as_ref().map(Vec::len), want.as_ref().copied(), "{name}");
            let all = got.into_iter().flatten().all(|block| *block.octets == [1, 2, 3, 4]);
            assert!(all, "{name}");
        }
        for text in ["", "AQIDBA==", "see -----BEGIN A-----", "----BEGIN A-----", "-----END A-----"] {
            assert!(!begins(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_comment_may_be_in_gbk() {
        let block = b"-----BEGIN A-----\nAQIDBA==\n-----END A-----\n";
        // 证书说明：测试, and octets that GB 18030 does not have.
        for comment in
            [&b"\xd6\xa4\xca\xe9\xcb\xb5\xc3\xf7\xa3\xba\xb2\xe2\xca\xd4"[..], b"\x95\x32\x82\x36", b"\xff\x00\x80"]
        {
            let text = [comment, b"\r\n", block, comment, b"\n", block, comment].concat();
            assert!(begins(&text));
            let all: Vec<_> = decode(&text).unwrap().into_iter().map(|block| block.octets.to_vec()).collect();
            assert_eq!(all, [[1, 2, 3, 4], [1, 2, 3, 4]], "{comment:x?}");
            let within = [&b"-----BEGIN A-----\n"[..], comment, b"\nAQIDBA==\n-----END A-----\n"].concat();
            assert_eq!(decode(&within).err(), Some(PemError::Base64(4)), "no comment within a block: {comment:x?}");
        }
    }

    #[test]
    fn base64_with_no_lines_around_it() {
        let der = b"\x30\x04\x01\x02\x03\x04";
        let read = |text: &[u8]| ders(text, &|label| label == "A");
        for (name, text, want) in [
            ("plain", &b"MAQBAgME"[..], Ok(Some(()))),
            ("lines", b"MAQB\r\nAgME\r\n", Ok(Some(()))),
            ("a byte order mark, and blanks", b"\xef\xbb\xbf\n MAQB AgME\n", Ok(Some(()))),
            ("a block", b"-----BEGIN A-----\nMAQBAgME\n-----END A-----", Ok(Some(()))),
            ("a block of another kind", b"-----BEGIN B-----\nMAQBAgME\n-----END B-----", Ok(None)),
            ("DER", der, Ok(Some(()))),
            ("cut", b"MAQB\nAgM", Err(PemError::Base64(2))),
            ("bits left over", b"MAQBAgMEBR==", Err(PemError::Base64(1))),
            ("of URLs", b"MAQB-_ME", Ok(None)),
            ("no SEQUENCE", b"AQIDBA==", Ok(None)),
            ("words", b"Memorandum", Ok(None)),
            ("more than one", b"MAQBAgME=MAQBAgME", Err(PemError::Base64(1))),
            ("nothing", b"", Ok(None)),
        ] {
            let got = read(text);
            let good = got.as_ref().map(|all| all.first().map(|one| assert_eq!(one, der, "{name}")));
            assert_eq!(good, want.as_ref().copied(), "{name}");
        }
        for (head, want) in
            [("MIIC", true), ("MIICx", true), ("\n MA", false), ("MIIC\u{0}", false), ("MIIC 证", false)]
        {
            assert_eq!(begins_bare(head.as_bytes()), want, "{head}");
        }
    }
}
