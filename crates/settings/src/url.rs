//! URLs of servers.

use http::Uri;

/// Checks that a text is `http://HOST`, `https://HOST` or either with `:PORT` (1 to 65535). User information is refused, because URLs are
/// printed in logs and errors.
pub fn is_server_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let host = authority.host();
    // `port_u16` is `None` for a port that is out of range, and clients then use the default port of the scheme.
    let has_port = authority.as_str().len() > host.len();
    let is_origin = uri.path() == "/" && uri.query().is_none();
    is_origin && !host.is_empty() && !authority.as_str().contains('@') && (!has_port || authority.port_u16().is_some_and(|port| port > 0))
}

/// Returns a URL for messages, without its user information, which may be a password. Removes everything up to the last `@`: in a text that
/// is no valid URL, the password may have any characters.
pub fn without_user_info(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_removed() {
        assert_eq!(without_user_info("http://h:80/path"), "http://h:80/path");
        for url in ["http://me:secret@h:80", "http://secret@h:80", "me:secret@h:80", "http://me:se/cr@et@h:80"] {
            assert_eq!(without_user_info(url), "h:80");
        }
    }

    #[test]
    fn only_a_scheme_a_host_and_a_port_are_accepted() {
        for good in ["http://h", "https://h:1", "http://127.0.0.1:65535/", "http://[::1]:4317"] {
            assert!(is_server_url(good), "{good}");
        }
        for bad in [
            "",
            "h:80",
            "ftp://h",
            "http://",
            "http://h/path",
            "http://h?q=1",
            "http://u:p@h:80",
            "http://u@h",
            "http://h:0",
            "http://h:65536",
            "http://h:99999",
            "http://h:",
            "http://h:x",
            "http://h\n",
        ] {
            assert!(!is_server_url(bad), "{bad}");
        }
    }
}
