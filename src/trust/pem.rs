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

/// All blocks of a text; text between blocks is a comment.
pub fn decode(text: &[u8]) -> Result<Vec<Block>, PemError> {
    let text = std::str::from_utf8(text).map_err(|_| PemError::Text)?;
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
            body.push_str(line);
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
