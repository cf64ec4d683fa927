//! Checks of every request before it is routed: what HTTP demands, who may be addressed, and which web pages may write.

use std::{
    borrow::Cow,
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::{
    HeaderMap, HeaderName, Version,
    header::{HOST, ORIGIN, TRANSFER_ENCODING},
    request::Parts,
};

use prism_call::{Code, Error, Origin};

/// Maximum bytes of the request line and the headers.
pub const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// How a browser says which page made a request (W3C "Fetch Metadata Request Headers", section 2.4).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Hosts that the requests of a listener may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    any: bool,
    /// In lower case. As many as there are namespaces with a host.
    names: HashSet<String>,
    /// Ends of names: `.example.com` means all names below it.
    suffixes: Vec<String>,
    loopback: bool,
}

impl AllowedHosts {
    /// Any host.
    pub fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Returns the hosts of a listener at an address. `named` are those of the configuration. Without one, only a listener on a loopback
    /// address is restricted: a web page could rebind a name of its own to that address, and would be of the same origin as the gateway.
    pub fn of_listener(address: IpAddr, named: &[String], bindings: impl IntoIterator<Item = String>) -> Self {
        let loopback = is_loopback(address);
        let any = named.iter().any(|name| name == "*") || (named.is_empty() && !loopback);
        if any {
            return Self::any();
        }
        let names = named.iter().filter(|name| !name.starts_with('*')).cloned().chain(bindings);
        Self {
            any,
            names: names.map(|name| name.to_ascii_lowercase()).collect(),
            suffixes: named.iter().filter_map(|name| name.strip_prefix('*')).map(str::to_owned).collect(),
            loopback,
        }
    }

    /// Tells whether a host, without port, is allowed.
    fn allows(&self, host: &str) -> bool {
        if self.any {
            return true;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        (self.loopback && names_loopback(host))
            || self.names.contains(&*lower_case(host))
            || self.suffixes.iter().any(|suffix| host.len() > suffix.len() && ends_with(host, suffix))
    }

    /// Refuses a request to another host.
    pub fn check(&self, host: Option<RequestHost<'_>>) -> Result<(), Error> {
        let Some(host) = host.filter(|host| !self.allows(host.name)) else { return Ok(()) };
        let message = format!(
            "this listener does not answer to the host {}; if it is meant to, add it to listeners.<name>.allowed_hosts (or admin.allowed_hosts)",
            host.name
        );
        Err(Error::new(Code::PermissionDenied, "HOST_NOT_ALLOWED", message))
    }
}

/// Most hosts are in lower case already.
fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

/// [`str::ends_with`] without regard to case.
fn ends_with(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start.and_then(|start| text.get(start..)).is_some_and(|rest| rest.eq_ignore_ascii_case(end))
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback()),
    }
}

/// Whether a host can only mean this machine (RFC 6761, section 6.3).
fn names_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") || ends_with(host, ".localhost") {
        return true;
    }
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| is_loopback(address.into())),
        None => host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

/// The host that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHost<'r> {
    /// A name or an address; an IPv6 address has brackets.
    name: &'r str,
    port: Option<u16>,
}

impl<'r> RequestHost<'r> {
    /// Parses `host[:port]` (RFC 3986, section 3.2.2).
    fn parse(text: &'r str) -> Option<Self> {
        let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
        let (name, rest) = text.split_at(end);
        let is_valid = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte)),
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            _ => return None,
        };
        is_valid.then_some(Self { name, port })
    }

    fn is_same(self, other: Self) -> bool {
        self.name.eq_ignore_ascii_case(other.name) && self.port == other.port
    }
}

fn parse_host(text: &[u8]) -> Result<RequestHost<'_>, Error> {
    let parsed = std::str::from_utf8(text).ok().and_then(RequestHost::parse);
    parsed.ok_or_else(|| malformed("the request must name a host, and a port if it is not the usual one"))
}

fn malformed(problem: &'static str) -> Error {
    Error::wire(Code::InvalidArgument, "MALFORMED_HOST", problem)
}

