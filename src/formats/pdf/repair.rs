//! What a program shows that repairs a file. Many do as soon as a table is not quite as they want it: they look for objects
//! themselves, wherever the words are, and the last one of a number wins. After a signature nothing may be found so that the tables
//! do not name, and no table may be such that anybody repairs it.
//!
//! ```text
//!  after the signed octets   12 0 obj … endobj   xref … trailer << … >>   startxref … %%EOF
//!                            │                   │      │                 └─ at the very end
//!                            └─ where a table    │      └─ of a section, /Size, /Root as it was
//!                               says it is       └─ as §7.5.4 writes it
//! ```
//! What the signer signed may have objects that nothing names: they are shown to nobody while nobody has to repair anything.

use std::ops::RangeInclusive;

use super::PdfError;
use super::document::{Document, Section};
use super::lex::{Object, is_blank};
use super::table::Entry;
use crate::formats::zip::Source;

/// Octets looked through at once, and how many of them once more with the next: what stands before a word belongs to it.
const PIECE: usize = 1 << 20;
const BEFORE: usize = 256;
/// How far from the end programs look for `startxref`, in octets.
const END_WITHIN: u64 = 1_024;
/// Most blanks between the place that a table names and the object.
const BLANKS: u64 = 16;

impl<S: Source> Document<S> {
    /// Whether the file ends where its last section says, so that everybody finds it.
    pub(super) fn ends_plainly(&self) -> Result<bool, PdfError> {
        let from = self.size.saturating_sub(END_WITHIN);
        let mut tail = vec![0; (self.size - from) as usize];
        self.source.read_at(from, &mut tail)?;
        let word = b"startxref";
        let Some(at) = memchr::memmem::rfind(&tail, word) else { return Ok(false) };
        let place = tail[at + word.len()..].trim_ascii_start();
        let digits = place.iter().take_while(|b| b.is_ascii_digit()).count();
        let rest = place[digits..].trim_ascii_start();
        let rest = rest.strip_prefix(b"%%EOF").unwrap_or(rest);
        Ok(digits > 0 && rest.iter().all(|b| is_blank(*b)))
    }

