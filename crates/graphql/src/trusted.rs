//! Trusted documents: the only ones that a frontend accepts, if it has some.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_graphql::parser::parse_query;
use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

use crate::{GraphqlRequest, RequestError};
use prism_call::{Code, Error};

/// Maximum number of documents.
const MAX_DOCUMENTS: usize = 10_000;
/// Maximum bytes of a file.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Maximum depth of folders in folders.
const MAX_DEPTH: usize = 8;

/// The documents that clients may send, or name by a hash or an id.
#[derive(Debug, Default)]
pub struct TrustedDocuments {
    /// Texts by their hashes. A document of a file is here with and without the line break at its end.
    texts: HashMap<Hash, Arc<str>>,
    ids: HashMap<String, Hash>,
    /// Number of documents.
    count: usize,
}

/// The SHA-256 hash of a text.
pub type Hash = [u8; 32];

/// A list of documents in a JSON file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    /// The format of Apollo's clients.
    Operations { operations: Vec<ManifestOperation> },
    /// Texts by their ids, as Relay and GraphQL Code Generator write them.
    Texts(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct ManifestOperation {
    id: String,
    body: String,
}

impl TrustedDocuments {
    /// Reads documents from a folder with files `*.graphql`, `*.gql` and `*.json`, or from one such file. The error is a sentence that begins
    /// with a file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut files = Vec::new();
        find_files(path, 0, &mut files)?;
        // So that errors don't depend on the order of the folder.
        files.sort();
        let mut documents = Self::default();
        for file in files {
            documents.read(&file).map_err(|problem| format!("{}: {problem}", file.display()))?;
        }
        if documents.texts.is_empty() {
            return Err(format!("{}: has no documents (*.graphql, *.gql or *.json)", path.display()));
        }
        Ok(documents)
    }

    fn read(&mut self, file: &Path) -> Result<(), String> {
        let size = fs::metadata(file).map_err(|error| format!("can't be read: {error}"))?.len();
        if size > MAX_FILE_BYTES {
            return Err("is larger than 16MiB".to_owned());
        }
        let text = fs::read_to_string(file).map_err(|error| format!("can't be read: {error}"))?;
        if extension(file) != "json" {
            self.add(None, text.trim_end())?;
            // Clients send the text with or without the line break at its end.
            self.texts.insert(hash_of(&text), text.into());
            return Ok(());
        }
        let manifest = serde_json::from_str(&text)
            .map_err(|_| "must be an object of texts by their ids, or have `operations` with `id` and `body`".to_owned())?;
        let listed: Vec<_> = match manifest {
            Manifest::Operations { operations } => operations.into_iter().map(|operation| (operation.id, operation.body)).collect(),
            Manifest::Texts(texts) => texts.into_iter().collect(),
        };
        listed.into_iter().try_for_each(|(id, text)| self.add(Some(&id), &text).map_err(|problem| format!("the document {id} {problem}")))
    }

    fn add(&mut self, id: Option<&str>, text: &str) -> Result<(), String> {
        parse_query(text).map_err(|error| format!("is not valid: {error}"))?;
        let hash = hash_of(text);
        if let Some(id) = id
            && self.ids.insert(id.to_owned(), hash).is_some_and(|other| other != hash)
        {
            return Err("is there twice, with different texts".to_owned());
        }
        if self.texts.insert(hash, text.into()).is_none() {
            self.count += 1;
        }
        if self.count > MAX_DOCUMENTS { Err(format!("is one of more than {MAX_DOCUMENTS}")) } else { Ok(()) }
    }

    /// Puts the trusted text into a request, which has it, its hash or its id.
    pub fn resolve(&self, request: &mut GraphqlRequest) -> Result<(), RequestError> {
        let hash = match DocumentName::of(request) {
            DocumentName::Id(id) => self.ids.get(&id).copied(),
            DocumentName::Hash(hash) => Some(hash),
        };
        request.trust(hash.and_then(|hash| self.texts.get(&hash)).map(|text| &**text))
    }
}

/// What a request names its trusted document by.
#[derive(Debug)]
pub enum DocumentName {
    /// Its id.
    Id(String),
    /// The SHA-256 hash of its text.
    Hash(Hash),
}

impl DocumentName {
    /// Returns the name of the document of a request, which has its id, its hash or its text.
    pub fn of(request: &GraphqlRequest) -> Self {
        match (&request.document_id, request.hash) {
            (Some(id), _) => Self::Id(id.clone()),
            (None, Some(hash)) if request.query.is_empty() => Self::Hash(hash),
            (None, _) => Self::Hash(hash_of(&request.query)),
        }
    }

    /// Returns the key under which the document is stored: its id, or `sha256:` and its hash.
    pub fn key(&self) -> String {
        match self {
            Self::Id(id) => id.clone(),
            Self::Hash(hash) => hash.iter().fold("sha256:".to_owned(), |key, byte| key + &format!("{byte:02x}")),
        }
    }

