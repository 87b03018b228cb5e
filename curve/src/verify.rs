//! The equation of a verification (GB/T 32918.2 §7): s·G + t·P, with t = r + s.
//!
//! ```text
//!  a key met now and then   t by digits of width 6 over multiples of P made for the occasion, s by digits of width 10 over
//!                           multiples of G that are there: the 256 doublings are for both
//!  a key met often          t by the key's own table, s by that of G: no doublings at all
//! ```
//! Half of the doublings could go if R itself were known (Antipa et al., "Accelerated Verification of ECDSA Signatures", SAC
//! 2005). A signature says its x only: with the wrong one of two y, which is every other time, the sum has to be made anew,
//! and what is won on one is lost on the other.
//!
//! Signatures and keys are public: nothing here takes the same time for all of them, and nothing here may meet a secret.

use std::sync::LazyLock;

use crate::field::{Fe, P};
use crate::point::{Affine, G, Point, limbs, odd_multiples, to_affine};

/// The order of the base point.
pub const N: [u64; 4] = [0x53bb_f409_39d5_4123, 0x7203_df6b_21c6_052b, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff];

/// Multiples of one point: row i holds 1, 2, … 2^(width−1) times 2^(width·i)·P.
pub struct Table {
    width: usize,
    rows: Vec<Affine>,
}

/// Of G: 37 additions a signature, 150 kB.
static OF_G: LazyLock<Table> = LazyLock::new(|| Table::new(&G, 7));

impl Table {
    /// `width` from 2 to 8.
    pub fn new(point: &Affine, width: usize) -> Self {
        let half = 1 << (width - 1);
        let mut all = Vec::with_capacity(digits_of(width) * half);
        let mut base = Point::from(*point);
        for _ in 0..digits_of(width) {
            let (step, mut multiple) = (base.cached(), base);
            for _ in 0..half {
                all.push(multiple);
                multiple = multiple.plus_cached(&step, false);
            }
            // The next row starts at twice the highest multiple of this one.
            base = all[all.len() - 1].double();
        }
        Self { width, rows: to_affine(&all) }
    }

    /// `sum` + scalar·P. The scalar is less than n.
    fn add_to(&self, mut sum: Point, scalar: &[u64; 4]) -> Point {
        let half = 1usize << (self.width - 1);
        let mut carry = 0;
        for (i, row) in self.rows.chunks_exact(half).enumerate() {
            let digit = bits(scalar, self.width * i, self.width) + carry;
            // Digits beyond the half count from the next higher power down.
            carry = usize::from(digit > half);
            let magnitude = if carry == 1 { 2 * half - digit } else { digit };
            if magnitude > 0 {
                sum = sum.plus(&row[magnitude - 1].negate_if(carry == 1));
            }
        }
        sum
    }
}

/// Rows for 256 bits and the carry out of them.
const fn digits_of(width: usize) -> usize {
    256 / width + 1
}

/// The 64 bits of a number from some place on, as far as it has them.
fn word(number: &[u64; 4], from: usize) -> u64 {
    let (limb, shift) = (from / 64, from % 64);
    let low = number.get(limb).map_or(0, |l| l >> shift);
    let high = number.get(limb + 1).map_or(0, |l| l << 1 << (63 - shift));
    low | high
}

/// The lowest of them.
fn bits(number: &[u64; 4], from: usize, count: usize) -> usize {
    (word(number, from) & ((1 << count) - 1)) as usize
}

