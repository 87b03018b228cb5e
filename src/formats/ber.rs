//! BER whose lengths are not told (X.690 §8.1.3.6), as encoders that write while they sign leave it in SignedData.
//!
//! ```text
//!  30 80 … 00 00 ─definite─▶ 30 len …        24 80 04 02 ab cd 04 01 ef 00 00 ─▶ 04 03 ab cd ef
//! ```
//! RFC 5652 lets the frame of a signed object be BER; what is signed in it is DER, and stays as it was, octet for octet.

use super::der::{DerError, tag, write};

/// Deepest nesting; a SignedData with a time-stamp has some twenty.
const DEPTH: usize = 40;
/// Most elements looked at: each is remembered until what it stands in has ended.
const ELEMENTS: usize = 100_000;
/// An OCTET STRING in pieces.
const PIECES: u8 = tag::OCTET_STRING | CONSTRUCTED;
const CONSTRUCTED: u8 = 0x20;
const END: [u8; 2] = [0, 0];

/// The first element of `octets` with all lengths told and all OCTET STRINGs whole, and how many octets it took. Elements
/// that have nothing of the kind inside are copied as they are, whatever they are.
///
/// # Errors
/// [`DerError`] where an element is cut short, or nested deeper than any real one.
pub fn definite(octets: &[u8]) -> Result<(Vec<u8>, usize), DerError> {
    let mut reader = octets;
    let mut left = ELEMENTS;
    let element = one(&mut reader, 0, &mut left)?;
    Ok((element.into_octets(), octets.len() - reader.len()))
}

enum Read<'a> {
    AsItWas(&'a [u8]),
    Changed(Vec<u8>),
}

impl Read<'_> {
    fn octets(&self) -> &[u8] {
        match self {
            Self::AsItWas(octets) => octets,
            Self::Changed(octets) => octets,
        }
    }

    fn into_octets(self) -> Vec<u8> {
        match self {
            Self::AsItWas(octets) => octets.to_vec(),
            Self::Changed(octets) => octets,
        }
    }
}

fn one<'a>(reader: &mut &'a [u8], depth: usize, left: &mut usize) -> Result<Read<'a>, DerError> {
    *left = left.checked_sub(1).ok_or(DerError::Length)?;
    if depth > DEPTH {
        return Err(DerError::Length);
    }
    let octets = *reader;
    let (&tag, &first) = (octets.first().ok_or(DerError::Short)?, octets.get(1).ok_or(DerError::Short)?);
    if tag & 0x1f == 0x1f {
        return Err(DerError::Tag);
    }
    let constructed = tag & CONSTRUCTED != 0;
    if first == 0x80 {
        if !constructed {
            return Err(DerError::Length);
        }
        let mut inside = &octets[2..];
        let mut parts = Vec::new();
        while !inside.starts_with(&END) {
            parts.push(one(&mut inside, depth + 1, left)?);
        }
        *reader = &inside[END.len()..];
        return joined(tag, &parts).map(Read::Changed);
    }
    let (head, length) = length(octets, first)?;
    let end = head.checked_add(length).ok_or(DerError::Length)?;
    let full = octets.get(..end).ok_or(DerError::Short)?;
    *reader = &octets[end..];
    if !constructed {
        return Ok(Read::AsItWas(full));
    }
    let (mut inside, mut parts) = (&full[head..], Vec::new());
    while !inside.is_empty() {
        match one(&mut inside, depth + 1, left) {
            Ok(part) => parts.push(part),
            Err(error) if *left == 0 => return Err(error),
            // Not ours to judge: who reads on will say what is wrong with it.
            Err(_) => return Ok(Read::AsItWas(full)),
        }
    }
    if tag == PIECES || parts.iter().any(|part| matches!(part, Read::Changed(_))) {
        joined(tag, &parts).map(Read::Changed)
    } else {
        Ok(Read::AsItWas(full))
    }
}

fn length(octets: &[u8], first: u8) -> Result<(usize, usize), DerError> {
    match first {
        0..=0x7f => Ok((2, usize::from(first))),
        0x81..=0x84 => {
            let n = usize::from(first & 0x7f);
            let bytes = octets.get(2..2 + n).ok_or(DerError::Short)?;
            Ok((2 + n, bytes.iter().fold(0usize, |all, b| all << 8 | usize::from(*b))))
        }
        _ => Err(DerError::Length),
    }
}

