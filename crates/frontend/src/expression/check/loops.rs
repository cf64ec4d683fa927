//! Checks `map`, `filter`, `all`, `exists` and `exists_one`. The parser turns each into a comprehension: a loop with an
//! accumulator.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, operators},
};

use super::{Checker, Problem, problem};
use crate::expression::types::{Scope, Type};

/// Maximum depth of nested loops. Each level multiplies the cost of an evaluation.
pub const MAX_LOOPS: usize = 2;

impl Checker<'_> {
    pub(super) fn comprehension(&mut self, loops: &ComprehensionExpr, scope: &Scope) -> Result<Type, Problem> {
        let start = self.expression(&loops.accu_init, scope)?;
        // A loop over an empty list only binds a name to a value. `sortBy` expands to that.
        let names = matches!(&loops.iter_range.expr, Expr::List(list) if list.elements.is_empty());
        if names && loops.iter_var.starts_with('#') {
            return self.expression(&loops.result, &scope.with(&loops.accu_var, start));
        }
        let range = self.expression(&loops.iter_range, scope)?;
        let item = self.item(&loops.iter_range, &range)?;
        if self.loops == MAX_LOOPS {
            return Err(problem(
                &loops.iter_range,
                format!("map, filter, all and exists stand more than {MAX_LOOPS} deep in each other; move the inner one out"),
            ));
        }
        self.loops += 1;
        let inner = scope.with(&loops.iter_var, item).with(&loops.accu_var, start);
        let result = match Appended::of(loops) {
            Some(step) => self.appended(&step, &inner),
            None => self.folded(loops, &inner),
        };
        self.loops -= 1;
        result
    }

    fn item(&self, node: &IdedExpr, range: &Type) -> Result<Type, Problem> {
        match range {
            Type::List(item) if **item == Type::Null => Ok(Type::Dyn),
            Type::List(item) => Ok((**item).clone()),
            Type::Map(_) | Type::Object(_) | Type::Message(_) => Ok(Type::String),
            Type::Dyn => Ok(Type::Dyn),
            other => Err(problem(node, format!("only a list, or the keys of a map, can be walked; this is {}", self.describe(other)))),
        }
    }

    /// Checks the step of `map` and `filter`.
    fn appended(&mut self, step: &Appended<'_>, scope: &Scope) -> Result<Type, Problem> {
        if let Some(guard) = step.guard {
            self.condition(guard, scope)?;
        }
        Ok(Type::list(self.expression(step.item, scope)?))
    }

    /// Checks the step of `all`, `exists` and `exists_one`.
    fn folded(&mut self, loops: &ComprehensionExpr, scope: &Scope) -> Result<Type, Problem> {
        if let Expr::Call(call) = &loops.loop_step.expr {
            let own = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if *name == loops.accu_var);
            match call.args.as_slice() {
                [accumulator, condition] if own(accumulator) => self.condition(condition, scope)?,
                [condition, _, _] => self.condition(condition, scope)?,
                _ => {}
            }
        }
        self.expression(&loops.loop_cond, scope)?;
        self.expression(&loops.loop_step, scope)?;
        self.expression(&loops.result, scope)
    }

    pub(super) fn condition(&mut self, node: &IdedExpr, scope: &Scope) -> Result<(), Problem> {
        match self.expression(node, scope)? {
            Type::Bool | Type::Dyn => Ok(()),
            other => Err(problem(node, format!("a condition must be a bool; this is {}", self.describe(&other)))),
        }
    }
}

/// The step of `map` and `filter`: `@result + [item]`, with an optional condition.
pub struct Appended<'e> {
    /// The condition.
    pub guard: Option<&'e IdedExpr>,
    /// The item that is appended.
    pub item: &'e IdedExpr,
}

impl<'e> Appended<'e> {
    /// Returns the step of a loop if it has this form.
    pub fn of(loops: &'e ComprehensionExpr) -> Option<Self> {
        let Expr::Call(step) = &loops.loop_step.expr else { return None };
        match step.args.as_slice() {
            [guard, added, _] if step.func_name == operators::CONDITIONAL => {
                let Expr::Call(added) = &added.expr else { return None };
                Some(Self { guard: Some(guard), item: added_item(added, &loops.accu_var)? })
            }
            _ => Some(Self { guard: None, item: added_item(step, &loops.accu_var)? }),
        }
    }
}

fn added_item<'e>(call: &'e CallExpr, accumulator: &str) -> Option<&'e IdedExpr> {
    let [own, list] = call.args.as_slice() else { return None };
    match (&own.expr, &list.expr) {
        (Expr::Ident(name), Expr::List(list)) if call.func_name == operators::ADD && name == accumulator => {
            match list.elements.as_slice() {
                [item] => Some(item),
                _ => None,
            }
        }
        _ => None,
    }
}
