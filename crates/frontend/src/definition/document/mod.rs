//! Reads the OpenAPI document of an API: its operations, parameters, bodies and responses.
//!
//! The document is first converted to one document of OpenAPI 3.1 ([`convert`]), which is also what is served. The operations are read from
//! the converted document.

mod checks;
mod convert;
mod files;
mod folder;
mod operation;
mod parameter;
mod references;
mod requests;
mod schema;
mod structure;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use http::Method;

use self::{convert::Converter, operation::Reader, requests::RequestView};
pub use self::{convert::Thoroughness, files::DocumentFiles, folder::DocumentFolders, structure::is_method};
use crate::{
    definition::types::Schemas,
    expression::Type,
    mapping::{Parameter, RequestBody, SchemaComponents},
};
use prism_yaml::{Position, Problem, Problems};

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    /// Its operations, in their order.
    pub operations: Vec<Operation>,
    /// The document as it is served: OpenAPI 3.1, without references to other files.
    pub value: serde_json::Value,
    /// The schemas in its components, for requests.
    pub components: SchemaComponents,
    /// What is valid but has no effect.
    pub warnings: Vec<Problems>,
    /// The names of its files.
    pub files: Vec<String>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its `operationId`.
    pub id: Option<String>,
    /// Its method.
    pub method: Method,
    /// Its path, such as `/notes/{id}`.
    pub path: String,
    /// Its position in the file.
    pub position: Position,
    /// The index of its file.
    pub file: usize,
    /// Its parameters, including those of the path item.
    pub parameters: Vec<Parameter>,
    /// Its request body, if it has one.
    pub body: Option<RequestBody>,
    /// Its responses.
    pub responses: Vec<Response>,
}

/// A response of an operation.
#[derive(Clone, Debug)]
pub struct Response {
    /// `200`, `4XX` or `default`.
    pub status: String,
    /// Its media types, each with the type of the body.
    pub contents: Vec<(String, Type)>,
}

impl Operation {
    /// Returns its id, or its method and path.
    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{} {}", self.method, self.path))
    }

    /// Finds the response for a status.
    pub fn response(&self, status: u16) -> Option<&Response> {
        let by = |wanted: &str| self.responses.iter().find(|response| response.status.eq_ignore_ascii_case(wanted));
        by(&status.to_string()).or_else(|| by(&format!("{}XX", status / 100))).or_else(|| by("default"))
    }

    /// Returns the first 2xx status.
    pub fn success(&self) -> u16 {
        let mut statuses = self.responses.iter().filter_map(|response| response.status.parse().ok());
        statuses.find(|status| (200..300).contains(status)).unwrap_or(200)
    }
}

impl Document {
    /// Reads a document. Its problems are added to its files. Returns `None` if there is a problem.
    pub fn read(files: &DocumentFiles, thoroughness: Thoroughness) -> Option<Self> {
        let root = files.list.first()?;
        if !files.are_fine() {
            return None;
        }
        let version = match Converter::version_of(&root.root) {
            Ok(version) => version,
            Err((position, message)) => {
                root.source.problem(&position, message);
                return None;
            }
        };
        let mut converter = Converter::new(files, version, thoroughness);
        let value = converter.document();
        let (has_directions, positions) = (converter.has_directions, std::mem::take(&mut converter.operations));
        let warnings = std::mem::take(&mut converter.warnings);
        if !files.are_fine() {
            return None;
        }
        let schemas = Schemas::new(&value);
        let view = RequestView::new(&schemas, has_directions);
        let operations = Reader { value: &value, schemas: &schemas, view: &view, positions: &positions }.operations();
        let components = view.components(&value);
        if operations.is_empty() {
            root.source.problem(&root.root.position, "the document has no operations");
        }
        report_repeated_ids(files, &operations);
        files.are_fine().then(|| Self {
            operations,
            components,
            warnings: group(files, warnings),
            files: files.list.iter().map(|file| file.source.name().to_owned()).collect(),
            value,
        })
    }
}

fn report_repeated_ids(files: &DocumentFiles, operations: &[Operation]) {
    let mut known: HashMap<&str, &Operation> = HashMap::with_capacity(operations.len());
    for operation in operations {
        let Some(id) = operation.id.as_deref() else { continue };
        if let Some(first) = known.insert(id, operation) {
            let message = format!("the operationId `{id}` appears twice; {} {} has it already", first.method, first.path);
            files.list[operation.file].source.problem(&operation.position, message);
        }
    }
}

/// Groups warnings by file.
fn group(files: &DocumentFiles, warnings: Vec<(usize, Problem)>) -> Vec<Problems> {
    let mut groups: Vec<Vec<Problem>> = files.list.iter().map(|_| Vec::new()).collect();
    for (file, warning) in warnings {
        groups[file].push(warning);
    }
    let named = groups.into_iter().zip(&files.list).filter(|(list, _)| !list.is_empty());
    named
        .map(|(mut list, file)| {
            list.sort_by(|one, other| (&one.position, &one.message).cmp(&(&other.position, &other.message)));
            list.dedup();
            Problems { file: file.source.name().to_owned(), list }
        })
        .collect()
}
