//! Keys under a password the commercial way: PBES2 (RFC 8018 §6.2) with SM4 in CBC mode, or PBKDF2 with HMAC-SM3.
//!
//! ```text
//!  EncryptedPrivateKeyInfo ─▶ PBKDF2(password, salt, count, PRF) ─▶ 16 octets ─▶ SM4-CBC⁻¹ ─▶ PrivateKeyInfo
//! ```
//! As GmSSL, Tongsuo and OpenSSL 3 write it, and GM/T 0091 under numbers of its own. All else is the library's (`pkcs8`).

use sm4::cipher::{BlockCipherDecrypt, KeyInit};
use zeroize::Zeroizing;

use super::digest::hmac_sm3;
use crate::formats::der::{DerError, Oid, Reader, tag};

/// PBES2 and PBKDF2: of RFC 8018, and of GM/T 0091.
const PBES2: [&str; 2] = ["1.2.840.113549.1.5.13", "1.2.156.10197.6.1.4.1.5.2"];
const PBKDF2: [&str; 2] = ["1.2.840.113549.1.5.12", "1.2.156.10197.6.1.4.1.5.1"];
/// HMAC with SM3: as everybody writes it, and as annex A of GM/T 0091 prints it.
const HMAC_SM3: [&str; 2] = ["1.2.156.10197.1.401.2", "1.2.156.10197.1.401.3.1"];
const HMAC_SHA256: &str = "1.2.840.113549.2.9";
/// SM4, older and newer number of CBC.
const SM4_CBC: [&str; 2] = ["1.2.156.10197.1.104.2", "1.2.156.10197.1.104"];
const BLOCK: usize = 16;
/// Most rounds: ten times what is asked for today, some seconds.
const ROUNDS: u64 = 10_000_000;

/// What a file says of how its key is kept.
struct Sealed<'a> {
    prf: Prf,
    salt: &'a [u8],
    rounds: u32,
    iv: &'a [u8],
    octets: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prf {
    Sm3,
    Sha256,
}

/// The PrivateKeyInfo inside, where it is kept in this way; `None` where it is kept in another.
///
/// # Errors
/// When the password does not open it, or parameters are out of reason.
pub(super) fn open(der: &[u8], password: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, &'static str>> {
    let sealed = read(der).ok()??;
    let mut key = Zeroizing::new([0; BLOCK]);
    pbkdf2(sealed.prf, password, sealed.salt, sealed.rounds, &mut key[..]);
    Some(decrypted(&key, sealed.iv, sealed.octets).ok_or("the password does not open it"))
}

fn read(der: &[u8]) -> Result<Option<Sealed<'_>>, DerError> {
    let is = |oid: &Oid, all: &[&str]| all.iter().any(|dotted| oid.is(dotted));
    let mut outer = Reader::new(der);
    let mut whole = outer.sequence()?;
    outer.done()?;
    let mut scheme = whole.sequence()?;
    let octets = whole.octet_string()?;
    whole.done()?;
    if !is(&scheme.oid()?, &PBES2) {
        return Ok(None);
    }
    let mut parameters = scheme.sequence()?;
    let (mut derivation, mut cipher) = (parameters.sequence()?, parameters.sequence()?);
    if !is(&derivation.oid()?, &PBKDF2) || !is(&cipher.oid()?, &SM4_CBC) {
        return Ok(None);
    }
    let iv = cipher.octet_string()?;
    let mut how = derivation.sequence()?;
    let (salt, rounds) = (how.octet_string()?, how.small()?);
    if how.peek() == Some(tag::INTEGER) && how.small()? != BLOCK as u64 {
        return Err(DerError::Value);
    }
    // Left out it is HMAC with SHA-1 (RFC 8018), which nobody pairs with SM4.
    let prf = how.sequence()?.oid()?;
    let prf = match () {
        () if is(&prf, &HMAC_SM3) => Prf::Sm3,
        () if prf.is(HMAC_SHA256) => Prf::Sha256,
        () => return Ok(None),
    };
    let rounds = u32::try_from(rounds).ok().filter(|n| (1..=ROUNDS).contains(&u64::from(*n))).ok_or(DerError::Value)?;
    if iv.len() != BLOCK || octets.is_empty() || !octets.len().is_multiple_of(BLOCK) {
        return Err(DerError::Value);
    }
    Ok(Some(Sealed { prf, salt, rounds, iv, octets }))
}

/// PBKDF2 (RFC 8018 §5.2).
fn pbkdf2(prf: Prf, password: &[u8], salt: &[u8], rounds: u32, out: &mut [u8]) {
    if prf == Prf::Sha256 {
        let rounds = std::num::NonZeroU32::new(rounds).unwrap_or(std::num::NonZeroU32::MIN);
        ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password, out);
        return;
    }
    for (n, block) in out.chunks_mut(32).enumerate() {
        let mut last = Zeroizing::new(hmac_sm3(password, &[salt, &(n as u32 + 1).to_be_bytes()].concat()));
        let mut sum = last.clone();
        for _ in 1..rounds {
            *last = hmac_sm3(password, &*last);
            sum.iter_mut().zip(last.iter()).for_each(|(sum, own)| *sum ^= own);
        }
        block.copy_from_slice(&sum[..block.len()]);
    }
}

