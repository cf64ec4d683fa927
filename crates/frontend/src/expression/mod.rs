//! Expressions in frontends: CEL (the Common Expression Language), checked against the types of what they read.
//!
//! An expression is compiled once, when a frontend is loaded, and evaluated for each call. What can be known to be wrong is
//! refused when it is compiled: unknown names, operators and functions that don't fit, members that may be absent and are
//! not guarded. Where there is only a path, [`Expression::as_path`] gives it, and callers copy the field instead.
//!
//! # Values
//!
//! | of | in expressions |
//! |---|---|
//! | JSON | the same; whole numbers are ints, above 2^63 uints, others doubles |
//! | a message | a map by the proto names of its fields; what has no presence is always there |
//! | `int32`, `sint64`, …; `uint32`, `fixed64`, … | int; uint |
//! | enum | the value's name; its number if it has no name |
//! | `Timestamp`, `Duration`, `FieldMask` | text, as in ProtoJSON |
//! | wrappers; `Struct`, `Value`, `ListValue` | the bare value; any |
//! | `map<…>` | a map with strings for keys |
//! | `Any` | `{"@type": …, "value": base64}` |
//!
//! # What there is
//!
//! CEL's operators and macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`, `sortBy`), its conversions, its
//! extensions for strings, lists and base64, `math.greatest` and `math.least` of two numbers, and of our own:
//!
//! | function | |
//! |---|---|
//! | `json.encode(any) -> string` | JSON with sorted keys: `json.encode({"a": 1})` is `{"a":1}`. Never fails |
//! | `json.decode(string) -> dyn` | the value of a JSON text: `json.decode(body.text).id`. Fails where the text is not JSON |
//! | `time.millis(string) -> int` | milliseconds since 1970 of a timestamp: `time.millis("1970-01-01T00:00:01Z")` is 1000. Fails on what is none |
//! | `url.encode(string) -> string` | percent-encoded for a segment or a query: `url.encode("a/b")` is `a%2Fb`. Never fails |
//! | `url.decode(string) -> string` | the reverse. Fails on a `%` without two digits, and on what is not UTF-8 |
//! | `matches(string, "pattern")` | as in CEL, but the pattern must be a literal, its classes are those of ASCII, and `.` is one byte |
//!
//! # Bounds
//!
//! An expression has at most 4 KiB, 32 brackets within each other and 64 levels; loops stand at most 2 deep. An evaluation
//! looks at no more than 100,000 items and keeps no more than 64 MiB: beyond that it fails.

mod budget;
mod check;
mod library;
mod parse;
mod prepare;
mod run;
mod suggestion;
#[cfg(test)]
mod tests;
mod types;
pub mod value;

use std::fmt;

pub use cel::Value;
use cel::{IdedExpr, common::ast::Expr};

pub use self::types::{Member, Object, Scope, Type};
use super::message_types::MessageTypes;

/// Gives the value of a top-level variable when it is asked for: at most once in an evaluation, and only if the part of
/// the expression that names it is evaluated.
pub trait Variables: Send + Sync {
    /// The value; none if it is not there.
    fn get(&self, name: &str) -> Option<Value>;

    /// The same where only these members are looked at, so that others may be missing in it.
    fn members(&self, name: &str, members: &[String]) -> Option<Value> {
        let _ = members;
        self.get(name)
    }
}

/// No variables.
impl Variables for () {
    fn get(&self, _: &str) -> Option<Value> {
        None
    }
}

/// Variables that are there already; the first of a name counts.
impl<const N: usize> Variables for [(&str, Value); N] {
    fn get(&self, name: &str) -> Option<Value> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

/// A compiled expression.
pub struct Expression {
    text: String,
    tree: IdedExpr,
    of: Type,
    reads: Vec<prepare::Read>,
    path: Option<Vec<String>>,
    present_if_true: Vec<String>,
    present_if_false: Vec<String>,
    constant: Option<Value>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("text", &self.text).field("of", &self.of).finish_non_exhaustive()
    }
}

impl Expression {
    /// Parses and checks an expression. The error says what is wrong and what would be right, with the column if it is
    /// known.
    pub fn compile(text: &str, types: &MessageTypes, scope: &Scope) -> Result<Self, String> {
        let mut tree = parse::parse(text)?;
        let of = check::check(&tree, types, scope).map_err(|problem| placed(text, types, scope, problem))?;
        let mut reads = Vec::new();
        prepare::variables(&tree, scope, &mut Vec::new(), &mut reads);
        let path = check::path(&tree).filter(|path| path.first().is_some_and(|name| scope.get(name).is_some()));
        let (mut present_if_true, mut present_if_false) = (Vec::new(), Vec::new());
        check::present_if(&tree, true, &mut present_if_true);
        check::present_if(&tree, false, &mut present_if_false);
        prepare::prepare(&mut tree);
        let constant = if reads.is_empty() { fold(&tree)? } else { None };
        Ok(Self { text: text.to_owned(), tree, of, reads, path, present_if_true, present_if_false, constant })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The type of its value.
    pub fn type_of(&self) -> &Type {
        &self.of
    }

    /// Whether it names a top-level variable, so that only those are built that are needed.
    pub fn reads(&self, variable: &str) -> bool {
        self.reads.iter().any(|read| read.name == variable)
    }

    /// The steps of a bare path, `a.b["c"]`, from the variable on.
    pub fn as_path(&self) -> Option<&[String]> {
        self.path.as_deref()
    }

    /// The paths that are there if this condition holds, or if it does not: what `has(…)` in it has made sure of.
    pub fn present_if(&self, holds: bool) -> &[String] {
        if holds { &self.present_if_true } else { &self.present_if_false }
    }

    /// The value of an expression that reads nothing.
    pub fn as_constant(&self) -> Option<&Value> {
        self.constant.as_ref()
    }

    /// The value with these variables. The error is a sentence without the values of a request.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<Value, String> {
        match &self.constant {
            Some(value) => Ok(value.clone()),
            None => run::evaluate(&self.tree, &self.reads, variables),
        }
    }
}

/// What is wrong, with its column. The quick parser keeps no places, so the other one finds it once more.
fn placed(text: &str, types: &MessageTypes, scope: &Scope, problem: check::Problem) -> String {
    let again = parse::with_places(text).and_then(|program| {
        let problem = check::check(program.expression(), types, scope).err()?;
        let (start, _) = program.source_info().offset_for(problem.node)?;
        // Places are counted in bytes, columns in characters.
        let before = text.get(..start as usize).map_or(start as usize, |before| before.chars().count());
        Some(format!("column {}: {}", before + 1, problem.message))
    });
    again.unwrap_or(problem.message)
}

/// The value of an expression without variables: what fails now would fail always.
fn fold(tree: &IdedExpr) -> Result<Option<Value>, String> {
    // The names of types are values that nothing but a comparison understands.
    if matches!(tree.expr, Expr::Ident(_)) {
        return Err("the name of a type is not a value; it can be compared, as in `type(x) == int`".to_owned());
    }
    run::evaluate(tree, &[], &()).map(Some).map_err(|error| format!("the expression fails always: {error}"))
}
