//! The equation of a verification (GB/T 32918.2 §7): s·G + t·P, with t = r + s.
//!
//! ```text
//!  a key met now and then   t by digits of width 5 over multiples of P made for the occasion (256 doublings)
//!  a key met often          t by the key's own table: no doublings at all
//!  s                        always by the table of G
//! ```
//! Signatures and keys are public: nothing here takes the same time for all of them, and nothing here may meet a secret.

use std::sync::LazyLock;

use crate::field::{Fe, P};
use crate::point::{Affine, G, Point, limbs, to_affine};

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

/// Some bits of a number, as far as it has them.
fn bits(number: &[u64; 4], from: usize, count: usize) -> usize {
    let (limb, shift) = (from / 64, from % 64);
    let low = number.get(limb).map_or(0, |l| l >> shift);
    let high = if shift == 0 { 0 } else { number.get(limb + 1).map_or(0, |l| l << (64 - shift)) };
    ((low | high) & ((1 << count) - 1)) as usize
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
        Key::Bare(point) => times(&t, point),
        Key::Known(table) => table.add_to(Point::INFINITY, &t),
    };
    let sum = OF_G.add_to(sum, &s);
    // r = e + x modulo n, where x < p: x is r − e, or n more. Compared as X = x·Z², there is nothing to invert.
    let e = if less(&e, &N) { e } else { minus(&e, &N).0 };
    let x = sub_mod_n(&r, &e);
    let zz = sum.z.square();
    let is = |x: [u64; 4]| Fe::new(x).is_some_and(|x| x.mul(zz) == sum.x);
    let more = plus(&x, &N);
    !sum.is_infinity() && (is(x) || !more.1 && less(&more.0, &P) && is(more.0))
}

/// t·P by signed odd digits with at least four zeros between them.
fn times(t: &[u64; 4], point: &Affine) -> Point {
    let one = Point::from(*point);
    let two = one.double().cached();
    let mut odd = Vec::with_capacity(8);
    let mut multiple = one;
    for _ in 0..8 {
        odd.push(multiple.cached());
        multiple = multiple.plus_cached(&two, false);
    }
    let mut digits = [0i8; 257];
    let (mut at, mut carry) = (0, 0);
    while at < 257 {
        if bits(t, at, 1) == carry {
            at += 1;
            continue;
        }
        let mut digit = (bits(t, at, 5) + carry) as i8;
        carry = usize::from(digit > 16);
        if carry == 1 {
            digit -= 32;
        }
        digits[at] = digit;
        at += 5;
    }
    let mut sum = Point::INFINITY;
    for digit in digits.iter().rev() {
        sum = sum.double();
        if *digit != 0 {
            sum = sum.plus_cached(&odd[usize::from(digit.unsigned_abs()) / 2], *digit < 0);
        }
    }
    sum
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