/// CBC backwards, and the padding off (PKCS #7). A wrong password leaves no padding, but for one in 256.
fn decrypted(key: &[u8; BLOCK], iv: &[u8], octets: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = sm4::Sm4::new(key.into());
    let mut out = Zeroizing::new(octets.to_vec());
    for (n, block) in out.chunks_exact_mut(BLOCK).enumerate() {
        let before = n.checked_sub(1).map_or(iv, |n| &octets[n * BLOCK..(n + 1) * BLOCK]);
        let block: &mut [u8; BLOCK] = block.try_into().ok()?;
        cipher.decrypt_block(block.into());
        block.iter_mut().zip(before).for_each(|(own, before)| *own ^= before);
    }
    let padding = usize::from(*out.last()?);
    let kept = out.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding))?;
    let is_padding = out[kept..].iter().all(|octet| usize::from(*octet) == padding);
    out.truncate(kept);
    is_padding.then_some(out)
}

#[cfg(test)]
mod tests {
    use sm4::cipher::BlockCipherEncrypt;

    use super::*;
    use crate::formats::der::write;
    use crate::trust::suite::{SignatureAlgorithm, Signer as _, SigningKey};

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_example_of_the_standard() {
        // GB/T 32907-2016, annex A.1: the key is the plain text.
        let key: [u8; 16] = hex("0123456789abcdeffedcba9876543210").try_into().unwrap();
        let mut block: [u8; 16] = hex("681edf34d206965e86b3e94f536e4246").try_into().unwrap();
        sm4::Sm4::new(&key.into()).decrypt_block((&mut block).into());
        assert_eq!(block, key);
    }

    #[test]
    fn derivation_with_sm3() {
        // By OpenSSL 3 (EVP_KDF PBKDF2 with digest SM3).
        for (salt, rounds, want) in [
            ("salt", 1, "4612f922a1fdcefaf4312fc6f8f3322b"),
            (
                "saltSALTsaltSALT",
                4_096,
                "d0463b8c5bb4b01945f704d63d12ddf746089b0b7efa201ddbcfd726d85e07e2234372ec6603442d",
            ),
        ] {
            let mut out = vec![0; want.len() / 2];
            pbkdf2(Prf::Sm3, b"password", salt.as_bytes(), rounds, &mut out);
            assert_eq!(out, hex(want), "{salt}");
        }
    }

    /// The key file with these numbers in it.
    fn sealed(inside: &[u8], names: [&str; 4], length: bool) -> Vec<u8> {
        let (salt, iv) = ([7; 8], [9; BLOCK]);
        let mut key = [0; BLOCK];
        let prf = if names[2] == HMAC_SHA256 { Prf::Sha256 } else { Prf::Sm3 };
        pbkdf2(prf, b"secret", &salt, 100, &mut key);
        let padding = BLOCK - inside.len() % BLOCK;
        let mut octets = [inside, &vec![padding as u8; padding]].concat();
        let (cipher, mut before) = (sm4::Sm4::new(&key.into()), iv);
        for block in octets.chunks_exact_mut(BLOCK) {
            let block: &mut [u8; BLOCK] = block.try_into().unwrap();
            block.iter_mut().zip(before).for_each(|(own, before)| *own ^= before);
            cipher.encrypt_block((&mut *block).into());
            before = *block;
        }
        let mut how = vec![write::octet_string(&salt), write::small(100)];
        if length {
            how.push(write::small(16));
        }
        how.push(write::sequence(&[write::oid(names[2]), write::null()]));
        let derivation = write::sequence(&[write::oid(names[1]), write::sequence(&how)]);
        let cipher = write::sequence(&[write::oid(names[3]), write::octet_string(&iv)]);
        let scheme = write::sequence(&[write::oid(names[0]), write::sequence(&[derivation, cipher])]);
        write::sequence(&[scheme, write::octet_string(&octets)])
    }

    #[test]
    fn keys_open_in_all_spellings_and_under_their_password_only() {
        let pkcs8 = SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap();
        for names in [
            [PBES2[0], PBKDF2[0], HMAC_SM3[0], SM4_CBC[0]],
            [PBES2[0], PBKDF2[0], HMAC_SHA256, SM4_CBC[0]],
            [PBES2[1], PBKDF2[1], HMAC_SM3[1], SM4_CBC[1]],
        ] {
            for length in [false, true] {
                let der = sealed(&pkcs8, names, length);
                assert_eq!(open(&der, b"secret").unwrap().unwrap(), pkcs8, "{names:?}");
                let wrong = open(&der, b"Secret").unwrap();
                assert!(wrong.is_err() || SigningKey::from_pkcs8(&wrong.unwrap()).is_err(), "{names:?}");
                assert!(open(&der[..der.len() - 1], b"secret").is_none());
            }
        }
        // Another cipher is not ours to open.
        assert!(
            open(&sealed(&pkcs8, [PBES2[0], PBKDF2[0], HMAC_SM3[0], "2.16.840.1.101.3.4.1.2"], false), b"secret")
                .is_none()
        );
        let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
        assert_eq!(key.algorithm(), SignatureAlgorithm::Sm2Sm3);
    }
}
