//! Loads the texts of definitions: from files, and from those that are compiled into Prism (`frontends/*.yaml` and `openapi/*.yaml`).

use std::{fs::File, io::Read as _, path::Path};

use super::{DocumentFolders, MAX_FILE_BYTES, Texts};
use prism_yaml::EMBEDDED;

/// Returns the names of the definitions that are compiled into Prism, which are their file names.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().filter_map(|known| known.file.strip_prefix("frontends/")?.strip_suffix(".yaml"))
}

impl Texts {
    /// Returns a definition that is compiled into Prism.
    pub fn embedded(name: &str) -> Option<Self> {
        let file = format!("frontends/{name}.yaml");
        let text = content(&file)?;
        let document_name = beside(&file, &super::header(text).document);
        let document = content(&document_name).map(str::to_owned).ok_or_else(|| "it is not compiled into Prism".to_owned());
        Some(Self { name: file, text: text.to_owned(), document_name, document, folders: DocumentFolders::default() })
    }

    /// Reads a definition from a file, and its document from the file that the definition names.
    pub fn read(file: &str) -> Result<Self, String> {
        let text = read(file)?;
        let document_name = beside(file, &super::header(&text).document);
        let document = read(&document_name);
        let folders = DocumentFolders::of_files(&[file, &document_name]);
        Ok(Self { name: file.to_owned(), text, document_name, document, folders })
    }

    /// Finds a definition by its name in a configuration: one that is compiled into Prism, else a file.
    pub fn find(name: &str) -> Result<Self, String> {
        if let Some(texts) = Self::embedded(name) {
            return Ok(texts);
        }
        Self::read(name)
    }
}

fn content(file: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|known| known.file == file).map(|known| known.text)
}

/// Reads the text of a definition or a document.
pub fn read(file: &str) -> Result<String, String> {
    let mut text = String::new();
    let opened = File::open(file).map_err(|error| error.to_string())?;
    opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

/// Resolves a path relative to a file. Removes `..` where possible.
pub fn beside(file: &str, path: &str) -> String {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut joined = std::path::PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            std::path::Component::ParentDir if joined.file_name().is_some_and(|name| name != "..") => drop(joined.pop()),
            other => joined.push(other),
        }
    }
    joined.to_string_lossy().replace('\\', "/")
}
