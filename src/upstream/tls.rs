//! TLS as a client: whom we trust, and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::UpstreamError;
use super::servers::Servers;

/// A certificate chain with its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads PEM files.
    ///
    /// # Errors
    /// [`UpstreamError::Tls`] naming the file.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, UpstreamError> {
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| tls_error(key, e))?;
        Ok(Self { chain: certificates(cert)?, key: key_der })
    }
}

/// All certificates of a PEM file; at least one.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, UpstreamError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|e| tls_error(file, e))?.collect();
    match all.map_err(|e| tls_error(file, e))? {
        all if all.is_empty() => Err(UpstreamError::Tls(format!("{}: no certificate in it", file.display()))),
        all => Ok(all),
    }
}

fn tls_error(file: &Path, why: impl std::fmt::Display) -> UpstreamError {
    UpstreamError::Tls(format!("{}: {why}", file.display()))
}

/// A set of trust anchors for TLS.
pub fn roots(anchors: &[CertificateDer<'static>]) -> Result<RootCertStore, UpstreamError> {
    let mut store = RootCertStore::empty();
    for anchor in anchors {
        store.add(anchor.clone()).map_err(|e| UpstreamError::Tls(format!("trust anchor: {e}")))?;
    }
    Ok(store)
}

/// What a [`super::Client`] needs to speak TLS.
#[derive(Clone)]
pub struct ClientTls(pub(super) Arc<ClientConfig>);

impl ClientTls {
    /// Trusts exactly `anchors`; shows `identity` when the other side asks for one.
    pub fn new(anchors: &[CertificateDer<'static>], identity: Option<Identity>) -> Result<Self, UpstreamError> {
        Self::with_lists(anchors, &[], identity)
    }

    /// The same, but no certificate on one of `lists` is trusted.
    pub fn with_lists(
        anchors: &[CertificateDer<'static>],
        lists: &[CertificateRevocationListDer<'static>],
        identity: Option<Identity>,
    ) -> Result<Self, UpstreamError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let wrong = |e: &dyn std::fmt::Display| UpstreamError::Tls(e.to_string());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(&e))?;
        // Without anchors nobody is believed: for calls that go over plain HTTP only.
        let builder = if anchors.is_empty() {
            builder.with_root_certificates(RootCertStore::empty())
        } else {
            let servers = Servers::new(anchors, lists, provider)?;
            // "Dangerous" is the library's word for a verifier of one's own; ours asks the library's first.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(servers))
        };
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(who) => builder
                .with_client_auth_cert(who.chain, who.key)
                .map_err(|e| UpstreamError::Tls(format!("client certificate: {e}")))?,
        };
        Ok(Self(Arc::new(config)))
    }
}
