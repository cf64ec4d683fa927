//! Parses a text to a descriptor that isn't linked yet.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use prost_types::FileDescriptorProto;

use super::{
    check,
    edition::{self, EDITIONS, Edition, Edits},
    scan,
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
    edits: Option<(String, Edits)>,
    pub from_descriptor: bool,
}

impl ProtoFile {
    /// Parses a text, which is source or the base64 of a `FileDescriptorProto`.
    pub fn read(name: &str, text: &str) -> Result<Self, InvalidSchema> {
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
        let edited = edition::rewrite_edition(text, &tokens).map_err(|invalid| in_file(name, &invalid))?;
        let (edition, edits) = match edited {
            Some((edition, edited, edits)) => (Some(edition), Some((edited, edits))),
            None => (None, None),
        };
        let mut file = Self {
            syntax: Syntax::Proto2,
            imports: Vec::new(),
            package: String::new(),
            declares_google: false,
            parsed: None,
            encoded: Vec::new(),
            text: text.to_owned(),
            edits,
            from_descriptor: false,
        };
        let source = file.edits.as_ref().map_or(text, |(edited, _)| edited.as_str());
        let parsed = parse_with_protox(name, source).map_err(|error| match error.at {
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
        let mut dynamic = DynamicMessage::decode(parsed.descriptor(), bytes).map_err(|error| refused(&error))?;
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
        // An edition is linked as proto2, which a missing syntax means. The linker does not accept an empty one.
        if syntax != Syntax::Proto3 {
            dynamic.clear_field_by_name("syntax");
        }
        dynamic.clear_field_by_name("edition");
        Ok(Self {
            syntax,
            imports: imports(&parsed),
            package: parsed.package().to_owned(),
            declares_google: declares_google(&parsed),
            parsed: None,
            encoded: dynamic.encode_to_vec(),
            text: String::new(),
            edits: None,
            from_descriptor: true,
        })
    }

    /// Renders a position in the original text for messages. `at` is an offset in the parsed text.
    pub fn describe_position(&self, at: usize) -> String {
        let at = self.edits.as_ref().map_or(at, |(_, edits)| edits.original_offset(at));
        scan::describe_position(&self.text, at)
    }

    /// Renders the position of a declaration, or of the innermost declaration around it. `path` is the path in the descriptor.
    pub fn describe_declaration(&self, path: &[i32]) -> Option<String> {
        let locations = &self.parsed.as_ref()?.source_code_info.as_ref()?.location;
        let about = locations.iter().filter(|location| !location.path.is_empty() && path.starts_with(&location.path));
        let span = &about.max_by_key(|location| location.path.len())?.span;
        let (line, column) = (usize::try_from(*span.first()?).ok()?, usize::try_from(*span.get(1)?).ok()?);
        let parsed = self.edits.as_ref().map_or(self.text.as_str(), |(edited, _)| edited.as_str());
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
    let has = |list: &[i32], index: usize| list.iter().any(|at| usize::try_from(*at) == Ok(index));
    let imports = file.dependency.iter().enumerate().map(|(index, path)| {
        let visibility = match index {
            _ if has(&file.public_dependency, index) => Visibility::Public,
            _ if has(&file.weak_dependency, index) => Visibility::Weak,
            _ => Visibility::Private,
        };
        (path.clone(), visibility)
    });
    imports.collect()
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
