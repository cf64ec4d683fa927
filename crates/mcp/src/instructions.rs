//! What a server tells agents about itself.

use crate::McpSettings;
use prism_call::{Namespace, proto};

/// Returns the instructions of a namespace: those of its settings, or a text from the contract of its pattern.
pub fn instructions(namespace: &Namespace, settings: &McpSettings) -> String {
    if let Some(own) = &settings.instructions {
        return own.clone();
    }
    let about = proto::comment(&namespace.service).and_then(|comment| comment.split("\n\n").next()).unwrap_or_default();
    format!(
        "Tools for the data of the namespace `{}` (pattern {}), behind the gateway Prism. {about}\n\nBytes are text in arguments and results; \
         bytes that are no text are {{\"base64\": \"…\"}}. A result with `truncated: true` is not complete: call again with its `nextCursor` as \
         `cursor`. An error says what to do next.",
        namespace.name, namespace.pattern
    )
}
