//! TLS of the API: version 1.3 only, by rustls, with the certificate and the key of two PEM files. A process
//! that is sent SIGHUP reads them again; files that are not good leave it with those it has.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// Where the certificate and its key are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// The certificate, then those that lead to its root.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<CertifiedKey> {
        let Self { certificate, key } = self;
        let told = format!("the certificates in {}", certificate.display());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("cannot read {told}"))?;
        ensure!(!chain.is_empty(), "{} holds no certificate (PEM)", certificate.display());
        let key_file = key.display();
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("cannot read the private key in {key_file}"))?;
        // Fails where the key is not the certificate's.
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .with_context(|| format!("the private key in {key_file} does not go with {told}"))
    }
}

/// What is shown to clients, until a SIGHUP.
struct Shown(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Reads the files, now and at each SIGHUP.
pub(crate) fn acceptor(files: Files) -> Result<TlsAcceptor> {
    let shown = Arc::new(Shown(RwLock::new(Arc::new(files.read()?))));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&shown) as _);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match files.read() {
                Ok(read) => {
                    *shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                    tracing::info!("read the certificate again");
                }
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the certificate stays as it was"
                    );
                }
            }
        }
    });
    Ok(TlsAcceptor::from(Arc::new(config)))
}
