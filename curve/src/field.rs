//! Numbers modulo the prime of SM2's curve, p = 2^256 − 2^224 − 2^96 + 2^64 − 1.
//!
//! Four limbs of 64 bits, least first, in Montgomery form (R = 2^256). p is −1 modulo 2^64, so that a step of the reduction
//! is shifts and additions. Carries run in whole chains, each product first: that is what the time goes by. Nothing here branches on a value or looks one up: signing uses it, too.

/// p.
pub const P: [u64; 4] = [0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff];

/// A number below p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fe([u64; 4]);

/// Sum and carry.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn adc(a: u64, b: u64, carry: bool) -> (u64, bool) {
    // Said this way, the compiler keeps the carry in its flag: a third less time for all that follows.
    let mut sum = 0;
    let carry = std::arch::x86_64::_addcarry_u64(carry.into(), a, b, &mut sum);
    (sum, carry != 0)
}

/// Difference and borrow.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sbb(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let mut difference = 0;
    let borrow = std::arch::x86_64::_subborrow_u64(borrow.into(), a, b, &mut difference);
    (difference, borrow != 0)
}

#[cfg(not(target_arch = "x86_64"))]
use portable::{adc, sbb};

/// The same in plain words, for other machines; tests hold the two against each other.
pub mod portable {
    /// Sum and carry.
    #[inline(always)]
    pub fn adc(a: u64, b: u64, carry: bool) -> (u64, bool) {
        let (sum, c) = a.overflowing_add(b);
        let (sum, d) = sum.overflowing_add(carry.into());
        (sum, c | d)
    }

    /// Difference and borrow.
    #[inline(always)]
    pub fn sbb(a: u64, b: u64, borrow: bool) -> (u64, bool) {
        let (difference, c) = a.overflowing_sub(b);
        let (difference, d) = difference.overflowing_sub(borrow.into());
        (difference, c | d)
    }
}

/// a·b, lower half first.
#[inline(always)]
fn wide(a: u64, b: u64) -> (u64, u64) {
    let all = u128::from(a) * u128::from(b);
    (all as u64, (all >> 64) as u64)
}

/// a·b in five limbs. All products first and then one chain of carries: half the additions of limb after limb.
#[inline(always)]
fn row(a: u64, b: [u64; 4]) -> [u64; 5] {
    let (l0, h0) = wide(a, b[0]);
    let (l1, h1) = wide(a, b[1]);
    let (l2, h2) = wide(a, b[2]);
    let (l3, h3) = wide(a, b[3]);
    let (t1, c) = adc(h0, l1, false);
    let (t2, c) = adc(h1, l2, c);
    let (t3, c) = adc(h2, l3, c);
    let (t4, _) = adc(h3, 0, c);
    [l0, t1, t2, t3, t4]
}

impl Fe {
    pub const ZERO: Self = Self([0; 4]);
    /// 2^256 mod p.
    pub const ONE: Self = Self([1, 0xffff_ffff, 0, 0x1_0000_0000]);
    /// 2^512 mod p.
    const R2: Self = Self([0x2_0000_0003, 0x2_ffff_ffff, 0x1_0000_0001, 0x4_0000_0002]);

    /// From limbs in Montgomery form, which must be below p: for constants.
    pub(crate) const fn montgomery(limbs: [u64; 4]) -> Self {
        Self(limbs)
    }

    /// A number of four limbs; `None` unless it is below p.
    pub fn new(limbs: [u64; 4]) -> Option<Self> {
        let (_, b) = sbb(limbs[0], P[0], false);
        let (_, b) = sbb(limbs[1], P[1], b);
        let (_, b) = sbb(limbs[2], P[2], b);
        let (_, b) = sbb(limbs[3], P[3], b);
        b.then(|| Self(limbs).mul(Self::R2))
    }

    /// Out of Montgomery form.
    pub fn limbs(self) -> [u64; 4] {
        let t = self.0;
        reduce([t[0], t[1], t[2], t[3], 0, 0, 0, 0]).0
    }

    pub fn is_zero(self) -> bool {
        self.0 == [0; 4]
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let (t0, c) = adc(a[0], b[0], false);
        let (t1, c) = adc(a[1], b[1], c);
        let (t2, c) = adc(a[2], b[2], c);
        let (t3, c) = adc(a[3], b[3], c);
        less_p([t0, t1, t2, t3], c)
    }

    #[inline(always)]
    pub fn sub(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let (t0, w) = sbb(a[0], b[0], false);
        let (t1, w) = sbb(a[1], b[1], w);
        let (t2, w) = sbb(a[2], b[2], w);
        let (t3, w) = sbb(a[3], b[3], w);
        let mask = 0u64.wrapping_sub(w as u64);
        let (t0, c) = adc(t0, P[0] & mask, false);
        let (t1, c) = adc(t1, P[1] & mask, c);
        let (t2, c) = adc(t2, P[2] & mask, c);
        let (t3, _) = adc(t3, P[3] & mask, c);
        Self([t0, t1, t2, t3])
    }

