//! Creates a certificate for `localhost` and 127.0.0.1 with the openssl command; it is valid for one day.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Files of a self-signed certificate, which clients trust directly.
pub struct Certificate {
    /// PEM of the certificate.
    pub certificate: PathBuf,
    /// PEM of the private key.
    pub key: PathBuf,
}

impl Certificate {
    /// Creates the files in a folder.
    pub fn make(folder: &Path) -> Result<Self, String> {
        let made = Self { certificate: folder.join("server.pem"), key: folder.join("server.key") };
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            // Without this the certificate is a CA certificate, which rustls refuses as a server certificate.
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&made.key)
            .arg("-out")
            .arg(&made.certificate)
            .output()
            .map_err(|error| format!("can't run openssl ({error}); run scripts/install-test-servers"))?;
        if output.status.success() {
            Ok(made)
        } else {
            Err(format!("openssl made no certificate: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}
