//! Parses text into a syntax tree. Text that is too long or nested too deep is refused before it can overflow the stack.

use cel::{
    IdedExpr, ParseErrors, Program,
    common::ast::{EntryExpr, Expr, SelectExpr},
    parser::PrattParser,
};

use super::library;

/// Maximum length of an expression in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Maximum levels of the syntax tree. Evaluation needs some kilobytes of stack for each level.
pub const MAX_NESTING: usize = 64;
/// Maximum depth of nested brackets.
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
    // The fast parser knows only the standard macros. `sortBy` is the one macro that the extensions add.
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

/// Reserved words of the CEL grammar, which cannot be identifiers.
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

/// Parses a bare path such as `a.b.c` without the CEL parser. Most values in a definition are such paths.
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

/// Parses with the position of each node. This is slower, so it is used only to report an error.
pub fn with_places(text: &str) -> Option<Program> {
    library::environment().compile(text).ok()
}

/// Limits the number of conditional operators. They nest to the right without a bracket, so the parser's own limit misses
/// them.
fn conditions(text: &str) -> Result<(), String> {
    if text.matches('?').count() > MAX_NESTING {
        return Err(format!("the expression has more than {MAX_NESTING} of `?`; split it"));
    }
    Ok(())
}

/// Renders the first parser error as one sentence.
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

/// Returns the number of levels of a tree.
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

/// Returns the direct children of a node.
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
