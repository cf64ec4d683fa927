//! Checks operators.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, operators},
};

use super::{Checker, Problem, problem, text};
use crate::{
    expression::types::{Scope, Type},
    message_types::EnumId,
};

impl Checker<'_> {
    /// Returns the type of an operator's result, or `None` if the call is not an operator.
    pub(super) fn operator(&mut self, node: &IdedExpr, call: &CallExpr, scope: &Scope) -> Result<Option<Type>, Problem> {
        let found = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.condition(condition, scope)?;
                let (yes, no) = (self.expression(yes, scope)?, self.expression(no, scope)?);
                yes.join(&no)
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, sides) => {
                for side in sides {
                    self.condition(side, scope)?;
                }
                Type::Bool
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [operand]) => {
                self.condition(operand, scope)?;
                Type::Bool
            }
            (operators::NEGATE, [operand]) => match self.expression(operand, scope)? {
                number @ (Type::Int | Type::Double | Type::Dyn) => number,
                other => return Err(problem(node, format!("`-` takes an int or a double; this is {}", self.describe(&other)))),
            },
            (operators::INDEX, _) => self.index(node, call, scope)?,
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => self.equal(node, (left, right), scope)?,
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [left, right]) => {
                let (left, right) = (self.expression(left, scope)?, self.expression(right, scope)?);
                if !ordered(&left, &right) {
                    let (left, right) = (self.describe(&left), self.describe(&right));
                    let sign = symbol(&call.func_name);
                    return Err(problem(node, format!("`{sign}` can't compare {left} with {right}; convert one of them, as with int(…)")));
                }
                Type::Bool
            }
            (operators::IN, [item, container]) => self.within(node, (item, container), scope)?,
            (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [left, right]) => {
                let (left, right) = (self.expression(left, scope)?, self.expression(right, scope)?);
                self.arithmetic(node, symbol(&call.func_name), &left, &right)?
            }
            _ => return Ok(None),
        };
        Ok(Some(found))
    }

    fn arithmetic(&self, node: &IdedExpr, sign: &str, left: &Type, right: &Type) -> Result<Type, Problem> {
        let takes = |side: &Type| match (sign, side) {
            (_, Type::Dyn | Type::Int | Type::Uint) => true,
            ("%", _) => false,
            (_, Type::Double) => true,
            ("+", other) => other.is_text() || matches!(other, Type::Bytes | Type::List(_)),
            _ => false,
        };
        let refused = |hint: &str| {
            let (left, right) = (self.describe(left), self.describe(right));
            Err(problem(node, format!("`{sign}` can't take {left} and {right}; {hint}")))
        };
        match (left, right) {
            (left, right) if !takes(left) || !takes(right) => match sign {
                "+" => refused("both sides must be numbers, strings, bytes or lists"),
                "%" => refused("both sides must be ints"),
                _ => refused("both sides must be numbers"),
            },
            (Type::Dyn, other) | (other, Type::Dyn) => Ok(other.clone()),
            (Type::List(_), Type::List(_)) => Ok(left.join(right)),
            (left, right) if left.is_text() && right.is_text() => Ok(Type::String),
            (left, right) if left == right => Ok(left.clone()),
            (Type::Int | Type::Uint, Type::Int | Type::Uint) => refused("write a uint, as `1u`, or convert with int(…)"),
            (left, right) if left.is_number() && right.is_number() => refused("write `1.0`, or convert with double(…) or int(…)"),
            (left, right) if left.is_text() || right.is_text() => refused("convert with string(…), or with int(…)"),
            _ => refused("both sides must be of one type"),
        }
    }

    fn equal(&mut self, node: &IdedExpr, (left, right): (&IdedExpr, &IdedExpr), scope: &Scope) -> Result<Type, Problem> {
        let (one, other) = (self.expression(left, scope)?, self.expression(right, scope)?);
        for (side, literal) in [(&one, right), (&other, left)] {
            if let (Type::Enum(id), Some(name)) = (side, text(literal)) {
                self.enum_name(literal, *id, name)?;
            }
        }
        if comparable(&one, &other) {
            return Ok(Type::Bool);
        }
        let (one, other) = (self.describe(&one), self.describe(&other));
        Err(problem(node, format!("{one} never equals {other}; convert one of them, as with string(…) or int(…)")))
    }

    fn enum_name(&self, node: &IdedExpr, id: EnumId, name: &str) -> Result<(), Problem> {
        let known = self.types.enumeration(id);
        if known.number(name).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = known.values.iter().map(|(name, _)| name.as_str()).collect();
        Err(problem(node, format!("{name:?} is no value of the enum{}; known are {}", super::suggest(name, &names), names.join(", "))))
    }

    fn within(&mut self, node: &IdedExpr, (item, container): (&IdedExpr, &IdedExpr), scope: &Scope) -> Result<Type, Problem> {
        let (of, range) = (self.expression(item, scope)?, self.expression(container, scope)?);
        match &range {
            Type::Dyn => Ok(Type::Bool),
            Type::List(element) if comparable(&of, element) => Ok(Type::Bool),
            Type::Map(_) | Type::Object(_) | Type::Message(_) if of.is_text() || of == Type::Dyn => Ok(Type::Bool),
            Type::List(element) => {
                let (of, element) = (self.describe(&of), self.describe(element));
                Err(problem(node, format!("{of} is never in this list, whose items are each {element}")))
            }
            Type::Map(_) | Type::Object(_) | Type::Message(_) => {
                Err(problem(node, format!("the keys of a map are strings; this is {}", self.describe(&of))))
            }
            other => Err(problem(
                container,
                format!("`in` looks into a list or the keys of a map; this is {} (for text: a.contains(b))", self.describe(other)),
            )),
        }
    }
}

fn ordered(left: &Type, right: &Type) -> bool {
    let text = |side: &Type| side.is_text();
    match (left, right) {
        (Type::Dyn, other) | (other, Type::Dyn) => {
            other.is_number() || other.is_text() || matches!(other, Type::Dyn | Type::Bool | Type::Bytes)
        }
        (left, right) if left.is_number() && right.is_number() => true,
        (left, right) if text(left) && text(right) => true,
        (Type::Bool, Type::Bool) | (Type::Bytes, Type::Bytes) => true,
        _ => false,
    }
}

/// Returns whether values of the two types can be equal.
fn comparable(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Dyn | Type::Null, _) | (_, Type::Dyn | Type::Null) => true,
        (left, right) if left.is_number() && right.is_number() => true,
        (left, right) if left.is_text() && right.is_text() => true,
        (Type::List(left), Type::List(right)) => comparable(left, right),
        (Type::Map(_) | Type::Object(_) | Type::Message(_), Type::Map(_) | Type::Object(_) | Type::Message(_)) => true,
        (left, right) => left == right,
    }
}

/// Returns the operator as it is written in an expression.
fn symbol(name: &str) -> &str {
    name.trim_matches('_')
}
