//! Expressions in frontends: CEL (Common Expression Language), checked against the types of the variables.
//!
//! An expression is compiled once, when a frontend is loaded, and evaluated for each call. Compilation refuses everything
//! that is known to be wrong: unknown names, operators and functions with the wrong types, and optional members that no
//! `has(…)` guards. For an expression that is only a path, [`Expression::as_path`] returns the path, and callers copy the
//! field instead of evaluating.
//!
//! # Values
//!
//! | source | in expressions |
//! |---|---|
//! | JSON | the same; whole numbers are ints, above 2^63 uints, others doubles |
//! | a message | a map with the proto names of its fields; fields without presence are always there |
//! | `int32`, `sint64`, …; `uint32`, `fixed64`, … | int; uint |
//! | enum | the value's name; its number if it has no name |
//! | `Timestamp`, `Duration`, `FieldMask` | text, as in ProtoJSON |
//! | wrappers; `Struct`, `Value`, `ListValue` | the bare value; any value |
//! | `map<…>` | a map with string keys |
//! | `Any` | `{"@type": …, "value": base64}` |
//!
//! # Functions
//!
//! Available are CEL's operators and macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`, `sortBy`), its
//! conversions, its extensions for strings, lists and base64, and `math.greatest` and `math.least` of two numbers.
//! Prism adds:
//!
//! | function | |
//! |---|---|
//! | `json.encode(any) -> string` | JSON with sorted keys: `json.encode({"a": 1})` is `{"a":1}`. Never fails |
//! | `json.decode(string) -> dyn` | the value of a JSON text: `json.decode(body.text).id`. Fails if the text is not JSON |
//! | `time.millis(string) -> int` | milliseconds since 1970: `time.millis("1970-01-01T00:00:01Z")` is 1000. Fails on other text |
//! | `url.encode(string) -> string` | percent-encodes a text for a segment or a query: `url.encode("a/b")` is `a%2Fb`. Never fails |
//! | `url.decode(string) -> string` | the reverse. Fails on a `%` without two digits and on bytes that are not UTF-8 |
//! | `matchesGlob(string, string) -> bool` | whether a text matches a pattern with `*`, `?` and `[a-z]`, which may come from the request |
//! | `matches(string, "pattern")` | as in CEL, but the pattern must be a literal, its classes are ASCII, and `.` matches one byte |
//!
//! # Limits
//!
//! An expression has at most 4 KiB, 32 nested brackets and 64 levels. Loops nest at most 2 deep. An evaluation fails if it
//! visits more than 100,000 items or keeps more than 64 MiB.

mod budget;
mod check;
mod glob;
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

pub use self::{
    run::SharedValue,
    types::{Member, Object, Scope, Type},
};
use super::message_types::MessageTypes;

/// Source of the top-level variables. An evaluation asks for each variable at most once, and only if it evaluates a part of
/// the expression that names the variable.
pub trait Variables: Send + Sync {
    /// Returns the value of a variable, or `None` if it is absent.
    fn get(&self, name: &str) -> Option<Value>;

    /// Returns the variable for an expression that reads only these members. Other members may be missing in the value.
    fn members(&self, name: &str, members: &[String]) -> Option<Value> {
        let _ = members;
        self.get(name)
    }

    /// Returns the variable if other evaluations use it, too. Such a variable is not asked for with `get` or `members`.
    fn shared(&self, name: &str) -> Option<&SharedValue> {
        let _ = name;
        None
    }
}

/// No variables.
impl Variables for () {
    fn get(&self, _: &str) -> Option<Value> {
        None
    }
}

/// Variables with ready values. If a name appears twice, the first one counts.
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
    /// Parses and checks an expression. The error says what is wrong and what would be right, and the column if it is known.
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
        let constants: Option<Constants> =
            reads.iter().map(|read| Some((read.name.clone(), scope.constant(&read.name)?.clone()))).collect::<Option<_>>().map(Constants);
        let constant = constants.map(|constants| fold(&tree, &reads, &constants)).transpose()?;
        Ok(Self { text: text.to_owned(), tree, of, reads, path, present_if_true, present_if_false, constant })
    }

    /// Returns the source text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the static type of the value.
    pub fn type_of(&self) -> &Type {
        &self.of
    }

    /// Returns whether the expression names a top-level variable. Callers use this to build only the variables that are
    /// needed.
    pub fn reads(&self, variable: &str) -> bool {
        self.reads.iter().any(|read| read.name == variable)
    }

    /// Returns the steps of the path if the expression is only a path such as `a.b["c"]`. The first step is the variable.
    pub fn as_path(&self) -> Option<&[String]> {
        self.path.as_deref()
    }

    /// Returns the paths that are present if this condition is true (`holds`) or false, because a `has(…)` in it tests them.
    pub fn present_if(&self, holds: bool) -> &[String] {
        if holds { &self.present_if_true } else { &self.present_if_false }
    }

    /// Returns the value if the expression reads only variables with known values.
    pub fn as_constant(&self) -> Option<&Value> {
        self.constant.as_ref()
    }

    /// Evaluates the expression with these variables. The error is one sentence and contains no values of the request.
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<Value, String> {
        match &self.constant {
            Some(value) => Ok(value.clone()),
            None => run::evaluate(&self.tree, &self.reads, variables),
        }
    }
}

/// Returns the message of a problem with its column. The fast parser keeps no positions, so this parses again with the slower
/// parser.
fn placed(text: &str, types: &MessageTypes, scope: &Scope, problem: check::Problem) -> String {
    let again = parse::with_places(text).and_then(|program| {
        let problem = check::check(program.expression(), types, scope).err()?;
        let (start, _) = program.source_info().offset_for(problem.node)?;
        // Offsets are in bytes, columns in characters.
        let before = text.get(..start as usize).map_or(start as usize, |before| before.chars().count());
        Some(format!("column {}: {}", before + 1, problem.message))
    });
    again.unwrap_or(problem.message)
}

/// Variables whose values are known when an expression is compiled.
struct Constants(Vec<(String, Value)>);

impl Variables for Constants {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// Evaluates an expression of constants. If it fails now, it always fails.
fn fold(tree: &IdedExpr, reads: &[prepare::Read], constants: &Constants) -> Result<Value, String> {
    // The name of a type is a value that only a comparison accepts.
    if reads.is_empty() && matches!(tree.expr, Expr::Ident(_)) {
        return Err("the name of a type is not a value; it can be compared, as in `type(x) == int`".to_owned());
    }
    run::evaluate(tree, reads, constants).map_err(|error| format!("the expression fails always: {error}"))
}
