//! Statements, as constants whose text is completed with the schema of the backend.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio_postgres::types::Type;

use prism_driver::lock::lock;

/// A statement. Its text has `{schema}` before names of tables, `{next_revision}` for the next revision, and
/// `{next_message}` for the next number of a message.
pub struct Sql {
    pub text: &'static str,
    /// The types of the parameters.
    pub types: &'static [Type],
}

/// The texts of statements, with the schema of one backend.
pub struct Texts {
    schema: String,
    next_revision: String,
    next_message: String,
    completed: Mutex<HashMap<&'static str, Arc<str>>>,
}

impl Texts {
    pub fn new(schema: &str) -> Self {
        let schema = quote_identifier(schema);
        let next = |sequence| format!("nextval({}::regclass)", quote_literal(&format!("{schema}.{sequence}")));
        Self { next_revision: next("revisions"), next_message: next("message_numbers"), schema, completed: Mutex::default() }
    }

    /// The schema, as an identifier in statements.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The expression for the next revision.
    pub fn next_revision(&self) -> &str {
        &self.next_revision
    }

    /// The complete text of a statement.
    pub fn complete(&self, sql: &Sql) -> Arc<str> {
        let mut completed = lock(&self.completed);
        let text = completed.entry(sql.text).or_insert_with(|| self.fill(sql.text).into());
        text.clone()
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{schema}", &self.schema).replace("{next_revision}", &self.next_revision).replace("{next_message}", &self.next_message)
    }
}

fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal. The form with `E` does not depend on the settings of the server.
pub fn quote_literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_schema_is_quoted() {
        let texts = Texts::new(r#"o'hara"\x"#);
        let sql = Sql { text: "SELECT {next_revision} FROM {schema}.entries", types: &[] };
        assert_eq!(&*texts.complete(&sql), r#"SELECT nextval(E'"o''hara""\\x".revisions'::regclass) FROM "o'hara""\x".entries"#);
    }
}
