//! Bundles of entries travel compressed to whoever takes that (C2SP tlog-tiles): JSON shrinks to a third. Hashes do not shrink.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};

/// Whether an answer may be gzip (RFC 9110 §12.5.3). Who says nothing of encodings gets none.
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any) = (None, None);
    for coding in all.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        // A weight that is none counts as refused: what is whole can always be read.
        let weight =
            parts.next().map_or(Some(1.0), |q| q.strip_prefix("q=").or(q.strip_prefix("Q="))?.parse::<f32>().ok());
        let is_wanted = weight.is_some_and(|weight| weight > 0.0);
        match name {
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => gzip = Some(is_wanted),
            "*" => any = Some(is_wanted),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

/// The same octets as gzip. Speed before size: a mirror reads thousands of bundles.
pub(super) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn only_who_takes_gzip_gets_it() {
        for (lines, want) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["gzip, identity"], true), // as tlog-tiles wants of its clients
            (&["identity", "GZIP"], true),
            (&["x-gzip;q=0.5"], true),
            (&["br, *"], true),
            (&["*;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["gzip; q=0.000"], false),
            (&["gzip; q=0.001"], true),
            (&["gzip;q=much"], false),
            (&["gzip;level=9"], false),
            (&["br, zstd"], false),
            (&[""], false),
        ] {
            let headers = lines.iter().map(|line| (header::ACCEPT_ENCODING, line.parse().unwrap())).collect();
            assert_eq!(is_taken(&headers), want, "{lines:?}");
        }
        let (bytes, mut back) = (br#"{"kind":"deny"}"#.repeat(500), Vec::new());
        let packed = gzip(&bytes).unwrap();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert!(back == bytes && packed.len() < bytes.len() / 10);
    }
}
