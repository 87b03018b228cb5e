//! Name constraints (RFC 5280 §4.2.1.10) and the name a TLS server answers to (RFC 9525 §6).

use std::net::IpAddr;

use super::{Rule, Stop, Work, no};
use crate::trust::certificate::{ALT_NAMES, AltName, Certificate, NameConstraints};
use crate::trust::name;

const COMMON_NAME: &str = "2.5.4.3";
const EMAIL_ATTRIBUTE: &str = "1.2.840.113549.1.9.1";

/// Every name of every certificate must lie within the constraints of all authorities above it.
///
/// `chain` is leaf first. Self-issued authorities are exempt, as the RFC has it; the leaf never is.
pub(super) fn check(chain: &[&Certificate], work: &mut Work) -> Result<(), Stop> {
    for (above, authority) in chain.iter().enumerate().skip(1) {
        let Some(constraints) = &authority.extensions.name_constraints else { continue };
        if constraints.permitted.is_empty() && constraints.excluded.is_empty() {
            return no(authority, Rule::Names, "name constraints that constrain nothing");
        }
        for (n, certificate) in chain[..above].iter().enumerate() {
            if n > 0 && name::same(certificate.subject(), certificate.issuer()) {
                continue;
            }
            // Names nobody can read may be anything.
            if certificate.extensions.unreadable.iter().any(|oid| oid == ALT_NAMES) {
                return no(certificate, Rule::Names, "alternative names that cannot be read, below name constraints");
            }
            for name in all_names(certificate) {
                judge(certificate, &name, constraints, work)?;
            }
        }
    }
    Ok(())
}

/// Alternative names, the subject, and mail addresses inside the subject.
fn all_names(certificate: &Certificate) -> Vec<AltName> {
    let mut names = certificate.extensions.alt_names.clone();
    let attributes = name::attributes(certificate.subject());
    let mails = attributes.iter().filter(|a| a.oid == EMAIL_ATTRIBUTE).map(|a| AltName::Email(a.value.clone()));
    names.extend(mails);
    if !attributes.is_empty() {
        names.push(AltName::Directory(certificate.subject().to_vec()));
    }
    names
}

fn judge(of: &Certificate, name: &AltName, constraints: &NameConstraints, work: &mut Work) -> Result<(), Stop> {
    for base in constraints.excluded.iter().filter(|base| same_form(name, base)) {
        work.comparison()?;
        if within(name, base, true).or_else(|why| no(of, Rule::Names, why))? {
            return no(of, Rule::Names, "a name that the authority must not give out");
        }
    }
    let mut asked = false;
    for base in constraints.permitted.iter().filter(|base| same_form(name, base)) {
        work.comparison()?;
        asked = true;
        if within(name, base, false).or_else(|why| no(of, Rule::Names, why))? {
            return Ok(());
        }
    }
    if asked { no(of, Rule::Names, "a name outside what the authority may give out") } else { Ok(()) }
}

fn same_form(a: &AltName, b: &AltName) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Whether `name` lies in the subtree of `base`; for excluded trees, whether it could.
fn within(name: &AltName, base: &AltName, excluded: bool) -> Result<bool, &'static str> {
    Ok(match (name, base) {
        (AltName::Dns(name), AltName::Dns(base)) => {
            if !base.is_empty() && !is_host(base.strip_prefix('.').unwrap_or(base)) {
                return Err("a DNS constraint that is not a name");
            }
            let (host, wildcard) = match name.strip_prefix("*.") {
                Some(rest) => (rest, true),
                None => (name.as_str(), false),
            };
            if !is_host(host) {
                return Err("a DNS name that is not one");
            }
            // `*.example.com` could be `bar.example.com`, so it falls under an exclusion of that, too.
            let covered = base.split_once('.').is_some_and(|(first, rest)| {
                excluded && wildcard && !first.is_empty() && rest.eq_ignore_ascii_case(host)
            });
            covered || in_domain(host, base, wildcard)
        }
        (AltName::Ip(name), AltName::Ip(base)) => {
            let (address, mask) = base.split_at(base.len() / 2);
            if !matches!(base.len(), 8 | 32) {
                return Err("an address constraint that is not one");
            }
            name.len() == address.len() && name.iter().zip(address).zip(mask).all(|((n, a), mask)| n & mask == a & mask)
        }
        (AltName::Email(name), AltName::Email(base)) => {
            let Some((local, host)) = mailbox(name) else {
                return Err("a mail address that is not one");
            };
            match base.rsplit_once('@') {
                Some((base_local, base_host)) => base_local == local && base_host.eq_ignore_ascii_case(host),
                None if base.starts_with('.') => in_domain(host, base, false),
                None => base.eq_ignore_ascii_case(host),
            }
        }
        (AltName::Uri(name), AltName::Uri(base)) => {
            let Some(host) = uri_host(name) else {
                return Err("a URI without a host under a constraint of hosts");
            };
            if base.starts_with('.') { in_domain(host, base, false) } else { base.eq_ignore_ascii_case(host) }
        }
        (AltName::Directory(name), AltName::Directory(base)) => {
            let (name, base) = (folded(name), folded(base));
            name.starts_with(&base)
        }
        // A form we cannot compare, and a constraint on it: nobody can say that it holds.
        _ => return Err("a constraint on a form of name that is not understood"),
    })
}

