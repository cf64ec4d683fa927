//! Client certificates (mTLS). The listener has verified the certificate against its `client_ca`; this chooses the name in it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::method::{Attempt, Method, Verdict};
use prism_call::{AuthenticationMethod, CertificateNames, Credentials, Peer, Principal, TlsPeer};
use prism_settings::{CheckSettings, SettingProblem};

/// Settings of an authenticator of `type: mtls`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateSettings {
    /// Which name of the certificate is the subject: the first one of these that it has.
    #[serde(default = "all_names")]
    pub names: Vec<CertificateName>,
}

/// A kind of name in a certificate.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateName {
    /// A URI, such as a SPIFFE id (`spiffe://example.org/billing`).
    Uri,
    /// A host name.
    Dns,
    /// A mail address.
    Email,
    /// The common name of the subject.
    CommonName,
}

fn all_names() -> Vec<CertificateName> {
    vec![CertificateName::Uri, CertificateName::Dns, CertificateName::Email, CertificateName::CommonName]
}

impl CheckSettings for CertificateSettings {
    fn check(&self) -> Vec<SettingProblem> {
        let empty = self.names.is_empty().then(|| SettingProblem::expected("names", "a list of uri, dns, email and common-name"));
        empty.into_iter().collect()
    }
}

/// Authenticates callers by the client certificates of their connections.
pub struct ClientCertificate(pub CertificateSettings);

impl Method for ClientCertificate {
    fn attempt<'a>(&'a self, peer: &'a Peer, _: &'a Credentials) -> Attempt<'a> {
        let has_one = |tls: &&TlsPeer| tls.client_names.is_some() || !tls.client_certificates.is_empty();
        let Some(tls) = peer.tls.as_ref().filter(has_one) else { return Attempt::Absent };
        let principal = Some(tls)
            .filter(|tls| tls.is_trusted())
            .and_then(|tls| tls.client_names.as_deref())
            .and_then(|names| principal(names, &self.0.names));
        Attempt::Ready(principal.map_or(Verdict::Rejected, |principal| Verdict::Accepted(Arc::new(principal))))
    }

    fn challenge(&self) -> Option<&'static str> {
        None
    }
}

/// Returns the caller with a certificate, or `None` if it has none of these names or has expired.
fn principal(names: &CertificateNames, wanted: &[CertificateName]) -> Option<Principal> {
    let subject = wanted.iter().find_map(|kind| {
        let name = match kind {
            CertificateName::Uri => names.uris.first(),
            CertificateName::Dns => names.dns.first(),
            CertificateName::Email => names.emails.first(),
            CertificateName::CommonName => Some(&names.common_name),
        };
        name.filter(|name| !name.is_empty())
    })?;
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(names.not_after).ok()?))?;
    // A connection may outlive its certificate.
    let left = end.duration_since(SystemTime::now()).ok()?;
    Some(Principal { expires: Instant::now().checked_add(left), ..Principal::new(subject.as_str(), AuthenticationMethod::Certificate) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kind_of_name_decides() {
        let names = CertificateNames {
            uris: vec!["spiffe://example.org/billing".to_owned()],
            dns: vec!["billing.example.org".to_owned()],
            emails: Vec::new(),
            common_name: "billing".to_owned(),
            not_after: 32_503_680_000,
        };
        let subject = |wanted: &[CertificateName]| principal(&names, wanted).map(|principal| principal.subject.to_string());
        assert_eq!(subject(&all_names()).as_deref(), Some("spiffe://example.org/billing"));
        assert_eq!(subject(&[CertificateName::Email, CertificateName::Dns]).as_deref(), Some("billing.example.org"));
        assert_eq!(subject(&[CertificateName::CommonName]).as_deref(), Some("billing"));
        assert_eq!(subject(&[CertificateName::Email]), None);
        let expired = CertificateNames { not_after: 1, ..names.clone() };
        assert!(principal(&expired, &all_names()).is_none());
    }
}