    pub fn negate(self) -> Self {
        Self::ZERO.sub(self)
    }

    #[inline(always)]
    pub fn double(self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub fn half(self) -> Self {
        let a = self.0;
        // p is odd: with it added, an odd number becomes an even one.
        let mask = 0u64.wrapping_sub(a[0] & 1);
        let (t0, c) = adc(a[0], P[0] & mask, false);
        let (t1, c) = adc(a[1], P[1] & mask, c);
        let (t2, c) = adc(a[2], P[2] & mask, c);
        let (t3, c) = adc(a[3], P[3] & mask, c);
        Self([t0 >> 1 | t1 << 63, t1 >> 1 | t2 << 63, t2 >> 1 | t3 << 63, t3 >> 1 | u64::from(c) << 63])
    }

    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        reduce(self.product(other))
    }

    #[inline(always)]
    pub fn square(self) -> Self {
        reduce(self.product_with_itself())
    }

    /// a·b − c·d, with one reduction for both products.
    #[inline(always)]
    pub fn difference(a: Self, b: Self, c: Self, d: Self) -> Self {
        reduce(less(a.product(b), c.product(d)))
    }

    /// a·b − c².
    #[inline(always)]
    pub fn difference_to_square(a: Self, b: Self, c: Self) -> Self {
        reduce(less(a.product(b), c.product_with_itself()))
    }

    /// All eight limbs of a product, below p².
    #[inline(always)]
    fn product(self, other: Self) -> [u64; 8] {
        let (a, b) = (self.0, other.0);
        let [t0, t1, t2, t3, t4] = row(a[0], b);
        let [r0, r1, r2, r3, r4] = row(a[1], b);
        let (t1, c) = adc(t1, r0, false);
        let (t2, c) = adc(t2, r1, c);
        let (t3, c) = adc(t3, r2, c);
        let (t4, c) = adc(t4, r3, c);
        let (t5, _) = adc(r4, 0, c);
        let [r0, r1, r2, r3, r4] = row(a[2], b);
        let (t2, c) = adc(t2, r0, false);
        let (t3, c) = adc(t3, r1, c);
        let (t4, c) = adc(t4, r2, c);
        let (t5, c) = adc(t5, r3, c);
        let (t6, _) = adc(r4, 0, c);
        let [r0, r1, r2, r3, r4] = row(a[3], b);
        let (t3, c) = adc(t3, r0, false);
        let (t4, c) = adc(t4, r1, c);
        let (t5, c) = adc(t5, r2, c);
        let (t6, c) = adc(t6, r3, c);
        let (t7, _) = adc(r4, 0, c);
        [t0, t1, t2, t3, t4, t5, t6, t7]
    }

    #[inline(always)]
    fn product_with_itself(self) -> [u64; 8] {
        let a = self.0;
        // Each product of two different limbs once, then doubled, then the squares.
        let (t1, h1) = wide(a[0], a[1]);
        let (l2, h2) = wide(a[0], a[2]);
        let (l3, h3) = wide(a[0], a[3]);
        let (t2, c) = adc(h1, l2, false);
        let (t3, c) = adc(h2, l3, c);
        let (t4, _) = adc(h3, 0, c);
        let (l3, h3) = wide(a[1], a[2]);
        let (l4, h4) = wide(a[1], a[3]);
        let (l5, h5) = wide(a[2], a[3]);
        let (h3, c) = adc(h3, l4, false);
        let (h4, c) = adc(h4, l5, c);
        let (t6, _) = adc(h5, 0, c);
        let (t3, c) = adc(t3, l3, false);
        let (t4, c) = adc(t4, h3, c);
        let (t5, c) = adc(h4, 0, c);
        let (t6, _) = adc(t6, 0, c);
        let (t1, c) = adc(t1, t1, false);
        let (t2, c) = adc(t2, t2, c);
        let (t3, c) = adc(t3, t3, c);
        let (t4, c) = adc(t4, t4, c);
        let (t5, c) = adc(t5, t5, c);
        let (t6, c) = adc(t6, t6, c);
        let t7 = u64::from(c);
        let (t0, h) = wide(a[0], a[0]);
        let (t1, c) = adc(t1, h, false);
        let (l, h) = wide(a[1], a[1]);
        let (t2, c) = adc(t2, l, c);
        let (t3, c) = adc(t3, h, c);
        let (l, h) = wide(a[2], a[2]);
        let (t4, c) = adc(t4, l, c);
        let (t5, c) = adc(t5, h, c);
        let (l, h) = wide(a[3], a[3]);
        let (t6, c) = adc(t6, l, c);
        let (t7, _) = adc(t7, h, c);
        [t0, t1, t2, t3, t4, t5, t6, t7]
    }

