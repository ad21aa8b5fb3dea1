//! Certificates of the tests' own authorities.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority, and the directory that holds its certificate and those that it issues. Dropped, it is removed.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one in a directory of this name.
    pub fn new(name: &str) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("skep-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(directory.join("ca.pem"), parameters.self_signed(&key)?.pem())?;
        Ok(Self { directory, issuer: Issuer::new(parameters, key) })
    }

    /// The file with its own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Issues a certificate for `localhost`: the files of it and of its key.
    pub fn issue(&self) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &self.issuer)?;
        let files = (self.directory.join("certificate.pem"), self.directory.join("key.pem"));
        std::fs::write(&files.0, certificate.pem())?;
        std::fs::write(&files.1, key.serialize_pem())?;
        Ok(files)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.directory);
    }
}
