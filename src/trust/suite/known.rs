//! Keys met often: seal makers, issuers, the gateways next door. Each gets a table, and verifies three times as fast.
//!
//! A table costs what five verifications do, so it is made at the eighth meeting; whoever sends ever new keys gets none.
//! Public data only.

use std::sync::{Arc, Mutex};

use tongban_curve::point::Affine;
use tongban_curve::verify::Table;

use super::sm2_suite::{IDENTITY, z_a};

/// Meetings before a table is worth its making.
const OFTEN: u32 = 8;
/// Keys remembered; with all tables made they take 3.5 MB.
const MOST: usize = 64;
/// 52 additions a signature and 53 kB: one more bit would double the size and save a tenth of the time.
const WIDTH: usize = 5;

/// A key with its table, and what stands for it before a message under the default identity.
pub(super) struct Known {
    pub table: Table,
    pub z_a: [u8; 32],
}

struct Seen {
    point: [u8; 65],
    times: u32,
    /// The count of all meetings at the last one with this key.
    last: u64,
    known: Option<Arc<Known>>,
}

#[derive(Default)]
struct Memory {
    meetings: u64,
    seen: Vec<Seen>,
}

static MEMORY: Mutex<Memory> = Mutex::new(Memory { meetings: 0, seen: Vec::new() });

/// Counts one use of a key, and gives its table once it has one.
pub(super) fn meet(point: &[u8]) -> Option<Arc<Known>> {
    let point: &[u8; 65] = point.try_into().ok()?;
    let times = {
        let mut memory = MEMORY.lock().unwrap_or_else(|e| e.into_inner());
        let seen = memory.note(point);
        if seen.known.is_some() {
            return seen.known.clone();
        }
        seen.times
    };
    if times != OFTEN {
        return None;
    }
    // Outside the lock: others verify meanwhile.
    let known = Arc::new(Known { table: Table::new(&Affine::from_octets(point)?, WIDTH), z_a: z_a(IDENTITY, point)? });
    let mut memory = MEMORY.lock().unwrap_or_else(|e| e.into_inner());
    memory.note(point).known = Some(known.clone());
    Some(known)
}

impl Memory {
    fn note(&mut self, point: &[u8; 65]) -> &mut Seen {
        self.meetings += 1;
        let at = match self.seen.iter().position(|seen| seen.point == *point) {
            Some(at) => at,
            None if self.seen.len() < MOST => {
                self.seen.push(Seen { point: *point, times: 0, last: 0, known: None });
                self.seen.len() - 1
            }
            None => {
                // Makes room in place of the key not met for longest.
                let oldest = self.seen.iter().enumerate().min_by_key(|(_, seen)| seen.last).map_or(0, |(at, _)| at);
                self.seen[oldest] = Seen { point: *point, times: 0, last: 0, known: None };
                oldest
            }
        };
        let seen = &mut self.seen[at];
        seen.times = seen.times.saturating_add(1);
        seen.last = self.meetings;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_not_met_for_longest_makes_room() {
        let key = |n: usize| {
            let mut point = [4; 65];
            point[1..9].copy_from_slice(&n.to_be_bytes());
            point
        };
        let mut memory = Memory::default();
        for n in 0..MOST {
            assert_eq!(memory.note(&key(n)).times, 1);
        }
        assert_eq!(memory.note(&key(0)).times, 2);
        assert_eq!(memory.note(&key(MOST)).times, 1);
        assert_eq!(memory.seen.len(), MOST);
        assert_eq!(memory.note(&key(0)).times, 3, "met lately: kept");
        assert_eq!(memory.note(&key(1)).times, 1, "forgotten, and begun again");
    }

    #[test]
    fn no_point_of_the_curve_no_table() {
        let point = [9; 65];
        assert!((0..2 * OFTEN).all(|_| meet(&point).is_none()));
    }
}
