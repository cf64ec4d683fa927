//! Names that were meant.

/// The candidate that is most like `name`, if any is like it at all.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_lowercase().replace('-', "_")), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The sentence for a name that isn't there: the nearest one, and all that there are.
pub fn unknown<'a>(what: &str, name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let hint = nearest(name, candidates.clone()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let all = candidates.into_iter().collect::<Vec<_>>().join(", ");
    if hint.is_empty() {
        format!("unknown {what} `{name}`; there are: {all}")
    } else {
        format!("unknown {what} `{name}`{hint} There are: {all}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_what_was_meant_and_noise_finds_nothing() {
        let names = ["keyvalue_scan", "keyvalue_basic", "pubsub_basic"];
        assert_eq!(nearest("keyvalue_sacn", names), Some("keyvalue_scan"));
        assert_eq!(nearest("KeyValue-Basic", names), Some("keyvalue_basic"));
        assert_eq!(nearest("xyz", names), None);
        assert_eq!(unknown("interface", "xyz", names), "unknown interface `xyz`; there are: keyvalue_scan, keyvalue_basic, pubsub_basic");
    }
}