/// `host` is `base` or below it; with a leading dot (or `host` under a wildcard) only below counts as well.
fn in_domain(host: &str, base: &str, wildcard: bool) -> bool {
    let (base, strictly_below) = match base.strip_prefix('.') {
        Some(rest) => (rest, true),
        None => (base, false),
    };
    if base.is_empty() {
        return true;
    }
    if host.eq_ignore_ascii_case(base) {
        return !strictly_below || wildcard;
    }
    host.len() > base.len()
        && host.as_bytes()[host.len() - base.len() - 1] == b'.'
        && host.is_char_boundary(host.len() - base.len())
        && host[host.len() - base.len()..].eq_ignore_ascii_case(base)
}

/// Attributes of a Name for comparison.
fn folded(name: &[u8]) -> Vec<(String, String)> {
    name::attributes(name).into_iter().map(|a| (a.oid, name::folded(&a.value))).collect()
}

fn uri_host(uri: &str) -> Option<&str> {
    let authority = uri.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    is_host(host).then_some(host)
}

/// Local part and host of a mail address. Quoted local parts, which may hold an `@`, are no longer written by anybody.
fn mailbox(text: &str) -> Option<(&str, &str)> {
    text.split_once('@').filter(|(local, host)| !local.is_empty() && is_host(host))
}

/// Letters, digits, hyphens and underscores between dots; no empty label, at most 253 characters.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

/// Whether every alternative name of a certificate has the form it claims.
pub(super) fn are_well_formed(certificate: &Certificate) -> bool {
    certificate.extensions.alt_names.iter().all(|name| match name {
        AltName::Dns(name) => is_host(name.strip_prefix("*.").unwrap_or(name)),
        AltName::Ip(octets) => matches!(octets.len(), 4 | 16),
        AltName::Email(mail) => mailbox(mail).is_some(),
        _ => true,
    })
}

/// Whether a certificate may speak for a host (RFC 9525 §6): by its alternative names only, and its common name must not say
/// something else.
///
/// `host` is a DNS name or an IP address. A wildcard is the whole leftmost label and stands for exactly one label.
pub fn speaks_for(certificate: &Certificate, host: &str) -> bool {
    let names = &certificate.extensions.alt_names;
    let named = match host.parse::<IpAddr>() {
        Ok(address) => names.contains(&AltName::Ip(octets(address))),
        Err(_) => is_host(host) && names.iter().any(|n| matches!(n, AltName::Dns(name) if stands_for(name, host))),
    };
    let attributes = name::attributes(certificate.subject());
    named && !attributes.iter().any(|a| a.oid == COMMON_NAME && misleads(&a.value, names))
}

