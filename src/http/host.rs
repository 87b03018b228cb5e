//! For which host a request is: ours, or that of a department's system we answer for (RFC 9110 §7.2, §7.4).

use std::sync::Arc;

use http::{Request, header};

use super::{MALFORMED, MISDIRECTED};
use crate::gateway::Rooms;
use crate::gateway::systems::System;
use crate::terms::Refusal;

/// Where a request is addressed.
#[derive(Clone, Debug)]
pub enum Addressed {
    /// To the gateway, under this authority.
    Us(String),
    /// To a system, by its own host name.
    System(Arc<System>, String),
}

impl Addressed {
    /// Host and port as the client wrote them, in lower case.
    pub fn authority(&self) -> &str {
        match self {
            Self::Us(authority) | Self::System(_, authority) => authority,
        }
    }
}

/// Reads and judges the host of a request.
///
/// # Errors
/// `TB-HTTP-0001` where target and Host disagree, `TB-HTTP-0008` for a host that is not ours or not the one that the TLS
/// handshake named, and for a target that is not https.
pub fn addressed<B>(rooms: &Rooms, request: &Request<B>, server_name: Option<&str>) -> Result<Addressed, Refusal> {
    let authority = authority(request)?;
    let elsewhere = |why: &str| Refusal::new(&MISDIRECTED, why);
    if request.uri().scheme_str().is_some_and(|scheme| scheme != "https") {
        return Err(elsewhere("the target is of another scheme"));
    }
    let (name, _) = split(&authority);
    if server_name.is_some_and(|sni| !sni.eq_ignore_ascii_case(name)) {
        return Err(elsewhere("TLS named another host"));
    }
    if rooms.names.iter().any(|ours| matches(ours, &authority)) {
        return Ok(Addressed::Us(authority));
    }
    let systems = rooms.systems.load();
    match systems.iter().find(|s| s.host.as_deref().is_some_and(|host| matches(host, &authority))) {
        Some(system) => Ok(Addressed::System(system.clone(), authority)),
        None => Err(elsewhere("not one of our hosts")),
    }
}

/// The authority in the target, else in `Host`; where both are there they agree.
fn authority<B>(request: &Request<B>) -> Result<String, Refusal> {
    let bad = |why: &str| Refusal::new(&MALFORMED, why).header("connection", "close");
    let target = request.uri().authority().map(|a| a.as_str().to_ascii_lowercase());
    let host = match request.headers().get(header::HOST) {
        Some(host) => Some(host.to_str().map_err(|_| bad("Host is not text"))?.to_ascii_lowercase()),
        None => None,
    };
    let authority = match (target, host) {
        (Some(target), Some(host)) if plain(&target) != plain(&host) => {
            return Err(bad("the target and Host name different hosts"));
        }
        (Some(target), _) => target,
        (None, Some(host)) => host,
        (None, None) => return Err(bad("no host is named")),
    };
    if authority.contains('@') {
        return Err(bad("a user in the host"));
    }
    Ok(authority)
}

/// Without the port that goes without saying.
fn plain(authority: &str) -> &str {
    authority.strip_suffix(":443").unwrap_or(authority)
}

/// Name and port; an IPv6 address keeps its brackets.
fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    }
}

/// A configured name with a port fits that port, one without fits every port.
fn matches(ours: &str, authority: &str) -> bool {
    match split(ours) {
        (name, None) => name.eq_ignore_ascii_case(split(authority).0),
        _ => plain(ours).eq_ignore_ascii_case(plain(authority)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_with_and_without_port() {
        for (ours, authority, fits) in [
            ("gw.example.cn", "gw.example.cn", true),
            ("gw.example.cn", "gw.example.cn:8443", true),
            ("gw.example.cn:8443", "GW.example.cn:8443", true),
            ("gw.example.cn:8443", "gw.example.cn", false),
            ("gw.example.cn:443", "gw.example.cn", true),
            ("gw.example.cn", "gw.example.cn.evil.com", false),
            ("gw.example.cn", "evil.gw.example.cn", false),
            ("[::1]:8443", "[::1]:8443", true),
            ("127.0.0.1:8443", "127.0.0.1:8444", false),
        ] {
            assert_eq!(matches(ours, authority), fits, "{ours} {authority}");
        }
    }

    #[test]
    fn target_and_host_agree() {
        for (target, host, want) in [
            ("/v1", Some("a:1"), Some("a:1")),
            ("https://a:1/v1", None, Some("a:1")),
            ("https://a/v1", Some("A:443"), Some("a")),
            ("https://a:1/v1", Some("b:1"), None),
            ("/v1", None, None),
            ("/v1", Some("root@a"), None),
        ] {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let got = authority(&request.body(()).unwrap()).ok();
            assert_eq!(got.as_deref(), want, "{target} {host:?}");
        }
    }
}
