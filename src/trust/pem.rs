//! PEM (RFC 7468): blocks of base64 between BEGIN and END lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;

/// One block.
pub struct Block {
    pub label: String,
    pub octets: zeroize::Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("PEM: not text")]
    Text,
    #[error("PEM: line {0}: END does not match BEGIN, or is missing")]
    Unbalanced(usize),
    #[error("PEM: block before line {0} is not base64")]
    Base64(usize),
}

/// Editors put it before a text in UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Whether a line of these octets, the first of a file, begins a block. Text that explains it may stand before (RFC 7468 §2).
pub fn begins(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(head);
    head.split(|b| *b == b'\n').any(|line| line.trim_ascii().starts_with(b"-----BEGIN "))
}

/// All blocks of a text; text between blocks is a comment, and blanks in a block say nothing (RFC 7468 §2).
pub fn decode(text: &[u8]) -> Result<Vec<Block>, PemError> {
    let text = std::str::from_utf8(text).map_err(|_| PemError::Text)?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut blocks = Vec::new();
    let mut open: Option<(String, zeroize::Zeroizing<String>)> = None;
    let mut last = 0;
    for (n, line) in text.lines().enumerate() {
        last = n + 1;
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

/// The octets of all blocks of a PEM text with this label, or of one DER file.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes.to_vec()]);
    }
    let blocks = decode(bytes)?;
    Ok(blocks.into_iter().filter(|b| b.label.ends_with("CERTIFICATE")).map(|b| b.octets.to_vec()).collect())
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
}
