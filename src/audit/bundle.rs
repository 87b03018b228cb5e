//! Entry bundles (C2SP tlog-tiles): up to 256 entries, each behind its length in two bytes, big-endian.

/// Longest entry a bundle can hold, in bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// Appends one entry. `false`, and nothing appended, when it is longer than [`MAX_ENTRY`].
#[must_use]
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(len) = u16::try_from(entry.len()) else { return false };
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle; `None` unless the bytes are exactly `width` entries.
pub fn parse(bytes: &[u8], width: u16) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(usize::from(width).min(256));
    let mut rest = bytes;
    for _ in 0..width {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        entries.push(entry);
        rest = tail;
    }
    rest.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bundles_open_as_they_were_made(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..256)) {
            let mut bundle = Vec::new();
            prop_assert!(entries.iter().all(|entry| push(&mut bundle, entry)));
            prop_assert_eq!(parse(&bundle, entries.len() as u16).unwrap(), entries);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, width: u16) {
            let _ = parse(&bytes, width);
        }
    }

    #[test]
    fn an_entry_of_64_kib_has_no_place() {
        let mut bundle = Vec::new();
        assert!(!push(&mut bundle, &[0; 65_536]) && bundle.is_empty());
        assert!(push(&mut bundle, &[0; 65_535]));
    }
}
