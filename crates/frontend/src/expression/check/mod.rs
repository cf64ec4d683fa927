//! The type check. It refuses expressions that cannot work when they are loaded, and says what would be right.

mod call;
mod functions;
mod loops;
mod operator;
pub(super) mod select;

use std::collections::HashSet;

use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr, LiteralValue, MapExpr},
};

pub use self::select::path;
use super::{
    parse,
    suggestion::suggest,
    types::{Member, Scope, Type},
};
use crate::message_types::MessageTypes;

/// A problem and the node of the tree that causes it.
#[derive(Debug)]
pub struct Problem {
    /// Id of the node.
    pub node: u64,
    /// The message, one sentence.
    pub message: String,
}

/// Names of types, for comparisons with `type(x)`.
const TYPES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];

/// Checks an expression and returns its type.
pub fn check(tree: &IdedExpr, types: &MessageTypes, scope: &Scope) -> Result<Type, Problem> {
    let mut checker =
        Checker { types, guarded: scope.present().map(str::to_owned).collect(), bare: select::path(tree).is_some(), loops: 0 };
    checker.find_guards(tree);
    checker.expression(tree, scope)
}

struct Checker<'s> {
    types: &'s MessageTypes,
    /// The paths that a `has(…)` anywhere in the expression tests.
    guarded: HashSet<String>,
    /// Whether the expression is only a path. If a member is then absent, so is the whole value, which needs no guard.
    bare: bool,
    /// Number of comprehensions around the current node.
    loops: usize,
}

/// Collects the paths that are present if a condition is true (`holds`) or false.
pub fn present_if(node: &IdedExpr, holds: bool, found: &mut Vec<String>) {
    match &node.expr {
        Expr::Select(tested) if tested.test && holds => {
            if let Some(operand) = select::spelled(&tested.operand) {
                found.push(select::step(&operand, &tested.field));
            }
            let mut outer = Some(&*tested.operand);
            while let Some(node) = outer {
                found.extend(select::spelled(node));
                outer = select::operand(node);
            }
        }
        Expr::Call(call) => match (call.func_name.as_str(), holds) {
            (cel::common::ast::operators::LOGICAL_AND, true) | (cel::common::ast::operators::LOGICAL_OR, false) => {
                call.args.iter().for_each(|inner| present_if(inner, holds, found));
            }
            (cel::common::ast::operators::LOGICAL_NOT, _) => call.args.iter().for_each(|inner| present_if(inner, !holds, found)),
            _ => {}
        },
        _ => {}
    }
}

impl Checker<'_> {
    fn find_guards(&mut self, node: &IdedExpr) {
        match &node.expr {
            Expr::Select(tested) if tested.test => {
                if let Some(operand) = select::spelled(&tested.operand) {
                    self.guarded.insert(select::step(&operand, &tested.field));
                }
                // `has(a.b.c)` tests `a.b` and `a` too.
                let mut outer = Some(&*tested.operand);
                while let Some(node) = outer {
                    self.guarded.extend(select::spelled(node));
                    outer = select::operand(node);
                }
            }
            // `"limit" in query` means the same as `has(query.limit)`.
            Expr::Call(call) if call.func_name == "@in" => {
                if let [name, object] = call.args.as_slice()
                    && let (Some(name), Some(object)) = (text(name), select::spelled(object))
                {
                    self.guarded.insert(select::step(&object, name));
                }
            }
            _ => {}
        }
        for child in parse::children(node) {
            self.find_guards(child);
        }
    }

    fn expression(&mut self, node: &IdedExpr, scope: &Scope) -> Result<Type, Problem> {
        match &node.expr {
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => variable(node, name, scope),
            Expr::Select(select) => self.select(node, select, scope),
            Expr::Call(call) => self.call(node, call, scope),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, scope),
            Expr::List(list) => {
                let mut element = Type::Null;
                for (index, item) in list.elements.iter().enumerate() {
                    let item = self.expression(item, scope)?;
                    element = if index == 0 { item } else { element.join(&item) };
                }
                Ok(Type::list(element))
            }
            Expr::Map(map) => self.map(map, scope),
            Expr::Struct(object) => {
                let name = &object.type_name;
                Err(problem(node, format!("a value isn't made by its type, as `{name}{{…}}`; write a map, as {{\"key\": …}}")))
            }
            Expr::Unspecified => Err(problem(node, "something is missing here")),
        }
    }

    /// Checks a map literal. If all keys are literals, the result is an object with known members.
    fn map(&mut self, map: &MapExpr, scope: &Scope) -> Result<Type, Problem> {
        let (mut members, mut known, mut joined) = (Vec::<Member>::new(), true, Type::Null);
        for entry in &map.entries {
            let EntryExpr::MapEntry(pair) = &entry.expr else { continue };
            let key = self.expression(&pair.key, scope)?;
            if !(key.is_text() || key == Type::Dyn) {
                let found = key.describe(self.types);
                return Err(problem(
                    &pair.key,
                    format!("a map's keys are strings here, and this key is {found}; write \"…\" or string(…)"),
                ));
            }
            let value = self.expression(&pair.value, scope)?;
            joined = if joined == Type::Null { value.clone() } else { joined.join(&value) };
            let Some(name) = text(&pair.key) else {
                known = false;
                continue;
            };
            if members.iter().any(|member| member.name == name) {
                return Err(problem(&pair.key, format!("the key {name:?} appears twice in one map")));
            }
            members.push(Member { name: name.to_owned(), value, required: true });
        }
        Ok(if known && !members.is_empty() { Type::object(members) } else { Type::map(joined) })
    }

    fn describe(&self, value: &Type) -> String {
        value.describe(self.types)
    }
}

fn variable(node: &IdedExpr, name: &str, scope: &Scope) -> Result<Type, Problem> {
    if let Some(known) = scope.get(name) {
        return Ok(known.clone());
    }
    if TYPES.contains(&name) {
        return Ok(Type::Dyn);
    }
    let names = scope.names();
    if functions::namespaces().any(|namespace| namespace == name) {
        return Err(problem(node, format!("`{name}` is not a value; its functions are {}", functions::within(name).join(", "))));
    }
    if names.is_empty() {
        return Err(problem(node, format!("there is no variable `{name}`, nor any other here; a text is written \"{name}\"")));
    }
    Err(problem(node, format!("there is no variable `{name}`{}; known are {}", suggest(name, &names), names.join(", "))))
}

fn problem(node: &IdedExpr, message: impl Into<String>) -> Problem {
    Problem { node: node.id, message: message.into() }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// Returns the text of a string literal.
pub fn text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
