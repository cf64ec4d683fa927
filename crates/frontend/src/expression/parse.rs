//! From text to a syntax tree, within bounds: what is too long or too deep is refused before it costs a stack.

use cel::{
    IdedExpr, ParseErrors, Program,
    common::ast::{EntryExpr, Expr, SelectExpr},
    parser::PrattParser,
};

use super::library;

/// Bytes of an expression.
pub const MAX_LENGTH: usize = 4096;
/// Levels of the syntax tree. Evaluation needs some kilobytes of stack for each of them.
pub const MAX_NESTING: usize = 64;
/// Brackets within brackets.
const MAX_BRACKETS: u16 = 32;

/// Parses an expression.
pub fn parse(text: &str) -> Result<IdedExpr, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("the expression has {} bytes; {MAX_LENGTH} are allowed", text.len()));
    }
    if text.trim().is_empty() {
        return Err("the expression is empty; write a value, as `\"text\"`, `10` or `query.limit`".to_owned());
    }
    if let Some(tree) = path(text) {
        return Ok(tree);
    }
    conditions(text)?;
    // The quick parser knows the standard macros only; `sortBy` is the one that extensions add.
    let tree = if text.contains("sortBy") {
        library::environment().compile(text).map(|program| program.expression().clone())
    } else {
        PrattParser::new().max_recursion_depth(MAX_BRACKETS).parse(text)
    };
    let tree = tree.map_err(|errors| syntax(text, &errors))?;
    if depth(&tree) > MAX_NESTING {
        return Err(format!("the expression is nested deeper than {MAX_NESTING} levels; split it, or use fewer operators in a row"));
    }
    Ok(tree)
}

/// Words that are no names (the grammar of CEL).
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// A bare path, `a.b.c`, which most values of a definition are: it needs no parser.
fn path(text: &str) -> Option<IdedExpr> {
    let name = |step: &str| {
        let mut letters = step.bytes();
        let first = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        first && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !RESERVED.contains(&step)
    };
    if !text.split('.').all(name) || text.split('.').count() > MAX_NESTING {
        return None;
    }
    let mut steps = (1..).zip(text.split('.'));
    let (id, root) = steps.next()?;
    let mut tree = IdedExpr { id, expr: Expr::Ident(root.to_owned()) };
    for (id, field) in steps {
        let select = SelectExpr { operand: Box::new(tree), field: field.to_owned(), test: false };
        tree = IdedExpr { id, expr: Expr::Select(select) };
    }
    Some(tree)
}

/// The same tree with the place of each of its nodes: slower, for when there is an error to be shown.
pub fn with_places(text: &str) -> Option<Program> {
    library::environment().compile(text).ok()
}

/// Conditions nest to the right without a bracket, which the parser's own bound does not see.
fn conditions(text: &str) -> Result<(), String> {
    if text.matches('?').count() > MAX_NESTING {
        return Err(format!("the expression has more than {MAX_NESTING} of `?`; split it"));
    }
    Ok(())
}

/// The first error of a parser, in one sentence.
fn syntax(text: &str, errors: &ParseErrors) -> String {
    let Some(error) = errors.errors.first() else { return "is not an expression".to_owned() };
    let message = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    let message = message.replace("<EOF>", "the end");
    if message.starts_with("expression recursion limit exceeded") {
        return format!("brackets are nested deeper than {MAX_BRACKETS} levels; split the expression");
    }
    let (line, column) = error.pos;
    match (line, column) {
        (1.., 1..) if text.trim_end().contains('\n') => format!("line {line}, column {column}: {message}"),
        (1.., 1..) => format!("column {column}: {message}"),
        _ => message,
    }
}

/// Levels of a tree.
fn depth(tree: &IdedExpr) -> usize {
    let (mut deepest, mut open) = (0, vec![(tree, 1)]);
    while let Some((node, level)) = open.pop() {
        deepest = deepest.max(level);
        for child in children(node) {
            open.push((child, level + 1));
        }
    }
    deepest
}

/// The nodes directly below a node.
pub fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(loops) => {
            vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(&map.entries),
        Expr::Struct(object) => entries(&object.entries),
        Expr::Select(select) => vec![&select.operand],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entries(entries: &[cel::common::ast::IdedEntryExpr]) -> Vec<&IdedExpr> {
    entries
        .iter()
        .flat_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            EntryExpr::StructField(field) => vec![&field.value],
        })
        .collect()
}
