//! Where the objects of one section are, by their numbers. There may be hundreds of thousands: each takes twelve octets.

use super::PdfError;

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Free,
    At(u64),
    /// In an object stream, by its place there.
    Packed(u32, u32),
}

/// Two bits of kind, and 62 of place: places beyond, and objects beyond the billionth of a stream, are nowhere in any file.
const KIND: u64 = 62;
const BEYOND: u64 = (1 << KIND) - 1;
/// Of the place: the number of the stream above, the place in it below.
const INDEX: u64 = 30;

impl Entry {
    fn to_bits(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::At(at) => 1 << KIND | at.min(BEYOND),
            Self::Packed(stream, index) => {
                2 << KIND | u64::from(stream) << INDEX | u64::from(index).min((1 << INDEX) - 1)
            }
        }
    }

    fn of_bits(bits: u64) -> Self {
        let place = bits & BEYOND;
        match bits >> KIND {
            0 => Self::Free,
            1 => Self::At(place),
            _ => Self::Packed((place >> INDEX) as u32, (place & ((1 << INDEX) - 1)) as u32),
        }
    }
}

/// Number, and the two halves of an entry.
#[derive(Clone, Copy)]
struct Row(u32, u32, u32);

impl Row {
    fn entry(self) -> Entry {
        Entry::of_bits(u64::from(self.1) << 32 | u64::from(self.2))
    }
}

/// The entries of a section, by number.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    /// Puts entries in order.
    ///
    /// # Errors
    /// [`PdfError::TooBig`] for more than `most`, [`PdfError::Structure`] when a number is there twice.
    pub fn read(entries: impl Iterator<Item = Result<(u64, Entry), PdfError>>, most: usize) -> Result<Self, PdfError> {
        let mut rows: Vec<Row> = Vec::new();
        for read in entries {
            let (number, entry) = read?;
            if rows.len() >= most {
                return Err(PdfError::TooBig("objects"));
            }
            let number = u32::try_from(number).map_err(|_| PdfError::TooBig("objects"))?;
            let bits = entry.to_bits();
            rows.push(Row(number, (bits >> 32) as u32, bits as u32));
        }
        rows.shrink_to_fit();
        rows.sort_unstable_by_key(|row| row.0);
        if rows.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(PdfError::Structure("an object twice in one section"));
        }
        Ok(Self(rows))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, number: u32) -> Option<Entry> {
        self.0.binary_search_by_key(&number, |row| row.0).ok().map(|at| self.0[at].entry())
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|row| row.0)
    }

    pub fn highest(&self) -> Option<u32> {
        self.0.last().map(|row| row.0)
    }

    /// Takes from another table what this one does not have, or calls free.
    pub fn fill_from(&mut self, other: &Self) {
        let is_free = |row: &Row| row.entry() == Entry::Free;
        self.0.retain(|row| !is_free(row) || other.get(row.0).is_none());
        let more: Vec<Row> = other.0.iter().filter(|row| self.get(row.0).is_none()).copied().collect();
        self.0.extend(more);
        self.0.sort_unstable_by_key(|row| row.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_as_they_are() {
        use Entry::*;
        for (entry, want) in [
            (Free, Free),
            (At(0), At(0)),
            (At(9_999_999_999), At(9_999_999_999)),
            (At(u64::MAX), At(BEYOND)),
            (Packed(0, 0), Packed(0, 0)),
            (Packed(u32::MAX, 7), Packed(u32::MAX, 7)),
            (Packed(7, u32::MAX), Packed(7, (1 << INDEX) - 1)),
        ] {
            assert_eq!(Entry::of_bits(entry.to_bits()), want, "{entry:?}");
        }
    }

    #[test]
    fn numbers_are_there_once_and_in_order() {
        use Entry::*;
        let read = |entries: &[(u64, Entry)], most| Table::read(entries.iter().map(|entry| Ok(*entry)), most);
        let table = read(&[(7, At(70)), (2, Free), (4, Packed(7, 1))], 3).unwrap();
        assert_eq!(table.numbers().collect::<Vec<_>>(), [2, 4, 7]);
        assert_eq!((table.get(7), table.get(4), table.get(3)), (Some(At(70)), Some(Packed(7, 1)), None));
        assert_eq!((table.len(), table.highest()), (3, Some(7)));
        let refused = |entries: &[(u64, Entry)], most| read(entries, most).err().unwrap();
        assert_eq!(
            refused(&[(7, At(70)), (2, Free), (7, Free)], 9),
            PdfError::Structure("an object twice in one section")
        );
        assert_eq!(refused(&[(7, At(70)), (2, Free)], 1), PdfError::TooBig("objects"));
        assert_eq!(refused(&[(1 << 32, Free)], 1), PdfError::TooBig("objects"));
    }

    #[test]
    fn what_is_free_or_left_out_is_taken_from_the_other() {
        use Entry::*;
        let read = |entries: &[(u64, Entry)]| Table::read(entries.iter().map(|entry| Ok(*entry)), 9).unwrap();
        let mut table = read(&[(1, At(10)), (2, Free), (3, Free)]);
        table.fill_from(&read(&[(1, At(11)), (2, Packed(9, 0)), (5, At(50))]));
        let all: Vec<_> = table.numbers().filter_map(|n| table.get(n).map(|entry| (n, entry))).collect();
        assert_eq!(all, [(1, At(10)), (2, Packed(9, 0)), (3, Free), (5, At(50))]);
    }
}
