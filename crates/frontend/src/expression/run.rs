//! Evaluates prepared trees.

use std::sync::OnceLock;

use cel::{
    Context, ExecutionError, IdedExpr, Value,
    common::value::{CowVal, Val},
    context::VariableResolver,
};

use super::{Variables, budget, library, prepare::Read};

/// Resolver that asks for each variable once, when a part of the expression that names it is first evaluated.
struct Once<'a> {
    variables: &'a dyn Variables,
    known: Vec<(&'a Read, Known)>,
}

type Known = OnceLock<Option<Box<dyn Val>>>;

/// A value for several evaluations, which the engine converts only once.
#[derive(Debug)]
pub struct SharedValue {
    value: Value,
    converted: Known,
}

impl SharedValue {
    /// Shares a value.
    pub fn new(value: Value) -> Self {
        Self { value, converted: OnceLock::new() }
    }

    /// Returns the value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    fn converted(&self) -> Option<&(dyn Val + 'static)> {
        self.converted.get_or_init(|| self.value.clone().try_into().ok()).as_deref()
    }
}

impl VariableResolver for Once<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let (read, cell) = self.known.iter().find(|(read, _)| read.name == variable)?;
        if let Some(shared) = self.variables.shared(variable) {
            return shared.converted().map(|value| CowVal::Borrowed(value as &dyn Val));
        }
        let value = cell.get_or_init(|| {
            let value = match &read.members {
                Some(members) => self.variables.members(variable, members),
                None => self.variables.get(variable),
            };
            value.and_then(|value| value.try_into().ok())
        });
        value.as_deref().map(|value| CowVal::Borrowed(value as &dyn Val))
    }
}

/// Evaluates a tree.
pub fn evaluate(tree: &IdedExpr, reads: &[Read], variables: &dyn Variables) -> Result<Value, String> {
    let resolver = Once { variables, known: reads.iter().map(|read| (read, OnceLock::new())).collect() };
    let mut context = Context::with_env(library::environment().clone());
    context.set_variable_resolver(&resolver);
    budget::fresh(|| Value::resolve(tree, &context)).map_err(|error| explain(&error))
}

/// Renders an error for the author of the request or of the expression. It never contains a whole value.
fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("`{name}` isn't there; guard it with `has(…)`"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` has no value here"),
        ExecutionError::NoSuchOverload(call) => {
            let name = call.function();
            let name = sign(name.trim_matches('_').trim_start_matches('@'));
            format!("`{name}` can't take {}", call.argument_types().join(" and "))
        }
        ExecutionError::FunctionError { function, message } if function == "evaluation" => message.clone(),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        ExecutionError::IndexOutOfBounds(index) => format!("the index {} is beyond the list", plain(index)),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".to_owned(),
        ExecutionError::Overflow(..) => "a whole number goes beyond 64 bits".to_owned(),
        ExecutionError::UnexpectedType { got, want } => format!("found {got} where {want} is needed"),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} can't be compared", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("`{}` can't take {} and {}", sign(operator), left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedKeyType(_) => "keys of maps must be strings or numbers".to_owned(),
        ExecutionError::DuplicateKey(key) => format!("the key {} appears twice", plain(key)),
        _ => "the expression can't be evaluated with these values".to_owned(),
    }
}

/// Returns the operator symbol for the name that the engine uses in errors.
fn sign(name: &str) -> &str {
    match name {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        _ => name,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::String(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        _ => value.type_of().to_string(),
    }
}
