//! Points of SM2's curve, y² = x³ − 3x + b, in Jacobian coordinates: (X/Z², Y/Z³), Z = 0 at infinity.
//!
//! Additions are the textbook ones, with their exceptions: whoever calls [`Point::plus`] handles public data, and whoever
//! calls [`Point::plus_different`] knows that there is no exception.

use crate::field::Fe;

/// A point that is not at infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affine {
    pub x: Fe,
    pub y: Fe,
}

#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub x: Fe,
    pub y: Fe,
    pub z: Fe,
}

/// A point to be added often: with Z² and Z³.
pub struct Cached {
    point: Point,
    zz: Fe,
    zzz: Fe,
}

// In Montgomery form; tests read them back.
const B: Fe =
    Fe::montgomery([0x90d2_3063_2bc0_dd42, 0x71cf_379a_e9b5_37ab, 0x5279_8150_5ea5_1c3c, 0x240f_e188_ba20_e2c8]);

/// The base point of the standard.
pub const G: Affine = Affine {
    x: Fe::montgomery([0x6132_8990_f418_029e, 0x3e79_81ed_dca6_c050, 0xd6a1_ed99_ac24_c3c3, 0x9116_7a5e_e1c1_3b05]),
    y: Fe::montgomery([0xc135_4e59_3c2d_0ddd, 0xc1f5_e578_8d32_95fa, 0x8d4c_fb06_6e2a_48f8, 0x63cd_65d4_81d7_35bd]),
};

/// Four limbs, least first, of 32 octets, most significant first.
pub fn limbs(octets: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|i| octets[24 - 8 * i..32 - 8 * i].iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

impl Affine {
    /// From an uncompressed point of SEC 1, `04‖x‖y`; `None` when it is not one of the curve.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; 65] = octets.try_into().ok()?;
        let half = |from: usize| Fe::new(limbs(octets[from..from + 32].try_into().ok()?));
        let point = Self { x: half(1)?, y: half(33)? };
        let three_x = point.x.double().add(point.x);
        let right = point.x.square().mul(point.x).sub(three_x).add(B);
        (octets[0] == 4 && point.y.square() == right).then_some(point)
    }

    pub fn negate_if(self, negative: bool) -> Self {
        if negative { Self { x: self.x, y: self.y.negate() } } else { self }
    }
}

impl From<Affine> for Point {
    fn from(p: Affine) -> Self {
        Self { x: p.x, y: p.y, z: Fe::ONE }
    }
}

impl Point {
    pub const INFINITY: Self = Self { x: Fe::ONE, y: Fe::ONE, z: Fe::ZERO };

    pub fn is_infinity(&self) -> bool {
        self.z.is_zero()
    }

    /// 2·self, over y·z; infinity stays there, and no point of this curve has y = 0.
    ///
    /// In place in the loops that use it, like the additions: a point handed over a call waits for its stores.
    #[inline(always)]
    pub fn double(&self) -> Self {
        let (yy, zz) = (self.y.square(), self.z.square());
        let t = self.x.sub(zz).mul(self.x.add(zz));
        let slope = t.half().add(t);
        let s = self.x.mul(yy);
        let x = slope.square().sub(s.double());
        let y = Fe::difference_to_square(slope, s.sub(x), yy);
        Self { x, y, z: self.y.mul(self.z) }
    }

    /// self + other, where neither is at infinity and they are not ± the same; in the same time for all.
    #[inline]
    pub fn plus_different(&self, other: &Affine) -> Self {
        let (h, r) = self.differences(other);
        Self::sum(h, r, self.x, self.y, self.z)
    }

    /// By how far x and y differ, at the denominators of `self`.
    #[inline(always)]
    fn differences(&self, other: &Affine) -> (Fe, Fe) {
        let zz = self.z.square();
        (other.x.mul(zz).sub(self.x), other.y.mul(zz.mul(self.z)).sub(self.y))
    }

    #[inline(always)]
    fn sum(h: Fe, r: Fe, u: Fe, s: Fe, z: Fe) -> Self {
        let hh = h.square();
        let hhh = hh.mul(h);
        let v = u.mul(hh);
        let x = r.square().sub(hhh).sub(v.double());
        let y = Fe::difference(r, v.sub(x), s, hhh);
        Self { x, y, z: z.mul(h) }
    }

    /// self + other, for any two points.
    #[inline(always)]
    pub fn plus(&self, other: &Affine) -> Self {
        if self.is_infinity() {
            return (*other).into();
        }
        let (h, r) = self.differences(other);
        if h.is_zero() {
            return self.same_or_opposite(r);
        }
        Self::sum(h, r, self.x, self.y, self.z)
    }

    /// self ± other, for any two points.
    #[inline(always)]
    pub fn plus_cached(&self, other: &Cached, negative: bool) -> Self {
        let y = if negative { other.point.y.negate() } else { other.point.y };
        if self.is_infinity() {
            return Self { y, ..other.point };
        }
        if other.point.is_infinity() {
            return *self;
        }
        let zz = self.z.square();
        let (u, s) = (self.x.mul(other.zz), self.y.mul(other.zzz));
        let h = other.point.x.mul(zz).sub(u);
        let r = y.mul(zz.mul(self.z)).sub(s);
        if h.is_zero() {
            return self.same_or_opposite(r);
        }
        Self::sum(h, r, u, s, self.z.mul(other.point.z))
    }