/// The parts in one element, each copied once.
fn joined(tag: u8, parts: &[Read<'_>]) -> Result<Vec<u8>, DerError> {
    if tag != PIECES {
        return Ok(whole(tag, parts.iter().map(Read::octets)));
    }
    let piece = |part: &Read<'_>| super::der::only(part.octets()).is_ok_and(|piece| piece.tag == tag::OCTET_STRING);
    if !parts.iter().all(piece) {
        return Err(DerError::Unexpected { wanted: tag::OCTET_STRING, found: PIECES });
    }
    // What stands before the content has been read just now.
    let content = |part| super::der::only(Read::octets(part)).map_or(&[][..], |piece| piece.content);
    Ok(whole(tag::OCTET_STRING, parts.iter().map(content)))
}

fn whole<'a>(tag: u8, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let length = parts.clone().map(<[u8]>::len).sum();
    let mut out = write::head(tag, length);
    parts.for_each(|part| out.extend_from_slice(part));
    out
}

/// The same object as a streaming encoder writes it: no constructed element of the first `levels` tells its length, and
/// OCTET STRINGs among them are in pieces.
#[cfg(test)]
pub fn streamed(der: &[u8], levels: usize) -> Vec<u8> {
    let mut reader = super::der::Reader::new(der);
    let mut out = Vec::new();
    while !reader.is_empty() {
        let element = reader.element().unwrap();
        if levels == 0 || element.tag & CONSTRUCTED == 0 && element.tag != tag::OCTET_STRING {
            out.extend_from_slice(element.full);
            continue;
        }
        if element.tag == tag::OCTET_STRING {
            out.extend([PIECES, 0x80]);
            element.content.chunks(20).for_each(|piece| out.extend(write::octet_string(piece)));
        } else {
            out.extend([element.tag, 0x80]);
            out.extend(streamed(element.content, levels - 1));
        }
        out.extend(END);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_told() {
        for (name, from, want) in [
            ("nothing to do", &[0x30, 3, 2, 1, 5][..], Ok(&[0x30, 3, 2, 1, 5][..])),
            ("an empty one", &[0x30, 0x80, 0, 0], Ok(&[0x30, 0])),
            ("one in one", &[0x30, 0x80, 0xa0, 0x80, 2, 1, 5, 0, 0, 0, 0], Ok(&[0x30, 5, 0xa0, 3, 2, 1, 5])),
            ("below a told length", &[0x30, 6, 0x31, 0x80, 5, 0, 0, 0], Ok(&[0x30, 4, 0x31, 2, 5, 0])),
            ("in pieces", &[0x24, 0x80, 4, 1, 7, 4, 2, 8, 9, 0, 0], Ok(&[4, 3, 7, 8, 9])),
            ("pieces of pieces", &[0x24, 0x80, 0x24, 3, 4, 1, 7, 4, 1, 8, 0, 0], Ok(&[4, 2, 7, 8])),
            ("in pieces, length told", &[0x24, 3, 4, 1, 7], Ok(&[4, 1, 7])),
            ("odd below a told length", &[0x30, 3, 2, 9, 5], Ok(&[0x30, 3, 2, 9, 5])),
            ("a primitive without length", &[0x04, 0x80, 0, 0], Err(DerError::Length)),
            ("no end", &[0x30, 0x80, 2, 1, 5], Err(DerError::Short)),
            ("half an end", &[0x30, 0x80, 0], Err(DerError::Short)),
            (
                "a piece of another type",
                &[0x24, 0x80, 2, 1, 7, 0, 0],
                Err(DerError::Unexpected { wanted: 4, found: 0x24 }),
            ),
        ] {
            let got = definite(from);
            assert_eq!(got.as_ref().map(|(der, _)| der.as_slice()), want.as_ref().copied(), "{name}");
            assert!(got.is_err() || definite(from).unwrap().1 == from.len(), "{name}");
        }
        let deep = [0x30, 0x80].repeat(200_000);
        assert_eq!(definite(&deep), Err(DerError::Length));
        assert_eq!(definite(&[0x30, 0x80, 0, 0, 0, 0]).unwrap(), (vec![0x30, 0], 4));
        let many = |n: usize| [&[0x30, 0x80][..], &[5, 0].repeat(n), &END].concat();
        assert!(definite(&many(ELEMENTS - 1)).is_ok());
        assert_eq!(definite(&many(ELEMENTS)), Err(DerError::Length));
    }

    proptest! {
        #[test]
        fn no_input_panics(octets in proptest::collection::vec(prop_oneof![Just(0u8), Just(0x24), Just(0x30), Just(0x80), any::<u8>()], 0..200)) {
            if let Ok((der, used)) = definite(&octets) {
                prop_assert!(used <= octets.len() && der.len() <= octets.len() * 3);
            }
        }
    }
}
