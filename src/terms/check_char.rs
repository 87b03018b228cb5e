//! Check characters: ISO 7064 MOD 11-2 and MOD 37,36.

/// MOD 11-2 over the first 17 digits of a resident number (GB 11643): `0`–`9` or `X`.
/// `None` unless `body` is 17 ASCII digits.
pub fn mod_11_2(body: &[u8]) -> Option<u8> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    if body.len() != WEIGHTS.len() || !body.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(d, w)| u32::from(d - b'0') * w).sum();
    Some(b"10X98765432"[(sum % 11) as usize])
}

/// MOD 37,36 over digits and capital letters: `0`–`9`, `A`–`Z`. `None` for any other character.
pub fn mod_37_36(body: &[u8]) -> Option<u8> {
    let mut p = 36u32;
    for &c in body {
        let t = match (p + value_36(c)?) % 36 {
            0 => 36,
            t => t,
        };
        p = 2 * t % 37;
    }
    Some(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[((37 - p) % 36) as usize])
}

fn value_36(c: u8) -> Option<u32> {
    match c {
        b'0'..=b'9' => Some(u32::from(c - b'0')),
        b'A'..=b'Z' => Some(u32::from(c - b'A') + 10),
        _ => None,
    }
}
