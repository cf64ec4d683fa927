//! Checks function calls against the table of functions.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr},
};

use super::{
    Checker, Problem,
    functions::{self, FUNCTIONS, Function, Takes},
    problem, text,
};
use crate::expression::{
    library,
    types::{Scope, Type},
};

impl Checker<'_> {
    pub(super) fn call(&mut self, node: &IdedExpr, call: &CallExpr, scope: &Scope) -> Result<Type, Problem> {
        if call.target.is_none()
            && let Some(found) = self.operator(node, call, scope)?
        {
            return Ok(found);
        }
        if let Some(name) = qualified(call) {
            let overloads: Vec<&Function> = FUNCTIONS.iter().filter(|function| function.name == name).collect();
            return self.matched(node, call, &name, &overloads, None, scope);
        }
        let name = call.func_name.as_str();
        let receiver = call.target.as_deref();
        let overloads: Vec<&Function> =
            FUNCTIONS.iter().filter(|function| function.name == name && function.receiver.is_some() == receiver.is_some()).collect();
        if overloads.is_empty() {
            return Err(unknown(node, call, scope));
        }
        self.matched(node, call, name, &overloads, receiver, scope)
    }

    fn matched(
        &mut self,
        node: &IdedExpr,
        call: &CallExpr,
        name: &str,
        overloads: &[&Function],
        receiver: Option<&IdedExpr>,
        scope: &Scope,
    ) -> Result<Type, Problem> {
        let receiver = receiver.map(|receiver| self.expression(receiver, scope)).transpose()?;
        let mut given = Vec::with_capacity(call.args.len());
        for argument in &call.args {
            given.push(self.expression(argument, scope)?);
        }
        let fits = |overload: &&&Function| {
            overload.receiver.zip(receiver.as_ref()).is_none_or(|(takes, receiver)| takes.fits(receiver))
                && overload.takes.len() == given.len()
                && overload.takes.iter().zip(&given).all(|(takes, given)| takes.fits(given))
        };
        let Some(overload) = overloads.iter().find(fits) else {
            let shown: Vec<String> = overloads.iter().map(|overload| format!("`{}`", overload.signature())).collect();
            let arguments: Vec<String> = given.iter().map(|given| self.describe(given)).collect();
            let arguments = if arguments.is_empty() { "nothing".to_owned() } else { arguments.join(" and ") };
            let on = receiver.map_or_else(String::new, |receiver| format!(" on {}", self.describe(&receiver)));
            return Err(problem(node, format!("`{name}` is called as {}, not{on} with {arguments}", shown.join(" or "))));
        };
        for (takes, argument) in overload.takes.iter().zip(&call.args) {
            if *takes == Takes::Literal {
                literal_pattern(argument, name)?;
            }
        }
        // For an int and a double, the result may be either type.
        if overload.takes == [Takes::Number, Takes::Number] && given.first() != given.last() {
            return Ok(Type::Dyn);
        }
        Ok(overload.gives.of(receiver.as_ref().or(given.first())))
    }
}

fn unknown(node: &IdedExpr, call: &CallExpr, scope: &Scope) -> Problem {
    let name = call.func_name.as_str();
    if let Some(Expr::Ident(namespace)) = call.target.as_deref().map(|target| &target.expr)
        && scope.get(namespace).is_none()
        && functions::namespaces().any(|known| known == namespace)
    {
        let known = functions::within(namespace);
        return problem(node, format!("there is no function `{namespace}.{name}`; known are {}", known.join(", ")));
    }
    if functions::MACROS.contains(&name) {
        let example = match name {
            "has" => "has(query.limit)".to_owned(),
            "map" => "list.map(item, item.key)".to_owned(),
            _ => format!("list.{name}(item, item.key …)"),
        };
        return problem(node, format!("`{name}` is called as `{example}`"));
    }
    let overloads: Vec<String> = FUNCTIONS
        .iter()
        .filter(|function| function.name.rsplit('.').next() == Some(name))
        .map(|function| format!("`{}`", function.signature()))
        .collect();
    if !overloads.is_empty() {
        return problem(node, format!("`{name}` is called as {}", overloads.join(" or ")));
    }
    let names = functions::names();
    let whole = match call.target.as_deref().map(|target| &target.expr) {
        Some(Expr::Ident(namespace)) if scope.get(namespace).is_none() => format!("{namespace}.{name}"),
        _ => name.to_owned(),
    };
    // The list of all functions is long. It is shown only if no name is similar.
    match super::suggest(name, &names) {
        near if near.is_empty() => problem(node, format!("there is no function `{whole}`; known are {}", names.join(", "))),
        near => problem(node, format!("there is no function `{whole}`{near}")),
    }
}

/// Returns the full name of a call such as `json.encode(x)`. A function takes precedence over a variable with the name of its
/// namespace.
fn qualified(call: &CallExpr) -> Option<String> {
    let Expr::Ident(namespace) = &call.target.as_deref()?.expr else { return None };
    let name = format!("{namespace}.{}", call.func_name);
    FUNCTIONS.iter().any(|function| function.name == name).then_some(name)
}

/// Requires the pattern to be a literal, so that it is checked at load time and compiled once.
fn literal_pattern(argument: &IdedExpr, name: &str) -> Result<(), Problem> {
    let Some(pattern) = text(argument) else {
        return Err(problem(argument, format!("the pattern of `{name}` must be a literal string, as \"^[a-z]+$\"")));
    };
    library::pattern(pattern).map(drop).map_err(|error| problem(argument, format!("the pattern of `{name}` is not valid: {error}")))
}
