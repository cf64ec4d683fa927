//! Tables by host.

use std::collections::HashMap;

use http::{HeaderMap, Uri};

/// A table for any host, and tables for single hosts.
pub struct Hosts<T> {
    any: T,
    /// Usually empty.
    own: HashMap<String, T>,
}

impl<T: Default> Default for Hosts<T> {
    fn default() -> Self {
        Self { any: T::default(), own: HashMap::new() }
    }
}

impl<T: Default> Hosts<T> {
    /// Returns the table for this host (in lower case), or for any host.
    pub fn entry(&mut self, host: Option<String>) -> &mut T {
        match host {
            Some(host) => self.own.entry(host).or_default(),
            None => &mut self.any,
        }
    }

    /// Returns all tables.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.own.values().chain([&self.any])
    }

    /// Returns the table for the host of a request, then the one for any host.
    pub fn candidates(&self, uri: &Uri, headers: &HeaderMap) -> impl Iterator<Item = &T> + use<'_, T> {
        let own = if self.own.is_empty() { None } else { host(uri, headers).and_then(|host| self.own.get(&host.to_ascii_lowercase())) };
        own.into_iter().chain([&self.any])
    }
}

/// Returns the host without its port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let authority = uri.host().or_else(|| headers.get(http::header::HOST).and_then(|value| value.to_str().ok()))?;
    // An IPv6 address keeps its brackets: [::1]:8980.
    match authority.rfind(']') {
        Some(end) => authority.get(..=end),
        None => authority.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_returned_without_the_port() {
        let headers = HeaderMap::from_iter([(http::header::HOST, "[::1]:8980".parse().unwrap())]);
        assert_eq!(host(&Uri::from_static("/a"), &headers), Some("[::1]"));
        assert_eq!(host(&Uri::from_static("http://api.example.com:80/a"), &headers), Some("api.example.com"));
    }
}
