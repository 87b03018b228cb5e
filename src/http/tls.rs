//! TLS as a server: our certificate, and whose client certificates we look at.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;

use crate::upstream::UpstreamError;
use crate::upstream::tls::{Identity, roots};

/// What the listener asks of clients.
pub enum Clients<'a> {
    /// No certificate is asked for.
    Anyone,
    /// A certificate of these authorities, or none; each route says whether it needs one.
    Asked(&'a [CertificateDer<'static>]),
    /// No connection without one.
    Required(&'a [CertificateDer<'static>]),
}

/// Builds the settings of a listener. TLS 1.3 and 1.2, ring, ALPN `h2` and `http/1.1`, no 0-RTT: a request that moves
/// a case must not be replayable below us.
pub fn server(identity: Identity, clients: Clients<'_>) -> Result<Arc<ServerConfig>, UpstreamError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |e: &dyn std::fmt::Display| UpstreamError::Tls(e.to_string());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?;
    let verifier = |anchors: &[CertificateDer<'static>], required: bool| {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(anchors)?), provider.clone());
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|e| wrong(&e))
    };
    let builder = match clients {
        Clients::Anyone => builder.with_no_client_auth(),
        Clients::Asked(anchors) => builder.with_client_cert_verifier(verifier(anchors, false)?),
        Clients::Required(anchors) => builder.with_client_cert_verifier(verifier(anchors, true)?),
    };
    let mut config = builder.with_single_cert(identity.chain, identity.key).map_err(|e| wrong(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
