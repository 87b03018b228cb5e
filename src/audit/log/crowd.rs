//! Whether the writer waits a moment for those who are about to come back.

use std::time::Duration;

/// The last batch, which tells how many callers there are.
#[derive(Default)]
pub(super) struct Crowd {
    pub entries: usize,
    /// Of its write and sync.
    pub took: Duration,
}

impl Crowd {
    /// Below so many nobody is waited for.
    const FEW: usize = 8;
    /// Longest wait.
    const LONGEST: Duration = Duration::from_micros(250);

    /// How long to wait for the others, where fewer than before are there: a sync for those who were a little faster costs
    /// all of them more than a quarter of one.
    pub fn moment(&self, waiting: usize) -> Option<Duration> {
        let is_crowd = self.entries >= Self::FEW && waiting < self.entries;
        is_crowd.then(|| (self.took / 4).min(Self::LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_waited_for_and_a_few_are_not() {
        let micros = Duration::from_micros;
        #[rustfmt::skip]
        let table = [
            ("nothing was written yet",     0,  0,       1,  None),
            ("one caller, one after another", 1,  300,   1,  None),
            ("seven callers, one is back",  7,  300,     1,  None),
            ("eight callers, one is back",  8,  300,     1,  Some(75)),
            ("most of a crowd is back",     64, 300,     63, Some(75)),
            ("all of a crowd is back",      64, 300,     64, None),
            ("more than before",            64, 300,     65, None),
            ("a disk that takes long",      64, 20_000,  1,  Some(250)),
        ];
        for (name, entries, took, waiting, expected) in table {
            let crowd = Crowd { entries, took: micros(took) };
            assert_eq!(crowd.moment(waiting), expected.map(micros), "{name}");
        }
    }
}
