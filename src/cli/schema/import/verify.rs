//! Comparing the target with what was imported.

use std::collections::HashSet;

use super::{
    super::{catalog::Catalog, contents::RegistryContents},
    plan::is_same_version,
};
use crate::cli::Failure;
use prism_registry_client::{RegistryClient, SchemaKey, SubjectPrefix};

/// Most differences that are printed.
const MAX_PRINTED: usize = 20;

/// Reads the target again and compares each version: id, type, text, references, metadata, rules and deletion.
/// Versions that were skipped don't count. Returns notes for the user.
pub(super) async fn compare(
    target: &RegistryClient,
    contents: &RegistryContents,
    skipped: &HashSet<SchemaKey>,
) -> Result<Vec<String>, Failure> {
    let actual = target.list_schemas(&SubjectPrefix::everything(), true, false).await?;
    let (wanted, existing) = (Catalog::new(&contents.schemas), Catalog::new(&actual));
    let (mut differences, mut other_guids) = (Vec::new(), 0);
    for schema in contents.schemas.iter().filter(|schema| !skipped.contains(&schema.key())) {
        let name = format!("subject {} version {}", schema.subject, schema.version);
        match existing.get(&schema.key()) {
            None => differences.push(format!("{name} is missing")),
            Some(other) if other.id != schema.id => differences.push(format!("{name} has id {}, not {}", other.id, schema.id)),
            Some(other) if other.deleted != schema.deleted => {
                let (target, source) = if other.deleted { ("is", "is not") } else { ("is not", "is") };
                differences.push(format!("{name} {target} softly deleted, but {source} in the source"));
            }
            Some(other) if !is_same_version(&wanted, schema, &existing, other) => {
                differences.push(format!("{name} (id {}) has another text, other references, metadata or rules", schema.id));
            }
            Some(other) => other_guids += usize::from(schema.guid.is_some() && other.guid.is_some() && schema.guid != other.guid),
        }
    }
    if !differences.is_empty() {
        let more = differences.len().saturating_sub(MAX_PRINTED);
        differences.truncate(MAX_PRINTED);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        return Err(Failure(format!("the target differs from the source:\n  {}{more}", differences.join("\n  "))));
    }
    let note = || {
        format!(
            "{other_guids} schemas have another GUID than in the source, because the registries store their texts differently. Their ids \
             are the same. It matters only to clients that write GUIDs into headers of messages."
        )
    };
    Ok(if other_guids > 0 { vec![note()] } else { Vec::new() })
}
