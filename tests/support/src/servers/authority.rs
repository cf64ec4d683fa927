//! A certificate authority that signs, revokes and lists, with the openssl command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::Certificate;

/// What `openssl ca` needs. Paths are relative to the folder of the authority.
const CONFIGURATION: &str = "
[ca]
default_ca = own
[own]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 1
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid
";

/// An authority in a folder.
pub struct Authority {
    folder: PathBuf,
    /// PEM of its certificate.
    pub certificate: PathBuf,
    /// PEM of its revocation list, once it is published.
    pub revocations: PathBuf,
}

impl Authority {
    /// Creates the authority in an empty folder.
    pub fn make(folder: &Path) -> Self {
        for (name, text) in [("ca.cnf", CONFIGURATION), ("index.txt", ""), ("crlnumber", "01\n")] {
            fs::write(folder.join(name), text).unwrap();
        }
        let made = Self { folder: folder.to_owned(), certificate: folder.join("ca.pem"), revocations: folder.join("crl.pem") };
        let extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        made.openssl(&[
            &["req", "-x509", "-days", "1", "-subj", "/CN=authority", "-out", "ca.pem"],
            &extensions[..],
            &new_key("ca.key")[..],
        ]);
        made
    }

    /// Signs a certificate for a host name.
    pub fn sign(&self, name: &str) -> Certificate {
        let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        self.openssl(&[&["req", "-new", "-subj", &subject, "-addext", &alternative, "-out", &request], &new_key(&key)[..]]);
        let signing = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-copy_extensions", "copy"];
        self.openssl(&[&signing[..], &["-in", &request, "-out", &certificate]]);
        Certificate { certificate: self.folder.join(certificate), key: self.folder.join(key) }
    }

    /// Revokes certificates, and publishes the list.
    pub fn revoke(&self, revoked: &[&Certificate]) {
        let command = ["ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"];
        for certificate in revoked {
            self.openssl(&[&command[..], &["-revoke", certificate.certificate.to_str().unwrap()]]);
        }
        self.openssl(&[&command[..], &["-gencrl", "-out", "next.pem"]]);
        fs::rename(self.folder.join("next.pem"), &self.revocations).unwrap();
    }

    fn openssl(&self, arguments: &[&[&str]]) {
        let output = Command::new("openssl").args(arguments.concat()).current_dir(&self.folder).output();
        let output = output.unwrap_or_else(|error| panic!("can't run openssl ({error}); run scripts/install-test-servers"));
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn new_key(file: &str) -> [&str; 7] {
    ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file]
}
