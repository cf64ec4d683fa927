//! Parses a text to a descriptor that isn't linked yet.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use prost_types::FileDescriptorProto;

use std::collections::HashMap;

use super::{
    check, dialect,
    edition::{self, EDITIONS, Edition, EditionParts},
    edits::Edits,
    names::join_name,
    scan, wellknown,
};
use crate::{
    InvalidSchema,
    budget::{hold, spend},
};

/// The maximum length of one file's text in bytes.
pub(super) const MAX_TEXT: usize = 1024 * 1024;

/// The memory that a token takes until the file is linked, in bytes.
const TOKEN_BYTES: usize = 100;
/// The steps that a token takes until the file is linked.
const TOKEN_STEPS: usize = 4;

/// The syntax that a file declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Proto2,
    Proto3,
    Edition(Edition),
}

/// The kind of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Visibility {
    Private,
    Public,
    Weak,
    /// Only options are used, edition 2024.
    Option,
}

/// One parsed file.
#[derive(Debug)]
pub(super) struct ProtoFile {
    pub syntax: Syntax,
    pub imports: Vec<(String, Visibility)>,
    pub package: String,
    /// Whether it declares a message `google`, the first part of the names of Protobuf's own packages.
    pub declares_google: bool,
    /// The descriptor of a source text, with source locations. For an edition, it is that of the rewritten text.
    pub parsed: Option<FileDescriptorProto>,
    /// The encoded descriptor, if the text was a descriptor. It keeps the options as they were encoded.
    pub encoded: Vec<u8>,
    /// The source text.
    pub text: String,
    /// The text for the parser.
    edited: String,
    edits: Edits,
    /// Messages and enums by their names in the package: whether they are `export` or `local`.
    pub exported: HashMap<String, bool>,
    pub from_descriptor: bool,
}

impl ProtoFile {
    /// Parses a text, which is source or the base64 of a `FileDescriptorProto`.
    pub fn read(name: &str, text: &str) -> Result<Self, InvalidSchema> {
        // A byte order mark has no meaning.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_TEXT {
            return Err(InvalidSchema::new(format!("{name}: longer than {MAX_TEXT} bytes; split it into files that import each other")));
        }
        if text.trim().is_empty() {
            return Err(InvalidSchema::new(format!("{name}: the text is empty; a schema declares at least one message or enum")));
        }
        match decode_base64(text) {
            Some(bytes) => Self::decode(name, &bytes),
            None => Self::parse(name, text),
        }
    }

    /// Parses source.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidSchema> {
        let tokens = scan::tokenize(text);
        spend(TOKEN_STEPS * tokens.len())?;
        hold(TOKEN_BYTES * tokens.len() + 4 * text.len())?;
        scan::check_nesting(text, &tokens).map_err(|invalid| in_file(name, &invalid))?;
        let mut edits = Edits::default();
        let edition = edition::rewrite_edition(text, &tokens, &mut edits).map_err(|invalid| in_file(name, &invalid))?;
        dialect::rewrite_dialect(text, &tokens, &mut edits).map_err(|invalid| in_file(name, &invalid))?;
        edits.sort();
        let (edition, parts) = edition.map_or((None, EditionParts::default()), |(edition, parts)| (Some(edition), parts));
        let mut file = Self {
            syntax: Syntax::Proto2,
            imports: Vec::new(),
            package: String::new(),
            declares_google: false,
            parsed: None,
            encoded: Vec::new(),
            text: text.to_owned(),
            edited: edits.apply(text),
            edits,
            exported: parts.exported.into_iter().collect(),
            from_descriptor: false,
        };
        let parsed = parse_with_protox(name, &file.edited).map_err(|error| match error.at {
            Some(at) => InvalidSchema::new(format!("{name}: {}: {}", file.describe_position(at), error.message)),
            None => InvalidSchema::new(format!("{name}: {}", error.message)),
        })?;
        check::check_descriptor(name, &parsed, true)?;
        file.syntax = match (edition, parsed.syntax.as_deref()) {
            (Some(edition), _) => Syntax::Edition(edition),
            (None, Some("proto3")) => Syntax::Proto3,
            (None, _) => Syntax::Proto2,
        };
        file.imports = imports(&parsed);
        for (path, visibility) in &mut file.imports {
            if parts.option_imports.contains(path) {
                *visibility = Visibility::Option;
            }
        }
        parsed.package().clone_into(&mut file.package);
        file.declares_google = declares_google(&parsed);
        file.parsed = Some(parsed);
        Ok(file)
    }

    /// Decodes a descriptor.
    fn decode(name: &str, bytes: &[u8]) -> Result<Self, InvalidSchema> {
        let refused = |why: &dyn std::fmt::Display| {
            InvalidSchema::new(format!("{name}: neither source nor the base64 of a google.protobuf.FileDescriptorProto: {why}"))
        };
        let parsed = FileDescriptorProto::decode(bytes).map_err(|error| refused(&error))?;
        // The crate's own type for file descriptors drops the edition and custom options.
        let mut dynamic = DynamicMessage::decode(wellknown::file_descriptor(), bytes).map_err(|error| refused(&error))?;
        let syntax = match parsed.syntax.as_deref() {
            None | Some("" | "proto2") => Syntax::Proto2,
            Some("proto3") => Syntax::Proto3,
            Some("editions") => {
                let number = edition_number(&dynamic);
                let known = EDITIONS.into_iter().find(|edition| Some(edition.number) == number);
                Syntax::Edition(known.ok_or_else(|| refused(&"its edition isn't known; use 2023 or 2024"))?)
            }
            Some(other) => return Err(refused(&format!("syntax `{other}` isn't known; use proto2, proto3 or editions"))),
        };
        check::check_descriptor(name, &parsed, false)?;
        spend(TOKEN_STEPS * bytes.len() / 2)?;
        hold(TOKEN_BYTES / 2 * bytes.len())?;
        dynamic.clear_field_by_name("source_code_info");
        // Everything is linked as proto2, which a missing syntax means. The linker does not accept an empty one.
        dynamic.clear_field_by_name("syntax");
        dynamic.clear_field_by_name("edition");
        let mut exported = HashMap::new();
        note_visibilities(&dynamic, "message_type", "enum_type", "", &mut exported);
        let mut imports = imports(&parsed);
        let options = dynamic.get_field_by_name("option_dependency");
        let options = options.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
        imports.extend(options.iter().filter_map(|path| Some((path.as_str()?.to_owned(), Visibility::Option))));
        Ok(Self {
            syntax,
            imports,
            package: parsed.package().to_owned(),
            declares_google: declares_google(&parsed),
            parsed: None,
            encoded: dynamic.encode_to_vec(),
            text: String::new(),
            edited: String::new(),
            edits: Edits::default(),
            exported,
            from_descriptor: true,
        })
    }

    /// Renders a position in the original text for messages. `at` is an offset in the parsed text.
    pub fn describe_position(&self, at: usize) -> String {
        scan::describe_position(&self.text, self.edits.original_offset(at))
    }

    /// Renders the position of a declaration, or of the innermost declaration around it. `path` is the path in the descriptor.
    pub fn describe_declaration(&self, path: &[i32]) -> Option<String> {
        let locations = &self.parsed.as_ref()?.source_code_info.as_ref()?.location;
        let about = locations.iter().filter(|location| !location.path.is_empty() && path.starts_with(&location.path));
        let span = &about.max_by_key(|location| location.path.len())?.span;
        let (line, column) = (usize::try_from(*span.first()?).ok()?, usize::try_from(*span.get(1)?).ok()?);
        let parsed = self.edited.as_str();
        let begin: usize = parsed.split_inclusive('\n').take(line).map(str::len).sum();
        Some(self.describe_position((begin + column).min(parsed.len())))
    }
}

