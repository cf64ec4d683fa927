//! `ANSWERS.md`: each case with the right answer and what everybody said.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    case::{Case, Row},
    client::Answer,
};

/// Characters of a body that are shown.
const SHOWN: usize = 120;
/// The columns behind the case and the right answer.
pub const WHO: [&str; 3] = ["Prism", "Envoy", "grpc-gateway"];

const HEAD: &str = "# What transcoders answer

To see how Prism, Envoy and grpc-gateway answer the same requests, read the tables below. Each row is a case of the suite
`cargo test --test transcoding`, with the right answer and the answer of each transcoder: ✓ if it is right, ✗ if it is wrong.

- Tests check Prism's answers. `scripts/transcoding-peers` asked the other transcoders when it wrote this page.
- All transcoders call the same service, `proto/depot.proto`.
- Envoy 1.40 has its best configuration for these cases (`envoy.yaml`): errors as JSON, unknown parameters and methods refused, gRPC-Web enabled.
- grpc-gateway 2.31 has its best configuration too (`gateway/`): an encoded slash is kept, unknown members are refused.
- Details that a row does not specify do not count: the shape of an error body, fields with the value zero, a column that differs by one,
  a prefix of a header's name.
- – means that the transcoder was not asked, because only Prism has the feature.
";

/// By case and by who answered.
pub type Cells = BTreeMap<String, [String; 3]>;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcoding/ANSWERS.md")
}

/// A cell of the table: whether it is right, and what it is.
pub fn cell(case: &Case, answer: &Result<Answer, String>) -> String {
    let right = answer.as_ref().is_ok_and(|answer| case.right.check(answer).is_ok());
    let said = match answer {
        Ok(answer) => short(case, answer),
        Err(error) => error.clone(),
    };
    format!("{} {}", if right { '✓' } else { '✗' }, code(&said))
}

fn short(case: &Case, answer: &Answer) -> String {
    let mut said = answer.status.to_string();
    for name in case.right.headers() {
        for (known, value) in answer.headers.iter().filter(|(known, _)| known.as_str().ends_with(name)) {
            let _ = write!(said, " {known}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let body = if answer.body.iter().any(|byte| *byte < b' ' && !byte.is_ascii_whitespace()) {
        answer.body.escape_ascii().to_string()
    } else {
        telling(answer).trim_end().replace('\n', "⏎")
    };
    let mut shown: String = body.chars().take(SHOWN).collect();
    if body.chars().count() > SHOWN {
        shown.push('…');
    }
    if !shown.is_empty() {
        let _ = write!(said, " {shown}");
    }
    if answer.broken {
        said.push_str(" (broken off)");
    }
    said
}

/// The body; of a problem document (RFC 9457) only what is not said by the status.
fn telling(answer: &Answer) -> String {
    const SAID: [&str; 3] = ["type", "title", "status"];
    match answer.json() {
        Ok(Value::Object(mut members)) if SAID.iter().all(|name| members.contains_key(*name)) => {
            members.retain(|name, _| !SAID.contains(&name.as_str()));
            Value::from(members).to_string()
        }
        _ => answer.text(),
    }
}

/// As code in a cell: nothing in it is markup.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    let space = if text.contains('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|"))
}

/// The page.
pub fn page(cases: &[Case], cells: &Cells) -> String {
    let mut page = String::from(HEAD);
    let right = |place: usize| {
        let asked = cases.iter().filter_map(|case| cells.get(&case.name)).filter(|cells| !cells[place].is_empty() && cells[place] != "–");
        let (right, all) = asked.fold((0, 0), |(right, all), cells| (right + usize::from(cells[place].starts_with('✓')), all + 1));
        format!("{right} of {all}")
    };
    let _ = write!(page, "\n| {} |\n|---|---|---|\n| {} | {} | {} |\n", WHO.join(" | "), right(0), right(1), right(2));
    for row in Row::ALL {
        let _ = write!(page, "\n## {}\n\n| case | right | {} |\n|---|---|---|---|---|\n", row.title(), WHO.join(" | "));
        for case in cases.iter().filter(|case| case.row == row) {
            let empty = Default::default();
            let said = cells.get(&case.name).unwrap_or(&empty).join(" | ");
            let request = code(&format!("{} {}", case.request.method, case.request.path));
            let _ = writeln!(page, "| {}: {request}. {}. | {} | {said} |", case.name, case.why, code(&case.right.words()));
        }
    }
    page
}

/// What the page says about the others, by case.
pub fn known() -> Cells {
    let page = fs::read_to_string(file()).unwrap_or_default();
    let row = |line: &str| {
        // A bar inside of a cell is escaped.
        let line = line.replace("\\|", "\u{0}");
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "\\|")).collect();
        let (name, _) = cells.first()?.split_once(": `")?;
        let [prism, envoy, gateway] = cells.get(2..)? else { return None };
        Some((name.to_owned(), [prism.clone(), envoy.clone(), gateway.clone()]))
    };
    page.lines().filter_map(row).collect()
}

/// Whether the page is what would be written now.
pub fn is_current(page: &str) -> bool {
    fs::read_to_string(file()).is_ok_and(|written| written == page)
}

pub fn write(page: &str) {
    fs::write(file(), page).unwrap();
}
