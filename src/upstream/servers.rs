//! Which server is who it says: what the library of the handshakes asks, and what it leaves to us (docs/x509.md).
//!
//! ```text
//!  chain ─▶ WebPkiServerVerifier (path, name, lists) ─▶ trust::path (profile of TLS) ─▶ trust::path::speaks_for ─▶ handshake
//! ```

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};

use super::UpstreamError;
use super::tls::roots;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::path::{PathError, Purpose, Question, Revocation, judge, speaks_for};
use crate::trust::suite::Strengths;

/// What is wrong with a server's certificate that the library takes.
#[derive(thiserror::Error)]
enum Wrong {
    #[error("the server's certificate cannot be read")]
    Unreadable,
    #[error("the server's certificate: {0}")]
    Path(#[from] PathError),
    #[error("the server's certificate does not speak for {0}, or its common name reads as another host")]
    Name(String),
}

/// The library shows a verifier's errors in this form, to whoever runs the gateway.
impl fmt::Debug for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Asks the library first, then the stricter profile. Revocation lists are the library's.
#[derive(Debug)]
pub(super) struct Servers {
    library: Arc<WebPkiServerVerifier>,
    anchors: Vec<Certificate>,
}

impl Servers {
    /// Believes chains to `anchors`, but no certificate on one of `lists`.
    pub fn new(
        anchors: &[CertificateDer<'static>],
        lists: &[CertificateRevocationListDer<'static>],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, UpstreamError> {
        let library = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(anchors)?), provider)
            .with_crls(lists.iter().cloned())
            .allow_unknown_revocation_status()
            .build()
            .map_err(|e| UpstreamError::Tls(e.to_string()))?;
        let anchors = anchors.iter().map(|der| Certificate::parse(der)).collect::<Result<_, _>>();
        Ok(Self { library, anchors: anchors.map_err(|e| UpstreamError::Tls(format!("trust anchor: {e}")))? })
    }

    /// What the library leaves to us.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Wrong> {
        let leaf = Certificate::parse(leaf).map_err(|_| Wrong::Unreadable)?;
        judge(&Question {
            leaf: &leaf,
            intermediates: &others.iter().filter_map(|c| Certificate::parse(c).ok()).collect::<Vec<_>>(),
            anchors: &self.anchors,
            purpose: Purpose::TlsServer,
            at: UnixMillis(i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 1000).saturating_mul(1000)),
            crls: &[],
            ocsp: &[],
            revocation: Revocation::Ignore,
            strengths: Strengths::shipped(),
        })?;
        let host = name.to_str();
        if speaks_for(&leaf, &host) { Ok(()) } else { Err(Wrong::Name(host.into_owned())) }
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let held = self.library.verify_server_cert(leaf, others, name, stapled, now)?;
        self.judge(leaf, others, name, now)
            .map_err(|wrong| rustls::Error::from(CertificateError::Other(OtherError(Arc::new(wrong)))))?;
        Ok(held)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.library.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.library.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{Issuer, Subject, Use, certificate};
    use crate::trust::pem;
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

    fn servers(anchors: &[CertificateDer<'static>], lists: &[CertificateRevocationListDer<'static>]) -> Servers {
        Servers::new(anchors, lists, Arc::new(rustls::crypto::ring::default_provider())).unwrap()
    }

