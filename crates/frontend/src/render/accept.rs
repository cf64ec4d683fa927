//! The header `Accept` (RFC 9110, section 12.5.1).

/// The value of the header `Accept`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a>(Option<&'a str>);

/// How well a media type matches: quality in thousandths, then the specificity of the media range.
type Fit = (u16, u8);

impl<'a> Accept<'a> {
    /// Wraps the value of the header. Without it, everything is accepted.
    pub const fn of(value: Option<&'a str>) -> Self {
        Self(value)
    }

    /// Whether the client accepts everything equally.
    pub fn any(&self) -> bool {
        self.0.is_none_or(|value| matches!(value.trim(), "" | "*/*"))
    }

    fn ranges(&self) -> impl Iterator<Item = (&'a str, u16)> {
        self.0.unwrap_or("*/*").split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some((name, quality.map_or(1000, thousandths)))
        })
    }

    /// Returns how well a media type matches, or `None` if it is not accepted.
    fn fit(&self, name: &str) -> Option<Fit> {
        let group = name.split('/').next().unwrap_or_default();
        let mut best: Option<(u8, u16)> = None;
        for (range, quality) in self.ranges() {
            let exactness = match range.split_once('/') {
                _ if range.eq_ignore_ascii_case(name) => 3,
                Some((one, "*")) if one.eq_ignore_ascii_case(group) => 2,
                Some(("*", "*")) => 1,
                _ => continue,
            };
            // The most specific range decides, also if its quality is 0.
            if best.is_none_or(|(known, _)| exactness > known) {
                best = Some((exactness, quality));
            }
        }
        best.filter(|(_, quality)| *quality > 0).map(|(exactness, quality)| (quality, exactness))
    }

    /// Returns the index of the first offer with the best quality. An offer is a media type. How specific a media range is does not matter:
    /// clients that list everything that they can read, as `application/json, */*`, take what the server prefers.
    pub fn first<'o>(&self, offers: impl Iterator<Item = &'o str>) -> Option<usize> {
        let mut best: Option<(u16, usize)> = None;
        for (place, name) in offers.enumerate() {
            if let Some((quality, _)) = self.fit(name).filter(|(quality, _)| best.is_none_or(|(known, _)| *quality > known)) {
                best = Some((quality, place));
            }
        }
        best.map(|(_, place)| place)
    }

    /// Returns the index of the best offer. An offer is a list of equivalent media types. The first of equal offers wins.
    pub fn best<'o>(&self, offers: impl Iterator<Item = &'o [&'o str]>) -> Option<usize> {
        let mut best: Option<(Fit, usize)> = None;
        for (place, names) in offers.enumerate() {
            let fit = names.iter().filter_map(|name| self.fit(name)).max();
            if let Some(fit) = fit.filter(|fit| best.is_none_or(|(known, _)| *fit > known)) {
                best = Some((fit, place));
            }
        }
        best.map(|(_, place)| place)
    }
}

/// Parses a quality: `0.25` is 250. An invalid quality counts as 1.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    match whole {
        "0" if fraction.bytes().all(|byte| byte.is_ascii_digit()) => digits.fold(0, |value, digit| value * 10 + u16::from(digit - b'0')),
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(accept: &str) -> Option<&'static str> {
        let offers = [["application/octet-stream"], ["application/json"], ["text/event-stream"]];
        let place = Accept::of(Some(accept)).best(offers.iter().map(<[&str; 1]>::as_slice));
        place.map(|place| offers[place][0])
    }

    #[test]
    fn the_best_match_is_selected_then_the_first_offer() {
        let first = |accept| Accept::of(Some(accept)).first(["application/octet-stream", "application/json"].into_iter());
        for (accept, wanted) in [
            ("application/json, text/plain, */*", Some(0)),
            ("application/json", Some(1)),
            ("application/json, */*;q=0.8", Some(1)),
            ("application/json;q=0.5, application/octet-stream;q=0.5", Some(0)),
            ("text/html", None),
        ] {
            assert_eq!(first(accept), wanted, "{accept}");
        }
        for (accept, wanted) in [
            ("*/*", Some("application/octet-stream")),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Some("application/octet-stream")),
            ("application/json", Some("application/json")),
            ("application/json, text/plain, */*", Some("application/json")),
            ("APPLICATION/JSON;charset=utf-8", Some("application/json")),
            ("application/json;q=0.5, application/octet-stream", Some("application/octet-stream")),
            ("application/json;q=0.5, */*;q=0.6", Some("application/octet-stream")),
            ("text/*", Some("text/event-stream")),
            ("application/*;q=0.1, text/event-stream;q=0.2", Some("text/event-stream")),
            ("*/*, application/octet-stream;q=0", Some("application/json")),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json;q=0.000", None),
        ] {
            assert_eq!(best(accept), wanted, "{accept}");
        }
    }
}
