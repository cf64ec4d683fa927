//! Transforms a checked tree before it is run.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, SelectExpr, operators},
};

use super::{budget, check::select, library, parse, types::Scope};

/// A variable that an expression reads.
#[derive(Debug)]
pub struct Read {
    /// Name of the variable.
    pub name: String,
    /// The members that the expression reads, or `None` if it may read any member.
    pub members: Option<Vec<String>>,
}

/// Collects the top-level variables that a tree reads.
pub fn variables(node: &IdedExpr, scope: &Scope, hidden: &mut Vec<String>, found: &mut Vec<Read>) {
    match &node.expr {
        Expr::Ident(name) => read(name, None, scope, hidden, found),
        Expr::Select(select) if matches!(select.operand.expr, Expr::Ident(_)) => {
            let Expr::Ident(name) = &select.operand.expr else { return };
            read(name, Some(&select.field), scope, hidden, found);
        }
        Expr::Comprehension(loops) => {
            variables(&loops.iter_range, scope, hidden, found);
            variables(&loops.accu_init, scope, hidden, found);
            hidden.push(loops.iter_var.clone());
            hidden.push(loops.accu_var.clone());
            for inner in [&loops.loop_cond, &loops.loop_step, &loops.result] {
                variables(inner, scope, hidden, found);
            }
            hidden.truncate(hidden.len() - 2);
        }
        _ => {
            for child in parse::children(node) {
                variables(child, scope, hidden, found);
            }
        }
    }
}

fn read(name: &str, member: Option<&str>, scope: &Scope, hidden: &[String], found: &mut Vec<Read>) {
    if scope.get(name).is_none() || hidden.iter().any(|known| known == name) {
        return;
    }
    let index = found.iter().position(|read| read.name == name).unwrap_or_else(|| {
        found.push(Read { name: name.to_owned(), members: Some(Vec::new()) });
        found.len() - 1
    });
    match (&mut found[index].members, member) {
        (Some(members), Some(member)) if !members.iter().any(|known| known == member) => members.push(member.to_owned()),
        (Some(_), Some(_)) | (None, _) => {}
        (members, None) => *members = None,
    }
}

/// Makes `has(a.b.c)` also test `has(a.b)` first. Without that, CEL fails if `a.b` is absent.
fn ask_for_all(node: &mut IdedExpr) {
    let Expr::Select(select) = &node.expr else { return };
    let (mut tests, mut outer) = (vec![node.clone()], Some(&*select.operand));
    while let Some(inner) = outer {
        if let Expr::Select(select) = &inner.expr {
            tests.push(IdedExpr { id: inner.id, expr: Expr::Select(SelectExpr { test: true, ..select.clone() }) });
        }
        outer = select::operand(inner);
    }
    let all = tests.into_iter().rev().reduce(|outer, inner| {
        let call = CallExpr { func_name: operators::LOGICAL_AND.to_owned(), target: None, args: vec![outer, inner] };
        IdedExpr { id: node.id, expr: Expr::Call(call) }
    });
    if let Some(all) = all {
        *node = all;
    }
}

/// Adds the budget to a tree: wraps the ranges, the kept values and the operands of calls in loops, and replaces the functions whose result
/// can be much larger than their input.
pub fn prepare(node: &mut IdedExpr) {
    prepare_inside(node, false);
}

fn prepare_inside(node: &mut IdedExpr, in_loop: bool) {
    match &mut node.expr {
        Expr::Call(call) => {
            match (call.func_name.as_str(), call.target.is_some()) {
                ("split", true) => library::SPLIT.clone_into(&mut call.func_name),
                ("flatten", true) => library::FLATTEN.clone_into(&mut call.func_name),
                ("replace", true) => library::REPLACE.clone_into(&mut call.func_name),
                _ => {}
            }
            if let Some(target) = &mut call.target {
                prepare_inside(target, in_loop);
            }
            call.args.iter_mut().for_each(|arg| prepare_inside(arg, in_loop));
            if in_loop {
                charge_operands(call);
            }
            if call.func_name == "distinct"
                && let Some(target) = &mut call.target
            {
                around(target, budget::SQUARE);
            }
        }
        Expr::Comprehension(loops) => {
            for outside in [&mut loops.iter_range, &mut loops.accu_init] {
                prepare_inside(outside, in_loop);
            }
            for inside in [&mut loops.loop_cond, &mut loops.loop_step] {
                prepare_inside(inside, true);
            }
            prepare_inside(&mut loops.result, in_loop);
            keep(loops);
            around(&mut loops.iter_range, budget::EACH);
        }
        Expr::Select(select) => {
            prepare_inside(&mut select.operand, in_loop);
            if select.test {
                ask_for_all(node);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(|item| prepare_inside(item, in_loop)),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(pair) = &mut entry.expr {
                    prepare_inside(&mut pair.key, in_loop);
                    prepare_inside(&mut pair.value, in_loop);
                }
            }
        }
        Expr::Struct(_) | Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// Wraps the operands of a call that is evaluated for each item of a loop, and whose cost grows with them.
fn charge_operands(call: &mut CallExpr) {
    let in_namespace = matches!(call.func_name.as_str(), "encode" | "decode" | "greatest" | "least" | "millis" | "quote");
    match (call.func_name.as_str(), call.args.as_mut_slice()) {
        (operators::IN, [_, list]) => around_variable(list, budget::READ),
        // If one side is small, so is the cost.
        (operators::EQUALS | operators::NOT_EQUALS, [left, _]) => around_variable(left, budget::READ),
        // The step of a loop adds to its own result.
        (operators::ADD, [left, _]) if is_accumulator(left) => {}
        (
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::CONDITIONAL | operators::INDEX | "size",
            _,
        ) => {}
        (name, _) if name.starts_with('@') => {}
        (_, args) => {
            for arg in args {
                around_variable(arg, budget::READ);
            }
            // The target of `json.encode` is no value.
            if let Some(target) = call.target.as_mut().filter(|target| !(in_namespace && matches!(target.expr, Expr::Ident(_)))) {
                around_variable(target, budget::READ);
            }
        }
    }
}

fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name.starts_with('@'))
}

/// Wraps what is no constant. The syntax bounds the size of constants.
fn around_variable(node: &mut IdedExpr, function: &str) {
    if !matches!(node.expr, Expr::Literal(_)) {
        around(node, function);
    }
}

/// Wraps the items that `map` and `filter` append.
fn keep(loops: &mut ComprehensionExpr) {
    let Expr::Call(step) = &mut loops.loop_step.expr else { return };
    let added = match step.args.as_mut_slice() {
        [_, added, _] if step.func_name == operators::CONDITIONAL => match &mut added.expr {
            Expr::Call(added) => added,
            _ => return,
        },
        _ => step,
    };
    if let (operators::ADD, [_, list]) = (added.func_name.as_str(), added.args.as_mut_slice())
        && let Expr::List(list) = &mut list.expr
    {
        list.elements.iter_mut().for_each(|item| around(item, budget::KEEP));
    }
}

fn around(node: &mut IdedExpr, function: &str) {
    let inner = std::mem::take(node);
    node.id = inner.id;
    node.expr = Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args: vec![inner] });
}
