//! An OpenAPI document with the positions of its operations.

use prism_yaml::{self as yaml, Key, Node, Position, Value};

/// An OpenAPI document with the positions of its operations.
pub(super) struct DocumentTree {
    /// The whole document.
    pub root: Node,
    /// The name and the position of each operation.
    operations: Vec<(String, Position)>,
}

impl DocumentTree {
    /// Parses a document. Its syntax must have been checked before.
    pub fn parse(text: &str) -> Self {
        let (root, _) = yaml::parse(text);
        let mut operations = Vec::new();
        for (path, item) in entries(root.get("paths")) {
            for (method, operation) in entries(Some(item)) {
                let id = operation.get("operationId").and_then(Node::text).map(str::to_owned);
                let name = id.unwrap_or_else(|| format!("{} {}", method.name.to_ascii_uppercase(), path.name));
                operations.push((name, method.position.clone()));
            }
        }
        Self { root, operations }
    }

    /// Returns the position of an operation.
    pub fn operation_position(&self, operation: &str) -> Position {
        self.operations.iter().find(|(name, _)| name == operation).map_or(Position::WHOLE_FILE, |(_, position)| position.clone())
    }
}

/// Returns the entries of a mapping; none if the node is not a mapping.
pub(super) fn entries(node: Option<&Node>) -> &[(Key, Node)] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}