    /// What a program that repairs the file would find after `end` that the tables do not name, or why it would repair it. The
    /// sections up to `signed` were made since.
    pub(super) fn repaired(&self, signed: usize, end: u64) -> Result<Option<&'static str>, PdfError> {
        let (later, root) = (&self.sections[..signed], self.sections[signed].trailer.get(&b"Root"[..]));
        for section in later {
            let size = section.trailer.get(&b"Size"[..]).and_then(Object::integer).unwrap_or(0);
            let fits = section.entries.highest().is_none_or(|highest| u64::from(highest) < size);
            if !fits || section.trailer.get(&b"Root"[..]) != root || !self.is_plain(section)? {
                return Ok(Some("a table that programs repair"));
            }
        }
        let mut places: Vec<u64> = later.iter().flat_map(Section::streams).collect();
        for section in later {
            for number in section.entries.numbers() {
                let Some(Entry::At(at)) = section.entries.get(number) else { continue };
                places.push(at);
                if matches!(self.entry(number, u64::MAX), Some(Entry::At(newest)) if newest < at) {
                    return Ok(Some("an object behind the one that counts"));
                }
                if let Some(why) = self.is_another(section, number, at)? {
                    return Ok(Some(why));
                }
            }
        }
        places.sort_unstable();
        let trailers: Vec<u64> = later.iter().filter_map(|section| section.trailer_at).collect();
        self.look_through(end, &places, &trailers)
    }

    /// Whether a table is written as everybody reads it.
    fn is_plain(&self, section: &Section) -> Result<bool, PdfError> {
        let Some(trailer_at) = section.trailer_at else { return Ok(true) };
        let mut text = vec![0; trailer_at.saturating_sub(section.at) as usize];
        self.source.read_at(section.at, &mut text)?;
        Ok(is_plain_table(&text))
    }

    /// What speaks against one object: it is of another generation than its table says, a table or a catalog that nobody asks for, or
    /// holds objects that are not listed.
    fn is_another(&self, section: &Section, number: u32, at: u64) -> Result<Option<&'static str>, PdfError> {
        let told = section.generations.iter().find(|(n, _)| *n == number).map_or(0, |(_, generation)| *generation);
        let (object, generation) = self.object_at(number, at)?;
        if generation != told {
            return Ok(Some("an object of another generation than its table says"));
        }
        let Some(dictionary) = object.dictionary() else { return Ok(None) };
        Ok(match dictionary.get(&b"Type"[..]).and_then(Object::name) {
            Some(b"XRef") if !self.sections.iter().flat_map(Section::streams).any(|place| place == at) => {
                Some("a table that is none")
            }
            Some(b"Catalog") if !self.is_root(number) => Some("another catalog"),
            Some(b"ObjStm") => {
                let listed = self.numbers_in(number, at)?;
                let named = |(index, inside): (usize, u32)| {
                    u32::try_from(index)
                        .is_ok_and(|index| section.entries.get(inside) == Some(Entry::Packed(number, index)))
                };
                (!listed.into_iter().enumerate().all(named)).then_some("objects that no table names")
            }
            _ => None,
        })
    }

    fn is_root(&self, number: u32) -> bool {
        let root = self.sections.first().and_then(|section| section.trailer.get(&b"Root"[..]));
        matches!(root, Some(Object::Reference(root, _)) if *root == number)
    }

    /// Looks for the words by which a repair goes.
    fn look_through(&self, end: u64, places: &[u64], trailers: &[u64]) -> Result<Option<&'static str>, PdfError> {
        let mut from = end.saturating_sub(BEFORE as u64);
        while from < self.size {
            let mut piece = vec![0; (self.size - from).min((PIECE + BEFORE) as u64) as usize];
            self.source.read_at(from, &mut piece)?;
            let after = |at: usize| from + at as u64 >= end;
            for at in memchr::memmem::find_iter(&piece, b"obj").filter(|at| after(*at)) {
                let head = head_before(&piece, at);
                if head.is_some_and(|head| !is_named(&piece[..head], from, places)) {
                    return Ok(Some("an object that no table names"));
                }
            }
            let word = b"trailer";
            for at in memchr::memmem::find_iter(&piece, word).map(|at| at + word.len()).filter(|at| after(*at)) {
                let next = piece[at..].trim_ascii_start();
                if (next.starts_with(b"<<") || next.starts_with(b"%")) && !trailers.contains(&(from + at as u64)) {
                    return Ok(Some("a trailer of no section"));
                }
            }
            from += PIECE as u64;
        }
        Ok(None)
    }
}

/// Where the number of an object begins whose `obj` stands at a place: number, generation, and blanks between them, or comments. In a
/// comment, too: who looks for words does not always know what is one.
fn head_before(octets: &[u8], obj: usize) -> Option<usize> {
    let head = |before: &dyn Fn(usize) -> usize| {
        let generation = digits_before(octets, before(obj))?;
        let gap = before(generation);
        if gap == generation { None } else { digits_before(octets, gap) }
    };
    head(&|end| blanks_before(octets, end)).or_else(|| head(&|end| comments_before(octets, end)))
}

fn digits_before(octets: &[u8], end: usize) -> Option<usize> {
    let digits = octets[..end].iter().rev().take_while(|b| b.is_ascii_digit()).count();
    (digits > 0).then_some(end - digits)
}

fn blanks_before(octets: &[u8], end: usize) -> usize {
    end - octets[..end].iter().rev().take_while(|b| is_blank(**b)).count()
}

