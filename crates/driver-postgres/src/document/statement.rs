//! Statements that are made for one request. Their texts have no input: it is in their parameters.

use prism_driver::document::path::{self, Path};

use super::escape::escape;
use crate::{parameter::Parameter, sql::quote_literal};

/// Bytes of keys by which indexes are sorted. An index can't have rows of more than about 2,700 bytes, and an index has up to eight fields.
pub const INDEXED_BYTES: usize = 256;

/// The parameters of a statement that is being written.
pub struct Statement<'s> {
    /// The quoted name of the schema.
    pub schema: &'s str,
    pub parameters: Vec<Parameter>,
}

impl<'s> Statement<'s> {
    pub fn new(schema: &'s str) -> Self {
        Self { schema, parameters: Vec::new() }
    }

    /// Adds a parameter, and returns how it is written.
    pub fn parameter(&mut self, parameter: Parameter) -> String {
        self.parameters.push(parameter);
        format!("${}", self.parameters.len())
    }

    /// The value of a field, below an expression.
    pub fn field(&mut self, root: &str, path: &Path) -> String {
        write_field(root, path, |name| {
            let parameter = self.parameter(Parameter::Text(escape(name)));
            format!("{parameter}::text")
        })
    }

    /// The key of an expression.
    pub fn key(&self, value: &str) -> String {
        format!("{}.document_key({value})", self.schema)
    }

    /// The first bytes of the key of an expression, as indexes have them.
    pub fn indexed_key(&self, value: &str) -> String {
        indexed_key(self.schema, value)
    }
}

/// The value of a field of a body, for the expression of an index, which can't have parameters.
pub fn field_of_index(path: &Path) -> String {
    write_field("body", path, |name| format!("{}::text", quote_literal(&escape(name))))
}

/// The first bytes of the key of an expression.
pub fn indexed_key(schema: &str, value: &str) -> String {
    format!("substr({schema}.document_key({value}), 1, {INDEXED_BYTES})")
}

fn write_field(root: &str, path: &Path, mut write_name: impl FnMut(&str) -> String) -> String {
    path.names().iter().fold(root.to_owned(), |value, name| {
        let written = write_name(name);
        // Only a place leads into a list: PostgreSQL would also take other numbers, such as -1.
        if path::place(name).is_some() { format!("({value} #> ARRAY[{written}])") } else { format!("({value} -> {written})") }
    })
}