    fn asked(servers: &Servers, chain: &[CertificateDer<'_>], host: &str, at_s: i64) -> Result<(), rustls::Error> {
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at_s.unsigned_abs()));
        let name = ServerName::try_from(host.to_owned()).unwrap();
        servers.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).map(|_| ())
    }

    #[test]
    fn whom_we_believe() {
        const DAY: i64 = 86_400;
        let key =
            || SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap()).unwrap();
        let (root_key, leaf_key) = (key(), key());
        let (from, to) = (UnixMillis(0), UnixMillis(10 * DAY * 1000));
        let subject = Subject::named("Root", "Test");
        let root = certificate(
            &Issuer::root(&root_key, &subject),
            &subject,
            &root_key.public_key().to_spki(),
            Use::Root,
            from,
            to,
        );
        let root = root.unwrap();
        let above = Certificate::parse(&root).unwrap();
        let servers = servers(&[CertificateDer::from(root)], &[]);
        for (common_name, purpose, host, at_s, believed) in [
            ("Tongban gateway", Use::TlsServer, "gw.gov.cn", DAY, true),
            ("gw.gov.cn", Use::TlsBoth, "gw.gov.cn", DAY, true),
            ("GW.gov.cn", Use::TlsServer, "gw.gov.cn", DAY, false), // taken by the library alone
            ("xn--n3h.cn", Use::TlsServer, "gw.gov.cn", DAY, false), // and this
            ("Tongban gateway", Use::TlsServer, "other.gov.cn", DAY, false),
            ("Tongban gateway", Use::TlsServer, "gw.gov.cn", 11 * DAY, false),
            ("Tongban gateway", Use::TlsClient, "gw.gov.cn", DAY, false),
            ("Tongban gateway", Use::Intermediate(0), "gw.gov.cn", DAY, false),
        ] {
            let subject = Subject { dns: &["gw.gov.cn"], ..Subject::named(common_name, "Test") };
            let issuer = Issuer::of(&root_key, &above);
            let leaf = certificate(&issuer, &subject, &leaf_key.public_key().to_spki(), purpose, from, to).unwrap();
            let said = asked(&servers, &[CertificateDer::from(leaf)], host, at_s);
            assert_eq!(said.is_ok(), believed, "{common_name} {purpose:?} {host}: {said:?}");
            let is_ours = said.as_ref().is_err_and(|e| e.to_string().contains("common name reads as another host"));
            assert_eq!(is_ours, ["GW.gov.cn", "xn--n3h.cn"].contains(&common_name), "{common_name}: {said:?}");
        }
    }

    /// The cases of x509-limbo as a server would show them to us, where they are at hand; docs/x509.md has the exceptions.
    #[test]
    fn limbo() {
        const PAGE: &str = include_str!("../../docs/x509.md");
        let Some(folder) = crate::terms::testing::vectors("x509") else { return };
        let json = |name: &str| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
        };
        let texts = |value: &serde_json::Value| -> Vec<Vec<u8>> {
            let texts = value.as_array().unwrap().iter().map(|text| text.as_str().unwrap());
            texts.flat_map(|t| pem::decode(t.as_bytes()).unwrap()).map(|block| block.octets.to_vec()).collect()
        };
        let grades = &json("manifest.json")["files"]["limbo-server.json"]["cases"];
        let (mut done, mut wrong) = (0, Vec::new());
        for case in json("limbo-server.json")["testcases"].as_array().unwrap() {
            let id = case["id"].as_str().unwrap();
            let may_differ = grades[id]["grade"] == "info" || PAGE.contains(&format!("`{id}` |"));
            // How deep a chain may be is asked of `judge_within`.
            let Some(host) = case["expected_peer_name"]["value"].as_str().filter(|_| case["max_chain_depth"].is_null())
            else {
                continue;
            };
            let ders = |value: &serde_json::Value| -> Vec<CertificateDer<'static>> {
                texts(value).into_iter().map(CertificateDer::from).collect()
            };
            let mut chain = ders(&serde_json::json!([case["peer_certificate"]]));
            chain.extend(ders(&case["untrusted_intermediates"]));
            let lists: Vec<_> = texts(&case["crls"]).into_iter().map(CertificateRevocationListDer::from).collect();
            let at = case["validation_time"].as_str().unwrap_or("2026-06-01T00:00:00Z");
            let at_s = UnixMillis::parse_rfc3339(at).unwrap().0 / 1000;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let said = Servers::new(&ders(&case["trusted_certs"]), &lists, provider)
                .map_err(|e| e.to_string())
                .and_then(|servers| asked(&servers, &chain, host, at_s).map_err(|e| e.to_string()));
            done += 1;
            if said.is_ok() != (case["expected_result"] == "SUCCESS") && !may_differ {
                wrong.push(format!("{id}: wanted {}, got {said:?}", case["expected_result"]));
            }
        }
        assert!(done > 40 && wrong.is_empty(), "{} of {done}:\n{}", wrong.len(), wrong.join("\n"));
    }
}
