//! The functions that expressions may call. All others are refused, even if the CEL engine has them.

use crate::expression::types::Type;

/// What a parameter accepts. [`Type::Dyn`] is always accepted, and its value is checked at evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    /// Anything.
    Any,
    /// A bool or a string.
    BoolOrText,
    /// An int.
    Int,
    /// A number or a string.
    NumberOrText,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A string literal in the expression.
    Literal,
    /// Bytes.
    Bytes,
    /// A string or bytes.
    TextOrBytes,
    /// A number, a bool, a string or bytes.
    Scalar,
    /// A list.
    List,
    /// A list of strings.
    Texts,
    /// A string, bytes, a list or a map.
    Sized,
}

/// The result type of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gives {
    Bool,
    Bytes,
    Double,
    Dyn,
    Int,
    /// A list of anything.
    List,
    Text,
    Texts,
    Uint,
    /// The type of the receiver, or of the first argument if there is no receiver.
    Same,
}

/// One overload of a function.
#[derive(Debug)]
pub struct Function {
    /// Name of the function, with its namespace.
    pub name: &'static str,
    /// What the receiver must be in `x.f()`.
    pub receiver: Option<Takes>,
    /// What each argument must be.
    pub takes: &'static [Takes],
    /// The result type.
    pub gives: Gives,
}

const fn global(name: &'static str, takes: &'static [Takes], gives: Gives) -> Function {
    Function { name, receiver: None, takes, gives }
}

const fn member(receiver: Takes, name: &'static str, takes: &'static [Takes], gives: Gives) -> Function {
    Function { name, receiver: Some(receiver), takes, gives }
}

use Takes::{Any, BoolOrText, Int, List, Literal, Number, NumberOrText, Scalar, Sized, Text, TextOrBytes, Texts};

/// All functions, one entry for each overload.
pub const FUNCTIONS: &[Function] = &[
    // Conversions.
    global("bool", &[BoolOrText], Gives::Bool),
    global("bytes", &[TextOrBytes], Gives::Bytes),
    global("double", &[NumberOrText], Gives::Double),
    global("dyn", &[Any], Gives::Dyn),
    global("int", &[NumberOrText], Gives::Int),
    global("string", &[Scalar], Gives::Text),
    global("type", &[Any], Gives::Dyn),
    global("uint", &[NumberOrText], Gives::Uint),
    // Sizes.
    global("size", &[Sized], Gives::Int),
    member(Sized, "size", &[], Gives::Int),
    // Strings.
    member(Text, "charAt", &[Int], Gives::Text),
    member(Text, "contains", &[Text], Gives::Bool),
    member(Text, "endsWith", &[Text], Gives::Bool),
    member(Text, "format", &[List], Gives::Text),
    member(Text, "indexOf", &[Text], Gives::Int),
    member(Text, "indexOf", &[Text, Int], Gives::Int),
    member(Texts, "join", &[], Gives::Text),
    member(Texts, "join", &[Text], Gives::Text),
    member(Text, "lastIndexOf", &[Text], Gives::Int),
    member(Text, "lowerAscii", &[], Gives::Text),
    member(Text, "matches", &[Literal], Gives::Bool),
    global("matches", &[Text, Literal], Gives::Bool),
    member(Text, "matchesGlob", &[Text], Gives::Bool),
    member(Text, "replace", &[Text, Text], Gives::Text),
    member(Text, "reverse", &[], Gives::Text),
    member(Text, "split", &[Text], Gives::Texts),
    member(Text, "startsWith", &[Text], Gives::Bool),
    member(Text, "substring", &[Int], Gives::Text),
    member(Text, "substring", &[Int, Int], Gives::Text),
    member(Text, "trim", &[], Gives::Text),
    member(Text, "upperAscii", &[], Gives::Text),
    // Lists.
    member(List, "distinct", &[], Gives::Same),
    member(List, "flatten", &[], Gives::List),
    member(List, "reverse", &[], Gives::Same),
    member(List, "slice", &[Int, Int], Gives::Same),
    member(List, "sort", &[], Gives::Same),
    member(List, "@sortByAssociatedKeys", &[List], Gives::Same),
    // Numbers.
    global("math.greatest", &[Number, Number], Gives::Same),
    global("math.least", &[Number, Number], Gives::Same),
    // Encoded texts.
    global("base64.decode", &[Text], Gives::Bytes),
    global("base64.encode", &[Takes::Bytes], Gives::Text),
    global("json.decode", &[Text], Gives::Dyn),
    global("json.encode", &[Any], Gives::Text),
    global("time.millis", &[Text], Gives::Int),
    global("url.decode", &[Text], Gives::Text),
    global("url.encode", &[Text], Gives::Text),
];

