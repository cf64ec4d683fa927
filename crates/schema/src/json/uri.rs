//! URI references, RFC 3986 section 5, as far as schemas need them. Names that are not URIs, such as `other.json`, stay unchanged.

/// Splits a reference at `#`.
pub fn split(reference: &str) -> (&str, &str) {
    reference.split_once('#').unwrap_or((reference, ""))
}

/// Resolves `reference` against `base`, both without fragments.
pub fn join(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    if scheme(reference).is_some() || base.is_empty() {
        return reference.to_owned();
    }
    let Some(scheme) = scheme(base) else { return merge(base, reference) };
    let rest = &base[scheme.len() + 1..];
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}");
    }
    if let Some(rest) = rest.strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        return format!("{scheme}://{authority}{}", merge(if path.is_empty() { "/" } else { path }, reference));
    }
    if rest.starts_with('/') {
        return format!("{scheme}:{}", merge(rest, reference));
    }
    // A URN such as `urn:a:b` has no path segments.
    reference.to_owned()
}

fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let mut bytes = scheme.bytes();
    (bytes.next()?.is_ascii_alphabetic() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))).then_some(scheme)
}

/// Resolves a path against the folder of another one, and removes dot segments.
fn merge(base: &str, reference: &str) -> String {
    let folder = base.split('?').next().unwrap_or_default().rsplit_once('/').map_or("", |(folder, _)| folder);
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let absolute = path.starts_with('/') || base.starts_with('/');
    let segments = (!path.starts_with('/')).then(|| folder.split('/')).into_iter().flatten().chain(path.split('/'));
    let mut kept: Vec<&str> = Vec::new();
    for segment in segments {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let folder = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("{}{}{folder}{query}", if absolute { "/" } else { "" }, kept.join("/"))
}

/// Decodes the percent encoding of a fragment.
pub fn decode_fragment(fragment: &str) -> String {
    percent_encoding::percent_decode_str(fragment).decode_utf8_lossy().into_owned()
}

/// Returns the unescaped tokens of a JSON pointer, RFC 6901 section 4.
pub fn pointer_tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
}
