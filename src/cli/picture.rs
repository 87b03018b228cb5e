//! A seal's picture on terminals that show pictures. It is handed on as it is, and only after the seal passed: nothing here
//! decodes it.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;

/// How a terminal takes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The graphics protocol of kitty: PNG, in chunks.
    Kitty,
    /// The inline files of iTerm2: PNG, JPEG, GIF.
    Inline,
}

/// Lines of text that a picture takes.
const ROWS: u8 = 8;
/// Longest chunk of base64 in kitty's protocol.
const CHUNK: usize = 4_096;

impl Way {
    /// What the environment says of the terminal; none where something stands between us and it.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let term = variable("TERM").unwrap_or_default();
        if variable("TMUX").is_some() || term.starts_with("screen") || term.starts_with("tmux") {
            return None;
        }
        match variable("TERM_PROGRAM").as_deref() {
            Some("iTerm.app" | "WezTerm") => Some(Self::Inline),
            Some("ghostty") => Some(Self::Kitty),
            _ if term == "xterm-kitty" || variable("KITTY_WINDOW_ID").is_some() => Some(Self::Kitty),
            _ => None,
        }
    }

    /// What to print; none for a picture that this terminal does not take, by its first octets.
    pub fn drawn(self, picture: &[u8]) -> Option<String> {
        let png = picture.starts_with(b"\x89PNG\r\n\x1a\n");
        let other = picture.starts_with(b"\xff\xd8\xff") || picture.starts_with(b"GIF8");
        let text = B64.encode(picture);
        let mut out = String::new();
        match self {
            Self::Kitty if png => {
                let chunks = text.len().div_ceil(CHUNK);
                for n in 0..chunks {
                    let chunk = &text[n * CHUNK..text.len().min((n + 1) * CHUNK)];
                    // q=2: no answer, which would be taken for something typed.
                    let first = if n == 0 { format!("a=T,f=100,r={ROWS},q=2,") } else { String::new() };
                    let _ = write!(out, "\x1b_G{first}m={};{chunk}\x1b\\", u8::from(n + 1 < chunks));
                }
            }
            Self::Inline if png || other => {
                let size = picture.len();
                let _ =
                    write!(out, "\x1b]1337;File=inline=1;size={size};height={ROWS};preserveAspectRatio=1:{text}\x07");
            }
            _ => return None,
        }
        out.push('\n');
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_by_what_they_say() {
        for (variables, want) in [
            (&[("TERM", "xterm-kitty")][..], Some(Way::Kitty)),
            (&[("TERM", "xterm-256color"), ("KITTY_WINDOW_ID", "1")], Some(Way::Kitty)),
            (&[("TERM_PROGRAM", "iTerm.app")], Some(Way::Inline)),
            (&[("TERM_PROGRAM", "WezTerm"), ("TERM", "xterm-256color")], Some(Way::Inline)),
            (&[("TERM", "tmux-256color"), ("TERM_PROGRAM", "WezTerm")], None),
            (&[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux")], None),
            (&[("TERM", "xterm-256color")], None),
            (&[], None),
        ] {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(Way::of(variable), want, "{variables:?}");
        }
    }

    #[test]
    fn pictures_go_out_whole_and_as_they_are() {
        for size in [8, 3_071, 3_072, 3_073, 10_000] {
            let picture: Vec<u8> =
                b"\x89PNG\r\n\x1a\n".iter().copied().chain((0..).map(|n| n as u8)).take(size).collect();
            let drawn = Way::Kitty.drawn(&picture).unwrap();
            let chunks: Vec<_> = drawn.trim_end().split("\x1b\\").filter(|c| !c.is_empty()).collect();
            assert!(chunks[0].starts_with("\x1b_Ga=T,f=100,"));
            let more: Vec<_> = chunks.iter().map(|chunk| chunk.contains("m=1;")).collect();
            assert_eq!(more.iter().filter(|more| !**more).count(), 1, "{size}");
            assert!(!more[more.len() - 1], "{size}");
            let text: String = chunks.iter().map(|chunk| chunk.split_once(';').unwrap().1).collect();
            assert_eq!(B64.decode(text).unwrap(), picture, "{size}");
            let inline = Way::Inline.drawn(&picture).unwrap();
            let (head, text) = inline.trim_end_matches(['\n', '\x07']).split_once(':').unwrap();
            assert!(head.contains(&format!("size={size};")));
            assert_eq!(B64.decode(text).unwrap(), picture, "{size}");
        }
        assert_eq!(Way::Kitty.drawn(b"GIF89a"), None);
        assert!(Way::Inline.drawn(b"GIF89a").is_some());
        for other in [&b""[..], b"PK\x03\x04", b"\x1b]0;title\x07", b"\x89PNG"] {
            assert_eq!((Way::Kitty.drawn(other), Way::Inline.drawn(other)), (None, None));
        }
    }
}