fn stands_for(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        // A wildcard right under a top-level domain would speak for everybody there.
        Some(rest) => {
            rest.contains('.') && host.split_once('.').is_some_and(|(_, below)| below.eq_ignore_ascii_case(rest))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

/// Whether a common name that reads as a host is an alternative name in another spelling, or an internationalised name that is
/// none of them: two programs take it for two hosts. Public authorities may write neither (CA/Browser Forum, Baseline
/// Requirements §7.1.4.3). Any other text is a name of the organisation, which says nothing about hosts.
fn misleads(common_name: &str, names: &[AltName]) -> bool {
    let spelled = |name: &AltName| match name {
        AltName::Dns(name) => name == common_name,
        AltName::Ip(octets) => address(octets).is_some_and(|a| a.to_string() == common_name),
        _ => false,
    };
    if names.iter().any(spelled) {
        return false;
    }
    let meant = common_name.parse().ok().or_else(|| {
        let digits = common_name.strip_prefix("0x").or_else(|| common_name.strip_prefix("0X"))?;
        u32::from_str_radix(digits, 16).ok().map(|number| IpAddr::from(number.to_be_bytes()))
    });
    let internationalised =
        is_host(common_name) && common_name.to_ascii_lowercase().split('.').any(|l| l.starts_with("xn--"));
    internationalised
        || names.iter().any(|name| match name {
            AltName::Dns(name) => name.eq_ignore_ascii_case(common_name),
            AltName::Ip(own) => meant.is_some_and(|address| *own == octets(address)),
            _ => false,
        })
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::der::write;

    #[test]
    fn trees_of_names() {
        let dns = |t: &str| AltName::Dns(t.into());
        let mail = |t: &str| AltName::Email(t.into());
        let uri = |t: &str| AltName::Uri(t.into());
        let ip = |o: &[u8]| AltName::Ip(o.to_vec());
        let directory = |text: &str| {
            let pair = write::sequence(&[write::oid("2.5.4.10"), write::utf8(text)]);
            AltName::Directory(write::sequence(&[write::set_of(&[pair])]))
        };
        for (name, base, permitted, excluded) in [
            (dns("a.gov.cn"), dns("gov.cn"), true, true),
            (dns("GOV.cn"), dns("gov.cn"), true, true),
            (dns("evilgov.cn"), dns("gov.cn"), false, false),
            (dns("gov.cn"), dns(".gov.cn"), false, false), // a leading dot: only below
            (dns("a.gov.cn"), dns(".gov.cn"), true, true),
            (dns("*.gov.cn"), dns("gov.cn"), true, true),
            (dns("*.gov.cn"), dns("a.gov.cn"), false, true), // could be the excluded name, is not only the permitted one
            (dns("*.gov.cn"), dns("b.a.gov.cn"), false, false),
            (dns("anything.cn"), dns(""), true, true),
            (mail("clerk@gov.cn"), mail("gov.cn"), true, true),
            (mail("clerk@a.gov.cn"), mail("gov.cn"), false, false),
            (mail("clerk@a.gov.cn"), mail(".gov.cn"), true, true),
            (mail("clerk@GOV.cn"), mail("clerk@gov.cn"), true, true),
            (mail("Clerk@gov.cn"), mail("clerk@gov.cn"), false, false),
            (uri("https://a.gov.cn:8443/x"), uri(".gov.cn"), true, true),
            (uri("https://u@gov.cn/a.gov.cn"), uri("gov.cn"), true, true),
            (uri("https://x.cn?gov.cn"), uri("gov.cn"), false, false),
            (directory("Gov  Body"), directory("gov body"), true, true),
            (directory("Gov Body 2"), directory("gov body"), false, false),
            (ip(&[10, 1, 2, 3]), ip(&[10, 0, 0, 0, 255, 0, 0, 0]), true, true),
            (ip(&[11, 1, 2, 3]), ip(&[10, 0, 0, 0, 255, 0, 0, 0]), false, false),
        ] {
            assert_eq!(within(&name, &base, false), Ok(permitted), "{name:?} permitted under {base:?}");
            assert_eq!(within(&name, &base, true), Ok(excluded), "{name:?} excluded under {base:?}");
        }
        for (name, base) in [
            (dns("a.gov.cn"), dns("*.gov.cn")),
            (dns("a..cn"), dns("gov.cn")),
            (mail("a@b@gov.cn"), mail("gov.cn")),
            (uri("urn:x"), uri("gov.cn")),
            (ip(&[10, 0, 0, 1]), ip(&[10, 0, 0, 0])),
            (AltName::Other, AltName::Other),
        ] {
            assert!(within(&name, &base, true).is_err(), "{name:?} {base:?}");
        }
    }

    #[test]
    fn common_names_that_say_something_else() {
        let names = [
            AltName::Dns("gw.gov.cn".into()),
            AltName::Ip(vec![192, 168, 1, 1]),
            AltName::Ip(octets("2001:db8::1".parse().unwrap())),
        ];
        for (common_name, misleading) in [
            ("gw.gov.cn", false),
            ("GW.gov.cn", true),
            ("192.168.1.1", false),
            ("0xC0A80101", true),
            ("0XC0A80101", true),
            ("0xC0A80102", false), // another address, which is not claimed
            ("2001:db8::1", false),
            ("2001:DB8::1", true),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", true),
            ("xn--n3h.cn", true),
            ("a.XN--n3h.cn", true),
            ("other.gov.cn", false), // says nothing: only alternative names count
            ("某县政务服务数据管理局", false),
            ("gw-440305", false),
            ("", false),
        ] {
            assert_eq!(misleads(common_name, &names), misleading, "{common_name}");
        }
        assert!(!misleads("xn--n3h.cn", &[AltName::Dns("xn--n3h.cn".into())]));
    }
}
