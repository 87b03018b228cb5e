//! k·G for a secret k, of which a signature shows x only.
//!
//! k is read in 64 windows of four bits. The table holds 1 to 15 times 16^i·G for each; every entry of a window's row is read,
//! whatever its digit. The sum so far is less than 16^i times G, what is added is at least that much, and both together are at
//! most k < n: so they are never equal, never opposite, and [`Point::plus_different`] has no exception to meet.

use std::hint::black_box;
use std::sync::LazyLock;

use crate::field::Fe;
use crate::point::{Affine, G, Point, limbs, to_affine};

const WINDOWS: usize = 64;
const ENTRIES: usize = 15;

/// 61 kB, public.
static OF_G: LazyLock<Vec<Affine>> = LazyLock::new(|| {
    let (mut all, mut base) = (Vec::with_capacity(WINDOWS * ENTRIES), Point::from(G));
    for _ in 0..WINDOWS {
        let (step, mut multiple) = (base.cached(), base);
        for _ in 0..ENTRIES {
            all.push(multiple);
            multiple = multiple.plus_cached(&step, false);
        }
        base = multiple;
    }
    to_affine(&all)
});

/// All ones where two small numbers are equal, else zero. The compiler is kept from making a branch of it.
#[inline(always)]
fn equal(a: u64, b: u64) -> u64 {
    black_box(0u64.wrapping_sub((a ^ b).wrapping_sub(1) >> 63))
}

/// x of k·G, most significant octet first, in a time that does not depend on k.
///
/// k, of the same form, must be from 1 to n − 1; for other numbers the result means nothing.
pub fn base_x(k: &[u8; 32]) -> [u8; 32] {
    let k = limbs(k);
    let mut sum = Point { x: Fe::ZERO, y: Fe::ZERO, z: Fe::ZERO };
    let mut nothing_yet = u64::MAX;
    for (i, row) in OF_G.chunks_exact(ENTRIES).enumerate() {
        let digit = k[i / 16] >> (4 * (i % 16)) & 15;
        let mut entry = Affine { x: Fe::ZERO, y: Fe::ZERO };
        for (multiple, other) in (1..).zip(row) {
            let mask = equal(digit, multiple);
            entry.x.gather(mask, &other.x);
            entry.y.gather(mask, &other.y);
        }
        let added = Point::select(nothing_yet, entry.into(), sum.plus_different(&entry));
        let skip = equal(digit, 0);
        sum = Point::select(skip, sum, added);
        nothing_yet &= skip;
    }
    let x = sum.x.mul(sum.z.square().invert()).limbs();
    let mut octets = [0; 32];
    for (out, limb) in octets.rchunks_exact_mut(8).zip(x) {
        out.copy_from_slice(&limb.to_be_bytes());
    }
    octets
}
