//! Streams of tables and objects: Flate with or without a predictor (§7.4.4).

use std::io::Read;

use super::PdfError;
use super::lex::{Dictionary, Object};

/// Unpacks a stream whose dictionary is `dictionary`, to `most` octets.
pub fn decode(dictionary: &Dictionary, packed: Vec<u8>, most: u64) -> Result<Vec<u8>, PdfError> {
    let first = |key: &[u8]| match dictionary.get(key) {
        Some(Object::Array(all)) if all.len() == 1 => Ok(Some(all[0].clone())),
        Some(Object::Array(all)) if all.is_empty() => Ok(None),
        Some(Object::Array(_)) => Err(PdfError::Filter),
        Some(Object::Null) | None => Ok(None),
        Some(other) => Ok(Some(other.clone())),
    };
    match first(b"Filter")? {
        None => return Ok(packed),
        Some(Object::Name(name)) if name == b"FlateDecode" || name == b"Fl" => {}
        Some(_) => return Err(PdfError::Filter),
    }
    let mut out = Vec::new();
    let read = flate2::read::ZlibDecoder::new(&packed[..]).take(most + 1).read_to_end(&mut out);
    if out.len() as u64 > most {
        return Err(PdfError::TooBig("a stream"));
    }
    drop(packed);
    read.map_err(|_| PdfError::Structure("a stream that does not unpack"))?;
    let Some(parameters) = first(b"DecodeParms")? else { return Ok(out) };
    let parameters = parameters.dictionary().ok_or(PdfError::Filter)?;
    let number = |key: &[u8], default: u64| match parameters.get(key) {
        None => Ok(default),
        Some(value) => value.integer().ok_or(PdfError::Filter),
    };
    match number(b"Predictor", 1)? {
        1 => Ok(out),
        10..=15 if number(b"Colors", 1)? == 1 && number(b"BitsPerComponent", 8)? == 8 => {
            rows(out, usize::try_from(number(b"Columns", 1)?).map_err(|_| PdfError::Filter)?)
        }
        _ => Err(PdfError::Filter),
    }
}

/// Takes the differences of PNG rows back, in place: a row without its first octet is shorter.
fn rows(mut octets: Vec<u8>, columns: usize) -> Result<Vec<u8>, PdfError> {
    if columns == 0 || columns > 1 << 16 || !octets.len().is_multiple_of(columns + 1) {
        return Err(PdfError::Structure("rows of a predictor"));
    }
    let (mut above, mut line) = (vec![0u8; columns], vec![0u8; columns]);
    let count = octets.len() / (columns + 1);
    for row in 0..count {
        let from = row * (columns + 1);
        let kind = octets[from];
        line.copy_from_slice(&octets[from + 1..][..columns]);
        for n in 0..columns {
            let (left, up, corner) = if n == 0 { (0, above[0], 0) } else { (line[n - 1], above[n], above[n - 1]) };
            let guess = match kind {
                0 => 0,
                1 => left,
                2 => up,
                3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
                4 => paeth(left, up, corner),
                _ => return Err(PdfError::Structure("rows of a predictor")),
            };
            line[n] = line[n].wrapping_add(guess);
        }
        octets[row * columns..][..columns].copy_from_slice(&line);
        std::mem::swap(&mut above, &mut line);
    }
    octets.truncate(count * columns);
    Ok(octets)
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let estimate = a + b - c;
    let (da, db, dc) = ((estimate - a).abs(), (estimate - b).abs(), (estimate - c).abs());
    if da <= db && da <= dc {
        left
    } else if db <= dc {
        up
    } else {
        corner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_row_is_taken_back() {
        // Each row is 1 2 3 after unpacking, whatever it was packed by.
        let packed = [0, 1, 2, 3, 1, 1, 1, 1, 2, 0, 0, 0, 3, 1, 1, 1, 4, 0, 0, 0];
        let got = rows(packed.to_vec(), 3).unwrap();
        assert_eq!(got.chunks(3).take(3).collect::<Vec<_>>(), [[1, 2, 3]; 3]);
        assert_eq!(&got[9..12], [1, 2, 3]); // 1 + (0+1)/2 = 1, 1 + (1+2)/2 = 2, 1 + (2+3)/2 = 3
        assert_eq!(&got[12..], [1, 2, 3]);
        for (octets, columns) in [(&packed[1..], 3), (&[5, 1], 1), (&[0], 0)] {
            assert!(rows(octets.to_vec(), columns).is_err(), "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn no_stream_panics(octets in prop::collection::vec(any::<u8>(), 0..100), columns in 0usize..20) {
            let _ = rows(octets.clone(), columns);
            let flate = Dictionary::from([(b"Filter".to_vec(), Object::Name(b"FlateDecode".to_vec()))]);
            let _ = decode(&flate, octets, 1 << 20);
        }
    }
}
