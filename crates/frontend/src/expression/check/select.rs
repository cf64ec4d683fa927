//! Checks members: `a.b`, `a["b"]`, `has(a.b)`. Optional members must be guarded.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators},
};

use super::{Checker, Problem, problem, suggest, text};
use crate::{
    expression::types::{Scope, Type},
    message_types::FieldShape,
};

/// Type of a member, and whether it may be absent.
struct Found {
    value: Type,
    optional: bool,
}

impl Checker<'_> {
    pub(super) fn select(&mut self, node: &IdedExpr, select: &SelectExpr, scope: &Scope) -> Result<Type, Problem> {
        let operand = self.expression(&select.operand, scope)?;
        let found = self.member(node, &select.operand, &operand, &select.field)?;
        if select.test {
            return Ok(Type::Bool);
        }
        self.present(node, &found)?;
        Ok(found.value)
    }

    pub(super) fn index(&mut self, node: &IdedExpr, call: &CallExpr, scope: &Scope) -> Result<Type, Problem> {
        let [operand, index] = call.args.as_slice() else { return Err(problem(node, "an index is missing")) };
        let (of, by) = (self.expression(operand, scope)?, self.expression(index, scope)?);
        if let (Some(name), false) = (text(index), matches!(of, Type::List(_))) {
            let found = self.member(node, operand, &of, name)?;
            self.present(node, &found)?;
            return Ok(found.value);
        }
        let (by_text, by_number) = (by.is_text() || by == Type::Dyn, matches!(by, Type::Int | Type::Uint | Type::Dyn));
        match of {
            Type::List(element) if by_number => Ok(known(*element)),
            Type::Map(value) if by_text => Ok(known(*value)),
            Type::Object(_) | Type::Message(_) if by_text => Ok(Type::Dyn),
            Type::Dyn | Type::Null => Ok(Type::Dyn),
            Type::List(_) => Err(problem(index, format!("a list is indexed by an int, as `[0]`, not by {}", self.describe(&by)))),
            Type::Map(_) | Type::Object(_) | Type::Message(_) => {
                let found = self.describe(&of);
                Err(problem(index, format!("{found} is indexed by a string, as `[\"key\"]`, not by {}", self.describe(&by))))
            }
            other => Err(problem(node, format!("{} can't be indexed; lists and maps can", self.describe(&other)))),
        }
    }

    fn member(&self, node: &IdedExpr, operand: &IdedExpr, of: &Type, name: &str) -> Result<Found, Problem> {
        let always = |value: Type| Ok(Found { value, optional: false });
        match of {
            Type::Dyn | Type::Null => always(Type::Dyn),
            Type::Map(value) => always(known((**value).clone())),
            Type::Object(object) => match object.member(name) {
                Some(member) => Ok(Found { value: member.value.clone(), optional: !member.required }),
                None if object.open => always(Type::Dyn),
                None => {
                    let names: Vec<&str> = object.members.iter().map(|member| member.name.as_str()).collect();
                    Err(unknown(node, operand, name, "member", &names))
                }
            },
            Type::Message(id) => {
                let message = self.types.message(*id);
                let Some(field) = message.fields.iter().find(|field| field.name == name) else {
                    let names: Vec<&str> = message.fields.iter().map(|field| field.name.as_str()).collect();
                    return Err(unknown(node, operand, name, "field", &names));
                };
                let optional = field.shape == FieldShape::Singular { presence: true };
                Ok(Found { value: Type::of_field(self.types, field), optional })
            }
            other => {
                let subject = spelled(operand).map_or_else(|| "this".to_owned(), |path| format!("`{path}`"));
                Err(problem(node, format!("{subject} is {} and has no member `{name}`", self.describe(other))))
            }
        }
    }

    /// Refuses an optional member without a guard, unless the path is the whole expression.
    fn present(&self, node: &IdedExpr, found: &Found) -> Result<(), Problem> {
        if !found.optional || self.bare {
            return Ok(());
        }
        match spelled(node) {
            Some(path) if !self.guarded.contains(&path) => {
                Err(problem(node, format!("`{path}` may be absent; guard it, as in `has({path}) ? {path} : …`")))
            }
            _ => Ok(()),
        }
    }
}

/// Replaces the item type of the empty list, which is unknown, with [`Type::Dyn`].
fn known(element: Type) -> Type {
    if element == Type::Null { Type::Dyn } else { element }
}

fn unknown(node: &IdedExpr, operand: &IdedExpr, name: &str, what: &str, names: &[&str]) -> Problem {
    let subject = spelled(operand).map_or_else(|| "this".to_owned(), |path| format!("`{path}`"));
    if names.is_empty() {
        return problem(node, format!("{subject} has no {what} `{name}`, nor any other"));
    }
    let shown: Vec<&str> = names.iter().copied().take(30).collect();
    problem(node, format!("{subject} has no {what} `{name}`{}; known are {}", suggest(name, names), shown.join(", ")))
}

/// Returns the steps of a path such as `a.b.c` or `a["b"].c`, or `None` for other expressions.
pub fn path(node: &IdedExpr) -> Option<Vec<String>> {
    match &node.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) if !select.test => {
            let mut path = path(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else { return None };
            let mut path = path(operand)?;
            path.push(text(index)?.to_owned());
            Some(path)
        }
        _ => None,
    }
}

/// Returns the operand of a selection or an index.
pub fn operand(node: &IdedExpr) -> Option<&IdedExpr> {
    match &node.expr {
        Expr::Select(select) => Some(&select.operand),
        Expr::Call(call) if call.func_name == operators::INDEX => call.args.first(),
        _ => None,
    }
}

/// Returns a canonical text for a path, including indexes. `a.b` and `a["b"]` give the same text.
pub fn spelled(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(step(&spelled(&select.operand)?, &select.field)),
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [operand, index] = call.args.as_slice() else { return None };
            let operand = spelled(operand)?;
            match &index.expr {
                Expr::Literal(LiteralValue::String(name)) => Some(step(&operand, name.inner())),
                Expr::Literal(LiteralValue::Int(index)) => Some(format!("{operand}[{}]", index.inner())),
                _ => spelled(index).map(|index| format!("{operand}[{index}]")),
            }
        }
        _ => None,
    }
}

/// Appends one step to the text of a path.
pub fn step(operand: &str, name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { format!("{operand}.{name}") } else { format!("{operand}[{name:?}]") }
}