    /// Tells whether a stored text has this name.
    pub fn names(&self, text: &str) -> bool {
        match self {
            Self::Id(_) => true,
            Self::Hash(hash) => hash_of(text) == *hash,
        }
    }
}

impl GraphqlRequest {
    /// Puts the trusted text into the request; `None`: there is none. Refuses a request with another text.
    pub fn trust(&mut self, text: Option<&str>) -> Result<(), RequestError> {
        let Some(text) = text.filter(|text| self.query.is_empty() || self.query == *text) else {
            let message = "the document is not among those that this frontend trusts; ask its operators to add it";
            return Err(Error::new(Code::PermissionDenied, "DOCUMENT_NOT_TRUSTED", message).into());
        };
        if self.query.is_empty() {
            text.clone_into(&mut self.query);
        }
        (self.hash, self.document_id) = (None, None);
        Ok(())
    }
}

fn hash_of(text: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// Finds the files with documents at a path. A file that was named itself is taken whatever its name is. In a folder, names that begin with a
/// dot are skipped: those of editors, and the folders with which Kubernetes replaces the files of a volume.
fn find_files(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: can't be read: {error}", path.display());
    if !fs::metadata(path).map_err(fail)?.is_dir() {
        if depth == 0 || ["graphql", "gql", "json"].contains(&extension(path)) {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(format!("{}: is more than {MAX_DEPTH} folders deep", path.display()));
    }
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            find_files(&entry.path(), depth + 1, found)?;
        }
    }
    if found.len() > MAX_DOCUMENTS { Err(format!("{}: has more than {MAX_DOCUMENTS} files", path.display())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "query A { a }";
    const B: &str = "{ b }";

    fn documents() -> TrustedDocuments {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        fs::write(folder.path().join("more/a.graphql"), format!("{A}\n")).unwrap();
        fs::write(folder.path().join("readme.txt"), "no document").unwrap();
        fs::create_dir(folder.path().join("..2026")).unwrap();
        fs::write(folder.path().join("..2026/old.graphql"), "{ old }").unwrap();
        fs::write(folder.path().join("manifest.json"), json!({"b-1": B}).to_string()).unwrap();
        let apollo = json!({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            {"id": "a-1", "name": "A", "type": "query", "body": A}]});
        fs::write(folder.path().join("apollo.json"), apollo.to_string()).unwrap();
        TrustedDocuments::load(folder.path()).unwrap()
    }

    #[test]
    fn a_document_with_a_line_break_or_in_several_files_counts_once() {
        // `a.graphql` and `apollo.json` have the same text.
        assert_eq!(documents().count, 2);
    }

    #[test]
    fn a_document_is_known_by_its_text_its_hash_and_its_id() {
        let documents = documents();
        let hash = hash_of(B).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        for (request, expected) in [
            (json!({"query": A}), Some(A)),
            (json!({"query": format!("{A}\n")}), Some("query A { a }\n")),
            (json!({"query": "{ other }"}), None),
            (json!({"query": "{ old }"}), None),
            (json!({"documentId": "a-1"}), Some(A)),
            (json!({"documentId": "b-1"}), Some(B)),
            (json!({"documentId": "b-1", "query": B}), Some(B)),
            (json!({"documentId": "b-1", "query": A}), None),
            (json!({"documentId": "b-2"}), None),
            (json!({"documentId": format!("sha256:{hash}")}), Some(B)),
            (json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}}), Some(B)),
            (json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0".repeat(64)}}}), None),
        ] {
            let mut read = GraphqlRequest::from_value(request.clone()).unwrap();
            let resolved = documents.resolve(&mut read).map(|()| read.query).map_err(|error| error.first().reason().to_owned());
            assert_eq!(resolved, expected.map(str::to_owned).ok_or_else(|| "DOCUMENT_NOT_TRUSTED".to_owned()), "{request}");
        }
    }

    #[test]
    fn problems_of_files_are_named() {
        let problem = |name: &str, text: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), text).unwrap();
            TrustedDocuments::load(folder.path()).unwrap_err().replace(&folder.path().display().to_string(), "folder")
        };
        assert!(problem("a.graphql", "query {").starts_with("folder/a.graphql: is not valid: "));
        assert!(problem("a.json", "[]").starts_with("folder/a.json: must be an object of texts by their ids"));
        assert!(problem("a.json", r#"{"x": "{"}"#).starts_with("folder/a.json: the document x is not valid: "));
        assert_eq!(problem("a.txt", "{a}"), "folder: has no documents (*.graphql, *.gql or *.json)");
        assert!(TrustedDocuments::load(Path::new("/nowhere")).unwrap_err().starts_with("/nowhere: can't be read: "));
    }
}
