//! TLS to providers: the certificates of the machine's roots and of the operator's authorities are trusted.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Makes the client's configuration. Without any root no https is called.
pub(super) fn client(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let of_machine = rustls_native_certs::load_native_certs();
    for error in &of_machine.errors {
        tracing::debug!(%error, "some of the roots that this machine trusts could not be read");
    }
    // Old roots that cannot be read any more do not matter.
    roots.add_parsable_certificates(of_machine.certs);
    for authority in authorities {
        roots.add(authority)?;
    }
    if roots.is_empty() {
        tracing::warn!("this machine trusts no certificates: providers at https:// are not called");
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
