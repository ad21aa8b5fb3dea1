//! What a client of ours believes when a server of the platform (Postgres, RabbitMQ) shows its certificate. There is no
//! way to believe anything: a server is verified, or it is not spoken to.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// What a TLS client trusts: the certificates of this file, or the system's.
pub fn client_config(trusted: Option<&Path>) -> Result<ClientConfig, String> {
    let (source, certificates) = match trusted {
        Some(file) => {
            let read = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let source = format!("the file {}", file.display());
            (
                source.clone(),
                read.map_err(|error| format!("cannot read the certificates in {source}: {error}"))?,
            )
        }
        None => ("the system's store".to_owned(), rustls_native_certs::load_native_certs().certs),
    };
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err(format!("{source} holds no certificate to trust"));
    }
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