/// Returns the host of a request, with its port. Refuses a request that names none, or more than one (RFC 9112, section 3.2).
pub fn host(request: &Parts) -> Result<Option<RequestHost<'_>>, Error> {
    let mut all = request.headers.get_all(HOST).iter();
    let header = match (all.next(), all.next()) {
        (Some(_), Some(_)) => return Err(malformed("the request has more than one header Host")),
        (None, _) if request.version == Version::HTTP_11 => return Err(malformed("the request has no header Host")),
        (header, _) => header,
    };
    let header = header.map(|header| parse_host(header.as_bytes())).transpose()?;
    let target = request.uri.authority().map(|target| parse_host(target.as_str().as_bytes())).transpose()?;
    match (target, header) {
        (Some(target), Some(header)) if request.version >= Version::HTTP_2 && !target.is_same(header) => {
            Err(malformed("the header Host differs from :authority"))
        }
        // In HTTP/1.1, the target of the request counts (RFC 9112, section 3.2.2).
        (target, header) => Ok(target.or(header)),
    }
}

/// Refuses headers that are too large. Each has its name and the bytes of its value. `target`: bytes of what is called.
pub fn check_header_bytes<'h>(target: usize, headers: impl Iterator<Item = (&'h str, usize)>) -> Result<(), Error> {
    let size = headers.fold(target, |size, (name, value)| size + name.len() + value + ": \r\n".len());
    if size > MAX_HEADER_BYTES as usize {
        let message = format!("the headers of the request have {size} bytes; at most {MAX_HEADER_BYTES} are allowed");
        return Err(Error::wire(Code::ResourceExhausted, "HEADERS_TOO_LARGE", message));
    }
    Ok(())
}

/// Refuses headers that are too large, or a transfer coding that the server would not decode.
pub fn check_head(request: &Parts) -> Result<(), Error> {
    let uri = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    check_header_bytes(uri, request.headers.iter().map(|(name, value)| (name.as_str(), value.len())))?;
    let mut codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    let (Some(coding), more) = (codings.next(), codings.next()) else { return Ok(()) };
    if more.is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        let message = "the only transfer coding that is supported is chunked; compress the content with Content-Encoding instead";
        return Err(Error::wire(Code::Unimplemented, "UNSUPPORTED_TRANSFER_CODING", message));
    }
    Ok(())
}

/// Returns where a request comes from. `may_call`: whether the CORS policy allows its origin.
pub fn origin(headers: &HeaderMap, host: Option<RequestHost<'_>>, may_call: bool) -> Origin {
    let site = headers.get(SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
    // Pages can't set this header. `none`: the user made the request, as with the address bar.
    if may_call || matches!(site, Some(b"same-origin" | b"none")) {
        return Origin::Trusted;
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) if site.is_none() => Origin::Trusted,
        (Some(origin), None) if host.is_some_and(|host| is_same(origin.as_bytes(), host)) => Origin::Trusted,
        _ => Origin::Foreign,
    }
}

