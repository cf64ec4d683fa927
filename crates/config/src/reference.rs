//! References in texts: `${env:NAME}` and `${file:PATH}`.

use std::{fs::File, io::Read, path::Path};

use super::source::Variables;

/// Maximum size of a referenced file. Secrets are short; a large file is probably the wrong one.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Replaces the references of a text; `$${` becomes `${`. Returns `None` if the text has no references. The error has one sentence for each
/// reference that can't be resolved, without secrets.
pub(super) fn expand(text: &str, variables: &Variables) -> Result<Option<String>, Vec<String>> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::new();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        expanded.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            problems.push(format!("`{}` has no `}}` at its end; write `$${{` for a plain `${{`", &rest[start..]));
            return Err(problems);
        };
        let reference = &rest[start + 2..start + length];
        match resolve(reference, variables) {
            Ok(value) => expanded.push_str(&value),
            Err(problem) => problems.push(problem),
        }
        rest = &rest[start + length + 1..];
    }
    expanded.push_str(rest);
    if problems.is_empty() { Ok(Some(expanded)) } else { Err(problems) }
}

/// Returns the paths of the files that a text refers to.
pub(super) fn files(text: &str) -> impl Iterator<Item = &str> {
    text.split("${file:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(path, _)| path)
}

fn resolve(reference: &str, variables: &Variables) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => variables.0.get(name).cloned().ok_or_else(|| format!("the environment variable `{name}` is not set")),
        Some(("file", path)) => read(Path::new(path)).map_err(|error| format!("the file `{path}` can't be read: {error}")),
        _ => Err(format!("`${{{reference}}}` is no reference; write ${{env:NAME}} or ${{file:PATH}}, or `$${{` for a plain `${{`")),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    // Editors add a line break to the end of a file, which is not part of the secret.
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_references_and_reports_all_that_lead_nowhere() {
        let variables = Variables([("NAME".to_owned(), "ada".to_owned())].into());
        let expand = |text: &str| expand(text, &variables);
        assert_eq!(expand("plain $x"), Ok(None));
        assert_eq!(expand("a-${env:NAME}-${env:NAME}"), Ok(Some("a-ada-ada".into())));
        assert_eq!(expand("$${env:NAME}"), Ok(Some("${env:NAME}".into())));
        assert_eq!(
            expand("${env:A} ${B} ${file:/no/such/file}"),
            Err(vec![
                "the environment variable `A` is not set".into(),
                "`${B}` is no reference; write ${env:NAME} or ${file:PATH}, or `$${` for a plain `${`".into(),
                "the file `/no/such/file` can't be read: No such file or directory (os error 2)".into(),
            ])
        );
        assert_eq!(expand("${env:A"), Err(vec!["`${env:A` has no `}` at its end; write `$${` for a plain `${`".into()]));
    }

    #[test]
    fn removes_the_line_break_at_the_end_of_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "hunter2\n").expect("a file");
        assert_eq!(expand(&format!("${{file:{}}}", path.display()), &Variables::default()), Ok(Some("hunter2".into())));
    }
}