fn comments_before(octets: &[u8], mut end: usize) -> usize {
    loop {
        end = blanks_before(octets, end);
        let line = octets[..end].iter().rposition(|b| matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
        match octets[line..end].iter().position(|b| *b == b'%') {
            Some(comment) => end = line + comment,
            None => return end,
        }
    }
}

/// Whether a table names the place right behind these octets, the first of which stands at `from`, or one before it with blanks between.
fn is_named(before: &[u8], from: u64, places: &[u64]) -> bool {
    let at = from + before.len() as u64;
    let blanks = before.iter().rev().take_while(|b| is_blank(**b)).count() as u64;
    let first = at - blanks.min(BLANKS);
    places[places.partition_point(|place| *place < first)..].first().is_some_and(|place| *place <= at)
}

/// `xref`, runs of entries of twenty octets each, `trailer` (§7.5.4). A line end may have an octet less or more than it should.
fn is_plain_table(text: &[u8]) -> bool {
    let Some(mut rest) = text.trim_ascii_start().strip_prefix(b"xref").and_then(line_end) else { return false };
    while rest != b"trailer" {
        let Some(run) = run(rest) else { return false };
        rest = run;
    }
    true
}

/// What follows a run: `first count`, and so many entries.
fn run(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = digits(text, 1..=10)?;
    let (count, rest) = digits(rest.strip_prefix(b" ")?, 1..=10)?;
    let count: u64 = std::str::from_utf8(count).ok()?.parse().ok()?;
    (0..count).try_fold(line_end(rest)?, |rest, _| entry(rest))
}

fn entry(text: &[u8]) -> Option<&[u8]> {
    let (_, rest) = digits(text, 10..=10)?;
    let (_, rest) = digits(rest.strip_prefix(b" ")?, 5..=5)?;
    let rest = rest.strip_prefix(b" ")?;
    line_end(rest.strip_prefix(b"n").or_else(|| rest.strip_prefix(b"f"))?)
}

fn digits(text: &[u8], many: RangeInclusive<usize>) -> Option<(&[u8], &[u8])> {
    let n = text.iter().take_while(|b| b.is_ascii_digit()).count();
    many.contains(&n).then(|| text.split_at(n))
}

/// What follows blanks with a line end among them.
fn line_end(text: &[u8]) -> Option<&[u8]> {
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\r' | b'\n')).count();
    let (end, rest) = text.split_at(blanks);
    end.iter().any(|b| *b != b' ').then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_objects_are_found_whatever_stands_between() {
        for (text, want) in [
            ("12 0 obj", Some(0)),
            ("\n12 0 obj", Some(1)),
            ("x 12\t\n0\robj", Some(2)),
            ("12 0obj", Some(0)),
            ("12 %c\n0 obj", Some(0)),
            ("12 0 %a\n%b obj\n obj", Some(0)),
            ("12obj", None),
            ("0 obj", None),
            ("12 0 endobj", None),
            ("/12 0 Kobj", None),
            ("%12 0 obj", Some(1)),
            ("obj", None),
        ] {
            let obj = text.rfind("obj").unwrap();
            assert_eq!(head_before(text.as_bytes(), obj), want, "{text}");
        }
    }

    #[test]
    fn tables_as_everybody_reads_them_and_as_some_repair_them() {
        for (text, want) in [
            ("xref\n0 1\n0000000000 65535 f \ntrailer", true),
            ("\nxref\r\n0 1\r\n0000000000 65535 f\r\n7 1\r\n0000000017 00001 n\r\ntrailer", true),
            ("xref \n0 0\ntrailer", true),
            ("xref\ntrailer", true),
            ("xref\n\n7 2\n0000000017 00000 n\n0000000018 00000 n \r\ntrailer", true),
            ("xref 7 1\n0000000017 00000 n\r\ntrailer", false),
            ("xref\n 7 1\n0000000017 00000 n\r\ntrailer", true), // the blank belongs to the line end
            ("xref\n7  1\n0000000017 00000 n\r\ntrailer", false),
            ("xref\n7 1 %c\n0000000017 00000 n\r\ntrailer", false),
            ("xref\n7 1\n17 00000 n\r\ntrailer", false),
            ("xref\n7 1\n0000000017 0 n\r\ntrailer", false),
            ("xref\n7 1\n0000000017 00000 x\r\ntrailer", false),
            ("xref\n7 1\n0000000017 00000 n trailer", false),
            ("xref\n7 2\n0000000017 00000 n\r\ntrailer", false),
            ("xref\n7 1\n0000000017 00000 n\r\n0000000018 00000 n\r\ntrailer", false),
        ] {
            assert_eq!(is_plain_table(text.as_bytes()), want, "{text:?}");
        }
    }
}