    /// `self` to the power of 2^n.
    fn squared(self, n: u32) -> Self {
        (0..n).fold(self, |x, _| x.square())
    }

    /// 1/x as x^(p−2); zero for zero.
    pub fn invert(self) -> Self {
        // p − 2 in binary: 31 ones, 0, 128 ones, 32 zeros, 62 ones, 0, 1 (from the top).
        let ones = |x: Self, n: u32| x.squared(n).mul(x);
        let x1 = self;
        let x2 = ones(x1, 1);
        let x4 = ones(x2, 2);
        let x8 = ones(x4, 4);
        let x16 = ones(x8, 8);
        let x24 = x16.squared(8).mul(x8);
        let x28 = x24.squared(4).mul(x4);
        let x30 = x28.squared(2).mul(x2);
        let x31 = x30.square().mul(x1);
        let x32 = x31.square().mul(x1);
        let x64 = ones(x32, 32);
        let x62 = x32.squared(30).mul(x30);
        let t = x31.squared(33).mul(x32); // 31 ones, 0, 32 ones
        let t = t.squared(64).mul(x64);
        let t = t.squared(32).mul(x32); // 128 ones after the zero
        let t = t.squared(32 + 62).mul(x62);
        t.squared(2).mul(x1)
    }

    /// `a` where `mask` is all ones, `b` where it is zero.
    #[inline(always)]
    pub fn select(mask: u64, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| b.0[i] ^ (mask & (a.0[i] ^ b.0[i]))))
    }

    /// Adds `a` where `mask` is all ones to a number whose limbs are zero until then.
    #[inline(always)]
    pub(crate) fn gather(&mut self, mask: u64, a: &Self) {
        for (own, other) in self.0.iter_mut().zip(a.0) {
            *own |= mask & other;
        }
    }
}

/// A number below 2p, of which `high` is worth 2^256, less p unless it is below it.
#[inline(always)]
fn less_p(t: [u64; 4], high: bool) -> Fe {
    // Adding 2^256 − p overflows from p on; the last sum is one carry of two.
    let (d0, c) = adc(t[0], 1, false);
    let (d1, c) = adc(t[1], 0xffff_ffff, c);
    let (d2, c) = adc(t[2], 0, c);
    let (d3, c) = adc(t[3], 0x1_0000_0000, c);
    let (_, c) = adc(high.into(), u64::MAX, c);
    let take = 0u64.wrapping_sub(c as u64);
    Fe([
        t[0] ^ (take & (d0 ^ t[0])),
        t[1] ^ (take & (d1 ^ t[1])),
        t[2] ^ (take & (d2 ^ t[2])),
        t[3] ^ (take & (d3 ^ t[3])),
    ])
}

