//! TLS of connections to a backend: reads the files of the settings `tls`.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};

use prism_settings::SettingProblem;

/// The files of the settings `tls`, all in PEM.
pub struct TlsFiles<'s> {
    /// The trust roots; `None` = those of the system.
    pub ca: Option<&'s Path>,
    /// The client certificate and its chain.
    pub certificate: Option<&'s Path>,
    /// The private key of the client certificate.
    pub key: Option<&'s Path>,
}

/// Reads the files. The error has every problem.
pub fn client_config(files: &TlsFiles<'_>) -> Result<ClientConfig, Vec<SettingProblem>> {
    let mut problems = Vec::new();
    let mut report = |problem| problems.push(problem);
    let roots = trust_roots(files.ca).map_err(&mut report).ok();
    let chain = files.certificate.map(|file| read_pem("tls.certificate_file", file, read_certificates).map_err(&mut report).ok());
    let key = files.key.map(|file| read_pem("tls.key_file", file, PrivateKeyDer::from_pem_slice).map_err(&mut report).ok());
    match (&chain, &key) {
        (Some(_), None) => report(SettingProblem::other("tls.key_file", "is missing; tls.certificate_file needs it")),
        (None, Some(_)) => report(SettingProblem::other("tls.certificate_file", "is missing; tls.key_file needs it")),
        _ => {}
    }
    let Some(roots) = roots.filter(|_| problems.is_empty()) else { return Err(problems) };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots));
    let config = match (builder, chain.flatten(), key.flatten()) {
        (Ok(builder), Some(chain), Some(key)) => builder.with_client_auth_cert(chain, key),
        (Ok(builder), ..) => Ok(builder.with_no_client_auth()),
        (Err(error), ..) => Err(error),
    };
    config.map_err(|error| vec![SettingProblem::other("tls.certificate_file", format!("does not fit tls.key_file: {error}"))])
}

fn trust_roots(file: Option<&Path>) -> Result<RootCertStore, SettingProblem> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in read_pem("tls.ca_file", file, read_certificates)? {
            roots
                .add(certificate)
                .map_err(|error| SettingProblem::other("tls.ca_file", format!("can't be used as trust roots: {error}")))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(SettingProblem::other("tls.ca_file", "is missing, and the system has no trust roots"));
        }
    }
    Ok(roots)
}

fn read_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

/// Reads a PEM file for a setting.
fn read_pem<T>(setting: &str, file: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, SettingProblem> {
    let kind = if setting.ends_with("key_file") { "private key" } else { "certificate" };
    let text = fs::read(file).map_err(|error| SettingProblem::other(setting, format!("can't be read: {error}")))?;
    parse(&text).map_err(|error| SettingProblem::other(setting, format!("has no {kind} in PEM format: {error}")))
}
