//! Numbers modulo the prime of SM2's curve, p = 2^256 − 2^224 − 2^96 + 2^64 − 1.
//!
//! Four limbs of 64 bits, least first, in Montgomery form (R = 2^256). p is −1 modulo 2^64, so that a step of the reduction
//! is shifts and additions. Nothing here branches on a value or looks one up: signing uses it, too.

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

/// a·b + c + d, which never overflows.
#[inline(always)]
fn mac(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let all = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (all as u64, (all >> 64) as u64)
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
        let (a, b) = (self.0, other.0);
        let (t0, c) = mac(a[0], b[0], 0, 0);
        let (t1, c) = mac(a[0], b[1], c, 0);
        let (t2, c) = mac(a[0], b[2], c, 0);
        let (t3, t4) = mac(a[0], b[3], c, 0);
        let (t1, c) = mac(a[1], b[0], t1, 0);
        let (t2, c) = mac(a[1], b[1], t2, c);
        let (t3, c) = mac(a[1], b[2], t3, c);
        let (t4, t5) = mac(a[1], b[3], t4, c);
        let (t2, c) = mac(a[2], b[0], t2, 0);
        let (t3, c) = mac(a[2], b[1], t3, c);
        let (t4, c) = mac(a[2], b[2], t4, c);
        let (t5, t6) = mac(a[2], b[3], t5, c);
        let (t3, c) = mac(a[3], b[0], t3, 0);
        let (t4, c) = mac(a[3], b[1], t4, c);
        let (t5, c) = mac(a[3], b[2], t5, c);
        let (t6, t7) = mac(a[3], b[3], t6, c);
        reduce([t0, t1, t2, t3, t4, t5, t6, t7])
    }

    #[inline(always)]
    pub fn square(self) -> Self {
        let a = self.0;
        // Each product of two different limbs once, then doubled, then the squares.
        let (t1, c) = mac(a[0], a[1], 0, 0);
        let (t2, c) = mac(a[0], a[2], c, 0);
        let (t3, t4) = mac(a[0], a[3], c, 0);
        let (t3, c) = mac(a[1], a[2], t3, 0);
        let (t4, t5) = mac(a[1], a[3], t4, c);
        let (t5, t6) = mac(a[2], a[3], t5, 0);
        let t7 = t6 >> 63;
        let t6 = t6 << 1 | t5 >> 63;
        let t5 = t5 << 1 | t4 >> 63;
        let t4 = t4 << 1 | t3 >> 63;
        let t3 = t3 << 1 | t2 >> 63;
        let t2 = t2 << 1 | t1 >> 63;
        let t1 = t1 << 1;
        let (t0, h) = mac(a[0], a[0], 0, 0);
        let (t1, c) = adc(t1, h, false);
        let (l, h) = mac(a[1], a[1], 0, 0);
        let (t2, c) = adc(t2, l, c);
        let (t3, c) = adc(t3, h, c);
        let (l, h) = mac(a[2], a[2], 0, 0);
        let (t4, c) = adc(t4, l, c);
        let (t5, c) = adc(t5, h, c);
        let (l, h) = mac(a[3], a[3], 0, 0);
        let (t6, c) = adc(t6, l, c);
        let (t7, _) = adc(t7, h, c);
        reduce([t0, t1, t2, t3, t4, t5, t6, t7])
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
    // Adding 2^256 − p overflows from p on.
    let (d0, c) = adc(t[0], 1, false);
    let (d1, c) = adc(t[1], 0xffff_ffff, c);
    let (d2, c) = adc(t[2], 0, c);
    let (d3, c) = adc(t[3], 0x1_0000_0000, c);
    let take = 0u64.wrapping_sub((high | c) as u64);
    Fe([
        t[0] ^ (take & (d0 ^ t[0])),
        t[1] ^ (take & (d1 ^ t[1])),
        t[2] ^ (take & (d2 ^ t[2])),
        t[3] ^ (take & (d3 ^ t[3])),
    ])
}

/// t·R⁻¹ mod p of a number below p·2^256.
#[inline(always)]
fn reduce(t: [u64; 8]) -> Fe {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = t;
    // Adding t0·p clears the lowest limb: what is left to add is t0·(p+1)/2^64.
    let (t1, t2, t3, t4, c0) = step(t0, t1, t2, t3, t4);
    let (t2, t3, t4, t5, c1) = step(t1, t2, t3, t4, t5);
    let (t3, t4, t5, t6, c2) = step(t2, t3, t4, t5, t6);
    let (t4, t5, t6, t7, c3) = step(t3, t4, t5, t6, t7);
    let (t5, c) = adc(t5, c0 as u64, false);
    let (t6, c) = adc(t6, c1 as u64, c);
    let (t7, c) = adc(t7, c2 as u64, c);
    less_p([t4, t5, t6, t7], c | c3)
}

#[inline(always)]
fn step(m: u64, a: u64, b: u64, c: u64, d: u64) -> (u64, u64, u64, u64, bool) {
    let (low, high) = (m << 32, m >> 32);
    let (v0, w) = sbb(m, low, false);
    let (v1, w) = sbb(0, high, w);
    let (v2, w) = sbb(0, low, w);
    let (v3, _) = sbb(m, high, w);
    let (a, k) = adc(a, v0, false);
    let (b, k) = adc(b, v1, k);
    let (c, k) = adc(c, v2, k);
    let (d, k) = adc(d, v3, k);
    (a, b, c, d, k)
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
        for pair in all.chunks_exact(2) {
            let (a, b) = (pair[0], pair[1]);
            let (x, y) = (Fe::new(a).unwrap(), Fe::new(b).unwrap());
            assert_eq!(x.limbs(), a);
            assert_eq!(x.add(y).limbs(), plain_sum(a, b), "{a:x?} {b:x?}");
            assert_eq!(x.sub(y).add(y), x, "{a:x?} {b:x?}");
            assert_eq!(x.mul(y).limbs(), plain_product(a, b), "{a:x?} {b:x?}");
            assert_eq!(x.square(), x.mul(x), "{a:x?}");
            assert_eq!(x.half().double(), x, "{a:x?}");
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