/// The point a signature is over.
pub enum Key<'a> {
    Bare(&'a Affine),
    Known(&'a Table),
}

/// Does `r‖s` sign the digest `e` (of Z_A and message)? False for numbers out of range.
pub fn holds(key: &Key<'_>, e: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let (e, r, s) = (limbs(e), limbs(r), limbs(s));
    let in_range = |x: &[u64; 4]| *x != [0; 4] && less(x, &N);
    if !in_range(&r) || !in_range(&s) {
        return false;
    }
    let t = add_mod_n(&r, &s);
    if t == [0; 4] {
        return false;
    }
    let sum = match key {
        Key::Bare(point) => sum_of_both(&s, &t, point),
        Key::Known(table) => OF_G.add_to(table.add_to(Point::INFINITY, &t), &s),
    };
    // r = e + x modulo n, where x < p: x is r − e, or n more. Compared as X = x·Z², there is nothing to invert.
    let e = if less(&e, &N) { e } else { minus(&e, &N).0 };
    let x = sub_mod_n(&r, &e);
    let zz = sum.z.square();
    let is = |x: [u64; 4]| Fe::new(x).is_some_and(|x| x.mul(zz) == sum.x);
    let more = plus(&x, &N);
    !sum.is_infinity() && (is(x) || !more.1 && less(&more.0, &P) && is(more.0))
}

/// Of digits of a key met now and then: 16 multiples are made, and some 37 added.
const WIDTH: usize = 6;
/// Of digits of G: 256 multiples, and some 23 added. More are not worth their place in the cache.
const WIDTH_OF_G: usize = 10;

/// G, 3G, 5G …: 16 kB.
static ODD_OF_G: LazyLock<Vec<Affine>> = LazyLock::new(|| {
    let two = Point::from(G).double().cached();
    let all = std::iter::successors(Some(Point::from(G)), |last| Some(last.plus_cached(&two, false)));
    to_affine(&all.take(multiples(WIDTH_OF_G)).collect::<Vec<_>>())
});

/// Odd multiples that digits of some width need.
const fn multiples(width: usize) -> usize {
    1 << (width - 2)
}

/// s·G + t·P, both over the same doublings.
fn sum_of_both(s: &[u64; 4], t: &[u64; 4], point: &Affine) -> Point {
    let (of_g, of_point) = (&*ODD_OF_G, odd_multiples::<{ multiples(WIDTH) }>(point));
    let (s, t) = (odd_digits(s, WIDTH_OF_G), odd_digits(t, WIDTH));
    let mut sum = Point::INFINITY;
    for (s, t) in s.iter().zip(&t).rev().skip_while(|digits| *digits == (&0, &0)) {
        sum = sum.double();
        if *t != 0 {
            sum = sum.plus_cached(&of_point[usize::from(t.unsigned_abs()) / 2], *t < 0);
        }
        if *s != 0 {
            sum = sum.plus(&of_g[usize::from(s.unsigned_abs()) / 2].negate_if(*s < 0));
        }
    }
    sum
}

/// A number by digits for the powers of two: each is zero, or odd and less than 2^(width − 1) either side of it, and then the
/// next width − 1 are zero.
fn odd_digits(number: &[u64; 4], width: usize) -> [i16; 257] {
    let mut digits = [0; 257];
    let (mut at, mut carry) = (0, false);
    loop {
        // A carry into ones makes zeros of them and goes on.
        let ahead = word(number, at) ^ if carry { u64::MAX } else { 0 };
        at += ahead.trailing_zeros() as usize;
        if at > 256 {
            return digits;
        }
        if ahead == 0 {
            continue;
        }
        let mut digit = (bits(number, at, width) + usize::from(carry)) as i16;
        carry = digit > 1 << (width - 1);
        if carry {
            digit -= 1 << width;
        }
        digits[at] = digit;
        at += width;
    }
}

/// Sum, and whether it overflowed.
fn plus(a: &[u64; 4], b: &[u64; 4]) -> ([u64; 4], bool) {
    let mut carry = false;
    let sum = std::array::from_fn(|i| {
        let (sum, c) = a[i].overflowing_add(b[i]);
        let (sum, d) = sum.overflowing_add(carry.into());
        carry = c || d;
        sum
    });
    (sum, carry)
}

/// Difference, and whether it fell below zero.
fn minus(a: &[u64; 4], b: &[u64; 4]) -> ([u64; 4], bool) {
    let mut borrow = false;
    let difference = std::array::from_fn(|i| {
        let (difference, c) = a[i].overflowing_sub(b[i]);
        let (difference, d) = difference.overflowing_sub(borrow.into());
        borrow = c || d;
        difference
    });
    (difference, borrow)
}

fn less(a: &[u64; 4], b: &[u64; 4]) -> bool {
    minus(a, b).1
}

fn add_mod_n(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let (sum, over) = plus(a, b);
    if over || !less(&sum, &N) { minus(&sum, &N).0 } else { sum }
}

fn sub_mod_n(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let (difference, below) = minus(a, b);
    if below { plus(&difference, &N).0 } else { difference }
}