/// The difference of two numbers below p², with p·2^256 added if it is below zero: it is below p·2^256 then, too.
#[inline(always)]
fn less(a: [u64; 8], b: [u64; 8]) -> [u64; 8] {
    let (t0, w) = sbb(a[0], b[0], false);
    let (t1, w) = sbb(a[1], b[1], w);
    let (t2, w) = sbb(a[2], b[2], w);
    let (t3, w) = sbb(a[3], b[3], w);
    let (t4, w) = sbb(a[4], b[4], w);
    let (t5, w) = sbb(a[5], b[5], w);
    let (t6, w) = sbb(a[6], b[6], w);
    let (t7, w) = sbb(a[7], b[7], w);
    let mask = 0u64.wrapping_sub(w as u64);
    let (t4, c) = adc(t4, P[0] & mask, false);
    let (t5, c) = adc(t5, P[1] & mask, c);
    let (t6, c) = adc(t6, P[2] & mask, c);
    let (t7, _) = adc(t7, P[3] & mask, c);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

/// t·R⁻¹ mod p of a number below p·2^256.
#[inline(always)]
fn reduce(t: [u64; 8]) -> Fe {
    // The lower half alone, to (lower + m·p)/2^256 with m below 2^256, which is at most p; then the upper half is added.
    let low = step(step(step(step([t[0], t[1], t[2], t[3]]))));
    let (t0, c) = adc(low[0], t[4], false);
    let (t1, c) = adc(low[1], t[5], c);
    let (t2, c) = adc(low[2], t[6], c);
    let (t3, c) = adc(low[3], t[7], c);
    less_p([t0, t1, t2, t3], c)
}

/// (t + t0·p)/2^64, where t0 is the lowest limb: p being −1 modulo 2^64, that clears it, and what is left to add to the
/// others is t0·(p + 1)/2^64 = t0·(2^192 − 2^160 − 2^32 + 1). The sum is below 2^256, whatever carries meet on the way.
#[inline(always)]
fn step(t: [u64; 4]) -> [u64; 4] {
    let (low, high) = (t[0] << 32, t[0] >> 32);
    let (t1, c) = adc(t[1], t[0], false);
    let (t2, c) = adc(t[2], 0, c);
    let (t3, c) = adc(t[3], 0, c);
    let (t4, _) = adc(t[0], 0, c);
    let (t1, w) = sbb(t1, low, false);
    let (t2, w) = sbb(t2, high, w);
    let (t3, w) = sbb(t3, low, w);
    let (t4, _) = sbb(t4, high, w);
    [t1, t2, t3, t4]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers below p, with many at the bounds of limbs.
    fn numbers() -> impl Iterator<Item = [u64; 4]> {
        const EDGES: [u64; 8] = [0, 1, 2, u64::MAX, u64::MAX - 1, 0xffff_ffff, 0xffff_ffff_0000_0000, 1 << 63];
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut any = move || {
            let n = next();
            if n % 3 == 0 { next() } else { EDGES[(n >> 8) as usize % 8] }
        };
        std::iter::repeat_with(move || std::array::from_fn(|_| any())).filter(|n| Fe::new(*n).is_some())
    }

    /// Sum modulo p, limb by limb with comparisons.
    fn plain_sum(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
        let mut carry = 0;
        let sum: [u64; 4] = std::array::from_fn(|i| {
            carry += u128::from(a[i]) + u128::from(b[i]);
            let limb = carry as u64;
            carry >>= 64;
            limb
        });
        let big = carry == 1 || sum.iter().rev().ge(P.iter().rev());
        let mut borrow = 0;
        if big {
            std::array::from_fn(|i| {
                let d = i128::from(sum[i]) - i128::from(P[i]) + borrow;
                borrow = d >> 64;
                d as u64
            })
        } else {
            sum
        }
    }

    /// Product modulo p by doubling and adding.
    fn plain_product(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
        (0..256).rev().fold([0; 4], |sum, bit| {
            let sum = plain_sum(sum, sum);
            if b[bit / 64] >> (bit % 64) & 1 == 1 { plain_sum(sum, a) } else { sum }
        })
    }

    #[test]
    fn arithmetic_is_that_of_school() {
        let all: Vec<[u64; 4]> = numbers().take(4_000).collect();
        let mut last = Fe::ONE;
        for pair in all.chunks_exact(2) {
            let (a, b) = (pair[0], pair[1]);
            let (x, y) = (Fe::new(a).unwrap(), Fe::new(b).unwrap());
            assert_eq!(x.limbs(), a);
            assert_eq!(x.add(y).limbs(), plain_sum(a, b), "{a:x?} {b:x?}");
            assert_eq!(x.sub(y).add(y), x, "{a:x?} {b:x?}");
            assert_eq!(x.mul(y).limbs(), plain_product(a, b), "{a:x?} {b:x?}");
            assert_eq!(x.square(), x.mul(x), "{a:x?}");
            assert_eq!(x.half().double(), x, "{a:x?}");
            for (c, d) in [(x, x), (y, y), (x, y), (last, y), (y, last)] {
                assert_eq!(Fe::difference(x, y, c, d), x.mul(y).sub(c.mul(d)), "{a:x?} {b:x?} {c:x?} {d:x?}");
                assert_eq!(Fe::difference_to_square(x, y, d), x.mul(y).sub(d.mul(d)), "{a:x?} {b:x?} {d:x?}");
            }
            last = x;
            assert_eq!(x.negate().add(x), Fe::ZERO, "{a:x?}");
            let one = if x.is_zero() { Fe::ZERO } else { Fe::ONE };
            assert_eq!(x.invert().mul(x), one, "{a:x?}");
            assert_eq!((Fe::select(u64::MAX, x, y), Fe::select(0, x, y)), (x, y));
        }
    }

    #[test]
    fn numbers_from_p_on_are_refused() {
        let [low, b, c, d] = P;
        assert_eq!(Fe::new(P), None);
        assert_eq!(Fe::new([u64::MAX; 4]), None);
        assert_eq!(Fe::new([low - 1, b, c, d]).map(Fe::limbs), Some([low - 1, b, c, d]));
    }

    #[test]
    fn carries_are_the_same_on_all_machines() {
        for n in numbers().take(2_000) {
            for carry in [false, true] {
                assert_eq!(adc(n[0], n[1], carry), portable::adc(n[0], n[1], carry));
                assert_eq!(sbb(n[2], n[3], carry), portable::sbb(n[2], n[3], carry));
            }
        }
    }
}
