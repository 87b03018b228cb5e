//! What a single object is, as far as it can be told from itself; and when two are the same.

use super::lex::{Dictionary, Object};

/// Whether it has no keys but those of a store, its list of signatures, and what is kept for one of them.
pub(super) fn has_only_store_keys(object: &Dictionary) -> bool {
    const KEYS: [&[u8]; 11] =
        [b"Type", b"VRI", b"Certs", b"OCSPs", b"CRLs", b"Cert", b"OCSP", b"CRL", b"TU", b"TS", b"Length"];
    // Entries of a VRI are named by the digest of what they are about.
    let digest = |key: &[u8]| key.len() == 40 && key.iter().all(u8::is_ascii_hexdigit);
    object.keys().all(|key| KEYS.contains(&key.as_slice()) || digest(key))
}

/// Whether it is the widget of a signature field, with nothing that another annotation shows, opens or runs (§12.5.6.19, §12.7.5.5).
pub(super) fn is_signature_widget(field: &Dictionary) -> bool {
    const KEYS: [&[u8]; 20] = [
        b"Type",
        b"Subtype",
        b"FT",
        b"T",
        b"TU",
        b"TM",
        b"V",
        b"F",
        b"Ff",
        b"P",
        b"Rect",
        b"AP",
        b"M",
        b"DA",
        b"DR",
        b"Q",
        b"Lock",
        b"SV",
        b"MK",
        b"StructParent",
    ];
    let name = |key: &[u8]| field.get(key).map(Object::name);
    name(b"FT") == Some(Some(b"Sig"))
        && name(b"Subtype").is_none_or(|subtype| subtype == Some(b"Widget"))
        && name(b"Type").is_none_or(|kind| kind == Some(b"Annot"))
        && field.keys().all(|key| KEYS.contains(&key.as_slice()))
}

/// Whether what the catalog calls a store (`/Type` is optional) holds nothing else.
pub(super) fn is_store(object: &Object) -> bool {
    object.dictionary().is_some_and(|object| {
        let kind = object.get(&b"Type"[..]).and_then(Object::name);
        kind.is_none_or(|kind| kind == b"DSS") && !object.contains_key(&b"Length"[..]) && has_only_store_keys(object)
    })
}

/// Whether a value is a time-stamp over the document.
pub(super) fn is_stamp(value: &Dictionary) -> bool {
    let name = |key: &[u8]| value.get(key).and_then(Object::name);
    name(b"Type") == Some(b"DocTimeStamp") || name(b"SubFilter") == Some(b"ETSI.RFC3161")
}

/// Whether two dictionaries are the same but for some keys.
pub(super) fn same(old: &Dictionary, new: &Dictionary, but: &[&[u8]]) -> bool {
    let (mut old, mut new) = (entries(old, but), entries(new, but));
    loop {
        match (old.next(), new.next()) {
            (None, None) => return true,
            (Some((key, old)), Some((other, new))) if key == other && alike(old, new) => {}
            _ => return false,
        }
    }
}

fn entries<'d>(all: &'d Dictionary, but: &'d [&'d [u8]]) -> impl Iterator<Item = (&'d Vec<u8>, &'d Object)> {
    all.iter().filter(|(key, _)| !but.contains(&key.as_slice()))
}

/// Whether two objects say the same: texts stand elsewhere and numbers have other spellings from one revision to the next.
pub(super) fn alike(old: &Object, new: &Object) -> bool {
    match (old, new) {
        (Object::Text { bytes, .. }, Object::Text { bytes: other, .. }) => bytes == other,
        (Object::Long { digest, .. }, Object::Long { digest: other, .. }) => digest == other,
        (Object::Array(old), Object::Array(new)) => all_alike(old, new),
        (Object::Dictionary(old), Object::Dictionary(new)) => same(old, new, &[]),
        (Object::Real(digits), Object::Real(other)) => number(digits) == number(other),
        (Object::Real(digits), whole @ Object::Integer(_)) | (whole @ Object::Integer(_), Object::Real(digits)) => {
            number(digits) == *whole
        }
        (old, new) => old == new,
    }
}

pub(super) fn all_alike(old: &[Object], new: &[Object]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| alike(old, new))
}

/// A number as few write it: without a plus, and zeros that say nothing. `.50` and `0.5` are the same, as are `9.` and `9`.
fn number(digits: &str) -> Object {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let integer = format!("{sign}{whole}").parse().ok().filter(|_| part.is_empty());
    integer.map_or_else(|| Object::Real(format!("{sign}{whole}.{part}")), Object::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for (one, other, equal) in [
            (".1", "0.1", true),
            ("0.10", "+.1", true),
            ("9.", "9", true),
            ("200.000", "200", true),
            ("-.0", "0", true),
            ("-.5", "-0.50", true),
            ("0.1", "0.01", false),
            ("1.0", "10", false),
            ("-1.5", "1.5", false),
            ("99999999999999999999.0", "99999999999999999999.5", false),
            ("--1", "-1", false),
        ] {
            assert_eq!(number(one) == number(other), equal, "{one} {other}");
        }
    }
}
