//! Whether the target has what the source had.

use super::{
    super::{catalog::Catalog, contents::Contents, name::Prefix, registry::Registry},
    plan,
};
use crate::cli::Failure;

/// Most differences that are told.
const MOST: usize = 20;

/// Reads the target once more and compares each version: id, type, text, references, metadata, rules, deletion.
pub(super) async fn compare(target: &Registry, contents: &Contents) -> Result<Vec<String>, Failure> {
    let found = target.schemas(&Prefix::new(None, ""), true, false).await?;
    let (wanted, there) = (Catalog::new(&contents.schemas), Catalog::new(&found));
    let (mut differences, mut guids) = (Vec::new(), 0);
    for schema in &contents.schemas {
        let name = format!("subject {} version {}", schema.subject, schema.version);
        match there.get(&schema.key()) {
            None => differences.push(format!("{name} is not there")),
            Some(other) if other.id != schema.id => differences.push(format!("{name} has id {}, not {}", other.id, schema.id)),
            Some(other) if other.deleted != schema.deleted => {
                let (is, not) = if other.deleted { ("is", "is not") } else { ("is not", "is") };
                differences.push(format!("{name} {is} softly deleted, and {not} in the source"));
            }
            Some(other) if !plan::same(&wanted, schema, &there, other) => {
                differences.push(format!("{name} (id {}) has another text, other references, metadata or rules", schema.id));
            }
            Some(other) => guids += usize::from(schema.guid.is_some() && other.guid.is_some() && schema.guid != other.guid),
        }
    }
    if !differences.is_empty() {
        let more = differences.len().saturating_sub(MOST);
        differences.truncate(MOST);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        return Err(Failure(format!("the target is not what the source was:\n  {}{more}", differences.join("\n  "))));
    }
    let note = || {
        format!(
            "{guids} schemas have another GUID than in the source, since their texts are kept in another form; ids are the same. It only \
             matters to clients that put GUIDs into headers of messages"
        )
    };
    Ok(if guids > 0 { vec![note()] } else { Vec::new() })
}
