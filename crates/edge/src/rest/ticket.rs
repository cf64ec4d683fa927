//! Tickets of event streams: the query of a stream has one where a client can't send headers.

use http::{HeaderMap, HeaderValue, Method, Uri, header::AUTHORIZATION, uri::PathAndQuery};

use super::accept;
use prism_call::{API_KEY, Namespace, TICKET_PREFIX};
use prism_frontend::render::Format;

/// The name of the ticket in a query.
const PARAMETER: &str = "ticket=";

/// Puts the credentials of a ticket in the query into the headers, and removes the ticket, so that nothing behind this sees it. A ticket that
/// is not valid becomes credentials that nobody accepts.
pub fn redeem(namespace: &Namespace, method: &Method, path: &str, uri: &mut Uri, headers: &mut HeaderMap) {
    let Some((ticket, rest)) = take_ticket(uri) else { return };
    let is_for_events = *method == Method::GET && accepts_events(headers);
    let credentials = is_for_events.then(|| namespace.redeem_ticket(&ticket, path)).flatten();
    *uri = rest;
    headers.remove(AUTHORIZATION);
    headers.remove(API_KEY);
    match credentials {
        Some(credentials) => credentials.inject(headers),
        None => drop(headers.insert(AUTHORIZATION, HeaderValue::from_static("Ticket"))),
    }
}

/// Returns the ticket of a query, and the URI without it.
fn take_ticket(uri: &Uri) -> Option<(String, Uri)> {
    let is_ticket = |parameter: &&str| parameter.strip_prefix(PARAMETER).is_some_and(|value| value.starts_with(TICKET_PREFIX));
    let query = uri.query()?;
    let ticket = query.split('&').find(is_ticket)?.strip_prefix(PARAMETER)?.to_owned();
    let rest: Vec<_> = query.split('&').filter(|parameter| !is_ticket(parameter)).collect();
    let target = if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Some((ticket, Uri::from_parts(parts).ok()?))
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let events = Format::Events.content_type();
    accept(headers).is_some_and(|types| types.split([',', ';']).any(|one| events.as_bytes().eq_ignore_ascii_case(one.trim().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_taken_out_of_the_query() {
        let take = |uri: &str| take_ticket(&uri.parse().unwrap()).map(|(ticket, rest)| (ticket, rest.to_string()));
        assert_eq!(take("/a?ticket=prism_ticket_x"), Some(("prism_ticket_x".to_owned(), "/a".to_owned())));
        assert_eq!(take("/a?b=1&ticket=prism_ticket_x&c=%20"), Some(("prism_ticket_x".to_owned(), "/a?b=1&c=%20".to_owned())));
        assert_eq!(
            take("http://host/a?ticket=prism_ticket_x&ticket=prism_ticket_y"),
            Some(("prism_ticket_x".to_owned(), "http://host/a".to_owned()))
        );
        for other in ["/a", "/a?ticket=7", "/a?xticket=prism_ticket_x", "/a?b=ticket=prism_ticket_x"] {
            assert_eq!(take(other), None, "{other}");
        }
    }
}