/// Whether an origin has this host and port. The scheme is not compared, because a proxy in front may end TLS.
fn is_same(origin: &[u8], host: RequestHost<'_>) -> bool {
    let parsed = std::str::from_utf8(origin).ok().and_then(|origin| {
        let (scheme, authority) = origin.split_once("://")?;
        let usual = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some((usual, RequestHost::parse(authority)?))
    });
    parsed.is_some_and(|(usual, origin)| {
        origin.name.eq_ignore_ascii_case(host.name) && origin.port.unwrap_or(usual) == host.port.unwrap_or(usual)
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_names_one_host() {
        let name = |version, uri: &str, headers: &[(&str, &str)]| {
            let shown = |host: RequestHost<'_>| host.port.map_or(host.name.to_owned(), |port| format!("{}:{port}", host.name));
            host(&parts(version, uri, headers)).map(|host| host.map(shown)).map_err(|error| error.reason().to_owned())
        };
        let ok = |host: &str| Ok(Some(host.to_owned()));
        let malformed = || Err("MALFORMED_HOST".to_owned());
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        assert_eq!(name(one, "/", &[("host", "a.example:8080")]), ok("a.example:8080"));
        assert_eq!(name(one, "http://b.example/", &[("host", "a.example")]), ok("b.example"));
        assert_eq!(name(one, "/", &[]), malformed());
        assert_eq!(name(one, "http://b.example/", &[]), malformed());
        assert_eq!(name(Version::HTTP_10, "/", &[]), Ok(None));
        for bad in ["", " ", "a b", "a/b", "user@a", "a:b:c", "a:99999", "[::1", "[::1]x", "[a]", ":80"] {
            assert_eq!(name(one, "/", &[("host", bad)]), malformed(), "{bad:?}");
        }
        assert_eq!(name(one, "/", &[("host", "a"), ("host", "a")]), malformed());
        assert_eq!(name(two, "http://a/", &[]), ok("a"));
        assert_eq!(name(two, "http://a/", &[("host", "A")]), ok("a"));
        assert_eq!(name(two, "http://a/", &[("host", "b")]), malformed());
        assert_eq!(name(two, "/", &[("host", "a")]), ok("a"));
    }

    #[test]
    fn a_listener_on_a_loopback_address_answers_to_its_own_names() {
        let named = ["gateway.example".to_owned(), "*.dev.example".to_owned()];
        let hosts = AllowedHosts::of_listener(Ipv4Addr::LOCALHOST.into(), &named, ["bound.example".to_owned()]);
        let own = ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"];
        for host in own.into_iter().chain(["gateway.example", "a.b.dev.example", "Bound.Example"]) {
            assert!(hosts.allows(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "dev.example", "10.0.0.1", "[::2]", "notlocalhost"]
        {
            assert!(!hosts.allows(host), "{host}");
        }
        let everybody: IpAddr = Ipv4Addr::UNSPECIFIED.into();
        assert!(AllowedHosts::of_listener(everybody, &[], []).allows("evil.example"));
        assert!(AllowedHosts::of_listener(Ipv4Addr::LOCALHOST.into(), &["*".to_owned()], []).allows("evil.example"));
        let restricted = AllowedHosts::of_listener(everybody, &named, []);
        assert!(restricted.allows("gateway.example") && !restricted.allows("localhost"));
    }

    #[test]
    fn pages_of_other_origins_are_foreign() {
        let of = |headers: &[(&str, &str)]| {
            let request = parts(Version::HTTP_11, "/", headers);
            origin(&request.headers, RequestHost::parse("app.example:8980"), false)
        };
        for trusted in [
            &[][..],
            &[("origin", "http://app.example:8980")],
            &[("origin", "https://APP.example:8980")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://app.example")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(of(trusted), Origin::Trusted, "{trusted:?}");
        }
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://app.example")],
            &[("origin", "http://app.example:8981")],
            &[("origin", "file://app.example:8980")],
            &[("origin", "http://app.example:8980"), ("origin", "http://app.example:8980")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "anything")],
        ] {
            assert_eq!(of(foreign), Origin::Foreign, "{foreign:?}");
        }
        let request = parts(Version::HTTP_11, "/", &[("origin", "http://evil.example")]);
        assert_eq!(origin(&request.headers, None, true), Origin::Trusted, "the policy allows it");
        let proxied = parts(Version::HTTP_11, "/", &[("origin", "https://app.example")]);
        assert_eq!(origin(&proxied.headers, RequestHost::parse("app.example"), false), Origin::Trusted);
    }

    #[test]
    fn heads_are_bounded_and_have_one_transfer_coding() {
        let reason =
            |headers: &[(&str, &str)]| check_head(&parts(Version::HTTP_11, "/", headers)).map_err(|error| error.reason().to_owned());
        assert_eq!(reason(&[("transfer-encoding", "Chunked")]), Ok(()));
        for bad in [&[("transfer-encoding", "gzip, chunked")][..], &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]] {
            assert_eq!(reason(bad), Err("UNSUPPORTED_TRANSFER_CODING".to_owned()), "{bad:?}");
        }
        assert_eq!(reason(&[("a", &"x".repeat(65_000))]), Ok(()));
        assert_eq!(reason(&[("a", &"x".repeat(33_000)), ("b", &"x".repeat(33_000))]), Err("HEADERS_TOO_LARGE".to_owned()));
    }
}
