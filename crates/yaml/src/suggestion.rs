//! Suggestions for misspelled names.

/// Most names that a message lists.
const MAX_NAMES: usize = 50;

/// Returns the candidate that is most similar to `name`, or `None` if no candidate is similar.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase().replace('-', "_")), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Returns the message for an unknown name: a suggestion, if there is one, and the list of all known names.
pub fn unknown_name<'a>(kind: &str, name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let suggestion = suggest(name, candidates.clone());
    let names: Vec<&str> = candidates.into_iter().collect();
    let more = names.len().saturating_sub(MAX_NAMES);
    let mut all = names[..names.len() - more].join(", ");
    if more > 0 {
        all = format!("{all} and {more} more");
    }
    match suggestion {
        _ if all.is_empty() => format!("unknown {kind} `{name}`; there are none"),
        Some(suggestion) => format!("unknown {kind} `{name}`; did you mean `{suggestion}`? There are: {all}"),
        None => format!("unknown {kind} `{name}`; there are: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_similar_names_only() {
        let names = ["keyvalue_scan", "keyvalue_basic", "pubsub_basic"];
        assert_eq!(suggest("keyvalue_sacn", names), Some("keyvalue_scan"));
        assert_eq!(suggest("KeyValue-Basic", names), Some("keyvalue_basic"));
        assert_eq!(suggest("xyz", names), None);
        assert_eq!(unknown_name("setting", "xyz", []), "unknown setting `xyz`; there are none");
        assert_eq!(
            unknown_name("interface", "xyz", names),
            "unknown interface `xyz`; there are: keyvalue_scan, keyvalue_basic, pubsub_basic"
        );
    }
}
