//! `X-Forwarded-Client-Cert`, as Envoy writes it: elements with commas between them, each a list of `Key=Value` with semicolons between them. A value
//! that has one of these characters is in quotes. The last element is about the client of the last proxy.

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::tls::names_of;
use prism_call::CertificateNames;

/// Longest value that is read.
const MAX_BYTES: usize = 32 * 1024;

/// Returns the names in the client certificate, or `None` if there is none, or it can't be read.
pub fn parse<'h>(mut lines: impl DoubleEndedIterator<Item = &'h HeaderValue>) -> Option<CertificateNames> {
    let line = lines.next_back()?.to_str().ok().filter(|line| line.len() <= MAX_BYTES)?;
    let mut names = CertificateNames { not_after: i64::MAX, ..CertificateNames::default() };
    let mut certificate = None;
    for (key, value) in last_element(line)? {
        match key.to_ascii_lowercase().as_str() {
            "uri" => names.uris.push(value),
            "dns" => names.dns.push(value),
            "subject" => names.common_name = common_name(&value).unwrap_or_default(),
            "cert" => certificate = Some(value),
            // What the proxy is, a digest, and the chain.
            _ => {}
        }
    }
    match certificate {
        // It says everything that the other keys say, and when it ends.
        Some(text) => {
            let pem = percent_decode_str(&text).collect::<Vec<u8>>();
            names_of(&CertificateDer::from_pem_slice(&pem).ok()?)
        }
        None => Some(names).filter(|names| *names != CertificateNames { not_after: i64::MAX, ..CertificateNames::default() }),
    }
}

/// Returns the keys and values of the last element. `None`: the text is malformed, and so nothing of it counts.
fn last_element(text: &str) -> Option<Vec<(String, String)>> {
    let mut elements = vec![Vec::new()];
    let (mut key, mut value, mut in_value, mut quoted) = (String::new(), String::new(), false, false);
    let mut characters = text.chars();
    loop {
        let character = characters.next();
        match character {
            None if quoted => return None,
            Some('\\') if quoted => {
                let escaped = characters.next()?;
                // Only quotes are escaped by the header. Other escapes are those of a subject (RFC 4514), which must not become separators.
                if escaped != '"' {
                    value.push('\\');
                }
                value.push(escaped);
            }
            Some('"') if in_value => quoted = !quoted,
            Some(other) if quoted => value.push(other),
            Some('=') if !in_value => in_value = true,
            None | Some(';' | ',') => {
                if in_value {
                    elements.last_mut()?.push((key.trim().to_owned(), std::mem::take(&mut value)));
                } else if !key.trim().is_empty() {
                    return None;
                }
                (key, in_value) = (String::new(), false);
                match character {
                    None => return elements.pop().filter(|last| !last.is_empty()),
                    Some(',') => elements.push(Vec::new()),
                    Some(_) => {}
                }
            }
            Some(other) if in_value => value.push(other),
            Some(other) => key.push(other),
        }
    }
}

/// Returns the common name of a subject, as `CN=billing,O=Example` (RFC 4514). A subject with escapes, or with several names, is not read.
fn common_name(subject: &str) -> Option<String> {
    let parts = subject.split(',').filter_map(|part| part.trim().split_once('='));
    let mut names = parts.filter(|(key, _)| key.eq_ignore_ascii_case("cn")).map(|(_, name)| name);
    let name = names.next().filter(|name| !name.is_empty())?;
    let is_plain = names.next().is_none() && !subject.contains(['\\', '"', '+']);
    is_plain.then(|| name.to_owned())
}