/// The macros of CEL. They are listed only for suggestions.
pub const MACROS: &[&str] = &["all", "exists", "exists_one", "filter", "has", "map", "sortBy"];

/// Returns all names that can be called.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).chain(MACROS.iter().copied()).collect();
    names.retain(|name| !name.starts_with('@'));
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the namespaces, such as `json` of `json.encode`.
pub fn namespaces() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().filter_map(|function| function.name.split_once('.')).map(|(namespace, _)| namespace)
}

/// Returns the functions of a namespace.
pub fn within(namespace: &str) -> Vec<&'static str> {
    let own = |name: &str| name.split_once('.').is_some_and(|(own, _)| own == namespace);
    FUNCTIONS.iter().map(|function| function.name).filter(|name| own(name)).collect()
}

impl Function {
    /// Renders the signature, such as `string.split(string)`.
    pub fn signature(&self) -> String {
        let takes: Vec<&str> = self.takes.iter().map(|takes| takes.name()).collect();
        let receiver = self.receiver.map_or_else(String::new, |receiver| format!("{}.", receiver.name()));
        format!("{receiver}{}({})", self.name, takes.join(", "))
    }
}

impl Takes {
    /// Returns whether a value of the type is accepted.
    pub fn fits(self, given: &Type) -> bool {
        let text = given.is_text();
        let bytes = *given == Type::Bytes;
        let list = matches!(given, Type::List(_));
        *given == Type::Dyn
            || match self {
                Self::Any => true,
                Self::BoolOrText => text || *given == Type::Bool,
                Self::Int => *given == Type::Int,
                Self::NumberOrText => text || given.is_number(),
                Self::Number => given.is_number(),
                Self::Text | Self::Literal => text,
                Self::Bytes => bytes,
                Self::TextOrBytes => text || bytes,
                Self::Scalar => text || bytes || given.is_number() || *given == Type::Bool,
                Self::List => list,
                Self::Texts => matches!(given, Type::List(item) if item.is_text() || matches!(**item, Type::Dyn | Type::Null)),
                Self::Sized => text || bytes || list || matches!(given, Type::Map(_) | Type::Object(_) | Type::Message(_)),
            }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::BoolOrText => "bool|string",
            Self::Int => "int",
            Self::NumberOrText => "number|string",
            Self::Number => "number",
            Self::Text => "string",
            Self::Literal => "\"pattern\"",
            Self::Bytes => "bytes",
            Self::TextOrBytes => "string|bytes",
            Self::Scalar => "number|bool|string|bytes",
            Self::List => "list",
            Self::Texts => "list of strings",
            Self::Sized => "string|bytes|list|map",
        }
    }
}

impl Gives {
    /// Returns the type of the result. `first` is the type of the receiver or of the first argument.
    pub fn of(self, first: Option<&Type>) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Bytes => Type::Bytes,
            Self::Double => Type::Double,
            Self::Dyn => Type::Dyn,
            Self::Int => Type::Int,
            Self::List => Type::list(Type::Dyn),
            Self::Text => Type::String,
            Self::Texts => Type::list(Type::String),
            Self::Uint => Type::Uint,
            Self::Same => first.cloned().unwrap_or(Type::Dyn),
        }
    }
}