    /// self + other for the same x: hardly ever met, and kept out of the way.
    #[cold]
    #[inline(never)]
    fn same_or_opposite(&self, difference_of_y: Fe) -> Self {
        if difference_of_y.is_zero() { self.double() } else { Self::INFINITY }
    }

    /// `a` where `mask` is all ones, `b` where it is zero.
    #[inline(always)]
    pub(crate) fn select(mask: u64, a: Self, b: Self) -> Self {
        Self { x: Fe::select(mask, a.x, b.x), y: Fe::select(mask, a.y, b.y), z: Fe::select(mask, a.z, b.z) }
    }

    pub fn cached(self) -> Cached {
        let zz = self.z.square();
        Cached { point: self, zz, zzz: zz.mul(self.z) }
    }
}

/// P, 3P, 5P … (2·COUNT − 1)·P.
///
/// The last multiple and 2P are kept over one Z (Meloni, "New point addition formulae for ECC applications", WAIFI 2007):
/// their sum, and 2P over the Z of the sum, cost half of an addition of any two points. The two are never ± the same, as
/// n·P is the least multiple at infinity.
pub fn odd_multiples<const COUNT: usize>(point: &Affine) -> [Cached; COUNT] {
    // As z is 1, that of 2P is y, and P over it is (x·y², y·y³, y).
    let Point { x, y, z } = Point::from(*point).double();
    let (mut twice, zz) = (Affine { x, y }, z.square());
    let mut last = Point { x: point.x.mul(zz), y: zz.square(), z };
    std::array::from_fn(|i| {
        if i > 0 {
            let (h, r) = (twice.x.sub(last.x), twice.y.sub(last.y));
            let hh = h.square();
            let (u, v) = (last.x.mul(hh), twice.x.mul(hh));
            let s = twice.y.mul(v.sub(u));
            let x = r.square().sub(u).sub(v);
            last = Point { x, y: r.mul(v.sub(x)).sub(s), z: last.z.mul(h) };
            twice = Affine { x: v, y: s };
        }
        last.cached()
    })
}

/// Many points with one inversion; none may be at infinity.
pub fn to_affine(points: &[Point]) -> Vec<Affine> {
    let mut product = Fe::ONE;
    // Each entry of `before`: the product of all Z before it.
    let mut before = Vec::with_capacity(points.len());
    for point in points {
        before.push(product);
        product = product.mul(point.z);
    }
    let mut inverse = product.invert();
    let mut out = vec![G; points.len()];
    for (i, point) in points.iter().enumerate().rev() {
        let z = inverse.mul(before[i]);
        inverse = inverse.mul(point.z);
        let zz = z.square();
        out[i] = Affine { x: point.x.mul(zz), y: point.y.mul(zz.mul(z)) };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn constants_are_those_of_the_standard() {
        const X: &str = "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7";
        const Y: &str = "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";
        const COEFFICIENT: &str = "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93";
        let number = |hex| limbs(&octets(hex).try_into().unwrap());
        assert_eq!((G.x.limbs(), G.y.limbs(), B.limbs()), (number(X), number(Y), number(COEFFICIENT)));
        assert_eq!(Affine::from_octets(&octets(&format!("04{X}{Y}"))), Some(G));
        assert_eq!(Affine::from_octets(&octets(&format!("04{Y}{X}"))), None);
        assert_eq!(Affine::from_octets(&octets(&format!("02{X}{Y}"))), None);
        assert_eq!(Affine::from_octets(&[]), None);
    }

    #[test]
    fn odd_multiples_are_those_by_addition() {
        for point in [G, to_affine(&[Point::from(G).double().double().double()])[0]] {
            let two = Point::from(point).double();
            let mut want = Point::from(point);
            for multiple in odd_multiples::<16>(&point) {
                assert_eq!((multiple.zz, multiple.zzz), (multiple.point.z.square(), multiple.zz.mul(multiple.point.z)));
                assert_eq!(to_affine(&[multiple.point]), to_affine(&[want]));
                want = want.plus_cached(&two.cached(), false);
            }
        }
    }

    #[test]
    fn exceptions_of_addition() {
        let (g, two) = (Point::from(G), Point::from(G).double());
        let affine = |p: Point| to_affine(&[p])[0];
        assert_eq!(affine(g.plus(&G)), affine(two));
        assert_eq!(affine(two.plus_cached(&two.cached(), false)), affine(two.double()));
        assert!(g.plus(&G.negate_if(true)).is_infinity() && two.plus_cached(&two.cached(), true).is_infinity());
        assert!(Point::INFINITY.double().is_infinity());
        assert_eq!(affine(Point::INFINITY.plus(&G)), G);
        assert_eq!(affine(Point::INFINITY.plus_cached(&g.cached(), true)), G.negate_if(true));
        assert_eq!(affine(g.plus_cached(&Point::INFINITY.cached(), true)), G);
        assert_eq!(affine(two.plus_different(&G)), affine(g.plus_cached(&two.cached(), false)));
    }
}
