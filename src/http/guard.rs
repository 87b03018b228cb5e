//! What hyper lets through and we do not: one framing, one Host, one spelling of a path.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Version};

use super::heads::Fault;
use super::{HEAD_TOO_LARGE, MALFORMED, METHOD};
use crate::terms::Refusal;

/// Longest request target in octets.
const TARGET_MAX: usize = 8_192;
/// Longest single header line in octets.
const LINE_MAX: usize = 16_384;

/// Checks the head of a request before anything reads it.
///
/// # Errors
/// `TB-HTTP-0001` for two framings, a missing or doubled Host, an odd path; `TB-HTTP-0003` for a method outside
/// GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; `TB-HTTP-0010` for a head or a line of it that is too large.
pub fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    let bad = |why: &str| Err(Refusal::new(&MALFORMED, why).header("connection", "close"));
    match request.extensions().get::<Fault>() {
        Some(Fault::Malformed(why)) => return bad(why),
        Some(Fault::TooLarge) => {
            return Err(Refusal::new(&HEAD_TOO_LARGE, "a head that is too large").header("connection", "close"));
        }
        None => {}
    }
    if !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS
    ) {
        let taken = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        return Err(Refusal::new(&METHOD, "method not taken").header("connection", "close").header("allow", taken));
    }
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) {
        let codings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
        if headers.contains_key(CONTENT_LENGTH) {
            return bad("both Transfer-Encoding and Content-Length");
        }
        if codings.len() != 1 || !codings[0].as_bytes().eq_ignore_ascii_case(b"chunked") {
            return bad("a Transfer-Encoding other than chunked");
        }
        if request.version() < Version::HTTP_11 {
            return bad("Transfer-Encoding in HTTP/1.0");
        }
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return bad("more than one Content-Length");
    }
    match request.version() {
        Version::HTTP_2 => {}
        _ if headers.get_all(HOST).iter().count() != 1 => return bad("Host missing or given twice"),
        _ => {}
    }
    if headers.values().any(|v| v.len() > LINE_MAX) {
        return Err(Refusal::new(&HEAD_TOO_LARGE, "a header line is too long").header("connection", "close"));
    }
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    if target.len() > TARGET_MAX {
        return bad("the request target is too long");
    }
    path_is_plain(request.uri().path()).or_else(bad)
}

/// One spelling per path: no dot segments, no empty segments, no escapes of separators or controls.
///
/// Refusing beats normalising: policy, route and back end then cannot see three different paths.
pub fn path_is_plain(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("the path does not begin with a slash");
    }
    if path.contains("//") {
        return Err("an empty path segment");
    }
    if path.bytes().any(|b| matches!(b, b'\\' | b';' | 0..=0x20 | 0x7f..)) {
        return Err("a character in the path that must be escaped or is not taken");
    }
    if path.split('/').any(|s| matches!(s, "." | "..")) {
        return Err("a dot segment in the path");
    }
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            at += 1;
            continue;
        }
        let hex = path.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(b'/' | b'\\' | b'.' | b'%' | b';' | 0..=0x1f | 0x7f) => {
                return Err("an escape that hides a separator");
            }
            Some(_) => at += 3,
            None => return Err("a broken escape"),
        }
    }
    Ok(())
}

/// Header names that say who somebody is, in any spelling: a client's own never reach a system behind.
/// `_` counts as `-`, as CGI-like back ends fold them.
pub fn is_identity_header(name: &str) -> bool {
    let name = name.replace('_', "-").to_ascii_lowercase();
    const PREFIXES: [&str; 8] =
        ["tongban-", "x-tongban-", "x-forwarded-", "x-auth-", "x-user", "x-remote-", "remote-", "x-ssl-"];
    const NAMES: [&str; 16] = [
        "forwarded",
        "x-real-ip",
        "x-client-cert",
        "client-cert",
        "client-cert-chain",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-authenticated-user",
        "x-client-dn",
        "x-client-verify",
        "authorization",
        "dpop",
    ];
    PREFIXES.iter().any(|p| name.starts_with(p)) || NAMES.contains(&name.as_str())
}

/// Removes hop-by-hop headers (RFC 9110 §7.6.1), those that `Connection` names, and identity headers.
/// What `Connection` names never removes a header that we set: ours are added afterwards.
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|n| n.trim().to_ascii_lowercase())
        .collect();
    const HOP: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let gone: Vec<_> = headers
        .keys()
        .filter(|name| {
            let n = name.as_str();
            HOP.contains(&n) || named.iter().any(|x| x == n) || is_identity_header(n)
        })
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_a_path() {
        for (path, plain) in [
            ("/v1/items", true),
            ("/v1/items/%E5%8A%9E", true), // 办
            ("/v1//items", false),
            ("/v1/../admin", false),
            ("/v1/%2e%2e/admin", false),
            ("/v1/a%2fb", false),
            ("/v1/a%5Cb", false),
            ("/v1/a%00", false),
            ("/v1/a;b=c", false),
            ("/v1/%zz", false),
            ("/v1/%2", false),
            ("/v1/%252e", false), // an escape of an escape
        ] {
            assert_eq!(path_is_plain(path).is_ok(), plain, "{path}");
        }
    }

    #[test]
    fn nobody_brings_an_identity_along() {
        let mut headers = HeaderMap::new();
        for name in [
            "x_forwarded_for",
            "X-Tongban-Caller",
            "Tongban-Identity",
            "x-remote-user",
            "Forwarded",
            "authorization",
            "x-note",
        ] {
            headers.insert(http::HeaderName::try_from(name).unwrap(), "x".parse().unwrap());
        }
        headers.insert("connection", "x-secret, close".parse().unwrap());
        headers.insert("x-secret", "y".parse().unwrap());
        strip(&mut headers);
        let left: Vec<_> = headers.keys().map(|k| k.as_str()).collect();
        assert_eq!(left, ["x-note"]);
    }

    #[test]
    fn one_framing_one_host() {
        for (lines, ok) in [
            (vec![("host", "a")], true),
            (vec![], false),
            (vec![("host", "a"), ("host", "b")], false),
            (vec![("host", "a"), ("content-length", "1"), ("transfer-encoding", "chunked")], false),
            (vec![("host", "a"), ("transfer-encoding", "identity, chunked")], false),
            (vec![("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
            (vec![("host", "a"), ("transfer-encoding", "Chunked")], true),
        ] {
            let mut request = Request::builder().uri("/v1/items").method("POST");
            for (name, value) in &lines {
                request = request.header(*name, *value);
            }
            assert_eq!(check(&request.body(()).unwrap()).is_ok(), ok, "{lines:?}");
        }
    }
}
