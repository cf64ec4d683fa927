//! Suggestions for unknown names.

/// Returns ` (did you mean …?)` if one of the names is similar, else an empty string.
pub fn suggest(name: &str, names: &[&str]) -> String {
    let near = names
        .iter()
        .map(|known| (strsim::osa_distance(&known.to_lowercase(), &name.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= 1 + known.chars().count().min(name.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance);
    near.map_or_else(String::new, |(_, known)| format!(" (did you mean `{known}`?)"))
}