/// Why a text can't be parsed, and the offset of the error.
struct ParseFailure {
    at: Option<usize>,
    message: String,
}

fn parse_with_protox(name: &str, source: &str) -> Result<FileDescriptorProto, ParseFailure> {
    match protox::file::File::from_source(name, source) {
        Ok(file) => Ok(file.into()),
        Err(error) => {
            let at = error_offset(&error, source);
            Err(ParseFailure { at, message: error.to_string() })
        }
    }
}

/// Returns the offset of an error. The parser has it only in its debug output: `file:line:column: …`, both from 1.
fn error_offset(error: &protox::Error, source: &str) -> Option<usize> {
    let shown = format!("{error:?}");
    let rest = shown.strip_prefix(error.file()?)?.strip_prefix(':')?;
    let (line, rest) = rest.split_once(':')?;
    let (column, _) = rest.split_once(':')?;
    let (line, column) = (line.parse::<usize>().ok()?, column.parse::<usize>().ok()?);
    let begin: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    Some((begin + column.saturating_sub(1)).min(source.len()))
}

fn in_file(name: &str, invalid: &InvalidSchema) -> InvalidSchema {
    InvalidSchema::new(format!("{name}: {}", invalid.message))
}

fn declares_google(file: &FileDescriptorProto) -> bool {
    file.message_type.iter().any(|message| message.name() == "google")
}

fn imports(file: &FileDescriptorProto) -> Vec<(String, Visibility)> {
    let mut imports: Vec<_> = file.dependency.iter().map(|path| (path.clone(), Visibility::Private)).collect();
    for (list, visibility) in [(&file.weak_dependency, Visibility::Weak), (&file.public_dependency, Visibility::Public)] {
        for index in list {
            if let Some(import) = usize::try_from(*index).ok().and_then(|index| imports.get_mut(index)) {
                import.1 = visibility;
            }
        }
    }
    imports
}

/// Notes which messages and enums of a descriptor are `export` or `local`. Recursion is limited by the depth of messages.
fn note_visibilities(of: &DynamicMessage, messages: &str, enums: &str, scope: &str, exported: &mut HashMap<String, bool>) {
    const EXPORT: i32 = 2;
    for (list, nests) in [(messages, true), (enums, false)] {
        let Some(declarations) = of.get_field_by_name(list) else { continue };
        for declaration in declarations.as_list().unwrap_or_default().iter().filter_map(|value| value.as_message()) {
            let text = |field| declaration.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned));
            let name = join_name(scope, &text("name").unwrap_or_default());
            let visibility = declaration.get_field_by_name("visibility").and_then(|value| value.as_enum_number());
            if let Some(visibility) = visibility.filter(|visibility| *visibility != 0) {
                exported.insert(name.clone(), visibility == EXPORT);
            }
            if nests {
                note_visibilities(declaration, "nested_type", "enum_type", &name, exported);
            }
        }
    }
}

fn edition_number(file: &DynamicMessage) -> Option<i32> {
    file.get_field_by_name("edition").and_then(|number| number.as_enum_number())
}

/// Decodes base64. Returns `None` for source, which contains characters that base64 does not have.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let compact: String = text.split_ascii_whitespace().collect();
    engine.decode(compact).ok()
}
