//! A plain round seal as a PNG: a red ring and a five-pointed star on a transparent ground.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// Pixels on a side: 40 mm at some 150 dots an inch.
const SIDE: usize = 240;
/// Vermilion, as seals are inked.
const RED: [u8; 3] = [0xd9, 0x1e, 0x18];

/// The same octets every time.
pub fn round_seal() -> Vec<u8> {
    let mut rows = Vec::with_capacity(SIDE * (SIDE * 4 + 1));
    for y in 0..SIDE {
        rows.push(0); // no filter
        for x in 0..SIDE {
            let centre = SIDE as f64 / 2.0;
            let (dx, dy) = (x as f64 + 0.5 - centre, y as f64 + 0.5 - centre);
            let alpha = if inked(dx / centre, dy / centre) { 0xff } else { 0 };
            rows.extend(RED);
            rows.push(alpha);
        }
    }
    let mut header = Vec::new();
    header.extend((SIDE as u32).to_be_bytes());
    header.extend((SIDE as u32).to_be_bytes());
    header.extend([8, 6, 0, 0, 0]); // 8 bits, RGBA
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", &zlib(&rows));
    chunk(&mut out, b"IEND", &[]);
    out
}

fn inked(x: f64, y: f64) -> bool {
    let r = x.hypot(y);
    if (0.90..0.98).contains(&r) {
        return true;
    }
    // Five spokes from the centre: a point is in the star if it lies below the edge between tip and notch.
    let fifth = std::f64::consts::TAU / 5.0;
    let angle = (x.atan2(-y)).rem_euclid(fifth);
    let angle = angle.min(fifth - angle); // 0 at a tip, half of a fifth at a notch
    let (tip, notch) = (0.36, 0.36 * 0.382);
    let (tx, ty) = (tip, 0.0);
    let (nx, ny) = (notch * (fifth / 2.0).cos(), notch * (fifth / 2.0).sin());
    let (px, py) = (r * angle.cos(), r * angle.sin());
    (nx - tx) * (py - ty) - (ny - ty) * (px - tx) >= 0.0
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(9));
    // Writing to a vector does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let from = out.len();
    out.extend(kind);
    out.extend(data);
    let crc = crc32fast::hash(&out[from..]);
    out.extend(crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_a_ring_and_a_star() {
        let png = round_seal();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xaeB`\x82"));
        assert_eq!(png, round_seal());
        for (x, y, want) in
            [(0.0, 0.0, true), (0.0, -0.34, true), (0.0, 0.34, false), (0.94, 0.0, true), (0.6, 0.0, false)]
        {
            assert_eq!(inked(x, y), want, "{x} {y}");
        }
    }
}
